package storage

import (
	"context"
	"time"
)

// PutSetupToken implements identity.Store.
func (d *DB) PutSetupToken(ctx context.Context, hash []byte, ttl time.Duration) error {
	_, err := d.exec(ctx, queryPutSetup, blob(hash), ttl.Microseconds())
	return err
}

// ConsumeSetupToken implements identity.Store: of racing callers one gets true.
func (d *DB) ConsumeSetupToken(ctx context.Context, hash []byte) (bool, error) {
	return d.found(ctx, queryConsumeSetup, blob(hash))
}

// PeekSetupToken implements identity.Store.
func (d *DB) PeekSetupToken(ctx context.Context, hash []byte) (bool, error) {
	return d.found(ctx, queryPeekSetup, blob(hash))
}

// found reports whether q returned a row, which begins with a number or text.
func (d *DB) found(ctx context.Context, q query, args ...any) (bool, error) {
	n := 0
	err := d.all(ctx, q, args, func(row) error {
		n++
		return nil
	})
	return n > 0, err
}
