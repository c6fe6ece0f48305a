package storage

import (
	"context"
	"time"

	"github.com/gatekeeper-oidc/gatekeeper/oauth2"
)

// maxInitialTokens is how many a list holds.
const maxInitialTokens = 1000

// An application is unused if nobody came through it for a while, and nobody has
// anything from it that still lives.
const unused = `used_at <= {now} - $2 AND NOT EXISTS (
	SELECT 1 FROM grants g WHERE g.client_id = registrations.client_id AND g.revoked_at = 0 AND g.expires_at > {now})`

var (
	queryPutRegistration = both(`INSERT INTO registrations (client_id, token_hash, initial_token, statement, used_at)
		VALUES ($1, $2, $3, $4, {now})
		ON CONFLICT (client_id) DO UPDATE SET token_hash = excluded.token_hash, initial_token = excluded.initial_token,
			statement = excluded.statement, used_at = excluded.used_at`)
	queryRegistration  = both(`SELECT client_id, token_hash, initial_token, statement, used_at FROM registrations WHERE client_id = $1`)
	queryTouchClients  = inSet(`UPDATE registrations SET used_at = {now} WHERE client_id {set} AND used_at <= {now} - $2`)
	queryUnusedClients = both(`SELECT client_id FROM registrations WHERE ` + unused + ` ORDER BY used_at LIMIT $1`)
	queryClaimUnused   = both(`DELETE FROM registrations WHERE client_id = $1 AND ` + unused + ` RETURNING client_id`)

	queryInsertInitial = both(`INSERT INTO initial_tokens (id, name, hash, uses, max_uses, created_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7)`)
	queryInitials      = both(`SELECT id, name, hash, uses, max_uses, created_at, expires_at FROM initial_tokens ORDER BY created_at DESC, id LIMIT $1`)
	queryDeleteInitial = both(`DELETE FROM initial_tokens WHERE id = $1 RETURNING id`)
	queryPeekInitial   = both(`SELECT id FROM initial_tokens WHERE hash = $1 AND uses < max_uses AND expires_at > {now}`)
	querySpendInitial  = both(`UPDATE initial_tokens SET uses = uses + 1 WHERE hash = $1 AND uses < max_uses AND expires_at > {now} RETURNING id`)
)

// PutRegistration implements oidc.RegistrationStore: an upsert, which counts as
// use.
func (d *DB) PutRegistration(ctx context.Context, r oauth2.Registration) error {
	_, err := d.exec(ctx, queryPutRegistration, r.ClientID, blob(r.TokenHash), r.InitialToken, r.Statement)
	return err
}

// Registration implements oidc.RegistrationStore.
func (d *DB) Registration(ctx context.Context, clientID string) (oauth2.Registration, error) {
	var r oauth2.Registration
	var used int64
	err := d.one(ctx, queryRegistration, []any{clientID}, &r.ClientID, &r.TokenHash, &r.InitialToken, &r.Statement, &used)
	if err != nil {
		return oauth2.Registration{}, missing(err, "registration", clientID)
	}
	r.UsedAt = instant(used)
	return r, nil
}

// TouchClients implements oauth2.UsageStore.
func (d *DB) TouchClients(ctx context.Context, ids []string, every time.Duration) error {
	_, err := d.exec(ctx, queryTouchClients, d.dialect.set(ids), every.Microseconds())
	return err
}

// UnusedClients implements oidc.RegistrationStore.
func (d *DB) UnusedClients(ctx context.Context, unused time.Duration, limit int) ([]string, error) {
	return d.ids(ctx, queryUnusedClients, pageSize(limit), unused.Microseconds())
}

// ClaimUnused implements oidc.RegistrationStore: of racing callers one gets true.
func (d *DB) ClaimUnused(ctx context.Context, clientID string, unused time.Duration) (bool, error) {
	return d.found(ctx, queryClaimUnused, clientID, unused.Microseconds())
}

// InsertInitialToken implements admin.InitialTokens.
func (d *DB) InsertInitialToken(ctx context.Context, t oauth2.InitialToken) error {
	_, err := d.exec(ctx, queryInsertInitial, t.ID, t.Name, blob(t.Hash), t.Uses, t.MaxUses, micros(t.CreatedAt), micros(t.ExpiresAt))
	return taken(err, "registration_token")
}

// InitialTokens implements admin.InitialTokens.
func (d *DB) InitialTokens(ctx context.Context) (tokens []oauth2.InitialToken, err error) {
	err = d.all(ctx, queryInitials, []any{maxInitialTokens}, func(row row) error {
		var t oauth2.InitialToken
		var created, expires int64
		if err := row.Scan(&t.ID, &t.Name, &t.Hash, &t.Uses, &t.MaxUses, &created, &expires); err != nil {
			return err
		}
		t.CreatedAt, t.ExpiresAt = instant(created), instant(expires)
		tokens = append(tokens, t)
		return nil
	})
	return tokens, err
}

// DeleteInitialToken implements admin.InitialTokens.
func (d *DB) DeleteInitialToken(ctx context.Context, id string) (bool, error) {
	return d.found(ctx, queryDeleteInitial, id)
}

// PeekInitialToken implements oidc.RegistrationStore.
func (d *DB) PeekInitialToken(ctx context.Context, hash []byte) (bool, error) {
	return d.found(ctx, queryPeekInitial, blob(hash))
}

// SpendInitialToken implements oidc.RegistrationStore: never more often than the
// token is good for, however many callers race.
func (d *DB) SpendInitialToken(ctx context.Context, hash []byte) (id string, err error) {
	err = d.one(ctx, querySpendInitial, []any{blob(hash)}, &id)
	if isNone(err) {
		return "", nil
	}
	return id, err
}
