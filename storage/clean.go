package storage

import (
	"context"
	"fmt"
	"time"

	"github.com/gatekeeper-oidc/gatekeeper/identity"
)

// How long what is over stays, for those who want to know why and for clocks that
// do not agree.
const (
	keepToken   = time.Hour
	keepGrant   = 24 * time.Hour // longer than any code lives: its row is what refuses a second redemption
	keepSession = 7 * 24 * time.Hour
	keepKey     = 7 * 24 * time.Hour
	keepInitial = 7 * 24 * time.Hour
)

// A sweep deletes up to $2 rows that were over at $1. Rows another node is
// deleting are left to it.
type sweep struct {
	what string
	keep time.Duration
	q    query
}

func sweepOf(what string, keep time.Duration, key, over string) sweep {
	return sweep{what, keep, each(
		// An array is made once, whatever the plan; a subquery could be asked again and break the limit.
		fmt.Sprintf("DELETE FROM %s WHERE ctid = ANY(ARRAY(SELECT ctid FROM %s WHERE %s LIMIT $2 FOR UPDATE SKIP LOCKED))", what, what, over),
		fmt.Sprintf("DELETE FROM %s WHERE (%s) IN (SELECT %s FROM %s WHERE %s LIMIT $2)", what, key, key, what, over))}
}

var (
	sweeps = []sweep{
		sweepOf("interactions", 0, "id", "expires_at <= $1"),
		sweepOf("setup_tokens", 0, "id", "expires_at <= $1"),
		sweepOf("revoked_tokens", keepToken, "jti", "expires_at <= $1"),
		sweepOf("assertions", keepToken, "client_id, jti", "expires_at <= $1"),
		sweepOf("initial_tokens", keepInitial, "id", "expires_at <= $1"),
		sweepOf("device_codes", keepToken, "id", "expires_at <= $1"),
		sweepOf("sessions", keepSession, "id", "expires_at <= $1"),
		sweepOf("sessions", keepSession, "id", "ended_at <> 0 AND ended_at <= $1"),
		sweepOf("login_misses", identity.MissMemory, "counter", "last_failure_at <= $1"), // from when it would begin again
		sweepOf("signing_keys", keepKey, "id", "remove_at <= $1"),
		sweepOf("signing_keys", keepKey, "id", "revoked_at <> 0 AND revoked_at <= $1"),
	}
	queryOverGrants   = both(`SELECT id FROM grants WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2`)
	queryCleanRefresh = inSet(`DELETE FROM refresh WHERE grant_id {set}`)
	queryCleanGrants  = inSet(`DELETE FROM grants WHERE id {set}`)
)

// Clean removes what has been over for long enough, by the database's clock: at
// most limit rows of each kind, each kind in a short transaction of its own. It
// returns how many; call again until that is 0. The trail is not touched.
func (d *DB) Clean(ctx context.Context, limit int) (deleted int, err error) {
	now, err := d.Now(ctx)
	if err != nil {
		return 0, err
	}
	limit = pageSize(limit)
	for _, s := range sweeps {
		n, err := d.exec(ctx, s.q, micros(now.Add(-s.keep)), limit)
		if err != nil {
			return deleted, fmt.Errorf("clean %s: %w", s.what, err)
		}
		deleted += int(n)
	}
	n, err := d.cleanGrants(ctx, now.Add(-keepGrant), limit)
	return deleted + n, err
}

// cleanGrants removes both halves of grants together.
func (d *DB) cleanGrants(ctx context.Context, before time.Time, limit int) (int, error) {
	ids, err := d.ids(ctx, queryOverGrants, micros(before), limit)
	if err != nil || len(ids) == 0 {
		return 0, err
	}
	err = d.InTx(ctx, func(ctx context.Context) error {
		if _, err := d.exec(ctx, queryCleanRefresh, d.dialect.set(ids)); err != nil {
			return err
		}
		_, err := d.exec(ctx, queryCleanGrants, d.dialect.set(ids))
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("clean grants: %w", err)
	}
	return len(ids), nil
}
