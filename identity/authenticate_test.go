package identity

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/bcrypt"

	"github.com/gatekeeper-oidc/gatekeeper/audit"
	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
)

func TestSignInWithTheRightPassword(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	want := w.person(t, "alice@example.org")
	got, err := w.Authenticate(from(t, "192.0.2.1"), "  ALICE@example.org ", goodPassword)
	if err != nil || got.ID != want.ID {
		t.Fatalf("got %v, %v; want alice", got, err)
	}
	if !got.LastLoginAt.Equal(w.clock.now()) {
		t.Errorf("got last login %v, want %v", got.LastLoginAt, w.clock.now())
	}
	e := w.store.last()
	if e.Kind != audit.LoginSucceeded || e.Subject != want.ID || e.Address != "192.0.2.1" || e.CorrelationID != "c-1" {
		t.Errorf("got event %+v", e)
	}
}

// Everybody who may not sign in costs the same hashes and the same statements, and
// reads the same.
func TestRefusalsAreUniform(t *testing.T) {
	t.Parallel()
	people := map[string]func(t *testing.T, w *world) (email, password string){
		"wrong password": func(t *testing.T, w *world) (string, string) {
			t.Helper()
			return w.person(t, "alice@example.org").Email, "wrong"
		},
		"unknown": func(*testing.T, *world) (string, string) { return "nobody@example.org", "wrong" },
		"no address at all": func(*testing.T, *world) (string, string) {
			return "not an address" + strings.Repeat("!", 5000), "wrong"
		},
		"locked with the right password": func(t *testing.T, w *world) (string, string) {
			t.Helper()
			u := w.person(t, "alice@example.org")
			if err := w.Lock(t.Context(), "test", u.ID, ""); err != nil {
				t.Fatal(err)
			}
			return u.Email, goodPassword
		},
		"no password yet": func(t *testing.T, w *world) (string, string) {
			t.Helper()
			u, err := w.CreateUser(t.Context(), "test", NewUser{Email: "alice@example.org"})
			if err != nil {
				t.Fatal(err)
			}
			return u.Email, ""
		},
		"endless password": func(t *testing.T, w *world) (string, string) {
			t.Helper()
			return w.person(t, "alice@example.org").Email, strings.Repeat(goodPassword, 1000)
		},
		"imported bcrypt": func(t *testing.T, w *world) (string, string) {
			t.Helper()
			phc, err := bcrypt.GenerateFromPassword([]byte("x"), bcrypt.MinCost)
			if err != nil {
				t.Fatal(err)
			}
			u, err := w.CreateUser(t.Context(), "test", NewUser{Email: "alice@example.org", PasswordHash: string(phc)})
			if err != nil {
				t.Fatal(err)
			}
			return u.Email, "wrong"
		},
	}
	for name, make := range people {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			email, password := make(t, w)
			clear(w.store.calls)
			w.hashes.Store(0)
			_, err := w.Authenticate(from(t, "192.0.2.1"), email, password)
			wantFault(t, err, fault.Unauthenticated, "invalid_credentials")
			f := fault.Of(err)
			want := &fault.Error{
				Kind: fault.Unauthenticated, Code: "invalid_credentials", Rule: "password_matches",
				Detail: "The email address or the password is not right.",
			}
			if diff := cmp.Diff(want, f); diff != "" {
				t.Errorf("the answer differs (-want +got):\n%s", diff)
			}
			if got := w.hashes.Load(); got != 1 {
				t.Errorf("got %d hashes, want 1", got)
			}
			statements := 0
			for _, n := range w.store.calls {
				statements += n
			}
			if statements != 3 { // look-up, count, event
				t.Errorf("got statements %v, want 3", w.store.calls)
			}
			e := w.store.last()
			if e.Kind != audit.LoginFailed || strings.Contains(fmt.Sprint(e), email) {
				t.Errorf("got event %+v, want login.failed without the address typed", e)
			}
		})
	}
}

// The delays of an account that exists and of one that does not are the same, to
// the second, however long one tries.
func TestSuccessForgetsMisses(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.person(t, "alice@example.org")
	for round := range 3 {
		for i := range freeMisses - 1 {
			_, err := w.Authenticate(from(t, fmt.Sprintf("192.0.%d.%d", round, i)), "alice@example.org", "wrong")
			wantFault(t, err, fault.Unauthenticated, "invalid_credentials")
		}
		if _, err := w.Authenticate(from(t, "198.51.100.1"), "alice@example.org", goodPassword); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
	}
}

// Sixty-four guesses at once, each from an address of its own, are judged no more
// often than five in a row.
func TestParallelSignInsOfOnePersonAllSucceed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.person(t, "alice@example.org")
	var wg sync.WaitGroup
	for range 32 {
		wg.Go(func() {
			if _, err := w.Authenticate(from(t, "192.0.2.1"), "alice@example.org", goodPassword); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

func TestAnImportedHashIsRenewedAtSignIn(t *testing.T) {
	t.Parallel()
	for name, phc := range foreignHashes(t, "grandfathered") {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			u, err := w.CreateUser(t.Context(), "test", NewUser{Email: "alice@example.org", PasswordHash: phc})
			if err != nil {
				t.Fatal(err)
			}
			for range 2 {
				if _, err := w.Authenticate(from(t, "192.0.2.1"), u.Email, "grandfathered"); err != nil {
					t.Fatal(err)
				}
			}
			if got := w.store.data.pass[u.ID].Hash; !strings.HasPrefix(got, "$argon2id$") || w.Hasher.NeedsRehash(got) {
				t.Errorf("got %s, want a current Argon2id hash", got)
			}
			if got := w.store.calls["SetPassword"] + w.store.calls["RehashPassword"]; got != 2 {
				t.Errorf("got %d writes of the hash, want the import and one more", got)
			}
		})
	}
}

func TestNothingIsDecidedWithoutStoreOrLimits(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.person(t, "alice@example.org")
	before := w.store.snapshot()
	w.store.down = fault.Down("store", errors.New("gone"))
	for _, password := range []string{goodPassword, "wrong"} {
		_, err := w.Authenticate(from(t, "192.0.2.1"), "alice@example.org", password)
		if !fault.Is(err, fault.Unavailable) {
			t.Errorf("store gone: got %v, want Unavailable", err)
		}
	}
	w.store.down = nil
	if diff := cmp.Diff(before, w.store.snapshot(), cmp.AllowUnexported(tables{})); diff != "" {
		t.Errorf("something was counted (-want +got):\n%s", diff)
	}
	w.limits.down = fault.Down("limits", errors.New("gone"))
	_, err := w.Authenticate(from(t, "192.0.2.1"), "alice@example.org", goodPassword)
	if !fault.Is(err, fault.Unavailable) {
		t.Errorf("limits gone: got %v, want Unavailable", err)
	}
}

func TestAFailedSignInThatCannotBeRecordedIsNotAnswered(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	u := w.person(t, "alice@example.org")
	w.Trail = recorderFunc(func(audit.Event) error { return fault.Down("store", errors.New("gone")) })
	for _, password := range []string{goodPassword, "wrong"} {
		_, err := w.Authenticate(from(t, "192.0.2.1"), u.Email, password)
		if !fault.Is(err, fault.Unavailable) {
			t.Errorf("got %v, want Unavailable: no event, no change", err)
		}
	}
	if got := w.store.data.pass[u.ID].Failures; got != 0 {
		t.Errorf("got %d failures counted without event", got)
	}
}

// However an operator scales the limits, a bucket is full after as many failures
// as the scaled rule allows, and delays do not tell known from unknown.
