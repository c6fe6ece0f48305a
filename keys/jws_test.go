package keys

import (
	"bytes"
	"crypto"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
)

var allAlgs = []string{RS256, PS256, ES256, EdDSA}

func b64(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

// plainKey is the private key of r's active key for alg.
func plainKey(tb testing.TB, r *Ring, alg string) (crypto.Signer, string) {
	tb.Helper()
	k := r.snap.Load().chain[alg][0]
	private, err := r.cfg.Vault.Open(sealPurpose, sealPlace+k.ID, k.Private)
	if err != nil {
		tb.Fatal(err)
	}
	signer, err := Software{}.Open(tb.Context(), alg, private)
	if err != nil {
		tb.Fatal(err)
	}
	return signer, k.ID
}

func TestGoJoseReadsWhatWeSign(t *testing.T) {
	t.Parallel()
	r := loaded(t, newWorld().ring(t, allAlgs...))
	body, _, _ := r.JWKS()
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(body, &set); err != nil {
		t.Fatal(err)
	}
	for _, alg := range allAlgs {
		for range 20 { // short r and s occur once in 128 signatures or so
			token, err := r.Sign(t.Context(), alg, "at+jwt", []byte(`{"sub":"ana"}`))
			if err != nil {
				t.Fatal(err)
			}
			jws, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.SignatureAlgorithm(alg)})
			if err != nil {
				t.Fatalf("%s: %v", alg, err)
			}
			got, err := jws.Verify(set.Key(jws.Signatures[0].Protected.KeyID)[0])
			if err != nil || string(got) != `{"sub":"ana"}` {
				t.Errorf("%s: got %q, %v", alg, got, err)
			}
			if typ := jws.Signatures[0].Protected.ExtraHeaders["typ"]; typ != "at+jwt" {
				t.Errorf("%s: typ %v", alg, typ)
			}
			if ours, err := r.Verify(token, "at+jwt"); err != nil || !bytes.Equal(ours, got) {
				t.Errorf("%s: our own reading: %q, %v", alg, ours, err)
			}
		}
	}
}

func TestWeReadWhatGoJoseSigns(t *testing.T) {
	t.Parallel()
	r := loaded(t, newWorld().ring(t, allAlgs...))
	for _, alg := range allAlgs {
		for _, typ := range []string{"at+jwt", "AT+JWT", "application/at+jwt"} {
			signer, kid := plainKey(t, r, alg)
			js, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.SignatureAlgorithm(alg), Key: signer},
				(&jose.SignerOptions{}).WithType(jose.ContentType(typ)).WithHeader("kid", kid))
			if err != nil {
				t.Fatal(err)
			}
			jws, err := js.Sign([]byte("payload"))
			if err != nil {
				t.Fatal(err)
			}
			token, _ := jws.CompactSerialize()
			if got, err := r.Verify(token, "at+jwt"); err != nil || string(got) != "payload" {
				t.Errorf("%s %s: got %q, %v", alg, typ, got, err)
			}
		}
	}
}

// forge signs head "." payload as it is with alg's active key.
func forge(tb testing.TB, r *Ring, alg, head string) string {
	tb.Helper()
	signer, kid := plainKey(tb, r, alg)
	input := b64(strings.ReplaceAll(head, "KID", kid)) + "." + b64("payload")
	a, _ := algorithmOf(alg)
	sig, err := a.sign(signer, []byte(input))
	if err != nil {
		tb.Fatal(err)
	}
	return input + "." + b64(string(sig))
}

func TestHeadersAreHostile(t *testing.T) {
	t.Parallel()
	r := loaded(t, newWorld().ring(t, allAlgs...))
	good := `{"alg":"ES256","kid":"KID","typ":"at+jwt"}`
	if _, err := r.Verify(forge(t, r, ES256, good), "at+jwt"); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Verify(forge(t, r, ES256, `{"jku":"https://evil.example/","jwk":{"kty":"oct"},"alg":"ES256","kid":"KID","typ":"at+jwt"}`), "at+jwt"); err != nil {
		t.Errorf("keys in the header are ignored, not read: %v", err)
	}
	for name, head := range map[string]string{
		"alg none":                 `{"alg":"none","kid":"KID","typ":"at+jwt"}`,
		"alg of another key":       `{"alg":"RS256","kid":"KID","typ":"at+jwt"}`,
		"alg symmetric":            `{"alg":"HS256","kid":"KID","typ":"at+jwt"}`,
		"alg missing":              `{"kid":"KID","typ":"at+jwt"}`,
		"alg in other case":        `{"Alg":"ES256","kid":"KID","typ":"at+jwt"}`,
		"alg twice":                `{"alg":"ES256","alg":"ES256","kid":"KID","typ":"at+jwt"}`,
		"alg not text":             `{"alg":["ES256"],"kid":"KID","typ":"at+jwt"}`,
		"kid unknown":              `{"alg":"ES256","kid":"other","typ":"at+jwt"}`,
		"kid missing":              `{"alg":"ES256","typ":"at+jwt"}`,
		"typ missing":              `{"alg":"ES256","kid":"KID"}`,
		"typ of another token":     `{"alg":"ES256","kid":"KID","typ":"logout+jwt"}`,
		"typ only begins":          `{"alg":"ES256","kid":"KID","typ":"at+jwt2"}`,
		"crit unknown":             `{"alg":"ES256","kid":"KID","typ":"at+jwt","crit":["x"],"x":1}`,
		"crit empty":               `{"alg":"ES256","kid":"KID","typ":"at+jwt","crit":[]}`,
		"b64 with crit":            `{"alg":"ES256","kid":"KID","typ":"at+jwt","crit":["b64"],"b64":true}`,
		"b64 alone":                `{"alg":"ES256","kid":"KID","typ":"at+jwt","b64":false}`,
		"text after the object":    `{"alg":"ES256","kid":"KID","typ":"at+jwt"}{}`,
		"an array":                 `["alg","ES256"]`,
		"nothing":                  ``,
		"not UTF-8":                "{\"alg\":\"ES256\",\"kid\":\"KID\",\"typ\":\"at+jwt\",\"x\":\"\xff\"}",
		"only application/ as typ": `{"alg":"ES256","kid":"KID","typ":"application/"}`,
	} {
		if _, err := r.Verify(forge(t, r, ES256, head), "at+jwt"); !errors.Is(err, ErrSignature) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestShapesOfTokens(t *testing.T) {
	t.Parallel()
	r := loaded(t, newWorld().ring(t, allAlgs...))
	token := signed(t, r, ES256)
	parts := strings.Split(token, ".")
	sig, _ := base64.RawURLEncoding.DecodeString(parts[2])
	for name, bad := range map[string]string{
		"empty":               "",
		"two parts":           parts[0] + "." + parts[1],
		"four parts":          token + ".",
		"five parts":          token + "..",
		"no signature":        parts[0] + "." + parts[1] + ".",
		"padded":              token + "=",
		"line break":          token[:len(token)-4] + "\n" + token[len(token)-4:],
		"line break in head":  token[:4] + "\r\n" + token[4:],
		"space":               " " + token,
		"other payload":       parts[0] + "." + b64(`{"sub":"eve"}`) + "." + parts[2],
		"signature cut":       parts[0] + "." + parts[1] + "." + b64(string(sig[:63])),
		"signature longer":    parts[0] + "." + parts[1] + "." + b64(string(sig)+"\x00"),
		"ASN.1 signature":     parts[0] + "." + parts[1] + "." + b64("0\x06\x02\x01\x01\x02\x01\x01"),
		"zero signature":      parts[0] + "." + parts[1] + "." + b64(string(make([]byte, 64))),
		"too long":            parts[0] + "." + strings.Repeat("A", maxToken) + "." + parts[2],
		"standard base64":     parts[0] + "." + parts[1] + "." + strings.Repeat("/", 86),
		"loose trailing bits": parts[0] + "." + parts[1] + "." + parts[2][:85] + "_",
	} {
		if _, err := r.Verify(bad, "at+jwt"); !errors.Is(err, ErrSignature) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := r.Verify(token, ""); !errors.Is(err, ErrSignature) {
		t.Errorf("a typed token where none is asked for: %v", err)
	}
	plain, err := r.Sign(t.Context(), "", "", []byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Verify(plain, ""); err != nil {
		t.Errorf("an untyped token: %v", err)
	}
}

func FuzzVerify(f *testing.F) {
	r := loaded(f, newWorld().ring(f, ES256, EdDSA))
	token := signed(f, r, ES256)
	f.Add(token)
	f.Add(forge(f, r, EdDSA, `{"alg":"none","kid":"KID","typ":"at+jwt"}`))
	f.Add("..")
	f.Fuzz(func(t *testing.T, mutant string) {
		payload, err := r.Verify(mutant, "at+jwt")
		if err == nil && string(payload) != `{"sub":"ana"}` {
			t.Fatalf("accepted %q with payload %q", mutant, payload)
		}
		if err != nil && !errors.Is(err, ErrSignature) {
			t.Fatal(err)
		}
	})
}
