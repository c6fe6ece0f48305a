package oauth2_test

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/gatekeeper-oidc/gatekeeper/audit"
	"github.com/gatekeeper-oidc/gatekeeper/conformance"
	"github.com/gatekeeper-oidc/gatekeeper/consent"
	"github.com/gatekeeper-oidc/gatekeeper/identity"
	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
	"github.com/gatekeeper-oidc/gatekeeper/internal/fetch"
	"github.com/gatekeeper-oidc/gatekeeper/internal/web"
	"github.com/gatekeeper-oidc/gatekeeper/keys"
	"github.com/gatekeeper-oidc/gatekeeper/oauth2"
	"github.com/gatekeeper-oidc/gatekeeper/oidc"
	"github.com/gatekeeper-oidc/gatekeeper/storage"
	"github.com/gatekeeper-oidc/gatekeeper/storage/state"
	"github.com/gatekeeper-oidc/gatekeeper/templates"
)

const issuer = "https://id.example"

// A fixture is a whole authorization server over a real database; only the steps
// a person would take are simple.
type fixture struct {
	tb     testing.TB
	db     *storage.DB
	store  *flaky
	source *cachedKeys
	ring   *keys.Ring

	outside    *fetch.Client
	clientKeys *keys.ClientSets

	vault   *keys.Vault
	trail   *audit.Trail
	cfg     oauth2.Config
	p       *oauth2.Provider
	mux     *web.Mux
	user    identity.User
	session identity.Session
	people  []identity.User // who have allowed every one of apps everything
	apps    []oauth2.Client
	heard   atomic.Value // the last bell of a probe
	deaf    atomic.Bool  // bells are lost
	ahead   atomic.Int64 // how far the program's clock is ahead of the world's
	steps   steps
	rule    atomic.Value // that decided the last refusal
}

// An option changes the configuration of a fixture.
type option func(*oauth2.Config)

func lifetimes(edit func(*oauth2.Lifetimes)) option {
	return func(c *oauth2.Config) { edit(&c.Lifetimes) }
}

// databases are those every test runs on.
var databases = map[string]func(tb testing.TB) string{
	"sqlite":   func(tb testing.TB) string { tb.Helper(); return "sqlite:" + filepath.Join(tb.TempDir(), "test.db") },
	"postgres": func(tb testing.TB) string { tb.Helper(); return conformance.Postgres(tb, os.Getenv) },
}

// onEach runs f over each kind of database.
func onEach(t *testing.T, f func(t *testing.T, f *fixture), opts ...option) {
	t.Helper()
	for name, fresh := range databases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f(t, newFixture(t, fresh(t), opts...))
		})
	}
}

func newFixture(tb testing.TB, url string, opts ...option) *fixture {
	tb.Helper()
	db, err := storage.Open(tb.Context(), storage.Config{URL: url, Migrate: true})
	must(tb, err)
	tb.Cleanup(func() { must(tb, db.Close()) })
	f := &fixture{tb: tb, db: db, store: &flaky{Store: db}, source: &cachedKeys{}}
	f.vault, err = keys.NewVault([]byte("0123456789abcdef0123456789abcdef"))
	must(tb, err)
	f.ring, err = keys.NewRing(keys.RingConfig{
		Store: db, Vault: f.vault, Source: f.source, Log: slog.New(slog.DiscardHandler), Now: f.now,
		Policy: keys.Policy{Algs: []string{keys.RS256, keys.PS256, keys.ES256, keys.EdDSA}, Encrypt: []string{keys.RSAOAEP256, keys.ECDHES}},
		Record: func(context.Context, keys.Change) error { return nil },
	})
	must(tb, err)
	must(tb, f.ring.Load(tb.Context()))
	f.outside, err = fetch.New(fetch.Config{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, DangerouslyAllowHTTP: true, Now: f.now})
	must(tb, err)
	f.clientKeys, err = keys.NewClientSets(keys.ClientSetsConfig{Fetcher: f.outside, Now: f.now})
	must(tb, err)
	f.trail = audit.NewTrail(audit.Config{Store: db, Now: f.now})
	cfg := oauth2.Config{
		Issuer: issuer, Store: f.store, Keys: f.ring, Vault: f.vault, Trail: f.trail, Limits: state.NewMemory(f.now, 0),
		Log: slog.New(slog.DiscardHandler), Now: f.now, ClientKeys: f.clientKeys, Fetch: f.outside, Claims: oidc.ClaimTable{}, ResponseTypes: oauth2.ResponseTypes(),
		Lifetimes: oauth2.Lifetimes{
			Code: time.Minute, Access: 15 * time.Minute, IDToken: time.Hour, Refresh: 7 * 24 * time.Hour, RefreshIdle: 24 * time.Hour,
			Interaction: time.Hour, Grace: 30 * time.Second,
		},
	}
	for _, o := range opts {
		o(&cfg)
	}
	f.cfg = cfg
	f.p = f.provider(func(*oauth2.Config) {})
	f.mount()
	f.listen()
	f.user, f.session = f.person("alice")
	return f
}

// provider is another node's, but for what o changes.
func (f *fixture) provider(o option) *oauth2.Provider {
	f.tb.Helper()
	cfg := f.cfg
	o(&cfg)
	p, err := oauth2.NewProvider(cfg)
	must(f.tb, err)
	return p
}

// fewest is what work costs in round trips, of several times: a bell that rings
// late, or a busy machine, may make a cache read again, but not every time.
func (f *fixture) fewest(work func()) uint64 {
	f.tb.Helper()
	least := ^uint64(0)
	for range 8 {
		before := f.db.Trips()
		work()
		least = min(least, f.db.Trips()-before)
	}
	return least
}

func (f *fixture) mount() {
	pages, err := templates.New()
	must(f.tb, err)
	base, err := url.Parse(issuer)
	must(f.tb, err)
	f.mux, err = web.New(web.Config{
		Issuer: base, FormKey: f.vault.Subkey("form"), Pages: pages, Log: slog.New(slog.DiscardHandler), Now: f.now,
		Limits: web.Limits{OAuth: 1 << 20, Pages: 1 << 20}, Refused: f.refused, Session: f.resume,
	})
	must(f.tb, err)
	(&oauth2.Handler{Provider: f.p, Steps: f.steps.list()}).Routes(f.mux)
}

// refused hands a refusal to the trail and remembers the rule.
func (f *fixture) refused(ctx context.Context, r web.Refusal) {
	f.rule.Store(r.Fault.Rule)
	f.trail.Refuse(ctx, r)
}

// listen lets the provider hear what changes, as cmd does, and returns when it does.
func (f *fixture) listen() {
	ctx, cancel := context.WithCancel(context.WithoutCancel(f.tb.Context()))
	var done sync.WaitGroup
	done.Go(func() {
		_ = f.db.Listen(ctx, func(topic string) {
			if !f.deaf.Load() {
				f.p.Forget(topic)
			}
			if strings.HasPrefix(topic, "client:probe") { // not the first "*", after which nothing is known to be heard
				f.heard.Store(topic)
			}
		})
	})
	f.tb.Cleanup(func() { cancel(); done.Wait() })
	probe := oauth2.Client{ID: "probe", Type: oauth2.Machine, AuthMethod: oauth2.AuthBasic, Disabled: true}
	must(f.tb, f.db.InsertClient(f.tb.Context(), probe))
	for f.heard.Load() == nil {
		must(f.tb, f.db.UpdateClient(f.tb.Context(), probe))
		runtime.Gosched()
	}
}

// settle returns when every bell that was rung before has been heard, so that what
// a cache drops then is dropped: it rings once more, and bells keep their order.
func (f *fixture) settle() {
	f.tb.Helper()
	id := "probe-" + rand.Text()
	must(f.tb, f.db.InsertClient(f.tb.Context(), oauth2.Client{ID: id, Type: oauth2.Machine, AuthMethod: oauth2.AuthBasic, Disabled: true}))
	for f.heard.Load() != "client:"+id {
		runtime.Gosched()
	}
}

func (f *fixture) now() time.Time { return time.Now().Add(time.Duration(f.ahead.Load())) }

// later moves the program's clock; the database's stays where it is.
func (f *fixture) later(d time.Duration) { f.ahead.Add(int64(d)) }

// person makes a user who signed in a while ago.
func (f *fixture) person(name string) (identity.User, identity.Session) {
	f.tb.Helper()
	u := identity.User{ID: uuid.NewString(), Email: name + "@example.com", EmailVerified: true, Status: identity.Active, Roles: []string{"staff"}}
	must(f.tb, f.db.InsertUser(f.tb.Context(), u))
	now := f.now().Truncate(time.Second)
	s := identity.Session{
		ID: uuid.NewString(), TokenHash: hash("cookie of " + name), UserID: u.ID, AMR: []string{"pwd"}, ACR: "1",
		AuthTime: now.Add(-time.Minute), CreatedAt: now, LastSeenAt: now, ExpiresAt: now.Add(30 * 24 * time.Hour),
	}
	must(f.tb, f.db.PutSession(f.tb.Context(), s))
	f.people = append(f.people, u)
	for _, c := range f.apps {
		f.allow(u, c)
	}
	return u, s
}

// allow is what package consent writes when a person has said yes, to everything.
func (f *fixture) allow(u identity.User, c oauth2.Client) {
	f.tb.Helper()
	must(f.tb, f.db.PutConsent(f.tb.Context(), consent.Consent{UserID: u.ID, ClientID: c.ID, Scopes: c.Scopes}))
}

func hash(s string) []byte {
	sum := sha256.Sum256([]byte(s))
	return sum[:]
}

// resume is what package login does with its cookie.
func (f *fixture) resume(_ http.ResponseWriter, r *http.Request) (context.Context, error) {
	for _, c := range r.CookiesNamed("who") {
		s, u, err := f.db.SessionByToken(r.Context(), hash("cookie of "+c.Value))
		if err == nil {
			return identity.NewContext(r.Context(), s, u), nil
		}
		if !fault.Is(err, fault.NotFound) {
			return nil, err
		}
	}
	return r.Context(), nil
}

// steps are a sign-in and a consent that a test can ask for.
type steps struct{ consent atomic.Bool }

func (s *steps) list() []oauth2.Step { return []oauth2.Step{signIn{}, consents{&s.consent}} }

type signIn struct{}

func (signIn) Path() string { return "/login" }

func (signIn) Needed(ctx context.Context, in oauth2.Interaction) (string, error) {
	s, _, ok := identity.FromContext(ctx)
	if !ok || in.Request.HasPrompt("login") && in.Authenticated != s.ID {
		return "login_required", nil
	}
	return "", nil
}

type consents struct{ wanted *atomic.Bool }

func (consents) Path() string { return "/consent" }

func (c consents) Needed(_ context.Context, in oauth2.Interaction) (string, error) {
	if (c.wanted.Load() || in.Request.HasPrompt("consent")) && !in.Consented {
		return "consent_required", nil
	}
	return "", nil
}
