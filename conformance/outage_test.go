package conformance

import (
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"testing"
)

// TestDeadRedis: losing Redis opens no limit, stops no sign-in and un-revokes nothing.
func TestDeadRedis(t *testing.T) {
	t.Parallel()
	service(t, "GATEKEEPER_TEST_REDIS")
	port := freePort(t)
	stop := redisOn(t, port)
	d := cluster(t, "GATEKEEPER_REDIS_URL=redis://127.0.0.1:"+port+"/0")
	a := shop(t, d)
	b := newBrowser(t, d.issuer)
	dead, _ := a.tokens(b, ana, anaPassword)
	if r := a.call("revocation_endpoint", url.Values{"token": {dead.RefreshToken}}); r.status != http.StatusOK {
		t.Fatal(r.status)
	}
	stop()
	tok, _ := a.tokens(newBrowser(t, d.issuer), ana, anaPassword)
	if _, err := a.refresh(tok.RefreshToken); err != nil {
		t.Errorf("refresh without Redis: %v", err)
	}
	if a.active(dead.AccessToken) {
		t.Error("losing Redis un-revoked a token")
	}
	r, err := http.Get("http://" + d.nodes[0].listen + "/readyz")
	if err != nil {
		t.Fatal(err)
	}
	if text := body(t, r); r.StatusCode != http.StatusOK {
		t.Errorf("readyz without Redis: %d %s", r.StatusCode, text)
	}
}

func redisOn(t *testing.T, port string) (stop func()) {
	t.Helper()
	cmd := exec.Command("redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", t.TempDir())
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	poll(t, "redis on "+port, func() bool { return exec.Command("redis-cli", "-p", port, "ping").Run() == nil })
	stopped := false
	stop = func() {
		if !stopped {
			stopped = true
			_ = cmd.Process.Signal(os.Kill)
			_ = cmd.Wait()
		}
	}
	t.Cleanup(stop)
	return stop
}

// TestDatabaseOutage: without the database nobody is told "inactive" or "no";
// they are told to try again, and what they held is still good afterwards.
func TestDatabaseOutage(t *testing.T) {
	t.Parallel()
	db := service(t, "GATEKEEPER_TEST_POSTGRES")
	gate := newGate(t, db)
	d := cluster(t, "GATEKEEPER_DATABASE_URL="+freshDatabaseThrough(t, gate))
	a := shop(t, d)
	b := newBrowser(t, d.issuer)
	tok, _ := a.tokens(b, ana, anaPassword)
	tr := a.begin()
	code := a.login(b, tr, ana, anaPassword)

	gate.shut()
	for name, r := range map[string]reply{
		"code exchange": a.exchange(code, tr.pkce),
		"refresh":       a.call("token_endpoint", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {tok.RefreshToken}}),
		"revocation":    a.call("revocation_endpoint", url.Values{"token": {tok.RefreshToken}}),
	} {
		if r.status != http.StatusServiceUnavailable || r.header.Get("Retry-After") == "" {
			t.Errorf("%s without the database: %d %s (Retry-After %q)", name, r.status, r.text, r.header.Get("Retry-After"))
		}
	}
	for _, path := range []string{"/.well-known/openid-configuration", "/oidc/jwks", "/healthz"} {
		r, err := http.Get(d.issuer + path)
		if err != nil {
			t.Fatal(err)
		}
		if text := body(t, r); r.StatusCode != http.StatusOK {
			t.Errorf("%s without the database: %d %s", path, r.StatusCode, text)
		}
	}
	poll(t, "introspection stops answering from its cache", func() bool {
		return a.call("introspection_endpoint", url.Values{"token": {tok.AccessToken}}).status == http.StatusServiceUnavailable
	})
	gate.open()
	poll(t, "the database is back", func() bool {
		return a.call("introspection_endpoint", url.Values{"token": {tok.AccessToken}}).status == http.StatusOK
	})
	// Each connection that broke while it was idle may cost one more "try again".
	if refreshUntilAnswered(t, a, tok.RefreshToken) == "" {
		t.Error("the refresh token was spent by the outage")
	}
}
