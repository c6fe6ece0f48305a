package storage

import (
	"context"
	"errors"

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

// lookBacks is how often an answer that was lost is looked for.
const lookBacks = 2

var (
	queryRecorded = both(`SELECT EXISTS (SELECT 1 FROM outbox WHERE id = $1) OR EXISTS (SELECT 1 FROM events WHERE id = $1)`)
	queryEvent    = both(`SELECT id FROM events WHERE id = $1`)
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

// unsure is unknown where there is a way to find out: outside a transaction, for
// somebody who still waits.
func (d *DB) unsure(ctx context.Context, err error) bool {
	return d.dialect == postgres && d.unit(ctx) == nil && ctx.Err() == nil && unknown(err)
}

// whole makes a change in one statement, with its event, once and no more than once.
func (d *DB) whole(ctx context.Context, q query, args []any, event string) (bool, error) {
	var one int
	err := d.one(ctx, q, args, &one)
	for n := 0; d.unsure(ctx, err) && n < lookBacks; n++ {
		d.driver.renew()
		err = d.one(ctx, q, args, &one)
		if isNone(err) || fault.Is(err, fault.Conflict) {
			return d.recorded(ctx, event)
		}
	}
	if isNone(err) {
		return false, nil
	}
	return err == nil, err
}

// recorded reports whether an event was committed.
func (d *DB) recorded(ctx context.Context, event string) (yes bool, err error) {
	err = d.one(ctx, queryRecorded, []any{event}, &yes)
	for n := 0; d.unsure(ctx, err) && n < lookBacks; n++ {
		d.driver.renew()
		err = d.one(ctx, queryRecorded, []any{event}, &yes)
	}
	return yes, err
}

// once sends a statement that may be sent again, and reports whether it found a row.
func (d *DB) once(ctx context.Context, q query, args ...any) (bool, error) {
	found, err := d.found(ctx, q, args...)
	for n := 0; d.unsure(ctx, err) && n < lookBacks; n++ {
		d.driver.renew()
		found, err = d.found(ctx, q, args...)
	}
	return found, err
}

// committed reports whether a transaction whose COMMIT had no answer was committed:
// whether its event is there. It knows only of one that has written an event.
func (d *DB) committed(ctx context.Context, u *unit, err error) bool {
	for n := 0; u.event != "" && d.unsure(ctx, err) && n < lookBacks; n++ {
		d.driver.renew()
		var yes bool
		if yes, err = d.claimed(ctx, u.event); err == nil {
			return yes
		}
	}
	return false
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
