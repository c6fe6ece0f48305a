package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/gatekeeper-oidc/gatekeeper/internal/web"
)

// A door is one handler on its sockets.
type door struct {
	Name      string // "public", "management"
	Handler   http.Handler
	Listeners []net.Listener
	TLS       *tls.Config // nil means plain http
}

// A worker runs until its context ends. Stopped before that, with an error or
// without, it takes the server down: half a server is worse than none.
type worker struct {
	Name string
	Run  func(ctx context.Context) error
}

// A service is everything that runs while the server is up.
//
//	start   workers, in order ─► doors
//	stop    readiness off ─► settle ─► doors drain (≤ Drain), management last ─► workers, in reverse
type service struct {
	Doors   []door   // the management door last: it is watched to the end
	Workers []worker // a later one may lean on an earlier one
	Health  *health
	Settle  time.Duration // between readiness off and closed sockets, for balancers to notice
	Drain   time.Duration // for requests under way
	Log     *slog.Logger
}

// serveUntil runs s until ctx ends, which is the good way, or until a part of it
// fails; then it stops all of it, in order, and returns the first failure.
func serveUntil(ctx context.Context, s *service) error {
	failed := make(chan error, len(s.Workers)+s.listeners())
	work := context.WithoutCancel(ctx) // workers outlive the signal: requests under way need them
	stopWorkers := s.startWorkers(work, failed)
	servers, serving := s.openDoors(failed)

	var first error
	select {
	case <-ctx.Done():
	case first = <-failed:
	}
	s.Health.drain()
	if first == nil {
		s.Log.LogAttrs(work, slog.LevelInfo, "stopping", slog.String("event", "stopping"))
		pause(work, s.Settle)
	}
	first = errors.Join(first, s.closeDoors(work, servers))
	serving.Wait()
	stopWorkers()
	close(failed)
	for err := range failed {
		first = errors.Join(first, err)
	}
	return first
}

func (s *service) listeners() int {
	n := 0
	for _, d := range s.Doors {
		n += len(d.Listeners)
	}
	return n
}

// startWorkers starts every worker under a context of its own; stop ends them in
// reverse order and waits for each.
func (s *service) startWorkers(ctx context.Context, failed chan<- error) (stop func()) {
	var stops []func()
	for _, w := range s.Workers {
		own, cancel := context.WithCancel(ctx)
		done := make(chan struct{})
		go func() {
			defer close(done)
			err := w.Run(own)
			switch {
			case own.Err() == nil && err == nil:
				failed <- fmt.Errorf("%s stopped by itself", w.Name)
			case err != nil && !errors.Is(err, context.Canceled):
				failed <- fmt.Errorf("%s: %w", w.Name, err)
			}
		}()
		stops = append(stops, func() { cancel(); <-done })
	}
	return func() {
		for i := len(stops) - 1; i >= 0; i-- {
			stops[i]()
		}
	}
}

// openDoors serves every door on each of its sockets.
func (s *service) openDoors(failed chan<- error) ([]*http.Server, *sync.WaitGroup) {
	var serving sync.WaitGroup
	servers := make([]*http.Server, 0, len(s.Doors))
	for _, d := range s.Doors {
		server := web.NewServer(d.Handler, s.Log)
		server.TLSConfig = d.TLS
		servers = append(servers, server)
		for _, l := range d.Listeners {
			serving.Go(func() {
				serve := server.Serve
				if d.TLS != nil {
					serve = func(l net.Listener) error { return server.ServeTLS(l, "", "") }
				}
				if err := serve(l); !errors.Is(err, http.ErrServerClosed) {
					failed <- fmt.Errorf("serve %s on %s: %w", d.Name, l.Addr(), err)
				}
			})
		}
	}
	return servers, &serving
}

// closeDoors lets requests under way finish, all doors sharing one deadline, and
// cuts what is left.
func (s *service) closeDoors(ctx context.Context, servers []*http.Server) error {
	ctx, cancel := context.WithTimeout(ctx, s.Drain)
	defer cancel()
	var errs []error
	for i, server := range servers {
		err := server.Shutdown(ctx)
		if errors.Is(err, context.DeadlineExceeded) {
			s.Log.LogAttrs(ctx, slog.LevelWarn, "requests were cut", slog.String("event", "drain_timeout"), slog.String("door", s.Doors[i].Name))
			err = server.Close()
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("close the %s door: %w", s.Doors[i].Name, err))
		}
	}
	return errors.Join(errs...)
}

// pause waits for d, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
