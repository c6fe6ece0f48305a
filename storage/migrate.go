package storage

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
	lite "modernc.org/sqlite"

	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
	"github.com/gatekeeper-oidc/gatekeeper/migrations"
)

// Schema tells how far a database's schema is. A program runs on every schema from
// its own on, as long as no migration since took away what it reads: Reader is the
// oldest program that still may.
type Schema struct {
	Current int64    `json:"current"` // 0: empty
	Latest  int64    `json:"latest"`  // what this program was written for
	Reader  int64    `json:"reader"`  // the oldest program, by its Latest, that this schema is for
	Pending []string `json:"pending"` // files still to run, in order
}

// Two tables keep versions. stepsTable has the steps that ran. goose_db_version has
// the oldest program that may run: it is what programs before that distinction ask
// for the schema's version, and refuse if it is newer than they know. So a step that
// only adds leaves it alone, and one that takes away, whose release comes one later,
// says which program it is for:
//
//	INSERT INTO goose_db_version (version_id, is_applied) VALUES (20, TRUE);
const stepsTable = "schema_steps"

var (
	queryVersion = both(`SELECT max(version_id) FROM ` + stepsTable)
	queryReader  = both(`SELECT max(version_id) FROM goose_db_version`)
)

// Migrate brings the schema of the database at url up to date. Nodes that start
// together wait for each other.
func Migrate(ctx context.Context, url string) error {
	dia, err := dialectOf(url)
	if err != nil {
		return err
	}
	s, err := MigrationStatus(ctx, url)
	switch {
	case err != nil:
		return err
	case s.Reader > s.Latest:
		return newerSchema(s.Reader, s.Latest)
	case len(s.Pending) == 0:
		return nil
	}
	return migrate(ctx, dia, url)
}

// MigrationStatus compares the schema of the database at url with this program.
func MigrationStatus(ctx context.Context, url string) (Schema, error) {
	dia, err := dialectOf(url)
	if err != nil {
		return Schema{}, err
	}
	d := &DB{dialect: dia}
	if d.driver, err = dial(ctx, dia, Config{URL: url, MaxConns: 1}); err != nil {
		return Schema{}, err
	}
	s, err := d.status(ctx)
	return s, errors.Join(err, d.driver.close())
}

func (d *DB) status(ctx context.Context) (Schema, error) {
	have, reader, err := d.schemaVersion(ctx)
	if err != nil {
		return Schema{}, err
	}
	steps, err := steps(d.dialect)
	if err != nil {
		return Schema{}, err
	}
	s := Schema{Current: have, Reader: reader}
	for _, st := range steps {
		s.Latest = st.version
		if st.version > have {
			s.Pending = append(s.Pending, st.name)
		}
	}
	return s, nil
}

// schemaVersion returns the newest step that ran, and the oldest program that may
// run; zeros are an empty database.
func (d *DB) schemaVersion(ctx context.Context) (have, reader int64, err error) {
	if reader, err = d.version(ctx, queryReader); err != nil || reader == 0 {
		return 0, 0, err
	}
	have, err = d.version(ctx, queryVersion)
	if have == 0 {
		have = reader // made before the two were told apart
	}
	return have, reader, err
}

// version asks with one cheap statement; 0 is a table that is not there.
func (d *DB) version(ctx context.Context, q query) (int64, error) {
	var v sql.NullInt64
	err := d.one(ctx, q, nil, &v)
	var pg *pgconn.PgError
	var li *lite.Error
	switch {
	case errors.As(err, &pg) && pg.Code == "42P01": // undefined_table
		return 0, nil
	case errors.As(err, &li) && strings.Contains(li.Error(), "no such table"):
		return 0, nil
	case err != nil:
		return 0, fmt.Errorf("read the schema's version: %w", err)
	}
	return v.Int64, nil
}

// A step is one migration file.
type step struct {
	version int64
	name    string
}

// steps lists the migrations of a dialect in order.
func steps(dia dialect) ([]step, error) {
	fsys, err := migrations.FS(dia.String())
	if err != nil {
		return nil, err
	}
	names, err := fs.Glob(fsys, "*.sql")
	if err != nil {
		return nil, err
	}
	var all []step
	for _, n := range names {
		number, _, _ := strings.Cut(n, "_")
		v, err := strconv.ParseInt(number, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("migration %s: %w", n, err)
		}
		all = append(all, step{v, n})
	}
	slices.SortFunc(all, func(a, b step) int { return int(a.version - b.version) })
	return all, nil
}

// migrate runs what is pending, on connections of its own that have no
// statement timeout.
func migrate(ctx context.Context, dia dialect, url string) error {
	fsys, err := migrations.FS(dia.String())
	if err != nil {
		return err
	}
	prepare := prepareSQLite
	if dia == postgres {
		prepare = preparePostgres
	}
	db, name, options, err := prepare(url)
	if err != nil {
		return fmt.Errorf("prepare the migration: %w", err)
	}
	defer db.Close()
	if err := adopt(ctx, db, dia); err != nil {
		return fmt.Errorf("prepare the migration: %w", err)
	}
	p, err := goose.NewProvider(name, db, fsys, append(options, goose.WithDisableGlobalRegistry(true), goose.WithTableName(stepsTable))...)
	if err != nil {
		return fmt.Errorf("prepare the migration: %w", err)
	}
	return up(ctx, p, dia)
}

func preparePostgres(url string) (*sql.DB, goose.Dialect, []goose.ProviderOption, error) {
	c, err := pgx.ParseConfig(url)
	if err != nil {
		return nil, "", nil, err
	}
	newLine(c, url) // without its timeouts
	// A lock in a table, not of the session, and no prepared statements: a pooler may
	// give each transaction another session.
	c.DefaultQueryExecMode = pgx.QueryExecModeExec
	locker, err := lock.NewPostgresTableLocker(lock.WithTableName("schema_lock"), lock.WithTableLockTimeout(time.Second, 300))
	if err != nil {
		return nil, "", nil, err
	}
	return stdlib.OpenDB(*c), goose.DialectPostgres, []goose.ProviderOption{goose.WithLocker(locker)}, nil
}

func prepareSQLite(url string) (*sql.DB, goose.Dialect, []goose.ProviderOption, error) {
	path, err := sqlitePath(url)
	if err != nil {
		return nil, "", nil, err
	}
	db, err := sql.Open("sqlite", sqliteDSN(path))
	return db, goose.DialectSQLite3, nil, err
}

// adopt makes stepsTable of a database from before it: what goose_db_version says ran
// did. Of programs that start together one does it.
func adopt(ctx context.Context, db *sql.DB, dia dialect) error {
	made := `CREATE TABLE IF NOT EXISTS ` + stepsTable + ` (id INTEGER PRIMARY KEY AUTOINCREMENT, version_id INTEGER NOT NULL, is_applied INTEGER NOT NULL, tstamp TIMESTAMP DEFAULT (datetime('now')))`
	there := `SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = 'goose_db_version'`
	if dia == postgres {
		made = `CREATE TABLE IF NOT EXISTS ` + stepsTable + ` (id integer PRIMARY KEY GENERATED BY DEFAULT AS IDENTITY, version_id bigint NOT NULL, is_applied boolean NOT NULL, tstamp timestamp NOT NULL DEFAULT now())`
		there = `SELECT count(*) FROM information_schema.tables WHERE table_schema = current_schema() AND table_name = 'goose_db_version'`
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // after a commit there is nothing to roll back
	if dia == postgres {
		if _, err := tx.ExecContext(ctx, `SELECT pg_advisory_xact_lock(3141592653)`); err != nil {
			return err
		}
	}
	if _, err := tx.ExecContext(ctx, made); err != nil {
		return err
	}
	var old, have int64
	if err := tx.QueryRowContext(ctx, there).Scan(&old); err != nil {
		return err
	}
	if err := tx.QueryRowContext(ctx, `SELECT count(*) FROM `+stepsTable).Scan(&have); err != nil {
		return err
	}
	switch {
	case have > 0:
	case old > 0:
		_, err = tx.ExecContext(ctx, `INSERT INTO `+stepsTable+` (version_id, is_applied) SELECT version_id, is_applied FROM goose_db_version ORDER BY id`)
	default:
		_, err = tx.ExecContext(ctx, `INSERT INTO `+stepsTable+` (version_id, is_applied) SELECT 0, TRUE`) // the library's own beginning
	}
	if err != nil {
		return err
	}
	return tx.Commit()
}

// up migrates. SQLite has no lock that spans migrations, so of two processes one
// may stumble over what the other has just made, and looks again.
func up(ctx context.Context, p *goose.Provider, dia dialect) error {
	const tries = 3
	var err error
	for range tries {
		if _, err = p.Up(ctx); err == nil {
			return nil
		}
		if dia == postgres || ctx.Err() != nil {
			break
		}
	}
	return fmt.Errorf("migrate the schema: %w", err)
}

func newerSchema(have, want int64) error {
	return &fault.Error{
		Kind: fault.Conflict, Code: "schema_newer", Rule: "schema_version",
		Detail: fmt.Sprintf("The database is for programs that know schema %d, and this one knows %d: run a newer gatekeeper.", have, want),
	}
}

func olderSchema(have, want int64) error {
	return &fault.Error{
		Kind: fault.Conflict, Code: "schema_older", Rule: "schema_version",
		Detail: fmt.Sprintf("The database has schema %d and this program needs %d: run `gatekeeper migrate up`.", have, want),
	}
}
