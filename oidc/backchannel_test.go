package oidc

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatekeeper-oidc/gatekeeper/audit"
	"github.com/gatekeeper-oidc/gatekeeper/internal/fetch"
	"github.com/gatekeeper-oidc/gatekeeper/oauth2"
)

// An outbox is an oauth2.LogoutStore in memory, on the bubble's clock. Clients whose
// id begins with d registered themselves.
type outbox struct {
	mu   sync.Mutex
	rows []*waitingRow
	told map[string]time.Time // when, by session and client
}

type waitingRow struct {
	oauth2.Logout

	due  time.Time
	held bool
}

func (o *outbox) add(session, client string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.rows = append(o.rows, &waitingRow{Logout: oauth2.Logout{Session: session, ClientID: client, UserID: "ana", EndedAt: time.Now()}, due: time.Now()})
}

func (o *outbox) InTx(ctx context.Context, f func(ctx context.Context) error) error { return f(ctx) }

func (o *outbox) Client(_ context.Context, id string) (oauth2.Client, error) {
	return oauth2.Client{ID: id, Dynamic: id[0] == 'd', BackchannelLogoutURI: "https://" + id + ".example/"}, nil
}

func (o *outbox) SessionClients(context.Context, ...string) (map[string][]string, error) {
	return map[string][]string{}, nil
}

// claim leases the rows that are wanted, up to limit.
func (o *outbox) claim(lease time.Duration, limit int, wanted func(*waitingRow) bool) (claimed []oauth2.Logout) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, r := range o.rows {
		if len(claimed) < limit && wanted(r) {
			r.Attempt, r.due, r.held, r.Age = r.Attempt+1, time.Now().Add(lease), true, time.Since(r.EndedAt)
			claimed = append(claimed, r.Logout)
		}
	}
	return claimed
}

func (o *outbox) ClaimLogouts(_ context.Context, lease time.Duration, q oauth2.LogoutQuery) ([]oauth2.Logout, error) {
	turns := map[string]int{}
	return o.claim(lease, q.Limit, func(r *waitingRow) bool {
		if r.due.After(time.Now()) || slices.Contains(q.Except, r.ClientID) || (q.Of == oauth2.OfStrangers) != (r.ClientID[0] == 'd') {
			return false
		}
		turns[r.ClientID]++
		return turns[r.ClientID] <= q.PerClient
	}), nil
}

func (o *outbox) ClaimLogoutsOf(_ context.Context, session string, lease time.Duration, limit int) ([]oauth2.Logout, error) {
	return o.claim(lease, limit, func(r *waitingRow) bool { return r.Session == session && r.Attempt == 0 }), nil
}

func (o *outbox) SettleLogout(_ context.Context, l oauth2.Logout, _ audit.Event) (bool, error) {
	o.mu.Lock()
	o.told[l.Session+" "+l.ClientID] = time.Now()
	o.mu.Unlock()
	return true, o.DropLogout(context.Background(), l)
}

func (o *outbox) DropLogout(_ context.Context, l oauth2.Logout) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.rows = slices.DeleteFunc(o.rows, func(r *waitingRow) bool { return r.Session == l.Session && r.ClientID == l.ClientID })
	return nil
}

func (o *outbox) each(f func(*waitingRow)) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, r := range o.rows {
		f(r)
	}
}

func (o *outbox) PostponeLogout(_ context.Context, l oauth2.Logout, by time.Duration) error {
	o.each(func(r *waitingRow) {
		if r.Session == l.Session && r.ClientID == l.ClientID {
			r.due, r.held = time.Now().Add(by), false
		}
	})
	return nil
}

func (o *outbox) WakeLogouts(_ context.Context, clientID string) (n int64, err error) {
	o.each(func(r *waitingRow) {
		if r.ClientID == clientID && !r.held && r.Attempt > 0 && r.due.After(time.Now()) {
			r.due = time.Now()
			n++
		}
	})
	return n, nil
}

// The rest of what a Backchannel needs does nothing.
type noSessions struct{}

func (noSessions) End(context.Context, string, string, audit.Kind, ...string) error { return nil }

type plainTokens struct{}

func (plainTokens) LogoutToken(context.Context, *oauth2.Client, oauth2.Logout) (string, error) {
	return "a.b.c", nil
}

type blank struct{}

func (blank) Fill(_ context.Context, e audit.Event) audit.Event { return e }

// postedTo is a Poster.
type postedTo func(ctx context.Context, address string) (int, error)

func (p postedTo) PostForm(ctx context.Context, address string, _ url.Values) (int, error) {
	return p(ctx, address)
}

// telling is a Backchannel in a bubble, over an outbox.
func telling(t *testing.T, post postedTo) (*Backchannel, *outbox) {
	t.Helper()
	o := &outbox{told: map[string]time.Time{}}
	b, err := NewBackchannel(BackchannelConfig{
		Sessions: noSessions{}, Store: o, Tokens: plainTokens{}, Post: post, Trail: blank{}, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	return b, o
}

// drive runs b until the test's end.
func drive(t *testing.T, b *Backchannel) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { _ = b.Run(ctx); close(done) }()
	return func() { cancel(); <-done }
}

func hangs(ctx context.Context, _ string) (int, error) {
	<-ctx.Done()
	return 0, fetch.ErrUnreachable
}

// TestSignOutWaitsForNobodyLong: one application that hangs does not keep a person
// for a second.
func TestSignOutWaitsForNobodyLong(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, o := telling(t, hangs)
		o.add("s1", "shop")
		o.add("s1", "tool")
		began := time.Now()
		if _, err := b.SignOut(t.Context(), "ana", "s1"); err != nil {
			t.Fatal(err)
		}
		if waited := time.Since(began); waited >= time.Second {
			t.Errorf("the person waited %v", waited)
		}
		b.stop()
		if len(o.rows) != 2 {
			t.Errorf("%d rows are left to be tried again, want 2", len(o.rows))
		}
	})
}

// TestWhoIsBackHearsSoon: an application that was down for a while hears of every
// sign-out within half a minute of its return.
func TestWhoIsBackHearsSoon(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var back time.Time
		b, o := telling(t, func(context.Context, string) (int, error) {
			if time.Now().Before(back) {
				return 0, fetch.ErrUnreachable
			}
			return 200, nil
		})
		back = time.Now().Add(150 * time.Second)
		for i := range 40 {
			o.add(fmt.Sprintf("s%d", i), "shop")
		}
		stop := drive(t, b)
		time.Sleep(149 * time.Second)
		if len(o.told) != 0 || len(o.rows) != 40 {
			t.Fatalf("told %d while it was down", len(o.told))
		}
		time.Sleep(31 * time.Second)
		stop()
		var first, last time.Time
		for _, at := range o.told {
			if first.IsZero() || at.Before(first) {
				first = at
			}
			if at.After(last) {
				last = at
			}
		}
		if len(o.told) != 40 || last.Sub(first) > time.Second {
			t.Errorf("told of %d, the last %v after the first", len(o.told), last.Sub(first))
		}
	})
}

// TestSlowOnesDoNotTakeEverySlot: applications that registered themselves and hang
// leave room for those of operators, and each has few attempts.
func TestSlowOnesDoNotTakeEverySlot(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		running, most, mostOfOne := map[string]int{}, 0, map[string]int{}
		b, o := telling(t, func(ctx context.Context, address string) (int, error) {
			if address == "https://shop.example/" {
				return 200, nil
			}
			mu.Lock()
			running[address]++
			mostOfOne[address] = max(mostOfOne[address], running[address])
			total := 0
			for _, n := range running {
				total += n
			}
			most = max(most, total)
			mu.Unlock()
			defer func() { mu.Lock(); running[address]--; mu.Unlock() }()
			return hangs(ctx, address)
		})
		for i := range 60 {
			for s := range 5 {
				o.add(fmt.Sprintf("s%d", s), fmt.Sprintf("dyn%d", i))
			}
		}
		for s := range 20 {
			o.add(fmt.Sprintf("s%d", s), "slow")
		}
		stop := drive(t, b)
		time.Sleep(time.Second)
		for s := range 20 {
			o.add(fmt.Sprintf("late%d", s), "shop")
		}
		b.Ring()
		synctest.Wait()
		if len(o.told) != 20 {
			t.Errorf("told %d of 20 at once", len(o.told))
		}
		time.Sleep(30 * time.Second)
		stop()
		if most != atOnceStrange+ofOneOperators || mostOfOne["https://slow.example/"] != ofOneOperators || mostOfOne["https://dyn0.example/"] != ofOneStrange {
			t.Errorf("%d at once, %d of a slow one, %d of one that registered itself", most, mostOfOne["https://slow.example/"], mostOfOne["https://dyn0.example/"])
		}
	})
}
