package fetch

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatekeeper-oidc/gatekeeper/internal/flight"
)

// guest is a caller that knows whether it stepped aside.
type guest struct {
	name  string
	aside atomic.Int64
}

func (g *guest) Who() string { return g.name }

func (g *guest) Aside() (back func()) {
	g.aside.Add(1)
	return func() {}
}

func from(ctx context.Context, g *guest) context.Context {
	return context.WithValue(ctx, flight.CallerKey{}, g)
}

// pooled is a Pool over a server with h, whose clock is advanced by hand.
func pooled(t *testing.T, h http.HandlerFunc, charge func(context.Context, string, string) bool) (p *Pool, address string, pass func(time.Duration)) {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	var passed atomic.Int64
	now := func() time.Time { return epoch.Add(time.Duration(passed.Load())) }
	c := newClient(t, func(cfg *Config) { cfg.Allow, cfg.DangerouslyAllowHTTP = loopback, true })
	p, err := NewPool(PoolConfig{Client: c, Now: now, Charge: charge})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Wait)
	return p, s.URL, func(d time.Duration) { passed.Add(int64(d)) }
}

func forMinute(Document) time.Duration { return time.Minute }

func TestPoolAsksOnceForAll(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	held := make(chan struct{})
	p, address, pass := pooled(t, func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		<-held
		_, _ = w.Write([]byte("here"))
	}, nil)
	left, leave := context.WithCancel(t.Context())
	first := &guest{name: "first"}
	var all sync.WaitGroup
	all.Go(func() { // whoever leaves does not take the answer from the others
		if _, err := p.Get(from(left, first), address, Want{Keep: forMinute}); !errors.Is(err, context.Canceled) || !errors.Is(err, ErrUnreachable) {
			t.Errorf("who left: %v", err)
		}
	})
	for asked.Load() == 0 {
		runtime.Gosched()
	}
	others := make([]*guest, 20)
	for i := range others {
		others[i] = &guest{name: fmt.Sprint(i)}
		all.Go(func() {
			if doc, err := p.Get(from(t.Context(), others[i]), address, Want{Keep: forMinute}); err != nil || string(doc.Body) != "here" {
				t.Errorf("%s, %v", doc.Body, err)
			}
		})
	}
	for _, g := range others {
		for g.aside.Load() == 0 {
			runtime.Gosched()
		}
	}
	leave()
	close(held)
	all.Wait()
	pass(time.Minute - 1)
	if _, err := p.Get(t.Context(), address, Want{Keep: forMinute}); err != nil || asked.Load() != 1 || first.aside.Load() != 1 {
		t.Errorf("asked %d times: %v", asked.Load(), err)
	}
	pass(1)
	if _, err := p.Get(t.Context(), address, Want{}); err != nil || asked.Load() != 2 {
		t.Errorf("too old: asked %d times: %v", asked.Load(), err)
	}
	if _, err := p.Get(t.Context(), address+"#two", Want{Keep: forMinute}); err != nil || asked.Load() != 3 {
		t.Errorf("another version: asked %d times: %v", asked.Load(), err)
	}
}

func TestPoolRemembersMisses(t *testing.T) {
	t.Parallel()
	var asked, down atomic.Int64
	down.Store(1)
	p, address, pass := pooled(t, func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		if down.Load() == 1 {
			w.WriteHeader(http.StatusInternalServerError)
		}
	}, nil)
	for range 3 {
		if _, err := p.Get(t.Context(), address, Want{}); !errors.Is(err, ErrUnreachable) || asked.Load() != 1 {
			t.Errorf("asked %d times: %v", asked.Load(), err)
		}
	}
	down.Store(0)
	pass(missAge)
	if _, err := p.Get(t.Context(), address, Want{}); err != nil || asked.Load() != 2 {
		t.Errorf("it answers again: asked %d times: %v", asked.Load(), err)
	}
	if _, err := p.Get(t.Context(), strings.Replace(address, "http:", "ftp:", 1), Want{}); !errors.Is(err, ErrRefused) {
		t.Errorf("an address that is none: %v", err)
	}
}

// TestPoolCharges: who causes a fetch pays for it before it begins, and what is
// refused so says nothing about the address.
func TestPoolCharges(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	var charged []string
	p, address, _ := pooled(t, func(http.ResponseWriter, *http.Request) { asked.Add(1) }, func(_ context.Context, guest, client string) bool {
		charged = append(charged, guest+" "+client)
		return guest != "greedy"
	})
	ctx := For(t.Context(), "shop", true)
	if _, err := p.Get(from(ctx, &guest{name: "greedy"}), address, Want{}); !errors.Is(err, ErrBusy) || asked.Load() != 0 {
		t.Errorf("asked %d times: %v", asked.Load(), err)
	}
	if _, err := p.Get(from(ctx, &guest{name: "modest"}), address, Want{}); err != nil || asked.Load() != 1 {
		t.Errorf("asked %d times: %v", asked.Load(), err)
	}
	if _, _, err := p.FetchJWKS(from(ctx, &guest{name: "greedy"}), address); !errors.Is(err, ErrBusy) || !errors.Is(err, flight.ErrFull) || asked.Load() != 1 {
		t.Errorf("keys: asked %d times: %v", asked.Load(), err)
	}
	if got := strings.Join(charged, ","); got != "greedy shop,modest shop,greedy shop" {
		t.Errorf("charged %s", got)
	}
}

// TestSeatsAreFair: neither a guest, nor an application, nor a host, nor all
// strangers together have every seat.
func TestSeatsAreFair(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		make func(i int) asker
		most int
	}{
		"a guest":        {func(i int) asker { return asker{"g", fmt.Sprint(i), fmt.Sprint(i), false} }, maxOfGuest},
		"an application": {func(i int) asker { return asker{fmt.Sprint(i), "c", fmt.Sprint(i), false} }, maxOfClient},
		"a host":         {func(i int) asker { return asker{fmt.Sprint(i), fmt.Sprint(i), "h", false} }, maxOfHost},
		"strangers":      {func(i int) asker { return asker{fmt.Sprint(i), fmt.Sprint(i), fmt.Sprint(i), true} }, maxStrangers},
		"everybody":      {func(i int) asker { return asker{fmt.Sprint(i), fmt.Sprint(i), fmt.Sprint(i), false} }, maxSeats},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var s seats
			over, cancel := context.WithCancel(t.Context())
			cancel()
			var leave []func()
			for i := range maxSeats + 1 {
				if l, err := s.take(over, tt.make(i)); err == nil {
					leave = append(leave, l)
				} else if !errors.Is(err, ErrBusy) {
					t.Error(err)
				}
			}
			if len(leave) != tt.most {
				t.Errorf("got %d seats, want %d", len(leave), tt.most)
			}
			l, err := s.take(over, asker{guest: "another", client: "another", host: "another"})
			if tt.most < maxSeats && err != nil {
				t.Errorf("another got none: %v", err)
			}
			if err == nil {
				l()
			}
			for _, l := range leave {
				l()
			}
			if taken, waiting := s.load(); taken != 0 || waiting != 0 {
				t.Errorf("%d seats taken, %d in line", taken, waiting)
			}
		})
	}
}

// TestTheLineIsBounded: a guest fills its own part of the line and no more, and
// whoever leaves lets the next one in.
func TestTheLineIsBounded(t *testing.T) {
	t.Parallel()
	var s seats
	g := asker{guest: "g", host: "h"}
	var held []func()
	for range maxOfGuest {
		l, err := s.take(t.Context(), g)
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, l)
	}
	var got atomic.Int64
	var all sync.WaitGroup
	for range maxQueued {
		all.Go(func() {
			l, err := s.take(t.Context(), g)
			if err != nil {
				t.Error(err)
				return
			}
			got.Add(1)
			l()
		})
	}
	for {
		s.mu.Lock()
		n := len(s.line)
		s.mu.Unlock()
		if n == maxQueued {
			break
		}
		runtime.Gosched()
	}
	if _, err := s.take(t.Context(), g); !errors.Is(err, ErrBusy) {
		t.Errorf("one more in line: %v", err)
	}
	for _, l := range held {
		l()
	}
	all.Wait()
	if got.Load() != maxQueued {
		t.Errorf("%d of %d got a seat", got.Load(), maxQueued)
	}
}
