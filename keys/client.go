package keys

import (
	"crypto"
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
var errIgnored = errors.New("not a signature key we know")

// A clientKey is one usable public key of a registered JWK Set.
type clientKey struct {
	kid    string
	alg    string // "" is any that fits
	public crypto.PublicKey
}

// VerifyWith verifies a compact JWS of at most 16 KiB with a key of a client's
// registered JWK Set: alg must be in algs, the key must fit alg, keys in the
// header are ignored, an unknown crit refuses. typ is not checked but returned.
// A kid picks the keys called that; where none is, or the token names none,
// nameless keys that fit are tried. Every error wraps ErrSignature.
func VerifyWith(jwks json.RawMessage, token string, algs []string) (payload []byte, typ string, err error) {
	c, err := split(token)
	if err != nil {
		return nil, "", err
	}
	h, err := parseHeader(c.head)
	if err != nil {
		return nil, "", err
	}
	alg, ok := algorithmOf(h.alg)
	if !ok || !slices.Contains(algs, h.alg) {
		return nil, "", fmt.Errorf("%w: alg %.20q is not allowed", ErrSignature, h.alg)
	}
	set, err := readSet(jwks)
	if err != nil {
		return nil, "", fmt.Errorf("%w: %w", ErrSignature, err)
	}
	tried := false
	for _, k := range candidates(set, h.kid) {
		if k.alg != "" && k.alg != h.alg || alg.fits(k.public) != nil {
			continue
		}
		if tried = true; alg.verify(k.public, []byte(c.input), c.sig) {
			return c.payload, h.typ, nil
		}
	}
	if !tried {
		return nil, "", fmt.Errorf("%w: no registered key has the token's kid and fits its alg", ErrSignature)
	}
	return nil, "", fmt.Errorf("%w: not the signature of a registered key", ErrSignature)
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
	if len(set) == 0 {
		return errors.New("the JWK Set holds no RSA, elliptic curve or Ed25519 key for signatures")
	}
	return nil
}

// readSet returns the signature keys of a JWK Set (RFC 7517 section 5), or what
// is wrong with it.
func readSet(jwks json.RawMessage) ([]clientKey, error) {
	if len(jwks) > maxSetLen {
		return nil, fmt.Errorf("the JWK Set is longer than %d KiB", maxSetLen>>10)
	}
	var doc struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(jwks, &doc); err != nil {
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

// readKey reads one public JWK, errIgnored if it is not for verifying signatures.
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
	if !known(kty, crv) || !verifies(members) {
		return clientKey{}, errIgnored
	}
	var jwk jose.JSONWebKey
	if err := json.Unmarshal(raw, &jwk); err != nil {
		return clientKey{}, err
	}
	return usable(jwk)
}

// known reports whether we verify signatures with keys of this kind.
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

// verifies reports whether use and key_ops, where given, let a key verify (RFC
// 7517 sections 4.2 and 4.3).
func verifies(members []member) bool {
	for _, m := range members {
		switch m.name {
		case "use":
			if string(m.value) != `"sig"` {
				return false
			}
		case "key_ops":
			var ops []string
			if json.Unmarshal(m.value, &ops) != nil || !slices.Contains(ops, "verify") {
				return false
			}
		}
	}
	return true
}

// usable checks that a parsed JWK fits the algorithm it names, or any.
func usable(jwk jose.JSONWebKey) (clientKey, error) {
	k := clientKey{kid: jwk.KeyID, alg: jwk.Algorithm, public: jwk.Key}
	if k.alg != "" {
		alg, ok := algorithmOf(k.alg)
		if !ok {
			return clientKey{}, errIgnored
		}
		return k, alg.fits(k.public)
	}
	if public, ok := k.public.(*rsa.PublicKey); ok {
		return k, fitsRSA(public)
	}
	return k, nil // a curve we know: the parser has checked the point
}
