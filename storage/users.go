package storage

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/gatekeeper-oidc/gatekeeper/identity"
)

// userColumns belong to the table users as u. The second list is for an outer
// join, where there may be no user.
const (
	userColumns = `u.id, u.email, u.email_verified, u.status, u.roles, u.profile, u.created_at, u.updated_at, u.last_login_at`

	outerUserColumns = `coalesce(u.id, ''), coalesce(u.email, ''), coalesce(u.email_verified, FALSE), coalesce(u.status, ''),
		coalesce(u.roles, '[]'), coalesce(u.profile, '{}'), coalesce(u.created_at, 0), coalesce(u.updated_at, 0), coalesce(u.last_login_at, 0)`
)

var (
	queryInsertUser = both(`INSERT INTO users (id, email, email_verified, status, roles, profile, search, created_at, updated_at, last_login_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, coalesce(nullif(CAST($8 AS BIGINT), 0), {now}), {now}, $9)`)
	queryUpdateUser = both(`UPDATE users SET email = $2, email_verified = $3, status = $4, roles = $5, profile = $6, search = $7, updated_at = {now},
		last_login_at = CASE WHEN $8 > last_login_at THEN $8 ELSE last_login_at END WHERE id = $1 RETURNING id`)
	queryDeleteUser = both(`DELETE FROM users WHERE id = $1 RETURNING id`)
	queryUser       = both(`SELECT ` + userColumns + ` FROM users u WHERE u.id = $1`)
	// Read to be changed, a row is held until the transaction ends: a profile saved
	// beside a lock must not undo it. Foreign keys may still look at it.
	queryHoldUser    = each(`SELECT `+userColumns+` FROM users u WHERE u.id = $1 FOR NO KEY UPDATE`, `SELECT `+userColumns+` FROM users u WHERE u.id = $1`)
	queryUserByEmail = both(`SELECT ` + userColumns + ` FROM users u WHERE u.email IN ($1, $2) ORDER BY u.email = $1 DESC LIMIT 1`)
	queryUsers       = both(`SELECT ` + userColumns + ` FROM users u WHERE u.email > $1 ORDER BY u.email LIMIT $2`)
	queryCountRole   = each(
		`SELECT count(*) FROM users WHERE roles <> '[]' AND roles::jsonb ? $1`,
		`SELECT count(*) FROM users WHERE roles <> '[]' AND EXISTS (SELECT 1 FROM json_each(users.roles) WHERE value = $1)`)
	// In one order, so that two who hold them wait for each other and never for good.
	queryActiveRole = each(
		`SELECT id FROM users WHERE roles <> '[]' AND roles::jsonb ? $1 AND status = 'active' ORDER BY id FOR NO KEY UPDATE`,
		`SELECT id FROM users WHERE roles <> '[]' AND status = 'active' AND EXISTS (SELECT 1 FROM json_each(users.roles) WHERE value = $1) ORDER BY id`)

	// One row for everybody, whoever is there: the work does not tell.
	queryUserForLogin = both(`SELECT ` + outerUserColumns + `, coalesce(p.hash, ''), coalesce(p.failures, 0), coalesce(p.last_failure_at, 0), coalesce(p.changed_at, 0),
		coalesce(p.must_change, FALSE), coalesce(m.failures, 0), coalesce(m.last_failure_at, 0), {now}
		FROM (SELECT 1 AS one) o LEFT JOIN users u ON u.id = (SELECT s.id FROM users s WHERE s.email IN ($1, $3) ORDER BY s.email = $1 DESC LIMIT 1) LEFT JOIN passwords p ON p.user_id = u.id LEFT JOIN login_misses m ON m.counter = $2`)
	querySetPassword = both(`INSERT INTO passwords (user_id, hash, failures, last_failure_at, changed_at, must_change) VALUES ($1, $2, 0, 0, {now}, FALSE)
		ON CONFLICT (user_id) DO UPDATE SET hash = excluded.hash, failures = 0, changed_at = excluded.changed_at, must_change = FALSE`)
	queryMustChange   = both(`UPDATE passwords SET must_change = TRUE WHERE user_id = $1`)
	queryRehash       = both(`UPDATE passwords SET hash = $2 WHERE user_id = $1`)
	queryMissPassword = both(`INSERT INTO passwords (user_id, hash, failures, last_failure_at, changed_at) VALUES ($1, '', 1, {now}, 0)
		ON CONFLICT (user_id) DO UPDATE SET failures = CASE WHEN passwords.last_failure_at < {now} - $2 THEN 1 ELSE passwords.failures + 1 END,
			last_failure_at = excluded.last_failure_at RETURNING failures`)
	queryMissCounter = both(`INSERT INTO login_misses (counter, failures, last_failure_at) VALUES ($1, 1, {now})
		ON CONFLICT (counter) DO UPDATE SET failures = CASE WHEN login_misses.last_failure_at < {now} - $2 THEN 1 ELSE login_misses.failures + 1 END,
			last_failure_at = excluded.last_failure_at RETURNING failures`)
	queryClearCounter  = both(`DELETE FROM login_misses WHERE counter = $1`)
	queryClearFailures = both(`UPDATE passwords SET failures = 0 WHERE user_id = $1 AND failures <> 0`)
	querySignedIn      = both(`UPDATE users SET last_login_at = {now} WHERE id = $1 RETURNING id`)
)

// userRow is a user as it comes out of a row.
type userRow struct {
	u                           identity.User
	roles, profile              string
	created, updated, lastLogin int64
}

func (r *userRow) dest() []any {
	return []any{&r.u.ID, &r.u.Email, &r.u.EmailVerified, &r.u.Status, &r.roles, &r.profile, &r.created, &r.updated, &r.lastLogin}
}

func (r *userRow) user() (identity.User, error) {
	u := r.u
	var err error
	if u.Roles, err = unlist(r.roles); err != nil {
		return identity.User{}, err
	}
	if r.profile != "{}" {
		if err := json.Unmarshal([]byte(r.profile), &u.Profile); err != nil {
			return identity.User{}, fmt.Errorf("decode the profile of user %s: %w", u.ID, err)
		}
	}
	u.CreatedAt, u.UpdatedAt, u.LastLoginAt = instant(r.created), instant(r.updated), instant(r.lastLogin)
	return u, nil
}

// searchable is what a user can be found by, in lower case on both dialects.
func searchable(u identity.User) string {
	p := u.Profile
	return strings.ToLower(strings.Join([]string{u.ID, u.Email, p.Name, p.GivenName, p.FamilyName, p.Nickname, p.PreferredUsername}, "\n"))
}

// InsertUser implements identity.Store. The database's clock fills empty times.
func (d *DB) InsertUser(ctx context.Context, u identity.User) error {
	profile, err := document(u.Profile)
	if err != nil {
		return err
	}
	_, err = d.exec(ctx, queryInsertUser, u.ID, u.Email, u.EmailVerified, string(u.Status), list(u.Roles), profile, searchable(u), micros(u.CreatedAt), micros(u.LastLoginAt))
	return taken(err, "user")
}

// UpdateUser implements identity.Store. UpdatedAt becomes the database's clock,
// and LastLoginAt only moves forward.
func (d *DB) UpdateUser(ctx context.Context, u identity.User) error {
	profile, err := document(u.Profile)
	if err != nil {
		return err
	}
	var id string
	err = d.one(ctx, queryUpdateUser, []any{u.ID, u.Email, u.EmailVerified, string(u.Status), list(u.Roles), profile, searchable(u), micros(u.LastLoginAt)}, &id)
	if err != nil {
		return taken(missing(err, "user", u.ID), "user")
	}
	d.changed(ctx, "user:"+u.ID)
	return nil
}

// DeleteUser implements identity.Store. Password, sessions and consents go with
// the user, and the grants are revoked.
func (d *DB) DeleteUser(ctx context.Context, id string) error {
	return d.InTx(ctx, func(ctx context.Context) error {
		var gone string
		if err := d.one(ctx, queryDeleteUser, []any{id}, &gone); err != nil {
			return missing(err, "user", id)
		}
		d.changed(ctx, "user:"+id)
		_, err := d.RevokeGrants(ctx, id, "")
		return err
	})
}

// User implements identity.Store: inside a transaction it holds the row.
func (d *DB) User(ctx context.Context, id string) (identity.User, error) {
	if d.unit(ctx) != nil {
		return d.findUser(ctx, queryHoldUser, id)
	}
	return d.findUser(ctx, queryUser, id)
}

// UserByEmail implements identity.Store.
func (d *DB) UserByEmail(ctx context.Context, email string) (identity.User, error) {
	return d.findUser(ctx, queryUserByEmail, email, identity.OldSpelling(email))
}

func (d *DB) findUser(ctx context.Context, q query, key string, more ...any) (identity.User, error) {
	var r userRow
	if err := d.one(ctx, q, append([]any{key}, more...), r.dest()...); err != nil {
		return identity.User{}, missing(err, "user", key)
	}
	return r.user()
}

// CountUsersWithRole implements identity.Store.
func (d *DB) CountUsersWithRole(ctx context.Context, role string) (n int, err error) {
	err = d.one(ctx, queryCountRole, []any{role}, &n)
	return n, err
}

// ActiveWithRole implements identity.Store.
func (d *DB) ActiveWithRole(ctx context.Context, role string) ([]string, error) {
	return d.ids(ctx, queryActiveRole, role)
}
