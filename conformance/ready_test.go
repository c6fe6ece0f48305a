package conformance

import (
	"database/sql"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
)

// readyz asks the management listener of a node.
func readyz(t *testing.T, n *node) (int, string) {
	t.Helper()
	r, err := http.Get("http://" + n.mgmt + "/readyz")
	if err != nil {
		t.Fatal(err)
	}
	return r.StatusCode, body(t, r)
}

// TestReadyTellsOfRedisUnasked: nobody is limited meanwhile, so nobody else notices.
func TestReadyTellsOfRedisUnasked(t *testing.T) {
	t.Parallel()
	service(t, "GATEKEEPER_TEST_REDIS")
	port := freePort(t)
	stop := redisOn(t, port)
	d := cluster(t, "GATEKEEPER_REDIS_URL=redis://127.0.0.1:"+port+"/0")
	says := func(word string) func() bool {
		return func() bool {
			code, text := readyz(t, d.nodes[0])
			return code == http.StatusOK && strings.Contains(text, `"status":"`+word+`"`)
		}
	}
	poll(t, "ready with Redis", says("ok"))
	stop()
	poll(t, "degraded without Redis", says("degraded"))
	d.nodes[0].stop(t)
	d.nodes[0].run(t)
	poll(t, "degraded after a start without Redis", says("degraded"))
	redisOn(t, port)
	poll(t, "ready once Redis is there", says("ok"))
}

// TestADatabaseThatTakesNoChanges makes a node unready, and the doctor say why.
func TestADatabaseThatTakesNoChanges(t *testing.T) {
	t.Parallel()
	service(t, "GATEKEEPER_TEST_POSTGRES")
	direct := EmptyPostgres(t, os.Getenv)
	d := cluster(t, "GATEKEEPER_DATABASE_URL="+direct)
	u, err := url.Parse(direct)
	if err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("pgx", direct)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	set := func(to string) {
		name := `"` + strings.TrimPrefix(u.Path, "/") + `"`
		_, err := db.Exec(`SET default_transaction_read_only = off; ALTER DATABASE ` + name + ` SET default_transaction_read_only = ` + to + `;
			SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`)
		if err != nil {
			t.Fatal(err)
		}
	}
	set("on")
	poll(t, "a node is not ready", func() bool {
		code, text := readyz(t, d.nodes[0])
		return code == http.StatusServiceUnavailable && strings.Contains(text, "takes no changes")
	})
	if out, _, err := d.try(t, "", "doctor", "-o", "json"); err == nil || !strings.Contains(out, "takes no changes") {
		t.Errorf("doctor: %v %s", err, out)
	}
	set("off")
	poll(t, "a node is ready again", func() bool { code, _ := readyz(t, d.nodes[0]); return code == http.StatusOK })
}

// TestOneServerForAFile: a second one is refused, commands are not, and a server that
// was killed leaves nothing behind.
func TestOneServerForAFile(t *testing.T) {
	t.Parallel()
	d := embedded(t)
	_, stderr, err := d.try(t, "", "serve", "--listen", "localhost:"+freePort(t), "--management-listen", "off")
	if err == nil || !strings.Contains(stderr, "Another gatekeeper serves") {
		t.Errorf("a second server: %v %s", err, stderr)
	}
	d.cli(t, "client", "list")
	d.nodes[0].kill(t)
	d.nodes[0].run(t)
	d.cli(t, "client", "list")
}
