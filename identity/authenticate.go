package identity

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/gatekeeper-oidc/gatekeeper/audit"
	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
)

// Authenticate checks a password. It takes the same time and gives the same
// answer whether or not the user exists. Limits per address and per account are
// spent first. Faults: TooMany with RetryAfter, Unauthenticated
// ("invalid_credentials"), Unavailable.
func (s *Service) Authenticate(ctx context.Context, email, password string) (User, error) {
	u, err := s.authenticate(ctx, newAttempt(ctx, email), password)
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
	underWay, leave, err := s.lanes.enter(ctx, a.account, freeMisses)
	if err != nil {
		return User{}, err
	}
	defer leave()

	u, p, now, err := s.lookUp(ctx, a)
	if err != nil {
		return User{}, fmt.Errorf("look up who signs in: %w", err)
	}
	if p.Hash != "" {
		err = s.waited(p, underWay, now)
	} else {
		err = s.climb(ctx, a)
	}
	if err != nil {
		return User{}, err
	}
	match, err := s.Hasher.Verify(ctx, p.Hash, password)
	if err != nil {
		return User{}, fmt.Errorf("check password: %w", err)
	}
	if !match || u.Status != Active {
		return User{}, s.missed(ctx, a, u, p)
	}
	return s.admit(ctx, u, p, password, now)
}

// lookUp returns zero values for an address nobody has, or that is none.
func (s *Service) lookUp(ctx context.Context, a attempt) (User, Password, time.Time, error) {
	u, p, now, err := s.Store.UserForLogin(ctx, a.email)
	if fault.Is(err, fault.NotFound) {
		return User{}, Password{}, time.Time{}, nil
	}
	return u, p, now, err
}

// missed counts and records a failed attempt and returns the one answer. Every
// hundredth miss in a row locks; Unlock leaves the count, success clears it.
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
		misses, err := s.miss(ctx, u)
		if err != nil {
			return err
		}
		if misses > 0 {
			e.Detail["failures"] = strconv.Itoa(misses)
		}
		if err := s.Trail.Record(ctx, e); err != nil || p.Hash == "" || u.Status != Active || misses%lockEvery != 0 {
			return err
		}
		return s.lock(ctx, System, u.ID, map[string]string{"reason": "too_many_failures"})
	})
	if err != nil {
		return fmt.Errorf("record failed sign-in: %w", err)
	}
	return &fault.Error{
		Kind: fault.Unauthenticated, Code: "invalid_credentials", Rule: "password_matches",
		Detail: "The email address or the password is not right.",
	}
}

// miss counts a miss of u. For nobody it asks the store as often, for nobody.
func (s *Service) miss(ctx context.Context, u User) (int, error) {
	if u.ID != "" {
		return s.Store.MissPassword(ctx, u.ID)
	}
	_, err := s.Store.User(ctx, uuid.Nil.String())
	if fault.Is(err, fault.NotFound) {
		err = nil
	}
	return 0, err
}

// admit forgets the misses, brings the hash up to date and records the sign-in.
func (s *Service) admit(ctx context.Context, u User, p Password, password string, now time.Time) (User, error) {
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
			if err := s.Store.SetPassword(ctx, u.ID, rehashed); err != nil {
				return err
			}
		}
		if err := s.Store.ClearFailures(ctx, u.ID); err != nil {
			return err
		}
		return s.Trail.Record(ctx, audit.Event{
			Kind: audit.LoginSucceeded, Actor: Actor(u.ID), Subject: u.ID,
			Detail: map[string]string{"method": "password"},
		})
	})
	if err != nil {
		return User{}, fmt.Errorf("record sign-in: %w", err)
	}
	u.LastLoginAt = now
	return u, nil
}
