package oauth2_test

import (
	"net/http"
	"os"
	"testing"

	"github.com/gatekeeper-oidc/gatekeeper/audit"
	"github.com/gatekeeper-oidc/gatekeeper/conformance"
)

// TestALostAnswerOfTheDatabaseCostsNothing: its connection is cut after it has
// written, before it says so. The client gets its tokens, nothing is taken for a
// replay, and what it got is good.
func TestALostAnswerOfTheDatabaseCostsNothing(t *testing.T) {
	t.Parallel()
	url, wire := conformance.Through(t, conformance.Postgres(t, os.Getenv))
	f := newFixture(t, url, lifetimes(noGrace))
	shop, player := f.app("shop"), f.app("player", tv)
	ready := func() string {
		device, user := player.ask("scope", "openid offline_access")
		f.decided("alice", user, "")
		return device
	}
	tk := shop.login() // and the statements are prepared
	tk = tokensOf(shop.refresh(tk.Refresh).ok())
	player.poll(ready()).ok()
	for _, others := range []bool{false, true} {
		code, device := shop.code(), ready()
		for name, c := range map[string]struct {
			mark string
			app  *app
			do   func() reply
		}{
			"code":    {string(audit.GrantIssued), shop, func() reply { return shop.redeem(code) }},
			"device":  {string(audit.GrantIssued), player, func() reply { return player.poll(device) }},
			"refresh": {string(audit.GrantRefreshed), shop, func() reply { return shop.refresh(tk.Refresh) }},
		} {
			lost := wire.LoseAnswer(c.mark, others)
			got := tokensOf(c.do().ok())
			select {
			case <-lost:
			default:
				t.Errorf("%s: no answer was lost", name)
			}
			if !f.alive(got.Access) || !f.alive(got.Refresh) {
				t.Errorf("%s, others %t: what it gave is dead", name, others)
			}
			next := tokensOf(c.app.refresh(got.Refresh).ok())
			if c.app == shop && name == "refresh" {
				tk = next
			}
		}
	}
	nothingReplayed(t, f)
}

func nothingReplayed(t *testing.T, f *fixture) {
	t.Helper()
	for _, kind := range []audit.Kind{audit.CodeReplayed, audit.RefreshReplayed, audit.GrantRevoked} {
		if n := f.events(kind, ""); n > 0 {
			t.Errorf("the trail has %d of %s", n, kind)
		}
	}
}

// TestTheHonestRetryOfAnUnansweredRedemption: the database stays away until the
// client has been told so; when it comes again with what it held, that is good.
func TestTheHonestRetryOfAnUnansweredRedemption(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, f *fixture) {
		shop, player := f.app("shop"), f.app("player", tv)
		device, user := player.ask("scope", "openid offline_access")
		f.decided("alice", user, "")
		code := shop.code()
		for name, c := range map[string]struct {
			app *app
			do  func() reply
		}{
			"code":   {shop, func() reply { return shop.redeem(code) }},
			"device": {player, func() reply { return player.poll(device) }},
		} {
			f.store.lose("RedeemGrant")
			if r := c.do(); r.Status != http.StatusServiceUnavailable {
				t.Fatalf("%s: %d %s, want 503", name, r.Status, r.Body)
			}
			got := tokensOf(c.do().ok())
			if !f.alive(got.Access) || !f.alive(got.Refresh) {
				t.Errorf("%s: what the retry gave is dead", name)
			}
			c.app.refresh(got.Refresh).ok()
			if n := f.events(audit.CodeReplayed, c.app.ID); n > 0 {
				t.Errorf("%s: taken for a replay", name)
			}
			c.do().refused(http.StatusBadRequest, "invalid_grant") // a third time is a replay
			if f.alive(got.Access) {
				t.Errorf("%s: the replay did not revoke", name)
			}
		}
		if n := f.events(audit.GrantIssued, ""); n != 2 {
			t.Errorf("issued %d times, want 2", n)
		}
	})
}
