package main

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"

	"github.com/gatekeeper-oidc/gatekeeper/internal/config"
)

// A supervisor is the service manager that started the server, if one did and
// wants to hear of it (sd_notify(3)): that it is ready, that it stops, and every
// so often that it still answers. Without one everything here does nothing.
type supervisor struct {
	alive    func(ctx context.Context) error // asks the server as a stranger would
	interval time.Duration                   // between signs of life; 0: none are wanted
	log      *slog.Logger
}

// newSupervisor finds the supervisor in the environment, which is where it says
// how often it wants to hear.
func newSupervisor(cfg *config.Config, doors []door, log *slog.Logger) (*supervisor, error) {
	limit, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		return nil, badConfig(err)
	}
	own := *cfg
	own.Listen = doors[0].Listeners[0].Addr().String()
	address := ownAddress(&own) + "/healthz"
	return &supervisor{
		alive:    func(ctx context.Context) error { return probe(ctx, &own, address) },
		interval: limit / 3, log: log,
	}, nil
}

// say sends one state. A supervisor that does not listen must not stop the server.
func (s *supervisor) say(ctx context.Context, state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		s.log.LogAttrs(ctx, slog.LevelWarn, "the supervisor was not told", slog.String("event", "sd_notify"), slog.String("state", state), slog.Any("error", err))
	}
}

// run is the worker: ready, then a sign of life for as long as the server really
// answers. It also catches SIGHUP, whose default would end a server that has no
// certificate to read again.
func (s *supervisor) run(ctx context.Context) error {
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	var tick <-chan time.Time
	if s.interval > 0 {
		t := time.NewTicker(s.interval)
		defer t.Stop()
		tick = t.C
	}
	s.say(ctx, daemon.SdNotifyReady)
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-hangup:
			s.log.LogAttrs(ctx, slog.LevelInfo, "SIGHUP: certificates are read again; other settings need a restart", slog.String("event", "hangup"))
		case <-tick:
			s.beat(ctx)
		}
	}
}

func (s *supervisor) beat(ctx context.Context) {
	within, cancel := context.WithTimeout(ctx, s.interval)
	defer cancel()
	if err := s.alive(within); err != nil {
		s.log.LogAttrs(ctx, slog.LevelError, "the server does not answer itself; the supervisor is not told that it lives",
			slog.String("event", "watchdog"), slog.Any("error", err))
		return
	}
	s.say(ctx, daemon.SdNotifyWatchdog)
}
