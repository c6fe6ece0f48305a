package identity

import (
	"context"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatekeeper-oidc/gatekeeper/audit"
	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
	"github.com/gatekeeper-oidc/gatekeeper/internal/web"
)

// manual is a clock that moves when told.
type manual struct{ at atomic.Int64 }

func (m *manual) now() time.Time          { return time.UnixMicro(m.at.Load()).UTC() }
func (m *manual) advance(d time.Duration) { m.at.Add(d.Microseconds()) }
func startingAt(t time.Time) *manual      { m := &manual{}; m.at.Store(t.UnixMicro()); return m }
func noon() time.Time                     { return time.Date(2030, 5, 17, 12, 0, 0, 250_000_000, time.UTC) }
func cheap() Params                       { return Params{Memory: 64, Time: 1, Threads: 1} }
func from(t *testing.T, ip string) context.Context {
	t.Helper()
	return web.NewContext(t.Context(), web.Info{Address: netip.MustParseAddr(ip), UserAgent: "Test/1.0", CorrelationID: "c-1"})
}

// world is a Service over fakes.
type world struct {
	*Service
	store  *fakeStore
	limits *fakeLimits
	clock  *manual
	hashes *atomic.Int64 // Argon2id computations
}

func newWorld(tb testing.TB) *world {
	tb.Helper()
	clock := startingAt(noon())
	w := &world{
		store: newFakeStore(clock.now), limits: &fakeLimits{clock: clock.now, arrivals: map[string]int64{}},
		clock: clock, hashes: &atomic.Int64{},
	}
	hasher := NewHasher(HasherConfig{Params: cheap(), Now: clock.now, Slots: 64})
	hasher.derive = func(h argonHash, password []byte) []byte {
		w.hashes.Add(1)
		return h.derive(password)
	}
	w.Service = &Service{
		Store: w.store, Trail: audit.NewTrail(audit.Config{Store: w.store, Now: clock.now}),
		Hasher: hasher, Limits: w.limits, Now: clock.now,
	}
	return w
}

const goodPassword = "three green bicycles"

// person creates an active user with goodPassword.
func (w *world) person(tb testing.TB, email string, roles ...string) User {
	tb.Helper()
	u, err := w.CreateUser(context.Background(), "test", NewUser{Email: email, Password: goodPassword, Roles: roles})
	if err != nil {
		tb.Fatalf("create %s: %v", email, err)
	}
	return u
}

// wantFault fails t unless err is a fault of kind k and code.
func wantFault(t *testing.T, err error, k fault.Kind, code string) {
	t.Helper()
	if !fault.Is(err, k) || fault.Of(err).Code != code {
		t.Fatalf("got error %v, want kind %d code %q", err, k, code)
	}
}
