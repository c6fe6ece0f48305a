package main

import (
	"cmp"
	"context"
	"net/http"
	"time"

	"github.com/gatekeeper-oidc/gatekeeper/admin"
	"github.com/gatekeeper-oidc/gatekeeper/internal/config"
)

// openBackend reaches the admin API: that of --server, or the store itself.
func (a *app) openBackend(ctx context.Context) (*backend, error) {
	if server := a.server(); server != "" {
		return a.openServer(ctx, server)
	}
	cfg, err := a.loadGlobal()
	if err != nil {
		return nil, err
	}
	if err := a.present(cfg); err != nil {
		return nil, err
	}
	a.tellStore(cfg)
	a.hush(cfg)
	p, err := wire(ctx, cfg, a.world)
	if err != nil {
		return nil, err
	}
	return &backend{API: p.API, config: cfg, issuer: cfg.Issuer, dev: cfg.Dev || cfg.TLS == "dev", program: p, close: p.Close}, nil
}

// hush lets a command log only what goes wrong, in words: a person reads it.
func (a *app) hush(cfg *config.Config) {
	cfg.LogFormat = "text"
	switch {
	case a.global.quiet:
		cfg.LogLevel = "error"
	case cfg.Origin("log_level") == "default":
		cfg.LogLevel = "warn"
	}
}

// tokenFor is the token of the file that was named, else that of the login for
// server.
func (a *app) tokenFor(ctx context.Context, server string) (string, error) {
	if file := cmp.Or(a.global.tokenFile, a.Getenv(envTokenFile)); file != "" {
		return a.readSecret(file)
	}
	r, ok, err := a.remote(serverName(server))
	if err != nil {
		return "", err
	}
	if !ok {
		return "", usagef("--server needs a token with an admin scope: sign in with `gatekeeper login ISSUER --server %s`, or name its file with --token-file or %s", server, envTokenFile)
	}
	return a.fresh(ctx, r)
}

// transport reaches a server, whose certificate --ca-file may vouch for.
func (a *app) transport() (http.RoundTripper, error) {
	file := cmp.Or(a.global.caFile, a.Getenv(envCAFile))
	if file == "" {
		return http.DefaultTransport, nil
	}
	side, err := trust(nil, a.path(file))
	if err != nil {
		return nil, err
	}
	return &http.Transport{TLSClientConfig: side, Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true, TLSHandshakeTimeout: 10 * time.Second}, nil
}

func (a *app) openServer(ctx context.Context, server string) (*backend, error) {
	token, err := a.tokenFor(ctx, server)
	if err != nil {
		return nil, err
	}
	transport, err := a.transport()
	if err != nil {
		return nil, err
	}
	c, err := admin.NewClient(server, token, transport)
	if err != nil {
		return nil, usagef("%v", err)
	}
	a.tellServer(server)
	return &backend{API: c, close: func() error { return nil }}, nil
}
