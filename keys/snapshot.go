package keys

import (
	"cmp"
	"context"
	"crypto"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// A snapshot is every published key at one reading of the store. It never
// changes; which key signs still depends on the clock.
type snapshot struct {
	at    time.Time // the database's clock when it was read
	local time.Time // this node's clock then
	keys  []*ringKey
	chain map[string][]*ringKey // keys that can sign, by algorithm, latest activation first
	jwks  []byte
	etag  string
}

// A ringKey is one key ready for use.
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
	if !sameType(h.typ, typ) {
		return nil, fmt.Errorf("%w: typ is not %q", ErrSignature, typ)
	}
	for _, k := range s.keys {
		if k.ID != h.kid {
			continue
		}
		if k.Alg != h.alg {
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
		k, err := r.open(ctx, stored, now)
		if err != nil {
			return nil, fmt.Errorf("open signing key %s: %w", stored.ID, err)
		}
		s.keys = append(s.keys, k)
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
	if s.jwks, err = document(s.keys); err != nil {
		return nil, err
	}
	s.etag = tagOf(s.jwks)
	return s, nil
}

// sort puts the keys that sign first, for clients that take the first that
// fits, and the default algorithm before the others.
func (r *Ring) sort(s *snapshot) {
	rank := map[State]int{Active: 0, Next: 1, Retiring: 2}
	alg := func(k *ringKey) int {
		if i := slices.Index(r.cfg.Policy.Algs, k.Alg); i >= 0 {
			return i
		}
		return len(r.cfg.Policy.Algs)
	}
	slices.SortFunc(s.keys, func(a, b *ringKey) int {
		return cmp.Or(cmp.Compare(rank[a.StateAt(s.at)], rank[b.StateAt(s.at)]), cmp.Compare(alg(a), alg(b)),
			b.ActivateAt.Compare(a.ActivateAt), cmp.Compare(a.ID, b.ID))
	})
}

// open readies a stored key. The seal is opened for a retiring key too, and the
// result thrown away: it proves that we made this key, for its kid is bound to
// the seal and to the public half.
func (r *Ring) open(ctx context.Context, stored Key, now time.Time) (*ringKey, error) {
	k, err := publish(stored)
	if err != nil {
		return nil, err
	}
	private, err := r.cfg.Vault.Open(sealPurpose, sealPlace+stored.ID, stored.Private)
	if err != nil {
		return nil, fmt.Errorf("%w; restore the root secret it was sealed with, or revoke the key", err)
	}
	defer clear(private)
	if stored.StateAt(now) == Retiring {
		return k, nil
	}
	if k.signer = r.reuse(stored.ID); k.signer != nil {
		return k, nil
	}
	if k.signer, err = r.cfg.Source.Open(ctx, stored.Alg, private); err != nil {
		return nil, err
	}
	if p, ok := k.public.(interface{ Equal(crypto.PublicKey) bool }); !ok || !p.Equal(k.signer.Public()) {
		return nil, errors.New("its private half belongs to another key")
	}
	return k, nil
}

// reuse returns the signer the ring already opened for id.
func (r *Ring) reuse(id string) crypto.Signer {
	for _, k := range r.snap.Load().keys {
		if k.ID == id {
			return k.signer
		}
	}
	return nil
}

// publish readies the public half of a stored key.
func publish(stored Key) (*ringKey, error) {
	alg, ok := algorithmOf(stored.Alg)
	if !ok {
		return nil, fmt.Errorf("algorithm %q is unknown", stored.Alg)
	}
	var jwk jose.JSONWebKey
	if err := json.Unmarshal(stored.Public, &jwk); err != nil {
		return nil, fmt.Errorf("its public half: %w", err)
	}
	if err := alg.fits(jwk.Key); err != nil {
		return nil, err
	}
	id, err := thumbprint(jwk.Key)
	if err != nil {
		return nil, err
	}
	if id != stored.ID {
		return nil, errors.New("its public half was changed: the thumbprint is not its kid")
	}
	return &ringKey{Key: stored, alg: alg, public: jwk.Key}, nil
}

// document is the JWK Set (RFC 7517 section 5) of keys, public members only.
func document(keys []*ringKey) ([]byte, error) {
	set := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{}}
	for _, k := range keys {
		set.Keys = append(set.Keys, publicJWK(k.public, k.ID, k.Alg))
	}
	body, err := json.Marshal(set)
	if err != nil {
		return nil, fmt.Errorf("write JWK Set: %w", err)
	}
	return body, nil
}

func publicJWK(public crypto.PublicKey, id, alg string) jose.JSONWebKey {
	return jose.JSONWebKey{Key: public, KeyID: id, Algorithm: alg, Use: "sig"}
}

// thumbprint is the RFC 7638 name of a public key: base64url of SHA-256.
func thumbprint(public crypto.PublicKey) (string, error) {
	sum, err := (&jose.JSONWebKey{Key: public}).Thumbprint(crypto.SHA256)
	if err != nil {
		return "", fmt.Errorf("name a key: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(sum), nil
}

// tagOf is the strong ETag (RFC 9110 section 8.8.3) of body.
func tagOf(body []byte) string {
	sum := sha256.Sum256(body)
	return `"` + base64.RawURLEncoding.EncodeToString(sum[:16]) + `"`
}
