package oauth2_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"net/url"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/gatekeeper-oidc/gatekeeper/keys"
	"github.com/gatekeeper-oidc/gatekeeper/oauth2"
)

// A reader is an application that answers are encrypted to.
type reader struct {
	*app
	key *ecdsa.PrivateKey
}

// reading registers one whose every answer is encrypted with ECDH-ES; edit changes
// what it registered.
func (f *fixture) reading(id string, edit ...func(*oauth2.Client)) reader {
	f.tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(f.tb, err)
	set := strings.NewReplacer(`"sig"`, `"enc"`, `"ES256"`, `"ECDH-ES"`).Replace(string(jwks(f.tb, key)))
	// A second key, to sign with: a registered set has one of those.
	signing, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(f.tb, err)
	_, second, _ := strings.Cut(strings.Replace(string(jwks(f.tb, signing)), `"k1"`, `"k2"`, 1), "[")
	set = strings.TrimSuffix(set, "]}") + "," + second
	a := f.app(id, append([]func(*oauth2.Client){hybrid, func(c *oauth2.Client) {
		c.JWKS = json.RawMessage(set)
		c.IDTokenEncAlg, c.IDTokenEnc = keys.ECDHES, "A256GCM"
		c.UserinfoEncAlg, c.AuthorizationEncAlg, c.IntrospectionEncAlg = keys.ECDHES, keys.ECDHES, keys.ECDHES
	}}, edit...)...)
	return reader{a, key}
}

// read decrypts a token with the reader's own key and a library that is not ours.
func (r reader) read(token string) string {
	r.f.tb.Helper()
	if !keys.IsEncrypted(token) {
		r.f.tb.Fatalf("%.60s is not encrypted", token)
	}
	jwe, err := jose.ParseEncryptedCompact(token, []jose.KeyAlgorithm{jose.ECDH_ES}, []jose.ContentEncryption{jose.A256GCM, jose.A128CBC_HS256})
	must(r.f.tb, err)
	plain, err := jwe.Decrypt(r.key)
	must(r.f.tb, err)
	return string(plain)
}

// TestEncryptedAnswers: whatever an application asked to have encrypted, it alone
// can read, and what is inside is signed by this server (RFC 7519 section 11.2).
func TestEncryptedAnswers(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, f *fixture) {
		r := f.reading("reader")
		got := r.login()
		inside := r.read(got.ID)
		if _, err := f.ring.Verify(inside, "JWT"); err != nil {
			t.Errorf("the ID token inside: %v", err)
		}
		if id := claims(t, inside); id["aud"] != "reader" || id["sub"] != f.user.ID || id["at_hash"] != oauth2.HalfHash(keys.RS256, got.Access) {
			t.Errorf("the ID token says %v", id)
		}
		_, q := f.authorize("alice", r.request("response_mode", "jwt")).location()
		if answer := claims(t, r.read(q.Get("response"))); answer["code"] == nil || answer["state"] != "a state" {
			t.Errorf("the answer says %v", answer)
		}
		_, q = f.authorize("alice", r.request("response_type", "code id_token", "response_mode", "query.jwt")).location()
		if answer := claims(t, r.read(q.Get("response"))); answer["id_token"] == nil {
			t.Errorf("encrypted, tokens may travel in a query; the answer says %v", answer)
		}
		alone, ok, err := f.p.UserinfoFor(t.Context(), &r.Client, map[string]any{"sub": "x"})
		must(t, err)
		if plain := r.read(alone); !ok || !strings.Contains(plain, `"aud":"reader"`) || !strings.HasPrefix(plain, "{") {
			t.Errorf("userinfo encrypted alone says %s", plain)
		}
		nested := f.reading("nested", func(c *oauth2.Client) { c.UserinfoAlg, c.IntrospectionAlg = keys.ES256, keys.EdDSA })
		token, ok, err := f.p.UserinfoFor(t.Context(), &nested.Client, map[string]any{"sub": "x"})
		must(t, err)
		if inside := nested.read(token); !ok || segment(t, inside, 0)["alg"] != keys.ES256 || claims(t, inside)["iss"] != issuer {
			t.Errorf("nested userinfo says %s", inside)
		}
		token, err = f.p.IntrospectionFor(t.Context(), &nested.Client, map[string]bool{"active": true})
		must(t, err)
		if inside := nested.read(token); segment(t, inside, 0)["alg"] != keys.EdDSA || segment(t, inside, 0)["typ"] != "token-introspection+jwt" {
			t.Errorf("introspection says %s", inside)
		}
	})
}

// TestSignedIntrospection: the answer is inside, and nothing outside lets it pass
// for a token of another kind (RFC 9701 section 5).
func TestSignedIntrospection(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, f *fixture) {
		rs := f.app("rs", machine)
		token, err := f.p.IntrospectionFor(t.Context(), &rs.Client, map[string]any{"active": true, "sub": "x"})
		must(t, err)
		if _, err := f.ring.Verify(token, "token-introspection+jwt"); err != nil {
			t.Error(err)
		}
		got := claims(t, token)
		inside, _ := got["token_introspection"].(map[string]any)
		if len(got) != 4 || got["iss"] != issuer || got["aud"] != "rs" || got["iat"] == nil || inside["active"] != true || inside["sub"] != "x" {
			t.Errorf("it says %v", got)
		}
		if segment(t, token, 0)["alg"] != keys.RS256 || f.alive(token) {
			t.Error("it is signed otherwise, or passes for an access token")
		}
		plain, ok, err := f.p.UserinfoFor(t.Context(), &rs.Client, map[string]any{"sub": "x"})
		if ok || err != nil {
			t.Errorf("userinfo nobody wanted signed: %q %v", plain, err)
		}
	})
}

// TestAssertionAudiences: whom an assertion may be for is the client's profile
// (RFC 7523 section 3).
func TestAssertionAudiences(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, f *fixture) {
		endpoint, par, foreign := issuer+"/oauth2/token", issuer+"/oauth2/par", "https://bank.example"
		for profile, accepted := range map[string]map[string]bool{
			oauth2.AudienceOne:    {"issuer": true, "[issuer]": true, "endpoint": true},
			oauth2.AudienceIssuer: {"issuer": true},
			oauth2.AudienceAny: {
				"issuer": true, "[issuer]": true, "endpoint": true, "par": true, "[issuer par]": true, "[issuer foreign]": true, // one of several is enough
			},
		} {
			a := f.signerWith("robot-"+profile+"x", func(c *oauth2.Client) { c.AssertionAudience = profile })
			for name, aud := range map[string]any{
				"issuer": issuer, "[issuer]": []string{issuer}, "endpoint": endpoint, "par": par, "[issuer par]": []string{issuer, par}, "foreign": foreign,
				"[issuer foreign]": []string{issuer, foreign}, "[]": []string{}, "a number": 7,
			} {
				r := f.do("POST", "/oauth2/token", strings.NewReader(with(url.Values{}, "grant_type", "client_credentials", "client_assertion_type",
					"urn:ietf:params:oauth:client-assertion-type:jwt-bearer", "client_assertion", a.sign(map[string]any{"aud": aud})).Encode()))
				if ok := r.Status == 200; ok != accepted[name] {
					t.Errorf("profile %q, aud %s: %d", profile, name, r.Status)
				}
			}
		}
	})
}
