package storage

import (
	"context"
	"time"

	"github.com/gatekeeper-oidc/gatekeeper/identity"
)

// UserForLogin implements identity.Store.
func (d *DB) UserForLogin(ctx context.Context, email string, c identity.Counter) (identity.User, identity.Password, time.Time, error) {
	var r userRow
	var p identity.Password
	var missed, changed, elsewhere, now int64
	var counted int
	dest := append(r.dest(), &p.Hash, &p.Failures, &missed, &changed, &p.MustChange, &counted, &elsewhere, &now)
	if err := d.one(ctx, queryUserForLogin, []any{email, c.Name, identity.OldSpelling(email)}, dest...); err != nil {
		return identity.User{}, identity.Password{}, time.Time{}, err
	}
	if c.Apart || r.u.ID == "" {
		p.Failures, missed = counted, elsewhere
	}
	p.LastFailure, p.ChangedAt = instant(missed), instant(changed)
	if r.u.ID == "" {
		return identity.User{}, p, instant(now), nil
	}
	u, err := r.user()
	return u, p, instant(now), err
}

// SetPassword implements identity.Store.
func (d *DB) SetPassword(ctx context.Context, userID, hash string) error {
	_, err := d.exec(ctx, querySetPassword, userID, hash)
	return orphan(err, userID)
}

// RehashPassword implements identity.Store.
func (d *DB) RehashPassword(ctx context.Context, userID, hash string) error {
	_, err := d.exec(ctx, queryRehash, userID, hash)
	return err
}

// MustChangePassword implements identity.Store.
func (d *DB) MustChangePassword(ctx context.Context, userID string) error {
	_, err := d.exec(ctx, queryMustChange, userID)
	return err
}

// MissPassword implements identity.Store.
func (d *DB) MissPassword(ctx context.Context, userID string) (failures int, err error) {
	err = d.one(ctx, queryMissPassword, []any{userID, identity.MissMemory.Microseconds()}, &failures)
	return failures, orphan(err, userID)
}

// MissCounter implements identity.Store.
func (d *DB) MissCounter(ctx context.Context, counter string) (failures int, err error) {
	err = d.one(ctx, queryMissCounter, []any{counter, identity.MissMemory.Microseconds()}, &failures)
	return failures, err
}

// ClearCounter implements identity.Store.
func (d *DB) ClearCounter(ctx context.Context, counter string) error {
	_, err := d.exec(ctx, queryClearCounter, counter)
	return err
}

// ClearFailures implements identity.Store.
func (d *DB) ClearFailures(ctx context.Context, userID string) error {
	return d.InTx(ctx, func(ctx context.Context) error {
		if _, err := d.exec(ctx, queryClearFailures, userID); err != nil {
			return err
		}
		var id string
		return missing(d.one(ctx, querySignedIn, []any{userID}, &id), "user", userID)
	})
}
