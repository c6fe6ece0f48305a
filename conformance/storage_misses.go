package conformance

import (
	"context"
	"fmt"

	"github.com/gatekeeper-oidc/gatekeeper/identity"
)

// userCounters holds that misses are counted apart where they are to be, and that a
// password somebody else chose is marked until another is set.
func userCounters(b *bench) {
	ctx := b.Context()
	u := b.user("alice")
	b.must(b.SetPassword(ctx, u.ID, "hash"))
	_, err := b.MissPassword(ctx, u.ID)
	b.must(err)
	for want := range 2 {
		n, err := b.MissCounter(ctx, "browser")
		b.must(err)
		same(b, "counter", n, want+1)
	}
	for _, c := range []struct {
		email string
		by    identity.Counter
		want  int
	}{
		{u.Email, identity.Counter{Name: "browser"}, 1},
		{u.Email, identity.Counter{Name: "browser", Apart: true}, 2},
		{u.Email, identity.Counter{Name: "other", Apart: true}, 0},
		{"nobody@example.com", identity.Counter{Name: "browser"}, 2},
	} {
		_, p, now, err := b.UserForLogin(ctx, c.email, c.by)
		b.must(err)
		same(b, fmt.Sprint(c), p.Failures, c.want)
		if p.LastFailure.IsZero() != (c.want == 0) || p.LastFailure.After(now) {
			b.Errorf("%v: last failure %v at %v", c, p.LastFailure, now)
		}
	}
	old := identity.User{ID: "u-old", Email: "anna@xn--mnchen-3ya.example", Status: identity.Active} // made before domains had one spelling
	b.must(b.InsertUser(ctx, old))
	found, _, _, err := b.UserForLogin(ctx, "anna@münchen.example", identity.Counter{})
	b.must(err)
	same(b, "a domain's old spelling", found.ID, old.ID)
	found, err = b.UserByEmail(ctx, "anna@münchen.example")
	b.must(err)
	same(b, "a domain's old spelling by address", found.ID, old.ID)
	b.must(b.ClearCounter(ctx, "browser"))
	b.must(b.MustChangePassword(ctx, u.ID))
	b.must(b.RehashPassword(ctx, u.ID, "rehashed"))
	_, p, _, err := b.UserForLogin(ctx, u.Email, identity.Counter{Name: "browser", Apart: true})
	b.must(err)
	same(b, "failures cleared, hash renewed, still to be changed", fmt.Sprint(p.Failures, " ", p.Hash, " ", p.MustChange), "0 rehashed true")
	b.must(b.SetPassword(ctx, u.ID, "own"))
	_, p, _, err = b.UserForLogin(ctx, u.Email, identity.Counter{})
	b.must(err)
	same(b, "to be changed after a change", p.MustChange, false)
}

func racingMisses(b *bench) {
	u := b.user("alice")
	got := contend(b, func(ctx context.Context) (int, error) { return b.MissPassword(ctx, u.ID) })
	same(b, "different sums", len(got), contenders)
}
