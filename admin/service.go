package admin

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/gatekeeper-oidc/gatekeeper/audit"
	"github.com/gatekeeper-oidc/gatekeeper/consent"
	"github.com/gatekeeper-oidc/gatekeeper/identity"
	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
	"github.com/gatekeeper-oidc/gatekeeper/keys"
	"github.com/gatekeeper-oidc/gatekeeper/oauth2"
)

// setupTTL is how long the link that creates the first administrator works.
const setupTTL = 30 * time.Minute

// An Engine knows tokens and the rules of applications; oauth2.Provider is one.
type Engine interface {
	Inspect(ctx context.Context, token string) (oauth2.Token, error)
	Issued(ctx context.Context, token string) (oauth2.Token, error)
	Revoke(ctx context.Context, t oauth2.Token, actor string) (done bool, err error)
	CheckClient(c *oauth2.Client) error
	CheckSector(ctx context.Context, c *oauth2.Client) error
	Unasked(ctx context.Context, c *oauth2.Client) []string
	NewSecret(c *oauth2.Client) (plain string, keep oauth2.SecretHash)
	KeepSecret(c *oauth2.Client, plain string) (oauth2.SecretHash, error)
}

var _ Engine = (*oauth2.Provider)(nil)

// Reached tells which applications want to hear of the end of each session;
// oauth2.LogoutStore does.
type Reached interface {
	SessionClients(ctx context.Context, sessions ...string) (map[string][]string, error)
}

// Service implements API on the store. Every field but Scopes is required.
type Service struct {
	Issuer  string
	Scopes  []string // of this server; none: an application's are not compared with them
	People  *identity.Service
	OAuth   Engine
	Store   oauth2.Store
	Tokens  InitialTokens
	Allowed consent.Store
	Reached Reached
	Ring    *keys.Ring
	Trail   *audit.Trail
	Now     func() time.Time
}

var _ API = (*Service)(nil)

// Keys returns every signing key that is not gone.
func (s *Service) Keys(ctx context.Context) ([]keys.Listed, error) {
	all, err := s.Ring.List(ctx)
	if err != nil {
		return nil, fmt.Errorf("list keys: %w", err)
	}
	return all, nil
}

// RotateKeys publishes successors, as keys.Ring.Rotate does; the ring records them.
func (s *Service) RotateKeys(ctx context.Context, alg string, now bool) ([]keys.Listed, error) {
	all, err := s.Ring.Rotate(ctx, alg, now)
	if err != nil {
		return nil, fmt.Errorf("rotate keys: %w", err)
	}
	return all, nil
}

// RevokeKey takes a key out of use at once; the ring records it.
func (s *Service) RevokeKey(ctx context.Context, id string) error {
	if err := s.Ring.Revoke(ctx, id); err != nil {
		return fmt.Errorf("revoke key %s: %w", id, err)
	}
	return nil
}

// InspectToken says what any token of this issuer is good for.
func (s *Service) InspectToken(ctx context.Context, token string) (TokenInfo, error) {
	t, err := s.OAuth.Inspect(ctx, token)
	if errors.Is(err, oauth2.ErrInactive) {
		return TokenInfo{}, nil
	}
	if err != nil {
		return TokenInfo{}, fmt.Errorf("inspect token: %w", err)
	}
	return TokenInfo{
		Active: true, Kind: t.Kind, ClientID: t.ClientID, Subject: t.Subject, Session: t.Session, Grant: t.Grant,
		Scopes: t.Scopes, Audience: t.Audience, IssuedAt: t.IssuedAt, ExpiresAt: t.ExpiresAt,
	}, nil
}

// RevokeToken kills a token by the rule that applications have (RFC 7009 section
// 2.1): an access token alone, a refresh token of any generation with its whole
// grant. Faults: NotFound ("token_not_found") for what is no token of this server, or
// whose time is over: then nothing was done.
func (s *Service) RevokeToken(ctx context.Context, token string) (Revoked, error) {
	t, err := s.OAuth.Issued(ctx, token)
	if errors.Is(err, oauth2.ErrInactive) {
		return Revoked{}, &fault.Error{
			Kind: fault.NotFound, Code: "token_not_found", Rule: "token_issued",
			Detail: "This is no token of this server, or its time is over; nothing was revoked.",
		}
	}
	if err != nil {
		return Revoked{}, fmt.Errorf("find token to revoke: %w", err)
	}
	done, err := s.OAuth.Revoke(ctx, t, Actor(ctx))
	if err != nil {
		return Revoked{}, fmt.Errorf("revoke token: %w", err)
	}
	return Revoked{Kind: t.Kind, ClientID: t.ClientID, Grant: t.Grant, Already: !done}, nil
}

// Events reads the trail up to this moment.
func (s *Service) Events(ctx context.Context, f audit.Filter) ([]audit.Event, error) {
	if err := s.Trail.Sequence(ctx); err != nil {
		return nil, fmt.Errorf("events: %w", err)
	}
	return s.Trail.Events(ctx, f)
}

// TrailHead returns how far the trail has come.
func (s *Service) TrailHead(ctx context.Context) (h TrailHead, err error) {
	h.Position, h.Hash, err = s.Trail.Head(ctx)
	return h, err
}

// Explain returns the refusal a reference stands for, and in its detail how many
// others it stands for; fault.NotFound if the trail has none.
func (s *Service) Explain(ctx context.Context, reference string) (audit.Event, error) {
	reference = strings.ToUpper(strings.TrimSpace(reference))
	if reference == "" {
		return audit.Event{}, invalid("reference_present", "A reference is required.")
	}
	events, err := s.Trail.Events(ctx, audit.Filter{Reference: reference, Newest: true, Limit: 2})
	if err != nil {
		return audit.Event{}, fmt.Errorf("explain %s: %w", reference, err)
	}
	if len(events) == 0 {
		return audit.Event{}, fault.Missing("reference", reference)
	}
	return toldWith(events), nil
}

// toldWith returns the refusal among the events of one reference, with the number
// of those that were counted under it.
func toldWith(events []audit.Event) audit.Event {
	found, count := events[0], ""
	for _, e := range events {
		if n := e.Detail[audit.DetailCount]; n != "" {
			count = n
			continue
		}
		found = e
	}
	if count != "" && found.Detail != nil {
		found.Detail[audit.DetailCount] = count
	}
	return found
}

// SetupLink makes the one-time link that creates the first administrator, and
// kills the last one; fault.Conflict once there is an administrator.
func (s *Service) SetupLink(ctx context.Context) (string, error) {
	token, err := s.People.NewSetup(ctx, setupTTL)
	if err != nil {
		return "", fmt.Errorf("setup link: %w", err)
	}
	return s.Issuer + "/setup/" + token, nil
}
