package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"go.opentelemetry.io/otel/trace"

	"github.com/gatekeeper-oidc/gatekeeper/internal/config"
	"github.com/gatekeeper-oidc/gatekeeper/storage"
)

const (
	setupTTL  = 30 * time.Minute
	cleanTick = time.Minute
	cleanRows = 1000 // at most, of each kind, in one transaction
	cleanApps = 100  // unused applications at most, each in a transaction of its own
)

// serve runs the program until ctx ends.
func serve(ctx context.Context, cfg *config.Config, w world) (err error) {
	begun := w.Now()
	doors, err := openSockets(ctx, cfg)
	if err != nil {
		return err
	}
	defer closeSockets(doors) // serveUntil has, if it came to that
	p, err := wire(ctx, cfg, w)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	leave, err := storage.Occupy(cfg.DatabaseURL.Reveal())
	if err != nil {
		return databaseRefused(cfg, err)
	}
	defer leave()
	tracer, flush, err := newTracing(ctx, cfg.OtelEndpoint, thisBuild().Version)
	if err != nil {
		return badConfig(err)
	}
	p.countDropped(w)
	s := &service{Doors: doors, Health: p.health(), Settle: cfg.DrainDelay, Drain: cfg.DrainTimeout, Log: p.log}
	if err := p.hang(s, tracer); err != nil { //nolint:contextcheck // each request brings its own context
		return err
	}
	told := p.started(begun)
	p.warnManagement(ctx)
	s.Workers = append(p.workers(), p.totals...)
	if err := p.secure(s, &told); err != nil {
		return err
	}
	if told.SetupURL, err = p.setupURL(ctx); err != nil {
		return err
	}
	watch, err := newSupervisor(cfg, doors, p.log)
	if err != nil {
		return err
	}
	s.Workers = append(s.Workers, worker{"supervisor", watch.run})
	defer context.AfterFunc(ctx, func() { watch.say(context.WithoutCancel(ctx), daemon.SdNotifyStopping) })()
	told.Took = w.Now().Sub(begun)
	announce(ctx, w.Stderr, w.StderrTTY, p.log, told)
	err = serveUntil(ctx, s)
	flushing, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	return errors.Join(err, flush(flushing))
}

// countDropped measures the log lines that nobody read in time.
func (p *program) countDropped(w world) {
	if words, ok := w.Stderr.(*logQueue); ok {
		p.meter.Count("gatekeeper_log_lines_dropped_total", "Log lines nobody read in time.", func() float64 { return float64(words.dropped.Load()) })
	}
}

// hang puts a handler behind each door.
func (p *program) hang(s *service, tracer trace.TracerProvider) (err error) {
	if s.Doors[0].Handler, err = p.public(tracer, s.Health); err != nil || len(s.Doors) == 1 {
		return err
	}
	s.Doors[1].Handler, err = p.management(s.Health)
	return err
}

// openSockets opens every socket before anything else is touched, so that a port
// that is taken is told at once. The first door is the public one.
func openSockets(ctx context.Context, cfg *config.Config) ([]door, error) {
	listeners, err := listen(ctx, "listen", cfg.Listen)
	if err != nil {
		return nil, err
	}
	doors := []door{{Name: "public", Listeners: listeners}}
	if cfg.Issuer == "" {
		cfg.Issuer = cfg.LocalIssuer(portOf(listeners[0]))
	}
	if cfg.ManagementOff() {
		return doors, nil
	}
	if listeners, err = listen(ctx, "management-listen", cfg.ManagementListen); err != nil {
		closeSockets(doors)
		return nil, err
	}
	if host, port, err := net.SplitHostPort(cfg.ManagementListen); err == nil && port == "0" {
		cfg.ManagementListen = net.JoinHostPort(host, portOf(listeners[0]))
	}
	return append(doors, door{Name: "management", Listeners: listeners}), nil
}

func closeSockets(doors []door) {
	for _, d := range doors {
		for _, l := range d.Listeners {
			_ = l.Close() // nothing was accepted on it
		}
	}
}

// secure puts TLS in front of the public door where the configuration asks for it.
func (p *program) secure(s *service, told *started) error {
	if !p.cfg.ServesTLS() {
		return nil
	}
	certFile, keyFile := p.cfg.TLSCert, p.cfg.TLSKey
	if p.cfg.TLS == "dev" {
		issuer, err := url.Parse(p.cfg.Issuer)
		if err != nil {
			return badConfig(fmt.Errorf("issuer: %w", err))
		}
		pair, err := devCertificate(devTLSDir(p.cfg), issuer.Hostname(), p.now())
		if err != nil {
			return fmt.Errorf("make a development certificate: %w", err)
		}
		certFile, keyFile, told.TrustCA = pair.Cert, pair.Key, pair.CA
	}
	c, err := loadCertificate(certFile, keyFile, p.log)
	switch {
	case err == nil:
	case p.cfg.TLS == "dev":
		return err
	default:
		return badConfig(p.cfg.Blame("tls_cert", "makes no certificate with tls_key %s: %s", keyFile, reasonOf(err)))
	}
	s.Doors[0].TLS = c.config()
	for _, d := range s.Doors[1:] { // the management door, whose probes may know no TLS
		side := c.config()
		side.NextProtos = []string{"http/1.1"}
		for i, l := range d.Listeners {
			d.Listeners[i] = newBothWays(l, side)
		}
	}
	s.Workers = append(s.Workers, worker{"certificate", c.follow})
	return nil
}

// workers run while the server is up; a later one may lean on an earlier one.
func (p *program) workers() []worker {
	p.meter.Gauge("gatekeeper_signing_key_age_seconds", "Age of the key that signs by default.", func() float64 { return p.ring.Age().Seconds() })
	p.meter.Gauge("gatekeeper_fetches", "Addresses of applications that are being asked.", func() float64 { n, _ := p.others.Load(); return float64(n) })
	p.meter.Gauge("gatekeeper_fetches_waiting", "Addresses of applications that wait to be asked.", func() float64 { _, n := p.others.Load(); return float64(n) })
	p.meter.Count("gatekeeper_store_round_trips_total", "Statements sent to the database.", func() float64 { return float64(p.DB.Trips()) })
	return []worker{
		{"trail", p.trail.Run},
		{"keys", p.ring.Run},
		{"usage", p.usage.Run},
		{"bell", func(ctx context.Context) error { return p.DB.Listen(ctx, p.hear) }},
		{"cleaner", p.clean},
		{"sign-outs", p.signOuts.Run},
	}
}

// hear is what a node does when the bell names a change.
func (p *program) hear(topic string) {
	p.oauth.Forget(topic)
	if topic == "*" || strings.HasPrefix(topic, "key:") {
		p.ring.Reload()
	}
	if topic == "*" || strings.HasPrefix(topic, "session:") {
		p.signOuts.Ring()
	}
}

// clean removes what has expired, in small transactions.
func (p *program) clean(ctx context.Context) error {
	tick := time.NewTicker(cleanTick)
	defer tick.Stop()
	for {
		more, err := p.sweep(ctx)
		if err != nil && ctx.Err() == nil {
			p.log.LogAttrs(ctx, slog.LevelWarn, "expired rows were not removed", slog.String("event", "clean"), slog.Any("error", err))
		}
		if err == nil && more {
			continue
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// sweep removes one batch of everything that has expired, and reports whether
// there may be more.
func (p *program) sweep(ctx context.Context) (more bool, err error) {
	rows, err := p.DB.Clean(ctx, cleanRows)
	if err != nil {
		return false, err
	}
	apps, err := p.registrar.Expire(ctx, cleanApps)
	return rows >= cleanRows || apps >= cleanApps, err
}

// setupURL is the one-time link for the first administrator, while there is none.
func (p *program) setupURL(ctx context.Context) (string, error) {
	needed, err := p.people.NeedsSetup(ctx)
	if err != nil || !needed {
		return "", err
	}
	token, err := p.people.NewSetup(ctx, setupTTL)
	if err != nil {
		return "", fmt.Errorf("make a set-up link: %w", err)
	}
	return p.cfg.Issuer + "/setup/" + token, nil
}

func (p *program) started(begun time.Time) started {
	s := started{
		Version: thisBuild().Version, Development: p.cfg.Dev, Untouched: p.cfg.Untouched(), Open: !p.cfg.Local(), Issuer: p.cfg.Issuer, SetupFor: setupTTL, DataNew: p.created,
		Data: p.cfg.DatabaseFile(), Database: "sqlite", Took: p.now().Sub(begun),
	}
	if s.Data == filepath.Join(p.cfg.DataDir, "gatekeeper.db") {
		s.Data = p.cfg.DataDir // the secret is there as well
	}
	if p.cfg.Postgres() {
		s.Database = "postgres"
	}
	if !p.cfg.ManagementOff() {
		s.Metrics = "http://" + p.cfg.ManagementListen + "/metrics"
	}
	if _, port, err := net.SplitHostPort(p.cfg.Listen); err == nil && !strings.HasSuffix(p.cfg.Issuer, ":"+port) {
		s.Listen = p.cfg.Listen
	}
	return s
}

// newLog writes to stderr: text for a person, JSON for anything else.
func newLog(cfg *config.Config, w world) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(cfg.LogLevel)); err != nil {
		level = slog.LevelInfo // the configuration was checked
	}
	opts := &slog.HandlerOptions{Level: level}
	if cfg.LogFormat == "text" || cfg.LogFormat == "auto" && w.StderrTTY {
		return slog.New(slog.NewTextHandler(w.Stderr, opts))
	}
	return slog.New(slog.NewJSONHandler(escaping{w.Stderr}, opts))
}
