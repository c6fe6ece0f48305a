package oauth2_test

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatekeeper-oidc/gatekeeper/audit"
	"github.com/gatekeeper-oidc/gatekeeper/oauth2"
)

func TestExchangeGivesTokensOfTheRightShape(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.shop()
	w.signIn("pwd", "otp", "mfa")
	a := w.tokens()
	if a.text("token_type") != "Bearer" || a.json["expires_in"] != 900.0 || a.text("scope") != "openid email offline_access" {
		t.Errorf("answer %v", a.json)
	}
	if !strings.HasPrefix(a.text("refresh_token"), "gk_rt_") || a.header.Get("Cache-Control") != "no-store" {
		t.Errorf("refresh token %q, Cache-Control %q", a.text("refresh_token"), a.header.Get("Cache-Control"))
	}
	header, access := payload(t, a.text("access_token"))
	if header["typ"] != "at+jwt" || header["alg"] != "RS256" || header["kid"] == "" {
		t.Errorf("access token header %v", header)
	}
	want := []string{"acr", "amr", "aud", "auth_time", "client_id", "email", "exp", "gid", "iat", "iss", "jti", "mfa_verified", "nbf", "roles", "scope", "sid", "sub", "uid"}
	if got := slices.DeleteFunc(slices.Sorted(maps.Keys(access)), func(s string) bool { return s == "offline" }); !cmp.Equal(got, want) {
		t.Errorf("access token claims (-want +got):\n%s", cmp.Diff(want, got))
	}
	for k, v := range map[string]any{"iss": issuer, "sub": userID, "uid": userID, "aud": issuer, "client_id": "shop", "email": "ana@example.org", "mfa_verified": true, "sid": w.session.ID} {
		if access[k] != v {
			t.Errorf("access token %s = %v, want %v", k, access[k], v)
		}
	}
	header, id := payload(t, a.text("id_token"))
	want = []string{"acr", "amr", "at_hash", "aud", "auth_time", "azp", "exp", "iat", "iss", "nonce", "sid", "sub"}
	if got := slices.Sorted(maps.Keys(id)); !cmp.Equal(got, want) {
		t.Errorf("ID token claims (-want +got):\n%s", cmp.Diff(want, got))
	}
	sum := s256(a.text("access_token"))
	for k, v := range map[string]any{
		"iss": issuer, "sub": userID, "aud": "shop", "azp": "shop", "nonce": "n-0S6", "sid": w.session.ID,
		"auth_time": float64(w.session.AuthTime.Unix()), "acr": "2",
	} {
		if id[k] != v {
			t.Errorf("ID token %s = %v, want %v", k, id[k], v)
		}
	}
	if hash, _ := id["at_hash"].(string); len(hash) != 22 || !strings.HasPrefix(sum, hash[:20]) || header["typ"] != "JWT" {
		t.Errorf("at_hash %q of %q, typ %v", hash, sum, header["typ"])
	}
	if e := w.events(audit.GrantIssued); len(e) != 1 || e[0].Grant != access["gid"] || e[0].Session != w.session.ID || e[0].Actor != "client:shop" {
		t.Errorf("events %+v, want one grant.issued", e)
	}
}

func TestWithoutOfflineAccessThereIsNoRefreshToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.shop()
	a := w.wantOK(w.token("shop", codeForm(w.code(with(query(), "scope", "openid")))))
	if a.text("refresh_token") != "" || a.text("id_token") == "" {
		t.Errorf("got %v", a.json)
	}
	w.client(oauth2.Client{ID: "short", RedirectURIs: []string{callback}, Grants: []string{"authorization_code"}})
	a = w.wantOK(w.token("short", codeForm(w.code(with(query(), "client_id", "short")))))
	if a.text("refresh_token") != "" || strings.Contains(a.text("scope"), "offline_access") {
		t.Errorf("a client without the refresh grant got %v", a.json)
	}
	a = w.wantOK(w.token("shop", codeForm(w.code(with(query(), "scope", "orders")))))
	if a.text("id_token") != "" {
		t.Error("an ID token without the scope openid")
	}
}

// F1: a wrong verifier must not open the door to none.
func TestWrongVerifierDoesNotBurnTheChallenge(t *testing.T) {
	t.Parallel()
	for _, noPKCE := range []bool{false, true} {
		w := newWorld(t)
		w.client(oauth2.Client{ID: "shop", RedirectURIs: []string{callback}, InsecureNoPKCE: noPKCE})
		form := codeForm(w.code(query()))
		w.wantError(w.token("shop", with(form, "code_verifier", strings.Repeat("x", 43))), 400, "invalid_grant")
		w.wantError(w.token("shop", with(form, "code_verifier", "")), 400, "invalid_grant")
		w.wantOK(w.token("shop", form))
	}
}

// F2: only the owner's second use is replay, and it revokes what the first gave.
func TestReplayIsTheOwnersOnly(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.shop()
	w.client(oauth2.Client{ID: "other", RedirectURIs: []string{callback}})
	form := codeForm(w.code(query()))
	first := w.wantOK(w.token("shop", form))
	w.wantError(w.token("other", form), 400, "invalid_grant")
	w.wantError(w.token("shop", with(form, "redirect_uri", callback+"/")), 400, "invalid_grant")
	w.wantError(w.token("shop", with(form, "code_verifier", strings.Repeat("x", 43))), 400, "invalid_grant")
	w.wantAlive(first.text("access_token"), true)
	w.wantError(w.token("shop", form), 400, "invalid_grant")
	w.wantAlive(first.text("access_token"), false)
	w.wantError(w.token("shop", refreshForm(first.text("refresh_token"))), 400, "invalid_grant")
	if e := w.events(audit.CodeReplayed); len(e) != 1 {
		t.Errorf("%d events, want one code.replayed", len(e))
	}
}

// F4: the insert is the guard.
func TestOfManyRedemptionsOneSucceeds(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.shop()
	form := codeForm(w.code(query()))
	ok := 0
	for _, a := range at32(func(int) answer { return w.token("shop", form) }) {
		if a.status == http.StatusOK {
			ok++
		} else {
			w.wantError(a, 400, "invalid_grant")
		}
	}
	if ok != 1 {
		t.Errorf("%d redemptions succeeded, want 1", ok)
	}
}

func TestCodeExpires(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.shop()
	form := codeForm(w.code(query()))
	w.later(61 * time.Second)
	w.wantError(w.token("shop", form), 400, "invalid_grant")
}

func TestPKCEOptOutIsNoDowngrade(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.client(oauth2.Client{ID: "shop", RedirectURIs: []string{callback}, InsecureNoPKCE: true})
	without := with(query(), "code_challenge", "", "code_challenge_method", "")
	form := codeForm(w.code(without))
	w.wantError(w.token("shop", form), 400, "invalid_grant") // a verifier without a challenge
	w.wantOK(w.token("shop", with(form, "code_verifier", "")))
	form = codeForm(w.code(query()))
	w.wantError(w.token("shop", with(form, "code_verifier", "")), 400, "invalid_grant") // a challenge is enforced
	w.wantOK(w.token("shop", form))
}

func TestStoreFailureCostsNobodyAnything(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.shop()
	form := codeForm(w.code(query()))
	unavailable := func(a answer) {
		t.Helper()
		w.wantError(a, 503, "temporarily_unavailable")
		if a.header.Get("Retry-After") == "" {
			t.Error("no Retry-After")
		}
	}
	w.store.deaf.Store(true)
	unavailable(w.token("shop", form))
	w.store.deaf.Store(false)
	first := w.wantOK(w.token("shop", form))
	w.store.deaf.Store(true)
	unavailable(w.token("shop", refreshForm(first.text("refresh_token"))))
	unavailable(w.post("/oauth2/revoke", "shop", map[string][]string{"token": {first.text("access_token")}}))
	unavailable(w.post("/oauth2/revoke", "shop", map[string][]string{"token": {first.text("refresh_token")}}))
	w.store.deaf.Store(false)
	w.wantAlive(first.text("access_token"), true)
	w.wantOK(w.token("shop", refreshForm(first.text("refresh_token"))))
}

// Signing comes before the flush, so a key that does not answer spends nothing.
func TestSigningFailureCostsNobodyAnything(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *options) { o.grace = 0 })
	w.shop()
	form := codeForm(w.code(query()))
	w.source.broken.Store(true)
	if a := w.token("shop", form); a.status != http.StatusServiceUnavailable {
		t.Errorf("got %d %v, want 503", a.status, a.json)
	}
	w.source.broken.Store(false)
	rt := refreshForm(w.wantOK(w.token("shop", form)).text("refresh_token"))
	w.source.broken.Store(true)
	if a := w.token("shop", rt); a.status != http.StatusServiceUnavailable {
		t.Errorf("got %d %v, want 503", a.status, a.json)
	}
	w.source.broken.Store(false)
	w.wantOK(w.token("shop", rt))
}

func TestTokenRequestsThatAreRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.shop()
	good := codeForm(w.code(query()))
	double := func(name string) map[string][]string {
		v := with(good)
		v[name] = append(slices.Clone(v[name]), "x")
		return v
	}
	for name, tt := range map[string]struct {
		form map[string][]string
		want string
	}{
		"no grant type":        {with(good, "grant_type", ""), "invalid_request"},
		"unknown grant type":   {with(good, "grant_type", "password"), "unsupported_grant_type"},
		"grant type twice":     {double("grant_type"), "invalid_request"},
		"code twice":           {double("code"), "invalid_request"},
		"no code":              {with(good, "code", ""), "invalid_request"},
		"garbage code":         {with(good, "code", "gk_ac_AAAA"), "invalid_grant"},
		"refresh token as code": {with(good, "code", "gk_rt_AAAA"), "invalid_grant"},
		"no redirect URI":      {with(good, "redirect_uri", ""), "invalid_grant"},
		"other redirect URI":   {with(good, "redirect_uri", callback+"?x"), "invalid_grant"},
		"short verifier":       {with(good, "code_verifier", "x"), "invalid_grant"},
		"wrong grant":          {with(good, "grant_type", "client_credentials"), "unauthorized_client"},
		"foreign resource":     {with(good, "resource", "https://evil.example"), "invalid_target"},
	} {
		a := w.post("/oauth2/token", "shop", tt.form)
		if a.status != 400 || a.text("error") != tt.want {
			t.Errorf("%s: got %d %v, want 400 %s", name, a.status, a.json, tt.want)
		}
		if d := a.text("error_description"); strings.ContainsAny(d, "\"\\\r\n") {
			t.Errorf("%s: error_description %q", name, d)
		}
	}
	w.wantOK(w.token("shop", good)) // none of them spent the code
}

func TestClientCredentials(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.client(oauth2.Client{ID: "sync", Type: oauth2.Machine, Scopes: []string{"orders", "stock"}, Audience: []string{"https://api.example.org", "https://b.example.org"}})
	form := map[string][]string{"grant_type": {"client_credentials"}}
	w.wantOK(w.token("sync", form)) // fills the caches
	var a answer
	if n := w.trips(func() { a = w.wantOK(w.token("sync", form)) }); n != 0 {
		t.Errorf("%d round trips, want 0", n)
	}
	if a.text("refresh_token") != "" || a.text("id_token") != "" || a.text("scope") != "orders stock" {
		t.Errorf("got %v", a.json)
	}
	_, c := payload(t, a.text("access_token"))
	for _, name := range []string{"uid", "roles", "sid", "gid", "email", "mfa_verified", "auth_time"} {
		if _, ok := c[name]; ok {
			t.Errorf("claim %s of nobody: %v", name, c[name])
		}
	}
	if c["sub"] != "sync" || c["client_id"] != "sync" || !cmp.Equal(c["aud"], []any{"https://api.example.org", "https://b.example.org"}) {
		t.Errorf("claims %v", c)
	}
	_, c = payload(t, w.wantOK(w.token("sync", with(form, "resource", "https://b.example.org", "scope", "stock"))).text("access_token"))
	if c["aud"] != "https://b.example.org" || c["scope"] != "stock" {
		t.Errorf("narrowed claims %v", c)
	}
	w.wantError(w.token("sync", with(form, "scope", "openid")), 400, "invalid_scope")
	w.wantError(w.token("sync", with(form, "scope", "admin")), 400, "invalid_scope")
	w.wantError(w.token("sync", with(form, "resource", "https://c.example.org")), 400, "invalid_target")
	w.wantAlive(a.text("access_token"), true)
}

func TestRedemptionOfSomebodyWhoLeft(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.shop()
	form := codeForm(w.code(query()))
	_, err := w.db.EndSessions(t.Context(), userID)
	must(t, err)
	w.provider.Forget("session:" + w.session.ID)
	w.wantError(w.token("shop", form), 400, "invalid_grant")
}
