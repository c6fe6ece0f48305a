package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// A diary notes what happened in which order.
type diary struct {
	mu    sync.Mutex
	lines []string
}

func (d *diary) note(line string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lines = append(d.lines, line)
}

func (d *diary) worker(name string) worker {
	return worker{name, func(ctx context.Context) error {
		<-ctx.Done()
		d.note(name + " stopped")
		return ctx.Err()
	}}
}

// served starts s on a loopback socket and returns its URL and how it ended.
func served(t *testing.T, ctx context.Context, s *service, h http.Handler) (string, <-chan error) {
	t.Helper()
	listeners, err := listen(ctx, "listen", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.Doors = append(s.Doors, door{Name: "public", Handler: h, Listeners: listeners})
	s.Health = &health{Now: time.Now}
	if s.Log == nil {
		s.Log = slog.New(slog.DiscardHandler)
	}
	ended := make(chan error, 1)
	go func() { ended <- serveUntil(ctx, s) }()
	return "http://" + listeners[0].Addr().String(), ended
}

func fetched(t *testing.T, url string) (string, error) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	r, err := http.NewRequestWithContext(context.WithoutCancel(t.Context()), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Do(r)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return string(body), err
}

func TestServeStopsInOrderAndLosesNothing(t *testing.T) { //nolint:paralleltest // goleak counts every goroutine
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	var d diary
	stopping := make(writes, 1)
	s := &service{Drain: 5 * time.Second, Log: slog.New(slog.NewTextHandler(stopping, nil)), Workers: []worker{d.worker("trail"), d.worker("keys")}}
	inside, leave := make(chan struct{}), make(chan struct{})
	h := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(inside)
		<-leave
		d.note("request answered")
		_, _ = io.WriteString(w, "whole")
	})
	ctx, stop := context.WithCancel(t.Context())
	url, ended := served(t, ctx, s, h)
	answer := make(chan string, 1)
	go func() {
		body, err := fetched(t, url)
		if err != nil {
			body = err.Error()
		}
		answer <- body
	}()
	<-inside
	stop()
	<-stopping
	if !s.Health.draining.Load() {
		t.Error("ready while stopping")
	}
	close(leave)
	if err := <-ended; err != nil {
		t.Errorf("ended with %v", err)
	}
	if got := <-answer; got != "whole" {
		t.Errorf("the request under way got %q", got)
	}
	if want := []string{"request answered", "keys stopped", "trail stopped"}; !slices.Equal(d.lines, want) {
		t.Errorf("order %v, want %v", d.lines, want)
	}
	if _, err := fetched(t, url); err == nil {
		t.Error("the socket still answers")
	}
}

func TestServeCutsWhatDoesNotEnd(t *testing.T) { //nolint:paralleltest // goleak counts every goroutine
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	inside := make(chan struct{})
	h := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(inside)
		<-r.Context().Done()
	})
	ctx, stop := context.WithCancel(t.Context())
	url, ended := served(t, ctx, &service{Drain: 10 * time.Millisecond}, h)
	answer := make(chan error, 1)
	go func() {
		_, err := fetched(t, url)
		answer <- err
	}()
	<-inside
	stop()
	if err := <-ended; err != nil {
		t.Errorf("ended with %v", err)
	}
	if err := <-answer; err == nil {
		t.Error("the request that never ends was answered")
	}
}

func TestAFailedWorkerTakesTheServerDown(t *testing.T) { //nolint:paralleltest // goleak counts every goroutine
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	boom := errors.New("boom")
	for name, run := range map[string]func(context.Context) error{
		"with an error":    func(context.Context) error { return boom },
		"without an error": func(context.Context) error { return nil },
	} {
		var d diary
		s := &service{Drain: time.Second, Workers: []worker{d.worker("trail"), {"keys", run}}}
		_, ended := served(t, t.Context(), s, http.NotFoundHandler())
		err := <-ended
		if err == nil || !strings.Contains(err.Error(), "keys") {
			t.Errorf("%s: %v", name, err)
		}
		if !slices.Equal(d.lines, []string{"trail stopped"}) {
			t.Errorf("%s: the other worker: %v", name, d.lines)
		}
	}
}

func TestAFailedListenerTakesTheServerDown(t *testing.T) { //nolint:paralleltest // goleak counts every goroutine
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	listeners, err := listen(t.Context(), "listen", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := listeners[0].Close(); err != nil {
		t.Fatal(err)
	}
	s := &service{
		Drain: time.Second, Health: &health{Now: time.Now}, Log: slog.New(slog.DiscardHandler),
		Doors: []door{{Name: "public", Handler: http.NotFoundHandler(), Listeners: listeners}},
	}
	if err := serveUntil(t.Context(), s); err == nil || !strings.Contains(err.Error(), "serve public") {
		t.Errorf("%v", err)
	}
}

func TestServeOverTLS(t *testing.T) { //nolint:paralleltest // goleak counts every goroutine
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	p, c := devFor(t, t.TempDir(), "localhost", time.Now())
	listeners, err := listen(t.Context(), "listen", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	s := &service{
		Drain: time.Second, Health: &health{Now: time.Now}, Log: slog.New(slog.DiscardHandler),
		Doors: []door{{"public", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.Proto) }), listeners, c.config()}},
	}
	ended := make(chan error, 1)
	go func() { ended <- serveUntil(ctx, s) }()
	transport := &http.Transport{TLSClientConfig: trusting(t, p.CA, "localhost"), ForceAttemptHTTP2: true}
	client := &http.Client{Transport: transport}
	resp, err := client.Get("https://" + listeners[0].Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.Body.Close() != nil || string(body) != "HTTP/2.0" {
		t.Errorf("%s %v", body, err)
	}
	transport.CloseIdleConnections()
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestBanner(t *testing.T) {
	t.Parallel()
	s := started{
		Version: "0.1.0", Development: true, Untouched: true, Issuer: "http://localhost:8080", Metrics: "http://127.0.0.1:9090/metrics",
		Data: "~/.local/share/gatekeeper", Database: "sqlite", DataNew: true, SetupURL: "http://localhost:8080/setup/3QFZ7K2M", SetupFor: 30 * time.Minute,
		Took: 210 * time.Millisecond,
	}
	want := `Gatekeeper 0.1.0  development mode: no configuration, listening on this computer only

  Issuer      http://localhost:8080
  Discovery   http://localhost:8080/.well-known/openid-configuration
  Account     http://localhost:8080/account
  Metrics     http://127.0.0.1:9090/metrics
  Data        ~/.local/share/gatekeeper  (sqlite, created just now)

  Create the first administrator. The link works once, for 30 minutes:
    http://localhost:8080/setup/3QFZ7K2M

  See a login from an app's side:   gatekeeper try
  Register your own app:            gatekeeper client create my-app --redirect-uri http://localhost:3000/callback

Ready in 0.21 s. Stop with Ctrl-C.
`
	var tty, log bytes.Buffer
	logger := slog.New(slog.NewJSONHandler(&log, nil))
	announce(t.Context(), &tty, true, logger, s)
	if tty.String() != want || log.Len() != 0 {
		t.Errorf("on a terminal:\n%s\nlog %s", tty.String(), log.String())
	}
	tty.Reset()
	announce(t.Context(), &tty, false, logger, s)
	if tty.Len() != 0 || strings.Count(log.String(), "\n") != 1 || !strings.Contains(log.String(), `"event":"started"`) ||
		!strings.Contains(log.String(), `"setup_url":"http://localhost:8080/setup/3QFZ7K2M"`) || strings.Contains(log.String(), "trust_ca") {
		t.Errorf("elsewhere: %s", log.String())
	}
}

// TestMode: what the first line says of a server is true of it.
func TestMode(t *testing.T) {
	t.Parallel()
	for want, s := range map[string]started{
		"":                      {},
		"no configuration":      {Development: true, Untouched: true},
		"listening on this":     {Development: true},
		"other computers can":   {Development: true, Open: true},
		"development mode, and": {Development: true, Open: true, Untouched: true},
	} {
		if got := s.mode(); !strings.Contains(got, want) || want == "" && got != "" {
			t.Errorf("%+v: %q, want %q", s, got, want)
		}
	}
}

func TestTracing(t *testing.T) {
	t.Parallel()
	provider, stop, err := newTracing(t.Context(), "", "0.1.0")
	if provider != nil || err != nil || stop(t.Context()) != nil {
		t.Errorf("without an endpoint: %v %v", provider, err)
	}
	if _, _, err := newTracing(t.Context(), "collector:4318", "0.1.0"); status(err) != exitConfig {
		t.Errorf("an endpoint that is no URL: %v", err)
	}
	got := make(chan string, 1)
	listeners, err := listen(t.Context(), "listen", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	collector := &http.Server{ReadHeaderTimeout: time.Second, Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got <- r.URL.Path })}
	t.Cleanup(func() { _ = collector.Close() })
	go func() { _ = collector.Serve(listeners[0]) }()
	provider, stop, err = newTracing(t.Context(), "http://"+listeners[0].Addr().String(), "0.1.0")
	if err != nil {
		t.Fatal(err)
	}
	_, s := provider.Tracer("test").Start(t.Context(), "GET /x")
	s.End()
	if err := stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if path := <-got; path != "/v1/traces" {
		t.Errorf("sent to %s", path)
	}
}
