package oauth2_test

import (
	"encoding/base64"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatekeeper-oidc/gatekeeper/audit"
	"github.com/gatekeeper-oidc/gatekeeper/identity"
	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
	"github.com/gatekeeper-oidc/gatekeeper/keys"
	"github.com/gatekeeper-oidc/gatekeeper/oauth2"
)

func TestInspect(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, f *fixture) {
		for _, a := range []*app{f.app("shop"), f.app("sealed", opaque), f.app("pub", public)} {
			tk := a.login()
			got, err := f.p.Inspect(t.Context(), tk.Access)
			must(t, err)
			if got.Kind != "access" || got.ClientID != a.ID || got.Subject != f.user.ID || got.Session != f.session.ID || got.JTI == "" || got.Grant == "" ||
				!slices.Equal(got.Scopes, []string{"openid", "email", "offline_access"}) || got.User == nil || got.User.Email != f.user.Email ||
				!got.AuthTime.Equal(f.session.AuthTime) || got.ExpiresAt.Sub(got.IssuedAt) != 15*time.Minute {
				t.Errorf("%s: access token %+v", a.ID, got)
			}
			got, err = f.p.Inspect(t.Context(), tk.Refresh)
			must(t, err)
			if got.Kind != "refresh" || got.ClientID != a.ID || got.Subject != f.user.ID || got.User == nil || got.ExpiresAt.Sub(f.now()) < 6*24*time.Hour {
				t.Errorf("%s: refresh token %+v", a.ID, got)
			}
			next := tokensOf(a.refresh(tk.Refresh).ok())
			if f.alive(tk.Refresh) || !f.alive(next.Refresh) || !f.alive(tk.Access) {
				t.Errorf("%s: after a refresh", a.ID)
			}
			f.later(15 * time.Minute)
			if f.alive(tk.Access) {
				t.Errorf("%s: alive after its time", a.ID)
			}
			f.later(-15 * time.Minute)
		}
	})
}

func TestInspectKnowsWhatIsNoToken(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, f *fixture) {
		shop := f.app("shop")
		tk := shop.login()
		sealed := f.app("sealed", opaque).login().Access
		parts := strings.Split(tk.Access, ".")
		for name, token := range map[string]string{
			"an ID token": tk.ID, "a code": shop.code(), "a secret": shop.secret, "nothing": "", "garbage": "garbage", "a huge one": strings.Repeat("a", 1<<20),
			"an unsigned one":       base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","typ":"at+jwt"}`)) + "." + parts[1] + ".",
			"another's signature":   parts[0] + "." + parts[1] + "." + strings.Split(tk.ID, ".")[2],
			"a changed opaque one":  sealed[:len(sealed)-4] + "AAAA",
			"a code dressed as one": "gk_at_" + strings.TrimPrefix(shop.code(), "gk_ac_"),
		} {
			if f.alive(token) {
				t.Errorf("%s is active", name)
			}
		}
		if f.alive(tk.Access+"A") || !f.alive(tk.Access) {
			t.Error("the memory of what was verified is mistaken")
		}
	})
}

// What we hand out has one spelling: a decoder that skips line breaks would read a
// token that is too short, and another one for the same code.
func TestLineBreaksAreNoPartOfAToken(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, f *fixture) {
		shop := f.app("shop")
		body := base64.RawURLEncoding.EncodedLen(52) // of a refresh token
		for _, letters := range []int{0, 20, 48, 64} {
			short := "gk_rt_" + strings.Repeat("A", letters) + strings.Repeat("\n", body-letters)
			if f.alive(short) {
				t.Errorf("%q is active", short)
			}
			shop.refresh(short).refused(http.StatusBadRequest, "invalid_grant")
		}
		code, sealed := shop.code(), f.app("sealed", opaque).login().Access
		for _, broken := range []string{code + "\n", code[:20] + "\r\n" + code[20:]} {
			shop.redeem(broken).refused(http.StatusBadRequest, "invalid_grant")
		}
		if f.alive(sealed + "\n") {
			t.Error("an access token has two spellings")
		}
		if shop.redeem(code).ok(); !f.alive(sealed) {
			t.Error("the right spelling is not read")
		}
	})
}

// Liveness follows what the bell says at once, and a store that is down is no "no".
func TestInspectFollowsChanges(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, f *fixture) {
		shop := f.app("shop")
		for name, end := range map[string]func(tk tokens){
			"its revocation": func(tk tokens) { shop.post("/oauth2/revoke", "token", tk.Access) },
			"its grant's revocation": func(tk tokens) {
				_, err := f.db.RevokeGrant(t.Context(), claims(t, tk.Access)["gid"].(string), f.trail.Fill(t.Context(), audit.Event{Kind: audit.GrantRevoked}))
				must(t, err)
			},
		} {
			tk := shop.login()
			if !f.alive(tk.Access) {
				t.Fatalf("before %s", name)
			}
			if end(tk); f.alive(tk.Access) {
				t.Errorf("a token outlived %s", name)
			}
		}
		tk := shop.login()
		for _, token := range []string{tk.Access, tk.Refresh} {
			f.p.Forget("*")
			f.store.fail("Standing", 1)
			f.store.fail("GrantWithStanding", 1)
			if _, err := f.p.Inspect(t.Context(), token); !fault.Is(err, fault.Unavailable) || errors.Is(err, oauth2.ErrInactive) {
				t.Errorf("a store that is down: %v", err)
			}
			f.store.fail("Standing", 0)
			f.store.fail("GrantWithStanding", 0)
			f.p.Forget("*")
			f.store.fail("Client", 1)
			if _, err := f.p.Inspect(t.Context(), token); !fault.Is(err, fault.Unavailable) {
				t.Errorf("clients that are down: %v", err)
			}
		}
		shop.Disabled = true
		must(t, f.db.UpdateClient(t.Context(), shop.Client))
		if f.alive(tk.Access) || f.alive(tk.Refresh) {
			t.Error("a token of a disabled client is active")
		}
		shop.Disabled = false
		must(t, f.db.UpdateClient(t.Context(), shop.Client))
		if !f.alive(tk.Access) {
			t.Error("a token of a client enabled again is not active")
		}
		must(t, f.db.DeleteClient(t.Context(), "shop"))
		if f.alive(tk.Access) || f.alive(tk.Refresh) {
			t.Error("a token of a deleted client is active")
		}
	})
}

// What was verified with a key is not believed once the key is revoked.
func TestRevokedKeysAreForgotten(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, f *fixture) {
		a := f.app("shop", func(c *oauth2.Client) { c.AccessTokenAlg = keys.ES256 })
		tk := a.login()
		if !f.alive(tk.Access) {
			t.Fatal("not alive")
		}
		f.source.fresh.Store(true)
		must(t, f.ring.Revoke(t.Context(), segment(t, tk.Access, 0)["kid"].(string)))
		if f.alive(tk.Access) {
			t.Error("a token outlived its key")
		}
		if !f.alive(a.login().Access) {
			t.Error("the next key signs nothing")
		}
	})
}

func TestRevoke(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, f *fixture) {
		shop, other := f.app("shop"), f.app("other")
		revoke := func(a *app, token string) reply {
			return a.post("/oauth2/revoke", "token", token, "token_type_hint", "refresh_token")
		}
		tk := shop.login()
		revoke(other, tk.Access).refused(http.StatusBadRequest, "invalid_request")
		revoke(other, tk.Refresh).refused(http.StatusBadRequest, "invalid_request")
		shop.post("/oauth2/revoke").refused(http.StatusBadRequest, "invalid_request")
		for _, nothing := range []string{"garbage", tk.ID, shop.code(), strings.Repeat("x", 30_000)} {
			if r := revoke(shop, nothing); r.Status != http.StatusOK || r.Body != "" {
				t.Errorf("%.20s: %d %s", nothing, r.Status, r.Body)
			}
		}
		for method, token := range map[string]string{"RevokeToken": tk.Access, "RevokeGrant": tk.Refresh, "GrantWithStanding": tk.Refresh} {
			f.store.fail(method, 1)
			if r := revoke(shop, token); r.Status != http.StatusServiceUnavailable || r.Header.Get("Retry-After") == "" {
				t.Errorf("%s fails: %d %s", method, r.Status, r.Body)
			}
		}
		if !f.alive(tk.Access) || !f.alive(tk.Refresh) {
			t.Fatal("something was revoked that should not")
		}
		for range 2 {
			if r := revoke(shop, tk.Access); r.Status != http.StatusOK || r.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("%d %v", r.Status, r.Header)
			}
		}
		if f.alive(tk.Access) || !f.alive(tk.Refresh) || f.events(audit.TokenRevoked, "shop") != 1 {
			t.Error("revoking an access token revokes it alone, once")
		}
		next := tokensOf(shop.refresh(tk.Refresh).ok())
		for range 2 {
			revoke(shop, next.Refresh)
		}
		if f.alive(next.Access) || f.alive(next.Refresh) || f.events(audit.GrantRevoked, "shop") != 1 {
			t.Error("revoking a refresh token revokes its grant, once")
		}
		shop.refresh(next.Refresh).refused(http.StatusBadRequest, "invalid_grant")
	})
}

// Who lost the answer to a refresh holds an old token; it ends the grant all the same.
func TestRevokeByAnOldRefreshToken(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, f *fixture) {
		shop := f.app("shop")
		old := shop.login().Refresh
		lost := tokensOf(shop.refresh(old).ok())
		shop.post("/oauth2/revoke", "token", old)
		if f.alive(lost.Refresh) || f.alive(lost.Access) {
			t.Error("the grant lives on")
		}
	})
}

// A token revoked while its person was locked stays revoked.
func TestRevokeOfSomebodyLocked(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, f *fixture) {
		shop := f.app("shop")
		tk := shop.login()
		f.user.Status = identity.Locked
		must(t, f.db.UpdateUser(t.Context(), f.user))
		shop.post("/oauth2/revoke", "token", tk.Access)
		f.user.Status = identity.Active
		must(t, f.db.UpdateUser(t.Context(), f.user))
		if f.alive(tk.Access) || !f.alive(tk.Refresh) {
			t.Error("the revocation was forgotten")
		}
	})
}

func TestOriginsOfApplications(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, f *fixture) {
		shop := f.app("shop")
		ask := func(origin string) bool { return f.p.AllowOrigin(t.Context(), origin) }
		if !ask("https://shop.example") || ask("https://shop.example.evil") || ask("http://shop.example") || ask("null") || ask("") {
			t.Error("origins")
		}
		shop.RedirectURIs = []string{"https://new.example/cb"}
		must(t, f.db.UpdateClient(t.Context(), shop.Client))
		if ask("https://shop.example") || !ask("https://new.example") {
			t.Error("origins after a change")
		}
	})
}
