package storage

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/gatekeeper-oidc/gatekeeper/audit"
	"github.com/gatekeeper-oidc/gatekeeper/oauth2"
)

const deviceColumns = `id, code_hash, user_hash, client_id, status, subject, session_id, offline, data, address, user_agent, created_at, expires_at`

var (
	changePutDevice = newChange(13, `INSERT INTO device_codes (id, code_hash, user_hash, client_id, status, subject, session_id, offline, data, address, user_agent,
			poll_interval, polled_at, hurried, created_at, expires_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, 0, FALSE, {now}, {now} + CAST($13 AS BIGINT))
		ON CONFLICT DO NOTHING RETURNING id`)
	changeAnswerDevice = newChange(6, `UPDATE device_codes SET status = $2, subject = $3, session_id = $4, offline = $5, data = $6
		WHERE id = $1 AND status = '`+string(oauth2.DevicePending)+`' AND expires_at > {now} RETURNING id`)

	queryDevice           = both(`SELECT ` + deviceColumns + ` FROM device_codes WHERE id = $1 AND expires_at > {now}`)
	queryDeviceByUserCode = both(`SELECT ` + deviceColumns + ` FROM device_codes
		WHERE user_hash = $1 AND status = '` + string(oauth2.DevicePending) + `' AND expires_at > {now}`)
	// Every expression reads the row as it was: the interval that counts is the one
	// the device was told last. slow_down adds five seconds (RFC 8628 section 3.5).
	queryPollDevice = both(`UPDATE device_codes SET polled_at = {now}, hurried = polled_at + poll_interval > {now},
			poll_interval = poll_interval + CASE WHEN polled_at + poll_interval > {now} THEN 5000000 ELSE 0 END
		WHERE code_hash = $1 AND client_id = $2 RETURNING ` + deviceColumns + `, poll_interval, hurried, expires_at <= {now}`)
)

type deviceRow struct {
	d                oauth2.DeviceRequest
	data             string
	created, expires int64
}

func (r *deviceRow) dest() []any {
	g := &r.d.Grant
	return []any{
		&g.ID, &r.d.CodeHash, &r.d.UserHash, &g.ClientID, &r.d.Status, &g.Subject, &g.Session, &g.Offline, &r.data,
		&r.d.Address, &r.d.UserAgent, &r.created, &r.expires,
	}
}

func (r *deviceRow) device() (oauth2.DeviceRequest, error) {
	d := r.d
	var data grantData
	if err := json.Unmarshal([]byte(r.data), &data); err != nil {
		return d, fmt.Errorf("decode device request %s: %w", d.Grant.ID, err)
	}
	data.into(&d.Grant)
	d.CreatedAt, d.ExpiresAt = instant(r.created), instant(r.expires)
	return d, nil
}

// PutDevice implements oauth2.Store.
func (d *DB) PutDevice(ctx context.Context, r oauth2.DeviceRequest, t oauth2.DeviceTimes, e audit.Event) (bool, error) {
	data, err := document(dataOf(r.Grant))
	if err != nil {
		return false, err
	}
	g := r.Grant
	return d.apply(ctx, changePutDevice, act{args: []any{
		g.ID, blob(r.CodeHash), blob(r.UserHash), g.ClientID, string(r.Status), g.Subject, g.Session, g.Offline, data, r.Address, r.UserAgent,
		t.Interval.Microseconds(), t.TTL.Microseconds(),
	}, event: e})
}

// AnswerDevice implements oauth2.Store.
func (d *DB) AnswerDevice(ctx context.Context, r oauth2.DeviceRequest, e audit.Event) (bool, error) {
	data, err := document(dataOf(r.Grant))
	if err != nil {
		return false, err
	}
	g := r.Grant
	return d.apply(ctx, changeAnswerDevice, act{args: []any{g.ID, string(r.Status), g.Subject, g.Session, g.Offline, data}, event: e})
}

// Device implements oauth2.Store.
func (d *DB) Device(ctx context.Context, id string) (oauth2.DeviceRequest, error) {
	var r deviceRow
	if err := d.one(ctx, queryDevice, []any{id}, r.dest()...); err != nil {
		return oauth2.DeviceRequest{}, missing(err, "device", id)
	}
	return r.device()
}

// DeviceByUserCode implements oauth2.Store.
func (d *DB) DeviceByUserCode(ctx context.Context, userHash []byte) (oauth2.DeviceRequest, error) {
	var r deviceRow
	if err := d.one(ctx, queryDeviceByUserCode, []any{blob(userHash)}, r.dest()...); err != nil {
		return oauth2.DeviceRequest{}, missing(err, "device", "with this code")
	}
	return r.device()
}

// PollDevice implements oauth2.Store. An expired request is found until it is
// cleaned away.
func (d *DB) PollDevice(ctx context.Context, clientID string, codeHash []byte) (oauth2.DevicePoll, error) {
	var r deviceRow
	var p oauth2.DevicePoll
	var interval int64
	err := d.one(ctx, queryPollDevice, []any{blob(codeHash), clientID}, append(r.dest(), &interval, &p.Hurried, &p.Expired)...)
	if err != nil {
		return p, missing(err, "device", "with this code")
	}
	p.Interval = time.Duration(interval) * time.Microsecond
	p.DeviceRequest, err = r.device()
	return p, err
}
