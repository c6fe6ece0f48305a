package storage

import (
	"context"
	"time"

	"github.com/gatekeeper-oidc/gatekeeper/audit"
	"github.com/gatekeeper-oidc/gatekeeper/oauth2"
)

const (
	logoutColumns = `session_id, client_id, user_id, ended_at, {now} - ended_at, attempts`
	claimLogout   = `due_at = {now} + CAST($1 AS BIGINT), attempts = attempts + 1`
)

// A session that an application reaches while it ends is in one of two orders:
//
//	reached, then ended   EndSessions waits for the share of the session's row and sees the application
//	ended, then reached   the share finds no live session, and the application is told at once
//
// On SQLite there is one writer, so the orders are all there is.
const (
	cteShare = `s AS (SELECT s.id FROM sessions s WHERE s.id = $4 AND ` + liveSession + ` FOR SHARE)`
	cteReach = `r AS (INSERT INTO session_clients (session_id, client_id, reached_at) SELECT s.id, $2, {now} FROM s, c ON CONFLICT (session_id, client_id) DO NOTHING)`
	cteLate  = `l AS (INSERT INTO logouts (session_id, client_id, user_id, ended_at, due_at, attempts)
		SELECT $4, $2, $3, {now}, {now}, 0 FROM c WHERE NOT EXISTS (SELECT 1 FROM s) ON CONFLICT (session_id, client_id) DO NOTHING)`
)

var (
	queryReach = both(`INSERT INTO session_clients (session_id, client_id, reached_at)
		SELECT s.id, $2, {now} FROM sessions s WHERE s.id = $1 AND ` + liveSession + ` ON CONFLICT (session_id, client_id) DO NOTHING`)
	queryLate = both(`INSERT INTO logouts (session_id, client_id, user_id, ended_at, due_at, attempts)
		SELECT $1, $2, $3, {now}, {now}, 0 WHERE NOT EXISTS (SELECT 1 FROM sessions s WHERE s.id = $1 AND ` + liveSession + `)
		ON CONFLICT (session_id, client_id) DO NOTHING`)

	queryTell = inSet(`INSERT INTO logouts (session_id, client_id, user_id, ended_at, due_at, attempts)
		SELECT c.session_id, c.client_id, s.user_id, {now}, {now}, 0 FROM session_clients c JOIN sessions s ON s.id = c.session_id
		WHERE c.session_id {set} ON CONFLICT (session_id, client_id) DO NOTHING`)

	querySessionClients = inSet(`SELECT session_id, client_id FROM session_clients WHERE session_id {set} ORDER BY session_id, client_id`)

	queryClaimLogouts = each(
		`WITH due AS MATERIALIZED (SELECT session_id AS sid, client_id AS cid FROM logouts WHERE due_at <= {now} ORDER BY due_at LIMIT $2 FOR UPDATE SKIP LOCKED)
		UPDATE logouts SET `+claimLogout+` FROM due WHERE session_id = sid AND client_id = cid RETURNING `+logoutColumns,
		`UPDATE logouts SET `+claimLogout+` WHERE (session_id, client_id) IN
			(SELECT session_id, client_id FROM logouts WHERE due_at <= {now} ORDER BY due_at LIMIT $2) RETURNING `+logoutColumns)
	queryClaimLogoutsOf = each(
		`WITH due AS MATERIALIZED (SELECT session_id AS sid, client_id AS cid FROM logouts WHERE session_id = $3 AND attempts = 0 ORDER BY client_id LIMIT $2
			FOR UPDATE SKIP LOCKED)
		UPDATE logouts SET `+claimLogout+` FROM due WHERE session_id = sid AND client_id = cid RETURNING `+logoutColumns,
		`UPDATE logouts SET `+claimLogout+` WHERE (session_id, client_id) IN
			(SELECT session_id, client_id FROM logouts WHERE session_id = $3 AND attempts = 0 ORDER BY client_id LIMIT $2) RETURNING `+logoutColumns)

	changeSettleLogout  = newChange(3, `DELETE FROM logouts WHERE session_id = $1 AND client_id = $2 AND attempts = $3 RETURNING client_id`)
	queryDropLogout     = both(`DELETE FROM logouts WHERE session_id = $1 AND client_id = $2 AND attempts = $3`)
	queryPostponeLogout = both(`UPDATE logouts SET due_at = {now} + CAST($4 AS BIGINT) WHERE session_id = $1 AND client_id = $2 AND attempts = $3`)
)

// tell puts a row into the outbox for each application that sessions reached.
func (d *DB) tell(ctx context.Context, sessions []string) error {
	_, err := d.exec(ctx, queryTell, d.dialect.set(sessions))
	return err
}

// SessionClients implements oauth2.LogoutStore.
func (d *DB) SessionClients(ctx context.Context, sessions ...string) (map[string][]string, error) {
	reached := map[string][]string{}
	if len(sessions) == 0 {
		return reached, nil
	}
	err := d.all(ctx, querySessionClients, []any{d.dialect.set(sessions)}, func(row row) error {
		var session, client string
		if err := row.Scan(&session, &client); err != nil {
			return err
		}
		reached[session] = append(reached[session], client)
		return nil
	})
	return reached, err
}

// ClaimLogouts implements oauth2.LogoutStore.
func (d *DB) ClaimLogouts(ctx context.Context, lease time.Duration, limit int) ([]oauth2.Logout, error) {
	return d.logouts(ctx, queryClaimLogouts, lease.Microseconds(), pageSize(limit))
}

// ClaimLogoutsOf implements oauth2.LogoutStore.
func (d *DB) ClaimLogoutsOf(ctx context.Context, session string, lease time.Duration, limit int) ([]oauth2.Logout, error) {
	return d.logouts(ctx, queryClaimLogoutsOf, lease.Microseconds(), pageSize(limit), session)
}

func (d *DB) logouts(ctx context.Context, q query, args ...any) (claimed []oauth2.Logout, err error) {
	err = d.all(ctx, q, args, func(row row) error {
		var l oauth2.Logout
		var ended, age int64
		if err := row.Scan(&l.Session, &l.ClientID, &l.UserID, &ended, &age, &l.Attempt); err != nil {
			return err
		}
		l.EndedAt, l.Age = instant(ended), time.Duration(age)*time.Microsecond
		claimed = append(claimed, l)
		return nil
	})
	return claimed, err
}

// SettleLogout implements oauth2.LogoutStore.
func (d *DB) SettleLogout(ctx context.Context, l oauth2.Logout, e audit.Event) (bool, error) {
	return d.apply(ctx, changeSettleLogout, act{args: []any{l.Session, l.ClientID, l.Attempt}, event: e})
}

// DropLogout implements oauth2.LogoutStore.
func (d *DB) DropLogout(ctx context.Context, l oauth2.Logout) error {
	_, err := d.exec(ctx, queryDropLogout, l.Session, l.ClientID, l.Attempt)
	return err
}

// PostponeLogout implements oauth2.LogoutStore.
func (d *DB) PostponeLogout(ctx context.Context, l oauth2.Logout, by time.Duration) error {
	_, err := d.exec(ctx, queryPostponeLogout, l.Session, l.ClientID, l.Attempt, by.Microseconds())
	return err
}
