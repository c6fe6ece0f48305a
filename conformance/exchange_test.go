package conformance

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

const (
	grantExchange = "urn:ietf:params:oauth:grant-type:token-exchange"
	grantBearer   = "urn:ietf:params:oauth:grant-type:jwt-bearer"
	accessToken   = "urn:ietf:params:oauth:token-type:access_token"
)

// TestTokenExchange is a person's token on its way through a gateway to a service
// behind it.
func TestTokenExchange(t *testing.T) {
	everywhere(t, func(t *testing.T, d *deployment) {
		shopSecret := d.client(t, "shop", "--type", "web", "--redirect-uri", callback, "--first-party", "--audience", "https://gateway.example")
		gwSecret := d.client(t, "gateway", "--type", "machine", "--grant", "token-exchange,client_credentials", "--scope", "openid,email",
			"--audience", "https://gateway.example", "--exchange-client", "shop", "--exchange-audience", "https://reports.example")
		reportsSecret := d.client(t, "reports", "--type", "machine", "--audience", "https://reports.example")
		uid := d.user(t, ana, anaPassword)
		shop, gateway := newApp(t, d, "shop", shopSecret, callback), newApp(t, d, "gateway", gwSecret, "")
		b := newBrowser(t, d.issuer)
		tok, _ := shop.tokens(b, ana, anaPassword)

		own := gateway.call("token_endpoint", url.Values{"grant_type": {"client_credentials"}})
		actor, _ := own.json["access_token"].(string)
		exchange := func(more url.Values) reply {
			form := url.Values{
				"grant_type": {grantExchange}, "subject_token": {tok.AccessToken}, "subject_token_type": {accessToken},
				"actor_token": {actor}, "actor_token_type": {accessToken},
			}
			for name, v := range more {
				form[name] = v
			}
			return gateway.call("token_endpoint", form)
		}
		r := exchange(url.Values{"audience": {"https://reports.example"}, "scope": {"email"}})
		token, _ := r.json["access_token"].(string)
		if r.status != http.StatusOK || r.json["issued_token_type"] != accessToken || r.json["token_type"] != "Bearer" || r.json["refresh_token"] != nil {
			t.Fatalf("exchange answered %d %s", r.status, r.text)
		}
		seen := call(t, d.issuer+"/oauth2/introspect", "reports", reportsSecret, url.Values{"token": {token}})
		act, _ := seen.json["act"].(map[string]any)
		if seen.json["active"] != true || seen.json["sub"] != uid || act["sub"] != "gateway" || seen.json["client_id"] != "gateway" || seen.json["scope"] != "email" {
			t.Errorf("the service is told %s", seen.text)
		}
		for code, more := range map[string]url.Values{
			"invalid_target":      {"audience": {"https://bank.example"}},
			"invalid_scope":       {"scope": {"profile"}},
			"invalid_request":     {"subject_token": {"garbage"}},
			"unauthorized_client": {"actor_token": nil, "actor_token_type": nil},
		} {
			if r := exchange(more); r.status != http.StatusBadRequest || r.json["error"] != code {
				t.Errorf("%v: %d %s, want %s", more, r.status, r.text, code)
			}
		}
		if r := shop.call("revocation_endpoint", url.Values{"token": {tok.RefreshToken}}); r.status != http.StatusOK {
			t.Fatalf("revocation answered %d %s", r.status, r.text)
		}
		poll(t, "the exchanged token is dead with the shop's grant", func() bool { return gateway.dead(token) })
		if trail := d.cli(t, "audit", "export"); !strings.Contains(trail, `"kind":"token.exchanged"`) || !strings.Contains(trail, `"actors":"gateway"`) {
			t.Error("the trail does not tell who acted")
		}
	})
}

// TestAssertionsOfTrustedIssuers is a build that comes with a word of its builder.
func TestAssertionsOfTrustedIssuers(t *testing.T) {
	everywhere(t, func(t *testing.T, d *deployment) {
		public, private, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		b64 := base64.RawURLEncoding
		uid := d.user(t, ana, anaPassword, "--email-verified")
		issuers, err := json.Marshal([]any{map[string]any{
			"issuer": "https://ci.example", "subjects": []string{ana},
			"jwks": map[string]any{"keys": []any{map[string]any{"kty": "OKP", "crv": "Ed25519", "use": "sig", "x": b64.EncodeToString(public)}}},
		}})
		if err != nil {
			t.Fatal(err)
		}
		out, errOut, err := d.try(t, string(issuers), "client", "create", "deploy", "--type", "machine", "--grant", "jwt-bearer", "--scope", "deploy",
			"--trusted-issuers-file", "-", "-o", "json")
		if err != nil {
			t.Fatalf("%v\n%s", err, errOut)
		}
		var made struct {
			Secret string `json:"client_secret"`
		}
		if err := unmarshal(out, &made); err != nil {
			t.Fatal(err)
		}
		deploy := newApp(t, d, "deploy", made.Secret, "")
		says := func(subject string) string {
			claims, err := json.Marshal(map[string]any{
				"iss": "https://ci.example", "sub": subject, "aud": d.issuer, "jti": rand.Text(), "iat": time.Now().Unix(), "exp": time.Now().Add(time.Minute).Unix(),
			})
			if err != nil {
				t.Fatal(err)
			}
			input := b64.EncodeToString([]byte(`{"alg":"EdDSA","typ":"JWT"}`)) + "." + b64.EncodeToString(claims)
			return input + "." + b64.EncodeToString(ed25519.Sign(private, []byte(input)))
		}
		bring := func(assertion string) reply {
			return deploy.call("token_endpoint", url.Values{"grant_type": {grantBearer}, "assertion": {assertion}})
		}
		one := says(ana)
		r := bring(one)
		token, _ := r.json["access_token"].(string)
		if r.status != http.StatusOK || r.json["scope"] != "deploy" || r.json["refresh_token"] != nil || r.json["id_token"] != nil {
			t.Fatalf("the assertion was answered %d %s", r.status, r.text)
		}
		if seen := deploy.call("introspection_endpoint", url.Values{"token": {token}}); seen.json["sub"] != uid || seen.json["active"] != true {
			t.Errorf("introspection: %s", seen.text)
		}
		for name, assertion := range map[string]string{"used before": one, "about somebody else": says("ben@example.org"), "changed": says(ana) + "A"} {
			if r := bring(assertion); r.status != http.StatusBadRequest || r.json["error"] != "invalid_grant" {
				t.Errorf("%s: %d %s", name, r.status, r.text)
			}
		}
		d.cli(t, "user", "lock", ana)
		poll(t, "the token is dead with its person", func() bool { return deploy.dead(token) })
		if r := bring(says(ana)); r.json["error"] != "invalid_grant" {
			t.Errorf("for somebody locked: %d %s", r.status, r.text)
		}
	})
}
