package identity

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/gatekeeper-oidc/gatekeeper/audit"
	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
)

// NeedsSetup reports whether there is no administrator yet.
func (s *Service) NeedsSetup(ctx context.Context) (bool, error) {
	n, err := s.Store.CountUsersWithRole(ctx, RoleAdmin)
	if err != nil {
		return false, fmt.Errorf("count administrators: %w", err)
	}
	return n == 0, nil
}

// NewSetup makes a setup token that works once within ttl and kills the last one.
// Fault: Conflict ("already_set_up") once there is an administrator.
func (s *Service) NewSetup(ctx context.Context, ttl time.Duration) (token string, err error) {
	token, hash := newToken()
	err = s.Store.InTx(ctx, func(ctx context.Context) error {
		if err := s.unset(ctx); err != nil {
			return err
		}
		if err := s.Store.PutSetupToken(ctx, hash, ttl); err != nil {
			return err
		}
		return s.Trail.Record(ctx, audit.Event{
			Kind: audit.SetupLinkCreated, Actor: System, Detail: map[string]string{"valid_for": ttl.String()},
		})
	})
	if err != nil {
		return "", fmt.Errorf("make setup link: %w", err)
	}
	return token, nil
}

// SetupOpen reports whether CompleteSetup would take token.
func (s *Service) SetupOpen(ctx context.Context, token string) (bool, error) {
	hash, ok := tokenHash(token)
	if !ok {
		return false, nil
	}
	open, err := s.Store.PeekSetupToken(ctx, hash)
	if err != nil || !open {
		return false, err
	}
	return s.NeedsSetup(ctx)
}

// CompleteSetup spends token and creates the first administrator, as one change:
// if anything does not fit, the token still works. Faults: Forbidden
// ("setup_link_invalid"), Conflict ("already_set_up"), and those of CreateUser.
func (s *Service) CompleteSetup(ctx context.Context, token string, n NewUser) (User, error) {
	hash, ok := tokenHash(token)
	if !ok {
		return User{}, setupInvalid()
	}
	if open, err := s.Store.PeekSetupToken(ctx, hash); err != nil || !open {
		if err == nil {
			err = setupInvalid() // before any hashing: a stranger must not cost a slot
		}
		return User{}, err
	}
	if !slices.Contains(n.Roles, RoleAdmin) {
		n.Roles = append(slices.Clone(n.Roles), RoleAdmin)
	}
	u, passwordHash, err := s.prepare(ctx, n)
	if err != nil {
		return User{}, err
	}
	err = s.Store.InTx(ctx, func(ctx context.Context) error {
		// The row of the one token is what racing callers wait for.
		taken, err := s.Store.ConsumeSetupToken(ctx, hash)
		if err != nil {
			return err
		}
		if !taken {
			return setupInvalid()
		}
		if err := s.unset(ctx); err != nil {
			return err
		}
		if err := s.insert(ctx, Actor(u.ID), u, passwordHash); err != nil {
			return err
		}
		return s.Trail.Record(ctx, audit.Event{Kind: audit.SetupCompleted, Actor: Actor(u.ID), Subject: u.ID})
	})
	if err != nil {
		return User{}, fmt.Errorf("complete setup: %w", err)
	}
	return u, nil
}

// unset refuses when there is an administrator.
func (s *Service) unset(ctx context.Context) error {
	open, err := s.NeedsSetup(ctx)
	if err != nil || open {
		return err
	}
	return &fault.Error{
		Kind: fault.Conflict, Code: "already_set_up", Rule: "setup_no_administrator",
		Detail: "There is an administrator already.",
	}
}

func setupInvalid() error {
	return &fault.Error{
		Kind: fault.Forbidden, Code: "setup_link_invalid", Rule: "setup_token_live",
		Detail: "This set-up link was used, has expired, or was replaced by a newer one.",
	}
}
