package storage

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"time"

	"github.com/exaring/otelpgx"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// How long Postgres may keep us waiting (security.md: timeouts on everything).
const (
	acquireTimeout = 2 * time.Second // for a connection of the pool
	answerTimeout  = 5 * time.Second // for an answer, when the network swallowed it
)

// serverTimeouts are set on every connection, or in every transaction behind a pooler,
// unless the URL says otherwise.
var serverTimeouts = map[string]time.Duration{
	"statement_timeout":                   3 * time.Second,
	"lock_timeout":                        time.Second,
	"idle_in_transaction_session_timeout": 5 * time.Second,
}

// postgresDB is the driver for Postgres.
type postgresDB struct {
	pool *pgxpool.Pool
	node string // the sender of our notifications
	log  *slog.Logger
	line *line
	room *room
}

func openPostgres(ctx context.Context, cfg Config) (*postgresDB, error) {
	c, err := pgxpool.ParseConfig(cfg.URL)
	if err != nil {
		return nil, fmt.Errorf("read the database URL: %w", err)
	}
	p := &postgresDB{line: newLine(c.ConnConfig, cfg.URL), log: cfg.Log}
	if c.ConnConfig.ConnectTimeout == 0 || c.ConnConfig.ConnectTimeout > acquireTimeout {
		c.ConnConfig.ConnectTimeout = acquireTimeout
	}
	if cfg.MaxConns <= 0 && !strings.Contains(cfg.URL, "pool_max_conns") {
		cfg.MaxConns = max(16, 4*runtime.GOMAXPROCS(0)) // commits of many callers share one flush of the log
	}
	if cfg.MaxConns > 0 {
		c.MaxConns = int32(min(cfg.MaxConns, 1<<15))
	}
	c.MaxConnLifetimeJitter = c.MaxConnLifetime / 10
	if cfg.Tracing {
		c.ConnConfig.Tracer = otelpgx.NewTracer()
	}
	c.BeforeConnect, c.AfterConnect, c.PrepareConn = p.line.choose, p.line.greet, sound
	c.ConnConfig.OnNotification = func(*pgconn.PgConn, *pgconn.Notification) {} // whoever listens does so elsewhere
	p.room = newRoom(int(c.MaxConns))
	if p.node, err = newID(); err != nil {
		return nil, err
	}
	if p.pool, err = pgxpool.NewWithConfig(ctx, c); err != nil {
		return nil, err
	}
	return p, nil
}

func (p *postgresDB) reader() executor { return pooled{p} }
func (p *postgresDB) writer() executor { return pooled{p} }

func (p *postgresDB) renew() { p.pool.Reset() }

func (p *postgresDB) close() error {
	p.pool.Close()
	return nil
}

func (p *postgresDB) begin(ctx context.Context) (transaction, error) {
	u, err := p.beginOn(ctx)
	if err != nil && ctx.Err() == nil && broke(err) {
		u, err = p.beginOn(ctx) // nothing was done yet
	}
	if err != nil {
		return nil, err
	}
	return u, nil
}

func (p *postgresDB) beginOn(ctx context.Context) (*pgUnit, error) {
	conn, err := p.acquire(ctx)
	if err != nil {
		return nil, err
	}
	wait, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	tx, err := conn.BeginTx(wait, p.line.txOptions())
	if err != nil {
		conn.Release()
		return nil, err
	}
	return &pgUnit{pgConn{tx}, conn, tx}, nil
}

// pgUnit is a transaction on a connection of its own.
type pgUnit struct {
	pgConn
	conn lease
	tx   pgx.Tx
}

func (u *pgUnit) commit(ctx context.Context) error {
	wait, cancel := context.WithTimeout(context.WithoutCancel(ctx), answerTimeout) // once decided, it is not called off
	defer cancel()
	if err := u.tx.Commit(wait); err != nil {
		return err // rollback follows and releases
	}
	u.conn.Release()
	return nil
}

func (u *pgUnit) rollback(ctx context.Context) {
	wait, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	_ = u.tx.Rollback(wait) // a connection that cannot roll back is closed by Release
	u.conn.Release()
}

// pooled runs each statement on a connection of the pool.
type pooled struct{ *postgresDB }

func (p pooled) with(ctx context.Context, f func(ctx context.Context, c pgConn) error) error {
	conn, err := p.acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	return f(ctx, pgConn{conn})
}

func (p pooled) exec(ctx context.Context, text string, args []any) (n int64, err error) {
	err = p.with(ctx, func(ctx context.Context, c pgConn) error {
		n, err = c.exec(ctx, text, args)
		return err
	})
	return n, err
}

func (p pooled) one(ctx context.Context, text string, args, dest []any) error {
	return p.with(ctx, func(ctx context.Context, c pgConn) error { return c.one(ctx, text, args, dest) })
}

func (p pooled) all(ctx context.Context, text string, args []any, scan func(row) error) error {
	return p.with(ctx, func(ctx context.Context, c pgConn) error { return c.all(ctx, text, args, scan) })
}

func (p pooled) batch(ctx context.Context, text string, rows [][]any) error {
	return p.with(ctx, func(ctx context.Context, c pgConn) error { return c.batch(ctx, text, rows) })
}

// pgSender is what a connection and a transaction have in common.
type pgSender interface {
	Query(ctx context.Context, text string, args ...any) (pgx.Rows, error)
	SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults
}

// pgConn runs statements on one connection, each within answerTimeout.
type pgConn struct{ pgSender }

func (c pgConn) exec(ctx context.Context, text string, args []any) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	rows, err := c.Query(ctx, text, args...)
	if err != nil {
		return 0, err
	}
	rows.Close()
	return rows.CommandTag().RowsAffected(), rows.Err()
}

func (c pgConn) one(ctx context.Context, text string, args, dest []any) error {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	rows, err := c.Query(ctx, text, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	found := rows.Next()
	if found {
		if err := rows.Scan(dest...); err != nil {
			return rowError{err}
		}
	}
	rows.Close() // reads to the end: only then is it known to be committed
	if err := rows.Err(); err != nil {
		return err
	}
	if !found {
		return errNone
	}
	return nil
}

func (c pgConn) all(ctx context.Context, text string, args []any, scan func(row) error) error {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	rows, err := c.Query(ctx, text, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

func (c pgConn) batch(ctx context.Context, text string, rows [][]any) error {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	b := &pgx.Batch{}
	for _, args := range rows {
		b.Queue(text, args...)
	}
	results := c.SendBatch(ctx, b)
	var failed error
	for range rows {
		if _, err := results.Exec(); err != nil && failed == nil {
			failed = err
		}
	}
	return errors.Join(failed, results.Close())
}
