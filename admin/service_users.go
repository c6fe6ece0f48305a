package admin

import (
	"context"
	"fmt"
	"slices"

	"github.com/gatekeeper-oidc/gatekeeper/audit"
	"github.com/gatekeeper-oidc/gatekeeper/consent"
	"github.com/gatekeeper-oidc/gatekeeper/identity"
)

// CreateUser makes a person. Faults: Invalid, Conflict if the address is taken,
// Forbidden beyond the actor's scopes.
func (s *Service) CreateUser(ctx context.Context, in UserInput) (identity.User, error) {
	if err := guardRoles(ctx, in.Roles); err != nil {
		return identity.User{}, err
	}
	u, err := s.People.CreateUser(ctx, Actor(ctx), identity.NewUser(in))
	if err != nil {
		return identity.User{}, fmt.Errorf("create user: %w", err)
	}
	return s.User(ctx, u.ID)
}

// UpdateUser replaces a person whole, but for what only the program knows. seen are
// ETags of what the caller last saw, if any. Faults: Stale if it is none of them,
// Invalid for what is changed in another way, those of identity.Service.UpdateUser.
func (s *Service) UpdateUser(ctx context.Context, u identity.User, seen ...string) (identity.User, error) {
	if err := guardRoles(ctx, u.Roles); err != nil {
		return identity.User{}, err
	}
	err := s.Store.InTx(ctx, func(ctx context.Context) error {
		if err := s.People.HoldAdministrators(ctx); err != nil {
			return err
		}
		have, err := s.changeable(ctx, u.ID)
		if err != nil {
			return err
		}
		if err := unchanged(UserTag(have), seen); err != nil {
			return err
		}
		if u.Status != "" && u.Status != have.Status {
			return invalid("status_by_lock", "The member status is changed with lock and unlock; leave it out or as it is.")
		}
		if !u.CreatedAt.IsZero() && !u.CreatedAt.Equal(have.CreatedAt) {
			return invalid("created_at_fixed", "The member created_at cannot change; leave it out or as it is.")
		}
		u.ID = have.ID
		_, err = s.People.UpdateUser(ctx, Actor(ctx), u)
		return err
	})
	if err != nil {
		return identity.User{}, fmt.Errorf("update user %s: %w", u.ID, err)
	}
	return s.User(ctx, u.ID)
}

// DeleteUser removes a person and everything that lived on them, if they still are
// what one of seen says.
func (s *Service) DeleteUser(ctx context.Context, user string, seen ...string) error {
	return s.Store.InTx(ctx, func(ctx context.Context) error {
		if err := s.People.HoldAdministrators(ctx); err != nil {
			return err
		}
		u, err := s.User(ctx, user)
		if err != nil {
			return err
		}
		if err := unchanged(UserTag(u), seen); err != nil {
			return err
		}
		return s.person(ctx, u.ID, "delete", s.People.DeleteUser)
	})
}

// User returns a person by id or email; fault.NotFound.
func (s *Service) User(ctx context.Context, user string) (identity.User, error) {
	u, err := s.People.Find(ctx, user)
	if err != nil {
		return identity.User{}, fmt.Errorf("user: %w", err)
	}
	u.Roles = some(u.Roles)
	return u, nil
}

// Users returns a page of people, with a query of those who have a word that begins
// with each of its words.
func (s *Service) Users(ctx context.Context, query string, p identity.Page) (users []identity.User, next string, err error) {
	users, next, err = s.People.Users(ctx, query, page(p))
	if err != nil {
		return nil, "", fmt.Errorf("list users: %w", err)
	}
	for i := range users {
		users[i].Roles = some(users[i].Roles)
	}
	return users, next, nil
}

// LockUser stops a person from signing in and ends every session of theirs.
func (s *Service) LockUser(ctx context.Context, user, reason string) error {
	return s.person(ctx, user, "lock", func(ctx context.Context, actor, id string) error {
		return s.People.Lock(ctx, actor, id, reason)
	})
}

// UnlockUser lets a locked person sign in again.
func (s *Service) UnlockUser(ctx context.Context, user string) error {
	return s.person(ctx, user, "unlock", s.People.Unlock)
}

// SetPassword replaces a person's password and ends every session of theirs.
func (s *Service) SetPassword(ctx context.Context, user, password string) error {
	return s.person(ctx, user, "set password of", func(ctx context.Context, actor, id string) error {
		return s.People.SetPassword(ctx, actor, id, password)
	})
}

// Sessions returns the live sessions of a person, or of everybody if user is "".
func (s *Service) Sessions(ctx context.Context, user string) ([]Session, error) {
	id := ""
	if user != "" {
		u, err := s.User(ctx, user)
		if err != nil {
			return nil, err
		}
		id = u.ID
	}
	live, err := s.People.Sessions(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("list sessions: %w", err)
	}
	ids := make([]string, len(live))
	for i, l := range live {
		ids[i] = l.ID
	}
	reached, err := s.Reached.SessionClients(ctx, ids...)
	if err != nil {
		return nil, fmt.Errorf("applications of sessions: %w", err)
	}
	all := make([]Session, len(live))
	for i, l := range live {
		all[i] = Session{Session: l, Clients: reached[l.ID]}
	}
	return all, nil
}

// EndSessions signs a person out of the sessions ids. None named is a mistake, and
// never all of them: that is EndAllSessions.
func (s *Service) EndSessions(ctx context.Context, user string, ids ...string) error {
	if user == "" {
		return invalid("user_named", "Say whose sessions shall end.")
	}
	if len(ids) == 0 || slices.Contains(ids, "") {
		return invalid("sessions_named", "Say which sessions shall end.")
	}
	return s.person(ctx, user, "end sessions of", func(ctx context.Context, actor, id string) error {
		return s.People.End(ctx, actor, id, audit.SessionEnded, ids...)
	})
}

// EndAllSessions signs a person out everywhere.
func (s *Service) EndAllSessions(ctx context.Context, user string) error {
	if user == "" {
		return invalid("user_named", "Say whose sessions shall end.")
	}
	return s.person(ctx, user, "end sessions of", func(ctx context.Context, actor, id string) error {
		return s.People.End(ctx, actor, id, audit.SessionEnded)
	})
}

// Consents returns a page of what a person has allowed, in order of application.
func (s *Service) Consents(ctx context.Context, user string, p identity.Page) (all []consent.Consent, next string, err error) {
	u, err := s.User(ctx, user)
	if err != nil {
		return nil, "", err
	}
	all, next, err = s.Allowed.Consents(ctx, u.ID, page(p))
	if err != nil {
		return nil, "", fmt.Errorf("consents of user %s: %w", u.ID, err)
	}
	return all, next, nil
}

// RevokeConsent takes back what a person allowed an application, and the grants
// that came of it or that an application of the house got unasked, as one change.
func (s *Service) RevokeConsent(ctx context.Context, user, clientID string) error {
	allowed := consent.Service{Store: s.Allowed, Trail: s.Trail}
	return s.person(ctx, user, "revoke consent of", func(ctx context.Context, actor, id string) error {
		return allowed.Revoke(ctx, actor, id, clientID)
	})
}

// person makes one change to a person found by id or email.
func (s *Service) person(ctx context.Context, user, verb string, f func(ctx context.Context, actor, id string) error) error {
	u, err := s.changeable(ctx, user)
	if err != nil {
		return err
	}
	if err := f(ctx, Actor(ctx), u.ID); err != nil {
		return fmt.Errorf("%s user %s: %w", verb, u.ID, err)
	}
	return nil
}

// changeable returns a person the actor may change.
func (s *Service) changeable(ctx context.Context, user string) (identity.User, error) {
	u, err := s.User(ctx, user)
	if err != nil {
		return identity.User{}, err
	}
	return u, guardRoles(ctx, u.Roles)
}
