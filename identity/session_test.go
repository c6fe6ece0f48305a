package identity

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatekeeper-oidc/gatekeeper/audit"
	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
)

type recorderFunc func(audit.Event) error

func (f recorderFunc) Record(_ context.Context, e audit.Event) error { return f(e) }

// begin starts a session and fails t if it does not.
func (w *world) begin(t *testing.T, u User, previous *Session, amr ...string) (Session, string) {
	t.Helper()
	s, token, err := w.Begin(from(t, "192.0.2.7"), u, previous, amr...)
	if err != nil {
		t.Fatal(err)
	}
	return s, token
}

func TestBeginAndResume(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	u := w.person(t, "alice@example.org")
	s, token := w.begin(t, u, nil, "pwd")
	hash := sha256.Sum256([]byte(token))
	if len(s.ID) < 26 || len(token) < 43 || !bytes.Equal(s.TokenHash, hash[:]) {
		t.Errorf("got id %q, token of %d characters, hash %x", s.ID, len(token), s.TokenHash)
	}
	if s.AuthTime.Nanosecond() != 0 || s.AuthTime.After(w.clock.now()) || w.clock.now().Sub(s.AuthTime) >= time.Second {
		t.Errorf("got auth time %v at %v, want the whole second", s.AuthTime, w.clock.now())
	}
	if s.ACR != ACRSingle || s.Address != "192.0.2.7" || s.UserAgent != "Test/1.0" || !s.ExpiresAt.Equal(s.CreatedAt.Add(24*time.Hour)) {
		t.Errorf("got %+v", s)
	}
	got, who, err := w.Resume(t.Context(), token)
	if err != nil || got.ID != s.ID || who.ID != u.ID {
		t.Errorf("got %v, %v, %v", got.ID, who.ID, err)
	}
	e := w.store.last()
	if e.Kind != audit.SessionStarted || e.Session != s.ID || e.Detail["amr"] != "pwd" {
		t.Errorf("got event %+v", e)
	}
	raw, err := json.Marshal(s)
	if err != nil || strings.Contains(string(raw), token) || strings.Contains(string(raw), "token") {
		t.Errorf("the session shows its token: %s, %v", raw, err)
	}
}

func TestSigningInAgainRenewsTheCookieAndKeepsTheID(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	u := w.person(t, "alice@example.org")
	first, old := w.begin(t, u, nil, "pwd")
	w.clock.advance(10 * time.Minute)
	second, fresh := w.begin(t, u, &first, "pwd", "otp")
	if second.ID != first.ID || !second.CreatedAt.Equal(first.CreatedAt) || fresh == old || !second.AuthTime.After(first.AuthTime) {
		t.Errorf("got %+v behind %+v, want the same session renewed", second, first)
	}
	if second.ACR != ACRMulti {
		t.Errorf("got acr %s, want %s", second.ACR, ACRMulti)
	}
	_, _, err := w.Resume(t.Context(), old)
	wantFault(t, err, fault.NotFound, "no_session")
	if _, _, err := w.Resume(t.Context(), fresh); err != nil {
		t.Error(err)
	}
	if e := w.store.last(); e.Detail["renewed"] != "true" {
		t.Errorf("got event %+v, want it called renewed", e)
	}
}

func TestSigningInAsSomeoneElseEndsThePrevious(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice, bob := w.person(t, "alice@example.org"), w.person(t, "bob@example.org")
	first, old := w.begin(t, alice, nil, "pwd")
	second, _ := w.begin(t, bob, &first, "pwd")
	if second.ID == first.ID {
		t.Error("bob got alice's session id")
	}
	_, _, err := w.Resume(t.Context(), old)
	wantFault(t, err, fault.NotFound, "no_session")
	want := []audit.Kind{audit.UserCreated, audit.UserCreated, audit.SessionStarted, audit.SessionEnded, audit.SessionStarted}
	if diff := cmp.Diff(want, w.store.kinds()); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

func TestAnEndedSessionStaysEnded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	u := w.person(t, "alice@example.org")
	first, _ := w.begin(t, u, nil, "pwd")
	if err := w.End(t.Context(), "test", u.ID, audit.SessionEnded, first.ID); err != nil {
		t.Fatal(err)
	}
	second, _ := w.begin(t, u, &first, "pwd")
	if second.ID == first.ID {
		t.Error("a session that was ended came back to life, and its tokens with it")
	}
}

func TestResumeRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		spoil func(t *testing.T, w *world, u User, s Session) (token string) // "" for the real one
	}{
		{"no cookie", func(*testing.T, *world, User, Session) string { return " " }},
		{"a cookie of the wrong length", func(*testing.T, *world, User, Session) string { return strings.Repeat("A", 1<<16) }},
		{"a cookie nobody has", func(*testing.T, *world, User, Session) string { return strings.Repeat("A", 43) }},
		{"the session's id", func(_ *testing.T, _ *world, _ User, s Session) string { return s.ID }},
		{"an hour without a request", func(_ *testing.T, w *world, _ User, _ Session) string {
			w.clock.advance(time.Hour)
			return ""
		}},
		{"a day of requests", func(t *testing.T, w *world, _ User, s Session) string {
			t.Helper()
			for range 48 {
				w.clock.advance(30 * time.Minute)
				if err := w.store.TouchSession(t.Context(), s.ID); err != nil {
					t.Fatal(err)
				}
			}
			return ""
		}},
		{"logged out", func(t *testing.T, w *world, u User, s Session) string {
			t.Helper()
			if err := w.End(t.Context(), Actor(u.ID), u.ID, audit.LogoutRequested, s.ID); err != nil {
				t.Fatal(err)
			}
			return ""
		}},
		{"locked", func(t *testing.T, w *world, u User, _ Session) string {
			t.Helper()
			u.Status = Locked // by another node, before its sessions are ended
			if err := w.store.UpdateUser(t.Context(), u); err != nil {
				t.Fatal(err)
			}
			return ""
		}},
		{"password changed", func(t *testing.T, w *world, u User, _ Session) string {
			t.Helper()
			if err := w.SetPassword(t.Context(), "test", u.ID, "four yellow submarines"); err != nil {
				t.Fatal(err)
			}
			return ""
		}},
		{"deleted", func(t *testing.T, w *world, u User, _ Session) string {
			t.Helper()
			if err := w.DeleteUser(t.Context(), "test", u.ID); err != nil {
				t.Fatal(err)
			}
			return ""
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			u := w.person(t, "alice@example.org")
			s, token := w.begin(t, u, nil, "pwd")
			if other := c.spoil(t, w, u, s); other != "" {
				token = other
			}
			_, _, err := w.Resume(t.Context(), token)
			wantFault(t, err, fault.NotFound, "no_session")
		})
	}
}

func TestResumeTellsNoFromCannotTell(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, token := w.begin(t, w.person(t, "alice@example.org"), nil, "pwd")
	w.store.down = fault.Down("store", errors.New("gone"))
	if _, _, err := w.Resume(t.Context(), token); !fault.Is(err, fault.Unavailable) {
		t.Errorf("got %v, want Unavailable", err)
	}
}

func TestResumeTouchesOnceAMinute(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, token := w.begin(t, w.person(t, "alice@example.org"), nil, "pwd")
	for range 100 {
		w.clock.advance(10 * time.Second)
		if _, _, err := w.Resume(t.Context(), token); err != nil {
			t.Fatal(err)
		}
	}
	if got := w.store.calls["TouchSession"]; got != 16 {
		t.Errorf("got %d touches in 1000 s, want 16", got)
	}
}

func TestTheOldestOfTooManySessionsEnds(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Policy.MaxSessions = 3
	u := w.person(t, "alice@example.org")
	var ids []string
	for range 4 {
		s, _ := w.begin(t, u, nil, "pwd")
		ids = append(ids, s.ID)
		w.clock.advance(time.Minute)
	}
	live, err := w.Sessions(t.Context(), u.ID)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, l := range live {
		got = append(got, l.ID)
	}
	slices.Reverse(got)
	if diff := cmp.Diff(ids[1:], got); diff != "" {
		t.Errorf("live sessions (-want +got):\n%s", diff)
	}
	// signing in again in a session that is there needs no room
	if _, _, err := w.Begin(t.Context(), u, &live[0], "pwd"); err != nil {
		t.Fatal(err)
	}
	if again, _ := w.Sessions(t.Context(), u.ID); len(again) != 3 {
		t.Errorf("got %d sessions, want 3", len(again))
	}
}

func TestBeginRefusesWhoWasLockedMeanwhile(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	u := w.person(t, "alice@example.org")
	if err := w.Lock(t.Context(), "test", u.ID, "fraud"); err != nil {
		t.Fatal(err)
	}
	_, _, err := w.Begin(t.Context(), u, nil, "pwd")
	wantFault(t, err, fault.Unauthenticated, "invalid_credentials")
}

func TestEndIsOneEventAndOnlyIfSomethingEnded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice, bob := w.person(t, "alice@example.org"), w.person(t, "bob@example.org")
	a, _ := w.begin(t, alice, nil, "pwd")
	b, tokenB := w.begin(t, bob, nil, "pwd")
	if err := w.End(t.Context(), Actor(alice.ID), alice.ID, audit.SessionEnded, b.ID); err != nil {
		t.Fatal(err)
	}
	if _, _, err := w.Resume(t.Context(), tokenB); err != nil {
		t.Errorf("alice ended bob's session: %v", err)
	}
	before := len(w.store.kinds())
	for range 2 {
		if err := w.End(t.Context(), Actor(alice.ID), alice.ID, audit.LogoutRequested); err != nil {
			t.Fatal(err)
		}
	}
	e := w.store.last()
	if len(w.store.kinds()) != before+1 || e.Kind != audit.LogoutRequested || e.Session != a.ID || e.Actor != "user:"+alice.ID {
		t.Errorf("got events %v, the last %+v", w.store.kinds(), e)
	}
}

func TestACR(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ amr, want string }{
		{"", "1"}, {"pwd", "1"}, {"otp", "1"}, {"pwd pin", "1"}, {"pwd otp", "2"}, {"hwk face", "2"}, {"mfa", "2"}, {"pwd unheard-of", "1"},
	} {
		if got := acr(strings.Fields(c.amr)); got != c.want {
			t.Errorf("%s: got %s, want %s", c.amr, got, c.want)
		}
	}
}

func TestConcurrentBeginsKeepTheLimit(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Policy.MaxSessions = 5
	u := w.person(t, "alice@example.org")
	var wg sync.WaitGroup
	for range 32 {
		wg.Go(func() {
			if _, _, err := w.Begin(t.Context(), u, nil, "pwd"); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if live, _ := w.Sessions(t.Context(), u.ID); len(live) != 5 {
		t.Errorf("got %d sessions, want 5", len(live))
	}
}

func FuzzTokenHash(f *testing.F) {
	token, _ := newToken()
	f.Add(token)
	f.Add(strings.Repeat("A", 43))
	f.Add(strings.Repeat("/", 43))
	f.Add("")
	f.Fuzz(func(t *testing.T, s string) {
		if hash, ok := tokenHash(s); ok != (hash != nil) || ok && len(s) != 43 {
			t.Errorf("%q: got %x, %v", s, hash, ok)
		}
	})
}
