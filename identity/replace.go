package identity

import (
	"context"
	"fmt"

	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
)

// Replace changes a password that must be changed, for whoever knows it, and signs
// them in with the new one. Faults: those of Authenticate, Forbidden
// ("no_change_required"), Invalid ("weak_password").
func (s *Service) Replace(ctx context.Context, email, current, next string) (User, error) {
	u, err := s.Authenticate(ctx, email, current)
	if err == nil {
		return User{}, &fault.Error{
			Kind: fault.Forbidden, Code: "no_change_required", Rule: "password_must_change",
			Detail: "This password needs no change; change it on the account page.",
		}
	}
	if fault.Of(err).Code != "password_change_required" {
		return User{}, err
	}
	if next == current {
		return User{}, &fault.Error{
			Kind: fault.Invalid, Code: "weak_password", Rule: "password_same", Detail: "Choose another password than the one you were given.",
		}
	}
	if err := s.SetPassword(ctx, Actor(u.ID), u.ID, next); err != nil {
		return User{}, fmt.Errorf("replace a password: %w", err)
	}
	return s.Authenticate(ctx, email, next)
}
