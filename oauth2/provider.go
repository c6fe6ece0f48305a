package oauth2

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/maypok86/otter/v2"

	"github.com/gatekeeper-oidc/gatekeeper/audit"
	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
	"github.com/gatekeeper-oidc/gatekeeper/internal/meter"
	"github.com/gatekeeper-oidc/gatekeeper/internal/ratelimit"
	"github.com/gatekeeper-oidc/gatekeeper/keys"
)

// Recorder is the part of the audit trail this package writes to.
type Recorder interface {
	Fill(ctx context.Context, e audit.Event) audit.Event
	Record(ctx context.Context, e audit.Event) error
}

// Lifetimes of what the server hands out. A zero Grace means none; every other
// field is required.
type Lifetimes struct {
	Code, Access, IDToken, Refresh, RefreshIdle, Interaction, Grace time.Duration
}

// Config is what a Provider needs. Meter may be nil.
type Config struct {
	Issuer string
	Store  Store
	Keys   *keys.Ring
	// ClientKeys verifies with the keys of clients and encrypts to them.
	ClientKeys *keys.ClientSets
	Vault      *keys.Vault
	Trail      Recorder
	Limits     ratelimit.Source
	Rules      ratelimit.Rules // zero: the defaults
	Meter      *meter.Meter
	Log        *slog.Logger
	Now        func() time.Time
	Lifetimes  Lifetimes
	Claims     ClaimSource
	Fetch      Fetcher  // what clients publish; nil: request objects by reference are off
	Scopes     []string // every scope of this server
	// ResponseTypes this server offers; empty: code alone. What else there is passes
	// tokens through the browser, and is off unless an operator wants it.
	ResponseTypes []string
	// DynamicAudiences are what applications that registered themselves may ask
	// tokens for (RFC 8707), each, besides what an operator gave one of them.
	DynamicAudiences []string
	// Refresh is RefreshOffline or RefreshRegistered, for clients that say neither;
	// "" is RefreshRegistered for native and first-party clients and RefreshOffline
	// for the others.
	Refresh string
	SignUp  bool // prompt=create leads to the sign-up page
	// Used is told that an application that registered itself is in use; nil: nobody
	// is. It must not block.
	Used func(clientID string)
}

// Provider wraps fosite: requests in, tokens out.
type Provider struct {
	cfg       Config
	engine    *engine
	memory    *memory
	clients   *otter.Cache[string, seen[Client]]
	standings *otter.Cache[StandingQuery, seen[Standing]]
	// unanswered are the redemptions whose outcome nobody knows, by grant.
	unanswered *otter.Cache[string, attempt]
	origins    *origins
	pairwise   atomic.Pointer[[]byte]
	verified   *otter.Cache[[sha256.Size]byte, verified]
}

// NewProvider returns a Provider, or says which field of cfg is missing.
func NewProvider(cfg Config) (*Provider, error) {
	switch {
	case cfg.Issuer == "", cfg.Store == nil, cfg.Keys == nil, cfg.ClientKeys == nil, cfg.Vault == nil, cfg.Trail == nil, cfg.Limits == nil, cfg.Claims == nil, cfg.Log == nil, cfg.Now == nil:
		return nil, errors.New("oauth2: Issuer, Store, Keys, ClientKeys, Vault, Trail, Limits, Claims, Log and Now are required")
	}
	for _, d := range []time.Duration{
		cfg.Lifetimes.Code, cfg.Lifetimes.Access, cfg.Lifetimes.IDToken, cfg.Lifetimes.Refresh, cfg.Lifetimes.RefreshIdle, cfg.Lifetimes.Interaction,
	} {
		if d <= 0 {
			return nil, errors.New("oauth2: every lifetime is positive")
		}
	}
	if cfg.Rules == (ratelimit.Rules{}) {
		cfg.Rules = ratelimit.Defaults()
	}
	if len(cfg.ResponseTypes) == 0 {
		cfg.ResponseTypes = []string{"code"}
	}
	known, err := newOrigins()
	if err != nil {
		return nil, err
	}
	p := &Provider{
		origins: known, cfg: cfg, memory: newMemory(cfg.Now),
		clients:   newCache[string, seen[Client]](10_000, clientAge),
		standings: newCache[StandingQuery, seen[Standing]](50_000, standingAge), unanswered: newCache[string, attempt](10_000, attemptAge),
		verified: newCache[[sha256.Size]byte, verified](50_000, cfg.Lifetimes.Access),
	}
	p.engine = newEngine(p)
	return p, nil
}

// Interaction returns the interaction called id if it belongs to the browser
// with this binding; fault.NotFound if it has expired, was completed, or is
// another browser's.
func (p *Provider) Interaction(ctx context.Context, id string, binding []byte) (Interaction, error) {
	gone := &fault.Error{
		Kind: fault.NotFound, Code: "interaction_not_found", Rule: "interaction_of_this_browser",
		Detail: "This sign-in has expired or was completed. Go back to the application and start again.",
	}
	if id == "" || len(id) > 64 {
		return Interaction{}, gone
	}
	in, err := p.cfg.Store.Interaction(ctx, id)
	if fault.Is(err, fault.NotFound) {
		return Interaction{}, gone
	}
	if err != nil {
		return Interaction{}, err
	}
	if len(binding) == 0 || subtle.ConstantTimeCompare(in.Binding, binding) != 1 {
		return Interaction{}, gone.With("client_id", in.Request.ClientID)
	}
	return in, nil
}

// Advance stores what the person has just done in an interaction.
func (p *Provider) Advance(ctx context.Context, in Interaction) error {
	return p.cfg.Store.PutInteraction(ctx, in)
}
