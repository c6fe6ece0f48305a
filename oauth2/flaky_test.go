package oauth2_test

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/gatekeeper-oidc/gatekeeper/audit"
	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
	"github.com/gatekeeper-oidc/gatekeeper/oauth2"
)

// flaky is a store that can be told not to answer.
type flaky struct {
	oauth2.Store
	mu   sync.Mutex
	down map[string]int // method → how many times more
	lost string         // the method of which the next call is done, and its answer lost
}

// fail makes the next n calls of method fail.
func (s *flaky) fail(method string, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down == nil {
		s.down = map[string]int{}
	}
	s.down[method] = n
}

// lose makes the next call of method happen and look as if it had not.
func (s *flaky) lose(method string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lost = method
}

func (s *flaky) loses(method string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lost != method {
		return false
	}
	s.lost = ""
	return true
}

func (s *flaky) answers(method string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down[method] == 0 {
		return nil
	}
	s.down[method]--
	return fault.Down("store", errors.New("no answer"))
}

func (s *flaky) Client(ctx context.Context, id string) (oauth2.Client, error) {
	if err := s.answers("Client"); err != nil {
		return oauth2.Client{}, err
	}
	return s.Store.Client(ctx, id)
}

func (s *flaky) PutInteraction(ctx context.Context, in oauth2.Interaction) error {
	if err := s.answers("PutInteraction"); err != nil {
		return err
	}
	return s.Store.PutInteraction(ctx, in)
}

func (s *flaky) ConsumeInteraction(ctx context.Context, id string) (bool, error) {
	if err := s.answers("ConsumeInteraction"); err != nil {
		return false, err
	}
	return s.Store.ConsumeInteraction(ctx, id)
}

func (s *flaky) RedeemGrant(ctx context.Context, g oauth2.Grant, withRefresh bool, e audit.Event) (bool, error) {
	if err := s.answers("RedeemGrant"); err != nil {
		return false, err
	}
	done, err := s.Store.RedeemGrant(ctx, g, withRefresh, e)
	if s.loses("RedeemGrant") {
		return false, fault.Down("store", errors.New("no answer"))
	}
	return done, err
}

func (s *flaky) GrantWithStanding(ctx context.Context, id string) (oauth2.Grant, oauth2.RefreshState, oauth2.Standing, error) {
	if err := s.answers("GrantWithStanding"); err != nil {
		return oauth2.Grant{}, oauth2.RefreshState{}, oauth2.Standing{}, err
	}
	return s.Store.GrantWithStanding(ctx, id)
}

func (s *flaky) RotateRefresh(ctx context.Context, r oauth2.RotateRequest) (oauth2.Rotation, error) {
	if err := s.answers("RotateRefresh"); err != nil {
		return oauth2.Dead, err
	}
	return s.Store.RotateRefresh(ctx, r)
}

func (s *flaky) Standing(ctx context.Context, q oauth2.StandingQuery) (oauth2.Standing, error) {
	if err := s.answers("Standing"); err != nil {
		return oauth2.Standing{}, err
	}
	return s.Store.Standing(ctx, q)
}

func (s *flaky) RevokeGrant(ctx context.Context, id string, e audit.Event) (bool, error) {
	if err := s.answers("RevokeGrant"); err != nil {
		return false, err
	}
	return s.Store.RevokeGrant(ctx, id, e)
}

func (s *flaky) RevokeToken(ctx context.Context, jti string, expiresAt time.Time, e audit.Event) error {
	if err := s.answers("RevokeToken"); err != nil {
		return err
	}
	return s.Store.RevokeToken(ctx, jti, expiresAt, e)
}

func (s *flaky) UseAssertion(ctx context.Context, clientID, jti string, expiresAt time.Time) (bool, error) {
	if err := s.answers("UseAssertion"); err != nil {
		return false, err
	}
	return s.Store.UseAssertion(ctx, clientID, jti, expiresAt)
}
