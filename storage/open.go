package storage

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"
)

// Config says which database to open, and how.
type Config struct {
	URL      string // "sqlite:PATH" or "postgres://…"
	Migrate  bool   // bring the schema up to date; otherwise an older one is refused
	MaxConns int    // of the pool (Postgres) or of the readers (SQLite); 0 chooses
	Log      *slog.Logger
	Tracing  bool // a span for every statement (Postgres)
}

var (
	queryNow  = both("SELECT {now}")
	queryPing = both("SELECT 1")
	// A standby says "on" as well.
	queryReadOnly = both("SELECT current_setting('transaction_read_only')")
)

// dialectOf reads the kind of database from a URL.
func dialectOf(url string) (dialect, error) {
	switch {
	case strings.HasPrefix(url, "sqlite:"):
		return sqlite, nil
	case strings.HasPrefix(url, "postgres://"), strings.HasPrefix(url, "postgresql://"):
		return postgres, nil
	default:
		return 0, errors.New(`the database URL begins with "sqlite:" or "postgres://"`)
	}
}

// Open opens the database and checks its schema: one that is no longer for this
// program is refused, an older one is migrated or refused. The context bounds
// opening alone; Close ends what Open began.
func Open(ctx context.Context, cfg Config) (*DB, error) {
	dia, err := dialectOf(cfg.URL)
	if err != nil {
		return nil, err
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	d := &DB{dialect: dia}
	if d.driver, err = dial(ctx, dia, cfg); err != nil {
		return nil, err
	}
	if err := d.ready(ctx, cfg); err != nil {
		return nil, errors.Join(err, d.driver.close())
	}
	d.bell = newBell(context.WithoutCancel(ctx), d.driver, cfg.Log)
	return d, nil
}

func dial(ctx context.Context, dia dialect, cfg Config) (driver, error) {
	if dia == sqlite {
		return openSQLite(ctx, cfg)
	}
	return openPostgres(ctx, cfg)
}

// ready compares the schema with the one this program was written for. A newer one is
// good as long as it was made for this program too.
func (d *DB) ready(ctx context.Context, cfg Config) error {
	s, err := d.status(ctx)
	switch {
	case err != nil:
		return err
	case s.Reader > s.Latest:
		return newerSchema(s.Reader, s.Latest)
	case s.Current >= s.Latest:
		return nil
	case cfg.Migrate:
		return migrate(ctx, d.dialect, cfg.URL)
	default:
		return olderSchema(s.Current, s.Latest)
	}
}

// Close rings what is still to be rung and closes every connection.
func (d *DB) Close() error {
	d.bell.close()
	return d.driver.close()
}

// Ping reports whether the database answers.
func (d *DB) Ping(ctx context.Context) error {
	var one int
	return d.one(ctx, queryPing, nil, &one)
}

// ErrReadOnly means that the database answers and takes no changes.
var ErrReadOnly = errors.New("the database takes no changes: it is a standby, or set to be read only")

// Writable reports whether the database answers and takes changes.
func (d *DB) Writable(ctx context.Context) error {
	if d.dialect == sqlite {
		return d.Ping(ctx)
	}
	var readOnly string
	if err := d.one(ctx, queryReadOnly, nil, &readOnly); err != nil {
		return err
	}
	if readOnly == "on" {
		d.driver.renew() // the next connection may lead to another server
		return ErrReadOnly
	}
	return nil
}

// Now returns the database's clock, which every node agrees on.
func (d *DB) Now(ctx context.Context) (time.Time, error) {
	var us int64
	if err := d.one(ctx, queryNow, nil, &us); err != nil {
		return time.Time{}, fmt.Errorf("read the database's clock: %w", err)
	}
	return instant(us), nil
}

func isNone(err error) bool { return errors.Is(err, errNone) }
