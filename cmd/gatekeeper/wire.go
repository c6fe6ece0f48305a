package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/gatekeeper-oidc/gatekeeper/account"
	"github.com/gatekeeper-oidc/gatekeeper/admin"
	"github.com/gatekeeper-oidc/gatekeeper/audit"
	"github.com/gatekeeper-oidc/gatekeeper/consent"
	"github.com/gatekeeper-oidc/gatekeeper/identity"
	"github.com/gatekeeper-oidc/gatekeeper/internal/config"
	"github.com/gatekeeper-oidc/gatekeeper/internal/fetch"
	"github.com/gatekeeper-oidc/gatekeeper/internal/meter"
	"github.com/gatekeeper-oidc/gatekeeper/internal/ratelimit"
	"github.com/gatekeeper-oidc/gatekeeper/internal/web"
	"github.com/gatekeeper-oidc/gatekeeper/introspect"
	"github.com/gatekeeper-oidc/gatekeeper/keys"
	"github.com/gatekeeper-oidc/gatekeeper/login"
	"github.com/gatekeeper-oidc/gatekeeper/oauth2"
	"github.com/gatekeeper-oidc/gatekeeper/oidc"
	"github.com/gatekeeper-oidc/gatekeeper/storage"
	"github.com/gatekeeper-oidc/gatekeeper/storage/state"
	"github.com/gatekeeper-oidc/gatekeeper/templates"
)

// A program is everything that is built once: the rules over their stores. The
// server puts doors in front of it, the command line calls its API.
type program struct {
	API admin.API
	DB  *storage.DB

	cfg      *config.Config
	log      *slog.Logger
	now      func() time.Time
	created  bool // the root secret was made by this very start
	vault    *keys.Vault
	meter    *meter.Meter
	limits   ratelimit.Source
	redis    *state.Redis // nil without one
	fetch    *fetch.Client
	others   *fetch.Pool // fetch, for requests that wait for the answer
	ring     *keys.Ring
	trail    *audit.Trail
	people   *identity.Service
	consents *consent.Service
	oauth    *oauth2.Provider

	usage     *oauth2.Usage
	totals    []worker // which tell what the doors counted and did not write down
	registrar *oidc.Registrar
	signOuts  *oidc.Backchannel
}

// wire builds the whole program over the store cfg names. It is read top to
// bottom, once.
func wire(ctx context.Context, cfg *config.Config, w world) (_ *program, err error) {
	log, now := newLog(cfg, w), w.Now
	p := &program{cfg: cfg, log: log, now: now, meter: meter.New(thisBuild().Version)}
	roots, created, err := config.RootSecret(cfg)
	if err != nil {
		return nil, badConfig(err)
	}
	p.created = created
	if p.vault, err = keys.NewVault(roots...); err != nil {
		return nil, badConfig(err)
	}
	p.DB, err = storage.Open(ctx, storage.Config{
		URL: cfg.DatabaseURL.Reveal(), Migrate: !cfg.Postgres(), MaxConns: cfg.DBMaxConns, Log: log, Tracing: cfg.OtelEndpoint != "",
	})
	if err != nil {
		return nil, databaseRefused(cfg, err)
	}
	defer func() {
		if err != nil {
			_ = p.Close() // the first error is the one to tell
		}
	}()
	if p.fetch, err = newFetch(cfg, now); err != nil {
		return nil, badConfig(err)
	}
	if p.limits, err = p.limiter(ctx); err != nil {
		return nil, badConfig(err)
	}
	if p.others, err = p.newPool(); err != nil {
		return nil, err
	}
	p.trail = audit.NewTrail(audit.Config{Store: p.DB, Now: now, Log: log, Meter: p.meter})
	if err := p.wireKeys(ctx); err != nil {
		return nil, err
	}
	p.people = &identity.Service{
		Store: p.DB, Trail: p.trail, Limits: p.limits, Meter: p.meter, Now: now, Key: p.vault.Subkey("sign-in"),
		Hasher: identity.NewHasher(identity.HasherConfig{Meter: p.meter, Now: now}),
		Policy: identity.Policy{SessionIdle: cfg.SessionIdle, SessionAbsolute: cfg.SessionAbsolute, MinPassword: cfg.PasswordMin},
	}
	sets, err := keys.NewClientSets(keys.ClientSetsConfig{Fetcher: p.others, Now: now})
	if err != nil {
		return nil, err
	}
	p.usage = oauth2.NewUsage(p.DB, log)
	p.oauth, err = oauth2.NewProvider(oauth2.Config{
		Issuer: cfg.Issuer, Store: p.DB, Keys: p.ring, ClientKeys: sets, Vault: p.vault, Trail: p.trail, Limits: p.limits, Meter: p.meter, Log: log, Now: now,
		Claims: oidc.ClaimTable{}, ResponseTypes: cfg.ResponseTypes, Fetch: p.others, Used: p.usage.Note,
		Scopes: cfg.AllScopes(), SignUp: cfg.Signup == "open", Refresh: cfg.Refresh, DynamicAudiences: cfg.RegistrationAudiences,
		Lifetimes: oauth2.Lifetimes{
			Code: cfg.CodeTTL, Access: cfg.AccessTokenTTL, IDToken: cfg.IDTokenTTL, Refresh: cfg.RefreshTokenTTL,
			RefreshIdle: cfg.RefreshIdle, Interaction: 30 * time.Minute, Grace: cfg.RefreshGrace,
		},
	})
	if err != nil {
		return nil, err
	}
	return p, p.wireServices()
}

// wireServices builds what stands on people and tokens.
func (p *program) wireServices() (err error) {
	cfg, now := p.cfg, p.now
	p.consents = &consent.Service{Store: p.DB, Trail: p.trail}
	p.API = &admin.Service{
		Issuer: cfg.Issuer, People: p.people, OAuth: p.oauth, Store: p.DB, Tokens: p.DB, Allowed: p.DB, Reached: p.DB, Ring: p.ring, Trail: p.trail,
		Now: now, Scopes: cfg.AllScopes(),
	}
	p.signOuts, err = oidc.NewBackchannel(oidc.BackchannelConfig{
		Sessions: p.people, Store: p.DB, Tokens: p.oauth, Post: p.fetch, Trail: p.trail, Meter: p.meter, Log: p.log,
	})
	if err != nil {
		return err
	}
	return p.wireRegistration()
}

// limiter counts attempts in Redis where nodes share one, else in memory.
func (p *program) limiter(ctx context.Context) (ratelimit.Source, error) {
	var source ratelimit.Source = state.NewMemory(p.now, 0)
	if addr := p.cfg.RedisURL.Reveal(); addr != "" {
		redis, err := state.NewRedis(ctx, state.RedisConfig{URL: addr, Nodes: p.cfg.Nodes, Now: p.now, Log: p.log})
		if err != nil {
			return nil, fmt.Errorf("redis_url: %w", err)
		}
		p.redis, source = redis, redis
	}
	return ratelimit.Scaled{Source: source, Factor: p.cfg.RateLimitFactor}, nil
}

func (p *program) wireKeys(ctx context.Context) error {
	cfg := p.cfg
	ring, err := keys.NewRing(keys.RingConfig{
		Store: p.DB, Vault: p.vault, Source: keys.DefaultSource(), Log: p.log, Now: p.now,
		Policy: keys.Policy{
			Algs: cfg.Algs, Encrypt: []string{keys.RSAOAEP256, keys.ECDHES}, // for request objects
			Lifetime: cfg.KeyLifetime, Retain: max(cfg.AccessTokenTTL, cfg.IDTokenTTL) + 24*time.Hour,
		},
		Record: p.recordKey,
	})
	if err != nil {
		return badConfig(err)
	}
	if err := ring.Load(ctx); err != nil {
		return fmt.Errorf("load the signing keys: %w", err)
	}
	p.ring = ring
	return nil
}

// recordKey puts a change of the keys into the trail, in its transaction.
func (p *program) recordKey(ctx context.Context, c keys.Change) error {
	kind := audit.KeyCreated
	if c.Kind == "revoked" {
		kind = audit.KeyRevoked
	}
	return p.trail.Record(ctx, audit.Event{
		Kind: kind, Actor: admin.Actor(ctx), Detail: map[string]string{"kid": c.Key.ID, "alg": c.Key.Alg},
	})
}

// Close lets go of the stores.
func (p *program) Close() error {
	if p.redis != nil {
		_ = p.redis.Close() // it holds nothing that could be lost
	}
	if p.DB == nil {
		return nil
	}
	return p.DB.Close()
}

// public is what people and applications reach.
func (p *program) public(tracer trace.TracerProvider, h *health) (*web.Mux, error) {
	issuer, err := url.Parse(p.cfg.Issuer)
	if err != nil {
		return nil, badConfig(fmt.Errorf("issuer: %w", err))
	}
	pages, err := templates.New()
	if err != nil {
		return nil, err
	}
	var mux *web.Mux
	mux, err = web.New(web.Config{
		Issuer: issuer, TrustedProxies: p.cfg.TrustedProxies, AllowedHosts: p.cfg.AllowedHosts, FormKey: p.vault.Subkey("form"), Dev: p.cfg.Dev,
		Pages: pages, Log: p.log, Meter: p.meter, Tracer: tracer, Now: p.now, Refused: p.trail.Refuse,
		Session: login.Session(p.people, func(r *http.Request, name string) string { return mux.Cookie(r, name) }),
	})
	if err != nil {
		return nil, err
	}
	p.totals = append(p.totals, worker{"totals of the public door", mux.Run})
	signUp := p.cfg.Signup == "open"
	discovery, err := oidc.New(oidc.Config{
		Issuer: p.cfg.Issuer, Provider: p.oauth, Keys: p.ring, SignOuts: p.signOuts, Pages: pages, Scopes: p.cfg.AllScopes(),
		ResponseTypes: p.cfg.ResponseTypes, RequestURIs: true, SignUp: signUp, SessionCookie: login.Cookie,
		Registration: oidc.RegistrationMode(p.cfg.Registration),
	})
	if err != nil {
		return nil, err
	}
	door, err := login.New(login.Config{
		Flow: p.oauth, People: p.people, Pages: pages, Limits: p.limits, Meter: p.meter, Now: p.now, MinPassword: p.cfg.PasswordMin, SignUp: signUp,
	})
	if err != nil {
		return nil, err
	}
	agreement, err := consent.NewHandler(p.consents, p.oauth, pages)
	if err != nil {
		return nil, err
	}
	self, err := account.New(account.Config{People: p.people, Consents: p.consents, Clients: p.oauth, Pages: pages, MinPassword: p.cfg.PasswordMin})
	if err != nil {
		return nil, err
	}
	logos, err := oidc.NewLogos(p.oauth, p.others)
	if err != nil {
		return nil, err
	}
	for _, f := range []web.Routes{
		&oauth2.Handler{Provider: p.oauth, Steps: append(door.Steps(), agreement.Step())},
		discovery, door, agreement, self, p.registrar, logos,
		&introspect.Handler{Clients: p.oauth, Inspector: &introspect.Inspector{Issuer: p.cfg.Issuer, Tokens: p.oauth, Meter: p.meter}},
		h,
	} {
		f.Routes(mux)
	}
	mux.Static("GET /robots.txt", pages.Robots())
	mux.Static("GET /favicon.ico", pages.Icon())
	mux.Static(templates.AssetsPath+"*", pages.Assets())
	return mux, nil
}

// management is what operators reach: metrics, health in detail, the admin API.
func (p *program) management(h *health) (*web.Mux, error) {
	issuer, err := url.Parse(p.cfg.Issuer)
	if err != nil {
		return nil, badConfig(fmt.Errorf("issuer: %w", err))
	}
	mux, err := web.New(web.Config{
		Issuer: issuer, AllowedHosts: p.cfg.AllowedHosts, Internal: true, Log: p.log, Meter: p.meter, Now: p.now, Refused: p.trail.Refuse,
	})
	if err != nil {
		return nil, err
	}
	p.totals = append(p.totals, worker{"totals of the management door", mux.Run})
	h.ManagementRoutes(mux)
	mux.Static("GET /metrics", p.meter.Handler())
	(&admin.Handler{Issuer: p.cfg.Issuer, API: p.API, Tokens: p.oauth}).Routes(mux)
	return mux, nil
}
