package keys

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"slices"
	"sync"
)

// ErrSeal means sealed bytes do not open: another root, purpose or place sealed
// them, or someone changed them.
var ErrSeal = errors.New("keys: sealed value does not open")

const (
	minRoot   = 32 // bytes in the shortest root secret
	rootIDLen = 4
	subkeyLen = 32
	minTag    = 16 // bytes in the shortest truncated MAC, 128 bits
)

// A Vault seals secrets at rest and authenticates what the program hands out,
// with sub-keys derived from root secrets (HKDF-SHA-256, RFC 5869), one per
// purpose, so that no secret does double duty. The first root is active; the
// others only open and check. A purpose is a constant of the program, never
// input. Every method is safe for concurrent use.
type Vault struct{ roots []*root }

// A root is one root secret and the sub-keys derived from it so far.
type root struct {
	id          [rootIDLen]byte
	fingerprint string
	secret      []byte
	sealers     memo[*sealer]
	macs        memo[*mac]
}

// NewVault returns a Vault over roots of at least 32 bytes each.
func NewVault(roots ...[]byte) (*Vault, error) {
	if len(roots) == 0 {
		return nil, errors.New("keys: a vault needs a root secret")
	}
	v := &Vault{}
	for i, secret := range roots {
		if len(secret) < minRoot {
			return nil, fmt.Errorf("keys: root secret %d has %d bytes; it needs at least %d", i+1, len(secret), minRoot)
		}
		r := newRoot(secret)
		if v.find(r.id[:]) != nil {
			return nil, fmt.Errorf("keys: root secret %d is given twice", i+1)
		}
		v.roots = append(v.roots, r)
	}
	return v, nil
}

func newRoot(secret []byte) *root {
	r := &root{secret: slices.Clone(secret)}
	r.id = [rootIDLen]byte(r.derive("root", "id"))
	r.fingerprint = base64.RawURLEncoding.EncodeToString(r.derive("root", "fingerprint")[:16])
	return r
}

// derive returns the sub-key for one use and purpose. The use keeps a sealing
// key, a MAC key and a handed-out key apart even where their purpose is one.
func (r *root) derive(use, purpose string) []byte {
	k, err := hkdf.Key(sha256.New, r.secret, nil, "gatekeeper/1/"+use+"/"+purpose, subkeyLen)
	if err != nil {
		panic(fmt.Sprintf("keys: derive %s/%s: %v", use, purpose, err)) // only for absurd lengths, which no input sets
	}
	return k
}

func (r *root) sealer(purpose string) *sealer {
	return r.sealers.of(purpose, func(purpose string) *sealer {
		return newSealer([subkeyLen]byte(r.derive("seal", purpose)))
	})
}

func (r *root) mac(purpose string) *mac {
	return r.macs.of(purpose, func(purpose string) *mac { return newMAC(r.derive("mac", purpose)) })
}

func (v *Vault) find(id []byte) *root {
	for _, r := range v.roots {
		if [rootIDLen]byte(id) == r.id {
			return r
		}
	}
	return nil
}

// Seal encrypts plain with AES-256-GCM under a random nonce, the root's id in
// front; the result is 44 bytes longer than plain. purpose picks the sub-key;
// aad, such as "signing_keys|private|KID", binds the place.
func (v *Vault) Seal(purpose, aad string, plain []byte) []byte {
	r := v.roots[0]
	out := make([]byte, rootIDLen+nonceLen, rootIDLen+nonceLen+len(plain)+tagLen)
	copy(out, r.id[:])
	nonce := out[rootIDLen:]
	_, _ = rand.Read(nonce) // never fails: crypto/rand ends the program instead
	return r.sealer(purpose).aead(nonce).Seal(out, nonce[derivedLen:], plain, []byte(aad))
}

// Open reverses Seal under whichever root sealed it; any error wraps ErrSeal.
func (v *Vault) Open(purpose, aad string, sealed []byte) ([]byte, error) {
	if len(sealed) < rootIDLen+nonceLen+tagLen {
		return nil, fmt.Errorf("%w: %d bytes are too few", ErrSeal, len(sealed))
	}
	r := v.find(sealed[:rootIDLen])
	if r == nil {
		return nil, fmt.Errorf("%w: sealed with root secret %x, which is not configured", ErrSeal, sealed[:rootIDLen])
	}
	nonce := sealed[rootIDLen : rootIDLen+nonceLen]
	plain, err := r.sealer(purpose).aead(nonce).Open(nil, nonce[derivedLen:], sealed[rootIDLen+nonceLen:], []byte(aad))
	if err != nil {
		return nil, fmt.Errorf("%w: it was changed, or sealed for another place", ErrSeal)
	}
	return plain, nil
}

// Stale reports whether sealed was not sealed under the active root, so that
// sealing it again lets an old root be retired.
func (v *Vault) Stale(sealed []byte) bool {
	return len(sealed) < rootIDLen || [rootIDLen]byte(sealed) != v.roots[0].id
}

// MAC returns HMAC-SHA-256 (32 bytes) over the length-prefixed parts under the
// active root. The prefixes keep ("ab", "c") apart from ("a", "bc").
func (v *Vault) MAC(purpose string, parts ...[]byte) []byte {
	return v.roots[0].mac(purpose).sum(make([]byte, 0, sha256.Size), parts)
}

// CheckMAC reports whether tag (possibly truncated to at least 16 bytes) is the
// MAC of parts under any root, in constant time.
func (v *Vault) CheckMAC(purpose string, tag []byte, parts ...[]byte) bool {
	if len(tag) < minTag || len(tag) > sha256.Size {
		return false
	}
	var room [sha256.Size]byte
	ok := 0
	for _, r := range v.roots {
		want := r.mac(purpose).sum(room[:0], parts)
		ok |= subtle.ConstantTimeCompare(want[:len(tag)], tag)
	}
	return ok == 1
}

// Subkey returns a 32-byte key for purpose under the active root.
func (v *Vault) Subkey(purpose string) [32]byte {
	return [32]byte(v.roots[0].derive("key", purpose))
}

// Fingerprint names the active root secret without telling anything about it. It
// is safe to store beside the data, so that a start with the wrong secret is
// refused before anything is sealed with it.
func (v *Vault) Fingerprint() string { return v.roots[0].fingerprint }

// Knows reports whether fingerprint is that of any of the vault's roots.
func (v *Vault) Knows(fingerprint string) bool {
	return slices.ContainsFunc(v.roots, func(r *root) bool {
		return subtle.ConstantTimeCompare([]byte(r.fingerprint), []byte(fingerprint)) == 1
	})
}

// A mac keeps keyed HMAC states for reuse: keying one costs as much as a short sum.
type mac struct{ pool sync.Pool }

// A state is one keyed HMAC with room for a length prefix beside it.
type state struct {
	hash.Hash
	prefix [8]byte
}

func newMAC(key []byte) *mac {
	m := &mac{}
	m.pool.New = func() any { return &state{Hash: hmac.New(sha256.New, key)} }
	return m
}

func (m *mac) sum(dst []byte, parts [][]byte) []byte {
	s := m.pool.Get().(*state)
	s.Reset()
	for _, p := range parts {
		binary.BigEndian.PutUint64(s.prefix[:], uint64(len(p)))
		_, _ = s.Write(s.prefix[:])
		_, _ = s.Write(p)
	}
	dst = s.Sum(dst)
	m.pool.Put(s)
	return dst
}
