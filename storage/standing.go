package storage

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/gatekeeper-oidc/gatekeeper/audit"
	"github.com/gatekeeper-oidc/gatekeeper/oauth2"
)

// standingColumns are what liveness depends on, of tables that may have no row.
// A session that is not there has ended; a grant past its end is as good as
// revoked.
const standingColumns = `g.id IS NOT NULL, coalesce(g.revoked_at <> 0 OR g.expires_at <= {now}, FALSE), s.id IS NULL, coalesce(g.client_id, ''), coalesce(g.data, ''), u.id IS NOT NULL, ` + outerUserColumns

var (
	queryStanding = both(`SELECT ` + standingColumns + `, t.jti IS NOT NULL FROM (SELECT 1) AS one
		LEFT JOIN grants g ON g.id = $1
		LEFT JOIN sessions s ON s.id = $2 AND ` + liveSession + `
		LEFT JOIN users u ON u.id = $3
		LEFT JOIN revoked_tokens t ON t.jti = $4`)

	queryGrantWithStanding = both(`SELECT ` + grantColumns + `, coalesce(r.generation, 0), coalesce(r.rotated_at, 0), ` + standingColumns + ` FROM grants g
		LEFT JOIN refresh r ON r.grant_id = g.id
		LEFT JOIN sessions s ON s.id = g.session_id AND ` + liveSession + `
		LEFT JOIN users u ON u.id = g.subject
		WHERE g.id = $1`)

	changeRevokeToken = newChange(2, `INSERT INTO revoked_tokens (jti, expires_at) VALUES ($1, $2) ON CONFLICT (jti) DO NOTHING RETURNING jti`)

	// An entry that has expired, and waits to be cleaned away, no longer counts.
	queryUseAssertion = both(`INSERT INTO assertions (client_id, jti, expires_at, used_by) VALUES ($1, $2, $3, $4)
		ON CONFLICT (client_id, jti) DO UPDATE SET expires_at = excluded.expires_at, used_by = excluded.used_by
		WHERE assertions.expires_at <= {now} OR assertions.used_by = excluded.used_by RETURNING jti`)
	queryUsedAssertion = both(`SELECT jti FROM assertions WHERE client_id = $1 AND jti = $2 AND expires_at > {now}`)

	queryKeepServerSecret    = both(`INSERT INTO server_secrets (name, sealed) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING`)
	queryReplaceServerSecret = both(`UPDATE server_secrets SET sealed = $3 WHERE name = $1 AND sealed = $2`)
	queryServerSecret        = both(`SELECT sealed FROM server_secrets WHERE name = $1`)
)

type standingRow struct {
	s    oauth2.Standing
	data string // of the grant
	user userRow
}

func (r *standingRow) dest() []any {
	return append([]any{&r.s.GrantFound, &r.s.GrantRevoked, &r.s.SessionEnded, &r.s.Client, &r.data, &r.s.UserFound}, r.user.dest()...)
}

// standing is what the row says about a token that names session, or none.
func (r *standingRow) standing(session string) (oauth2.Standing, error) {
	s := r.s
	s.SessionEnded = s.SessionEnded && session != ""
	if r.data != "" {
		var data grantData
		if err := json.Unmarshal([]byte(r.data), &data); err != nil {
			return s, fmt.Errorf("decode the data of a grant: %w", err)
		}
		s.Claims, s.Registration = data.Claims, data.Registration
	}
	if !s.UserFound {
		return s, nil
	}
	var err error
	s.User, err = r.user.user()
	return s, err
}

// Standing implements oauth2.Store.
func (d *DB) Standing(ctx context.Context, q oauth2.StandingQuery) (oauth2.Standing, error) {
	var r standingRow
	if err := d.one(ctx, queryStanding, []any{q.Grant, q.Session, q.Subject, q.JTI}, append(r.dest(), &r.s.TokenRevoked)...); err != nil {
		return oauth2.Standing{}, err
	}
	return r.standing(q.Session)
}

// GrantWithStanding implements oauth2.Store.
func (d *DB) GrantWithStanding(ctx context.Context, id string) (oauth2.Grant, oauth2.RefreshState, oauth2.Standing, error) {
	var g grantRow
	var r refreshRow
	var s standingRow
	dest := append(append(g.dest(), r.dest()...), s.dest()...)
	if err := d.one(ctx, queryGrantWithStanding, []any{id}, dest...); err != nil {
		return oauth2.Grant{}, oauth2.RefreshState{}, oauth2.Standing{}, missing(err, "grant", id)
	}
	grant, err := g.grant()
	if err != nil {
		return oauth2.Grant{}, oauth2.RefreshState{}, oauth2.Standing{}, err
	}
	standing, err := s.standing(grant.Session)
	return grant, r.state(grant.ExpiresAt), standing, err
}

// RevokeToken implements oauth2.Store. Revoking twice records one event.
func (d *DB) RevokeToken(ctx context.Context, jti string, expiresAt time.Time, e audit.Event) error {
	done, err := d.apply(ctx, changeRevokeToken, act{args: []any{jti, micros(expiresAt)}, event: e})
	if done {
		d.changed(ctx, "token:"+jti)
	}
	return err
}

// UsedAssertion implements oauth2.Store.
func (d *DB) UsedAssertion(ctx context.Context, clientID, jti string) (bool, error) {
	return d.found(ctx, queryUsedAssertion, clientID, jti)
}

// ServerSecret implements oauth2.Store.
func (d *DB) ServerSecret(ctx context.Context, name string, fresh []byte) ([]byte, error) {
	if _, err := d.exec(ctx, queryKeepServerSecret, name, fresh); err != nil {
		return nil, err
	}
	var sealed []byte
	err := d.one(ctx, queryServerSecret, []any{name}, &sealed)
	return sealed, err
}

// ReplaceServerSecret implements oauth2.Store.
func (d *DB) ReplaceServerSecret(ctx context.Context, name string, old, sealed []byte) error {
	_, err := d.exec(ctx, queryReplaceServerSecret, name, old, sealed)
	return err
}

// UseAssertion implements oauth2.Store (RFC 7523 section 3): of racing callers one
// gets true.
func (d *DB) UseAssertion(ctx context.Context, clientID, jti string, expiresAt time.Time) (bool, error) {
	by, err := newID()
	if err != nil {
		return false, err
	}
	return d.once(ctx, queryUseAssertion, clientID, jti, micros(expiresAt), by)
}
