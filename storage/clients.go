package storage

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/gatekeeper-oidc/gatekeeper/identity"
	"github.com/gatekeeper-oidc/gatekeeper/oauth2"
)

const clientColumns = `id, data, secrets, created_at, updated_at, ` + registrationOf

var (
	queryInsertClient = both(`INSERT INTO clients (id, data, secrets, created_at, updated_at, registration)
		VALUES ($1, $2, $3, coalesce(nullif(CAST($4 AS BIGINT), 0), {now}), {now}, $5)`)
	queryUpdateClient = both(`UPDATE clients SET data = $2, secrets = $3, updated_at = CASE WHEN updated_at < {now} THEN {now} ELSE updated_at + 1 END
		WHERE id = $1 RETURNING id`)  // a version of its own, however coarse the clock
	queryDeleteClient = both(`DELETE FROM clients WHERE id = $1 RETURNING id`)
	queryClient       = both(`SELECT ` + clientColumns + ` FROM clients k WHERE id = $1`)
	// Read to be changed, a row is held: of two changes at once none is lost.
	queryHoldClient = each(`SELECT `+clientColumns+` FROM clients k WHERE id = $1 FOR UPDATE`,
		`SELECT `+clientColumns+` FROM clients k WHERE id = $1`)
	queryClients               = both(`SELECT ` + clientColumns + ` FROM clients k WHERE id > $1 ORDER BY id LIMIT $2`)
	queryDeleteClientsConsents = both(`DELETE FROM consents WHERE client_id = $1`)
)

type clientRow struct {
	id, data, secrets string
	created, updated  int64
	registration      string
}

func (r *clientRow) dest() []any {
	return []any{&r.id, &r.data, &r.secrets, &r.created, &r.updated, &r.registration}
}

func (r *clientRow) client() (oauth2.Client, error) {
	var c oauth2.Client
	if err := json.Unmarshal([]byte(r.data), &c); err != nil {
		return oauth2.Client{}, fmt.Errorf("decode client %s: %w", r.id, err)
	}
	if r.secrets != "[]" {
		if err := json.Unmarshal([]byte(r.secrets), &c.Secrets); err != nil {
			return oauth2.Client{}, fmt.Errorf("decode the secrets of client %s: %w", r.id, err)
		}
	}
	c.ID, c.Registration, c.CreatedAt, c.UpdatedAt = r.id, r.registration, instant(r.created), instant(r.updated)
	return c, nil
}

// columns is a client as it is stored.
func columns(c oauth2.Client) (data, secrets string, err error) {
	if data, err = document(c); err != nil {
		return "", "", err
	}
	if len(c.Secrets) == 0 {
		return data, "[]", nil
	}
	secrets, err = document(c.Secrets)
	return data, secrets, err
}

// Client implements oauth2.Store: inside a transaction it holds the row.
func (d *DB) Client(ctx context.Context, id string) (oauth2.Client, error) {
	var r clientRow
	q := queryClient
	if d.unit(ctx) != nil {
		q = queryHoldClient
	}
	if err := d.one(ctx, q, []any{id}, r.dest()...); err != nil {
		return oauth2.Client{}, missing(err, "client", id)
	}
	return r.client()
}

// InsertClient implements oauth2.Store. The database's clock fills empty times, and
// the registration is given an identity that no other ever had.
func (d *DB) InsertClient(ctx context.Context, c oauth2.Client) error {
	data, secrets, err := columns(c)
	if err != nil {
		return err
	}
	registration, err := newID()
	if err != nil {
		return err
	}
	if _, err := d.exec(ctx, queryInsertClient, c.ID, data, secrets, micros(c.CreatedAt), registration); err != nil {
		return taken(err, "client")
	}
	d.changed(ctx, "client:"+c.ID)
	return nil
}

// UpdateClient implements oauth2.Store: everything, secrets too, but the id and
// CreatedAt. UpdatedAt becomes the database's clock.
func (d *DB) UpdateClient(ctx context.Context, c oauth2.Client) error {
	data, secrets, err := columns(c)
	if err != nil {
		return err
	}
	var id string
	if err := d.one(ctx, queryUpdateClient, []any{c.ID, data, secrets}, &id); err != nil {
		return missing(err, "client", c.ID)
	}
	d.changed(ctx, "client:"+c.ID)
	return nil
}

// DeleteClient implements oauth2.Store. What people agreed to goes with it.
func (d *DB) DeleteClient(ctx context.Context, id string) error {
	return d.InTx(ctx, func(ctx context.Context) error {
		var gone string
		if err := d.one(ctx, queryDeleteClient, []any{id}, &gone); err != nil {
			return missing(err, "client", id)
		}
		if _, err := d.exec(ctx, queryDeleteClientsConsents, id); err != nil {
			return err
		}
		d.changed(ctx, "client:"+id)
		_, err := d.RevokeGrants(ctx, "", id)
		return err
	})
}

// Clients implements oauth2.Store, in order of id.
func (d *DB) Clients(ctx context.Context, p identity.Page) (clients []oauth2.Client, next string, err error) {
	after, err := uncursor(p.After)
	if err != nil {
		return nil, "", err
	}
	limit := pageSize(p.Limit)
	err = d.all(ctx, queryClients, []any{after, limit + 1}, func(row row) error {
		var r clientRow
		if err := row.Scan(r.dest()...); err != nil {
			return err
		}
		c, err := r.client()
		clients = append(clients, c)
		return err
	})
	if err != nil {
		return nil, "", err
	}
	clients, next = cut(clients, limit, func(c oauth2.Client) string { return c.ID })
	return clients, next, nil
}
