package conformance

import (
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestPooler runs the whole product through a PgBouncer as its package configures it,
// in both modes that applications use.
func TestPooler(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"session", "transaction"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			direct := EmptyPostgres(t, os.Getenv)
			d := cluster(t, "GATEKEEPER_DATABASE_URL="+pooler(t, mode, direct), "GATEKEEPER_DB_MAX_CONNS=8")
			mainJob(t, d)
			for _, n := range d.nodes {
				polls := func() bool { return strings.Contains(n.log.String(), "bell_polls") }
				if mode == "transaction" {
					poll(t, "the log says that changes are looked for", polls)
				} else if polls() {
					t.Error("notifications come through in session mode, and the log says they do not")
				}
				for _, sign := range []string{"unsupported startup parameter", "prepared statement", "SQLSTATE"} {
					if strings.Contains(n.log.String(), sign) {
						t.Errorf("the log of a node has %q", sign)
					}
				}
			}
			out, _, _ := d.try(t, "", "doctor", "-o", "json")
			if verdict := map[string]string{"session": `"PASS"`, "transaction": `"WARN"`}[mode]; !strings.Contains(compact(out), `{"check":"bell","status":`+verdict) {
				t.Errorf("doctor: %s", out)
			}
		})
	}
}

// TestRefusalOfADatabase: the reason told is the one the server gave, not that it had
// no TLS when it was asked for it before.
func TestRefusalOfADatabase(t *testing.T) {
	t.Parallel()
	through, err := url.Parse(pooler(t, "session", EmptyPostgres(t, os.Getenv)))
	if err != nil {
		t.Fatal(err)
	}
	through.RawQuery = "geqo=off" // without sslmode, and with what no pooler takes
	d := &deployment{issuer: "http://localhost:1", env: []string{
		"GATEKEEPER_DATA_DIR=" + t.TempDir(), "GATEKEEPER_DATABASE_URL=" + through.String(), "GATEKEEPER_SECRET=a-root-secret-for-tests-that-is-long-enough",
	}}
	_, stderr, err := d.try(t, "", "migrate", "status")
	if err == nil || !strings.Contains(stderr, "unsupported startup parameter") || strings.Contains(stderr, "TLS") {
		t.Errorf("%v: %s", err, stderr)
	}
}

func compact(text string) string { return strings.Join(strings.Fields(text), "") }

// pooler starts a PgBouncer in front of the server of a database and returns the URL
// of the database through it.
func pooler(t *testing.T, mode, direct string) string {
	t.Helper()
	u, err := url.Parse(direct)
	if err != nil {
		t.Fatal(err)
	}
	path := program(t, "pgbouncer")
	port := freePort(t)
	dir, err := os.MkdirTemp("", "pgbouncer")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	config := filepath.Join(dir, "pgbouncer.ini")
	text := fmt.Sprintf("[databases]\n* = host=%s port=%s user=%s\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = %s\nunix_socket_dir =\nauth_type = any\npool_mode = %s\n",
		u.Hostname(), u.Port(), u.User.Username(), port, mode)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{config}
	if os.Getuid() == 0 { // it refuses to run as root
		args = []string{"-u", "postgres", config}
		if out, err := exec.Command("chown", "-R", "postgres", dir).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	words := &syncBuffer{}
	cmd := exec.Command(path, args...)
	cmd.Stdout, cmd.Stderr = words, words
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("pgbouncer: %s", tail(words.String(), 3000))
		}
	})
	poll(t, "pgbouncer listens", func() bool { return strings.Contains(words.String(), "listening on") })
	u.Host = "127.0.0.1:" + port
	return u.String()
}
