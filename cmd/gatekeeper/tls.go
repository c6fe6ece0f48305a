package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"
)

// certificatePoll is how often the certificate's files are looked at.
const certificatePoll = 30 * time.Second

// A certificate is a TLS certificate that follows its files: whoever renews it
// writes the files, and connections from then on use the new one. A pair that
// does not load is logged and the old one stays.
type certificate struct {
	certFile, keyFile string
	log               *slog.Logger
	current           atomic.Pointer[tls.Certificate]
	stamp             [2]fileStamp // of the files current was read from, or last tried
}

// A fileStamp changes when a file does.
type fileStamp struct {
	at   time.Time
	size int64
}

// loadCertificate reads the pair; both files are PEM, the leaf first.
func loadCertificate(certFile, keyFile string, log *slog.Logger) (*certificate, error) {
	c := &certificate{certFile: certFile, keyFile: keyFile, log: log}
	if _, err := c.changed(); err != nil {
		return nil, badConfig(err)
	}
	if err := c.load(); err != nil {
		return nil, badConfig(err)
	}
	return c, nil
}

func (c *certificate) load() error {
	pair, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		return fmt.Errorf("load the TLS certificate %s and key %s: %w", c.certFile, c.keyFile, err)
	}
	c.current.Store(&pair)
	return nil
}

// changed reports whether a file is another than last time.
func (c *certificate) changed() (bool, error) {
	var stamp [2]fileStamp
	for i, name := range []string{c.certFile, c.keyFile} {
		info, err := os.Stat(name)
		if err != nil {
			return false, fmt.Errorf("look at the TLS certificate: %w", err)
		}
		stamp[i] = fileStamp{info.ModTime(), info.Size()}
	}
	was := c.stamp
	c.stamp = stamp
	return stamp != was, nil
}

// follow is the worker that watches the files and SIGHUP until ctx ends.
func (c *certificate) follow(ctx context.Context) error {
	tick := time.NewTicker(certificatePoll)
	defer tick.Stop()
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	c.watch(ctx, tick.C, hangup)
	return nil
}

// watch reloads the pair whenever tick finds a file changed, and on every hangup
// in any case, until ctx ends.
func (c *certificate) watch(ctx context.Context, tick <-chan time.Time, hangup <-chan os.Signal) {
	for {
		var reload bool
		var err error
		select {
		case <-ctx.Done():
			return
		case <-tick:
			reload, err = c.changed()
		case <-hangup:
			_, err = c.changed()
			reload = true
		}
		if err == nil && reload {
			err = c.load()
		}
		switch {
		case err != nil:
			c.log.LogAttrs(ctx, slog.LevelError, "the certificate did not reload; the old one stays",
				slog.String("event", "certificate_failed"), slog.Any("cause", err))
		case reload:
			c.log.LogAttrs(ctx, slog.LevelInfo, "certificate reloaded", slog.String("event", "certificate_reloaded"),
				slog.Time("not_after", c.current.Load().Leaf.NotAfter))
		}
	}
}

// config returns the server's side of TLS: 1.2 with the suites FAPI 2 allows, and
// 1.3.
func (c *certificate) config() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		CipherSuites: []uint16{
			tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
			tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
		},
		NextProtos: []string{"h2", "http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			return c.current.Load(), nil
		},
	}
}
