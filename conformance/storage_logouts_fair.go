package conformance

import (
	"fmt"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatekeeper-oidc/gatekeeper/oauth2"
)

// logoutTurns: an application with many rows does not keep out one with few, and
// who has enough gets none.
func logoutTurns(b *bench) {
	ctx := b.Context()
	u := b.user("alice")
	b.dynamic("many")
	for i := range 6 {
		s := fmt.Sprintf("s%d", i)
		b.session(u, s)
		b.reach(u, s, "many")
		if i >= 4 {
			b.reach(u, s, "few")
		}
		if i == 5 {
			b.reach(u, s, "one")
		}
		_, err := b.EndSessions(ctx, u.ID, s)
		b.must(err)
	}
	claims := func(q oauth2.LogoutQuery) map[string]int {
		b.Helper()
		claimed, err := b.ClaimLogouts(ctx, -time.Second, q) // runs out at once: the next claim finds the same
		b.must(err)
		got := map[string]int{}
		for _, l := range claimed {
			got[l.ClientID]++
		}
		return got
	}
	for name, c := range map[string]struct {
		q    oauth2.LogoutQuery
		want map[string]int
	}{
		"as many as there are":  {oauth2.LogoutQuery{Limit: 100}, map[string]int{"many": 6, "few": 2, "one": 1}},
		"one turn":              {oauth2.LogoutQuery{Limit: 3}, map[string]int{"many": 1, "few": 1, "one": 1}},
		"two turns":             {oauth2.LogoutQuery{Limit: 5}, map[string]int{"many": 2, "few": 2, "one": 1}},
		"a bound for each":      {oauth2.LogoutQuery{Limit: 100, PerClient: 2}, map[string]int{"many": 2, "few": 2, "one": 1}},
		"not of who has enough": {oauth2.LogoutQuery{Limit: 100, Except: []string{"many", "one"}}, map[string]int{"few": 2}},
		"of operators":          {oauth2.LogoutQuery{Limit: 100, Of: oauth2.OfOperators}, map[string]int{"few": 2, "one": 1}},
		"of strangers":          {oauth2.LogoutQuery{Limit: 100, Of: oauth2.OfStrangers, PerClient: 4}, map[string]int{"many": 4}},
	} {
		if diff := cmp.Diff(c.want, claims(c.q)); diff != "" {
			b.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// logoutWoken: rows of an application that wait are due when it is woken; one that
// somebody tries is theirs, and nobody else's is touched.
func logoutWoken(b *bench) {
	ctx := b.Context()
	u := b.user("alice")
	for _, s := range []string{"s1", "s2", "s3"} {
		b.session(u, s)
		b.reach(u, s, "shop")
	}
	b.reach(u, "s1", "app")
	_, err := b.EndSessions(ctx, u.ID)
	b.must(err)
	claimed, err := b.ClaimLogouts(ctx, longLease, oauth2.LogoutQuery{Limit: 10})
	b.must(err)
	same(b, "claimed", len(claimed), 4)
	for _, l := range claimed {
		if l.Session != "s3" {
			b.must(b.PostponeLogout(ctx, l, time.Hour))
		}
	}
	n, err := b.WakeLogouts(ctx, "shop")
	b.must(err)
	same(b, "woken", n, int64(2))
	if diff := cmp.Diff([]string{"s1 shop " + u.ID, "s2 shop " + u.ID}, b.told()); diff != "" {
		b.Errorf("due (-want +got):\n%s", diff)
	}
	n, err = b.WakeLogouts(ctx, "shop")
	b.must(err)
	same(b, "woken of those somebody tries", n, int64(0))
}
