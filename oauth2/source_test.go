package oauth2_test

import (
	"context"
	"crypto"
	"errors"
	"io"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/gatekeeper-oidc/gatekeeper/keys"
)

// cachedKeys makes each kind of key once per process, and can be made to fail.
type cachedKeys struct {
	keys.Software
	broken atomic.Bool
	fresh  atomic.Bool // make another key than last time
}

var made sync.Map // alg → func() (made, error)

type madeKey struct {
	signer crypto.Signer
	der    []byte
}

func (c *cachedKeys) Generate(ctx context.Context, alg string) (crypto.Signer, []byte, error) {
	if c.fresh.Load() {
		s, der, err := c.Software.Generate(ctx, alg)
		return c.wrap(alg, s), der, err
	}
	once, _ := made.LoadOrStore(alg, sync.OnceValues(func() (madeKey, error) {
		s, der, err := c.Software.Generate(context.WithoutCancel(ctx), alg)
		return madeKey{s, der}, err
	}))
	k, err := once.(func() (madeKey, error))()
	return c.wrap(alg, k.signer), slices.Clone(k.der), err
}

func (c *cachedKeys) Open(ctx context.Context, alg string, private []byte) (crypto.Signer, error) {
	s, err := c.Software.Open(ctx, alg, private)
	return c.wrap(alg, s), err
}

// wrap makes a signing key brittle; what decrypts is left as it is.
func (c *cachedKeys) wrap(alg string, s crypto.Signer) crypto.Signer {
	if alg == keys.ECDHES || alg == keys.RSAOAEP256 {
		return s
	}
	return brittle{s, &c.broken}
}

// brittle is a signer in a machine that can be unplugged.
type brittle struct {
	crypto.Signer
	broken *atomic.Bool
}

func (b brittle) Sign(rand io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if b.broken.Load() {
		return nil, errors.New("unplugged")
	}
	return b.Signer.Sign(rand, digest, opts)
}
