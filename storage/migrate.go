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

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
	lite "modernc.org/sqlite"

	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
	"github.com/gatekeeper-oidc/gatekeeper/migrations"
)

// Schema tells how far a database's schema is.
type Schema struct {
	Current int64    `json:"current"` // 0: empty
	Latest  int64    `json:"latest"`  // what this program was written for
	Pending []string `json:"pending"` // files still to run, in order
}

var queryVersion = both(`SELECT max(version_id) FROM goose_db_version`)

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
	case s.Current > s.Latest:
		return newerSchema(s.Current, s.Latest)
	case s.Current == s.Latest:
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
	have, err := d.schemaVersion(ctx)
	if err != nil {
		return Schema{}, err
	}
	steps, err := steps(d.dialect)
	if err != nil {
		return Schema{}, err
	}
	s := Schema{Current: have}
	for _, st := range steps {
		s.Latest = st.version
		if st.version > have {
			s.Pending = append(s.Pending, st.name)
		}
	}
	return s, nil
}

// schemaVersion asks with one cheap statement; 0 is an empty database.
func (d *DB) schemaVersion(ctx context.Context) (int64, error) {
	var v sql.NullInt64
	err := d.one(ctx, queryVersion, nil, &v)
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

func latest(dia dialect) (int64, error) {
	all, err := steps(dia)
	if err != nil || len(all) == 0 {
		return 0, err
	}
	return all[len(all)-1].version, nil
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
	p, err := goose.NewProvider(name, db, fsys, append(options, goose.WithDisableGlobalRegistry(true))...)
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
	locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, 300)) // every second, for five minutes
	if err != nil {
		return nil, "", nil, err
	}
	return stdlib.OpenDB(*c), goose.DialectPostgres, []goose.ProviderOption{goose.WithSessionLocker(locker)}, nil
}

func prepareSQLite(url string) (*sql.DB, goose.Dialect, []goose.ProviderOption, error) {
	path, err := sqlitePath(url)
	if err != nil {
		return nil, "", nil, err
	}
	db, err := sql.Open("sqlite", sqliteDSN(path))
	return db, goose.DialectSQLite3, nil, err
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
		Detail: fmt.Sprintf("The database has schema %d and this program knows %d: run a newer gatekeeper.", have, want),
	}
}

func olderSchema(have, want int64) error {
	return &fault.Error{
		Kind: fault.Conflict, Code: "schema_older", Rule: "schema_version",
		Detail: fmt.Sprintf("The database has schema %d and this program needs %d: run `gatekeeper migrate up`.", have, want),
	}
}
