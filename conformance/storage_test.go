package conformance

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/gatekeeper-oidc/gatekeeper/storage"
)

var _ Stores = (*storage.DB)(nil)

// openStorage opens the database at url for the length of a test.
func openStorage(tb testing.TB, url string) *storage.DB {
	tb.Helper()
	db, err := storage.Open(tb.Context(), storage.Config{URL: url, Migrate: true, MaxConns: 8})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := db.Close(); err != nil {
			tb.Error(err)
		}
	})
	return db
}

// storageDatabases are the kinds a test runs on: the URL of a fresh one each.
var storageDatabases = map[string]func(tb testing.TB) string{
	"sqlite":   func(tb testing.TB) string { tb.Helper(); return "sqlite:" + filepath.Join(tb.TempDir(), "test.db") },
	"postgres": func(tb testing.TB) string { tb.Helper(); return Postgres(tb, os.Getenv) },
}

// onEachDatabase runs f on each kind of database.
func onEachDatabase(t *testing.T, f func(t *testing.T, url string)) {
	t.Helper()
	for name, fresh := range storageDatabases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f(t, fresh(t))
		})
	}
}

func TestStorage(t *testing.T) {
	t.Parallel()
	for name, fresh := range storageDatabases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if name == "postgres" && os.Getenv(PostgresURL) == "" {
				fresh(t) // says why not
			}
			Storage(t, func(t *testing.T) Stores { t.Helper(); return openStorage(t, fresh(t)) })
		})
	}
}
