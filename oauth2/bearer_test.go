package oauth2_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatekeeper-oidc/gatekeeper/audit"
	"github.com/gatekeeper-oidc/gatekeeper/identity"
	"github.com/gatekeeper-oidc/gatekeeper/oauth2"
)

const ci = "https://ci.example"

// trusting is a client that may bring assertions of ci about subjects, and what
// makes them.
func (f *fixture) trusting(id string, subjects ...string) (*app, func(edit map[string]any) string, *ecdsa.PrivateKey) {
	f.tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(f.tb, err)
	a := f.app(id, func(c *oauth2.Client) {
		c.Type, c.Grants = oauth2.Machine, []string{oauth2.GrantJWTBearer}
		c.Scopes = []string{"openid", "email", "offline_access", "api:read"}
		c.TrustedIssuers = []oauth2.TrustedIssuer{{Issuer: ci, JWKS: jwks(f.tb, key), Subjects: subjects}}
	})
	return a, func(edit map[string]any) string {
		claims := map[string]any{"sub": subjects[0]}
		for k, v := range edit {
			claims[k] = v
		}
		return f.assertion(key, "ES256", ci, claims)
	}, key
}

func (a *app) bring(assertion string, pairs ...string) reply {
	a.f.tb.Helper()
	return a.token(append([]string{"grant_type", oauth2.GrantJWTBearer, "assertion", assertion}, pairs...)...)
}

func TestJWTBearer(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, f *fixture) {
		deploy, says, _ := f.trusting("deploy", f.user.ID, "alice@example.com")
		m := deploy.bring(says(nil)).ok()
		token := tokensOf(m).Access
		c := claims(t, token)
		if m["scope"] != "email api:read" || m["refresh_token"] != nil || m["id_token"] != nil || m["token_type"] != "Bearer" {
			t.Errorf("answer %v", m)
		}
		if c["sub"] != f.user.ID || c["client_id"] != "deploy" || c["gid"] == nil || c["sid"] != nil || c["auth_time"] != nil || c["acr"] != nil || c["email"] != f.user.Email {
			t.Errorf("claims %v", c)
		}
		in := inspected(t, f, token)
		if in.Subject != f.user.ID || !in.AuthTime.IsZero() || f.events(audit.GrantIssued, in.Grant) != 1 {
			t.Errorf("inspected %+v", in)
		}
		byMail := deploy.bring(says(map[string]any{"sub": "ALICE@example.com"}), "scope", "api:read").ok()
		if c := claims(t, tokensOf(byMail).Access); c["sub"] != f.user.ID || c["scope"] != "api:read" {
			t.Errorf("by address: %v", c)
		}
		if _, err := f.db.EndSessions(t.Context(), f.user.ID); err != nil || !f.alive(token) {
			t.Error("a sign-out ended what no sign-in began")
		}
		if done, err := f.db.RevokeGrants(t.Context(), f.user.ID, "deploy"); err != nil || len(done) != 2 || f.alive(token) {
			t.Errorf("after revoking %v, %v it is alive: %v", done, err, f.alive(token))
		}
	})
}

func TestJWTBearerRefuses(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, f *fixture) {
		bob, _ := f.person("bob")
		bob.Status = identity.Locked
		must(t, f.db.UpdateUser(t.Context(), bob))
		carol, _ := f.person("carol")
		carol.EmailVerified = false
		must(t, f.db.UpdateUser(t.Context(), carol))
		deploy, says, key := f.trusting("deploy", f.user.ID, bob.ID, carol.Email, "nobody@example.com", "0b9f6f2e-0000-4000-8000-0000000000ff")
		foreign, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		must(t, err)
		shop := f.app("shop")
		in := func(d time.Duration) int64 { return f.now().Add(d).Unix() }
		used := says(nil)
		deploy.bring(used).ok()
		sub := func(s any) string { return says(map[string]any{"sub": s}) }
		for _, c := range []struct{ name, assertion, rule string }{
			{"used before", used, "assertion_unused"},
			{"the same id in other words", says(map[string]any{"jti": claims(t, used)["jti"], "exp": in(2 * time.Minute)}), "assertion_unused"},
			{"an issuer nobody trusts", f.assertion(key, "ES256", "https://evil.example", map[string]any{"sub": f.user.ID}), "assertion_issuer_trusted"},
			{"no issuer", says(map[string]any{"iss": nil}), "assertion_issuer_trusted"},
			{"a foreign key", f.assertion(foreign, "ES256", ci, map[string]any{"sub": f.user.ID}), "assertion_signature"},
			{"no signature", f.assertion(key, "none", ci, map[string]any{"sub": f.user.ID}), "assertion_signature"},
			{"an HMAC", f.assertion(key, "HS256", ci, map[string]any{"sub": f.user.ID}), "assertion_signature"},
			{"garbage", "garbage", "assertion_form"},
			{"three parts of garbage", "a.b.c", "assertion_form"},
			{"claims of another shape", says(map[string]any{"exp": "soon"}), "assertion_form"},
			{"our own ID token", shop.login().ID, "assertion_issuer_trusted"},
			{"another audience", says(map[string]any{"aud": "https://bank.example"}), "assertion_audience"},
			{"two audiences", says(map[string]any{"aud": []string{issuer, "https://bank.example"}}), "assertion_audience"},
			{"no audience", says(map[string]any{"aud": nil}), "assertion_audience"},
			{"expired", says(map[string]any{"exp": in(-time.Minute)}), "assertion_exp"},
			{"no end", says(map[string]any{"exp": nil}), "assertion_exp"},
			{"too long", says(map[string]any{"exp": in(time.Hour)}), "assertion_exp"},
			{"not yet", says(map[string]any{"nbf": in(time.Minute)}), "assertion_iat"},
			{"from tomorrow", says(map[string]any{"iat": in(24 * time.Hour)}), "assertion_iat"},
			{"no id", says(map[string]any{"jti": nil}), "assertion_jti"},
			{"a huge id", says(map[string]any{"jti": strings.Repeat("j", 300)}), "assertion_jti"},
			{"nobody", sub(nil), "assertion_subject"},
			{"somebody it may not speak for", sub(carol.ID), "assertion_subject"},
			{"the client, unasked", sub("deploy"), "assertion_subject"},
			{"who is locked", sub(bob.ID), "assertion_person"},
			{"an address nobody has proved", sub(carol.Email), "assertion_person"},
			{"an address nobody has", sub("nobody@example.com"), "assertion_person"},
			{"an id nobody has", sub("0b9f6f2e-0000-4000-8000-0000000000ff"), "assertion_person"},
		} {
			deploy.bring(c.assertion).refused(http.StatusBadRequest, "invalid_grant")
			if rule := f.rule.Load(); rule != c.rule {
				t.Errorf("%s: decided by %v, want %s", c.name, rule, c.rule)
			}
		}
		deploy.bring("").refused(http.StatusBadRequest, "invalid_request")
		for scope, code := range map[string]string{"openid": "invalid_scope", "offline_access": "invalid_scope", "api:write": "invalid_scope", "a\"b": "invalid_scope"} {
			deploy.bring(says(nil), "scope", scope).refused(http.StatusBadRequest, code)
		}
		deploy.bring(says(nil), "audience", "https://bank.example").refused(http.StatusBadRequest, "invalid_target")
		shop.bring(says(nil)).refused(http.StatusBadRequest, "unauthorized_client")
		for _, method := range []string{"RedeemGrant", "Standing"} {
			one := says(nil)
			f.p.Forget("*")
			f.store.fail(method, 1)
			if r := deploy.bring(one); r.Status != http.StatusServiceUnavailable {
				t.Errorf("%s is down: %d %s", method, r.Status, r.Body)
			}
			deploy.bring(one).ok() // it was not used up
		}
	})
}

// A client may be what is asserted: a build that has no secret of its own, say.
func TestJWTBearerForTheClient(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, f *fixture) {
		build, says, _ := f.trusting("build", "build")
		one := says(nil)
		m := build.bring(one).ok()
		c := claims(t, tokensOf(m).Access)
		if m["scope"] != "api:read" || c["sub"] != "build" || c["gid"] != nil || c["uid"] != nil {
			t.Errorf("answer %v, claims %v", m, c)
		}
		build.bring(one).refused(http.StatusBadRequest, "invalid_grant")
		build.bring(says(nil), "scope", "email").refused(http.StatusBadRequest, "invalid_scope")
	})
}

func TestJWTBearerIsUsedOnce(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, f *fixture) {
		for subject, id := range map[string]string{f.user.ID: "deploy", "build": "build"} {
			a, says, _ := f.trusting(id, subject)
			one := says(nil)
			var won atomic.Int32
			race(32, func(int) {
				if a.bring(one).Status == http.StatusOK {
					won.Add(1)
				}
			})
			if won.Load() != 1 {
				t.Errorf("%s: %d of 32 succeeded, want 1", id, won.Load())
			}
		}
	})
}

// Keys by reference are fetched, and "cannot fetch" is not "not signed".
func TestJWTBearerKeysByReference(t *testing.T) {
	t.Parallel()
	f := newFixture(t, databases["sqlite"](t))
	_, says, key := f.trusting("by-value", f.user.ID)
	var away atomic.Bool
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if away.Load() {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(jwks(t, key))
	}))
	t.Cleanup(server.Close)
	away.Store(true)
	ref := f.app("by-reference", func(c *oauth2.Client) {
		c.Type, c.Grants, c.Scopes = oauth2.Machine, []string{oauth2.GrantJWTBearer}, []string{"api:read"}
		c.TrustedIssuers = []oauth2.TrustedIssuer{{Issuer: ci, JWKSURI: server.URL + "/jwks", Subjects: []string{f.user.ID}}}
	})
	if r := ref.bring(says(nil)); r.Status != http.StatusServiceUnavailable {
		t.Errorf("keys that cannot be had: %d %s", r.Status, r.Body)
	}
	away.Store(false)
	f.later(time.Hour)
	ref.bring(says(nil)).ok()
}

// FuzzJWTBearer: nothing that ci did not sign makes a token, and nothing is a
// server error.
func FuzzJWTBearer(f *testing.F) {
	fx := anywhere(f)
	deploy, says, key := fx.trusting("deploy", fx.user.ID)
	genuine := says(nil)
	f.Add(genuine[:len(genuine)-2] + "AA")
	f.Add(fx.assertion(key, "none", ci, nil))
	f.Add("eyJhbGciOiJub25lIn0.eyJpc3MiOiJodHRwczovL2NpLmV4YW1wbGUifQ.")
	f.Add("..")
	f.Add("a.e30.b")
	f.Fuzz(func(t *testing.T, assertion string) {
		if assertion == genuine {
			return
		}
		v := url.Values{"grant_type": {oauth2.GrantJWTBearer}, "assertion": {assertion}}
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, issuer+"/oauth2/token", strings.NewReader(v.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Authorization", basic("deploy", deploy.secret))
		w := httptest.NewRecorder()
		fx.mux.ServeHTTP(w, r)
		if w.Code != http.StatusBadRequest && w.Code != http.StatusRequestEntityTooLarge {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	})
}
