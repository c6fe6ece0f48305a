package identity

import (
	"encoding/json"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatekeeper-oidc/gatekeeper/audit"
	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
)

func TestCreateUserRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		n    NewUser
		kind fault.Kind
		code string
	}{
		{"bad address", NewUser{Email: "alice"}, fault.Invalid, "invalid_email"},
		{"weak password", NewUser{Email: "bob@example.org", Password: "password"}, fault.Invalid, "weak_password"},
		{"hash that is none", NewUser{Email: "bob@example.org", PasswordHash: "hunter2"}, fault.Invalid, "invalid_password_hash"},
		{"hash that costs too much", NewUser{Email: "bob@example.org", PasswordHash: "$argon2id$v=19$m=4194304,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"}, fault.Invalid, "invalid_password_hash"},
		{"password and hash", NewUser{Email: "bob@example.org", Password: goodPassword, PasswordHash: phcVector}, fault.Invalid, "invalid_password_hash"},
		{"bad role", NewUser{Email: "bob@example.org", Roles: []string{"Big Boss"}}, fault.Invalid, "invalid_role"},
		{"bad profile", NewUser{Email: "bob@example.org", Profile: Profile{Picture: "javascript:x"}}, fault.Invalid, "invalid_profile"},
		{"address taken in another spelling", NewUser{Email: " ALICE＠example.org"}, fault.Conflict, "email_taken"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.person(t, "alice@example.org")
			_, err := w.CreateUser(t.Context(), "test", c.n)
			wantFault(t, err, c.kind, c.code)
			if got := w.store.kinds(); len(got) != 1 {
				t.Errorf("got events %v of a change that was not made", got)
			}
		})
	}
}

func TestUpdateUserLeavesStatusAndTimesAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	u := w.person(t, "alice@example.org")
	if err := w.Lock(t.Context(), "cli:root", u.ID, ""); err != nil {
		t.Fatal(err)
	}
	w.clock.advance(time.Hour)
	change := u // read before the lock: Active
	change.Email, change.Roles, change.Profile.Name = "Alice@New.example", []string{"editor", "admin"}, "Alice"
	change.CreatedAt, change.LastLoginAt = time.Time{}, w.clock.now()
	got, err := w.UpdateUser(t.Context(), "cli:root", change)
	if err != nil {
		t.Fatal(err)
	}
	want := u
	want.Email, want.Roles, want.Profile.Name, want.Status, want.UpdatedAt = "alice@new.example", []string{"admin", "editor"}, "Alice", Locked, w.clock.now()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("answered (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(want, w.store.data.users[u.ID]); diff != "" {
		t.Errorf("stored (-want +got):\n%s", diff)
	}
	if e := w.store.last(); e.Detail["changed"] != "email roles profile" {
		t.Errorf("got event %+v", e)
	}
	change.ID = "nobody"
	_, err = w.UpdateUser(t.Context(), "cli:root", change)
	wantFault(t, err, fault.NotFound, "user_not_found")
}

func TestLockEndsSessionsInOneChange(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	u := w.person(t, "alice@example.org")
	s, _ := w.begin(t, u, nil, "pwd")
	for range 2 { // the second changes nothing
		if err := w.Lock(t.Context(), "cli:root", u.ID, "left the company"); err != nil {
			t.Fatal(err)
		}
	}
	want := []audit.Kind{audit.UserCreated, audit.SessionStarted, audit.UserLocked}
	if diff := cmp.Diff(want, w.store.kinds()); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	if e := w.store.last(); !slices.Equal(e.Sessions, []string{s.ID}) || e.Detail["reason"] != "left the company" {
		t.Errorf("got event %+v", e)
	}
}

// What somebody got hold of before a lock must not work again after it; but a lock
// that anybody can bring about by mistyping takes nothing away for good.
func TestLockRevokesWhatWasGranted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	u := w.person(t, "alice@example.org")
	w.store.data.grants[u.ID] = []string{"g1", "g2"}
	if err := w.lock(t.Context(), System, u.ID, map[string]string{"reason": "too_many_failures"}); err != nil {
		t.Fatal(err)
	}
	if left := w.store.data.grants[u.ID]; len(left) != 2 {
		t.Errorf("too many failures revoked grants: %v are left", left)
	}
	if err := w.Lock(t.Context(), "cli:root", u.ID, "phone stolen"); err != nil {
		t.Fatal(err)
	}
	if left := w.store.data.grants[u.ID]; len(left) != 0 {
		t.Errorf("an administrator's lock left %v", left)
	}
	if e := w.store.last(); e.Kind != audit.UserLocked || e.Detail["grants"] != "2" || e.Detail["reason"] != "phone stolen" {
		t.Errorf("got event %+v", e)
	}
}

// A change whose event cannot be written is not made.
func TestNoChangeWithoutItsEvent(t *testing.T) {
	t.Parallel()
	changes := map[string]func(t *testing.T, w *world, u User) error{
		"create": func(t *testing.T, w *world, _ User) error {
			t.Helper()
			_, err := w.CreateUser(t.Context(), "test", NewUser{Email: "bob@example.org"})
			return err
		},
		"update": func(t *testing.T, w *world, u User) error {
			t.Helper()
			u.Profile.Name = "Alice"
			_, err := w.UpdateUser(t.Context(), "test", u)
			return err
		},
		"delete": func(t *testing.T, w *world, u User) error {
			t.Helper()
			return w.DeleteUser(t.Context(), "test", u.ID)
		},
		"lock": func(t *testing.T, w *world, u User) error {
			t.Helper()
			return w.Lock(t.Context(), "test", u.ID, "")
		},
		"set password": func(t *testing.T, w *world, u User) error {
			t.Helper()
			return w.SetPassword(t.Context(), "test", u.ID, "four yellow submarines")
		},
		"end": func(t *testing.T, w *world, u User) error {
			t.Helper()
			return w.End(t.Context(), "test", u.ID, audit.SessionEnded)
		},
		"begin": func(t *testing.T, w *world, u User) error {
			t.Helper()
			_, _, err := w.Begin(t.Context(), u, nil, "pwd")
			return err
		},
		"set-up link": func(t *testing.T, w *world, _ User) error {
			t.Helper()
			_, err := w.NewSetup(t.Context(), time.Hour)
			return err
		},
	}
	for name, change := range changes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			u := w.person(t, "alice@example.org")
			w.begin(t, u, nil, "pwd")
			before := w.store.snapshot()
			w.Trail = recorderFunc(func(audit.Event) error { return fault.Down("store", errors.New("gone")) })
			if err := change(t, w, u); !fault.Is(err, fault.Unavailable) {
				t.Errorf("got %v, want Unavailable", err)
			}
			if diff := cmp.Diff(before, w.store.snapshot(), cmp.AllowUnexported(tables{})); diff != "" {
				t.Errorf("something changed (-want +got):\n%s", diff)
			}
		})
	}
}

func TestSetPasswordKeepsOnlyTheSessionsNamed(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		keep bool
		want int
	}{{"none kept", false, 0}, {"this one kept", true, 1}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			u := w.person(t, "alice@example.org")
			mine, _ := w.begin(t, u, nil, "pwd")
			w.begin(t, u, nil, "pwd")
			w.store.data.grants[u.ID] = []string{"g1"}
			var keep []string
			if c.keep {
				keep = []string{mine.ID}
			}
			for range 2 { // the second time there is nothing left to end
				if err := w.SetPassword(t.Context(), Actor(u.ID), u.ID, "four yellow submarines", keep...); err != nil {
					t.Fatal(err)
				}
			}
			if live, _ := w.Sessions(t.Context(), u.ID); len(live) != c.want {
				t.Errorf("got %d sessions, want %d", len(live), c.want)
			}
			if left := w.store.data.grants[u.ID]; len(left) != c.want {
				t.Errorf("%d grants are left, want %d: a reset takes them, a change does not", len(left), c.want)
			}
			if _, err := w.Authenticate(t.Context(), u.Email, "four yellow submarines"); err != nil {
				t.Error(err)
			}
		})
	}
	w := newWorld(t)
	u := w.person(t, "alice.wonderland@example.org")
	wantFault(t, w.SetPassword(t.Context(), "test", u.ID, "alice.wonderland"), fault.Invalid, "weak_password")
	wantFault(t, w.SetPassword(t.Context(), "test", "nobody", goodPassword), fault.NotFound, "user_not_found")
}

func TestFindByIDAndByEveryspelling(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	u := w.person(t, "alice@example.org")
	for _, name := range []string{u.ID, "alice@example.org", " Alice@EXAMPLE.org"} {
		if got, err := w.Find(t.Context(), name); err != nil || got.ID != u.ID {
			t.Errorf("%q: got %v, %v", name, got.ID, err)
		}
	}
	_, err := w.Find(t.Context(), "bob@example.org")
	wantFault(t, err, fault.NotFound, "user_not_found")
	_, err = w.Find(t.Context(), "bob")
	wantFault(t, err, fault.NotFound, "user_not_found")
	_, err = w.Find(t.Context(), "a@b@c")
	wantFault(t, err, fault.Invalid, "invalid_email")
	if got, _, err := w.Users(t.Context(), " ALICE ", Page{}); err != nil || len(got) != 1 {
		t.Errorf("got %v, %v; want alice", got, err)
	}
}

func TestSetupHappensOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first, err := w.NewSetup(t.Context(), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	token, err := w.NewSetup(t.Context(), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	admin := NewUser{Email: "root@example.org", Password: goodPassword}
	_, err = w.CompleteSetup(t.Context(), first, admin)
	wantFault(t, err, fault.Forbidden, "setup_link_invalid") // replaced
	_, err = w.CompleteSetup(t.Context(), "guess", admin)
	wantFault(t, err, fault.Forbidden, "setup_link_invalid")
	_, err = w.CompleteSetup(t.Context(), token, NewUser{Email: "root@example.org", Password: "short"})
	wantFault(t, err, fault.Invalid, "weak_password") // and the link still works
	if open, err := w.SetupOpen(t.Context(), token); err != nil || !open {
		t.Fatalf("got %v, %v; want the link open", open, err)
	}

	var done, refused atomic.Int64
	var wg sync.WaitGroup
	for range 32 {
		wg.Go(func() {
			switch u, err := w.CompleteSetup(t.Context(), token, admin); {
			case err == nil && slices.Contains(u.Roles, RoleAdmin):
				done.Add(1)
			case fault.Is(err, fault.Forbidden):
				refused.Add(1)
			default:
				t.Errorf("got %v, %v", u, err)
			}
		})
	}
	wg.Wait()
	if done.Load() != 1 || refused.Load() != 31 {
		t.Errorf("got %d administrators and %d refusals, want 1 and 31", done.Load(), refused.Load())
	}
	if open, err := w.SetupOpen(t.Context(), token); err != nil || open {
		t.Errorf("got %v, %v; want the link closed", open, err)
	}
	_, err = w.NewSetup(t.Context(), time.Hour)
	wantFault(t, err, fault.Conflict, "already_set_up")
}

func TestSetupIsClosedOnceThereIsAnAdministrator(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	token, err := w.NewSetup(t.Context(), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	w.person(t, "root@example.org", RoleAdmin) // by the CLI, while the link lies in a log
	_, err = w.CompleteSetup(t.Context(), token, NewUser{Email: "eve@example.org", Password: goodPassword})
	wantFault(t, err, fault.Conflict, "already_set_up")
	if open, err := w.SetupOpen(t.Context(), token); err != nil || open {
		t.Errorf("got %v, %v; want the link closed", open, err)
	}
}

func TestSetupLinkExpires(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	token, err := w.NewSetup(t.Context(), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	w.clock.advance(time.Hour)
	_, err = w.CompleteSetup(t.Context(), token, NewUser{Email: "eve@example.org", Password: goodPassword})
	wantFault(t, err, fault.Forbidden, "setup_link_invalid")
}

func TestAPasswordIsNeverMarshalled(t *testing.T) {
	t.Parallel()
	if raw, err := json.Marshal(Password{Hash: "x"}); err == nil {
		t.Errorf("got %s, want an error", raw)
	}
}

func TestContextCarriesWhoIsSignedIn(t *testing.T) {
	t.Parallel()
	if _, _, ok := FromContext(t.Context()); ok {
		t.Error("nobody signed in, somebody found")
	}
	s, u, ok := FromContext(NewContext(t.Context(), Session{ID: "s"}, User{ID: "u"}))
	if !ok || s.ID != "s" || u.ID != "u" {
		t.Errorf("got %v, %v, %v", s, u, ok)
	}
}
