package main

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A pipes is a listener without a network, so that a test's clock can be made up.
type pipes struct {
	conns chan net.Conn
	once  sync.Once
	done  chan struct{}
}

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn), done: make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { p.once.Do(func() { close(p.done) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }

func (p *pipes) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	here, there := net.Pipe()
	select {
	case p.conns <- there:
		return here, nil
	case <-p.done:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// TestAStoppingServerWaitsForItsBalancer: for the delay it says that it is not
// ready and answers all the same; only then are its sockets closed.
func TestAStoppingServerWaitsForItsBalancer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		street := newPipes()
		s := &service{
			Settle: time.Hour, Drain: time.Second, Health: &health{Now: time.Now}, Log: slog.New(slog.DiscardHandler),
			Doors: []door{{Name: "public", Listeners: []net.Listener{street}, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				_, _ = io.WriteString(w, "answered")
			})}},
		}
		client := &http.Client{Transport: &http.Transport{DialContext: street.dial, DisableKeepAlives: true}}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- serveUntil(ctx, s) }()
		synctest.Wait()
		begun := time.Now()
		stop()
		synctest.Wait()
		if r := s.Health.report(t.Context()); r.Status != "draining" || r.code() != http.StatusServiceUnavailable {
			t.Errorf("a stopping server says %s", r.Status)
		}
		res, err := client.Get("http://gatekeeper.test/")
		if err != nil {
			t.Fatalf("a request before the balancer noticed: %v", err)
		}
		body, err := io.ReadAll(res.Body)
		if err != nil || string(body) != "answered" || res.Body.Close() != nil {
			t.Errorf("%q %v", body, err)
		}
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if took := time.Since(begun); took < time.Hour {
			t.Errorf("the sockets were closed after %s", took)
		}
		if res, err := client.Get("http://gatekeeper.test/"); err == nil {
			_ = res.Body.Close()
			t.Error("it answers after the end")
		}
	})
}
