package storage

import (
	"context"
	"math"
	"time"

	"github.com/gatekeeper-oidc/gatekeeper/oauth2"
)

// A refresh token of generation n, presented to a grant at generation c:
//
//	grant revoked, past its end, idle too long, unknown, or n > c   Dead
//	n = c                                                           Rotated: c becomes n+1
//	n = c−1, rotated less than Grace ago                            Repeated: c stays
//	n < c otherwise                                                 Replayed: the grant is revoked
var (
	// As a redemption does, it reads what it stands on where it writes: of $4 nothing
	// is asked if it is 0, of a session ($6) if it is false.
	changeRotate = newChange(6, `UPDATE refresh SET generation = refresh.generation + 1, rotated_at = {now}
		FROM grants g WHERE refresh.grant_id = $1 AND refresh.generation = $2 AND g.id = refresh.grant_id
			AND g.revoked_at = 0 AND g.expires_at > {now}
			AND (CAST($3 AS BIGINT) = 0 OR refresh.rotated_at + CAST($3 AS BIGINT) > {now})
			AND (CAST($4 AS BIGINT) = 0 OR (`+sameClient("g.client_id", "$4", "$5")+`
				AND EXISTS (SELECT 1 FROM users u WHERE u.id = g.subject AND u.status = 'active')
				AND (NOT CAST($6 AS BOOLEAN) OR EXISTS (SELECT 1 FROM sessions s WHERE s.id = g.session_id AND `+liveSession+`))))
		RETURNING refresh.grant_id`)

	queryRotation = both(`SELECT r.generation, r.rotated_at, g.revoked_at <> 0 OR g.expires_at <= {now}, {now},
			CAST($2 AS BIGINT) = 0 OR ` + sameClient("g.client_id", "$2", "$3") + `
		FROM refresh r JOIN grants g ON g.id = r.grant_id WHERE r.grant_id = $1`)
)

// RotateRefresh implements oauth2.Store. An Idle of zero never dies of idleness.
// The winner is done in one statement; only a loser looks why it lost.
func (d *DB) RotateRefresh(ctx context.Context, r oauth2.RotateRequest) (oauth2.Rotation, error) {
	if r.Generation < 1 || r.Generation >= math.MaxInt32 {
		return oauth2.Dead, nil // no grant gets there
	}
	if r.Basis == nil {
		r.Basis = &oauth2.Basis{}
	}
	won, err := d.apply(ctx, changeRotate, act{args: []any{
		r.Grant, r.Generation, r.Idle.Microseconds(), micros(r.Basis.Version), r.Basis.Registration, r.Basis.Session,
	}, event: r.Event})
	switch {
	case err != nil:
		return oauth2.Dead, err
	case won:
		return oauth2.Rotated, nil
	}
	verdict, err := d.verdict(ctx, r)
	if err != nil || verdict != oauth2.Replayed {
		return verdict, err
	}
	// Between the look and this nothing can have changed but for the worse: a
	// generation that is old stays old. If another call revoked it first, it is Dead.
	revoked, err := d.RevokeGrant(ctx, r.Grant, r.Replay)
	if err != nil || !revoked {
		return oauth2.Dead, err
	}
	return oauth2.Replayed, nil
}

// verdict says what presenting r means for a caller that did not rotate.
func (d *DB) verdict(ctx context.Context, r oauth2.RotateRequest) (oauth2.Rotation, error) {
	var state refreshRow
	var over, same bool
	var now int64
	err := d.one(ctx, queryRotation, []any{r.Grant, micros(r.Basis.Version), r.Basis.Registration}, append(state.dest(), &over, &now, &same)...)
	if isNone(err) {
		return oauth2.Dead, nil
	}
	if err != nil {
		return oauth2.Dead, err
	}
	since := time.Duration(now-state.rotated) * time.Microsecond
	switch {
	case !over && !same && r.Generation == state.generation:
		return oauth2.Dead, oauth2.ErrClientChanged
	case over, r.Idle > 0 && since >= r.Idle, r.Generation >= state.generation:
		return oauth2.Dead, nil
	case r.Generation == state.generation-1 && since < r.Grace:
		return oauth2.Repeated, nil
	default:
		return oauth2.Replayed, nil
	}
}
