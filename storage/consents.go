package storage

import (
	"context"

	"github.com/gatekeeper-oidc/gatekeeper/consent"
)

const (
	putConsent = `INSERT INTO consents (user_id, client_id, scopes, granted_at, updated_at)
		SELECT CAST($1 AS TEXT), k.id, CAST($3 AS TEXT), coalesce(nullif(CAST($4 AS BIGINT), 0), {now}), {now} FROM clients k
		WHERE k.id = $2 AND (CAST($5 AS TEXT) = '' OR ` + registrationOf + ` = CAST($5 AS TEXT))`
	updateConsent = `ON CONFLICT (user_id, client_id) DO UPDATE SET scopes = excluded.scopes, updated_at = excluded.updated_at RETURNING client_id`
)

var (
	queryConsent  = both(`SELECT user_id, client_id, scopes, granted_at, updated_at FROM consents WHERE user_id = $1 AND client_id = $2`)
	queryConsents = both(`SELECT user_id, client_id, scopes, granted_at, updated_at FROM consents WHERE user_id = $1 ORDER BY client_id`)
	// The client is held: whoever deletes it waits, and then finds the consent.
	queryPutConsent    = each(putConsent+` FOR KEY SHARE `+updateConsent, putConsent+` `+updateConsent)
	queryDeleteConsent = both(`DELETE FROM consents WHERE user_id = $1 AND client_id = $2 RETURNING client_id`)
)

type consentRow struct {
	c                consent.Consent
	scopes           string
	granted, updated int64
}

func (r *consentRow) dest() []any {
	return []any{&r.c.UserID, &r.c.ClientID, &r.scopes, &r.granted, &r.updated}
}

func (r *consentRow) consent() (consent.Consent, error) {
	c := r.c
	var err error
	c.Scopes, err = unlist(r.scopes)
	c.GrantedAt, c.UpdatedAt = instant(r.granted), instant(r.updated)
	return c, err
}

// Consent implements consent.Store.
func (d *DB) Consent(ctx context.Context, userID, clientID string) (consent.Consent, error) {
	var r consentRow
	if err := d.one(ctx, queryConsent, []any{userID, clientID}, r.dest()...); err != nil {
		return consent.Consent{}, missing(err, "consent", clientID)
	}
	return r.consent()
}

// PutConsent implements consent.Store. UpdatedAt is the database's clock, and so
// is GrantedAt where it is empty.
func (d *DB) PutConsent(ctx context.Context, c consent.Consent) error {
	found, err := d.found(ctx, queryPutConsent, c.UserID, c.ClientID, list(c.Scopes), micros(c.GrantedAt), c.Registration)
	if err == nil && !found {
		err = errNone
	}
	return orphan(missing(err, "client", c.ClientID), c.UserID)
}

// Consents implements consent.Store, in order of client.
func (d *DB) Consents(ctx context.Context, userID string) (consents []consent.Consent, err error) {
	err = d.all(ctx, queryConsents, []any{userID}, func(row row) error {
		var r consentRow
		if err := row.Scan(r.dest()...); err != nil {
			return err
		}
		c, err := r.consent()
		consents = append(consents, c)
		return err
	})
	return consents, err
}

// DeleteConsent implements consent.Store; NotFound where there is none.
func (d *DB) DeleteConsent(ctx context.Context, userID, clientID string) error {
	found, err := d.found(ctx, queryDeleteConsent, userID, clientID)
	if err == nil && !found {
		err = errNone
	}
	return missing(err, "consent", clientID)
}
