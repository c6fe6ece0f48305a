package storage

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/google/uuid"

	"github.com/gatekeeper-oidc/gatekeeper/audit"
	"github.com/gatekeeper-oidc/gatekeeper/consent"
	"github.com/gatekeeper-oidc/gatekeeper/identity"
	"github.com/gatekeeper-oidc/gatekeeper/keys"
	"github.com/gatekeeper-oidc/gatekeeper/oauth2"
)

var (
	_ audit.Store    = (*DB)(nil)
	_ keys.Store     = (*DB)(nil)
	_ identity.Store = (*DB)(nil)
	_ oauth2.Store   = (*DB)(nil)
	_ consent.Store  = (*DB)(nil)
)

// DB is an open database. It is safe for concurrent use.
type DB struct {
	dialect dialect
	driver  driver
	bell    *bell
	trips   atomic.Uint64
}

// A driver reaches one kind of database.
type driver interface {
	reader() executor // one statement at a time, each its own transaction
	writer() executor
	begin(ctx context.Context) (transaction, error)
	// renew lets go of idle connections, which may have broken with another.
	renew()
	// ring tells other processes; listen hears them until ctx ends or it breaks.
	ring(ctx context.Context, topics []string) error
	listen(ctx context.Context, deliver func(topic string)) error
	close() error
}

// An executor sends statements.
type executor interface {
	exec(ctx context.Context, text string, args []any) (int64, error)
	one(ctx context.Context, text string, args, dest []any) error
	all(ctx context.Context, text string, args []any, scan func(row) error) error
	// batch runs one statement for each row of arguments, all or nothing.
	batch(ctx context.Context, text string, rows [][]any) error
}

// A row is what both drivers call one.
type row interface{ Scan(dest ...any) error }

// A transaction is an executor whose statements happen together or not at all.
type transaction interface {
	executor
	commit(ctx context.Context) error
	rollback(ctx context.Context)
}

// unit is the transaction a context carries.
type unit struct {
	transaction
	topics []string // to ring after commit
	event  string   // one of those it wrote, by which it is known again
	doomed error    // the first failure; what follows it cannot be kept
}

// txKey is the key of the unit in a context; each DB has its own.
type txKey struct{ db *DB }

func (d *DB) unit(ctx context.Context) *unit {
	u, _ := ctx.Value(txKey{d}).(*unit)
	return u
}

// InTx runs f in one transaction, carried by the context f is given, and commits
// it if f returns nil. Inside another InTx it joins that one. Once a statement or
// a joined f has failed the transaction is rolled back, whatever f returns.
func (d *DB) InTx(ctx context.Context, f func(ctx context.Context) error) error {
	if u := d.unit(ctx); u != nil {
		err := f(ctx)
		u.doom(err)
		return err
	}
	tx, err := d.driver.begin(ctx)
	if err != nil {
		return fail(fmt.Errorf("begin: %w", err))
	}
	d.trips.Add(1)
	u := &unit{transaction: tx}
	committed := false
	defer func() {
		if !committed {
			tx.rollback(context.WithoutCancel(ctx)) // also when f panics
		}
	}()
	if err := f(context.WithValue(ctx, txKey{d}, u)); err != nil {
		return err
	}
	if u.doomed != nil {
		return fmt.Errorf("transaction failed earlier: %w", u.doomed)
	}
	if d.dialect == postgres {
		d.trips.Add(1)
	}
	if err := tx.commit(ctx); err != nil {
		committed = true // or not: it has ended, and its connection is given back
		tx.rollback(context.WithoutCancel(ctx))
		err = fail(fmt.Errorf("commit: %w", err))
		if !d.committed(ctx, u, err) {
			return err
		}
	}
	committed = true
	d.bell.ring(u.topics)
	return nil
}

// wrote notes that the transaction of ctx, if there is one, writes an event.
func (d *DB) wrote(ctx context.Context, row []any) {
	if u := d.unit(ctx); u != nil {
		u.event, _ = row[0].(string)
	}
}

func (u *unit) doom(err error) {
	if err != nil && u.doomed == nil {
		u.doomed = err
	}
}

// Trips returns how often the database was waited for since Open: what a request
// costs is the difference. On Postgres that is every statement, BEGIN and COMMIT
// among them; on SQLite, which has no network, a transaction is one turn of the
// writer and counts once.
func (d *DB) Trips() uint64 { return d.trips.Load() }

// send runs f on the transaction of ctx, or on the connection q asks for, and
// translates its error.
func (d *DB) send(ctx context.Context, q query, args []any, f func(e executor, text string) error) error {
	if err := checkArgs(args); err != nil {
		return err
	}
	text, u := q.text[d.dialect], d.unit(ctx)
	if u == nil || d.dialect == postgres {
		d.trips.Add(1)
	}
	if u != nil {
		err := fail(f(u, text))
		if err != nil && !isNone(err) {
			u.doom(err)
		}
		return err
	}
	e := d.driver.reader()
	if q.write {
		e = d.driver.writer()
	}
	err := fail(f(e, text))
	if d.dialect == postgres && ctx.Err() == nil && repeatable(err, q.write) {
		d.trips.Add(1)
		err = fail(f(e, text)) // on another connection: this one is closed
	}
	return err
}

func (d *DB) exec(ctx context.Context, q query, args ...any) (n int64, err error) {
	err = d.send(ctx, q, args, func(e executor, text string) error {
		n, err = e.exec(ctx, text, args)
		return err
	})
	return n, err
}

// one reads the first row of q into dest; errNone if there is none.
func (d *DB) one(ctx context.Context, q query, args []any, dest ...any) error {
	return d.send(ctx, q, args, func(e executor, text string) error { return e.one(ctx, text, args, dest) })
}

// all reads every row of q.
func (d *DB) all(ctx context.Context, q query, args []any, scan func(row) error) error {
	return d.send(ctx, q, args, func(e executor, text string) error {
		begun := false
		err := e.all(ctx, text, args, func(r row) error {
			begun = true
			if err := scan(r); err != nil {
				return rowError{err}
			}
			return nil
		})
		if err != nil && begun {
			return halfRead{err}
		}
		return err
	})
}

func (d *DB) batch(ctx context.Context, q query, rows [][]any) error {
	for _, args := range rows {
		if err := checkArgs(args); err != nil {
			return err
		}
	}
	return d.send(ctx, q, nil, func(e executor, text string) error { return e.batch(ctx, text, rows) })
}

// ids reads a query of one text column.
func (d *DB) ids(ctx context.Context, q query, args ...any) (ids []string, err error) {
	err = d.all(ctx, q, args, func(r row) error {
		var id string
		if err := r.Scan(&id); err != nil {
			return err
		}
		ids = append(ids, id)
		return nil
	})
	return ids, err
}

// changed tells those who cache something about topics, after the commit.
func (d *DB) changed(ctx context.Context, topics ...string) {
	if u := d.unit(ctx); u != nil {
		u.topics = append(u.topics, topics...)
		return
	}
	d.bell.ring(topics)
}

// topics names ids of one kind.
func topics(kind string, ids []string) []string {
	t := make([]string, len(ids))
	for i, id := range ids {
		t[i] = kind + ":" + id
	}
	return t
}

// newID returns a UUIDv7, which sorts by time.
func newID() (string, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return "", fmt.Errorf("make an id: %w", err)
	}
	return id.String(), nil
}
