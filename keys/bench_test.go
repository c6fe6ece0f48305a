package keys

import (
	"crypto/rand"
	"crypto/sha256"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// claims is as long as the access token payload of a typical sign-in.
var claims = []byte(`{"iss":"https://id.example.org","sub":"` + strings.Repeat("x", 400) + `"}`)

func BenchmarkSign(b *testing.B) {
	r := loaded(b, newWorld().ringWith(b, func(c *RingConfig) { c.Source, c.Policy.Algs = DefaultSource(), allAlgs }))
	for _, alg := range allAlgs {
		k := r.snap.Load().chain[alg][0]
		digest := sha256.Sum256(claims)
		b.Run("bare/"+alg, func(b *testing.B) { // what no signer can do without
			b.ReportAllocs()
			for b.Loop() {
				input, opts := digest[:], k.alg.pss()
				var err error
				switch k.alg.kind {
				case eddsaKind:
					_, err = k.signer.Sign(rand.Reader, claims, k.alg.hash)
				case rsaPSS:
					_, err = k.signer.Sign(rand.Reader, input, opts)
				default:
					_, err = k.signer.Sign(rand.Reader, input, k.alg.hash)
				}
				if err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run("jws/"+alg, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := r.Sign(b.Context(), alg, "at+jwt", claims); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkVerify(b *testing.B) {
	r := loaded(b, newWorld().ring(b, allAlgs...))
	for _, alg := range allAlgs {
		token := signed(b, r, alg)
		b.Run(alg, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := r.Verify(token, "at+jwt"); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkClients is what a client's keys cost: one signature or encryption.
func BenchmarkClients(b *testing.B) {
	w, s, sets := shopping(b, time.Hour)
	k := newRSA(b, 2048)
	from := ClientKeys{JWKS: setOf(b, jose.JSONWebKey{Key: k.Public(), KeyID: "k"})}
	s.publish(from.JWKS)
	token, secret := assertion(b, RS256, k, "k"), secretOf(b, strings.Repeat("k", MinSecret))
	mac, err := secret.Sign("JWT", claims)
	if err != nil {
		b.Fatal(err)
	}
	r := loaded(b, w.openable(b, RSAOAEP256, ECDHES))
	letters := map[string]string{}
	for _, alg := range r.EncryptionAlgs() {
		l := lockOf(b, r, alg)
		letters[alg] = letter{alg: alg, enc: "A256GCM", kid: l.KeyID, key: l.Key, payload: string(claims)}.seal(b)
	}
	for name, op := range map[string]func() error{
		"Verify/registered": func() error { _, _, err := sets.Verify(b.Context(), from, token, []string{RS256}); return err },
		"Verify/fetched":    func() error { _, _, err := sets.Verify(b.Context(), shopKeys, token, []string{RS256}); return err },
		"Verify/secret":     func() error { _, _, err := secret.Verify(mac); return err },
		"Encrypt/RSA-OAEP-256": func() error {
			_, err := sets.Encrypt(b.Context(), shopKeys, Encryption{Alg: RSAOAEP256}, "JWT", claims)
			return err
		},
		"Decrypt/RSA-OAEP-256": func() error { _, _, err := r.Decrypt(b.Context(), letters[RSAOAEP256]); return err },
		"Decrypt/ECDH-ES":      func() error { _, _, err := r.Decrypt(b.Context(), letters[ECDHES]); return err },
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := op(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkVault(b *testing.B) {
	v := mustVault(b, rootOf(1))
	sealed, tag := v.Seal("code", "code", claims), v.MAC("rt", claims)
	for name, op := range map[string]func(){
		"Seal":     func() { v.Seal("code", "code", claims) },
		"Open":     func() { _, _ = v.Open("code", "code", sealed) },
		"MAC":      func() { v.MAC("rt", claims) },
		"CheckMAC": func() { v.CheckMAC("rt", tag, claims) },
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				op()
			}
		})
	}
}
