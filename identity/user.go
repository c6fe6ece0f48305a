package identity

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/gatekeeper-oidc/gatekeeper/audit"
	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
)

// A NewUser is what an administrator, or a person signing up, says of a new user.
type NewUser struct {
	Email         string
	EmailVerified bool
	Password      string // plain; "" means none yet
	PasswordHash  string // PHC string to import instead
	Roles         []string
	Profile       Profile
}

// CreateUser adds a user. Faults: Invalid ("invalid_email", "weak_password",
// "invalid_password_hash", "invalid_profile", "invalid_role"), Conflict
// ("email_taken"), Unavailable.
func (s *Service) CreateUser(ctx context.Context, actor string, n NewUser) (User, error) {
	u, hash, err := s.prepare(ctx, n)
	if err != nil {
		return User{}, err
	}
	err = s.Store.InTx(ctx, func(ctx context.Context) error { return s.insert(ctx, actor, u, hash) })
	if err != nil {
		return User{}, fmt.Errorf("create user: %w", err)
	}
	return u, nil
}

// prepare checks n and does the hashing, which no transaction should wait for.
func (s *Service) prepare(ctx context.Context, n NewUser) (u User, hash string, err error) {
	now := s.Now().UTC().Truncate(time.Microsecond)
	u = User{
		ID: uuid.NewString(), EmailVerified: n.EmailVerified, Status: Active, Profile: n.Profile,
		CreatedAt: now, UpdatedAt: now,
	}
	if u.Email, err = NormalizeEmail(n.Email); err != nil {
		return User{}, "", err
	}
	if u.Roles, err = checkRoles(n.Roles); err != nil {
		return User{}, "", err
	}
	if err := checkProfile(u.Profile); err != nil {
		return User{}, "", err
	}
	switch {
	case n.PasswordHash != "":
		hash, err = n.PasswordHash, checkImport(n)
	case n.Password != "":
		hash, err = s.hashNew(ctx, n.Password, u)
	}
	return u, hash, err
}

// checkImport refuses a hash that no sign-in could be checked against later.
func checkImport(n NewUser) error {
	_, _, err := parsePHC(n.PasswordHash)
	if err == nil && n.Password == "" {
		return nil
	}
	return &fault.Error{
		Kind: fault.Invalid, Code: "invalid_password_hash", Rule: "password_hash_readable", Err: err,
		Detail: "Give either a password or a hash of Argon2id, bcrypt, scrypt or PBKDF2 as a PHC string, with a cost within the limits.",
	}
}

// hashNew checks and hashes a password that u is to have.
func (s *Service) hashNew(ctx context.Context, password string, u User) (string, error) {
	if err := s.checkPassword(password, u); err != nil {
		return "", err
	}
	return s.Hasher.Hash(ctx, password)
}

// insert adds u within the transaction in ctx.
func (s *Service) insert(ctx context.Context, actor string, u User, hash string) error {
	if err := s.unclaimed(ctx, u); err != nil {
		return err
	}
	if err := s.Store.InsertUser(ctx, u); err != nil {
		return emailTaken(err)
	}
	if hash != "" {
		if err := s.Store.SetPassword(ctx, u.ID, hash); err != nil {
			return err
		}
	}
	return s.Trail.Record(ctx, audit.Event{
		Kind: audit.UserCreated, Actor: actor, Subject: u.ID,
		Detail: map[string]string{"roles": strings.Join(u.Roles, " ")},
	})
}

// unclaimed refuses an address that another user has in a spelling of old, which the
// store could not tell.
func (s *Service) unclaimed(ctx context.Context, u User) error {
	if OldSpelling(u.Email) == u.Email {
		return nil
	}
	have, err := s.Store.UserByEmail(ctx, u.Email)
	switch {
	case fault.Is(err, fault.NotFound), err == nil && have.ID == u.ID:
		return nil
	case err != nil:
		return err
	}
	return emailTaken(&fault.Error{Kind: fault.Conflict, Code: "conflict"})
}

func emailTaken(err error) error {
	if !fault.Is(err, fault.Conflict) {
		return err
	}
	return &fault.Error{
		Kind: fault.Conflict, Code: "email_taken", Rule: "email_unique", Err: err,
		Detail: "Another user has this email address.",
	}
}

// UpdateUser replaces the email address, whether it is verified, the roles and the
// profile of the user u.ID, and returns the user as they are then. Status is for
// Lock and Unlock, and the times are the program's: of u they are ignored.
// Faults: NotFound, Invalid as for CreateUser, Conflict ("email_taken",
// "last_administrator").
func (s *Service) UpdateUser(ctx context.Context, actor string, u User) (User, error) {
	var err error
	if u.Email, err = NormalizeEmail(u.Email); err != nil {
		return User{}, err
	}
	if u.Roles, err = checkRoles(u.Roles); err != nil {
		return User{}, err
	}
	if err := checkProfile(u.Profile); err != nil {
		return User{}, err
	}
	err = s.keepAdministrator(ctx, func(ctx context.Context, lose func(User) error) error {
		old, err := s.User(ctx, u.ID)
		if err != nil {
			return err
		}
		if !slices.Contains(u.Roles, RoleAdmin) {
			if err := lose(old); err != nil {
				return err
			}
		}
		u.Status, u.CreatedAt, u.LastLoginAt = old.Status, old.CreatedAt, old.LastLoginAt
		u.UpdatedAt = s.Now().UTC().Truncate(time.Microsecond)
		if err := s.unclaimed(ctx, u); err != nil {
			return err
		}
		if err := s.Store.UpdateUser(ctx, u); err != nil {
			return emailTaken(err)
		}
		return s.Trail.Record(ctx, audit.Event{Kind: audit.UserUpdated, Actor: actor, Subject: u.ID, Detail: changes(old, u)})
	})
	if err != nil {
		return User{}, fmt.Errorf("update user %s: %w", u.ID, err)
	}
	return u, nil
}

// changes tells the trail which parts of a user differ, what they were and what they
// are: of the profile each claim.
func changes(a, b User) map[string]string {
	detail := map[string]string{"roles": strings.Join(b.Roles, " ")}
	var names []string
	differ := func(part, name, was, now string) {
		if was == now {
			return
		}
		if !slices.Contains(names, part) {
			names = append(names, part)
		}
		audit.Changed(detail, name, was, now)
	}
	differ("email", "email", a.Email, b.Email)
	differ("email_verified", "email_verified", strconv.FormatBool(a.EmailVerified), strconv.FormatBool(b.EmailVerified))
	differ("roles", "roles", strings.Join(a.Roles, " "), strings.Join(b.Roles, " "))
	was, now := a.Profile.members(), b.Profile.members()
	for _, name := range slices.Sorted(maps.Keys(was)) {
		differ("profile", "profile."+name, was[name], now[name])
	}
	detail["changed"] = strings.Join(names, " ")
	return detail
}

// members returns every claim of p as text, "" for one that is not known.
func (p Profile) members() map[string]string {
	out := map[string]string{}
	v := reflect.ValueOf(p)
	for i := range v.NumField() {
		name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
		out[name] = ""
		switch f := v.Field(i); {
		case f.IsZero():
		case f.Kind() == reflect.Pointer:
			text, _ := json.Marshal(f.Interface()) // an address: strings always marshal
			out[name] = string(text)
		default:
			out[name] = fmt.Sprint(f.Interface())
		}
	}
	return out
}

// DeleteUser removes a user with their password and sessions; their id is never
// given to another. Faults: NotFound, Conflict ("last_administrator").
func (s *Service) DeleteUser(ctx context.Context, actor, userID string) error {
	err := s.keepAdministrator(ctx, func(ctx context.Context, lose func(User) error) error {
		u, err := s.User(ctx, userID)
		if err != nil {
			return err
		}
		if err := lose(u); err != nil {
			return err
		}
		ended, err := s.Store.EndSessions(ctx, userID)
		if err != nil {
			return err
		}
		if err := s.Store.DeleteUser(ctx, userID); err != nil {
			return err
		}
		return s.Trail.Record(ctx, audit.Event{Kind: audit.UserDeleted, Actor: actor, Subject: userID, Sessions: ended})
	})
	if err != nil {
		return fmt.Errorf("delete user %s: %w", userID, err)
	}
	return nil
}

// Lock stops a user from signing in, ends every session and revokes every grant,
// as one change: whoever holds a token of theirs does not get it back with Unlock.
// A locked user stays as they are, but for grants that are left. Faults: NotFound,
// Conflict ("last_administrator").
func (s *Service) Lock(ctx context.Context, actor, userID, reason string) error {
	detail := map[string]string{}
	if reason != "" {
		detail["reason"] = reason
	}
	err := s.keepAdministrator(ctx, func(ctx context.Context, lose func(User) error) error {
		u, err := s.User(ctx, userID)
		if err != nil {
			return err
		}
		if u.Status != Locked {
			if err := lose(u); err != nil {
				return err
			}
		}
		revoked, err := s.Store.RevokeGrants(ctx, userID, "")
		if err != nil {
			return err
		}
		if len(revoked) > 0 {
			detail["grants"] = strconv.Itoa(len(revoked))
		}
		return s.lock(ctx, actor, userID, detail)
	})
	if err != nil {
		return fmt.Errorf("lock user %s: %w", userID, err)
	}
	return nil
}

// lock locks within the transaction in ctx. It leaves the grants: tokens are dead
// while the user is locked, and nobody can take them away for good by mistyping a
// password often enough. It records a lock, or that one took grants after all.
func (s *Service) lock(ctx context.Context, actor, userID string, detail map[string]string) error {
	u, err := s.User(ctx, userID)
	if err != nil || u.Status == Locked && detail["grants"] == "" {
		return err
	}
	u.Status, u.UpdatedAt = Locked, s.Now().UTC().Truncate(time.Microsecond)
	if err := s.Store.UpdateUser(ctx, u); err != nil {
		return err
	}
	ended, err := s.Store.EndSessions(ctx, userID)
	if err != nil {
		return err
	}
	return s.Trail.Record(ctx, audit.Event{Kind: audit.UserLocked, Actor: actor, Subject: userID, Sessions: ended, Detail: detail})
}

// Unlock lets a user sign in again. Their misses stay counted, and so the delays,
// until they sign in or get a new password.
func (s *Service) Unlock(ctx context.Context, actor, userID string) error {
	err := s.Store.InTx(ctx, func(ctx context.Context) error {
		u, err := s.User(ctx, userID)
		if err != nil || u.Status == Active {
			return err
		}
		u.Status, u.UpdatedAt = Active, s.Now().UTC().Truncate(time.Microsecond)
		if err := s.Store.UpdateUser(ctx, u); err != nil {
			return err
		}
		return s.Trail.Record(ctx, audit.Event{Kind: audit.UserUnlocked, Actor: actor, Subject: userID})
	})
	if err != nil {
		return fmt.Errorf("unlock user %s: %w", userID, err)
	}
	return nil
}

// SetPassword replaces a password and ends every session of the user but those in
// keep. With none to keep it is a reset: somebody else may have had the account,
// so every grant goes too. What somebody else chose is to be changed at the next
// sign-in. Faults: NotFound, Invalid ("weak_password"), Unavailable.
func (s *Service) SetPassword(ctx context.Context, actor, userID, password string, keep ...string) error {
	u, err := s.User(ctx, userID)
	if err != nil {
		return err
	}
	hash, err := s.hashNew(ctx, password, u)
	if err != nil {
		return err
	}
	err = s.Store.InTx(ctx, func(ctx context.Context) error {
		if err := s.Store.SetPassword(ctx, userID, hash); err != nil {
			return err
		}
		ended, err := s.endOthers(ctx, userID, keep)
		if err != nil {
			return err
		}
		e := audit.Event{Kind: audit.PasswordChanged, Actor: actor, Subject: userID, Sessions: ended, Detail: map[string]string{}}
		if actor != Actor(userID) {
			e.Detail["must_change"] = "true"
			if err := s.Store.MustChangePassword(ctx, userID); err != nil {
				return err
			}
		}
		if len(keep) == 0 {
			revoked, err := s.Store.RevokeGrants(ctx, userID, "")
			if err != nil {
				return err
			}
			e.Detail["grants"] = strconv.Itoa(len(revoked))
		}
		return s.Trail.Record(ctx, e)
	})
	if err != nil {
		return fmt.Errorf("set password of user %s: %w", userID, err)
	}
	return nil
}

// endOthers ends the sessions of a user that are not in keep.
func (s *Service) endOthers(ctx context.Context, userID string, keep []string) ([]string, error) {
	if len(keep) == 0 {
		return s.Store.EndSessions(ctx, userID)
	}
	live, err := s.Store.Sessions(ctx, userID)
	if err != nil {
		return nil, err
	}
	var others []string
	for _, l := range live {
		if !slices.Contains(keep, l.ID) {
			others = append(others, l.ID)
		}
	}
	if len(others) == 0 {
		return nil, nil // none named would mean all
	}
	return s.Store.EndSessions(ctx, userID, others...)
}
