package conformance

import (
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/oauth2"
)

// legal is the character set of error_description (RFC 6749 section 4.1.2.1).
var legal = regexp.MustCompile(`^[\x20-\x21\x23-\x5B\x5D-\x7E]*$`)

// TestRefusedOnAPage: while the client or its redirect URI is not certain, a
// person sees a page and nobody is redirected anywhere.
func TestRefusedOnAPage(t *testing.T) {
	everywhere(t, func(t *testing.T, d *deployment) {
		a := shop(t, d)
		good, _ := url.Parse(a.begin().url)
		for _, tt := range []struct {
			name   string
			change func(q url.Values)
		}{
			{"unknown client", func(q url.Values) { q.Set("client_id", "nobody") }},
			{"no client", func(q url.Values) { q.Del("client_id") }},
			{"client twice", func(q url.Values) { q.Add("client_id", "shop") }},
			{"no redirect URI", func(q url.Values) { q.Del("redirect_uri") }},
			{"redirect URI twice", func(q url.Values) { q.Add("redirect_uri", callback) }},
			{"other redirect URI", func(q url.Values) { q.Set("redirect_uri", "http://127.0.0.1:9/evil") }},
			{"other port of a web client", func(q url.Values) { q.Set("redirect_uri", "http://127.0.0.1:10/callback") }},
			{"redirect URI with a query", func(q url.Values) { q.Set("redirect_uri", callback+"?x=1") }},
			{"redirect URI with a fragment", func(q url.Values) { q.Set("redirect_uri", callback+"#x") }},
			{"redirect URI percent-encoded", func(q url.Values) { q.Set("redirect_uri", "http://127.0.0.1:9/c%61llback") }},
			{"redirect URI in other case", func(q url.Values) { q.Set("redirect_uri", "http://127.0.0.1:9/Callback") }},
			{"userinfo in the redirect URI", func(q url.Values) { q.Set("redirect_uri", "http://evil@127.0.0.1:9/callback") }},
			{"script", func(q url.Values) { q.Set("redirect_uri", "javascript:alert(1)") }},
		} {
			q := good.Query()
			tt.change(q)
			p := newBrowser(t, d.issuer).get(good.Scheme + "://" + good.Host + good.Path + "?" + q.Encode())
			if p.left != nil || p.status != http.StatusBadRequest {
				t.Errorf("%s: %s; want a page with status 400", tt.name, p)
				continue
			}
			explained(t, d, tt.name, p)
		}
	})
}

var reference = regexp.MustCompile(`[0-9A-HJKMNP-TV-Z]{4}-[0-9A-HJKMNP-TV-Z]{4}`)

// explained checks that the refusal shows a reference an operator can look up.
func explained(t *testing.T, d *deployment, name string, p *page) {
	t.Helper()
	ref := reference.FindString(p.text)
	if ref == "" {
		t.Errorf("%s: the page shows no reference:\n%s", name, p.text)
		return
	}
	poll(t, name+": explain "+ref, func() bool {
		out, _, err := d.try(t, "", "explain", ref)
		return err == nil && strings.Contains(out, ref)
	})
}

// TestRefusedAtTheApplication: once client and redirect URI are certain, the
// application is told, in the form RFC 6749 section 4.1.2.1 gives.
func TestRefusedAtTheApplication(t *testing.T) {
	everywhere(t, func(t *testing.T, d *deployment) {
		a := shop(t, d)
		for _, tt := range []struct {
			name, want string
			change     func(q url.Values)
		}{
			{"no response type", "invalid_request", func(q url.Values) { q.Del("response_type") }},
			{"unknown response type", "unsupported_response_type", func(q url.Values) { q.Set("response_type", "none") }},
			{"unknown response mode", "invalid_request", func(q url.Values) { q.Set("response_mode", "smoke") }},
			{"no PKCE", "invalid_request", func(q url.Values) { q.Del("code_challenge"); q.Del("code_challenge_method") }},
			{"plain PKCE", "invalid_request", func(q url.Values) { q.Set("code_challenge_method", "plain") }},
			{"short challenge", "invalid_request", func(q url.Values) { q.Set("code_challenge", "x") }},
			{"scope twice", "invalid_request", func(q url.Values) { q.Add("scope", "openid") }},
			{"prompt none with login", "invalid_request", func(q url.Values) { q.Set("prompt", "none login") }},
			{"unknown prompt", "invalid_request", func(q url.Values) { q.Set("prompt", "sing") }},
			{"negative max_age", "invalid_request", func(q url.Values) { q.Set("max_age", "-1") }},
			{"unsigned request object", "invalid_request_object", func(q url.Values) { q.Set("request", "eyJ.e30.") }},
			{"unregistered request URI", "invalid_request_uri", func(q url.Values) { q.Set("request_uri", "https://example.org/r") }},
			{"line feed in the scope", "invalid_scope", func(q url.Values) { q.Set("scope", "openid\r\nX: y") }},
			{"nobody signed in", "login_required", func(q url.Values) { q.Set("prompt", "none") }},
		} {
			tr := a.begin()
			u, _ := url.Parse(tr.url)
			q := u.Query()
			tt.change(q)
			u.RawQuery = q.Encode()
			answer := a.answer(tr, newBrowser(t, d.issuer).get(u.String()))
			if answer.Get("error") != tt.want {
				t.Errorf("%s: error %q (%s), want %q", tt.name, answer.Get("error"), answer.Get("error_description"), tt.want)
			}
			if !legal.MatchString(answer.Get("error_description")) {
				t.Errorf("%s: illegal characters in %q", tt.name, answer.Get("error_description"))
			}
			for k := range answer {
				if !slices.Contains([]string{"error", "error_description", "state", "iss", "session_state"}, k) {
					t.Errorf("%s: unexpected parameter %s", tt.name, k)
				}
			}
		}
	})
}

// TestRefusedAtTheTokenEndpoint walks the ways a redemption can be wrong. None
// of them spends the code: the last one is right and succeeds.
func TestRefusedAtTheTokenEndpoint(t *testing.T) {
	everywhere(t, func(t *testing.T, d *deployment) {
		a := shop(t, d)
		other := d.client(t, "other", "--type", "web", "--redirect-uri", callback)
		tr := a.begin()
		code := a.login(newBrowser(t, d.issuer), tr, ana, anaPassword)
		good := url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {callback}, "code_verifier": {tr.pkce}}
		with := func(k string, v ...string) url.Values {
			c := url.Values{}
			for n, x := range good {
				c[n] = x
			}
			if len(v) == 0 {
				c.Del(k)
			} else {
				c[k] = v
			}
			return c
		}
		for _, tt := range []struct {
			name, id, secret string
			form             url.Values
			status           int
			want             string
		}{
			{"no authentication", "shop", "", good, 401, "invalid_client"},
			{"wrong secret", "shop", "wrong", good, 401, "invalid_client"},
			{"two methods at once", "shop", a.config.ClientSecret, with("client_secret", a.config.ClientSecret), 400, "invalid_request"},
			{"another client_id in the body", "shop", a.config.ClientSecret, with("client_id", "other"), 400, "invalid_request"},
			{"another client's code", "other", other, good, 400, "invalid_grant"},
			{"unknown grant", "shop", a.config.ClientSecret, with("grant_type", "password"), 400, "unsupported_grant_type"},
			{"no grant type", "shop", a.config.ClientSecret, with("grant_type"), 400, "invalid_request"},
			{"grant type twice", "shop", a.config.ClientSecret, with("grant_type", "authorization_code", "authorization_code"), 400, "invalid_request"},
			{"code twice", "shop", a.config.ClientSecret, with("code", code, code), 400, "invalid_request"},
			{"no code", "shop", a.config.ClientSecret, with("code"), 400, "invalid_request"},
			{"garbage code", "shop", a.config.ClientSecret, with("code", "gk_ac_garbage"), 400, "invalid_grant"},
			{"other redirect URI", "shop", a.config.ClientSecret, with("redirect_uri", "http://127.0.0.1:9/other"), 400, "invalid_grant"},
			{"no redirect URI", "shop", a.config.ClientSecret, with("redirect_uri"), 400, "invalid_grant"},
			{"wrong verifier", "shop", a.config.ClientSecret, with("code_verifier", oauth2.GenerateVerifier()), 400, "invalid_grant"},
			{"no verifier, after a wrong one", "shop", a.config.ClientSecret, with("code_verifier"), 400, "invalid_grant"},
			{"short verifier", "shop", a.config.ClientSecret, with("code_verifier", "x"), 400, "invalid_grant"},
		} {
			r := call(t, a.config.Endpoint.TokenURL, tt.id, tt.secret, tt.form)
			if r.status != tt.status || r.json["error"] != tt.want {
				t.Errorf("%s: %d %s, want %d %s", tt.name, r.status, r.text, tt.status, tt.want)
			}
			if desc, _ := r.json["error_description"].(string); !legal.MatchString(desc) {
				t.Errorf("%s: illegal characters in %q", tt.name, desc)
			}
			if r.header.Get("Cache-Control") != "no-store" {
				t.Errorf("%s: Cache-Control %q", tt.name, r.header.Get("Cache-Control"))
			}
			if tt.status == 401 && tt.secret != "" && r.header.Get("WWW-Authenticate") == "" {
				t.Errorf("%s: no WWW-Authenticate", tt.name)
			}
		}
		if r := call(t, a.config.Endpoint.TokenURL, "shop", a.config.ClientSecret, good); r.status != http.StatusOK {
			t.Fatalf("the right request after the wrong ones: %d %s", r.status, r.text)
		}
		r := call(t, a.config.Endpoint.TokenURL, "other", other, good)
		if r.json["error"] != "invalid_grant" {
			t.Errorf("another client's replay: %d %s", r.status, r.text)
		}
	})
}

// TestForeignTokensAreNotAccepted: each kind of token is good for its own purpose only.
func TestForeignTokensAreNotAccepted(t *testing.T) {
	everywhere(t, func(t *testing.T, d *deployment) {
		a := shop(t, d)
		stranger := d.client(t, "stranger", "--type", "machine", "--scope", "reports")
		tok, _ := a.tokens(newBrowser(t, d.issuer), ana, anaPassword)
		raw, _ := tok.Extra("id_token").(string)
		for name, token := range map[string]string{"an ID token": raw, "a refresh token": tok.RefreshToken, "garbage": "x.y.z"} {
			if r := a.userinfo(token); r.status != http.StatusUnauthorized || !strings.Contains(r.header.Get("WWW-Authenticate"), "Bearer") {
				t.Errorf("userinfo with %s: %d %s", name, r.status, r.text)
			}
		}
		if a.active(raw) {
			t.Error("an ID token was introspected as active")
		}
		if r := call(t, a.endpoint("introspection_endpoint"), "stranger", stranger, url.Values{"token": {tok.AccessToken}}); r.json["active"] != false || len(r.json) != 1 {
			t.Errorf("a stranger was told %s", r.text)
		}
		if r := call(t, a.endpoint("introspection_endpoint"), "", "", url.Values{"token": {tok.AccessToken}}); r.status != http.StatusUnauthorized {
			t.Errorf("introspection without authentication: %d %s", r.status, r.text)
		}
		if _, err := a.refresh(tok.AccessToken); err == nil {
			t.Error("an access token was accepted as a refresh token")
		}
	})
}
