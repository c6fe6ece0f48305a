package oauth2_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gatekeeper-oidc/gatekeeper/audit"
	"github.com/gatekeeper-oidc/gatekeeper/oauth2"
)

// F1: a wrong verifier must not make the next try need none.
func TestWrongVerifierBurnsNothing(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, f *fixture) {
		for _, a := range []*app{f.app("strict"), f.app("lax", noPKCE), f.app("pub", public)} {
			code := a.code()
			a.redeem(code, "code_verifier", strings.Repeat("wrong", 10)).refused(http.StatusBadRequest, "invalid_grant")
			a.redeem(code, "code_verifier", "").refused(http.StatusBadRequest, "invalid_grant")
			a.redeem(code).ok()
		}
	})
}

// A client that opted out is still held to a challenge it sent, and may not bring
// a verifier for one it did not (RFC 9700 section 2.1.1).
func TestPKCEOptOut(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, f *fixture) {
		lax := f.app("lax", noPKCE)
		without := []string{"code_challenge", "", "code_challenge_method", ""}
		code := lax.code(without...)
		lax.redeem(code).refused(http.StatusBadRequest, "invalid_grant")
		lax.redeem(code, "code_verifier", "").ok()
		lax.redeem(lax.code(), "code_verifier", "").refused(http.StatusBadRequest, "invalid_grant")
		code = lax.code(without...)
		lax.InsecureNoPKCE = false // the administrator thought better of it
		must(t, f.db.UpdateClient(t.Context(), lax.Client))
		if r := lax.redeem(code, "code_verifier", ""); r.Status == http.StatusOK {
			t.Error("a code without a challenge was redeemed by a client that needs one")
		}
	})
}

// F2: replay is the owner's only; it revokes what the code gave.
func TestCodeReplay(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, f *fixture) {
		shop, other := f.app("shop"), f.app("other")
		code := shop.code()
		tk := tokensOf(shop.redeem(code).ok())
		other.redeem(code).refused(http.StatusBadRequest, "invalid_grant")
		shop.redeem(code, "code_verifier", "").refused(http.StatusBadRequest, "invalid_grant")
		shop.redeem(code, "redirect_uri", "https://shop.example/x").refused(http.StatusBadRequest, "invalid_grant")
		if !f.alive(tk.Access) || !f.alive(tk.Refresh) || f.events(audit.CodeReplayed, "shop") != 0 {
			t.Fatal("somebody who could not have redeemed the code revoked what it gave")
		}
		shop.redeem(code).refused(http.StatusBadRequest, "invalid_grant")
		if f.alive(tk.Access) || f.alive(tk.Refresh) {
			t.Error("a token outlived the replay of its code")
		}
		shop.redeem(code).refused(http.StatusBadRequest, "invalid_grant")
		if n := f.events(audit.CodeReplayed, "shop"); n != 1 {
			t.Errorf("%d events, want 1", n)
		}
	})
}

// F4: of racing redemptions exactly one succeeds and every loser is told the same.
func TestConcurrentRedemption(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, f *fixture) {
		shop := f.app("shop")
		code := shop.code("scope", "offline_access")
		got := make([]reply, 32)
		race(32, func(i int) { got[i] = shop.redeem(code) })
		won := 0
		for _, r := range got {
			if r.Status == http.StatusOK {
				won++
				continue
			}
			r.refused(http.StatusBadRequest, "invalid_grant")
		}
		if won != 1 {
			t.Errorf("%d of 32 succeeded, want 1", won)
		}
	})
}

func TestCodesExpire(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, f *fixture) {
		shop, other := f.app("shop"), f.app("other")
		code := shop.code()
		f.later(time.Minute)
		shop.redeem(code).refused(http.StatusBadRequest, "invalid_grant")
		other.redeem(code).refused(http.StatusBadRequest, "invalid_grant")
	})
}

// The row that refuses a second redemption stays as long as the code could be sent.
func TestGrantOutlivesItsCode(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, f *fixture) {
		brief := f.app("brief", func(c *oauth2.Client) { c.AccessTokenTTL = 1 })
		code := brief.code("scope", "openid")
		grant := claims(t, tokensOf(brief.redeem(code).ok()).Access)["gid"].(string)
		g, _, err := f.db.Grant(t.Context(), grant)
		must(t, err)
		if left := g.ExpiresAt.Sub(f.now()); left < 50*time.Second {
			t.Errorf("the grant is over in %s, its code in a minute", left)
		}
	})
}

// A store or a signer that does not answer costs nobody a code or a refresh token.
func TestFailuresLoseNothing(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, f *fixture) {
		shop := f.app("shop")
		down := func(name string, r reply) {
			t.Helper()
			if r.Status != http.StatusServiceUnavailable || r.Header.Get("Retry-After") == "" || r.json()["error"] != "temporarily_unavailable" {
				t.Errorf("%s: %d %s", name, r.Status, r.Body)
			}
		}
		code := shop.code()
		f.store.fail("RedeemGrant", 1)
		down("redeem", shop.redeem(code))
		f.p.Forget("*")
		f.store.fail("Standing", 1)
		down("standing", shop.redeem(code))
		f.source.broken.Store(true)
		down("sign at redemption", shop.redeem(code))
		f.source.broken.Store(false)
		rt := tokensOf(shop.redeem(code).ok()).Refresh
		for _, method := range []string{"GrantWithStanding", "RotateRefresh"} {
			f.store.fail(method, 1)
			down(method, shop.refresh(rt))
		}
		f.source.broken.Store(true)
		down("sign at refresh", shop.refresh(rt))
		f.source.broken.Store(false)
		if n := f.events(audit.RefreshReplayed, ""); n != 0 {
			t.Errorf("%d replays recorded", n)
		}
		_, generation, _ := f.p.ReadRefresh(tokensOf(shop.refresh(rt).ok()).Refresh)
		if generation != 2 {
			t.Errorf("generation %d after one successful refresh, want 2", generation)
		}
		f.store.fail("PutInteraction", 1)
		if r := f.authorize("", shop.request()); r.Status != http.StatusServiceUnavailable {
			t.Errorf("a stranger's request was kept nowhere: %d", r.Status)
		}
	})
}

// F6: a native client's loopback literal may come with any port, and nothing else.
func TestLoopback(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, f *fixture) {
		registered := []string{"http://127.0.0.1/cb", "http://[::1]:80/cb", "http://localhost:1234/cb", "https://127.0.0.1:8443/cb", "com.example.app:/cb"}
		native := f.app("native", func(c *oauth2.Client) { c.Type, c.RedirectURIs = oauth2.Native, registered })
		spa := f.app("spa", func(c *oauth2.Client) { c.Type, c.RedirectURIs = oauth2.SPA, registered[:1] })
		for _, c := range []struct {
			uri string
			a   *app
			ok  bool
		}{
			{"http://127.0.0.1/cb", native, true},
			{"http://127.0.0.1:49152/cb", native, true},
			{"http://[::1]:1/cb", native, true},
			{"com.example.app:/cb", native, true},
			{"http://localhost:1234/cb", native, true},
			{"http://localhost:1235/cb", native, false},
			{"https://127.0.0.1:9/cb", native, false},
			{"http://127.0.0.1:8443/cb/", native, false},
			{"http://127.0.0.1:8443/c%62", native, false},
			{"http://127.0.0.1:8443/CB", native, false},
			{"http://127.0.0.1:8443/cb#", native, false},
			{"http://127.0.0.1:8443/cb?x", native, false},
			{"http://evil@127.0.0.1:1/cb", native, false},
			{"http://127.0.0.1:1@evil.example/cb", native, false},
			{"http://127.0.0.1.evil.example/cb", native, false},
			{"http://127.0.0.1:/cb", native, false},
			{"http://127.0.0.1:123456/cb", native, false},
			{"http://127.0.0.1:1x/cb", native, false},
			{"http://127.0.0.2:1/cb", native, false},
			{"http://127.1:1/cb", native, false},
			{"http://127.0.0.1/cb", spa, true},
			{"http://127.0.0.1:1/cb", spa, false},
		} {
			v := c.a.request()
			v.Set("redirect_uri", c.uri)
			r := f.authorize("alice", v)
			if got := r.Status == http.StatusSeeOther && strings.HasPrefix(r.Header.Get("Location"), c.uri+"?code="); got != c.ok {
				t.Errorf("%s of %s: status %d, Location %q", c.uri, c.a.ID, r.Status, r.Header.Get("Location"))
			}
			if !c.ok && r.Header.Get("Location") != "" {
				t.Errorf("%s: redirected", c.uri)
			}
		}
	})
}
