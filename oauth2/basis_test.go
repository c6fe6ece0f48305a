package oauth2_test

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/gatekeeper-oidc/gatekeeper/identity"
	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
	"github.com/gatekeeper-oidc/gatekeeper/oauth2"
)

// withdraw is what package consent does when a person takes their consent back.
func (a *app) withdraw() {
	a.f.tb.Helper()
	must(a.f.tb, a.f.db.InTx(a.f.tb.Context(), func(ctx context.Context) error {
		if err := a.f.db.DeleteConsent(ctx, a.f.user.ID, a.ID); err != nil {
			return err
		}
		_, err := a.f.db.RevokeGrants(ctx, a.f.user.ID, a.ID)
		return err
	}))
}

// anew deletes the client and makes it again, as it was; alice allows it again.
func (a *app) anew() {
	a.f.tb.Helper()
	must(a.f.tb, a.f.db.DeleteClient(a.f.tb.Context(), a.ID))
	must(a.f.tb, a.f.db.InsertClient(a.f.tb.Context(), a.Client))
	a.f.allow(a.f.user, a.Client)
}

// change edits the registration, as an operator does.
func (a *app) change(edit func(c *oauth2.Client)) {
	a.f.tb.Helper()
	c, err := a.f.db.Client(a.f.tb.Context(), a.ID)
	must(a.f.tb, err)
	edit(&c)
	must(a.f.tb, a.f.db.UpdateClient(a.f.tb.Context(), c))
}

func (a *app) without(scopes ...string) {
	a.f.tb.Helper()
	a.change(func(c *oauth2.Client) {
		c.Scopes = slices.DeleteFunc(slices.Clone(c.Scopes), func(s string) bool { return slices.Contains(scopes, s) })
	})
}

// deafened runs f with its bells, and with every bell lost from when hush is called.
func deafened(t *testing.T, run func(t *testing.T, f *fixture, hush func())) {
	t.Helper()
	for _, deaf := range []bool{false, true} {
		t.Run(map[bool]string{false: "bells heard", true: "bells lost"}[deaf], func(t *testing.T) {
			t.Parallel()
			onEach(t, func(t *testing.T, f *fixture) {
				run(t, f, func() { f.settle(); f.deaf.Store(deaf) })
			})
		})
	}
}

// TestPapersEndWithWhatTheyStandOn: a code and an approved device are worth nothing
// once what they stand on is gone, whether or not the node has heard of it, and leave
// nothing that lives.
func TestPapersEndWithWhatTheyStandOn(t *testing.T) {
	t.Parallel()
	takings := map[string]struct {
		take func(a *app)
		want string
	}{
		"consent withdrawn": {(*app).withdraw, "invalid_grant"},
		"made again":        {(*app).anew, "invalid_grant"},
		"scopes taken":      {func(a *app) { a.without("openid", "email", "offline_access") }, "invalid_grant"},
		"grant taken": {func(a *app) {
			a.change(func(c *oauth2.Client) { c.Grants = []string{oauth2.GrantImplicit} })
		}, "unauthorized_client"},
		"session ended": {func(a *app) {
			_, err := a.f.db.EndSessions(a.f.tb.Context(), a.f.user.ID)
			must(a.f.tb, err)
		}, "invalid_grant"},
		"locked": {func(a *app) {
			u := a.f.user
			u.Status = identity.Locked
			must(a.f.tb, a.f.db.UpdateUser(a.f.tb.Context(), u))
		}, "invalid_grant"},
		"deleted": {func(a *app) {
			if err := a.f.db.DeleteUser(a.f.tb.Context(), a.f.user.ID); !fault.Is(err, fault.NotFound) { // both applications want it
				must(a.f.tb, err)
			}
		}, "invalid_grant"},
		"code taken": {func(a *app) { a.change(func(c *oauth2.Client) { c.ResponseTypes = []string{"id_token"} }) }, "invalid_grant"},
		"address moved": {func(a *app) {
			a.change(func(c *oauth2.Client) { c.RedirectURIs = []string{"https://elsewhere.example/cb"} })
		}, "invalid_grant"},
	}
	deafened(t, func(t *testing.T, f *fixture, hush func()) {
		shop, player := f.app("shop", hybrid), f.app("player", tv)
		for name, c := range takings {
			f.deaf.Store(false)
			f.user, f.session = f.person("alice" + strings.ReplaceAll(name, " ", ""))
			who := "alice" + strings.ReplaceAll(name, " ", "")
			for _, a := range []*app{shop, player} { // as it was registered
				a.change(func(c *oauth2.Client) { *c = a.Client })
				f.allow(f.user, a.Client)
			}
			f.settle()
			papers := map[*app]func() reply{}
			_, q := f.authorize(who, shop.request()).location()
			papers[shop] = func() reply { return shop.redeem(q.Get("code")) }
			if name != "code taken" && name != "address moved" { // a device has neither
				device, user := player.ask("scope", "openid email offline_access")
				f.decided(who, user, "")
				papers[player] = func() reply { return player.poll(device) }
			}
			hush()
			for a, redeem := range papers {
				c.take(a)
				r := redeem()
				if r.Status != http.StatusBadRequest && r.Status != http.StatusUnauthorized || r.json()["error"] != c.want {
					t.Errorf("%s, %s: %d %s, want %s", name, a.ID, r.Status, r.Body, c.want)
				}
				live, err := f.db.Grants(t.Context(), f.user.ID)
				must(t, err)
				if len(live) > 0 {
					t.Errorf("%s, %s: left %v", name, a.ID, live)
				}
			}
		}
	})
}

// TestWhatIsLeftOfAScope: a code is worth what its client is still registered for.
func TestWhatIsLeftOfAScope(t *testing.T) {
	t.Parallel()
	deafened(t, func(t *testing.T, f *fixture, hush func()) {
		shop := f.app("shop")
		code := shop.code()
		hush()
		shop.without("email", "offline_access")
		m := shop.redeem(code).ok()
		if m["scope"] != "openid" || m["refresh_token"] != nil {
			t.Errorf("scope %v, refresh token %v", m["scope"], m["refresh_token"])
		}
		live, err := f.db.Grants(t.Context(), f.user.ID)
		must(t, err)
		if len(live) != 1 || !slices.Equal(live[0].Scopes, []string{"openid"}) || live[0].Offline {
			t.Errorf("the grant is %+v", live)
		}
	})
}

// TestRefreshTokensLiveOnSomething: on offline_access, or on the session and the
// registration, and no longer than these.
func TestRefreshTokensLiveOnSomething(t *testing.T) {
	t.Parallel()
	deafened(t, func(t *testing.T, f *fixture, hush func()) {
		ends := func() {
			_, err := f.db.EndSessions(t.Context(), f.user.ID)
			must(t, err)
		}
		byRegistration := func(c *oauth2.Client) { c.Refresh = oauth2.RefreshRegistered }
		for name, c := range map[string]struct {
			edit func(c *oauth2.Client)
			take func(a *app)
			want string // "" for tokens
		}{
			"offline access": {func(*oauth2.Client) {}, func(*app) { ends() }, ""},
			"offline access taken, session ended": {byRegistration, func(a *app) {
				a.without("offline_access")
				ends()
			}, "invalid_grant"},
			"offline access taken, session lives":      {func(*oauth2.Client) {}, func(a *app) { a.without("offline_access") }, "invalid_grant"},
			"offline access taken, but registered for": {byRegistration, func(a *app) { a.without("offline_access") }, ""},
			"the grant taken": {func(*oauth2.Client) {}, func(a *app) {
				a.change(func(c *oauth2.Client) { c.Grants = []string{oauth2.GrantCode} })
			}, "unauthorized_client"},
			"made again":        {func(*oauth2.Client) {}, (*app).anew, "invalid_grant"},
			"consent withdrawn": {func(*oauth2.Client) {}, (*app).withdraw, "invalid_grant"},
		} {
			f.deaf.Store(false)
			who := "alice-" + strings.ReplaceAll(strings.ReplaceAll(name, " ", "-"), ",", "")
			f.user, f.session = f.person(who)
			shop := f.app("shop-"+strings.TrimPrefix(who, "alice-"), c.edit)
			_, q := f.authorize(who, shop.request()).location()
			tk := tokensOf(shop.redeem(q.Get("code")).ok())
			hush()
			c.take(shop)
			r := shop.refresh(tk.Refresh)
			if c.want == "" {
				r.ok()
				continue
			}
			r.refused(http.StatusBadRequest, c.want)
			f.deaf.Store(false)
			f.p.Forget("*")
			if f.alive(tk.Refresh) {
				t.Errorf("%s: the refresh token is called active", name)
			}
		}
	})
}

// TestTokensOfAFormerRegistration: nothing that a deleted client was given is good
// for the one made again under its id, or counts as its own.
func TestTokensOfAFormerRegistration(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, f *fixture) {
		shop, sealed, job := f.app("shop"), f.app("sealed", opaque), f.app("job", machine)
		of := map[string]string{}
		tk := shop.login()
		of["access"], of["refresh"] = tk.Access, tk.Refresh
		of["opaque"] = sealed.login().Access
		of["its own"] = tokensOf(job.token("grant_type", "client_credentials").ok()).Access
		for name, token := range of {
			if !f.alive(token) {
				t.Fatalf("%s is dead before", name)
			}
		}
		for _, a := range []*app{shop, sealed, job} {
			a.anew()
		}
		f.settle()
		for name, token := range of {
			if f.alive(token) {
				t.Errorf("%s is alive for the client made again", name)
			}
		}
		if next := tokensOf(job.token("grant_type", "client_credentials").ok()); !f.alive(next.Access) {
			t.Error("the new registration's own token is dead")
		}
	})
}

// waiting begins a request nobody is signed in for, in the browser of the tests, and
// returns where it goes on.
func (a *app) waiting(pairs ...string) string {
	a.f.tb.Helper()
	_, q := a.f.visit("", "/oauth2/authorize?"+a.request(pairs...).Encode(), "__Host-gk_tx="+tx).location()
	return oauth2.ResumeURL(q.Get("i"))
}

// TestWaitingRequestsAreAskedAgain: what an operator took away while a request waited
// at a page, or on its way, it does not get.
func TestWaitingRequestsAreAskedAgain(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, f *fixture) {
		for name, c := range map[string]struct {
			take  func(a *app)
			pairs []string
			check func(t *testing.T, a *app, r reply)
		}{
			"a response type": {
				func(a *app) { a.change(func(c *oauth2.Client) { c.ResponseTypes = []string{"id_token"} }) }, nil,
				func(t *testing.T, _ *app, r reply) { t.Helper(); told(t, r, "unauthorized_client") },
			},
			"tokens through the browser": {
				func(a *app) { a.change(func(c *oauth2.Client) { c.ResponseTypes = []string{"code"} }) },
				[]string{"response_type", "code id_token token"},
				func(t *testing.T, _ *app, r reply) { t.Helper(); told(t, r, "unauthorized_client") },
			},
			"every scope": {
				func(a *app) { a.without("openid", "email", "offline_access") }, nil,
				func(t *testing.T, _ *app, r reply) { t.Helper(); told(t, r, "invalid_scope") },
			},
			"openid, which an ID token needs": {
				func(a *app) { a.without("openid") },
				[]string{"response_type", "id_token"},
				func(t *testing.T, _ *app, r reply) { t.Helper(); told(t, r, "invalid_request") },
			},
			"a resource": {
				func(a *app) { a.change(func(c *oauth2.Client) { c.Audience = nil }) },
				[]string{"resource", "https://api.example"},
				func(t *testing.T, _ *app, r reply) { t.Helper(); told(t, r, "invalid_target") },
			},
			"one scope": {
				func(a *app) { a.without("email") },
				[]string{"response_type", "id_token token"},
				func(t *testing.T, _ *app, r reply) {
					t.Helper()
					if _, q := r.location(); q.Get("scope") != "openid offline_access" {
						t.Errorf("answered %v", q)
					}
				},
			},
			"everything, and given it again": {
				(*app).anew, nil,
				func(t *testing.T, _ *app, r reply) {
					t.Helper()
					if r.Status != http.StatusBadRequest {
						t.Errorf("%d %.200s", r.Status, r.Body)
					}
				},
			},
		} {
			id := "shop-" + strings.ReplaceAll(strings.ReplaceAll(name, " ", "-"), ",", "")
			shop := f.app(id, hybrid, func(c *oauth2.Client) { c.Audience = []string{"https://api.example"} })
			f.allow(f.user, shop.Client)
			page, uri := shop.waiting(c.pairs...), shop.pushed(c.pairs...)
			c.take(shop)
			f.settle()
			t.Log(name)
			c.check(t, shop, f.visit("alice", page, "__Host-gk_tx="+tx))
			c.check(t, shop, f.authorize("alice", shop.brought(uri)))
		}
	})
}

// told wants the application to be told of an error.
func told(t *testing.T, r reply, code string) {
	t.Helper()
	if to, q := r.location(); to != callback || q.Get("error") != code || q.Get("code") != "" || q.Get("access_token") != "" {
		t.Errorf("%s with %v, want %s", to, q, code)
	}
}

// TestTheFrontAnswersByWhatIsThere: tokens that pass through the browser are written
// on what is there, too.
func TestTheFrontAnswersByWhatIsThere(t *testing.T) {
	t.Parallel()
	deafened(t, func(t *testing.T, f *fixture, hush func()) {
		shop := f.app("shop", hybrid)
		page := shop.waiting("response_type", "code token")
		f.authorize("alice", shop.request()).location() // and it is remembered
		hush()
		shop.without("email")
		if _, q := f.visit("alice", page, "__Host-gk_tx="+tx).location(); q.Get("scope") != "openid offline_access" {
			t.Errorf("a scope that is gone: %v", q)
		}
		shop.withdraw()
		_, q := f.authorize("alice", shop.request("response_type", "id_token token")).location()
		if q.Get("error") != "access_denied" || q.Get("access_token") != "" {
			t.Errorf("a consent that is gone: %v", q)
		}
		f.allow(f.user, shop.Client)
		shop.change(func(c *oauth2.Client) { c.ResponseTypes = []string{"code"} })
		_, q = f.authorize("alice", shop.request("response_type", "code token")).location()
		if q.Get("error") != "unauthorized_client" || q.Get("access_token") != "" {
			t.Errorf("a response type that is gone: %v", q)
		}
	})
}
