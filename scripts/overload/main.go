// Command overload asks a server for three times what it can do and prints what
// comes of it. It builds the program, starts it over an embedded database in a
// folder of its own on loopback, measures its capacity with a closed loop, offers a
// multiple of it with an open one, and stops what it started.
//
//	go run ./scripts/overload
//
// It fails when less than four fifths of the capacity are left, or an accepted
// answer of a class takes longer than a second (99 of 100).
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	var x experiment
	flag.DurationVar(&x.calibrate, "calibrate", 5*time.Second, "how long to measure the capacity (60s at most)")
	flag.DurationVar(&x.offer, "offer", 10*time.Second, "how long to offer more (60s at most)")
	flag.Float64Var(&x.times, "times", 3, "how many times the capacity to offer (10 at most)")
	flag.IntVar(&x.conns, "conns", 1024, "connections of the open loop (4096 at most)")
	flag.Parse()
	x.calibrate, x.offer = min(x.calibrate, time.Minute), min(x.offer, time.Minute)
	x.times, x.conns = min(x.times, 10), min(x.conns, 4096)
	if err := x.run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "overload:", err)
		os.Exit(1)
	}
}

// An experiment is one run.
type experiment struct {
	calibrate, offer time.Duration
	times            float64
	conns            int

	dir, binary, addr string
	env               []string
	log               *os.File
}

func (x *experiment) run(ctx context.Context) (err error) {
	if x.dir, err = os.MkdirTemp("", "gatekeeper-overload"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(x.dir)) }()
	stop, err := x.start(ctx)
	if err != nil {
		return err
	}
	defer stop()
	token, err := x.client(ctx)
	if err != nil {
		return err
	}
	work := request{class: "token", bytes: token}
	closed := newTally()
	x.closedLoop(ctx, work, 16, closed)
	capacity := float64(closed.of("token").accepted) / x.calibrate.Seconds()
	if capacity < 1 {
		return errors.New("the server answered nothing while its capacity was measured")
	}
	fmt.Printf("capacity  %.0f tokens/s (RS256, client credentials; 16 workers, %s)\n", capacity, x.calibrate)

	open := newTally()
	offered := append([]offer{{work, x.times * capacity}}, others(x.addr)...)
	x.openLoop(ctx, offered, open)
	stop()
	return x.report(capacity, open)
}

// others are asked for now and then, to see how they fare meanwhile.
func others(addr string) []offer {
	get := func(class, path string) offer {
		return offer{request{class, []byte("GET " + path + " HTTP/1.1\r\nHost: " + addr + "\r\n\r\n")}, 20}
	}
	return []offer{get("keys", "/oidc/jwks"), get("discovery", "/.well-known/openid-configuration"), get("health", "/readyz"), get("page", "/login")}
}

// start builds and starts the server; stop ends it, once.
func (x *experiment) start(ctx context.Context) (stop func(), err error) {
	x.binary = filepath.Join(x.dir, "gatekeeper")
	build := exec.CommandContext(ctx, "go", "build", "-o", x.binary, "./cmd/gatekeeper") //nolint:gosec // the path was made here
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build: %w\n%s", err, out)
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	if err := l.Close(); err != nil {
		return nil, err
	}
	x.addr = "localhost:" + port
	x.env = append(os.Environ(), "GATEKEEPER_DATA_DIR="+filepath.Join(x.dir, "data"), "GATEKEEPER_ISSUER=http://"+x.addr, "GATEKEEPER_LISTEN="+x.addr,
		"GATEKEEPER_MANAGEMENT_LISTEN=off", "GATEKEEPER_SCOPES=api", "GATEKEEPER_RATE_LIMIT_FACTOR=1000000")
	if x.log, err = os.Create(filepath.Join(x.dir, "log")); err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, x.binary, "serve") //nolint:gosec // it was built above
	cmd.Env, cmd.Stdout, cmd.Stderr, cmd.Dir = x.env, x.log, x.log, x.dir
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	exited := make(chan struct{})
	go func() { _ = cmd.Wait(); close(exited) }()
	ended := false
	stop = func() {
		if ended {
			return
		}
		ended = true
		_ = cmd.Process.Signal(os.Interrupt) // it may have ended
		<-exited
	}
	if err := x.ready(ctx, exited); err != nil {
		stop()
		return nil, err
	}
	return stop, nil
}

func (x *experiment) ready(ctx context.Context, exited <-chan struct{}) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	ask := request{"ready", []byte("GET /readyz HTTP/1.1\r\nHost: " + x.addr + "\r\n\r\n")}
	for range 3000 {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-exited:
			return errors.New("the server ended")
		case <-tick.C:
		}
		c := conn{addr: x.addr}
		status, err := c.do(ctx, ask)
		c.close()
		if err == nil && status == 200 {
			return nil
		}
	}
	return errors.New("the server was not ready within a minute")
}

// client registers the application whose tokens are asked for, and returns its
// request.
func (x *experiment) client(ctx context.Context) ([]byte, error) {
	cmd := exec.CommandContext(ctx, x.binary, "client", "create", "job", "--type", "machine", "--scope", "api", "-o", "json") //nolint:gosec // it was built above
	cmd.Env, cmd.Dir = x.env, x.dir
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("client create: %w", err)
	}
	var made struct {
		Secret string `json:"client_secret"`
	}
	if err := json.Unmarshal(out, &made); err != nil {
		return nil, fmt.Errorf("client create: %w", err)
	}
	body := "grant_type=client_credentials&scope=api&client_id=job&client_secret=" + made.Secret
	return fmt.Appendf(nil, "POST /oauth2/token HTTP/1.1\r\nHost: %s\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\n\r\n%s",
		x.addr, len(body), body), nil
}

// report prints what came of it, and judges it.
func (x *experiment) report(capacity float64, t *tally) error {
	var errs []error
	fmt.Printf("%-10s %9s %9s %9s %9s %9s %9s %9s\n", "class", "asked", "answered", "refused", "failed", "p50 ms", "p99 ms", "refusal ms")
	for _, class := range []string{"token", "keys", "discovery", "health", "page"} {
		c := t.of(class)
		fmt.Printf("%-10s %9d %9d %9d %9d %9.1f %9.1f %9.1f\n", class, c.asked, c.accepted, c.refused, c.failed, c.at(50), c.at(99), c.refusedAt(50))
		if c.at(99) > 1000 {
			errs = append(errs, fmt.Errorf("%s: 99 of 100 answers take up to %.0f ms", class, c.at(99)))
		}
	}
	goodput := float64(t.of("token").accepted) / x.offer.Seconds()
	log, err := os.ReadFile(x.log.Name())
	if err != nil {
		return err
	}
	lines := 0
	for l := range strings.Lines(string(log)) {
		if strings.Contains(l, `"status":503`) || strings.Contains(l, `"event":"overload"`) {
			lines++
		}
	}
	fmt.Printf("goodput   %.0f tokens/s at %.1f times the capacity: %.2f of it; %d log lines about %d refusals\n",
		goodput, x.times, goodput/capacity, lines, t.of("token").refused)
	if goodput < 0.8*capacity {
		errs = append(errs, fmt.Errorf("less than 0.80 of the capacity is left"))
	}
	return errors.Join(errs...)
}
