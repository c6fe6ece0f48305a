package conformance

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/gatekeeper-oidc/gatekeeper/storage"
)

var _ Stores = (*storage.DB)(nil)

// openStorage opens the database at url for the length of a test.
func openStorage(t testing.TB, url string) *storage.DB {
	t.Helper()
	db, err := storage.Open(t.Context(), storage.Config{URL: url, Migrate: true, MaxConns: 8})
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

// storageDatabases are the kinds a test runs on: the URL of a fresh one each.
var storageDatabases = map[string]func(t testing.TB) string{
	"sqlite":   func(t testing.TB) string { t.Helper(); return "sqlite:" + filepath.Join(t.TempDir(), "test.db") },
	"postgres": func(t testing.TB) string { t.Helper(); return Postgres(t, os.Getenv) },
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
