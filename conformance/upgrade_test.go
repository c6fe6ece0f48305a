package conformance

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// previousBuilt tells whether previous was ever asked for.
var previousBuilt atomic.Bool

// previous is the release before, built from the history of this repository: the
// commit that testdata/previous names.
var previous = sync.OnceValues(func() (string, error) {
	previousBuilt.Store(true)
	commit, err := os.ReadFile(filepath.Join("testdata", "previous"))
	if err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp("", "gatekeeper-previous")
	if err != nil {
		return "", err
	}
	archive := exec.Command("git", "archive", "--format=tar", strings.TrimSpace(string(commit)))
	archive.Dir = ".."
	untar := exec.Command("tar", "-x", "-C", dir)
	if untar.Stdin, err = archive.StdoutPipe(); err != nil {
		return "", err
	}
	if err := errors.Join(untar.Start(), archive.Run(), untar.Wait()); err != nil {
		return "", fmt.Errorf("the release before is not in this repository's history; clone it whole: %w", err)
	}
	path := filepath.Join(dir, "previous")
	args := []string{"build", "-o", path}
	if raceEnabled {
		args = append(args, "-race")
	}
	build := exec.Command("go", append(args, "./cmd/gatekeeper")...)
	build.Dir = dir
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the release before: %w\n%s", err, out)
	}
	return path, nil
})

// TestRollingUpgrade replaces the release before by this one under load, node by
// node, and goes back again: nobody is signed out, nothing is refused, and what one
// wrote the other goes on with.
func TestRollingUpgrade(t *testing.T) {
	t.Parallel()
	old, err := previous()
	if err != nil {
		t.Fatal(err)
	}
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		port := freePort(t)
		d := &deployment{name: "sqlite", issuer: "http://localhost:" + port}
		d.env = []string{"GATEKEEPER_ISSUER=" + d.issuer, "GATEKEEPER_DATA_DIR=" + t.TempDir(), "GATEKEEPER_RATE_LIMIT_FACTOR=1000"}
		n := d.startProgram(t, old, "localhost:"+port)
		p := newPassenger(t, d)
		for _, to := range []string{"", old, ""} {
			n.stop(t)
			n.program = to
			n.run(t)
			p.rides(t)
		}
	})
	t.Run("postgres and redis on two nodes", func(t *testing.T) {
		t.Parallel()
		d, list := rolling(t, old)
		p := newPassenger(t, d)
		stop := p.load(t)
		d.cli(t, "migrate", "up") // with the new binary, while the old nodes work
		p.rides(t)
		for _, to := range []string{"", old, ""} {
			for i := range 2 {
				list.replace(t, i, to)
				p.rides(t) // one of each, then two alike
			}
		}
		if rounds, failed := stop(); failed != nil || rounds == 0 {
			t.Errorf("after %d rounds: %v", rounds, failed)
		}
	})
}

// A fleet is the nodes a balancer knows of.
type fleet struct {
	d     *deployment
	mu    sync.RWMutex
	nodes []*node
	turn  atomic.Uint64
}

func (f *fleet) next() *node {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.nodes[f.turn.Add(1)%uint64(len(f.nodes))]
}

// replace takes a node out of the balancer, stops it, and starts another program in
// its place.
func (f *fleet) replace(t *testing.T, i int, program string) {
	t.Helper()
	n := f.d.nodes[i]
	f.mu.Lock()
	f.nodes = []*node{f.d.nodes[1-i]}
	f.mu.Unlock()
	n.stop(t)
	n.program = program
	n.run(t)
	f.mu.Lock()
	f.nodes = f.d.nodes
	f.mu.Unlock()
}

// rolling starts two nodes of a program behind a balancer that can be told which of
// them are there.
func rolling(t *testing.T, program string) (*deployment, *fleet) {
	t.Helper()
	service(t, "GATEKEEPER_TEST_POSTGRES")
	redis := service(t, "GATEKEEPER_TEST_REDIS")
	port := freePort(t)
	d := &deployment{name: "postgres", issuer: "http://localhost:" + port}
	d.env = []string{
		"GATEKEEPER_ISSUER=" + d.issuer, "GATEKEEPER_DATA_DIR=" + t.TempDir(), "GATEKEEPER_DATABASE_URL=" + EmptyPostgres(t, os.Getenv),
		"GATEKEEPER_REDIS_URL=" + redis, "GATEKEEPER_SECRET=a-root-secret-for-tests-that-is-long-enough",
		"GATEKEEPER_TRUSTED_PROXIES=127.0.0.1/32", "GATEKEEPER_RATE_LIMIT_FACTOR=1000", "GATEKEEPER_NODES=2",
	}
	migrate := exec.Command(program, "migrate", "up")
	migrate.Env = world(d.env)
	if out, err := migrate.CombinedOutput(); err != nil {
		t.Fatalf("migrate by the release before: %v\n%s", err, out)
	}
	f := &fleet{d: d}
	for range 2 {
		d.startProgram(t, program, "127.0.0.1:"+freePort(t))
	}
	f.nodes = d.nodes
	balancer := &http.Server{Addr: "127.0.0.1:" + port, ReadHeaderTimeout: 5 * time.Second, Handler: &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(&url.URL{Scheme: "http", Host: f.next().listen})
			r.Out.Host = r.In.Host
			r.SetXForwarded()
		},
	}}
	go func() { _ = balancer.ListenAndServe() }()
	t.Cleanup(func() { _ = balancer.Close() })
	poll(t, "the balancer answers", func() bool {
		r, err := http.Get(d.issuer + "/readyz")
		return err == nil && r.Body.Close() == nil && r.StatusCode == http.StatusOK
	})
	return d, f
}

// A passenger is a person with an application who signed in before the upgrade and
// wants to notice nothing of it.
type passenger struct {
	app     *app
	browser *browser
	refresh string
}

func newPassenger(t *testing.T, d *deployment) *passenger {
	t.Helper()
	d.previously(t, anaPassword+"\n", "user", "create", ana, "--password-stdin", "--email-verified")
	out := d.previously(t, "", "client", "create", "shop", "--type", "web", "--redirect-uri", callback, "--scope", "openid,email,offline_access", "-o", "json")
	var made struct {
		Secret string `json:"client_secret"`
	}
	if err := json.Unmarshal([]byte(out), &made); err != nil {
		t.Fatal(err)
	}
	p := &passenger{app: newApp(t, d, "shop", made.Secret, callback, "openid", "email", "offline_access"), browser: newBrowser(t, d.issuer)}
	tok, _ := p.app.tokens(p.browser, ana, anaPassword)
	p.refresh = tok.RefreshToken
	return p
}

// previously runs a command of the release before.
func (d *deployment) previously(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	path, err := previous()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), path, args...)
	cmd.Env, cmd.Stdin = world(d.env), strings.NewReader(stdin)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v", args, err)
	}
	return string(out)
}

// rides does what the person and the application do, whatever node answers: the
// session is still there, the refresh token works, a code of one node is redeemed at
// another, and a new sign-in is possible.
func (p *passenger) rides(t *testing.T) {
	t.Helper()
	for range 2 {
		next, err := p.app.refresh(p.refresh)
		if err != nil {
			t.Fatalf("refresh: %v", err)
		}
		p.refresh = next.RefreshToken
		if !p.app.active(next.AccessToken) || p.app.userinfo(next.AccessToken).status != http.StatusOK {
			t.Fatal("a fresh token is good for nothing")
		}
		tr := p.app.begin("prompt", "none")
		p.app.redeem(tr, p.app.code(tr, p.browser.get(tr.url)))
	}
	again := newBrowser(t, p.app.issuer)
	if tok, _ := p.app.tokens(again, ana, anaPassword); tok.RefreshToken == "" {
		t.Fatal("no refresh token")
	}
}

// load asks for tokens all the time until it is stopped, and tells the first failure.
func (p *passenger) load(t *testing.T) (stop func() (rounds int, failed error)) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background()) //nolint:usetesting // it ends before the test does
	p.app.t.Cleanup(cancel)
	rounds := 0
	var failed error
	done := make(chan struct{})
	endpoint := p.app.endpoint("introspection_endpoint")
	go func() {
		defer close(done)
		for ctx.Err() == nil && failed == nil {
			failed = p.round(ctx, endpoint)
			rounds++
		}
	}()
	return func() (int, error) { cancel(); <-done; return rounds, failed }
}

func (p *passenger) round(ctx context.Context, endpoint string) error {
	form := url.Values{"token": {"gk_at_nothing"}}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint, strings.NewReader(form.Encode()))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.SetBasicAuth(p.app.config.ClientID, p.app.config.ClientSecret)
	for _, q := range []*http.Request{r, mustGet(ctx, p.app.issuer+"/.well-known/openid-configuration"), mustGet(ctx, p.app.issuer+"/oidc/jwks")} {
		res, err := http.DefaultTransport.RoundTrip(q)
		switch {
		case err != nil && ctx.Err() == nil:
			return err
		case err != nil:
			continue // it was stopped
		}
		if err := res.Body.Close(); err != nil || res.StatusCode != http.StatusOK {
			return fmt.Errorf("%s answered %d: %w", q.URL.Path, res.StatusCode, err)
		}
	}
	return nil
}

func mustGet(ctx context.Context, address string) *http.Request {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		panic(err) // the address is ours
	}
	return r
}
