package keys

import (
	"crypto/elliptic"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
)

func secretOf(tb testing.TB, key string) Secret {
	tb.Helper()
	s, err := NewSecret([]byte(key))
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

func TestSecretSignsAndVerifies(t *testing.T) {
	t.Parallel()
	key := strings.Repeat("k", MinSecret)
	s := secretOf(t, key)
	token, err := s.Sign("JWT", []byte(`{"iss":"shop"}`))
	if err != nil {
		t.Fatal(err)
	}
	payload, h, err := s.Verify(token)
	if err != nil || string(payload) != `{"iss":"shop"}` || h != (Header{Alg: HS256, Type: "JWT"}) {
		t.Errorf("%s, %+v, %v", payload, h, err)
	}
	jws, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.HS256})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := jws.Verify([]byte(key)); err != nil {
		t.Errorf("go-jose: %v", err)
	}
	if _, _, err := s.Verify(macOf(t, jose.HS256, key)); err != nil {
		t.Errorf("from go-jose: %v", err)
	}
}

func macOf(tb testing.TB, alg jose.SignatureAlgorithm, key string) string {
	tb.Helper()
	js, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: []byte(key)}, nil)
	if err != nil {
		tb.Fatal(err)
	}
	jws, err := js.Sign([]byte("x"))
	if err != nil {
		tb.Fatal(err)
	}
	token, err := jws.CompactSerialize()
	if err != nil {
		tb.Fatal(err)
	}
	return token
}

func TestSecretRefuses(t *testing.T) {
	t.Parallel()
	key := strings.Repeat("k", 64)
	s := secretOf(t, key)
	token, err := s.Sign("", []byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(token, ".")
	for name, bad := range map[string]string{
		"another secret":   macOf(t, jose.HS256, strings.Repeat("K", 64)),
		"another hash":     macOf(t, jose.HS512, key),
		"public key":       assertion(t, "ES256", newEC(t, elliptic.P256()), ""),
		"none":             b64(`{"alg":"none"}`) + "." + parts[1] + ".",
		"none, signed":     b64(`{"alg":"none"}`) + "." + parts[1] + "." + parts[2],
		"crit":             b64(`{"alg":"HS256","crit":["x"]}`) + "." + parts[1] + "." + parts[2],
		"another payload":  parts[0] + "." + b64("y") + "." + parts[2],
		"signature cut":    token[:len(token)-4],
		"signature longer": token + "AAAA",
		"no signature":     parts[0] + "." + parts[1] + ".",
		"empty":            "",
	} {
		if _, _, err := s.Verify(bad); !errors.Is(err, ErrSignature) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := NewSecret([]byte(key[:MinSecret-1])); err == nil {
		t.Error("a short secret: accepted")
	}
	var none Secret
	if _, err := none.Sign("", nil); err == nil {
		t.Error("no secret: signed")
	}
	if _, _, err := none.Verify(token); !errors.Is(err, ErrSignature) {
		t.Errorf("no secret: %v", err)
	}
}

func TestSecretDoesNotPrint(t *testing.T) {
	t.Parallel()
	s := secretOf(t, strings.Repeat("k", MinSecret))
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		if got := fmt.Sprintf(verb, s); got != "[secret]" {
			t.Errorf("%s: %s", verb, got)
		}
	}
	if got, err := json.Marshal(map[string]any{"s": s}); err != nil || string(got) != `{"s":{}}` {
		t.Errorf("%s, %v", got, err)
	}
	if got := fmt.Sprint(struct{ S Secret }{s}); strings.Contains(got, "107") || strings.Contains(got, "kkk") {
		t.Error(got)
	}
}
