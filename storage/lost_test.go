package storage_test

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/gatekeeper-oidc/gatekeeper/audit"
	"github.com/gatekeeper-oidc/gatekeeper/conformance"
	"github.com/gatekeeper-oidc/gatekeeper/storage"
)

// together runs f n times at once, so that as many connections are used, and returns
// the first error.
func together(n int, f func(i int) error) error {
	errs := make(chan error, n)
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { errs <- f(i) })
	}
	all.Wait()
	for range n {
		if err := <-errs; err != nil {
			return err
		}
	}
	return nil
}

// warm makes n connections, each held until all are there.
func warm(t *testing.T, db *storage.DB, n int) {
	t.Helper()
	var there sync.WaitGroup
	there.Add(n)
	err := together(n, func(int) error {
		return db.InTx(t.Context(), func(ctx context.Context) error {
			err := db.Ping(ctx)
			there.Done()
			there.Wait()
			return err
		})
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestBackendsThatWereEndedCostNobodyAnything(t *testing.T) {
	t.Parallel()
	url := conformance.Postgres(t, os.Getenv)
	own := raw(t, url)
	const rounds = 3
	uses := map[string]func(ctx context.Context, db *storage.DB, i int) error{
		"reading": func(ctx context.Context, db *storage.DB, _ int) error { _, err := db.Now(ctx); return err },
		"transaction": func(ctx context.Context, db *storage.DB, _ int) error {
			return db.InTx(ctx, func(ctx context.Context) error { return db.Ping(ctx) })
		},
		"writing that is not sent twice": func(ctx context.Context, db *storage.DB, i int) error {
			return db.AppendEvents(ctx, audit.Event{Kind: "client.created", ClientID: fmt.Sprint(i)})
		},
	}
	for name, use := range uses {
		db := open(t, url)
		for range rounds {
			warm(t, db, 16)
			end(t, own)
			if err := together(16, func(i int) error { return use(t.Context(), db, i) }); err != nil {
				t.Fatalf("%s, after the backends were ended: %v", name, err)
			}
		}
	}
	var n int
	if err := own.QueryRow(`SELECT count(*) FROM outbox`).Scan(&n); err != nil || n != rounds*16 {
		t.Errorf("%d events were written, want %d (%v)", n, rounds*16, err)
	}
}

// end ends every other backend on the database, and waits until they are gone.
func end(t *testing.T, db *sql.DB) {
	t.Helper()
	const others = `FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`
	if _, err := db.Exec(`SELECT pg_terminate_backend(pid) ` + others); err != nil {
		t.Fatal(err)
	}
	for n := 1; n > 0; {
		if err := db.QueryRow(`SELECT count(*) ` + others).Scan(&n); err != nil {
			t.Fatal(err)
		}
	}
}

// TestNodesShareAFewConnections: a server that has fewer connections than the pools
// want is waited for, not complained about.
func TestNodesShareAFewConnections(t *testing.T) {
	t.Parallel()
	admin := conformance.Postgres(t, os.Getenv)
	own := raw(t, admin)
	role := "few_" + strings.ToLower(t.Name())[:8] + fmt.Sprint(os.Getpid())
	exec(t, own, fmt.Sprintf(`CREATE ROLE %s SUPERUSER LOGIN`, role))
	exec(t, own, fmt.Sprintf(`ALTER ROLE %s NOSUPERUSER CONNECTION LIMIT 6; GRANT ALL ON ALL TABLES IN SCHEMA public TO %s; GRANT ALL ON SCHEMA public TO %s`, role, role, role))
	t.Cleanup(func() {
		_, _ = own.Exec(fmt.Sprintf(`DROP OWNED BY %s; DROP ROLE %s`, role, role))
	})
	u, err := url.Parse(admin)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.User(role)
	a, b := open(t, u.String()), open(t, u.String())
	err = together(64, func(i int) error {
		db := a
		if i%2 == 1 {
			db = b
		}
		for range 20 {
			if err := db.InTx(t.Context(), func(ctx context.Context) error { return db.Ping(ctx) }); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Errorf("two nodes that want 32 of 6 connections: %v", err)
	}
}
