package storage_test

import (
	"database/sql"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatekeeper-oidc/gatekeeper/conformance"
	"github.com/gatekeeper-oidc/gatekeeper/identity"
	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
	"github.com/gatekeeper-oidc/gatekeeper/migrations"
	"github.com/gatekeeper-oidc/gatekeeper/storage"
)

func open(t *testing.T, url string) *storage.DB {
	t.Helper()
	db, err := storage.Open(t.Context(), storage.Config{URL: url, Migrate: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

func sqliteURL(t *testing.T) string {
	t.Helper()
	return "sqlite:" + filepath.Join(t.TempDir(), "test.db")
}

// raw opens the database at url beside the program.
func raw(t *testing.T, url string) *sql.DB {
	t.Helper()
	driver, dsn := "pgx", url
	if path, ok := strings.CutPrefix(url, "sqlite:"); ok {
		driver, dsn = "sqlite", path
	}
	db, err := sql.Open(driver, dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func exec(t *testing.T, db *sql.DB, text string) {
	t.Helper()
	if _, err := db.ExecContext(t.Context(), text); err != nil {
		t.Fatal(err)
	}
}

// empty are databases without a schema.
var empty = map[string]func(t *testing.T) string{
	"sqlite":   sqliteURL,
	"postgres": func(t *testing.T) string { t.Helper(); return conformance.EmptyPostgres(t, os.Getenv) },
}

func onEach(t *testing.T, f func(t *testing.T, url string)) {
	t.Helper()
	for name, fresh := range empty {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f(t, fresh(t))
		})
	}
}

// tables lists "table.column" of a schema.
func tables(t *testing.T, url, query string) (columns []string) {
	t.Helper()
	rows, err := raw(t, url).QueryContext(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var c string
		if err := rows.Scan(&c); err != nil {
			t.Fatal(err)
		}
		columns = append(columns, c)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	slices.Sort(columns)
	return columns
}

func TestBothDialectsEndWithTheSameSchema(t *testing.T) {
	t.Parallel()
	lite, pg := sqliteURL(t), conformance.EmptyPostgres(t, os.Getenv)
	open(t, lite)
	open(t, pg)
	const types = `replace(replace(replace(%s, 'bigint', 'integer'), 'boolean', 'integer'), 'bytea', 'blob')`
	for name, query := range map[string][2]string{
		"columns": {
			`SELECT m.name || '.' || p.name || ' ' || lower(p.type) FROM sqlite_schema m JOIN pragma_table_info(m.name) p
				WHERE m.type = 'table' AND m.name NOT LIKE 'goose%' AND m.name NOT LIKE 'schema%' AND m.name NOT LIKE 'sqlite%'`,
			`SELECT table_name || '.' || column_name || ' ' || ` + strings.ReplaceAll(types, "%s", "data_type") + ` FROM information_schema.columns
				WHERE table_schema = 'public' AND table_name NOT LIKE 'goose%' AND table_name NOT LIKE 'schema%'`,
		},
		"indexes": {
			`SELECT tbl_name || '.' || name FROM sqlite_schema WHERE type = 'index' AND name NOT LIKE 'sqlite%'`,
			`SELECT tablename || '.' || indexname FROM pg_indexes WHERE schemaname = 'public' AND tablename NOT LIKE 'goose%' AND tablename NOT LIKE 'schema%'
				AND indexname NOT LIKE '%_pkey' AND indexname NOT LIKE '%_key'`,
		},
	} {
		got, want := tables(t, lite, query[0]), tables(t, pg, query[1])
		if len(want) == 0 {
			t.Fatalf("no %s", name)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-postgres +sqlite):\n%s", name, diff)
		}
	}
}

func TestSchemaOlderThanTheProgramIsRefusedUnlessMigrated(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, url string) {
		t.Helper()
		_, err := storage.Open(t.Context(), storage.Config{URL: url})
		if f := fault.Of(err); f.Code != "schema_older" || !strings.Contains(f.Detail, "gatekeeper migrate up") {
			t.Fatalf("error = %v, want one that names the command", err)
		}
		before, err := storage.MigrationStatus(t.Context(), url)
		if err != nil || before.Current != 0 || len(before.Pending) == 0 {
			t.Fatalf("status = %+v, %v", before, err)
		}
		if err := storage.Migrate(t.Context(), url); err != nil {
			t.Fatal(err)
		}
		after, err := storage.MigrationStatus(t.Context(), url)
		if err != nil || after.Current != after.Latest || after.Latest != before.Latest || len(after.Pending) != 0 {
			t.Fatalf("status = %+v, %v after %+v", after, err, before)
		}
		if err := storage.Migrate(t.Context(), url); err != nil {
			t.Errorf("migrating again: %v", err)
		}
		db, err := storage.Open(t.Context(), storage.Config{URL: url})
		if err != nil {
			t.Fatal(err)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestSchemaNewerThanTheProgramIsRefused(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, url string) {
		t.Helper()
		if err := storage.Migrate(t.Context(), url); err != nil {
			t.Fatal(err)
		}
		exec(t, raw(t, url), `INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, `+map[bool]string{true: "1", false: "true"}[strings.HasPrefix(url, "sqlite:")]+`)`)
		for _, migrate := range []bool{false, true} {
			_, err := storage.Open(t.Context(), storage.Config{URL: url, Migrate: migrate})
			if f := fault.Of(err); f.Code != "schema_newer" {
				t.Errorf("migrate %t: error = %v", migrate, err)
			}
		}
		if f := fault.Of(storage.Migrate(t.Context(), url)); f.Code != "schema_newer" {
			t.Errorf("Migrate: error = %v", f)
		}
	})
}

func TestNodesThatStartTogetherMigrateOnce(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, url string) {
		t.Helper()
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() {
				db, err := storage.Open(t.Context(), storage.Config{URL: url, Migrate: true})
				if err != nil {
					t.Error(err)
					return
				}
				if err := db.Close(); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
	})
}

func TestURLsThatAreNone(t *testing.T) {
	t.Parallel()
	for _, url := range []string{"", "mysql://x", "sqlite:", "sqlite::memory:", "postgres://%zz"} {
		if db, err := storage.Open(t.Context(), storage.Config{URL: url, Migrate: true}); err == nil {
			_ = db.Close()
			t.Errorf("%q was opened", url)
		}
	}
}

func TestNobodyListensAtTheURL(t *testing.T) {
	t.Parallel()
	_, err := storage.Open(t.Context(), storage.Config{URL: "postgres://x@127.0.0.1:1/x?sslmode=disable"})
	if !fault.Is(err, fault.Unavailable) {
		t.Errorf("error = %v, want Unavailable", err)
	}
}

func TestSQLiteFileBelongsToItsOwnerAlone(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data dir %41?")
	path := filepath.Join(dir, "gate keeper.db")
	db := open(t, "sqlite:"+path)
	if err := db.InsertUser(t.Context(), identity.User{ID: "u", Email: "u"}); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]os.FileMode{dir: 0o700, path: 0o600, path + "-wal": 0o600, path + "-shm": 0o600} {
		info, err := os.Stat(name)
		if err != nil {
			t.Error(err)
		} else if got := info.Mode().Perm(); got != want {
			t.Errorf("%s has mode %o, want %o", name, got, want)
		}
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	open(t, "sqlite:"+path)
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("after opening a file others could read: %v, %v", info.Mode(), err)
	}
}

func TestARowNobodyUnderstandsIsNotAnOutage(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, url string) {
		t.Helper()
		db := open(t, url)
		if err := db.InsertUser(t.Context(), identity.User{ID: "u", Email: "u"}); err != nil {
			t.Fatal(err)
		}
		exec(t, raw(t, url), `UPDATE users SET profile = '{'`)
		if _, err := db.User(t.Context(), "u"); err == nil || fault.Of(err).Kind != fault.Internal {
			t.Errorf("one: %v, want Internal", err)
		}
		if _, _, err := db.Users(t.Context(), "", identity.Page{}); err == nil || fault.Of(err).Kind != fault.Internal {
			t.Errorf("all: %v, want Internal", err)
		}
	})
}

func TestBackupIsACopyOfWhatWasCommitted(t *testing.T) {
	t.Parallel()
	db := open(t, sqliteURL(t))
	if err := db.InsertUser(t.Context(), identity.User{ID: "u", Email: "u", Status: identity.Active}); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "backup.db")
	if err := db.Backup(t.Context(), file); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode = %v, %v, want 0600", info.Mode(), err)
	}
	if _, err := open(t, "sqlite:"+file).User(t.Context(), "u"); err != nil {
		t.Errorf("the copy lacks the user: %v", err)
	}
	if err := db.Backup(t.Context(), file); err == nil {
		t.Error("a file that exists was overwritten")
	}
}

func TestBackupOfPostgresNamesTheTool(t *testing.T) {
	t.Parallel()
	db := open(t, conformance.Postgres(t, os.Getenv))
	if err := db.Backup(t.Context(), filepath.Join(t.TempDir(), "x")); !fault.Is(err, fault.Invalid) {
		t.Errorf("error = %v, want Invalid", err)
	}
}

// TestStepsOnlyAdd: the release before goes on working on what a step made, or the
// step says that it does not.
func TestStepsOnlyAdd(t *testing.T) {
	t.Parallel()
	takes := regexp.MustCompile(`(?i)\b(DROP (TABLE|COLUMN)|RENAME|ALTER COLUMN|SET NOT NULL|ADD CONSTRAINT)\b`)
	for _, dialect := range []string{"postgres", "sqlite"} {
		files, err := migrations.FS(dialect)
		if err != nil {
			t.Fatal(err)
		}
		names, err := fs.Glob(files, "*.sql")
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			text, err := fs.ReadFile(files, name)
			if err != nil {
				t.Fatal(err)
			}
			if name > "0006" && takes.Match(text) && !strings.Contains(string(text), "INSERT INTO goose_db_version") {
				t.Errorf("%s/%s takes something away from the release before: %s", dialect, name, takes.Find(text))
			}
		}
	}
}
