package oauth2_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/gatekeeper-oidc/gatekeeper/audit"
	"github.com/gatekeeper-oidc/gatekeeper/keys"
	"github.com/gatekeeper-oidc/gatekeeper/oauth2"
)

// TestFrontResponses: every response type brings what it says, in a fragment, with
// the hashes of what travels along (OpenID Connect Core sections 3.2.2.5 and
// 3.3.2.11).
func TestFrontResponses(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, f *fixture) {
		a := f.app("hybrid", hybrid)
		for _, c := range []struct {
			response                 string
			code, idToken, token     bool
			atHash, cHash, hasClaims bool
		}{
			{response: "id_token", idToken: true, hasClaims: true},
			{response: "id_token token", idToken: true, token: true, atHash: true},
			{response: "code id_token", code: true, idToken: true, cHash: true},
			{response: "code token", code: true, token: true},
			{response: "token id_token code", code: true, idToken: true, token: true, atHash: true, cHash: true},
		} {
			v := a.request("response_type", c.response)
			if !c.code {
				v.Del("code_challenge")
				v.Del("code_challenge_method")
			}
			r := f.authorize("alice", v)
			if to := r.Header.Get("Location"); !strings.HasPrefix(to, callback+"#") {
				t.Fatalf("%s went to %s, not into a fragment", c.response, to)
			}
			_, q := r.location()
			if q.Has("code") != c.code || q.Has("id_token") != c.idToken || q.Has("access_token") != c.token {
				t.Fatalf("%s brought %v", c.response, q)
			}
			if q.Get("state") != "a state" || q.Get("iss") != issuer || c.token != (q.Get("token_type") == "Bearer" && q.Get("expires_in") == "900") {
				t.Errorf("%s: %v", c.response, q)
			}
			if c.token && !f.alive(q.Get("access_token")) {
				t.Errorf("%s: the access token is dead", c.response)
			}
			if c.idToken {
				got := claims(t, q.Get("id_token"))
				if got["nonce"] != "a nonce" || got["sub"] != f.user.ID || got["s_hash"] != oauth2.HalfHash(keys.RS256, "a state") {
					t.Errorf("%s: ID token says %v", c.response, got)
				}
				hash := func(name, of string, due bool) {
					if want := oauth2.HalfHash(keys.RS256, of); (got[name] != nil) != due || due && got[name] != want {
						t.Errorf("%s: %s is %v, want %s", c.response, name, got[name], want)
					}
				}
				hash("at_hash", q.Get("access_token"), c.atHash)
				hash("c_hash", q.Get("code"), c.cHash)
				if (got["email"] != nil) != c.hasClaims {
					t.Errorf("%s: email in the ID token is %v", c.response, got["email"])
				}
			}
			if c.code {
				redeemed := tokensOf(a.redeem(q.Get("code")).ok())
				if second := claims(t, redeemed.ID); second["sub"] != f.user.ID || second["nonce"] != "a nonce" || second["c_hash"] != nil {
					t.Errorf("%s: the token endpoint's ID token says %v", c.response, second)
				}
			}
		}
	})
}

// TestFrontIsOffByDefault: a server that was not asked to offers codes alone.
func TestFrontIsOffByDefault(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, f *fixture) {
		c := oauth2.Client{ID: "hybrid", RedirectURIs: []string{callback}}
		hybrid(&c)
		if err := f.p.CheckClient(&c); err == nil {
			t.Error("a client registered what the server does not offer")
		}
		a := f.app("shop")
		if _, q := f.authorize("alice", a.request("response_type", "id_token")).location(); q.Get("error") != "unsupported_response_type" {
			t.Errorf("told %v", q)
		}
	}, func(c *oauth2.Config) { c.ResponseTypes = nil })
}

// TestFrontGrants: what passed through the browser is a grant like any other: in
// the trail once, and dead when its session is.
func TestFrontGrants(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, f *fixture) {
		a := f.app("hybrid", hybrid)
		_, q := f.authorize("alice", a.request("response_type", "id_token token", "scope", "openid")).location()
		if n := f.events(audit.GrantIssued, "hybrid"); n != 1 {
			t.Errorf("%d grants in the trail, want 1", n)
		}
		_, err := f.db.EndSessions(t.Context(), f.user.ID)
		must(t, err)
		f.p.Forget("session:" + f.session.ID)
		if f.alive(q.Get("access_token")) {
			t.Error("the token outlived its session")
		}
		f.user, f.session = f.person("bob")
		f.store.fail("RedeemGrant", 1)
		if r := f.authorize("bob", a.request("response_type", "id_token token")); r.Status != 503 || r.Header.Get("Retry-After") == "" {
			t.Errorf("with the store down: %d %s", r.Status, r.Header.Get("Location"))
		}
	})
}

// TestJARM: the answer, an error too, is one JWT for the client (JWT Secured
// Authorization Response Mode section 2).
func TestJARM(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, f *fixture) {
		a := f.app("jarm", hybrid, func(c *oauth2.Client) { c.AuthorizationAlg = keys.ES256 })
		for mode, prefix := range map[string]string{"jwt": "?", "query.jwt": "?", "fragment.jwt": "#"} {
			r := f.authorize("alice", a.request("response_mode", mode))
			if to := r.Header.Get("Location"); !strings.HasPrefix(to, callback+prefix+"response=") {
				t.Fatalf("%s went to %s", mode, to)
			}
			_, q := r.location()
			got := claims(t, q.Get("response"))
			if len(q) != 1 || got["iss"] != issuer || got["aud"] != "jarm" || got["state"] != "a state" || got["code"] == nil {
				t.Errorf("%s: %v says %v", mode, q, got)
			}
			if segment(t, q.Get("response"), 0)["alg"] != "ES256" {
				t.Errorf("%s: signed otherwise than registered", mode)
			}
			if exp, _ := got["exp"].(float64); exp < float64(f.now().Unix())+10 || exp > float64(f.now().Unix())+600 {
				t.Errorf("%s: exp %v", mode, got["exp"])
			}
			a.redeem(got["code"].(string)).ok()
		}
		_, q := f.authorize("alice", a.request("response_mode", "jwt", "prompt", "dance")).location()
		if got := claims(t, q.Get("response")); got["error"] != "invalid_request" || got["code"] != nil {
			t.Errorf("an error says %v", got)
		}
		page := f.authorize("alice", a.request("response_mode", "form_post.jwt"))
		if page.Status != 200 || !strings.Contains(page.Body, `name="response"`) || strings.Contains(page.Body, `name="code"`) {
			t.Errorf("form_post.jwt: %d %.200s", page.Status, page.Body)
		}
		if _, q := f.authorize("alice", a.request("response_type", "id_token", "response_mode", "query.jwt")).location(); q.Get("error") != "invalid_request" {
			t.Errorf("an unencrypted ID token in a query: %v", q)
		}
	})
}

// TestFormPostErrors: an error goes the way the answer would have gone.
func TestFormPostErrors(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, f *fixture) {
		a := f.app("hybrid", hybrid)
		r := f.authorize("", a.request("response_mode", "form_post", "prompt", "none", "response_type", "code id_token"))
		for _, want := range []string{`name="error" value="login_required"`, `name="state" value="a state"`, `name="iss"`} {
			if !strings.Contains(r.Body, want) {
				t.Errorf("the form lacks %s", want)
			}
		}
		_, q := f.authorize("", a.request("prompt", "none", "response_type", "id_token")).location()
		if q.Get("error") != "login_required" {
			t.Errorf("told %v", q)
		}
	})
}

// What has left the registration of an application since is no longer given, asked
// for by name or not.
func TestNamedClaimsEndWithTheirScope(t *testing.T) {
	t.Parallel()
	f := newFixture(t, databases["sqlite"](t))
	a := f.app("shop")
	got := a.login("claims", `{"userinfo":{"name":null,"email":null},"id_token":{"email":null}}`, "scope", "openid offline_access")
	c, err := f.db.Client(t.Context(), "shop")
	must(t, err)
	c.Scopes = []string{"openid", "profile", "offline_access"}
	must(t, f.db.UpdateClient(t.Context(), c))
	f.p.Forget("client:shop")
	again := tokensOf(a.refresh(got.Refresh).ok())
	if id := claims(t, again.ID); id["email"] != nil {
		t.Errorf("the ID token says %v", id)
	}
	if in := inspected(t, f, again.Access); in.Claims.IDToken != nil || len(in.Claims.Userinfo) != 1 || in.Claims.Userinfo[0] != "name" {
		t.Errorf("userinfo would say %v", in.Claims)
	}
}

// TestClaimsParameter: what is asked for by name is where it was asked for, and
// nowhere else (OpenID Connect Core section 5.5).
func TestClaimsParameter(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, f *fixture) {
		a := f.app("shop")
		ask := url.Values{"claims": {`{"userinfo":{"name":{"essential":true},"unheard_of":null},"id_token":{"email":null,"auth_time":{"essential":true}}}`}}
		got := a.login("claims", ask.Get("claims"), "scope", "openid")
		id := claims(t, got.ID)
		if id["email"] != f.user.Email || id["name"] != nil {
			t.Errorf("the ID token says %v", id)
		}
		token, err := f.p.Inspect(t.Context(), got.Access)
		must(t, err)
		if len(token.Claims.Userinfo) != 1 || token.Claims.Userinfo[0] != "name" || len(token.Claims.IDToken) != 1 {
			t.Errorf("the grant keeps %v", token.Claims)
		}
		poor := f.app("poor", func(c *oauth2.Client) { c.Scopes = []string{"openid"} })
		if id := claims(t, poor.login("claims", ask.Get("claims"), "scope", "openid").ID); id["email"] != nil {
			t.Errorf("a client without the scope was told %v", id)
		}
		for sub, want := range map[string]string{f.user.ID: "", "somebody-else": "login_required"} {
			_, q := f.authorize("alice", a.request("prompt", "none", "claims", `{"id_token":{"sub":{"value":"`+sub+`"}}}`)).location()
			if q.Get("error") != want {
				t.Errorf("sub %s: %v, want %q", sub, q, want)
			}
		}
		for subs, want := range map[string]string{`"x","` + f.user.ID + `"`: "", `"x","y"`: "login_required", ``: "login_required"} {
			_, q := f.authorize("alice", a.request("prompt", "none", "claims", `{"id_token":{"sub":{"values":[`+subs+`]}}}`)).location()
			if q.Get("error") != want {
				t.Errorf("one of the subs %s: %v, want %q", subs, q, want)
			}
		}
		_, q := f.authorize("alice", a.request("claims", `{"id_token":{"acr":{"essential":true,"values":["1"]}}}`)).location()
		if q.Get("code") == "" {
			t.Errorf("an acr that is met: %v", q)
		}
	})
}
