package oauth2_test

import (
	"encoding/base64"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gatekeeper-oidc/gatekeeper/audit"
	"github.com/gatekeeper-oidc/gatekeeper/identity"
	"github.com/gatekeeper-oidc/gatekeeper/oauth2"
)

func noGrace(l *oauth2.Lifetimes) { l.Grace = 0 }

// F10: fewer scopes on request, never more, and the grant keeps what it had.
func TestRefreshScopes(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, f *fixture) {
		shop := f.app("shop")
		rt := shop.login("scope", "openid email offline_access").Refresh
		narrowed := shop.refresh(rt, "scope", "email").ok()
		if tk := tokensOf(narrowed); narrowed["scope"] != "email" || claims(t, tk.Access)["scope"] != "email" || tk.ID != "" {
			t.Errorf("narrowed: %v", narrowed)
		}
		rt = tokensOf(narrowed).Refresh
		for _, wide := range []string{"openid email profile", "OPENID", "nonsense", "a\"b"} {
			shop.refresh(rt, "scope", wide).refused(http.StatusBadRequest, "invalid_scope")
		}
		m := shop.refresh(rt).ok()
		if m["scope"] != "openid email offline_access" || m["id_token"] == nil {
			t.Errorf("the grant lost scopes: %v", m)
		}
		shop.Scopes = []string{"openid", "offline_access"}
		must(t, f.db.UpdateClient(t.Context(), shop.Client))
		m = shop.refresh(tokensOf(m).Refresh).ok()
		if m["scope"] != "openid offline_access" {
			t.Errorf("a scope withdrawn in the meantime: %v", m["scope"])
		}
	})
}

func TestRefreshKeepsTheSignIn(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, f *fixture) {
		shop := f.app("shop")
		first := shop.login()
		f.later(time.Minute)
		second := tokensOf(shop.refresh(first.Refresh).ok())
		was, is := claims(t, first.ID), claims(t, second.ID)
		for _, name := range []string{"iss", "sub", "aud", "azp", "auth_time", "sid", "acr"} {
			if was[name] != is[name] {
				t.Errorf("%s was %v and is %v", name, was[name], is[name])
			}
		}
		if is["nonce"] != nil || is["iat"].(float64) <= was["iat"].(float64) || claims(t, second.Access)["jti"] == claims(t, first.Access)["jti"] {
			t.Errorf("refreshed ID token %v", is)
		}
		if n := f.events(audit.GrantRefreshed, "shop"); n != 1 {
			t.Errorf("%d events, want 1", n)
		}
	})
}

// Whoever is not the owner learns nothing and breaks nothing.
func TestRefreshByOthers(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, f *fixture) {
		shop, other := f.app("shop"), f.app("other")
		tk := shop.login()
		old := tk.Refresh
		tk = tokensOf(shop.refresh(old).ok())
		other.refresh(old).refused(http.StatusBadRequest, "invalid_grant")
		other.refresh(tk.Refresh).refused(http.StatusBadRequest, "invalid_grant")
		for name, forged := range map[string]string{
			"a changed last letter": tk.Refresh[:len(tk.Refresh)-1] + flip(tk.Refresh[len(tk.Refresh)-1]),
			"a changed first":       "gk_rt_" + flip(tk.Refresh[6]) + tk.Refresh[7:],
			"padding":               tk.Refresh + "=", "a space": tk.Refresh + " ", "nothing but the prefix": "gk_rt_",
		} {
			if r := shop.refresh(forged); r.Status != http.StatusBadRequest || r.json()["error"] != "invalid_grant" {
				t.Errorf("%s: %d %s", name, r.Status, r.Body)
			}
		}
		shop.refresh(tk.Refresh).ok()
	})
}

// Whoever got hold of the key of the MAC still lacks the secret of the grant.
func TestTheMACAloneMakesNoRefreshToken(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, f *fixture) {
		shop := f.app("shop")
		tk := shop.login()
		raw, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(tk.Refresh, "gk_rt_"))
		must(t, err)
		for generation := range uint32(3) {
			forged := f.p.WriteRefresh([16]byte(raw[:16]), generation, [16]byte{1})
			if f.alive(forged) {
				t.Errorf("generation %d is active", generation)
			}
			shop.refresh(forged).refused(http.StatusBadRequest, "invalid_grant")
			if r := shop.post("/oauth2/revoke", "token", forged); r.Status != http.StatusOK {
				t.Errorf("generation %d: revocation answered %d", generation, r.Status)
			}
		}
		shop.refresh(tk.Refresh).ok()
	})
}

func flip(c byte) string {
	if c == 'A' {
		return "B"
	}
	return "A"
}

func TestRefreshReplay(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, f *fixture) {
		shop := f.app("shop")
		first := shop.login()
		second := tokensOf(shop.refresh(first.Refresh).ok())
		again := tokensOf(shop.refresh(first.Refresh).ok())
		if again.Refresh != second.Refresh {
			t.Error("within the grace a second successor was made")
		}
		third := tokensOf(shop.refresh(second.Refresh).ok())
		shop.refresh(first.Refresh).refused(http.StatusBadRequest, "invalid_grant") // two generations old
		shop.refresh(third.Refresh).refused(http.StatusBadRequest, "invalid_grant")
		for name, token := range map[string]string{"first": first.Access, "third": third.Access, "refresh": third.Refresh} {
			if f.alive(token) {
				t.Errorf("%s outlived the replay", name)
			}
		}
		if n := f.events(audit.RefreshReplayed, "shop"); n != 1 {
			t.Errorf("%d events, want 1", n)
		}
	})
}

func TestRefreshWithoutGrace(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, f *fixture) {
		shop := f.app("shop")
		first := shop.login()
		second := tokensOf(shop.refresh(first.Refresh).ok())
		shop.refresh(first.Refresh).refused(http.StatusBadRequest, "invalid_grant")
		shop.refresh(second.Refresh).refused(http.StatusBadRequest, "invalid_grant")
	}, lifetimes(noGrace))
}

func TestRefreshIdle(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, f *fixture) {
		shop := f.app("shop")
		shop.refresh(shop.login().Refresh).refused(http.StatusBadRequest, "invalid_grant")
	}, lifetimes(func(l *oauth2.Lifetimes) { l.RefreshIdle = time.Microsecond }))
}

func TestRefreshEndsAbsolutely(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, f *fixture) {
		shop := f.app("shop", func(c *oauth2.Client) { c.RefreshTokenTTL = 3600 })
		rt := shop.login().Refresh
		f.later(50 * time.Minute)
		m := shop.refresh(rt).ok()
		tk := tokensOf(m)
		if s := m["expires_in"].(float64); s > 600 {
			t.Errorf("an access token of %v s outlives its grant", s)
		}
		f.later(10 * time.Minute)
		shop.refresh(tk.Refresh).refused(http.StatusBadRequest, "invalid_grant")
		if f.alive(tk.Refresh) || f.alive(tk.Access) {
			t.Error("a token outlived its grant")
		}
	})
}

// A session's end takes what lives within it; offline_access lives beside it.
func TestSessionsEnd(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, f *fixture) {
		shop := f.app("shop")
		within, beside, code := shop.login("scope", "openid"), shop.login(), shop.code()
		_, err := f.db.EndSessions(t.Context(), f.user.ID, f.session.ID)
		must(t, err)
		shop.redeem(code).refused(http.StatusBadRequest, "invalid_grant")
		if f.alive(within.Access) {
			t.Error("an access token outlived its session")
		}
		if !f.alive(beside.Access) {
			t.Error("an offline access token died with the session")
		}
		shop.refresh(beside.Refresh).ok()
	})
}

func TestLockedPeople(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, f *fixture) {
		shop := f.app("shop")
		tk, code := shop.login(), shop.code()
		f.user.Status = identity.Locked
		must(t, f.db.UpdateUser(t.Context(), f.user))
		shop.redeem(code).refused(http.StatusBadRequest, "invalid_grant")
		shop.refresh(tk.Refresh).refused(http.StatusBadRequest, "invalid_grant")
		if f.alive(tk.Access) || f.alive(tk.Refresh) {
			t.Error("a token of somebody locked is alive")
		}
		f.user.Status = identity.Active
		must(t, f.db.UpdateUser(t.Context(), f.user))
		shop.refresh(tk.Refresh).ok()
		shop.redeem(code).ok()
		must(t, f.db.DeleteUser(t.Context(), f.user.ID))
		shop.refresh(tk.Refresh).refused(http.StatusBadRequest, "invalid_grant")
	})
}

// Concurrent refreshes of one token all succeed, and all with the same successor.
func TestConcurrentRefresh(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, f *fixture) {
		shop := f.app("shop")
		rt := shop.login("scope", "offline_access").Refresh
		got := make([]reply, 32)
		race(32, func(i int) { got[i] = shop.refresh(rt) })
		successors := map[string]bool{}
		for _, r := range got {
			if r.Status != http.StatusOK {
				t.Fatalf("status %d, body %s", r.Status, r.Body)
			}
			successors[tokensOf(r.json()).Refresh] = true
		}
		if len(successors) != 1 {
			t.Errorf("%d successors, want 1", len(successors))
		}
		for s := range successors {
			shop.refresh(s).ok()
		}
	})
}
