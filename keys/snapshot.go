package keys

import (
	"cmp"
	"context"
	"crypto"
	"crypto/sha256"
	"encoding/base32"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// A snapshot is every key at one reading of the store. It never changes; which
// key signs still depends on the clock.
type snapshot struct {
	at    time.Time             // the database's clock when it was read
	local time.Time             // this node's clock then
	keys  []*ringKey            // that sign and verify
	locks []*lock               // that others encrypt to
	chain map[string][]*ringKey // keys that can sign, by algorithm, latest activation first
	jwks  []byte
	etag  string
}

// all lists the keys of both kinds.
func (s *snapshot) all() iter.Seq[Key] {
	return func(yield func(Key) bool) {
		for _, k := range s.keys {
			if !yield(k.Key) {
				return
			}
		}
		for _, l := range s.locks {
			if !yield(l.Key) {
				return
			}
		}
	}
}

// A ringKey is one key that signs and verifies, ready for use.
type ringKey struct {
	Key
	alg     algorithm
	public  crypto.PublicKey
	signer  crypto.Signer // nil once retiring
	headers memo[string]  // by typ, encoded
}

func emptySnapshot(local time.Time) *snapshot {
	s := &snapshot{local: local, jwks: []byte(`{"keys":[]}`)}
	s.etag = tagOf(s.jwks)
	return s
}

// ready reports whether there is a key for everything a policy wants.
func (s *snapshot) ready(p Policy) bool {
	for _, alg := range p.Algs {
		if len(s.chain[alg]) == 0 {
			return false
		}
	}
	for _, alg := range p.Encrypt {
		if !slices.ContainsFunc(s.locks, func(l *lock) bool { return l.Alg == alg }) {
			return false
		}
	}
	return true
}

// clock tells the database's time from this node's: the last reading and what
// has passed since, by the monotonic clock.
func (s *snapshot) clock(local time.Time) time.Time { return s.at.Add(local.Sub(s.local)) }

// signing returns the key of alg that signs at now, or nil.
func (s *snapshot) signing(alg string, now time.Time) *ringKey {
	for _, k := range s.chain[alg] {
		if k.StateAt(now) == Active {
			return k
		}
	}
	return nil
}

func (s *snapshot) verify(token, typ string, now time.Time) ([]byte, error) {
	c, err := split(token)
	if err != nil {
		return nil, err
	}
	k := s.made(c.head, typ)
	if k == nil {
		if k, err = s.named(c.head, typ); err != nil {
			return nil, err
		}
	}
	if k.StateAt(now) == Gone {
		return nil, fmt.Errorf("%w: key %s is gone", ErrSignature, k.ID)
	}
	if !k.alg.verify(k.public, []byte(c.input), c.sig) {
		return nil, fmt.Errorf("%w: not the signature of key %s", ErrSignature, k.ID)
	}
	return c.payload, nil
}

// made returns the key that writes exactly this header for typ: how every token
// of ours begins, so that its JSON need not be read again.
func (s *snapshot) made(head, typ string) *ringKey {
	for _, k := range s.keys {
		if k.header(typ) == head {
			return k
		}
	}
	return nil
}

// named returns the key a header names, if its alg and typ are that key's and typ.
func (s *snapshot) named(head, typ string) (*ringKey, error) {
	h, err := parseHeader(head)
	if err != nil {
		return nil, err
	}
	if !sameType(h.Type, typ) {
		return nil, fmt.Errorf("%w: typ is not %q", ErrSignature, typ)
	}
	for _, k := range s.keys {
		if k.ID != h.KeyID {
			continue
		}
		if k.Alg != h.Alg {
			return nil, fmt.Errorf("%w: alg is not the key's %s", ErrSignature, k.Alg)
		}
		return k, nil
	}
	return nil, fmt.Errorf("%w: %w", ErrSignature, errUnknownKey)
}

// header returns the encoded header of a JWS of type typ by k.
func (k *ringKey) header(typ string) string {
	return k.headers.of(typ, func(typ string) string {
		raw, err := json.Marshal(struct {
			Alg string `json:"alg"`
			Kid string `json:"kid"`
			Typ string `json:"typ,omitempty"`
		}{k.Alg, k.ID, typ})
		if err != nil {
			panic(fmt.Sprintf("keys: header: %v", err)) // three strings are JSON
		}
		return base64.RawURLEncoding.EncodeToString(raw)
	})
}

// slow reports whether a signature costs so much that signers wait in line.
func (k *ringKey) slow() bool { return k.alg.kind == rsaPKCS || k.alg.kind == rsaPSS }

// maxSignature is the room kept for an encoded signature: RSA-2048's.
const maxSignature = 342

func (k *ringKey) sign(typ string, payload []byte) (string, error) {
	head, b64 := k.header(typ), base64.RawURLEncoding
	out := make([]byte, 0, len(head)+1+b64.EncodedLen(len(payload))+1+maxSignature)
	out = append(append(out, head...), '.')
	out = b64.AppendEncode(out, payload)
	sig, err := k.alg.sign(k.signer, out)
	if err != nil {
		return "", err
	}
	return string(b64.AppendEncode(append(out, '.'), sig)), nil
}

// snapshot opens have as it is at now on the database's clock, local on ours.
func (r *Ring) snapshot(ctx context.Context, have []Key, now, local time.Time) (*snapshot, error) {
	s := &snapshot{at: now, local: local, chain: map[string][]*ringKey{}}
	for _, stored := range have {
		if stored.StateAt(now) == Gone {
			continue
		}
		if err := r.open(ctx, s, stored); err != nil {
			return nil, fmt.Errorf("open key %s: %w", stored.ID, err)
		}
	}
	r.sort(s)
	for _, k := range s.keys {
		if k.signer != nil && slices.Contains(r.cfg.Policy.Algs, k.Alg) {
			s.chain[k.Alg] = append(s.chain[k.Alg], k)
		}
	}
	for _, chain := range s.chain {
		slices.SortFunc(chain, func(a, b *ringKey) int { return b.ActivateAt.Compare(a.ActivateAt) })
	}
	var err error
	if s.jwks, err = r.document(s); err != nil {
		return nil, err
	}
	s.etag = tagOf(s.jwks)
	return s, nil
}

// sort puts the keys that sign first, for clients that take the first that
// fits, and the default algorithm before the others.
func (r *Ring) sort(s *snapshot) {
	rank := map[State]int{Active: 0, Next: 1, Retiring: 2}
	algs := r.cfg.Policy.all()
	place := func(alg string) int {
		if i := slices.Index(algs, alg); i >= 0 {
			return i
		}
		return len(algs)
	}
	order := func(a, b Key) int {
		return cmp.Or(cmp.Compare(rank[a.StateAt(s.at)], rank[b.StateAt(s.at)]), cmp.Compare(place(a.Alg), place(b.Alg)),
			b.ActivateAt.Compare(a.ActivateAt), cmp.Compare(a.ID, b.ID))
	}
	slices.SortFunc(s.keys, func(a, b *ringKey) int { return order(a.Key, b.Key) })
	slices.SortFunc(s.locks, func(a, b *lock) int { return order(a.Key, b.Key) })
}

// open readies a stored key and puts it into s.
func (r *Ring) open(ctx context.Context, s *snapshot, stored Key) error {
	public, err := publicHalf(stored)
	if err != nil {
		return err
	}
	private, err := r.privateHalf(ctx, stored, public, s.at)
	if err != nil {
		return err
	}
	if encrypts(stored.Alg) {
		s.locks = append(s.locks, &lock{Key: stored, public: public, private: private})
		return nil
	}
	alg, _ := algorithmOf(stored.Alg) // publicHalf knows it
	s.keys = append(s.keys, &ringKey{Key: stored, alg: alg, public: public, signer: private})
	return nil
}

// privateHalf opens the private half of a stored key, nil where it has no more
// use: of a retiring key that signed. That one's seal is opened too, and the
// result thrown away: it proves that we made this key, for its kid is bound to
// the seal and to the public half.
func (r *Ring) privateHalf(ctx context.Context, stored Key, public crypto.PublicKey, now time.Time) (crypto.Signer, error) {
	private, err := r.cfg.Vault.Open(sealPurpose, sealPlace+stored.ID, stored.Private)
	if err != nil {
		return nil, fmt.Errorf("%w; restore the root secret it was sealed with, or revoke the key", err)
	}
	defer clear(private)
	if stored.StateAt(now) == Retiring && !encrypts(stored.Alg) {
		return nil, nil
	}
	if opened := r.reuse(stored.ID); opened != nil {
		return opened, nil
	}
	opened, err := r.cfg.Source.Open(ctx, stored.Alg, private)
	if err != nil {
		return nil, err
	}
	if p, ok := public.(interface{ Equal(crypto.PublicKey) bool }); !ok || !p.Equal(opened.Public()) {
		return nil, errors.New("its private half belongs to another key")
	}
	return opened, nil
}

// reuse returns the private half the ring already opened for id.
func (r *Ring) reuse(id string) crypto.Signer {
	s := r.snap.Load()
	for _, k := range s.keys {
		if k.ID == id {
			return k.signer
		}
	}
	for _, l := range s.locks {
		if l.ID == id {
			return l.private
		}
	}
	return nil
}

// publicHalf reads the public half of a stored key.
func publicHalf(stored Key) (crypto.PublicKey, error) {
	var jwk jose.JSONWebKey
	if err := json.Unmarshal(stored.Public, &jwk); err != nil {
		return nil, fmt.Errorf("its public half: %w", err)
	}
	if err := suits(stored.Alg, jwk.Key); err != nil {
		return nil, err
	}
	id, err := thumbprint(jwk.Key)
	if err != nil {
		return nil, err
	}
	if id != stored.ID {
		return nil, errors.New("its public half was changed: the thumbprint is not its kid")
	}
	return jwk.Key, nil
}

// suits says why public is no key for the algorithm called alg, of either kind.
func suits(alg string, public crypto.PublicKey) error {
	if encrypts(alg) {
		return fitsEncryption(alg, public)
	}
	a, ok := algorithmOf(alg)
	if !ok {
		return fmt.Errorf("algorithm %q is unknown", alg)
	}
	return a.fits(public)
}

// document is the JWK Set (RFC 7517 section 5) of s, public members only: every
// key that signs, then the encryption keys that others are to use now. The ones
// before and after those decrypt too, but whoever has a choice may choose wrong.
func (r *Ring) document(s *snapshot) ([]byte, error) {
	set := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{}}
	for _, k := range s.keys {
		set.Keys = append(set.Keys, publicJWK(k.public, k.ID, k.Alg))
	}
	for _, l := range s.locks {
		if l.StateAt(s.at) == Active && slices.Contains(r.cfg.Policy.Encrypt, l.Alg) {
			set.Keys = append(set.Keys, publicJWK(l.public, l.ID, l.Alg))
		}
	}
	body, err := json.Marshal(set)
	if err != nil {
		return nil, fmt.Errorf("write JWK Set: %w", err)
	}
	return body, nil
}

func publicJWK(public crypto.PublicKey, id, alg string) jose.JSONWebKey {
	use := "sig"
	if encrypts(alg) {
		use = "enc"
	}
	return jose.JSONWebKey{Key: public, KeyID: id, Algorithm: alg, Use: use}
}

// thumbprint is the RFC 7638 name of a public key: its SHA-256 in base32, small
// letters, so that a name never begins with a dash where an operator types it.
func thumbprint(public crypto.PublicKey) (string, error) {
	sum, err := (&jose.JSONWebKey{Key: public}).Thumbprint(crypto.SHA256)
	if err != nil {
		return "", fmt.Errorf("name a key: %w", err)
	}
	return strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(sum)), nil
}

// tagOf is the strong ETag (RFC 9110 section 8.8.3) of body.
func tagOf(body []byte) string {
	sum := sha256.Sum256(body)
	return `"` + base64.RawURLEncoding.EncodeToString(sum[:16]) + `"`
}
