package storage

import (
	"context"

	"github.com/gatekeeper-oidc/gatekeeper/consent"
	"github.com/gatekeeper-oidc/gatekeeper/identity"
	"github.com/gatekeeper-oidc/gatekeeper/oauth2"
)

const (
	putConsent = `INSERT INTO consents (user_id, client_id, scopes, granted_at, updated_at)
		SELECT CAST($1 AS TEXT), k.id, CAST($3 AS TEXT), coalesce(nullif(CAST($4 AS BIGINT), 0), {now}), {now} FROM clients k
		WHERE k.id = $2 AND (CAST($5 AS TEXT) = '' OR ` + registrationOf + ` = CAST($5 AS TEXT))`
	updateConsent = `ON CONFLICT (user_id, client_id) DO UPDATE SET scopes = excluded.scopes, updated_at = excluded.updated_at RETURNING client_id`
)

var (
	queryConsent  = both(`SELECT user_id, client_id, scopes, granted_at, updated_at FROM consents WHERE user_id = $1 AND client_id = $2`)
	queryConsents = both(`SELECT user_id, client_id, scopes, granted_at, updated_at FROM consents WHERE user_id = $1 AND client_id > $2 ORDER BY client_id LIMIT $3`)
	queryUnasked  = both(`SELECT ` + grantColumns + ` FROM grants g
		WHERE g.subject = $1 AND g.revoked_at = 0 AND g.expires_at > {now}
		AND NOT EXISTS (SELECT 1 FROM consents c WHERE c.user_id = g.subject AND c.client_id = g.client_id)
		ORDER BY g.created_at DESC, g.id DESC LIMIT $2`)
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

// Consent implements consent.Store. Within a transaction it holds the person, so that
// two tabs that add to one consent wait for each other.
func (d *DB) Consent(ctx context.Context, userID, clientID string) (consent.Consent, error) {
	if d.dialect == postgres && d.unit(ctx) != nil {
		if _, err := d.found(ctx, queryHoldUser, userID); err != nil {
			return consent.Consent{}, err
		}
	}
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
func (d *DB) Consents(ctx context.Context, userID string, p identity.Page) (consents []consent.Consent, next string, err error) {
	after, err := uncursor(p.After)
	if err != nil {
		return nil, "", err
	}
	limit := pageSize(p.Limit)
	err = d.all(ctx, queryConsents, []any{userID, after, limit + 1}, func(row row) error {
		var r consentRow
		if err := row.Scan(r.dest()...); err != nil {
			return err
		}
		c, err := r.consent()
		consents = append(consents, c)
		return err
	})
	if err != nil {
		return nil, "", err
	}
	consents, next = cut(consents, limit, func(c consent.Consent) string { return c.ClientID })
	return consents, next, nil
}

// Unasked implements consent.Store.
func (d *DB) Unasked(ctx context.Context, userID string) (grants []oauth2.Grant, err error) {
	err = d.all(ctx, queryUnasked, []any{userID, maxPage}, func(row row) error {
		var r grantRow
		if err := row.Scan(r.dest()...); err != nil {
			return err
		}
		g, err := r.grant()
		grants = append(grants, g)
		return err
	})
	return grants, err
}

// DeleteConsent implements consent.Store; NotFound where there is none.
func (d *DB) DeleteConsent(ctx context.Context, userID, clientID string) error {
	found, err := d.found(ctx, queryDeleteConsent, userID, clientID)
	if err == nil && !found {
		err = errNone
	}
	return missing(err, "consent", clientID)
}
