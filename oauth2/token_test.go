package oauth2_test

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/google/go-cmp/cmp"

	"github.com/gatekeeper-oidc/gatekeeper/audit"
	"github.com/gatekeeper-oidc/gatekeeper/keys"
	"github.com/gatekeeper-oidc/gatekeeper/oauth2"
)

func TestTokenResponse(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, f *fixture) {
		shop := f.app("shop", func(c *oauth2.Client) { c.Audience = []string{"https://a.example", "https://b.example"} })
		r := shop.redeem(shop.code("scope", "openid email offline_access nonsense"))
		m := r.ok()
		if m["token_type"] != "Bearer" || m["scope"] != "openid email offline_access" {
			t.Errorf("answer %v", m)
		}
		if s, _ := m["expires_in"].(float64); s < 898 || s > 900 {
			t.Errorf("expires_in %v, want 900", m["expires_in"])
		}
		if r.Header.Get("Cache-Control") != "no-store" || r.Header.Get("Pragma") != "no-cache" {
			t.Errorf("headers %v", r.Header)
		}
		tk := tokensOf(m)
		if h := segment(t, tk.Access, 0); h["typ"] != "at+jwt" || h["alg"] != "RS256" || h["kid"] == "" {
			t.Errorf("access token header %v", h)
		}
		a := claims(t, tk.Access)
		for name, want := range map[string]any{
			"iss": issuer, "sub": f.user.ID, "uid": f.user.ID, "client_id": "shop", "scope": "openid email offline_access", "sid": f.session.ID,
			"email": f.user.Email, "mfa_verified": false, "acr": "1", "auth_time": float64(f.session.AuthTime.Unix()),
			"aud": []any{"https://a.example", "https://b.example", issuer + oauth2.UserinfoPath}, "amr": []any{"pwd"}, "roles": []any{"staff"},
		} {
			if diff := cmp.Diff(want, a[name]); diff != "" {
				t.Errorf("access token %s (-want +got):\n%s", name, diff)
			}
		}
		id := claims(t, tk.ID)
		for name, want := range map[string]any{
			"iss": issuer, "sub": f.user.ID, "aud": "shop", "azp": "shop", "nonce": "a nonce", "sid": f.session.ID, "acr": "1",
			"auth_time": float64(f.session.AuthTime.Unix()), "amr": []any{"pwd"},
		} {
			if diff := cmp.Diff(want, id[name]); diff != "" {
				t.Errorf("ID token %s (-want +got):\n%s", name, diff)
			}
		}
		for _, name := range []string{"rat", "email", "scope", "jti"} {
			if _, ok := id[name]; ok {
				t.Errorf("the ID token has %s", name)
			}
		}
		if f.events(audit.GrantIssued, "shop") != 1 {
			t.Error("no event of the grant")
		}
	})
}

func TestTokensFitTheScopes(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, f *fixture) {
		shop := f.app("shop")
		once := f.app("once", func(c *oauth2.Client) { c.Grants = []string{oauth2.GrantCode} })
		for _, c := range []struct {
			name, scope string
			a           *app
			id, refresh bool
			email       any
		}{
			{"openid alone", "openid", shop, true, false, nil},
			{"plain OAuth", "email", shop, false, false, f.user.Email},
			{"offline", "offline_access", shop, false, true, nil},
			{"offline without the refresh grant", "openid offline_access", once, true, false, nil},
			{"nothing at all", "", shop, false, false, nil},
		} {
			tk := c.a.login("scope", c.scope)
			if (tk.ID != "") != c.id || (tk.Refresh != "") != c.refresh {
				t.Errorf("%s: ID token %t, refresh token %t", c.name, tk.ID != "", tk.Refresh != "")
			}
			a := claims(t, tk.Access)
			if a["email"] != c.email || a["aud"] != issuer {
				t.Errorf("%s: email %v, aud %v", c.name, a["email"], a["aud"])
			}
		}
	})
}

// The at_hash of every algorithm is what go-oidc computes.
func TestIDTokensByGoOIDC(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, f *fixture) {
		for _, alg := range []string{keys.RS256, keys.PS256, keys.ES256, keys.EdDSA} {
			a := f.app("app-"+alg, func(c *oauth2.Client) { c.IDTokenAlg, c.AccessTokenAlg = alg, alg })
			first := a.login()
			for name, tk := range map[string]tokens{"redeemed": first, "refreshed": tokensOf(a.refresh(first.Refresh).ok())} {
				v := oidc.NewVerifier(issuer, published{f}, &oidc.Config{ClientID: a.ID, SupportedSigningAlgs: []string{alg}})
				id, err := v.Verify(t.Context(), tk.ID)
				if err != nil {
					t.Fatalf("%s %s: %v", alg, name, err)
				}
				if err := id.VerifyAccessToken(tk.Access); err != nil {
					t.Errorf("%s %s: at_hash: %v", alg, name, err)
				}
				if want := map[string]string{"redeemed": "a nonce"}[name]; id.Nonce != want {
					t.Errorf("%s %s: nonce %q, want %q", alg, name, id.Nonce, want)
				}
				if h := segment(t, tk.Access, 0); h["alg"] != alg {
					t.Errorf("%s %s: access token by %v", alg, name, h["alg"])
				}
			}
		}
	})
}

// published is what an application that read the JWKS knows.
type published struct{ f *fixture }

func (p published) VerifySignature(ctx context.Context, jwt string) ([]byte, error) {
	body, _, _ := p.f.ring.JWKS()
	payload, _, err := keys.VerifyWith(body, jwt, []string{keys.RS256, keys.PS256, keys.ES256, keys.EdDSA})
	return payload, err
}

func TestTokenRequestsRefused(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, f *fixture) {
		shop, pub, other, job := f.app("shop"), f.app("pub", public), f.app("other"), f.app("job", machine)
		code := shop.code()
		ok := []string{"grant_type", "authorization_code", "code", code, "redirect_uri", callback, "code_verifier", verifier}
		but := func(pairs ...string) []string { return append(append([]string{}, ok...), pairs...) }
		for _, c := range []struct {
			name string
			a    *app
			with []string
			code string
		}{
			{"no grant type", shop, but("grant_type", ""), "invalid_request"},
			{"an unknown grant type", shop, but("grant_type", "password"), "unsupported_grant_type"},
			{"two grant types in one", shop, but("grant_type", "authorization_code refresh_token"), "unsupported_grant_type"},
			{"a grant the client may not use", shop, []string{"grant_type", "client_credentials"}, "unauthorized_client"},
			{"a code at a machine", job, ok, "unauthorized_client"},
			{"no code", shop, but("code", ""), "invalid_request"},
			{"no refresh token", shop, []string{"grant_type", "refresh_token"}, "invalid_request"},
			{"garbage for a code", shop, but("code", "garbage"), "invalid_grant"},
			{"a changed code", shop, but("code", code[:len(code)-2]+"AA"), "invalid_grant"},
			{"a huge code", shop, but("code", "gk_ac_"+strings.Repeat("A", 20_000)), "invalid_grant"},
			{"another client's code", other, ok, "invalid_grant"},
			{"a public client's try", pub, ok, "invalid_grant"},
			{"no redirect URI", shop, but("redirect_uri", ""), "invalid_grant"},
			{"another redirect URI", shop, but("redirect_uri", callback+"?"), "invalid_grant"},
			{"no verifier", shop, but("code_verifier", ""), "invalid_grant"},
			{"a wrong verifier", shop, but("code_verifier", verifier+"x"), "invalid_grant"},
			{"a short verifier", shop, but("code_verifier", "short"), "invalid_grant"},
			{"the challenge for a verifier", shop, but("code_verifier", challengeOf(verifier)), "invalid_grant"},
			{"a foreign resource", shop, but("resource", "https://bank.example"), "invalid_target"},
			{"an access token for a refresh token", shop, []string{"grant_type", "refresh_token", "refresh_token", "gk_at_x"}, "invalid_grant"},
			{"a code for a refresh token", shop, []string{"grant_type", "refresh_token", "refresh_token", code}, "invalid_grant"},
		} {
			m := c.a.token(c.with...).refused(http.StatusBadRequest, c.code)
			if d, _ := m["error_description"].(string); !plain(d) {
				t.Errorf("%s: description %q", c.name, d)
			}
			if t.Failed() {
				t.Fatalf("%s", c.name)
			}
		}
		shop.token(ok...).ok() // none of this has hurt the code
	})
}

// F5 and F12: what nobody should send is refused before anybody works on it.
func TestTokenFormsRefused(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, f *fixture) {
		shop := f.app("shop")
		auth := basic("shop", shop.secret)
		ok := url.Values{"grant_type": {"authorization_code"}, "code": {shop.code()}, "redirect_uri": {callback}, "code_verifier": {verifier}}.Encode()
		for _, c := range []struct {
			name, body string
			status     int
		}{
			{"two codes", ok + "&code=x", http.StatusBadRequest},
			{"two grant types", ok + "&grant_type=authorization_code", http.StatusBadRequest},
			{"two unknown parameters", ok + "&a=1&a=2", http.StatusBadRequest},
			{"800 KB of scope", ok + "&scope=" + strings.Repeat("s", 800<<10), http.StatusRequestEntityTooLarge},
			{"a hundred parameters", ok + strings.Repeat("&a=1", 100), http.StatusBadRequest},
			{"a NUL", ok + "&a=%00", http.StatusBadRequest},
			{"bad UTF-8", ok + "&a=%FF", http.StatusBadRequest},
		} {
			r := f.do(http.MethodPost, "/oauth2/token", strings.NewReader(c.body), "Authorization", auth)
			if r.Status != c.status || r.json()["error"] != "invalid_request" {
				t.Errorf("%s: %d %s", c.name, r.Status, r.Body)
			}
		}
		for _, ct := range []string{"application/json", "multipart/form-data; boundary=x", ""} {
			r := f.do(http.MethodPost, "/oauth2/token", strings.NewReader(ok), "Authorization", auth, "Content-Type", ct)
			if r.Status != http.StatusBadRequest {
				t.Errorf("type %q: %d %s", ct, r.Status, r.Body)
			}
		}
		r := f.do(http.MethodPost, "/oauth2/token?"+ok, strings.NewReader(""), "Authorization", auth)
		if r.Status != http.StatusBadRequest {
			t.Errorf("parameters in the query: %d %s", r.Status, r.Body)
		}
		f.do(http.MethodPost, "/oauth2/token", strings.NewReader(ok), "Authorization", auth).ok()
	})
}

func TestClientCredentials(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, f *fixture) {
		job := f.app("job", machine, func(c *oauth2.Client) {
			c.Audience = []string{"https://a.example", "https://b.example"}
			c.Scopes = append(c.Scopes, "email", "openid", "offline_access")
		})
		ask := func(pairs ...string) reply {
			return job.token(append([]string{"grant_type", "client_credentials"}, pairs...)...)
		}
		m := ask().ok()
		a := claims(t, tokensOf(m).Access)
		want := map[string]any{"sub": "job", "client_id": "job", "scope": "api:read api:write", "aud": []any{"https://a.example", "https://b.example"}}
		for name, v := range want {
			if diff := cmp.Diff(v, a[name]); diff != "" {
				t.Errorf("%s (-want +got):\n%s", name, diff)
			}
		}
		for _, name := range []string{"sid", "gid", "uid", "email", "roles", "mfa_verified", "auth_time", "amr", "acr"} {
			if _, ok := a[name]; ok {
				t.Errorf("a machine's token has %s", name)
			}
		}
		if m["refresh_token"] != nil || m["id_token"] != nil {
			t.Errorf("answer %v", m)
		}
		if a := claims(t, tokensOf(ask("scope", "api:read api:read", "resource", "https://b.example").ok()).Access); a["scope"] != "api:read" || a["aud"] != "https://b.example" {
			t.Errorf("narrowed: %v %v", a["scope"], a["aud"])
		}
		for name, pairs := range map[string][2]string{
			"an unregistered scope": {"scope", "api:admin"}, "a scope about people": {"scope", "email"}, "openid": {"scope", "openid"},
			"offline": {"scope", "offline_access"}, "a bad scope": {"scope", "a\"b"},
		} {
			if r := ask(pairs[0], pairs[1]); r.Status != http.StatusBadRequest || r.json()["error"] != "invalid_scope" {
				t.Errorf("%s: %d %s", name, r.Status, r.Body)
			}
		}
		ask("resource", "https://bank.example").refused(http.StatusBadRequest, "invalid_target")
		tk := f.app("sealed", machine, opaque).token("grant_type", "client_credentials").ok()["access_token"].(string)
		got, err := f.p.Inspect(t.Context(), tk)
		if err != nil || got.Subject != "sealed" || got.User != nil || !strings.HasPrefix(tk, "gk_at_") {
			t.Errorf("an opaque token: %+v %v", got, err)
		}
	})
}

func TestResourcesNarrow(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, f *fixture) {
		shop := f.app("shop", func(c *oauth2.Client) { c.Audience = []string{"https://a.example", "https://b.example"} })
		aud := func(r reply) any { return claims(t, tokensOf(r.ok()).Access)["aud"] }
		if got := aud(shop.redeem(shop.code("resource", "https://a.example"))); got != "https://a.example" {
			t.Errorf("asked at authorize: %v", got)
		}
		r := shop.redeem(shop.code(), "resource", "https://b.example").ok()
		if got := claims(t, tokensOf(r).Access)["aud"]; got != "https://b.example" {
			t.Errorf("asked at redemption: %v", got)
		}
		rt := tokensOf(r).Refresh
		if got := aud(shop.refresh(rt)); len(got.([]any)) != 3 { // both, and this server for userinfo
			t.Errorf("the grant lost an audience: %v", got)
		}
		if got := aud(shop.refresh(rt, "resource", "https://a.example")); got != "https://a.example" {
			t.Errorf("asked at refresh: %v", got)
		}
		shop.redeem(shop.code("resource", "https://a.example"), "resource", "https://b.example").refused(http.StatusBadRequest, "invalid_target")
		shop.Audience = []string{"https://b.example"}
		must(t, f.db.UpdateClient(t.Context(), shop.Client))
		if got := aud(shop.refresh(rt)); !cmp.Equal(got, []any{"https://b.example", issuer + oauth2.UserinfoPath}) {
			t.Errorf("an audience withdrawn in the meantime: %v", got)
		}
	})
}
