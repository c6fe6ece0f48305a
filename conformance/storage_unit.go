package conformance

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/gatekeeper-oidc/gatekeeper/audit"
	"github.com/gatekeeper-oidc/gatekeeper/identity"
	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
	"github.com/gatekeeper-oidc/gatekeeper/keys"
	"github.com/gatekeeper-oidc/gatekeeper/oauth2"
)

func bellContracts() []contract {
	return []contract{{"a change is heard before it returns", bellHeard}, {"a change undone is not heard", bellUndone}}
}

// overheard collects topics.
type overheard struct {
	mu     sync.Mutex
	topics []string
}

func (h *overheard) add(topic string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.topics = append(h.topics, topic)
}

func (h *overheard) has(topic string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Contains(h.topics, topic)
}

// listen collects what is heard until the test ends.
func (b *bench) listen() *overheard {
	b.Helper()
	h := &overheard{}
	ctx, cancel := context.WithCancel(b.Context())
	var done sync.WaitGroup
	done.Go(func() { _ = b.Listen(ctx, h.add) })
	b.Cleanup(func() { cancel(); done.Wait() })
	for !h.has("client:ready") { // subscribed
		b.kind(b.DeleteClient(ctx, "ready"), fault.NotFound)
		b.must(b.InsertClient(ctx, sampleClient("ready")))
		b.must(b.DeleteClient(ctx, "ready"))
	}
	return h
}

func bellHeard(b *bench) {
	ctx := b.Context()
	h := b.listen()
	check := func(topic string, err error) {
		b.Helper()
		b.must(err)
		if !h.has(topic) {
			b.Errorf("%s was not heard", topic)
		}
	}
	check("client:shop", b.InsertClient(ctx, sampleClient("shop")))
	u := b.user("alice")
	check("user:"+u.ID, b.UpdateUser(ctx, u))
	b.session(u, "s1")
	_, err := b.EndSessions(ctx, u.ID)
	check("session:s1", err)
	b.redeem(b.grant("g1"), true)
	_, err = b.RevokeGrant(ctx, "g1", sampleEvent(audit.GrantRevoked, "g1"))
	check("grant:g1", err)
	check("token:t1", b.RevokeToken(ctx, "t1", b.now().Add(time.Hour), sampleEvent(audit.TokenRevoked, "")))
	b.redeem(b.grant("g2"), true)
	_, err = b.RevokeGrants(ctx, "alice", "")
	check("grant:g2", err)
	b.redeem(b.grant("g3"), true)
	b.rotate("g3", 1, 0)
	same(b, "a replay", b.rotate("g3", 1, 0), oauth2.Replayed)
	check("grant:g3", nil)
	k := b.key("k")
	check("key:", b.ChangeKeys(ctx, func(context.Context, []keys.Key, time.Time) ([]keys.Key, error) {
		return []keys.Key{k}, nil
	}))
}

func bellUndone(b *bench) {
	h := b.listen()
	err := b.InTx(b.Context(), func(ctx context.Context) error {
		return errors.Join(b.InsertClient(ctx, sampleClient("shop")), errStop)
	})
	if !errors.Is(err, errStop) {
		b.Fatal(err)
	}
	same(b, "heard", h.has("client:shop"), false)
}

func txContracts() []contract {
	return []contract{
		{"a failing function leaves nothing", txUndone},
		{"a panic leaves nothing and the store usable", txPanics},
		{"a failed statement undoes all although it is ignored", txDoomed},
		{"an inner transaction joins the outer one", txNested},
		{"what is written is read inside", txReads},
		{"a context that ended writes nothing", txEnded},
	}
}

func txUndone(b *bench) {
	g := b.grant("g1")
	err := b.InTx(b.Context(), func(ctx context.Context) error {
		b.must(b.InsertUser(ctx, identity.User{ID: "u", Email: "u"}))
		b.must(b.InsertClient(ctx, sampleClient("shop")))
		if _, err := b.RedeemGrant(ctx, g, true, sampleEvent(audit.GrantIssued, g.ID)); err != nil {
			return err
		}
		return errStop
	})
	if !errors.Is(err, errStop) {
		b.Errorf("error = %v, want that of the function", err)
	}
	b.empty()
}

// empty checks that what txUndone wrote is not there.
func (b *bench) empty() {
	b.Helper()
	_, err := b.User(b.Context(), "u")
	b.kind(err, fault.NotFound)
	_, err = b.Client(b.Context(), "shop")
	b.kind(err, fault.NotFound)
	_, _, err = b.Grant(b.Context(), "g1")
	b.kind(err, fault.NotFound)
	same(b, "events", len(b.kinds()), 0)
}

func txPanics(b *bench) {
	func() {
		defer func() { _ = recover() }()
		_ = b.InTx(b.Context(), func(ctx context.Context) error {
			b.must(b.InsertUser(ctx, identity.User{ID: "u", Email: "u"}))
			panic("a bug")
		})
	}()
	b.empty()
	b.user("alice")
}

func txDoomed(b *bench) {
	b.user("alice")
	err := b.InTx(b.Context(), func(ctx context.Context) error {
		b.must(b.InsertUser(ctx, identity.User{ID: "u", Email: "u"}))
		b.kind(b.InsertUser(ctx, identity.User{ID: "v", Email: "alice@example.com"}), fault.Conflict)
		return nil
	})
	if err == nil {
		b.Error("a transaction with a failed statement was committed")
	}
	b.empty()
}

func txNested(b *bench) {
	err := b.InTx(b.Context(), func(ctx context.Context) error {
		err := b.InTx(ctx, func(ctx context.Context) error { return b.InsertUser(ctx, identity.User{ID: "u", Email: "u"}) })
		return errors.Join(err, errStop)
	})
	if !errors.Is(err, errStop) {
		b.Errorf("error = %v", err)
	}
	b.empty()
}

func txReads(b *bench) {
	b.must(b.InTx(b.Context(), func(ctx context.Context) error {
		b.must(b.InsertUser(ctx, identity.User{ID: "u", Email: "u"}))
		_, err := b.User(ctx, "u")
		return err
	}))
}

func txEnded(b *bench) {
	ctx, cancel := context.WithCancel(b.Context())
	cancel()
	b.kind(b.InsertUser(ctx, identity.User{ID: "u", Email: "u"}), fault.Unavailable)
	b.kind(b.InTx(ctx, func(context.Context) error { return nil }), fault.Unavailable)
	b.empty()
}

func cleanContracts() []contract {
	return []contract{{"what is over goes in bounded batches and what lives stays", cleans}}
}

func cleans(b *bench) {
	ctx := b.Context()
	now := b.now()
	long := now.Add(-30 * 24 * time.Hour)
	u := b.user("alice")
	for i := range 5 {
		id := fmt.Sprint("over", i)
		in, s, g := b.interaction(id), b.session(u, id), b.grant(id)
		in.ExpiresAt, s.ExpiresAt, g.ExpiresAt = long, long, long
		b.must(b.PutInteraction(ctx, in))
		b.must(b.PutSession(ctx, s))
		b.redeem(g, true)
		b.must(b.RevokeToken(ctx, id, long, sampleEvent(audit.TokenRevoked, "")))
		_, err := b.UseAssertion(ctx, "shop", id, long)
		b.must(err)
	}
	b.must(b.PutInteraction(ctx, b.interaction("live")))
	s := b.session(u, "live")
	b.redeem(b.grant("live"), true)
	b.must(b.RevokeToken(ctx, "live", now.Add(time.Hour), sampleEvent(audit.TokenRevoked, "")))
	total, calls := 0, 0
	for {
		n, err := b.Clean(ctx, 2)
		b.must(err)
		if n == 0 {
			break
		}
		if n > 5*2 {
			b.Errorf("%d rows in one call, want at most 2 of each kind", n)
		}
		total += n
		calls++
	}
	same(b, "rows", total, 25)
	same(b, "calls", calls, 3)
	_, err := b.Interaction(ctx, "live")
	b.must(err)
	_, _, err = b.SessionByToken(ctx, s.TokenHash)
	b.must(err)
	same(b, "a live grant", b.rotate("live", 1, time.Minute), oauth2.Rotated)
	standing, err := b.Standing(ctx, oauth2.StandingQuery{JTI: "live"})
	b.must(err)
	same(b, "a live revocation", standing.TokenRevoked, true)
	_, _, err = b.Grant(ctx, "over0")
	b.kind(err, fault.NotFound)
}
