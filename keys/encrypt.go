package keys

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4"
)

// ErrKeySet means a client's key set could not be had, is none, or holds no key
// that can be encrypted to. For a signature it means "cannot tell", never "no".
var ErrKeySet = errors.New("keys: no usable key set")

// An Encryption is what a client registered for the tokens it gets: the
// algorithm for the content key (RFC 7518 section 4.1) and the one for the
// content (section 5.1), A128CBC-HS256 if Enc is "" (OpenID Connect Dynamic
// Client Registration 1.0 section 2).
type Encryption struct{ Alg, Enc string }

const defaultEnc = "A128CBC-HS256"

// EncryptionAlgs returns what we encrypt to others with, most wanted first. There
// is no RSA1_5, which leaks to whoever may ask often (RFC 8725 section 3.2), no
// password and nothing symmetric.
func EncryptionAlgs() []string {
	return []string{RSAOAEP256, RSAOAEP, ECDHES, "ECDH-ES+A128KW", "ECDH-ES+A256KW"}
}

// ContentAlgs returns how content is encrypted, in both directions.
func ContentAlgs() []string {
	return []string{defaultEnc, "A256CBC-HS512", "A128GCM", "A256GCM"}
}

// encrypts reports whether alg is for encryption.
func encrypts(alg string) bool { return slices.Contains(EncryptionAlgs(), alg) }

// Check says what of e we do not do; the error is a sentence for whoever
// registers it.
func (e Encryption) Check() error {
	if !encrypts(e.Alg) {
		return fmt.Errorf("the encryption algorithm is one of %s", strings.Join(EncryptionAlgs(), ", "))
	}
	if e.Enc != "" && !slices.Contains(ContentAlgs(), e.Enc) {
		return fmt.Errorf("the content encryption is one of %s", strings.Join(ContentAlgs(), ", "))
	}
	return nil
}

// fitsEncryption says why nobody can encrypt to public with alg, or nil.
func fitsEncryption(alg string, public crypto.PublicKey) error {
	switch k := public.(type) {
	case *rsa.PublicKey:
		if alg != RSAOAEP && alg != RSAOAEP256 {
			return errors.New("an RSA key does not fit the encryption algorithm")
		}
		return fitsRSA(k)
	case *ecdsa.PublicKey:
		if !strings.HasPrefix(alg, ECDHES) || !slices.Contains([]string{"P-256", "P-384", "P-521"}, curveName(k.Curve)) {
			return errors.New("an elliptic curve key does not fit the encryption algorithm")
		}
		return nil
	default:
		return fmt.Errorf("nobody encrypts to a %T", public)
	}
}

// EncryptWith returns payload as a compact JWE to a key of a client's registered
// JWK Set. cty is "JWT" around a signed token, "" around plain claims. The error
// wraps ErrKeySet if the set is none or has no key for e.
func EncryptWith(jwks json.RawMessage, e Encryption, cty string, payload []byte) (string, error) {
	set, err := readSet(jwks)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrKeySet, err)
	}
	k, err := recipient(set, e.Alg)
	if err != nil {
		return "", err
	}
	return e.to(k, cty, payload)
}

// recipient picks the key of set to encrypt to with alg: the first one that says
// it is for that, else the first one that says nothing and fits.
func recipient(set []clientKey, alg string) (clientKey, error) {
	fit := func(exact bool) func(k clientKey) bool {
		return func(k clientKey) bool {
			return k.encrypts && (k.alg == alg || !exact && k.alg == "") && fitsEncryption(alg, k.public) == nil
		}
	}
	for _, f := range []func(clientKey) bool{
		func(k clientKey) bool { return fit(true)(k) && !k.signs },
		func(k clientKey) bool { return fit(false)(k) && !k.signs },
		fit(false),
	} {
		if i := slices.IndexFunc(set, f); i >= 0 {
			return set[i], nil
		}
	}
	return clientKey{}, fmt.Errorf("%w: no key in it is for %.20q", ErrKeySet, alg)
}

// to encrypts payload to k, which fits e.Alg.
func (e Encryption) to(k clientKey, cty string, payload []byte) (string, error) {
	if err := e.Check(); err != nil {
		return "", fmt.Errorf("keys: encrypt: %w", err)
	}
	enc := e.Enc
	if enc == "" {
		enc = defaultEnc
	}
	opts := &jose.EncrypterOptions{} // no Compression (RFC 8725 section 3.6)
	if cty != "" {
		opts = opts.WithContentType(jose.ContentType(cty))
	}
	c, err := jose.NewEncrypter(jose.ContentEncryption(enc), jose.Recipient{
		Algorithm: jose.KeyAlgorithm(e.Alg), Key: k.public, KeyID: k.kid,
	}, opts)
	if err != nil {
		return "", fmt.Errorf("keys: encrypt: %w", err)
	}
	jwe, err := c.Encrypt(payload)
	if err != nil {
		return "", fmt.Errorf("keys: encrypt: %w", err)
	}
	return jwe.CompactSerialize()
}
