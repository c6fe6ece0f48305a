package conformance

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatekeeper-oidc/gatekeeper/audit"
	"github.com/gatekeeper-oidc/gatekeeper/identity"
	"github.com/gatekeeper-oidc/gatekeeper/oauth2"
)

func logoutContracts() []contract {
	return []contract{
		{"a session knows who it reached of those who want to hear", sessionReaches},
		{"the end of a session is told to everybody it reached once", logoutTold},
		{"every way to end sessions tells", logoutEveryWay},
		{"a renewed session tells nobody and forgets nobody", logoutRenewed},
		{"what is undone tells nobody", logoutUndone},
		{"whoever reaches a session after its end is told at once", logoutLate},
		{"of a session that ends while it is reached everybody is told", logoutRace},
		{"of racing callers one claims a row", logoutClaimRace},
		{"a claim is a lease", logoutLease},
		{"the claims of one session are those nobody tried", logoutClaimsOf},
		{"a settled row is recorded once", logoutSettled},
		{"a postponed row waits", logoutPostponed},
		{"rows are claimed in turns", logoutTurns},
		{"what waits is woken, and nothing else", logoutWoken},
		{"a deleted user is told of all the same", logoutOfDeleted},
		{"a cleaned session forgets whom it reached", logoutCleaned},
	}
}

// longLease is one that no test outlives.
const longLease = time.Hour

// reach lets the application client redeem a code in session s of u.
func (b *bench) reach(u identity.User, session, client string) {
	b.Helper()
	g := b.grant("grant of " + client + " in " + session)
	g.ClientID, g.Subject, g.Session, g.Hears = client, u.ID, session, true
	b.redeem(g, true)
}

// told claims everything due and returns it as "session client user", in order.
func (b *bench) told() []string {
	b.Helper()
	claimed, err := b.ClaimLogouts(b.Context(), longLease, oauth2.LogoutQuery{Limit: 100})
	b.must(err)
	return names(claimed)
}

func names(claimed []oauth2.Logout) []string {
	var out []string
	for _, l := range claimed {
		out = append(out, l.Session+" "+l.ClientID+" "+l.UserID)
	}
	slices.Sort(out)
	return out
}

func sessionReaches(b *bench) {
	ctx := b.Context()
	u := b.user("alice")
	b.session(u, "s1")
	b.session(u, "s2")
	for _, client := range []string{"shop", "app", "shop2"} {
		b.reach(u, "s1", client)
	}
	again := b.grant("the same application again")
	again.ClientID, again.Subject, again.Session, again.Hears, again.SecretHash = "shop", u.ID, "s1", true, nil
	b.redeem(again, false)
	silent := b.grant("one that does not want to hear")
	silent.ClientID, silent.Subject, silent.Session = "silent", u.ID, "s1"
	b.redeem(silent, true)
	got, err := b.SessionClients(ctx, "s1", "s2", "nothing")
	b.must(err)
	if diff := cmp.Diff(map[string][]string{"s1": {"app", "shop", "shop2"}}, got); diff != "" {
		b.Errorf("reached (-want +got):\n%s", diff)
	}
	got, err = b.SessionClients(ctx)
	b.must(err)
	same(b, "reached by no session", len(got), 0)
	same(b, "told while it lives", len(b.told()), 0)
}

func logoutTold(b *bench) {
	ctx := b.Context()
	u := b.user("alice")
	for _, s := range []string{"s1", "s2"} {
		b.session(u, s)
		b.reach(u, s, "shop")
	}
	b.reach(u, "s1", "app")
	for range 2 {
		_, err := b.EndSessions(ctx, u.ID, "s1")
		b.must(err)
	}
	claimed, err := b.ClaimLogouts(ctx, longLease, oauth2.LogoutQuery{Limit: 100})
	b.must(err)
	if diff := cmp.Diff([]string{"s1 app " + u.ID, "s1 shop " + u.ID}, names(claimed)); diff != "" {
		b.Errorf("told (-want +got):\n%s", diff)
	}
	for _, l := range claimed {
		if l.Attempt != 1 || l.EndedAt.IsZero() || l.Age < 0 || l.Age > time.Minute {
			b.Errorf("claimed %+v", l)
		}
	}
	same(b, "told again", len(b.told()), 0)
	reached, err := b.SessionClients(ctx, "s1")
	b.must(err)
	same(b, "reached, for the frames of the signed-out page", len(reached["s1"]), 2)
}

func logoutEveryWay(b *bench) {
	ctx := b.Context()
	alice, bob, carol := b.user("alice"), b.user("bob"), b.user("carol")
	b.session(alice, "by id")
	b.reach(alice, "by id", "shop")
	_, err := b.EndSessions(ctx, "", "by id")
	b.must(err)
	b.session(bob, "by user")
	b.reach(bob, "by user", "shop")
	_, err = b.EndSessions(ctx, bob.ID)
	b.must(err)
	s := b.session(carol, "by putting")
	b.reach(carol, "by putting", "shop")
	s.EndedAt = b.now()
	b.must(b.PutSession(ctx, s))
	want := []string{"by id shop " + alice.ID, "by putting shop " + carol.ID, "by user shop " + bob.ID}
	if diff := cmp.Diff(want, b.told()); diff != "" {
		b.Errorf("told (-want +got):\n%s", diff)
	}
}

func logoutRenewed(b *bench) {
	u := b.user("alice")
	s := b.session(u, "s1")
	b.reach(u, "s1", "shop")
	s.TokenHash = []byte("another")
	b.must(b.PutSession(b.Context(), s))
	same(b, "told", len(b.told()), 0)
	_, err := b.EndSessions(b.Context(), u.ID)
	b.must(err)
	same(b, "told of the end", len(b.told()), 1)
}

func logoutUndone(b *bench) {
	u := b.user("alice")
	b.session(u, "s1")
	b.reach(u, "s1", "shop")
	_ = b.InTx(b.Context(), func(ctx context.Context) error {
		_, err := b.EndSessions(ctx, u.ID)
		b.must(err)
		return errStop
	})
	same(b, "told", len(b.told()), 0)
}

func logoutLate(b *bench) {
	u := b.user("alice")
	b.session(u, "s1")
	_, err := b.EndSessions(b.Context(), u.ID)
	b.must(err)
	b.reach(u, "s1", "shop")
	b.reach(u, "never was", "shop")
	b.reach(u, "", "shop") // in no session, of whose end there is nothing to hear
	if diff := cmp.Diff([]string{"never was shop " + u.ID, "s1 shop " + u.ID}, b.told()); diff != "" {
		b.Errorf("told (-want +got):\n%s", diff)
	}
}

// logoutRace ends a session in the middle of those who reach it: whatever the
// order, everybody who got tokens is told.
func logoutRace(b *bench) {
	u := b.user("alice")
	b.session(u, "s1")
	var all sync.WaitGroup
	start := make(chan struct{})
	for i := range contenders {
		g := b.grant(fmt.Sprintf("g%02d", i))
		g.ClientID, g.Subject, g.Session, g.Hears = fmt.Sprintf("app%02d", i), u.ID, "s1", true
		all.Go(func() {
			<-start
			if done, err := b.RedeemGrant(b.Context(), g, true, sampleEvent(audit.GrantIssued, g.ID)); err != nil || !done {
				b.Errorf("redeem: %v %v", done, err)
			}
		})
	}
	all.Go(func() {
		<-start
		if _, err := b.EndSessions(b.Context(), u.ID, "s1"); err != nil {
			b.Error(err)
		}
	})
	close(start)
	all.Wait()
	same(b, "told", len(b.told()), contenders)
}

func logoutClaimRace(b *bench) {
	u := b.user("alice")
	b.session(u, "s1")
	const rows = 40
	for i := range rows {
		b.reach(u, "s1", fmt.Sprintf("app%02d", i))
	}
	_, err := b.EndSessions(b.Context(), u.ID)
	b.must(err)
	var mu sync.Mutex
	var all []oauth2.Logout
	contend(b, func(ctx context.Context) (bool, error) {
		claimed, err := b.ClaimLogouts(ctx, longLease, oauth2.LogoutQuery{Limit: 3})
		mu.Lock()
		defer mu.Unlock()
		all = append(all, claimed...)
		return len(claimed) <= 3, err
	})
	all = append(all, claimAll(b)...)
	got := names(all)
	same(b, "claims", len(got), rows)
	same(b, "rows", len(slices.Compact(got)), rows)
}

func claimAll(b *bench) []oauth2.Logout {
	b.Helper()
	claimed, err := b.ClaimLogouts(b.Context(), longLease, oauth2.LogoutQuery{Limit: 100})
	b.must(err)
	return claimed
}

// due ends a session that reached the application shop, and returns its user.
func (b *bench) due() identity.User {
	b.Helper()
	u := b.user("alice")
	b.session(u, "s1")
	b.reach(u, "s1", "shop")
	_, err := b.EndSessions(b.Context(), u.ID)
	b.must(err)
	return u
}

// claim claims the one row that is due.
func (b *bench) claim(lease time.Duration) oauth2.Logout {
	b.Helper()
	claimed, err := b.ClaimLogouts(b.Context(), lease, oauth2.LogoutQuery{Limit: 10})
	b.must(err)
	if len(claimed) != 1 {
		b.Fatalf("claimed %+v, want one", claimed)
	}
	return claimed[0]
}

func logoutLease(b *bench) {
	ctx := b.Context()
	b.due()
	first := b.claim(-time.Second) // has run out already
	second := b.claim(longLease)
	same(b, "attempt", second.Attempt, first.Attempt+1)
	same(b, "claimed within the lease", len(b.told()), 0)
	done, err := b.SettleLogout(ctx, first, sampleEvent(audit.LogoutDelivered, ""))
	b.must(err)
	same(b, "settled by a claim that ran out", done, false)
	b.must(b.PostponeLogout(ctx, first, -time.Hour))
	b.must(b.DropLogout(ctx, first))
	same(b, "claimed after words of a claim that ran out", len(b.told()), 0)
	done, err = b.SettleLogout(ctx, second, sampleEvent(audit.LogoutDelivered, ""))
	b.must(err)
	same(b, "settled", done, true)
	same(b, "events", b.kinds()[audit.LogoutDelivered], 1)
}

func logoutClaimsOf(b *bench) {
	ctx := b.Context()
	u := b.user("alice")
	for _, s := range []string{"s1", "s2"} {
		b.session(u, s)
		b.reach(u, s, "shop")
		b.reach(u, s, "app")
	}
	err := b.InTx(ctx, func(ctx context.Context) error {
		if _, err := b.EndSessions(ctx, u.ID); err != nil {
			return err
		}
		claimed, err := b.ClaimLogoutsOf(ctx, "s1", -time.Second, 10)
		if diff := cmp.Diff([]string{"s1 app " + u.ID, "s1 shop " + u.ID}, names(claimed)); diff != "" {
			b.Errorf("claimed (-want +got):\n%s", diff)
		}
		return err
	})
	b.must(err)
	claimed, err := b.ClaimLogoutsOf(ctx, "s1", longLease, 10)
	b.must(err)
	same(b, "claimed of those somebody tried", len(claimed), 0)
	claimed, err = b.ClaimLogoutsOf(ctx, "s2", longLease, 1)
	b.must(err)
	same(b, "claimed with a limit", len(claimed), 1)
	same(b, "left to whoever comes", len(b.told()), 3)
}

func logoutSettled(b *bench) {
	b.due()
	l := b.claim(longLease)
	oneWinner(b, func(ctx context.Context) (bool, error) {
		return b.SettleLogout(ctx, l, sampleEvent(audit.LogoutDelivered, ""))
	})
	same(b, "events", b.kinds()[audit.LogoutDelivered], 1)
}

func logoutPostponed(b *bench) {
	ctx := b.Context()
	b.due()
	b.must(b.PostponeLogout(ctx, b.claim(longLease), time.Hour))
	same(b, "due", len(b.told()), 0)
	_, err := b.EndSessions(ctx, "", "s1")
	b.must(err)
	same(b, "due after a second end", len(b.told()), 0)
}

func logoutOfDeleted(b *bench) {
	ctx := b.Context()
	u := b.due()
	b.must(b.DeleteUser(ctx, u.ID))
	reached, err := b.SessionClients(ctx, "s1")
	b.must(err)
	same(b, "reached", len(reached), 0)
	l := b.claim(longLease)
	same(b, "whom it was about", l.UserID, u.ID)
	b.must(b.DropLogout(ctx, l))
}

func logoutCleaned(b *bench) {
	ctx := b.Context()
	u := b.user("alice")
	s := b.session(u, "s1")
	b.reach(u, "s1", "shop")
	s.ExpiresAt = b.now().Add(-30 * 24 * time.Hour)
	b.must(b.PutSession(ctx, s))
	_, err := b.Clean(ctx, 100)
	b.must(err)
	reached, err := b.SessionClients(ctx, "s1")
	b.must(err)
	same(b, "reached", len(reached), 0)
	same(b, "told", len(b.told()), 0)
}
