package storage

import (
	"context"

	"github.com/gatekeeper-oidc/gatekeeper/identity"
	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
)

const (
	sessionColumns = `s.id, s.token_hash, s.user_id, s.amr, s.acr, s.auth_time, s.created_at, s.last_seen_at, s.expires_at, s.ended_at, s.address, s.user_agent`
	liveSession    = `s.ended_at = 0 AND s.expires_at > {now}`
	maxSessions    = `1000`
)

var (
	// An ended session cannot be put back: whoever ended it has the last word.
	queryPutSession = both(`INSERT INTO sessions (id, token_hash, user_id, amr, acr, auth_time, created_at, last_seen_at, expires_at, ended_at, address, user_agent)
		VALUES ($1, $2, $3, $4, $5, coalesce(nullif(CAST($6 AS BIGINT), 0), {now} / 1000000 * 1000000), coalesce(nullif(CAST($7 AS BIGINT), 0), {now}),
			coalesce(nullif(CAST($8 AS BIGINT), 0), {now}), $9, $10, $11, $12)
		ON CONFLICT (id) DO UPDATE SET token_hash = excluded.token_hash, amr = excluded.amr, acr = excluded.acr, auth_time = excluded.auth_time,
			last_seen_at = excluded.last_seen_at, expires_at = excluded.expires_at, ended_at = excluded.ended_at, address = excluded.address, user_agent = excluded.user_agent
		WHERE sessions.ended_at = 0 AND sessions.user_id = excluded.user_id RETURNING id`)
	querySessionByToken = both(`SELECT ` + sessionColumns + `, ` + userColumns + ` FROM sessions s JOIN users u ON u.id = s.user_id
		WHERE s.token_hash = $1 AND ` + liveSession)
	queryTouchSession = both(`UPDATE sessions SET last_seen_at = {now} WHERE id = $1 AND ended_at = 0`)
	querySessionsOf   = both(`SELECT ` + sessionColumns + ` FROM sessions s WHERE s.user_id = $1 AND ` + liveSession + ` ORDER BY s.created_at DESC, s.id DESC LIMIT ` + maxSessions)
	querySessions     = both(`SELECT ` + sessionColumns + ` FROM sessions s WHERE ` + liveSession + ` ORDER BY s.created_at DESC, s.id DESC LIMIT ` + maxSessions)

	queryEndSessionsOf = both(`UPDATE sessions SET ended_at = {now} WHERE user_id = $1 AND ended_at = 0 AND expires_at > {now} RETURNING id`)
	queryEndSessions   = inSet(`UPDATE sessions SET ended_at = {now} WHERE id {set} AND ($2 = '' OR user_id = $2) AND ended_at = 0 AND expires_at > {now} RETURNING id`)

	queryPutSetup = both(`INSERT INTO setup_tokens (id, hash, expires_at) VALUES (1, $1, {now} + CAST($2 AS BIGINT))
		ON CONFLICT (id) DO UPDATE SET hash = excluded.hash, expires_at = excluded.expires_at`)
	queryConsumeSetup = both(`DELETE FROM setup_tokens WHERE id = 1 AND hash = $1 AND expires_at > {now} RETURNING id`)
	queryPeekSetup    = both(`SELECT id FROM setup_tokens WHERE id = 1 AND hash = $1 AND expires_at > {now}`)
)

type sessionRow struct {
	s                                       identity.Session
	amr                                     string
	authTime, created, seen, expires, ended int64
}

func (r *sessionRow) dest() []any {
	return []any{&r.s.ID, &r.s.TokenHash, &r.s.UserID, &r.amr, &r.s.ACR, &r.authTime, &r.created, &r.seen, &r.expires, &r.ended, &r.s.Address, &r.s.UserAgent}
}

func (r *sessionRow) session() (identity.Session, error) {
	s := r.s
	var err error
	s.AMR, err = unlist(r.amr)
	s.AuthTime, s.CreatedAt, s.LastSeenAt = instant(r.authTime), instant(r.created), instant(r.seen)
	s.ExpiresAt, s.EndedAt = instant(r.expires), instant(r.ended)
	return s, err
}

// PutSession implements identity.Store. The database's clock fills empty times. A
// session that has ended is NotFound: it is never brought back to life.
func (d *DB) PutSession(ctx context.Context, s identity.Session) error {
	if s.EndedAt.IsZero() {
		return d.putSession(ctx, s)
	}
	_, err := d.ending(ctx, func(ctx context.Context) ([]string, error) { return []string{s.ID}, d.putSession(ctx, s) })
	return err
}

func (d *DB) putSession(ctx context.Context, s identity.Session) error {
	var id string
	err := d.one(ctx, queryPutSession, []any{
		s.ID, blob(s.TokenHash), s.UserID, list(s.AMR), s.ACR, micros(s.AuthTime), micros(s.CreatedAt),
		micros(s.LastSeenAt), micros(s.ExpiresAt), micros(s.EndedAt), s.Address, s.UserAgent,
	}, &id)
	if err != nil {
		return orphan(missing(err, "session", s.ID), s.UserID)
	}
	return nil
}

// ending runs end, which says which sessions it ended, and tells the applications
// they reached, in one transaction.
func (d *DB) ending(ctx context.Context, end func(ctx context.Context) ([]string, error)) (ended []string, err error) {
	err = d.InTx(ctx, func(ctx context.Context) error {
		if ended, err = end(ctx); err != nil || len(ended) == 0 {
			return err
		}
		d.changed(ctx, topics("session", ended)...)
		return d.tell(ctx, ended)
	})
	if err != nil {
		return nil, err
	}
	return ended, nil
}

// SessionByToken implements identity.Store.
func (d *DB) SessionByToken(ctx context.Context, tokenHash []byte) (identity.Session, identity.User, error) {
	var s sessionRow
	var u userRow
	if err := d.one(ctx, querySessionByToken, []any{blob(tokenHash)}, append(s.dest(), u.dest()...)...); err != nil {
		if isNone(err) {
			err = &fault.Error{Kind: fault.NotFound, Code: "session_not_found", Detail: "There is no such session."}
		}
		return identity.Session{}, identity.User{}, err
	}
	session, err := s.session()
	if err != nil {
		return identity.Session{}, identity.User{}, err
	}
	user, err := u.user()
	return session, user, err
}

// TouchSession implements identity.Store.
func (d *DB) TouchSession(ctx context.Context, id string) error {
	_, err := d.exec(ctx, queryTouchSession, id)
	return err
}

// Sessions implements identity.Store.
func (d *DB) Sessions(ctx context.Context, userID string) (sessions []identity.Session, err error) {
	q, args := querySessionsOf, []any{userID}
	if userID == "" {
		q, args = querySessions, nil
	}
	err = d.all(ctx, q, args, func(row row) error {
		var r sessionRow
		if err := row.Scan(r.dest()...); err != nil {
			return err
		}
		s, err := r.session()
		sessions = append(sessions, s)
		return err
	})
	return sessions, err
}

// EndSessions implements identity.Store. With both a user and ids it ends only
// that user's.
func (d *DB) EndSessions(ctx context.Context, userID string, ids ...string) (ended []string, err error) {
	if len(ids) == 0 && userID == "" {
		return nil, nil
	}
	return d.ending(ctx, func(ctx context.Context) ([]string, error) {
		if len(ids) > 0 {
			return d.ids(ctx, queryEndSessions, d.dialect.set(ids), userID)
		}
		return d.ids(ctx, queryEndSessionsOf, userID)
	})
}
