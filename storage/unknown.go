package storage

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
)

// A connection that breaks between a COMMIT and its answer leaves open what became of
// the change. Nobody is told "no" before that is known: the change is read back by the
// event that was written with it, which no other has the id of.
//
//	a change in one statement   sent again: it does what is not done, or finds that it is
//	a transaction               its event's id is tried: who has it waits for its COMMIT
//	a spending without event    sent again under the same name, which it was spent by

// lookBacks is how long each look for an answer that was lost waits before it: a
// database that comes back within two seconds is asked, one that does not is down.
var lookBacks = [...]time.Duration{0, 50 * time.Millisecond, 150 * time.Millisecond, 300 * time.Millisecond, 500 * time.Millisecond, time.Second}

var (
	queryRecorded = both(`SELECT EXISTS (SELECT 1 FROM outbox WHERE id = $1) OR EXISTS (SELECT 1 FROM events WHERE id = $1)`)
	queryEvent    = both(`SELECT id FROM events WHERE id = $1`)
	// The same as a row, or none.
	queryRecordedRow = both(`SELECT id FROM outbox WHERE id = $1 UNION ALL SELECT id FROM events WHERE id = $1`)
)

// errNoConnection means that nothing was sent.
var errNoConnection = errors.New("acquire a connection")

// unknown reports whether err leaves open what became of what was sent.
func unknown(err error) bool {
	if !fault.Is(err, fault.Unavailable) || errors.Is(err, errNoConnection) {
		return false
	}
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Code[:2] == "57" && pg.Code != "57014" || pg.Code[:2] == "08" // the server went away; not: it stopped a statement
	}
	return true
}

// again repeats work whose outcome err leaves open until it is known: outside a
// transaction, for somebody who still waits. work is safe to repeat.
func (d *DB) again(ctx context.Context, err error, work func() error) error {
	if d.dialect != postgres || d.unit(ctx) != nil || !unknown(err) {
		return err
	}
	for _, pause := range lookBacks {
		if !waited(ctx, pause) {
			return err
		}
		d.driver.renew()
		if err = work(); !fault.Is(err, fault.Unavailable) {
			return err
		}
	}
	return err
}

// waited reports whether a pause is over before whoever waits has gone.
func waited(ctx context.Context, pause time.Duration) bool {
	t := time.NewTimer(pause)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return ctx.Err() == nil
	}
}

// broke reports whether the connection ended, as it does when a server restarts or a
// backend is ended. A server that is slow is no such case.
func broke(err error) bool {
	return err != nil && !errors.Is(err, errNoConnection) && !errors.Is(err, context.DeadlineExceeded) && unknown(fail(err))
}

// repeatable reports whether a statement that failed may be sent once more: a reading
// whose connection ended, and a writing of which nothing was sent.
func repeatable(err error, write bool) bool {
	var half halfRead
	switch {
	case err == nil || errors.As(err, &half):
		return false
	case write:
		return !errors.Is(err, errNoConnection) && pgconn.SafeToRetry(err)
	default:
		return broke(err)
	}
}

// whole makes a change in one statement, with its event, once and no more than once.
func (d *DB) whole(ctx context.Context, q query, args []any, event string) (done bool, err error) {
	var one int
	send := func() error { return d.one(ctx, q, args, &one) }
	err = send()
	err = d.again(ctx, err, func() error {
		err := send()
		if !isNone(err) && !fault.Is(err, fault.Conflict) {
			return err
		}
		var mine bool // or it was done before
		if failed := d.one(ctx, queryRecorded, []any{event}, &mine); failed != nil {
			return failed
		}
		if mine {
			return nil
		}
		return err
	})
	if isNone(err) {
		return false, nil
	}
	return err == nil, err
}

// once sends a statement that may be sent again, and reports whether it found a row.
func (d *DB) once(ctx context.Context, q query, args ...any) (found bool, err error) {
	send := func() error {
		found, err = d.found(ctx, q, args...)
		return err
	}
	err = send()
	err = d.again(ctx, err, send)
	return found && err == nil, err
}

// committed reports whether a transaction whose COMMIT had no answer was committed:
// whether its event is there. It knows only of one that has written an event.
func (d *DB) committed(ctx context.Context, u *unit, err error) (yes bool) {
	if u.event == "" {
		return false
	}
	err = d.again(ctx, err, func() (err error) {
		yes, err = d.claimed(ctx, u.event)
		return err
	})
	return yes && err == nil
}

// claimed tries an event's id, and takes it back: while the transaction that wrote it
// is being committed, the attempt waits for it.
func (d *DB) claimed(ctx context.Context, event string) (bool, error) {
	tx, err := d.driver.begin(ctx)
	if err != nil {
		return false, fail(err)
	}
	defer tx.rollback(context.WithoutCancel(ctx))
	_, err = tx.exec(ctx, queryAppend.text[d.dialect], []any{event, "", "{}"})
	if err = fail(err); err != nil {
		if fault.Is(err, fault.Conflict) {
			return true, nil
		}
		return false, err
	}
	var id string
	err = fail(tx.one(ctx, queryEvent.text[d.dialect], []any{event}, []any{&id}))
	if isNone(err) {
		return false, nil
	}
	return err == nil, err
}
