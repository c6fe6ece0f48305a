package keys

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4"

	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
)

// ErrEncryption means a token was not encrypted to a key of this ring, not as we
// ask, or is malformed. Which of them is nobody's business outside: the answer
// is always the same (RFC 7516 section 11.5).
var ErrEncryption = errors.New("keys: not encrypted to us")

const (
	// maxEncrypted is the longest JWE we look at, in bytes: one around a JWS of
	// the longest length we look at.
	maxEncrypted = 24 << 10

	// maxTries is how many keys a token is tried with.
	maxTries = 10
)

// A lock is one key that others encrypt to, with what opens it. It is another
// type than a ringKey, so that no signature can ever be checked with it.
type lock struct {
	Key
	public  crypto.PublicKey
	private crypto.Signer
}

// A sealed is a JWE in compact serialisation (RFC 7516 section 3.1), its header
// read, nothing believed.
type sealed struct {
	head  Header
	token string
}

// IsEncrypted reports whether token has the five parts of a compact JWE.
func IsEncrypted(token string) bool { return strings.Count(token, ".") == 4 }

// refusedByJWE are the header names that change how a JWE is read, all of them
// attacks or nothing we understand: extensions, compression (RFC 8725 section
// 3.6), and the parameters of passwords and wrapped keys.
func refusedByJWE() []string { return []string{"crit", "b64", "zip", "p2c", "p2s", "iv", "tag"} }

// splitJWE takes a JWE apart as far as it must be to choose a key.
func splitJWE(token string) (sealed, error) {
	if len(token) > maxEncrypted {
		return sealed{}, fmt.Errorf("%w: longer than %d bytes", ErrEncryption, maxEncrypted)
	}
	parts := strings.SplitN(token, ".", 6)
	if len(parts) != 5 {
		return sealed{}, fmt.Errorf("%w: not five parts", ErrEncryption)
	}
	for _, p := range parts[1:] {
		if _, err := decode(p); err != nil {
			return sealed{}, fmt.Errorf("%w: %w", ErrEncryption, err)
		}
	}
	h, err := readHeader(parts[0], refusedByJWE()...)
	if err != nil {
		return sealed{}, fmt.Errorf("%w: header: %w", ErrEncryption, err)
	}
	if !slices.Contains(ContentAlgs(), h.Enc) {
		return sealed{}, fmt.Errorf("%w: enc %.20q is not allowed", ErrEncryption, h.Enc)
	}
	if direct := h.Alg == ECDHES; direct != (parts[1] == "") { // RFC 7518 section 4.6
		return sealed{}, fmt.Errorf("%w: an encrypted key where there is none, or none where there is one", ErrEncryption)
	}
	return sealed{h, token}, nil
}

// Decrypt returns what is in a compact JWE of at most 24 KiB that was encrypted
// to a key of this ring, with that key's own algorithm. What comes out is as
// untrusted as what came in: anybody can encrypt to us, so a nested token must
// still be verified. Few are decrypted at one time; the wait honours ctx. A kid
// this node does not know makes it read the store as VerifyContext does. An
// error that does not wrap ErrEncryption means "cannot tell".
func (r *Ring) Decrypt(ctx context.Context, token string) (payload []byte, h Header, err error) {
	jwe, err := splitJWE(token)
	if err != nil {
		return nil, Header{}, err
	}
	s := r.snap.Load()
	locks := r.fitting(s, jwe.head)
	if len(locks) == 0 && jwe.head.KeyID != "" && slices.Contains(r.cfg.Policy.Encrypt, jwe.head.Alg) {
		if err := r.look(ctx, s); err != nil {
			return nil, Header{}, fault.Down("keys", err)
		}
		locks = r.fitting(r.snap.Load(), jwe.head)
	}
	if len(locks) == 0 {
		return nil, Header{}, fmt.Errorf("%w: no key has its kid and alg", ErrEncryption)
	}
	select {
	case r.opening <- struct{}{}:
		defer func() { <-r.opening }()
	case <-ctx.Done():
		return nil, Header{}, fault.Down("decryption_slot", fmt.Errorf("keys: wait to decrypt: %w", context.Cause(ctx)))
	}
	for _, l := range locks {
		if payload, err = l.open(jwe); err == nil {
			return payload, jwe.head, nil
		}
	}
	return nil, Header{}, err
}

// fitting returns the keys that a token with header h may be encrypted to, the
// likeliest first. They keep their places for as long as they are not gone.
func (r *Ring) fitting(s *snapshot, h Header) []*lock {
	now := s.clock(r.cfg.Now())
	var fit []*lock
	for _, l := range s.locks {
		if l.Alg == h.Alg && (h.KeyID == "" || h.KeyID == l.ID) && l.StateAt(now) != Gone && len(fit) < maxTries {
			fit = append(fit, l)
		}
	}
	return fit
}

// open decrypts jwe with l, whose algorithm is the token's.
func (l *lock) open(jwe sealed) ([]byte, error) {
	parsed, err := jose.ParseEncryptedCompact(jwe.token, []jose.KeyAlgorithm{jose.KeyAlgorithm(l.Alg)},
		[]jose.ContentEncryption{jose.ContentEncryption(jwe.head.Enc)})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrEncryption, err)
	}
	payload, err := parsed.Decrypt(l.private)
	if err != nil {
		return nil, fmt.Errorf("%w: not to key %s", ErrEncryption, l.ID)
	}
	return payload, nil
}
