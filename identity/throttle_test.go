package identity

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
	"github.com/gatekeeper-oidc/gatekeeper/internal/ratelimit"
)

func TestDelaysGrowAlikeForKnownAndUnknown(t *testing.T) {
	t.Parallel()
	waits := func(known bool) []time.Duration {
		w := newWorld(t)
		if known {
			w.person(t, "alice@example.org")
		}
		var got []time.Duration
		for i := range 14 {
			ctx := from(t, fmt.Sprintf("192.0.2.%d", i+1)) // or the address would be limited first
			_, err := w.Authenticate(ctx, "alice@example.org", "wrong")
			if fault.Is(err, fault.TooMany) {
				f := fault.Of(err)
				got = append(got, f.RetryAfter)
				w.clock.advance(f.RetryAfter - time.Second)
				if _, err := w.Authenticate(ctx, "alice@example.org", "wrong"); !fault.Is(err, fault.TooMany) {
					t.Errorf("known %v: a second early: got %v, want TooMany", known, err)
				}
				w.clock.advance(time.Second)
				_, err = w.Authenticate(ctx, "alice@example.org", "wrong")
			}
			wantFault(t, err, fault.Unauthenticated, "invalid_credentials")
		}
		return got
	}
	s := time.Second
	want := []time.Duration{1 * s, 2 * s, 4 * s, 8 * s, 16 * s, 32 * s, 60 * s, 60 * s, 60 * s}
	if diff := cmp.Diff(want, waits(true)); diff != "" {
		t.Errorf("known (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(want, waits(false)); diff != "" {
		t.Errorf("unknown (-want +got):\n%s", diff)
	}
}

func TestAddressIsLimitedByItsFailuresOnly(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		account func(i int) string
		rule    string
		free    int
	}{
		{"one account", func(int) string { return "victim@example.org" }, "login.account", 5},
		{"one account in many spellings", func(i int) string {
			return []string{"victim@example.org", "VICTIM@example.org", " victim@Example.org", "victim＠example.org"}[i%4]
		}, "login.account", 5},
		{"a few accounts", func(i int) string { return fmt.Sprintf("user%d@example.org", i%5) }, "login.address", 20},
		{"a new account each time", func(i int) string { return fmt.Sprintf("user%d@example.org", i) }, "login.spray", 15},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.person(t, "alice@example.org")
			for range 100 {
				if _, err := w.Authenticate(from(t, "2001:db8::1"), "alice@example.org", goodPassword); err != nil {
					t.Fatalf("a hundred people behind one address: %v", err)
				}
			}
			for i := range c.free {
				w.clock.advance(time.Millisecond)
				// the same /64 every time
				ctx := from(t, fmt.Sprintf("2001:db8::%x", i+1))
				_, err := w.Authenticate(ctx, c.account(i), "wrong")
				wantFault(t, err, fault.Unauthenticated, "invalid_credentials")
			}
			_, err := w.Authenticate(from(t, "2001:db8::ffff"), c.account(0), "wrong")
			wantFault(t, err, fault.TooMany, "too_many_attempts")
			f := fault.Of(err)
			if f.Rule != c.rule || f.RetryAfter <= 0 {
				t.Errorf("got rule %s, retry after %v; want %s", f.Rule, f.RetryAfter, c.rule)
			}
			if _, err := w.Authenticate(from(t, "2001:db8:0:1::1"), "alice@example.org", goodPassword); err != nil {
				t.Errorf("another network: %v", err)
			}
			w.clock.advance(f.RetryAfter)
			if _, err := w.Authenticate(from(t, "2001:db8::1"), c.account(0), "wrong"); !fault.Is(err, fault.Unauthenticated) {
				t.Errorf("after the wait: got %v, want another attempt", err)
			}
		})
	}
}

func TestAMissingAddressIsLimitedToo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for range 5 {
		_, err := w.Authenticate(t.Context(), "victim@example.org", "wrong")
		wantFault(t, err, fault.Unauthenticated, "invalid_credentials")
	}
	_, err := w.Authenticate(t.Context(), "victim@example.org", "wrong")
	wantFault(t, err, fault.TooMany, "too_many_attempts")
}

func TestParallelGuessesGetNoMoreThanTheFreeOnes(t *testing.T) {
	t.Parallel()
	for _, known := range []bool{true, false} {
		w := newWorld(t)
		if known {
			w.person(t, "alice@example.org")
		}
		var judged, limited atomic.Int64
		var wg sync.WaitGroup
		for i := range 64 {
			wg.Go(func() {
				_, err := w.Authenticate(from(t, fmt.Sprintf("192.0.2.%d", i)), "alice@example.org", "wrong")
				switch {
				case fault.Is(err, fault.Unauthenticated):
					judged.Add(1)
				case fault.Is(err, fault.TooMany):
					limited.Add(1)
				default:
					t.Errorf("got %v", err)
				}
			})
		}
		wg.Wait()
		if judged.Load() > freeMisses || judged.Load() == 0 || judged.Load()+limited.Load() != 64 {
			t.Errorf("known %v: got %d judged and %d limited, want at most %d judged of 64", known, judged.Load(), limited.Load(), freeMisses)
		}
		if len(w.lanes.open) != 0 {
			t.Errorf("got %d lanes left open", len(w.lanes.open))
		}
	}
}

func TestScaledLimits(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		factor float64
		free   int
	}{{0.25, 2}, {1, 5}, {10, 41}} {
		w := newWorld(t)
		w.Limits = ratelimit.Scaled{Source: w.limits, Factor: c.factor}
		judged := 0
		for range 100 {
			w.clock.advance(time.Millisecond)
			a := w.newAttempt(from(t, "192.0.2.1"), "alice@example.org")
			if w.allow(t.Context(), a) == nil {
				judged++
				if err := w.failed(t.Context(), a); err != nil {
					t.Fatal(err)
				}
			}
		}
		if judged != c.free {
			t.Errorf("factor %v: got %d attempts, want %d", c.factor, judged, c.free)
		}
		for i := range freeMisses {
			_, err := w.Authenticate(from(t, fmt.Sprintf("198.51.100.%d", i)), "alice@example.org", "wrong")
			wantFault(t, err, fault.Unauthenticated, "invalid_credentials")
		}
		_, err := w.Authenticate(from(t, "203.0.113.1"), "alice@example.org", "wrong")
		wantFault(t, err, fault.TooMany, "too_many_attempts")
		if f := fault.Of(err); f.RetryAfter != time.Second {
			t.Errorf("factor %v: got %v, want a second", c.factor, f.RetryAfter)
		}
	}
}
