package admin

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/gatekeeper-oidc/gatekeeper/audit"
	"github.com/gatekeeper-oidc/gatekeeper/identity"
	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
	"github.com/gatekeeper-oidc/gatekeeper/oauth2"
)

// What an initial access token is good for, unless told otherwise and at most.
const (
	initialLife    = 24 * time.Hour
	maxInitialLife = 365 * 24 * time.Hour
	maxInitialUses = 10_000
	maxInitialName = 200
)

// InitialTokens keeps initial access tokens. Methods join the transaction of their
// context.
type InitialTokens interface {
	InsertInitialToken(ctx context.Context, t oauth2.InitialToken) error
	// InitialTokens returns the newest thousand, the newest first.
	InitialTokens(ctx context.Context) ([]oauth2.InitialToken, error)
	// DeleteInitialToken reports whether there was one.
	DeleteInitialToken(ctx context.Context, id string) (bool, error)
}

// CreateInitialToken makes an initial access token, which lets whoever holds it
// register applications while registration is not closed (RFC 7591 section 3).
func (s *Service) CreateInitialToken(ctx context.Context, in InitialTokenInput) (InitialTokenWithSecret, error) {
	if in.Uses == 0 {
		in.Uses = 1
	}
	if in.Life == 0 {
		in.Life = initialLife
	}
	switch {
	case in.Uses < 1 || in.Uses > maxInitialUses:
		return InitialTokenWithSecret{}, invalid("initial_token_uses", fmt.Sprintf("A token is good for 1 to %d registrations.", maxInitialUses))
	case in.Life < time.Minute || in.Life > maxInitialLife:
		return InitialTokenWithSecret{}, invalid("initial_token_life", "A token lives for a minute at least and a year at most.")
	case len(in.Name) > maxInitialName || strings.ContainsFunc(in.Name, identity.Misleading):
		return InitialTokenWithSecret{}, invalid("initial_token_name", "A name has at most 200 characters, none of them a control character.")
	}
	token, id := oauth2.NewInitialToken()
	now := s.Now().UTC().Truncate(time.Microsecond)
	out := InitialTokenWithSecret{Token: token, InitialToken: oauth2.InitialToken{
		ID: id, Name: in.Name, Hash: oauth2.HashOf(token), MaxUses: in.Uses, CreatedAt: now, ExpiresAt: now.Add(in.Life),
	}}
	err := s.Store.InTx(ctx, func(ctx context.Context) error {
		if err := s.Tokens.InsertInitialToken(ctx, out.InitialToken); err != nil {
			return fmt.Errorf("insert: %w", err)
		}
		return s.recordInitial(ctx, audit.InitialCreated, id, map[string]string{"uses": strconv.Itoa(in.Uses), "life": in.Life.String()})
	})
	if err != nil {
		return InitialTokenWithSecret{}, fmt.Errorf("create registration token: %w", err)
	}
	return out, nil
}

// InitialTokens returns the initial access tokens there are, the newest first.
func (s *Service) InitialTokens(ctx context.Context) ([]oauth2.InitialToken, error) {
	all, err := s.Tokens.InitialTokens(ctx)
	if err != nil {
		return nil, fmt.Errorf("list registration tokens: %w", err)
	}
	return all, nil
}

// RevokeInitialToken makes an initial access token worthless. What was registered
// with it stays.
func (s *Service) RevokeInitialToken(ctx context.Context, id string) error {
	err := s.Store.InTx(ctx, func(ctx context.Context) error {
		found, err := s.Tokens.DeleteInitialToken(ctx, id)
		if err != nil {
			return err
		}
		if !found {
			return fault.Missing("registration_token", id)
		}
		return s.recordInitial(ctx, audit.InitialRevoked, id, map[string]string{})
	})
	if err != nil {
		return fmt.Errorf("revoke registration token %s: %w", id, err)
	}
	return nil
}

func (s *Service) recordInitial(ctx context.Context, kind audit.Kind, id string, detail map[string]string) error {
	detail["token"] = id
	return s.Trail.Record(ctx, audit.Event{Kind: kind, Actor: Actor(ctx), Detail: detail})
}
