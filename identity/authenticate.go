package identity

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/gatekeeper-oidc/gatekeeper/audit"
	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
)

// Authenticate checks a password. It takes the same time and gives the same
// answer whether or not the user exists. Limits per address and per account are
// spent first. Faults: TooMany with RetryAfter, Unauthenticated
// ("invalid_credentials"), Unavailable.
func (s *Service) Authenticate(ctx context.Context, email, password string) (User, error) {
	u, err := s.authenticate(ctx, s.newAttempt(ctx, email), password)
	switch {
	case err == nil:
		s.Meter.Login("password", "ok")
	case fault.Is(err, fault.Unauthenticated):
		s.Meter.Login("password", "refused")
	case fault.Is(err, fault.TooMany):
		s.Meter.Login("password", "limited")
	default:
		s.Meter.Login("password", "error")
	}
	return u, err
}

func (s *Service) authenticate(ctx context.Context, a attempt, password string) (User, error) {
	if err := s.allow(ctx, a); err != nil {
		return User{}, err
	}
	underWay, leave, err := s.lanes.enter(ctx, a.own(), freeMisses)
	if err != nil {
		return User{}, err
	}
	defer leave()

	var l lookedUp
	l.u, l.p, l.now, err = s.Store.UserForLogin(ctx, a.email, a.counter())
	if err != nil {
		return User{}, fmt.Errorf("look up who signs in: %w", err)
	}
	if err := s.waited(ctx, l, underWay); err != nil {
		return User{}, err
	}
	match, err := s.Hasher.Verify(ctx, l.p.Hash, password)
	if err != nil {
		return User{}, fmt.Errorf("check password: %w", err)
	}
	if !match || l.u.Status != Active {
		return User{}, s.missed(ctx, a, l.u, l.p)
	}
	if l.p.MustChange {
		return l.u, mustChange()
	}
	return s.admit(ctx, a, l, password)
}

// lookedUp is what there is of whoever signs in: zero for an address nobody has, or
// that is none, but for the misses.
type lookedUp struct {
	u   User
	p   Password
	now time.Time
}

func mustChange() error {
	return &fault.Error{
		Kind: fault.Forbidden, Code: "password_change_required", Rule: "password_own",
		Detail: "Somebody else chose this password; choose one of your own first.",
	}
}

// missed counts and records a failed attempt and returns the one answer. Every
// hundredth miss in a row begins a pause; success, or a new password, ends the count.
func (s *Service) missed(ctx context.Context, a attempt, u User, p Password) error {
	if err := s.failed(ctx, a); err != nil {
		return err
	}
	e := audit.Event{Kind: audit.LoginFailed, Subject: u.ID, Detail: map[string]string{"method": "password"}}
	switch {
	case u.ID == "":
		e.Detail["account"] = "unknown" // and never what was typed: people type their password there
	case p.Hash == "":
		e.Detail["reason"] = "no_password"
	case u.Status != Active:
		e.Detail["reason"] = "locked"
	default:
		e.Detail["reason"] = "wrong_password"
	}
	err := s.Store.InTx(ctx, func(ctx context.Context) error {
		misses, err := s.miss(ctx, a, u)
		if err != nil {
			return err
		}
		if u.ID != "" {
			e.Detail["failures"] = strconv.Itoa(misses)
		}
		if a.device != "" {
			e.Detail["browser"] = "known"
		}
		if u.ID != "" && misses%pauseEvery == 0 {
			e.Detail["paused_for"] = pause.String()
		}
		return s.Trail.Record(ctx, e)
	})
	if err != nil {
		return fmt.Errorf("record failed sign-in: %w", err)
	}
	return &fault.Error{
		Kind: fault.Unauthenticated, Code: "invalid_credentials", Rule: "password_matches",
		Detail: "The email address or the password is not right.",
	}
}

// miss counts a miss of u: with the account, or under the counter of the browser, or
// of an account that is not there.
func (s *Service) miss(ctx context.Context, a attempt, u User) (int, error) {
	if u.ID != "" && a.device == "" {
		return s.Store.MissPassword(ctx, u.ID)
	}
	return s.Store.MissCounter(ctx, a.own())
}

// admit forgets the misses, brings the hash up to date and records the sign-in.
func (s *Service) admit(ctx context.Context, a attempt, l lookedUp, password string) (User, error) {
	u, p := l.u, l.p
	rehashed := ""
	if s.Hasher.NeedsRehash(p.Hash) {
		var err error
		rehashed, err = s.Hasher.Hash(ctx, password)
		if err != nil && !fault.Is(err, fault.Unavailable) { // no room now: the next sign-in does it
			return User{}, fmt.Errorf("rehash password: %w", err)
		}
	}
	err := s.Store.InTx(ctx, func(ctx context.Context) error {
		if rehashed != "" {
			if err := s.Store.RehashPassword(ctx, u.ID, rehashed); err != nil {
				return err
			}
		}
		if err := s.Store.ClearFailures(ctx, u.ID); err != nil {
			return err
		}
		if a.device != "" && p.Failures > 0 {
			if err := s.Store.ClearCounter(ctx, a.device); err != nil {
				return err
			}
		}
		return s.Trail.Record(ctx, audit.Event{
			Kind: audit.LoginSucceeded, Actor: Actor(u.ID), Subject: u.ID,
			Detail: map[string]string{"method": "password"},
		})
	})
	if err != nil {
		return User{}, fmt.Errorf("record sign-in: %w", err)
	}
	u.LastLoginAt = l.now
	return u, nil
}
