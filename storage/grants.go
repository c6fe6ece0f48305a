package storage

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/gatekeeper-oidc/gatekeeper/audit"
	"github.com/gatekeeper-oidc/gatekeeper/oauth2"
)

const grantColumns = `g.id, g.client_id, g.subject, g.session_id, g.offline, g.secret_hash, g.data, g.created_at, g.expires_at, g.revoked_at`

var (
	changeRevokeGrant = newChange(1, `UPDATE grants SET revoked_at = {now} WHERE id = $1 AND revoked_at = 0 RETURNING id`)

	queryGrant = both(`SELECT ` + grantColumns + `, coalesce(r.generation, 0), coalesce(r.rotated_at, 0)
		FROM grants g LEFT JOIN refresh r ON r.grant_id = g.id WHERE g.id = $1`)
	queryGrants = both(`SELECT ` + grantColumns + ` FROM grants g
		WHERE g.subject = $1 AND g.revoked_at = 0 AND g.expires_at > {now} ORDER BY g.created_at DESC, g.id DESC`)

	queryRevokeOfBoth    = both(`UPDATE grants SET revoked_at = {now} WHERE subject = $1 AND client_id = $2 AND revoked_at = 0 AND expires_at > {now} RETURNING id`)
	queryRevokeOfSubject = both(`UPDATE grants SET revoked_at = {now} WHERE subject = $1 AND revoked_at = 0 AND expires_at > {now} RETURNING id`)
	queryRevokeOfClient  = both(`UPDATE grants SET revoked_at = {now} WHERE client_id = $1 AND revoked_at = 0 AND expires_at > {now} RETURNING id`)
)

// grantData is the part of a grant that nobody searches in.
type grantData struct {
	Scopes   []string `json:"scopes,omitempty"`
	Audience []string `json:"aud,omitempty"`
	Narrowed bool     `json:"narrowed,omitempty"`
	Nonce    string   `json:"nonce,omitempty"`
	AuthTime int64    `json:"auth_time,omitempty"` // microseconds
	AMR      []string `json:"amr,omitempty"`
	ACR      string   `json:"acr,omitempty"`

	Claims       oauth2.Claims `json:"claims,omitzero"`
	Registration string        `json:"reg,omitempty"`
}

func dataOf(g oauth2.Grant) grantData {
	return grantData{g.Scopes, g.Audience, g.Narrowed, g.Nonce, micros(g.AuthTime), g.AMR, g.ACR, g.Claims, g.Registration}
}

// into is the opposite of dataOf.
func (d grantData) into(g *oauth2.Grant) {
	g.Scopes, g.Audience, g.Narrowed, g.Nonce, g.AuthTime, g.AMR, g.ACR = d.Scopes, d.Audience, d.Narrowed, d.Nonce, instant(d.AuthTime), d.AMR, d.ACR
	g.Claims, g.Registration = d.Claims, d.Registration
}

type grantRow struct {
	g                         oauth2.Grant
	data                      string
	created, expires, revoked int64
}

func (r *grantRow) dest() []any {
	return []any{&r.g.ID, &r.g.ClientID, &r.g.Subject, &r.g.Session, &r.g.Offline, &r.g.SecretHash, &r.data, &r.created, &r.expires, &r.revoked}
}

func (r *grantRow) grant() (oauth2.Grant, error) {
	g := r.g
	var data grantData
	if err := json.Unmarshal([]byte(r.data), &data); err != nil {
		return oauth2.Grant{}, fmt.Errorf("decode grant %s: %w", g.ID, err)
	}
	if len(g.SecretHash) == 0 {
		g.SecretHash = nil
	}
	data.into(&g)
	g.CreatedAt, g.ExpiresAt, g.RevokedAt = instant(r.created), instant(r.expires), instant(r.revoked)
	return g, nil
}

// refreshRow is the narrow half of a grant.
type refreshRow struct {
	generation int
	rotated    int64
}

func (r *refreshRow) dest() []any { return []any{&r.generation, &r.rotated} }

// state is zero for a grant without a refresh token.
func (r *refreshRow) state(end time.Time) oauth2.RefreshState {
	if r.generation == 0 {
		return oauth2.RefreshState{}
	}
	return oauth2.RefreshState{Generation: r.generation, RotatedAt: instant(r.rotated), ExpiresAt: end}
}

// Grant implements oauth2.Store.
func (d *DB) Grant(ctx context.Context, id string) (oauth2.Grant, oauth2.RefreshState, error) {
	var g grantRow
	var r refreshRow
	if err := d.one(ctx, queryGrant, []any{id}, append(g.dest(), r.dest()...)...); err != nil {
		return oauth2.Grant{}, oauth2.RefreshState{}, missing(err, "grant", id)
	}
	grant, err := g.grant()
	return grant, r.state(grant.ExpiresAt), err
}

// Grants implements oauth2.Store, newest first.
func (d *DB) Grants(ctx context.Context, subject string) (grants []oauth2.Grant, err error) {
	err = d.all(ctx, queryGrants, []any{subject}, func(row row) error {
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

// RevokeGrant implements oauth2.Store.
func (d *DB) RevokeGrant(ctx context.Context, id string, e audit.Event) (bool, error) {
	done, err := d.apply(ctx, changeRevokeGrant, act{args: []any{id}, event: e})
	if done {
		d.changed(ctx, "grant:"+id)
	}
	return done, err
}

var errNobody = errors.New("storage: revoke grants of nobody in particular")

// RevokeGrants implements oauth2.Store and consent.Store.
func (d *DB) RevokeGrants(ctx context.Context, subject, clientID string) (ids []string, err error) {
	switch {
	case subject != "" && clientID != "":
		ids, err = d.ids(ctx, queryRevokeOfBoth, subject, clientID)
	case subject != "":
		ids, err = d.ids(ctx, queryRevokeOfSubject, subject)
	case clientID != "":
		ids, err = d.ids(ctx, queryRevokeOfClient, clientID)
	default:
		return nil, errNobody
	}
	if err != nil {
		return nil, err
	}
	d.changed(ctx, topics("grant", ids)...)
	return ids, nil
}
