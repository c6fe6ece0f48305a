package keys

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/go-jose/go-jose/v4"
)

const (
	maxSetKeys = 20
	maxSetLen  = 128 << 10 // bytes of a JWK Set
)

// errIgnored means a JWK is of a kind that RFC 7517 section 5 tells us to ignore.
var errIgnored = errors.New("not a key we know")

// errOtherKey is the ErrSignature that newer keys might turn into a yes.
var errOtherKey = errors.New("not the signature of a registered key")

// A clientKey is one usable public key of a registered JWK Set.
type clientKey struct {
	kid             string
	alg             string // "" is any that fits
	public          crypto.PublicKey
	signs, encrypts bool // what use, key_ops and alg leave it; nothing said is both
}

// VerifyAlgs returns every signature algorithm that VerifyWith knows.
func VerifyAlgs() []string {
	return []string{RS256, "RS384", "RS512", PS256, "PS384", "PS512", ES256, "ES384", "ES512", EdDSA}
}

// VerifyWith verifies a compact JWS of at most 16 KiB with a key of a client's
// registered JWK Set: alg must be in algs, the key must fit alg and be for
// signatures, keys in the header are ignored, an unknown crit refuses. typ is not
// checked: ask the header. A kid picks the keys called that; where none is, or
// the token names none, nameless keys that fit are tried, ten at most. Every
// error wraps ErrSignature.
func VerifyWith(jwks json.RawMessage, token string, algs []string) (payload []byte, h Header, err error) {
	t, err := readToken(token, algs)
	if err != nil {
		return nil, Header{}, err
	}
	set, err := readSet(jwks)
	if err != nil {
		return nil, Header{}, fmt.Errorf("%w: %w", ErrSignature, err)
	}
	if err := t.signedBy(set); err != nil {
		return nil, Header{}, err
	}
	return t.payload, t.head, nil
}

// A clientToken is a JWS of a client with its header read, not yet believed.
type clientToken struct {
	compact
	head Header
	alg  algorithm
}

// readToken reads token, whose alg must be in algs.
func readToken(token string, algs []string) (t clientToken, err error) {
	if t.compact, err = split(token); err != nil {
		return clientToken{}, err
	}
	if t.head, err = parseHeader(t.compact.head); err != nil {
		return clientToken{}, err
	}
	ok := false
	if t.alg, ok = algorithmOf(t.head.Alg); !ok || !slices.Contains(algs, t.head.Alg) {
		return clientToken{}, fmt.Errorf("%w: alg %.20q is not allowed", ErrSignature, t.head.Alg)
	}
	return t, nil
}

// signedBy says why no key of set signed t, or nil.
func (t clientToken) signedBy(set []clientKey) error {
	tried := 0
	for _, k := range candidates(set, t.head.KeyID) {
		if !k.signs || k.alg != "" && k.alg != t.head.Alg || t.alg.fits(k.public) != nil {
			continue
		}
		if tried++; tried > maxTries {
			break
		}
		if t.alg.verify(k.public, []byte(t.input), t.sig) {
			return nil
		}
	}
	return fmt.Errorf("%w: %w (%d tried)", ErrSignature, errOtherKey, tried)
}

// candidates returns the keys of set that a token naming kid may be signed with.
func candidates(set []clientKey, kid string) []clientKey {
	if kid == "" {
		return set
	}
	var named, nameless []clientKey
	for _, k := range set {
		switch k.kid {
		case kid:
			named = append(named, k)
		case "":
			nameless = append(nameless, k)
		}
	}
	if len(named) > 0 {
		return named
	}
	return nameless
}

// CheckJWKS says whether a registered JWK Set is usable: public keys only, sane
// sizes, at most 20, and at least one to verify a signature with. The error is a
// sentence for whoever registers it.
func CheckJWKS(jwks json.RawMessage) error {
	set, err := readSet(jwks)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(set, func(k clientKey) bool { return k.signs }) {
		return errors.New("the JWK Set holds no RSA, elliptic curve or Ed25519 key for signatures")
	}
	return nil
}

// CheckEncryption says whether a registered JWK Set is usable and has a key to
// encrypt to as e says. The error is a sentence for whoever registers it.
func CheckEncryption(jwks json.RawMessage, e Encryption) error {
	if err := e.Check(); err != nil {
		return err
	}
	set, err := readSet(jwks)
	if err != nil {
		return err
	}
	if _, err := recipient(set, e.Alg); err != nil {
		return fmt.Errorf("the JWK Set holds no key to encrypt to with %s", e.Alg)
	}
	return nil
}

// readSet returns the keys of a JWK Set that we know (RFC 7517 section 5), or
// what is wrong with it.
func readSet(jwks json.RawMessage) ([]clientKey, error) {
	if len(jwks) > maxSetLen {
		return nil, fmt.Errorf("the JWK Set is longer than %d KiB", maxSetLen>>10)
	}
	var doc struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := Claims(jwks, &doc); err != nil { // by its exact name, and once
		return nil, fmt.Errorf("the JWK Set is not JSON: %w", err)
	}
	if len(doc.Keys) == 0 || len(doc.Keys) > maxSetKeys {
		return nil, fmt.Errorf("the JWK Set holds %d keys; it needs 1 to %d", len(doc.Keys), maxSetKeys)
	}
	var set []clientKey
	for i, raw := range doc.Keys {
		k, err := readKey(raw)
		if errors.Is(err, errIgnored) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("key %d of the JWK Set: %w", i+1, err)
		}
		set = append(set, k)
	}
	return set, nil
}

// readKey reads one public JWK, errIgnored if we can neither verify with it nor
// encrypt to it.
func readKey(raw json.RawMessage) (clientKey, error) {
	members, err := object(raw)
	if err != nil {
		return clientKey{}, err
	}
	kty, crv := "", ""
	for _, m := range members {
		switch m.name {
		case "d", "p", "q", "dp", "dq", "qi", "oth", "k":
			return clientKey{}, fmt.Errorf("it holds the secret member %q; register public keys only", m.name)
		case "kty":
			err = json.Unmarshal(m.value, &kty)
		case "crv":
			err = json.Unmarshal(m.value, &crv)
		}
		if err != nil {
			return clientKey{}, fmt.Errorf("member %s: %w", m.name, err)
		}
	}
	if kty == "oct" {
		return clientKey{}, errors.New("it is symmetric; register public keys only")
	}
	signs, encrypts := uses(members)
	if !known(kty, crv) || !signs && !encrypts {
		return clientKey{}, errIgnored
	}
	var jwk jose.JSONWebKey
	if err := json.Unmarshal(raw, &jwk); err != nil {
		return clientKey{}, err
	}
	return usable(clientKey{kid: jwk.KeyID, alg: jwk.Algorithm, public: jwk.Key, signs: signs, encrypts: encrypts})
}

// known reports whether we work with keys of this kind.
func known(kty, crv string) bool {
	switch kty {
	case "RSA":
		return true
	case "EC":
		return crv == "P-256" || crv == "P-384" || crv == "P-521"
	case "OKP":
		return crv == "Ed25519"
	default:
		return false
	}
}

// uses reports what use and key_ops, where given, let a key do (RFC 7517 sections
// 4.2 and 4.3).
func uses(members []member) (signs, encrypts bool) {
	signs, encrypts = true, true
	for _, m := range members {
		switch m.name {
		case "use":
			signs = signs && string(m.value) == `"sig"`
			encrypts = encrypts && string(m.value) == `"enc"`
		case "key_ops":
			var ops []string
			broken := json.Unmarshal(m.value, &ops) != nil
			does := func(names ...string) bool {
				return !broken && slices.ContainsFunc(ops, func(op string) bool { return slices.Contains(names, op) })
			}
			signs = signs && does("verify")
			encrypts = encrypts && does("encrypt", "wrapKey", "deriveKey", "deriveBits")
		}
	}
	return signs, encrypts
}

// usable checks that a parsed key fits the algorithm it names, or any, and
// narrows what it may do to that.
func usable(k clientKey) (clientKey, error) {
	if k.alg != "" {
		_, signature := algorithmOf(k.alg)
		k.signs, k.encrypts = k.signs && signature, k.encrypts && encrypts(k.alg)
		if !k.signs && !k.encrypts {
			return clientKey{}, errIgnored
		}
		return k, suits(k.alg, k.public)
	}
	if _, ok := k.public.(ed25519.PublicKey); ok {
		k.encrypts = false
	}
	if public, ok := k.public.(*rsa.PublicKey); ok {
		return k, fitsRSA(public)
	}
	return k, nil // a curve we know: the parser has checked the point
}
