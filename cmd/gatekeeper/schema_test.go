package main

import (
	"bytes"
	"context"
	"database/sql"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gatekeeper-oidc/gatekeeper/conformance"
	"github.com/gatekeeper-oidc/gatekeeper/storage"
)

// TestASchemaFromTheFutureIsLeftAlone: a server, and every command, refuses a
// database that a newer program has migrated, says so in one sentence, and does
// not touch it. The doctor says what to do.
func TestASchemaFromTheFutureIsLeftAlone(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "gatekeeper.db")
	for name, c := range map[string]struct{ driver, url, dsn string }{
		"sqlite":   {"sqlite", "sqlite:" + file, file},
		"postgres": {"pgx", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if c.url == "" {
				c.url = conformance.Postgres(t, os.Getenv)
				c.dsn = c.url
			}
			if err := storage.Migrate(t.Context(), c.url); err != nil {
				t.Fatal(err)
			}
			ahead(t, c.driver, c.dsn)
			for _, args := range [][]string{
				{"serve", "--listen", "localhost:0", "--management-listen", "off"}, {"client", "list"}, {"migrate", "up"},
			} {
				code, _, said := onDatabase(t, c.url, args...)
				if want := "gatekeeper: The database is for programs that know schema 99, and this one knows "; code != exitConflict || !strings.HasPrefix(said, want) || strings.Count(said, "\n") != 1 {
					t.Errorf("%v: exit %d, %q; want %d, %q…", args, code, said, exitConflict, want)
				}
			}
			code, found, _ := onDatabase(t, c.url, "doctor")
			if code != exitFailed || !strings.Contains(found, "its schema is for programs that know 99, and this one knows") || !strings.Contains(found, "→ run the newer gatekeeper that migrated it") {
				t.Errorf("doctor: exit %d\n%s", code, found)
			}
			if s, err := storage.MigrationStatus(t.Context(), c.url); err != nil || s.Reader != 99 {
				t.Errorf("the schema is %d now (%v)", s.Current, err)
			}
		})
	}
}

// ahead says of a database that a later program has migrated it.
func ahead(t *testing.T, driver, dsn string) {
	t.Helper()
	db, err := sql.Open(driver, dsn)
	if err != nil {
		t.Fatal(err)
	}
	_, err = db.ExecContext(t.Context(), "UPDATE goose_db_version SET version_id = 99 WHERE version_id = (SELECT max(version_id) FROM goose_db_version)")
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

// onDatabase runs the program over the database at url.
func onDatabase(t *testing.T, url string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var out, errs bytes.Buffer
	code = run(ctx, world{
		Args:    append(args, "--database-url", url),
		Environ: []string{"HOME=" + t.TempDir(), "GATEKEEPER_SECRET=spb6Mhz09TvMBQH2IbA-M2VakeZM7V4WNOr1ADNEVvc", "GATEKEEPER_ALGS=RS256"},
		Dir:     t.TempDir(), User: "tester", Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs, Now: time.Now,
	})
	return code, out.String(), errs.String()
}
