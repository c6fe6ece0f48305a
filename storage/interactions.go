package storage

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/gatekeeper-oidc/gatekeeper/oauth2"
)

var (
	// A row that was consumed or has expired is never written again.
	queryPutInteraction = both(`INSERT INTO interactions (id, binding, request, selected, authenticated, consented, denied, created_at, expires_at, consumed_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, coalesce(nullif(CAST($8 AS BIGINT), 0), {now}), $9, 0)
		ON CONFLICT (id) DO UPDATE SET binding = excluded.binding, request = excluded.request, selected = excluded.selected,
			authenticated = excluded.authenticated, consented = excluded.consented, denied = excluded.denied, expires_at = excluded.expires_at
		WHERE interactions.consumed_at = 0 AND interactions.expires_at > {now} RETURNING id`)
	queryInteraction = both(`SELECT id, binding, request, selected, authenticated, consented, denied, created_at, expires_at FROM interactions
		WHERE id = $1 AND consumed_at = 0 AND expires_at > {now}`)
	queryConsumeInteraction = both(`UPDATE interactions SET consumed_at = {now}, consumed_by = $2
		WHERE id = $1 AND (consumed_at = 0 OR consumed_by = $2) AND expires_at > {now} RETURNING id`)
)

// PutInteraction implements oauth2.Store. One that was consumed or has expired is
// NotFound: a late answer does not bring it back.
func (d *DB) PutInteraction(ctx context.Context, in oauth2.Interaction) error {
	request, err := document(in.Request)
	if err != nil {
		return err
	}
	var id string
	err = d.one(ctx, queryPutInteraction, []any{
		in.ID, blob(in.Binding), request, in.Selected, in.Authenticated, in.Consented, in.Denied, micros(in.CreatedAt), micros(in.ExpiresAt),
	}, &id)
	return missing(err, "interaction", in.ID)
}

// Interaction implements oauth2.Store.
func (d *DB) Interaction(ctx context.Context, id string) (oauth2.Interaction, error) {
	var in oauth2.Interaction
	var request string
	var created, expires int64
	err := d.one(ctx, queryInteraction, []any{id}, &in.ID, &in.Binding,
		&request, &in.Selected, &in.Authenticated, &in.Consented, &in.Denied, &created, &expires)
	if err != nil {
		return oauth2.Interaction{}, missing(err, "interaction", id)
	}
	if err := json.Unmarshal([]byte(request), &in.Request); err != nil {
		return oauth2.Interaction{}, fmt.Errorf("decode interaction %s: %w", id, err)
	}
	in.CreatedAt, in.ExpiresAt = instant(created), instant(expires)
	return in, nil
}

// ConsumeInteraction implements oauth2.Store: of racing callers one gets true.
// The row stays until it expires, to refuse late writes.
func (d *DB) ConsumeInteraction(ctx context.Context, id string) (bool, error) {
	by, err := newID()
	if err != nil {
		return false, err
	}
	return d.once(ctx, queryConsumeInteraction, id, by)
}
