package keys

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
)

func setOf(tb testing.TB, keys ...jose.JSONWebKey) json.RawMessage {
	tb.Helper()
	raw, err := json.Marshal(jose.JSONWebKeySet{Keys: keys})
	if err != nil {
		tb.Fatal(err)
	}
	return raw
}

func assertion(tb testing.TB, alg string, private crypto.PrivateKey, kid string) string {
	tb.Helper()
	opts := (&jose.SignerOptions{}).WithType("JWT")
	if kid != "" {
		opts = opts.WithHeader("kid", kid)
	}
	js, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.SignatureAlgorithm(alg), Key: private}, opts)
	if err != nil {
		tb.Fatal(err)
	}
	jws, err := js.Sign([]byte(`{"iss":"shop"}`))
	if err != nil {
		tb.Fatal(err)
	}
	token, err := jws.CompactSerialize()
	if err != nil {
		tb.Fatal(err)
	}
	return token
}

func newEC(tb testing.TB, c elliptic.Curve) *ecdsa.PrivateKey {
	tb.Helper()
	k, err := ecdsa.GenerateKey(c, rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	return k
}

func newRSA(tb testing.TB, bits int) *rsa.PrivateKey {
	tb.Helper()
	k, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		tb.Fatal(err)
	}
	return k
}

func TestVerifyWithEveryAlgorithm(t *testing.T) {
	t.Parallel()
	rsaKey := newRSA(t, 2048)
	_, ed, _ := ed25519.GenerateKey(rand.Reader)
	for alg, private := range map[string]crypto.Signer{
		"RS256": rsaKey, "RS384": rsaKey, "RS512": rsaKey, "PS256": rsaKey, "PS384": rsaKey, "PS512": rsaKey,
		"ES256": newEC(t, elliptic.P256()), "ES384": newEC(t, elliptic.P384()), "ES512": newEC(t, elliptic.P521()),
		"EdDSA": ed,
	} {
		t.Run(alg, func(t *testing.T) {
			t.Parallel()
			nameless := setOf(t, jose.JSONWebKey{Key: newEC(t, elliptic.P256()).Public()}, jose.JSONWebKey{Key: private.Public()})
			named := setOf(t, jose.JSONWebKey{Key: private.Public(), KeyID: "k", Algorithm: alg, Use: "sig"})
			for name, c := range map[string]struct {
				set  json.RawMessage
				kid  string
				algs []string
				ok   bool
			}{
				"by kid":             {named, "k", []string{"HS256", alg}, true},
				"no kid in token":    {named, "", []string{alg}, true},
				"no kid in set":      {nameless, "k", []string{alg}, true},
				"no kid at all":      {nameless, "", []string{alg}, true},
				"alg not allowed":    {named, "k", []string{"none", "HS256"}, false},
				"no alg allowed":     {named, "k", nil, false},
				"another kid":        {named, "other", []string{alg}, false},
				"key for another":    {setOf(t, jose.JSONWebKey{Key: private.Public(), Algorithm: "RSA-OAEP"}), "", []string{alg}, false},
				"key for encryption": {setOf(t, jose.JSONWebKey{Key: private.Public(), Use: "enc"}), "", []string{alg}, false},
			} {
				payload, h, err := VerifyWith(c.set, assertion(t, alg, private, c.kid), c.algs)
				if ok := err == nil && h.Type == "JWT" && string(payload) == `{"iss":"shop"}`; ok != c.ok {
					t.Errorf("%s: %q %+v %v", name, payload, h, err)
				}
				if err != nil && !errors.Is(err, ErrSignature) {
					t.Errorf("%s: %v", name, err)
				}
			}
		})
	}
}

func TestVerifyWithKeepsAlgorithmsApart(t *testing.T) {
	t.Parallel()
	k := newRSA(t, 2048)
	set := setOf(t, jose.JSONWebKey{Key: k.Public(), Algorithm: "PS256"})
	if _, _, err := VerifyWith(set, assertion(t, "RS256", k, ""), []string{"RS256", "PS256"}); !errors.Is(err, ErrSignature) {
		t.Errorf("a PS256 key verified RS256: %v", err)
	}
	symmetric, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.HS256, Key: []byte(set)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	jws, _ := symmetric.Sign([]byte("x"))
	token, _ := jws.CompactSerialize()
	if _, _, err := VerifyWith(set, token, []string{"HS256", "RS256"}); !errors.Is(err, ErrSignature) {
		t.Errorf("a public key was taken for a symmetric secret: %v", err)
	}
	unsigned := b64(`{"alg":"none"}`) + "." + b64("x") + "."
	if _, _, err := VerifyWith(set, unsigned, []string{"none"}); !errors.Is(err, ErrSignature) {
		t.Errorf("none: %v", err)
	}
	pbes2 := b64(`{"alg":"PBES2-HS256+A128KW","enc":"A128GCM","p2c":2147483647}`) + "....x"
	if _, _, err := VerifyWith(set, pbes2, []string{"PBES2-HS256+A128KW"}); !errors.Is(err, ErrSignature) {
		t.Errorf("an encrypted token: %v", err)
	}
}

func TestCheckJWKS(t *testing.T) {
	t.Parallel()
	ec := newEC(t, elliptic.P256())
	public := func(n int) []jose.JSONWebKey {
		keys := make([]jose.JSONWebKey, n)
		for i := range keys {
			keys[i] = jose.JSONWebKey{Key: ec.Public()}
		}
		return keys
	}
	weak := `{"keys":[{"kty":"RSA","e":"AQAB","n":"` + b64("\x80"+strings.Repeat("\x01", 127)) + `"}]}`
	even := `{"keys":[{"kty":"RSA","e":"Ag","n":"` + b64("\x80"+strings.Repeat("\x01", 255)) + `"}]}`
	one := `{"keys":[{"kty":"RSA","e":"AQ","n":"` + b64("\x80"+strings.Repeat("\x01", 255)) + `"}]}`
	huge := `{"keys":[{"kty":"RSA","e":"AQAB","n":"` + b64("\x80"+strings.Repeat("\x01", 1100)) + `"}]}`
	for name, c := range map[string]struct {
		set json.RawMessage
		ok  bool
	}{
		"one key":                 {setOf(t, public(1)...), true},
		"twenty keys":             {setOf(t, public(20)...), true},
		"twenty-one keys":         {setOf(t, public(21)...), false},
		"no key":                  {json.RawMessage(`{"keys":[]}`), false},
		"not JSON":                {json.RawMessage(`keys`), false},
		"private key":             {setOf(t, jose.JSONWebKey{Key: ec}), false},
		"symmetric key":           {setOf(t, jose.JSONWebKey{Key: []byte("0123456789abcdef0123456789abcdef")}), false},
		"symmetric without k":     {json.RawMessage(`{"keys":[{"kty":"oct"}]}`), false},
		"RSA 1024":                {json.RawMessage(weak), false},
		"RSA 8808":                {json.RawMessage(huge), false},
		"RSA exponent 2":          {json.RawMessage(even), false},
		"RSA exponent 1":          {json.RawMessage(one), false},
		"point not on the curve":  {json.RawMessage(`{"keys":[{"kty":"EC","crv":"P-256","x":"` + b64(strings.Repeat("\x01", 32)) + `","y":"` + b64(strings.Repeat("\x02", 32)) + `"}]}`), false},
		"alg that does not fit":   {setOf(t, jose.JSONWebKey{Key: ec.Public(), Algorithm: "RS256"}), false},
		"only for encryption":     {setOf(t, jose.JSONWebKey{Key: ec.Public(), Use: "enc"}), false},
		"unknown kind beside one": {json.RawMessage(strings.Replace(string(setOf(t, public(1)...)), "[", `[{"kty":"AKP"},{"kty":"EC","crv":"secp256k1"},`, 1)), true},
		"member twice":            {json.RawMessage(`{"keys":[{"kty":"oct","kty":"EC"}]}`), false},
		"too long":                {json.RawMessage(`{"keys":[{"kty":"EC","x":"` + strings.Repeat("A", maxSetLen) + `"}]}`), false},
	} {
		if err := CheckJWKS(c.set); (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzVerifyWith(f *testing.F) {
	ec := newEC(f, elliptic.P256())
	set, token := setOf(f, jose.JSONWebKey{Key: ec.Public()}), assertion(f, "ES256", ec, "")
	f.Add([]byte(set), token)
	f.Add([]byte(`{"keys":[{"kty":"oct","k":"AAAA"}]}`), token)
	f.Fuzz(func(t *testing.T, jwks []byte, mutant string) {
		_ = CheckJWKS(jwks)
		if _, _, err := VerifyWith(jwks, mutant, []string{"RS256", "ES256", "EdDSA"}); err != nil && !errors.Is(err, ErrSignature) {
			t.Fatal(err)
		}
		if payload, _, err := VerifyWith(set, mutant, []string{"ES256"}); err == nil && string(payload) != `{"iss":"shop"}` {
			t.Fatalf("forged %q", payload)
		}
	})
}
