package conformance

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/url"
	"testing"

	"github.com/gatekeeper-oidc/gatekeeper/migrations"
	"github.com/gatekeeper-oidc/gatekeeper/storage"
)

// PostgresURL is the variable that names the Postgres the tests make their
// databases in, with the right to create them.
const PostgresURL = "GATEKEEPER_TEST_POSTGRES"

// Postgres returns the URL of a database of the test's own, with the schema in it,
// and drops it when the test ends. Without a server to make it in, the test is
// skipped, or fails where CI=true promised one.
//
// Databases are copies of a template that is made once for each version of the
// schema, by whoever comes first.
func Postgres(tb testing.TB, getenv func(string) string) string {
	tb.Helper()
	admin := getenv(PostgresURL)
	switch {
	case admin == "" && getenv("CI") == "true":
		tb.Fatalf("%s is not set", PostgresURL)
	case admin == "":
		tb.Skipf("%s is not set: no Postgres to test with", PostgresURL)
	}
	db, err := sql.Open("pgx", admin)
	if err != nil {
		tb.Fatal(err)
	}
	ctx := context.WithoutCancel(tb.Context()) // cleaning up outlives the test
	template, err := templateDatabase(ctx, db, admin)
	if err != nil {
		tb.Fatal(err)
	}
	name := "gatekeeper_test_" + rand.Text()
	if _, err := db.ExecContext(ctx, fmt.Sprintf(`CREATE DATABASE %q TEMPLATE %q`, name, template)); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if _, err := db.ExecContext(ctx, fmt.Sprintf(`DROP DATABASE %q WITH (FORCE)`, name)); err != nil {
			tb.Error(err)
		}
		_ = db.Close()
	})
	return inDatabase(tb, admin, name)
}

// EmptyPostgres is Postgres without a schema.
func EmptyPostgres(tb testing.TB, getenv func(string) string) string {
	tb.Helper()
	full := Postgres(tb, getenv)
	db, err := sql.Open("pgx", full)
	if err != nil {
		tb.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(tb.Context(), `DROP SCHEMA public CASCADE; CREATE SCHEMA public`); err != nil {
		tb.Fatal(err)
	}
	return full
}

func inDatabase(tb testing.TB, admin, name string) string {
	tb.Helper()
	u, err := url.Parse(admin)
	if err != nil {
		tb.Fatal(err)
	}
	u.Path = "/" + name
	return u.String()
}

// templateDatabase makes the template of the current schema unless it is there.
func templateDatabase(ctx context.Context, db *sql.DB, admin string) (string, error) {
	fsys, err := migrations.FS("postgres")
	if err != nil {
		return "", err
	}
	sum := sha256.New()
	err = fs.WalkDir(fsys, ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := fs.ReadFile(fsys, p)
		sum.Write(text)
		return err
	})
	if err != nil {
		return "", err
	}
	name := "gatekeeper_template_" + hex.EncodeToString(sum.Sum(nil)[:8])
	conn, err := db.Conn(ctx) // the lock belongs to the connection
	if err != nil {
		return "", err
	}
	defer conn.Close()
	const key = 0x74656d70
	if _, err := conn.ExecContext(ctx, `SELECT pg_advisory_lock($1)`, key); err != nil {
		return "", err
	}
	defer func() { _, _ = conn.ExecContext(ctx, `SELECT pg_advisory_unlock($1)`, key) }()
	var there bool
	if err := conn.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM pg_database WHERE datname = $1)`, name).Scan(&there); err != nil || there {
		return name, err
	}
	draft := name + "_draft"
	u, err := url.Parse(admin)
	if err != nil {
		return "", err
	}
	u.Path = "/" + draft
	for _, step := range []func() error{
		func() error {
			_, err := conn.ExecContext(ctx, fmt.Sprintf(`DROP DATABASE IF EXISTS %q WITH (FORCE)`, draft))
			return err
		},
		func() error {
			_, err := conn.ExecContext(ctx, fmt.Sprintf(`CREATE DATABASE %q TEMPLATE template0`, draft))
			return err
		},
		func() error { return storage.Migrate(ctx, u.String()) },
		func() error {
			_, err := conn.ExecContext(ctx, fmt.Sprintf(`ALTER DATABASE %q RENAME TO %q`, draft, name))
			return err
		},
	} {
		if err := step(); err != nil {
			return "", fmt.Errorf("make the template: %w", err)
		}
	}
	return name, nil
}
