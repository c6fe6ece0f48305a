package conformance

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// built tells whether binary was ever asked for.
var built atomic.Bool

// binary is the program under test, built once, with the race detector when the
// tests have it.
var binary = sync.OnceValues(func() (string, error) {
	built.Store(true)
	dir, err := os.MkdirTemp("", "gatekeeper-conformance")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "gatekeeper")
	args := []string{"build", "-o", path}
	if raceEnabled {
		args = append(args, "-race")
	}
	out, err := exec.Command("go", append(args, module+"/cmd/gatekeeper")...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build: %w\n%s", err, out)
	}
	return path, nil
})

func TestMain(m *testing.M) {
	e, err := theEdge() // before anything uses the transport it changes
	if err != nil {
		panic(err)
	}
	code := m.Run()
	_ = os.RemoveAll(filepath.Dir(e.certFile))
	if previousBuilt.Load() {
		if path, err := previous(); err == nil {
			_ = os.RemoveAll(filepath.Dir(path))
		}
	}
	if built.Load() {
		if path, err := binary(); err == nil {
			_ = os.RemoveAll(filepath.Dir(path))
		}
	}
	os.Exit(code)
}

// A deployment is a running Gatekeeper as an outsider meets it: an issuer, and a
// command line beside it.
type deployment struct {
	name   string
	issuer string
	env    []string
	nodes  []*node
}

type node struct {
	program string // "" is the one under test
	cmd     *exec.Cmd
	listen  string
	mgmt    string
	log     *syncBuffer
	env     []string
	exited  chan struct{}
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// everywhere runs f on each kind of deployment we promise: the embedded default,
// and two nodes over Postgres and Redis behind a balancer that alternates.
func everywhere(t *testing.T, f func(t *testing.T, d *deployment)) {
	t.Helper()
	t.Parallel()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		f(t, embedded(t))
	})
	t.Run("postgres and redis on two nodes", func(t *testing.T) {
		t.Parallel()
		f(t, cluster(t))
	})
}

// embedded starts the one-command default.
func embedded(t *testing.T, env ...string) *deployment {
	t.Helper()
	port := freePort(t)
	d := &deployment{name: "sqlite", issuer: "http://localhost:" + port}
	d.env = append([]string{
		"GATEKEEPER_ISSUER=" + d.issuer,
		"GATEKEEPER_DATA_DIR=" + t.TempDir(),
		"GATEKEEPER_RATE_LIMIT_FACTOR=1000",
	}, env...)
	d.start(t, "localhost:"+port)
	return d
}

// cluster starts two nodes over one Postgres database and one Redis, behind a
// reverse proxy that sends every second request to the other node.
func cluster(t *testing.T, env ...string) *deployment {
	t.Helper()
	service(t, "GATEKEEPER_TEST_POSTGRES")
	redis := service(t, "GATEKEEPER_TEST_REDIS")
	proxy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(proxy.Addr().String())
	d := &deployment{name: "postgres", issuer: "http://localhost:" + port}
	d.env = append([]string{
		"GATEKEEPER_ISSUER=" + d.issuer,
		"GATEKEEPER_DATA_DIR=" + t.TempDir(),
		"GATEKEEPER_DATABASE_URL=" + EmptyPostgres(t, os.Getenv),
		"GATEKEEPER_REDIS_URL=" + redis,
		"GATEKEEPER_SECRET=a-root-secret-for-tests-that-is-long-enough",
		"GATEKEEPER_TRUSTED_PROXIES=127.0.0.1/32",
		"GATEKEEPER_RATE_LIMIT_FACTOR=1000",
		"GATEKEEPER_NODES=2",
	}, env...)
	d.cli(t, "migrate", "up")
	d.start(t, "127.0.0.1:"+freePort(t))
	d.start(t, "127.0.0.1:"+freePort(t))
	var turn atomic.Uint64
	balancer := &http.Server{ReadHeaderTimeout: 5 * time.Second, Handler: &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			n := d.nodes[turn.Add(1)%uint64(len(d.nodes))]
			r.SetURL(&url.URL{Scheme: "http", Host: n.listen})
			r.Out.Host = r.In.Host
			r.SetXForwarded()
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
	}}
	go func() { _ = balancer.Serve(proxy) }()
	t.Cleanup(func() { _ = balancer.Close() })
	return d
}

// start runs one more node and waits until it is ready.
func (d *deployment) start(t *testing.T, listen string) *node {
	t.Helper()
	return d.startProgram(t, "", listen)
}

// startProgram is start for another binary.
func (d *deployment) startProgram(t *testing.T, program, listen string) *node {
	t.Helper()
	n := &node{program: program, listen: listen, mgmt: "127.0.0.1:" + freePort(t), log: &syncBuffer{}}
	n.env = append(append([]string(nil), d.env...), "GATEKEEPER_LISTEN="+listen, "GATEKEEPER_MANAGEMENT_LISTEN="+n.mgmt)
	d.nodes = append(d.nodes, n)
	n.run(t)
	t.Cleanup(func() {
		n.stop(t)
		if t.Failed() {
			t.Logf("log of %s:\n%s", n.listen, tail(n.log.String(), 8000))
		}
		if strings.Contains(n.log.String(), "WARNING: DATA RACE") {
			t.Errorf("data race in the program:\n%s", n.log.String())
		}
	})
	return n
}

func (n *node) run(t *testing.T) {
	t.Helper()
	path, err := n.program, error(nil)
	if path == "" {
		path, err = binary()
	}
	if err != nil {
		t.Fatal(err)
	}
	n.cmd = exec.Command(path, "serve")
	n.cmd.Env = world(n.env)
	n.cmd.Stdout, n.cmd.Stderr = n.log, n.log
	if err := n.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	n.exited = make(chan struct{})
	go func(c *exec.Cmd, done chan struct{}) { _ = c.Wait(); close(done) }(n.cmd, n.exited)
	poll(t, "node "+n.listen+" ready", func() bool {
		select {
		case <-n.exited:
			t.Fatalf("node exited:\n%s", n.log.String())
		default:
		}
		r, err := http.Get("http://" + n.listen + "/readyz")
		if err != nil {
			return false
		}
		_ = r.Body.Close()
		return r.StatusCode == http.StatusOK
	})
}

// kill ends the node as a power cut would.
func (n *node) kill(t *testing.T) {
	t.Helper()
	if err := n.cmd.Process.Signal(syscall.SIGKILL); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Fatal(err)
	}
	<-n.exited
}

func (n *node) stop(t *testing.T) {
	t.Helper()
	_ = n.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-n.exited:
	case <-time.After(20 * time.Second):
		t.Errorf("node %s did not drain", n.listen)
		n.kill(t)
	}
}

// cli runs a command of the program beside the running nodes and returns what it
// printed on stdout.
func (d *deployment) cli(t *testing.T, args ...string) string {
	t.Helper()
	out, errOut, err := d.try(t, "", args...)
	if err != nil {
		t.Fatalf("gatekeeper %s: %v\n%s", strings.Join(args, " "), err, errOut)
	}
	return out
}

// try is cli with standard input, for commands that may refuse.
func (d *deployment) try(t *testing.T, stdin string, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env = world(d.env)
	cmd.Stdin = strings.NewReader(stdin)
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	err = cmd.Run()
	return out.String(), errOut.String(), err
}

// decode runs a command with -o json and decodes what it printed.
func decode[T any](t *testing.T, d *deployment, args ...string) T {
	t.Helper()
	var v T
	out := d.cli(t, append(args, "-o", "json")...)
	if err := json.Unmarshal([]byte(out), &v); err != nil {
		t.Fatalf("gatekeeper %s: %v in %s", strings.Join(args, " "), err, out)
	}
	return v
}

// user creates a person who can sign in.
func (d *deployment) user(t *testing.T, email, password string, args ...string) string {
	t.Helper()
	out, errOut, err := d.try(t, password+"\n", append([]string{"user", "create", email, "--password-stdin", "-o", "json"}, args...)...)
	if err != nil {
		t.Fatalf("user create: %v\n%s", err, errOut)
	}
	var u struct {
		ID string `json:"id"`
	}
	if err := json.Unmarshal([]byte(out), &u); err != nil || u.ID == "" {
		t.Fatalf("user create: %v in %s", err, out)
	}
	return u.ID
}

// client registers an application and returns its secret.
func (d *deployment) client(t *testing.T, id string, args ...string) string {
	t.Helper()
	return decode[struct {
		Secret string `json:"client_secret"`
	}](t, d, append([]string{"client", "create", id}, args...)...).Secret
}

// world is the environment a child gets: nothing of ours but what it needs.
func world(env []string) []string {
	return append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME")}, env...)
}

// service returns the address of something `make test` starts. Without it the
// test is skipped on a developer's machine and fails in CI.
func service(t *testing.T, name string) string {
	t.Helper()
	v := os.Getenv(name)
	if v == "" && os.Getenv("CI") != "" {
		t.Fatalf("%s is not set; run the tests through make test", name)
	}
	if v == "" {
		t.Skipf("%s is not set; make test sets it", name)
	}
	return v
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

// poll waits for an outcome that another process decides. It is not a sleep for
// luck: it ends as soon as ok, and fails loudly when that never comes.
func poll(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(60 * time.Second)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("never happened: %s", what)
		}
	}
}

func tail(s string, n int) string {
	if len(s) > n {
		return "…" + s[len(s)-n:]
	}
	return s
}

func body(t *testing.T, r *http.Response) string {
	t.Helper()
	defer func() { _ = r.Body.Close() }()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
