package storage

import (
	"context"
	"strings"

	"github.com/gatekeeper-oidc/gatekeeper/audit"
	"github.com/gatekeeper-oidc/gatekeeper/oauth2"
)

// registrationOf is the identity of a registration, of clients as k. A row that an
// older release made has none of its own: when it was made tells it apart.
const registrationOf = `coalesce(nullif(k.registration, ''), CAST(k.created_at AS TEXT))`

// A grant is written on what the same statement reads: the client as it was decided
// by, the person, their session, their consent. On Postgres the rows are held until
// the commit, so that whoever takes one of them away waits and then finds the grant;
// on SQLite there is one writer. Of $10 nothing is asked if it is 0, of a consent
// ($12) if it is false.
const insertGrant = `INSERT INTO grants (id, client_id, subject, session_id, offline, secret_hash, data, created_at, expires_at, revoked_at)
	SELECT CAST($1 AS TEXT), CAST($2 AS TEXT), CAST($3 AS TEXT), CAST($4 AS TEXT), CAST($5 AS BOOLEAN), CAST($6 AS {bytes}), CAST($7 AS TEXT),
		coalesce(nullif(CAST($8 AS BIGINT), 0), {now}), CAST($9 AS BIGINT), 0
	WHERE CAST($10 AS BIGINT) = 0 OR (
		EXISTS (SELECT 1 FROM clients k WHERE k.id = $2 AND k.updated_at = CAST($10 AS BIGINT) AND ` + registrationOf + ` = CAST($11 AS TEXT))
		AND EXISTS (SELECT 1 FROM users u WHERE u.id = $3 AND u.status = 'active'{share})
		AND ($4 = '' OR EXISTS (SELECT 1 FROM sessions s WHERE s.id = $4 AND s.user_id = $3 AND ` + liveSession + `{share}))
		AND (NOT CAST($12 AS BOOLEAN) OR EXISTS (SELECT 1 FROM consents t WHERE t.user_id = $3 AND t.client_id = $2 AND {covers}{share})))
	ON CONFLICT (id) DO NOTHING RETURNING id`

// grantArgs is how many arguments insertGrant has.
const grantArgs = 13

const (
	cteRefresh  = `f AS (INSERT INTO refresh (grant_id, generation, rotated_at) SELECT id, 1, {now} FROM c)`
	liteRefresh = `INSERT INTO refresh (grant_id, generation, rotated_at) VALUES ($1, 1, {now})`
)

var (
	postgresGrant = strings.NewReplacer("{bytes}", "BYTEA", "{share}", " FOR SHARE", "{covers}", "CAST(t.scopes AS jsonb) @> CAST(CAST($13 AS TEXT) AS jsonb)")
	sqliteGrant   = strings.NewReplacer("{bytes}", "BLOB", "{share}", "",
		"{covers}", "NOT EXISTS (SELECT 1 FROM json_each($13) w WHERE w.value NOT IN (SELECT g.value FROM json_each(t.scopes) g))")

	changeRedeem        = newGrantChange("")
	changeRedeemRefresh = newGrantChange(liteRefresh, cteRefresh)
	// The same for an application that wants to hear of the session's end.
	changeRedeemHearing        = newGrantChange("", cteShare, cteReach, cteLate)
	changeRedeemRefreshHearing = newGrantChange(liteRefresh, cteRefresh, cteShare, cteReach, cteLate)

	queryWhyNot = both(`SELECT EXISTS (SELECT 1 FROM grants WHERE id = $1), ` + sameClient("$2", "$3", "$4"))
)

// sameClient is whether a client is still the one that was read: its version and
// its registration.
func sameClient(id, version, registration string) string {
	return `EXISTS (SELECT 1 FROM clients k WHERE k.id = ` + id + ` AND k.updated_at = CAST(` + version + ` AS BIGINT) AND ` +
		registrationOf + ` = CAST(` + registration + ` AS TEXT))`
}

func newGrantChange(liteFollow string, ctes ...string) change {
	c := newChangeWith(grantArgs, postgresGrant.Replace(insertGrant), liteFollow, ctes...)
	c.first = both(sqliteGrant.Replace(insertGrant))
	return c
}

// basisArgs are the arguments that say what g is written on.
func basisArgs(g oauth2.Grant) []any {
	if g.Basis == nil {
		return []any{int64(0), "", false, "[]"}
	}
	return []any{micros(g.Basis.Version), g.Basis.Registration, g.Basis.Consent, list(g.Scopes)}
}

// RedeemGrant implements oauth2.Store: the insert is what makes a code single-use.
func (d *DB) RedeemGrant(ctx context.Context, g oauth2.Grant, withRefresh bool, e audit.Event) (bool, error) {
	data, err := document(dataOf(g))
	if err != nil {
		return false, err
	}
	a := act{
		args:   append([]any{g.ID, g.ClientID, g.Subject, g.Session, g.Offline, blob(g.SecretHash), data, micros(g.CreatedAt), micros(g.ExpiresAt)}, basisArgs(g)...),
		follow: []any{g.ID},
		event:  e,
	}
	done, err := d.redeem(ctx, g, withRefresh, a)
	if done || err != nil || g.Basis == nil {
		return done, err
	}
	taken, err := d.whyNot(ctx, g)
	if !taken || err != nil || g.Basis.Resumes == "" {
		return false, err
	}
	return d.found(ctx, queryRecordedRow, g.Basis.Resumes)
}

func (d *DB) redeem(ctx context.Context, g oauth2.Grant, withRefresh bool, a act) (bool, error) {
	hears := g.Hears && g.Session != ""
	switch {
	case hears && d.dialect == sqlite:
		return d.redeemHearing(ctx, g, withRefresh, a)
	case hears && withRefresh:
		return d.apply(ctx, changeRedeemRefreshHearing, a)
	case hears:
		return d.apply(ctx, changeRedeemHearing, a)
	case withRefresh:
		return d.apply(ctx, changeRedeemRefresh, a)
	default:
		return d.apply(ctx, changeRedeem, a)
	}
}

// whyNot says why a grant was not written.
func (d *DB) whyNot(ctx context.Context, g oauth2.Grant) (taken bool, err error) {
	var same bool
	err = d.one(ctx, queryWhyNot, []any{g.ID, g.ClientID, micros(g.Basis.Version), g.Basis.Registration}, &taken, &same)
	switch {
	case err != nil || taken:
		return taken, err
	case !same:
		return false, oauth2.ErrClientChanged
	default:
		return false, oauth2.ErrBasisGone
	}
}

// redeemHearing is RedeemGrant on SQLite for an application that wants to hear of
// the session's end.
func (d *DB) redeemHearing(ctx context.Context, g oauth2.Grant, withRefresh bool, a act) (done bool, err error) {
	c := changeRedeem
	if withRefresh {
		c = changeRedeemRefresh
	}
	err = d.InTx(ctx, func(ctx context.Context) error {
		if done, err = d.apply(ctx, c, a); err != nil || !done {
			return err
		}
		if _, err := d.exec(ctx, queryReach, g.Session, g.ClientID); err != nil {
			return err
		}
		_, err := d.exec(ctx, queryLate, g.Session, g.ClientID, g.Subject)
		return err
	})
	return done && err == nil, err
}
