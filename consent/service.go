package consent

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/gatekeeper-oidc/gatekeeper/audit"
	"github.com/gatekeeper-oidc/gatekeeper/identity"
	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
)

// A Recorder is the part of the audit trail this package writes to.
type Recorder interface {
	Record(ctx context.Context, e audit.Event) error
}

// Service holds the rules about consents. Both fields are required.
type Service struct {
	Store Store
	Trail Recorder
}

// Remembered returns the scopes a person has allowed a client, and whether they
// were asked at all: no consent is not the consent to nothing.
func (s *Service) Remembered(ctx context.Context, userID, clientID string) (scopes []string, found bool, err error) {
	c, err := s.Store.Consent(ctx, userID, clientID)
	if fault.Is(err, fault.NotFound) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("consent of user %s to %s: %w", userID, clientID, err)
	}
	return c.Scopes, true, nil
}

// Consents returns a page of what a person has allowed, and after the last of it what
// lives without their having been asked: an application of the operator's own, one
// that another server speaks to for them. Whatever lives is shown, and can be taken
// back.
func (s *Service) Consents(ctx context.Context, userID string, p identity.Page) (all []Consent, next string, err error) {
	all, next, err = s.Store.Consents(ctx, userID, p)
	if err != nil {
		return nil, "", fmt.Errorf("consents of user %s: %w", userID, err)
	}
	if next != "" {
		return all, next, nil
	}
	unasked, err := s.Store.Unasked(ctx, userID)
	if err != nil {
		return nil, "", fmt.Errorf("grants of user %s: %w", userID, err)
	}
	asked := len(all)
	for _, g := range unasked {
		n := slices.IndexFunc(all[asked:], func(c Consent) bool { return c.ClientID == g.ClientID })
		if n < 0 {
			all = append(all, Consent{UserID: userID, ClientID: g.ClientID, Scopes: g.Scopes, GrantedAt: g.CreatedAt, UpdatedAt: g.CreatedAt})
			continue
		}
		one := &all[asked+n]
		one.Scopes, one.GrantedAt = union(one.Scopes, g.Scopes), g.CreatedAt // an older one
	}
	return all, "", nil
}

// An Answer is what a person said to a request for scopes. Then writes what
// follows from it, such as the state of the interaction, in the same change.
type Answer struct {
	UserID, ClientID, Session string
	Registration              string // of the client that asked; "" is any
	Scopes                    []string
	Then                      func(ctx context.Context) error
}

// Allow remembers scopes, besides those allowed before.
func (s *Service) Allow(ctx context.Context, a Answer) error {
	return s.change(ctx, "remember", a, audit.ConsentGranted, func(ctx context.Context) error {
		before, _, err := s.Remembered(ctx, a.UserID, a.ClientID)
		if err != nil {
			return err
		}
		return s.Store.PutConsent(ctx, Consent{UserID: a.UserID, ClientID: a.ClientID, Registration: a.Registration, Scopes: union(before, a.Scopes)})
	})
}

// Deny remembers nothing but that it was said.
func (s *Service) Deny(ctx context.Context, a Answer) error {
	return s.change(ctx, "deny", a, audit.ConsentDenied, func(context.Context) error { return nil })
}

// change writes an answer, its event and what follows as one change.
func (s *Service) change(ctx context.Context, what string, a Answer, kind audit.Kind, write func(context.Context) error) error {
	err := s.Store.InTx(ctx, func(ctx context.Context) error {
		if err := write(ctx); err != nil {
			return err
		}
		err := s.Trail.Record(ctx, audit.Event{
			Kind: kind, Actor: identity.Actor(a.UserID), Subject: a.UserID, ClientID: a.ClientID, Session: a.Session,
			Detail: map[string]string{"scope": strings.Join(a.Scopes, " ")},
		})
		if err != nil {
			return err
		}
		return a.Then(ctx)
	})
	if err != nil {
		return fmt.Errorf("%s consent of user %s to %s: %w", what, a.UserID, a.ClientID, err)
	}
	return nil
}

// Revoke takes back everything a person has allowed a client, and revokes the
// grants that came of it, as one change. actor is who does it. Fault: NotFound if
// there was neither a consent nor a live grant.
func (s *Service) Revoke(ctx context.Context, actor, userID, clientID string) error {
	if userID == "" || clientID == "" { // to RevokeGrants, none means any
		return errors.New("revoke consent: a user and a client are required")
	}
	err := s.Store.InTx(ctx, func(ctx context.Context) error {
		missing := s.Store.DeleteConsent(ctx, userID, clientID)
		if missing != nil && !fault.Is(missing, fault.NotFound) {
			return missing
		}
		grants, err := s.Store.RevokeGrants(ctx, userID, clientID)
		if err != nil {
			return err
		}
		if missing != nil && len(grants) == 0 {
			return fault.Missing("consent", clientID)
		}
		return s.Trail.Record(ctx, audit.Event{
			Kind: audit.ConsentRevoked, Actor: actor, Subject: userID, ClientID: clientID,
			Detail: map[string]string{"grants": strconv.Itoa(len(grants))},
		})
	})
	if err != nil {
		return fmt.Errorf("revoke consent of user %s to %s: %w", userID, clientID, err)
	}
	return nil
}

// union returns the scopes of a, and after them those of b that are new.
func union(a, b []string) []string {
	out := slices.Clone(a)
	for _, s := range b {
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}

// beyond returns the scopes of asked that are not among allowed.
func beyond(asked, allowed []string) []string {
	var out []string
	for _, s := range asked {
		if !slices.Contains(allowed, s) {
			out = append(out, s)
		}
	}
	return out
}
