package identity

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatekeeper-oidc/gatekeeper/audit"
	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
)

// miss fails to sign in n times, each time from another network and after the delay.
func (w *world) miss(t *testing.T, email string, n int) {
	t.Helper()
	for i := range n {
		w.clock.advance(maxDelay)
		_, err := w.Authenticate(from(t, fmt.Sprintf("10.0.%d.%d", i/250, i%250)), email, "wrong")
		wantFault(t, err, fault.Unauthenticated, "invalid_credentials")
	}
}

// known is a request of a browser that has signed in as email before.
func (w *world) known(t *testing.T, ctx context.Context, email string) context.Context {
	t.Helper()
	return WithDevice(ctx, w.Device(ctx, email))
}

func TestAKnownBrowserIsNotLockedOutFromElsewhere(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.person(t, "alice@example.org")
	usual := w.known(t, from(t, "192.0.2.7"), "alice@example.org")
	w.miss(t, "alice@example.org", 12)
	for range 40 { // the same network, too
		_, err := w.Authenticate(from(t, "192.0.2.7"), "alice@example.org", "wrong")
		if !fault.Is(err, fault.Unauthenticated) && !fault.Is(err, fault.TooMany) {
			t.Fatal(err)
		}
	}
	if _, err := w.Authenticate(from(t, "198.51.100.1"), "alice@example.org", goodPassword); !fault.Is(err, fault.TooMany) {
		t.Fatalf("a browser nobody knows: got %v, want the delay", err)
	}
	if _, err := w.Authenticate(usual, "ALICE@example.org ", goodPassword); err != nil {
		t.Errorf("the usual browser: %v", err)
	}
}

func TestAKnownBrowserHasACountOfItsOwn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	u := w.person(t, "alice@example.org")
	usual := w.known(t, from(t, "192.0.2.7"), "alice@example.org")
	for range freeMisses {
		_, err := w.Authenticate(usual, "alice@example.org", "wrong")
		wantFault(t, err, fault.Unauthenticated, "invalid_credentials")
	}
	if e := w.store.last(); e.Detail["browser"] != "known" || e.Detail["failures"] != "5" {
		t.Errorf("got event %+v", e)
	}
	_, err := w.Authenticate(usual, "alice@example.org", goodPassword)
	wantFault(t, err, fault.TooMany, "too_many_attempts")
	if got := w.store.data.pass[u.ID].Failures; got != 0 {
		t.Errorf("got %d misses counted with the account", got)
	}
	if _, err := w.Authenticate(from(t, "198.51.100.1"), "alice@example.org", goodPassword); err != nil {
		t.Errorf("another browser: %v", err)
	}
	w.clock.advance(time.Hour)
	if _, err := w.Authenticate(usual, "alice@example.org", goodPassword); err != nil {
		t.Errorf("after the wait: %v", err)
	}
	if len(w.store.data.misses) != 0 {
		t.Errorf("success left %v", w.store.data.misses)
	}
}

func TestABrowserKnowsThoseWhoSignedInWithIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := from(t, "192.0.2.1")
	said := w.Device(ctx, "alice@example.org")
	counter := func(said, email string) string { return w.newAttempt(WithDevice(ctx, said), email).device }
	alice := counter(said, "alice@example.org")
	if alice == "" || counter(said, "bob@example.org") != "" {
		t.Error("a browser is known to somebody who never signed in with it, or not to who did")
	}
	if strings.Contains(said, "alice") {
		t.Errorf("it names somebody: %s", said)
	}
	both := w.Device(WithDevice(ctx, said), "bob@example.org")
	if counter(both, "alice@example.org") != alice || counter(both, "bob@example.org") == "" {
		t.Error("a second person displaced the first")
	}
	if again := w.Device(WithDevice(ctx, both), "alice@example.org"); counter(again, "alice@example.org") != alice {
		t.Error("a browser that signs in again counts anew")
	}
	for _, forged := range []string{"", ".", "x", strings.Repeat("A", 43), said[:42] + "_", said + "A", strings.Repeat(said+".", 100)} {
		if forged != said && counter(forged, "alice@example.org") != "" {
			t.Errorf("%.60q passes for a known browser", forged)
		}
	}
	for i := range 9 {
		both = w.Device(WithDevice(ctx, both), fmt.Sprintf("p%d@example.org", i))
	}
	if n := strings.Count(both, "."); n != maxKnown-1 {
		t.Errorf("got %d people, want %d", n+1, maxKnown)
	}
	other := newWorld(t)
	other.Key = [32]byte{1}
	if other.newAttempt(WithDevice(ctx, said), "alice@example.org").device != "" {
		t.Error("another server's word is taken")
	}
}

func TestAHundredMissesPauseAndThePauseEndsByItself(t *testing.T) {
	t.Parallel()
	for _, known := range []bool{true, false} {
		w := newWorld(t)
		var sess Session
		if known {
			u := w.person(t, "alice@example.org")
			var err error
			if sess, _, err = w.Begin(t.Context(), u, nil, "pwd"); err != nil {
				t.Fatal(err)
			}
		}
		w.miss(t, "alice@example.org", pauseEvery)
		if e := w.store.last(); known && (e.Kind != audit.LoginFailed || e.Detail["paused_for"] != "1h0m0s") {
			t.Errorf("got event %+v", e)
		}
		w.clock.advance(pause - time.Second)
		_, err := w.Authenticate(from(t, "10.9.0.1"), "alice@example.org", goodPassword)
		wantFault(t, err, fault.TooMany, "too_many_attempts")
		if got := fault.Of(err).RetryAfter; got != time.Second {
			t.Errorf("known %v: got %v left, want a second", known, got)
		}
		w.clock.advance(time.Second)
		_, err = w.Authenticate(from(t, "10.9.0.1"), "alice@example.org", goodPassword)
		if !known {
			wantFault(t, err, fault.Unauthenticated, "invalid_credentials")
			continue
		}
		if err != nil {
			t.Errorf("after the pause: %v", err)
		}
		if !w.store.data.sessions[sess.ID].EndedAt.IsZero() {
			t.Error("strangers ended a session")
		}
	}
}

func TestStrangersNeverKeepTheLastAdministratorOut(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.person(t, "root@example.org", RoleAdmin)
	w.miss(t, "root@example.org", pauseEvery)
	w.clock.advance(maxDelay)
	if _, err := w.Authenticate(from(t, "10.9.0.1"), "root@example.org", goodPassword); err != nil {
		t.Errorf("the only administrator: %v", err)
	}
	w.person(t, "second@example.org", RoleAdmin)
	w.miss(t, "root@example.org", pauseEvery)
	w.clock.advance(maxDelay)
	_, err := w.Authenticate(from(t, "10.9.0.1"), "root@example.org", goodPassword)
	wantFault(t, err, fault.TooMany, "too_many_attempts")
}

func TestMissesFadeAlikeForKnownAndUnknown(t *testing.T) {
	t.Parallel()
	for _, quiet := range []time.Duration{25 * time.Hour, MissMemory - time.Hour, MissMemory + time.Hour} {
		var waits []time.Duration
		for _, known := range []bool{true, false} {
			w := newWorld(t)
			if known {
				w.person(t, "alice@example.org")
			}
			w.miss(t, "alice@example.org", freeMisses+3)
			w.clock.advance(quiet)
			w.limits.arrivals = map[string]int64{} // a restart, or another node
			var wait time.Duration
			for i := range 2 {
				_, err := w.Authenticate(from(t, fmt.Sprintf("10.8.0.%d", i)), "alice@example.org", "wrong")
				if f := fault.Of(err); f.Kind == fault.TooMany {
					wait = f.RetryAfter
				}
			}
			waits = append(waits, wait)
		}
		if waits[0] != waits[1] || (waits[0] > 0) != (quiet < MissMemory) {
			t.Errorf("after %v: got %v for a known account, %v for an unknown one", quiet, waits[0], waits[1])
		}
	}
}

func TestWhatIsNoAddressIsCountedApart(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for i, typed := range []string{"", "anna", "an na@example.org", "@", strings.Repeat("x", 9000), "a@b@c", "\xff"} {
		for range freeMisses {
			_, err := w.Authenticate(from(t, fmt.Sprintf("192.0.2.%d", i)), typed, "wrong")
			wantFault(t, err, fault.Unauthenticated, "invalid_credentials")
		}
		_, err := w.Authenticate(from(t, fmt.Sprintf("192.0.2.%d", i)), typed, "wrong")
		wantFault(t, err, fault.TooMany, "too_many_attempts")
		if _, err := w.Authenticate(from(t, fmt.Sprintf("198.51.100.%d", i)), typed, "wrong"); !fault.Is(err, fault.Unauthenticated) {
			t.Errorf("%.20q elsewhere: got %v, want a try", typed, err)
		}
	}
	names := []string{w.newAttempt(from(t, "192.0.2.1"), " Anna ").account, w.newAttempt(from(t, "192.0.2.1"), "anna").account, w.newAttempt(from(t, "192.0.2.1"), "ann").account}
	if names[0] != names[1] || names[1] == names[2] {
		t.Errorf("got names %v, want spellings of one word under one", names)
	}
}

func TestAPasswordOfSomebodyElsesIsChangedFirst(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	u := w.person(t, "alice@example.org")
	if err := w.SetPassword(t.Context(), "user:admin", u.ID, "four yellow submarines"); err != nil {
		t.Fatal(err)
	}
	if e := w.store.last(); e.Kind != audit.PasswordChanged || e.Detail["must_change"] != "true" {
		t.Errorf("got event %+v", e)
	}
	_, err := w.Authenticate(from(t, "192.0.2.1"), u.Email, "four yellow submarines")
	wantFault(t, err, fault.Forbidden, "password_change_required")
	if slices.Contains(w.store.kinds(), audit.LoginSucceeded) {
		t.Error("a sign-in was recorded")
	}
	_, err = w.Replace(from(t, "192.0.2.1"), u.Email, "wrong", "five orange umbrellas")
	wantFault(t, err, fault.Unauthenticated, "invalid_credentials")
	_, err = w.Replace(from(t, "192.0.2.1"), u.Email, "four yellow submarines", "four yellow submarines")
	wantFault(t, err, fault.Invalid, "weak_password")
	got, err := w.Replace(from(t, "192.0.2.1"), u.Email, "four yellow submarines", "five orange umbrellas")
	if err != nil || got.ID != u.ID {
		t.Fatalf("got %v, %v", got, err)
	}
	if _, err := w.Authenticate(from(t, "192.0.2.1"), u.Email, "five orange umbrellas"); err != nil {
		t.Errorf("with the new password: %v", err)
	}
	if _, err := w.Replace(from(t, "192.0.2.1"), u.Email, "five orange umbrellas", "six purple dinosaurs"); !fault.Is(err, fault.Forbidden) {
		t.Errorf("nobody asked for a change: got %v", err)
	}
}
