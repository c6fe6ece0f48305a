package storage

import (
	"context"
	"strings"
	"time"

	"github.com/gatekeeper-oidc/gatekeeper/audit"
	"github.com/gatekeeper-oidc/gatekeeper/oauth2"
)

const (
	logoutColumns = `session_id, client_id, user_id, ended_at, {now} - ended_at, attempts`
	claimLogout   = `due_at = {now} + CAST($1 AS BIGINT), attempts = attempts + 1, held = 1`

	// rankedLogouts are the due rows of a query, each with its turn among those of its
	// application: in the order of the turns nobody's many rows keep out another's one.
	rankedLogouts = `SELECT l.session_id AS sid, l.client_id AS cid, l.due_at AS due,
			row_number() OVER (PARTITION BY l.client_id ORDER BY l.due_at, l.session_id) AS turn
		FROM logouts l WHERE l.due_at <= {now} AND NOT l.client_id {set} AND ($4 = 0 OR $4 =
			CASE WHEN EXISTS (SELECT 1 FROM registrations r WHERE r.client_id = l.client_id) THEN 2 ELSE 1 END)`
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
		`WITH ranked AS (`+strings.ReplaceAll(strings.ReplaceAll(rankedLogouts, "{set}", "= ANY($3::text[])"), "$4", "CAST($4 AS INTEGER)")+`),
		due AS MATERIALIZED (SELECT o.session_id AS sid, o.client_id AS cid FROM ranked JOIN logouts o ON o.session_id = sid AND o.client_id = cid
			WHERE turn <= CAST($5 AS BIGINT) AND o.due_at <= {now} ORDER BY turn, due LIMIT $2 FOR UPDATE OF o SKIP LOCKED)
		UPDATE logouts SET `+claimLogout+` FROM due WHERE session_id = sid AND client_id = cid RETURNING `+logoutColumns,
		`UPDATE logouts SET `+claimLogout+` WHERE (session_id, client_id) IN (SELECT sid, cid FROM
			(`+strings.ReplaceAll(rankedLogouts, "{set}", "IN (SELECT value FROM json_each($3))")+`) WHERE turn <= $5 ORDER BY turn, due LIMIT $2) RETURNING `+logoutColumns)
	queryWakeLogouts    = both(`UPDATE logouts SET due_at = {now} WHERE client_id = $1 AND held = 0 AND attempts > 0 AND due_at > {now}`)
	queryClaimLogoutsOf = each(
		`WITH due AS MATERIALIZED (SELECT session_id AS sid, client_id AS cid FROM logouts WHERE session_id = $3 AND attempts = 0 ORDER BY client_id LIMIT $2
			FOR UPDATE SKIP LOCKED)
		UPDATE logouts SET `+claimLogout+` FROM due WHERE session_id = sid AND client_id = cid RETURNING `+logoutColumns,
		`UPDATE logouts SET `+claimLogout+` WHERE (session_id, client_id) IN
			(SELECT session_id, client_id FROM logouts WHERE session_id = $3 AND attempts = 0 ORDER BY client_id LIMIT $2) RETURNING `+logoutColumns)

	changeSettleLogout  = newChange(3, `DELETE FROM logouts WHERE session_id = $1 AND client_id = $2 AND attempts = $3 RETURNING client_id`)
	queryDropLogout     = both(`DELETE FROM logouts WHERE session_id = $1 AND client_id = $2 AND attempts = $3`)
	queryPostponeLogout = both(`UPDATE logouts SET due_at = {now} + CAST($4 AS BIGINT), held = 0 WHERE session_id = $1 AND client_id = $2 AND attempts = $3`)
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
func (d *DB) ClaimLogouts(ctx context.Context, lease time.Duration, q oauth2.LogoutQuery) ([]oauth2.Logout, error) {
	turns := q.PerClient
	if turns <= 0 {
		turns = maxPage
	}
	return d.logouts(ctx, queryClaimLogouts, lease.Microseconds(), pageSize(q.Limit), d.dialect.set(append([]string{}, q.Except...)), int(q.Of), turns)
}

// WakeLogouts implements oauth2.LogoutStore.
func (d *DB) WakeLogouts(ctx context.Context, clientID string) (int64, error) {
	return d.exec(ctx, queryWakeLogouts, clientID)
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
