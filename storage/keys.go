package storage

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
	"github.com/gatekeeper-oidc/gatekeeper/keys"
)

const (
	keysLock     = 0x67617465_6b657973 // "gatekeys", of the advisory lock
	keysPatience = 30 * time.Second
	keysPause    = 50 * time.Millisecond
)

var (
	queryKeys = both(`SELECT id, alg, public_jwk, sealed, created_at, activate_at, retire_at, remove_at, revoked_at
		FROM signing_keys WHERE revoked_at = 0 AND remove_at > {now} ORDER BY activate_at, id`)
	queryPutKey = both(`INSERT INTO signing_keys (id, alg, public_jwk, sealed, created_at, activate_at, retire_at, remove_at, revoked_at)
		VALUES ($1, $2, $3, $4, coalesce(nullif(CAST($5 AS BIGINT), 0), {now}), $6, $7, $8, $9)
		ON CONFLICT (id) DO UPDATE SET alg = excluded.alg, public_jwk = excluded.public_jwk, sealed = excluded.sealed, activate_at = excluded.activate_at,
			retire_at = excluded.retire_at, remove_at = excluded.remove_at, revoked_at = excluded.revoked_at`)

	// Making an RSA key takes longer than a transaction may idle.
	queryLockKeys = both(`SELECT pg_try_advisory_xact_lock($1), set_config('idle_in_transaction_session_timeout', '60000', true)`)
)

// Keys implements keys.Store.
func (d *DB) Keys(ctx context.Context) (have []keys.Key, now time.Time, err error) {
	if now, err = d.Now(ctx); err != nil {
		return nil, time.Time{}, err
	}
	err = d.all(ctx, queryKeys, nil, func(r row) error {
		var k keys.Key
		var public string
		var created, activate, retire, remove, revoked int64
		if err := r.Scan(&k.ID, &k.Alg, &public, &k.Private, &created, &activate, &retire, &remove, &revoked); err != nil {
			return err
		}
		k.Public = json.RawMessage(public)
		k.CreatedAt, k.ActivateAt, k.RetireAt, k.RemoveAt, k.RevokedAt = instant(created), instant(activate), instant(retire), instant(remove), instant(revoked)
		have = append(have, k)
		return nil
	})
	return have, now, err
}

// ChangeKeys implements keys.Store. On Postgres the lock is advisory and tried
// again and again, because a wait inside a statement would run into its timeout;
// on SQLite the transaction is the lock.
func (d *DB) ChangeKeys(ctx context.Context, plan func(ctx context.Context, have []keys.Key, now time.Time) ([]keys.Key, error)) error {
	wait, cancel := context.WithTimeout(ctx, keysPatience)
	defer cancel()
	for {
		locked := false
		err := d.InTx(ctx, func(ctx context.Context) error {
			var err error
			if locked, err = d.lockKeys(ctx); err != nil || !locked {
				return err
			}
			return d.changeKeys(ctx, plan)
		})
		if err != nil || locked {
			return err
		}
		select {
		case <-wait.Done():
			return fault.Down("database", fmt.Errorf("another node holds the keys: %w", wait.Err()))
		case <-time.After(keysPause):
		}
	}
}

func (d *DB) lockKeys(ctx context.Context) (locked bool, err error) {
	if d.dialect == sqlite {
		return true, nil
	}
	var idle string
	err = d.one(ctx, queryLockKeys, []any{int64(keysLock)}, &locked, &idle)
	return locked, err
}

func (d *DB) changeKeys(ctx context.Context, plan func(ctx context.Context, have []keys.Key, now time.Time) ([]keys.Key, error)) error {
	have, now, err := d.Keys(ctx)
	if err != nil {
		return err
	}
	put, err := plan(ctx, have, now)
	if err != nil || len(put) == 0 {
		return err
	}
	rows := make([][]any, len(put))
	for i, k := range put {
		rows[i] = []any{
			k.ID, k.Alg, string(k.Public), blob(k.Private), micros(k.CreatedAt),
			micros(k.ActivateAt), micros(k.RetireAt), micros(k.RemoveAt), micros(k.RevokedAt),
		}
	}
	if err := d.batch(ctx, queryPutKey, rows); err != nil {
		return err
	}
	d.changed(ctx, "key:")
	return nil
}
