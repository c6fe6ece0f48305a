package conformance

import (
	"bufio"
	"context"
	"database/sql"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/gatekeeper-oidc/gatekeeper/audit"
	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
	"github.com/gatekeeper-oidc/gatekeeper/oauth2"
)

// rawStorage opens the database at url beside the program.
func rawStorage(t *testing.T, url string) *sql.DB {
	t.Helper()
	driver, dsn := "pgx", url
	if path, ok := strings.CutPrefix(url, "sqlite:"); ok {
		driver, dsn = "sqlite", path+"?_pragma=busy_timeout(5000)"
	}
	db, err := sql.Open(driver, dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func rawExec(t *testing.T, db *sql.DB, text string, args ...any) {
	t.Helper()
	if _, err := db.ExecContext(t.Context(), text, args...); err != nil {
		t.Fatal(err)
	}
}

// sabotage makes every event fail to be written until the returned function.
func sabotage(t *testing.T, url string) (repair func()) {
	t.Helper()
	db := rawStorage(t, url)
	if strings.HasPrefix(url, "sqlite:") {
		rawExec(t, db, `CREATE TRIGGER sabotage BEFORE INSERT ON outbox BEGIN SELECT RAISE(ABORT, 'sabotage'); END`)
		return func() { rawExec(t, db, `DROP TRIGGER sabotage`) }
	}
	rawExec(t, db, `CREATE FUNCTION sabotage() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'sabotage'; END $$`)
	rawExec(t, db, `CREATE TRIGGER sabotage BEFORE INSERT ON outbox FOR EACH ROW EXECUTE FUNCTION sabotage()`)
	return func() { rawExec(t, db, `DROP TRIGGER sabotage ON outbox`) }
}

// Law 5: no change without its event. When the event cannot be written, the change
// has not happened, and the credential is as good as before.
func TestStorageLeavesNothingWhenTheEventFails(t *testing.T) {
	t.Parallel()
	onEachDatabase(t, func(t *testing.T, url string) {
		db := openStorage(t, url)
		b := &bench{t, db}
		b.redeem(b.grant("old"), true)
		b.redeem(b.grant("spent"), true)
		b.rotate("spent", 1, 0)
		b.kinds()
		repair := sabotage(t, url)
		g := b.grant("new")
		for name, change := range map[string]func(ctx context.Context) error{
			"redeem": func(ctx context.Context) error {
				_, err := b.RedeemGrant(ctx, g, true, sampleEvent(audit.GrantIssued, g.ID))
				return err
			},
			"rotate": func(ctx context.Context) error {
				_, err := b.RotateRefresh(ctx, presented("old", 1, time.Minute))
				return err
			},
			"replay": func(ctx context.Context) error {
				_, err := b.RotateRefresh(ctx, presented("spent", 1, 0))
				return err
			},
			"revoke": func(ctx context.Context) error {
				_, err := b.RevokeGrant(ctx, "old", sampleEvent(audit.GrantRevoked, "old"))
				return err
			},
			"revoke token": func(ctx context.Context) error {
				return b.RevokeToken(ctx, "jti", g.ExpiresAt, sampleEvent(audit.TokenRevoked, ""))
			},
		} {
			if err := change(t.Context()); err == nil || strings.Contains(fault.Of(err).Detail, "sabotage") {
				t.Errorf("%s: error = %v, want one that keeps the cause to itself", name, err)
			}
		}
		repair()
		if _, _, err := b.Grant(t.Context(), "new"); !fault.Is(err, fault.NotFound) {
			t.Errorf("the grant was redeemed without its event: %v", err)
		}
		for _, id := range []string{"old", "spent"} {
			got, _, err := b.Grant(t.Context(), id)
			b.must(err)
			if !got.RevokedAt.IsZero() {
				t.Errorf("%s was revoked without its event", id)
			}
		}
		standing, err := b.Standing(t.Context(), oauth2.StandingQuery{JTI: "jti"})
		b.must(err)
		same(b, "token revoked without its event", standing.TokenRevoked, false)
		same(b, "the refresh token afterwards", b.rotate("old", 1, time.Minute), oauth2.Rotated)
		done, err := b.RedeemGrant(t.Context(), g, true, sampleEvent(audit.GrantIssued, g.ID))
		b.must(err)
		same(b, "the code afterwards", done, true)
	})
}

// childURL tells the child of TestStorageSurvivesAKill what to write to.
const childURL = "GATEKEEPER_STORAGE_CHILD"

// TestStorageChild is not a test: it is the process that gets killed. After each
// commit it says which.
func TestStorageChild(t *testing.T) {
	url := os.Getenv(childURL)
	if url == "" {
		t.Skip("the child of TestStorageSurvivesAKill")
	}
	b := &bench{t, openStorage(t, url)}
	for i := 0; ; i++ {
		id := fmt.Sprintf("g%d", i)
		b.redeem(b.grant(id), true)
		b.rotate(id, 1, time.Minute)
		if i%2 == 1 {
			_, err := b.RevokeGrant(t.Context(), id, sampleEvent(audit.GrantRevoked, id))
			b.must(err)
		}
		if _, err := fmt.Fprintf(os.Stdout, "\nacked %d\n", i); err != nil {
			return
		}
	}
}

// What was acknowledged is there after the process was killed.
func TestStorageSurvivesAKill(t *testing.T) {
	t.Parallel()
	const enough = 40
	onEachDatabase(t, func(t *testing.T, url string) {
		child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestStorageChild$")
		child.Env = append(os.Environ(), childURL+"="+url)
		out, err := child.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		acked := lastAck(out, enough, func() { _ = child.Process.Kill() })
		_ = child.Wait()
		if acked < enough {
			t.Fatalf("the child was killed after %d of %d", acked, enough)
		}
		b := &bench{t, openStorage(t, url)}
		for i := range acked + 1 {
			got, state, err := b.Grant(t.Context(), fmt.Sprintf("g%d", i))
			b.must(err)
			same(b, got.ID+" revoked", !got.RevokedAt.IsZero(), i%2 == 1)
			same(b, got.ID+" generation", state.Generation, 2)
		}
		counts := b.kinds()
		for kind, least := range map[audit.Kind]int{audit.GrantIssued: acked + 1, audit.GrantRefreshed: acked + 1, audit.GrantRevoked: (acked + 1) / 2} {
			if counts[kind] < least || counts[kind] > least+1 {
				t.Errorf("%s: %d events for %d acknowledged changes", kind, counts[kind], least)
			}
		}
	})
}

// lastAck reads acknowledgements, kills after enough, and returns the last one.
func lastAck(out io.Reader, enough int, kill func()) int {
	last := -1
	for lines := bufio.NewScanner(out); lines.Scan(); {
		var n int
		if _, err := fmt.Sscanf(lines.Text(), "acked %d", &n); err != nil {
			continue
		}
		if last = n; n == enough {
			kill()
		}
	}
	return last
}
