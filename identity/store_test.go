package identity_test

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatekeeper-oidc/gatekeeper/audit"
	"github.com/gatekeeper-oidc/gatekeeper/conformance"
	"github.com/gatekeeper-oidc/gatekeeper/identity"
	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
	"github.com/gatekeeper-oidc/gatekeeper/internal/ratelimit"
	"github.com/gatekeeper-oidc/gatekeeper/internal/web"
	"github.com/gatekeeper-oidc/gatekeeper/storage"
	"github.com/gatekeeper-oidc/gatekeeper/storage/state"
)

const password = "three green bicycles"

// onStores runs f against every database: SQLite always, Postgres where there is one.
func onStores(t *testing.T, f func(t *testing.T, open func() *storage.DB)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		path := filepath.Join(t.TempDir(), "test.db")
		f(t, func() *storage.DB { return open(t, "sqlite:"+path) })
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		address := conformance.Postgres(t, os.Getenv)
		f(t, func() *storage.DB { return open(t, address) })
	})
}

func open(t *testing.T, address string) *storage.DB {
	t.Helper()
	db, err := storage.Open(t.Context(), storage.Config{URL: address, Migrate: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

type people struct {
	*identity.Service
	trail *audit.Trail
}

func service(db *storage.DB) people {
	trail := audit.NewTrail(audit.Config{Store: db, Now: time.Now})
	cheap := identity.Params{Memory: 64, Time: 1, Threads: 1}
	return people{&identity.Service{
		Store: db, Trail: trail, Limits: state.NewMemory(time.Now, 0), Now: time.Now,
		Hasher: identity.NewHasher(identity.HasherConfig{Params: cheap, Slots: 64, Now: time.Now}),
	}, trail}
}

func at(ctx context.Context, ip string) context.Context {
	return web.NewContext(ctx, web.Info{Address: netip.MustParseAddr(ip)})
}

func create(t *testing.T, s people, n identity.NewUser) identity.User {
	t.Helper()
	u, err := s.CreateUser(t.Context(), "test", n)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func TestASignInOnARealStore(t *testing.T) {
	t.Parallel()
	onStores(t, func(t *testing.T, open func() *storage.DB) {
		t.Helper()
		s := service(open())
		alice := create(t, s, identity.NewUser{Email: "alice@example.org", Password: password})
		create(t, s, identity.NewUser{Email: "bob@example.org"}) // no password
		for i, email := range []string{"alice@example.org", "bob@example.org", "nobody@example.org", "nonsense"} {
			_, err := s.Authenticate(at(t.Context(), fmt.Sprintf("192.0.2.%d", i)), email, "wrong")
			if !fault.Is(err, fault.Unauthenticated) {
				t.Errorf("%s: got %v, want Unauthenticated", email, err)
			}
		}
		u, err := s.Authenticate(at(t.Context(), "192.0.2.1"), "Alice@Example.org", password)
		if err != nil || u.ID != alice.ID {
			t.Fatalf("got %v, %v", u, err)
		}
		first, old, err := s.Begin(t.Context(), u, nil, "pwd")
		if err != nil {
			t.Fatal(err)
		}
		second, token, err := s.Begin(t.Context(), u, &first, "pwd")
		if err != nil || second.ID != first.ID {
			t.Fatalf("got %v, %v; want the session renewed", second, err)
		}
		if _, _, err := s.Resume(t.Context(), old); !fault.Is(err, fault.NotFound) {
			t.Errorf("the old cookie: got %v, want NotFound", err)
		}
		if got, who, err := s.Resume(t.Context(), token); err != nil || got.ID != first.ID || who.ID != alice.ID || !got.AuthTime.Equal(second.AuthTime) {
			t.Errorf("got %v, %v, %v", got, who, err)
		}
		if err := s.Lock(t.Context(), "test", u.ID, "fraud"); err != nil {
			t.Fatal(err)
		}
		if _, _, err := s.Resume(t.Context(), token); !fault.Is(err, fault.NotFound) {
			t.Errorf("locked: got %v, want NotFound", err)
		}
		if err := s.Unlock(t.Context(), "test", u.ID); err != nil {
			t.Fatal(err)
		}
		if err := s.DeleteUser(t.Context(), "test", u.ID); err != nil {
			t.Fatal(err)
		}
		if err := s.trail.Sequence(t.Context()); err != nil {
			t.Fatal(err)
		}
		events, err := s.trail.Events(t.Context(), audit.Filter{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := audit.Verify("", events...); err != nil || len(events) != 12 {
			t.Errorf("got %d events, %v; want a chain of 12", len(events), err)
		}
	})
}

// A profile saved while the account is locked must not unlock it.
func TestAnUpdateNeverUndoesALock(t *testing.T) {
	t.Parallel()
	onStores(t, func(t *testing.T, open func() *storage.DB) {
		t.Helper()
		a, b := service(open()), service(open()) // two nodes
		for i := range 10 {
			u := create(t, a, identity.NewUser{Email: fmt.Sprintf("user%d@example.org", i)})
			var wg sync.WaitGroup
			for range 4 {
				wg.Go(func() {
					if _, err := b.UpdateUser(t.Context(), "test", u); err != nil {
						t.Error(err)
					}
				})
			}
			wg.Go(func() {
				if err := a.Lock(t.Context(), "test", u.ID, ""); err != nil {
					t.Error(err)
				}
			})
			wg.Wait()
			if got, err := a.User(t.Context(), u.ID); err != nil || got.Status != identity.Locked {
				t.Fatalf("got %v, %v; want locked", got.Status, err)
			}
		}
	})
}

// TestTheLastAdministratorStays: not by demoting, locking or deleting, and not by
// two nodes that each take away what they take for the last but one.
func TestTheLastAdministratorStays(t *testing.T) {
	t.Parallel()
	ways := map[string]func(s people, u identity.User) error{
		"demote": func(s people, u identity.User) error {
			u.Roles = nil
			_, err := s.UpdateUser(t.Context(), "test", u)
			return err
		},
		"lock":   func(s people, u identity.User) error { return s.Lock(t.Context(), "test", u.ID, "") },
		"delete": func(s people, u identity.User) error { return s.DeleteUser(t.Context(), "test", u.ID) },
	}
	onStores(t, func(t *testing.T, open func() *storage.DB) {
		t.Helper()
		nodes := []people{service(open()), service(open())}
		locked := create(t, nodes[0], identity.NewUser{Email: "locked@example.org", Roles: []string{identity.RoleAdmin}})
		last := create(t, nodes[0], identity.NewUser{Email: "root@example.org", Roles: []string{identity.RoleAdmin, "staff"}})
		if err := nodes[0].Lock(t.Context(), "test", locked.ID, ""); err != nil {
			t.Fatal(err)
		}
		for name, take := range ways {
			if err := take(nodes[0], last); fault.Of(err).Code != "last_administrator" {
				t.Errorf("%s the last: got %v, want last_administrator", name, err)
			}
		}
		last.Roles = []string{identity.RoleAdmin}
		if _, err := nodes[0].UpdateUser(t.Context(), "test", last); err != nil {
			t.Errorf("change another role of the last: %v", err)
		}
		if err := nodes[0].DeleteUser(t.Context(), "test", locked.ID); err != nil {
			t.Errorf("delete one who cannot sign in: %v", err)
		}
		all := []identity.User{last}
		for round, name := range []string{"demote", "lock", "delete", "demote", "lock", "delete"} {
			for i := len(all); i < 4; i++ {
				all = append(all, create(t, nodes[0], identity.NewUser{Email: fmt.Sprintf("r%d-%d@example.org", round, i), Roles: []string{identity.RoleAdmin}}))
			}
			errs := make([]error, len(all))
			var wg sync.WaitGroup
			for i, u := range all {
				wg.Go(func() { errs[i] = ways[name](nodes[i%2], u) })
			}
			wg.Wait()
			var left []identity.User
			for i, err := range errs {
				switch {
				case err == nil:
				case fault.Of(err).Code == "last_administrator":
					left = append(left, all[i])
				default:
					t.Errorf("%s: %v", name, err)
				}
			}
			if len(left) != 1 {
				t.Fatalf("%s four of four at once: %d are left, want 1", name, len(left))
			}
			all = left
		}
	})
}

// TestTheTrailSaysWhatAFieldWas: old and new value of each, and of nothing else.
func TestTheTrailSaysWhatAFieldWas(t *testing.T) {
	t.Parallel()
	onStores(t, func(t *testing.T, open func() *storage.DB) {
		t.Helper()
		s := service(open())
		u := create(t, s, identity.NewUser{Email: "ana@example.org", Password: password, Profile: identity.Profile{Name: "Ana", Locale: "pt"}})
		u.Email, u.EmailVerified, u.Roles, u.Profile.Name, u.Profile.Address = "ana@example.com", true, []string{"staff"}, "", &identity.Address{Country: "PT"}
		if _, err := s.UpdateUser(t.Context(), "test", u); err != nil {
			t.Fatal(err)
		}
		if err := s.trail.Sequence(t.Context()); err != nil {
			t.Fatal(err)
		}
		events, err := s.trail.Events(t.Context(), audit.Filter{Kind: audit.UserUpdated})
		if err != nil || len(events) != 1 {
			t.Fatalf("%v, %v", events, err)
		}
		want := map[string]string{
			"changed": "email email_verified roles profile", "roles": "staff",
			"was.email": "ana@example.org", "now.email": "ana@example.com", "was.email_verified": "false", "now.email_verified": "true",
			"now.roles": "staff", "was.profile.name": "Ana", "now.profile.address": `{"country":"PT"}`,
		}
		if d := cmp.Diff(want, events[0].Detail); d != "" {
			t.Errorf("(-want +got):\n%s", d)
		}
	})
}

func TestParallelMissesAreAllCounted(t *testing.T) {
	t.Parallel()
	onStores(t, func(t *testing.T, open func() *storage.DB) {
		t.Helper()
		nodes := []people{service(open()), service(open())}
		u := create(t, nodes[0], identity.NewUser{Email: "alice@example.org", Password: password})
		var judged atomic.Int64
		var wg sync.WaitGroup
		for i := range 32 {
			wg.Go(func() {
				_, err := nodes[i%2].Authenticate(at(t.Context(), fmt.Sprintf("192.0.2.%d", i)), u.Email, "wrong")
				switch {
				case fault.Is(err, fault.Unauthenticated):
					judged.Add(1)
				case !fault.Is(err, fault.TooMany):
					t.Errorf("got %v", err)
				}
			})
		}
		wg.Wait()
		_, p, _, err := nodes[0].Store.UserForLogin(t.Context(), u.Email, identity.Counter{})
		if err != nil || int64(p.Failures) != judged.Load() || judged.Load() > 10 || judged.Load() == 0 {
			t.Errorf("got %d judged and %d counted, %v; want the same, at most five a node", judged.Load(), p.Failures, err)
		}
	})
}

func TestSetupOnTwoNodesHappensOnce(t *testing.T) {
	t.Parallel()
	onStores(t, func(t *testing.T, open func() *storage.DB) {
		t.Helper()
		nodes := []people{service(open()), service(open())}
		token, err := nodes[0].NewSetup(t.Context(), time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		var done atomic.Int64
		var wg sync.WaitGroup
		for i := range 32 {
			wg.Go(func() {
				_, err := nodes[i%2].CompleteSetup(t.Context(), token, identity.NewUser{Email: fmt.Sprintf("root%d@example.org", i), Password: password})
				switch {
				case err == nil:
					done.Add(1)
				case !fault.Is(err, fault.Forbidden) && !fault.Is(err, fault.Conflict):
					t.Errorf("got %v", err)
				}
			})
		}
		wg.Wait()
		if got := done.Load(); got != 1 {
			t.Errorf("got %d administrators, want 1", got)
		}
	})
}

func TestTheLimitsCountAlikeInRedis(t *testing.T) {
	t.Parallel()
	server := os.Getenv("GATEKEEPER_TEST_REDIS")
	if server == "" {
		if os.Getenv("CI") == "true" {
			t.Fatal("GATEKEEPER_TEST_REDIS is not set: this test needs a Redis")
		}
		t.Skip("GATEKEEPER_TEST_REDIS is not set: not tested on Redis")
	}
	limits, err := state.NewRedis(t.Context(), state.RedisConfig{URL: server, Prefix: fmt.Sprintf("identity-test-%d:", time.Now().UnixNano()), Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = limits.Close() })
	for _, name := range []string{"alice@example.org", "nobody@example.org"} {
		s := service(open(t, "sqlite:"+filepath.Join(t.TempDir(), "test.db")))
		s.Limits = ratelimit.Source(limits)
		create(t, s, identity.NewUser{Email: "alice@example.org", Password: password})
		for i := range 6 {
			_, err := s.Authenticate(at(t.Context(), fmt.Sprintf("192.0.2.%d", i)), name, "wrong")
			want := fault.Unauthenticated
			if i == 5 {
				want = fault.TooMany
			}
			if !fault.Is(err, want) || i == 5 && fault.Of(err).RetryAfter != time.Second {
				t.Errorf("%s, attempt %d: got %v, want kind %d", name, i+1, err, want)
			}
		}
	}
	for i := range 6 { // from one address, on many accounts nobody has
		s := service(open(t, "sqlite:"+filepath.Join(t.TempDir(), "test.db")))
		s.Limits = ratelimit.Source(limits)
		_, err := s.Authenticate(at(t.Context(), "198.51.100.1"), "carol@example.org", "wrong")
		if want := i < 5; fault.Is(err, fault.Unauthenticated) != want {
			t.Errorf("attempt %d: got %v", i+1, err)
		}
	}
}
