package main

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/gatekeeper-oidc/gatekeeper/internal/config"
	"github.com/gatekeeper-oidc/gatekeeper/internal/fetch"
	"github.com/gatekeeper-oidc/gatekeeper/internal/ratelimit"
)

// newFetch makes the one client for addresses that applications registered. A
// server in development may reach what else runs on this computer, over plain
// HTTP too: that is where a developer's application is.
func newFetch(cfg *config.Config, now func() time.Time) (*fetch.Client, error) {
	f := fetch.Config{Allow: slices.Clone(cfg.FetchAllow), Now: now, UserAgent: "Gatekeeper (" + cfg.Issuer + ")"}
	if cfg.Dev {
		f.Allow = append(f.Allow, netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128"))
	}
	f.DangerouslyAllowHTTP = slices.ContainsFunc(f.Allow, func(p netip.Prefix) bool { return p.Addr().IsLoopback() })
	for _, port := range cfg.FetchPorts {
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 {
			return nil, fmt.Errorf("fetch_ports: holds %q; each must be a port from 1 to 65535", port)
		}
		f.Ports = append(f.Ports, uint16(n))
	}
	if cfg.FetchCA != "" {
		roots, err := readAuthorities(cfg.FetchCA)
		if err != nil {
			return nil, fmt.Errorf("fetch_ca: %w", err)
		}
		f.Roots = roots
	}
	return fetch.New(f)
}

// newPool makes the lane in which requests wait for such addresses. A limiter that
// does not answer stops no fetch: seats and waiting are bounded without it.
func (p *program) newPool() (*fetch.Pool, error) {
	rules := ratelimit.Defaults()
	return fetch.NewPool(fetch.PoolConfig{Client: p.fetch, Now: p.now, Charge: func(ctx context.Context, guest, client string) bool {
		for _, account := range []struct {
			bucket string
			rule   ratelimit.Rule
		}{{guest, rules.FetchGuest}, {client, rules.FetchClient}} {
			if account.bucket == "" {
				continue
			}
			if wait, err := p.limits.Advance(ctx, account.bucket, account.rule); err == nil && wait > 0 {
				p.meter.RateLimited(account.rule.Name)
				return false
			}
		}
		return true
	}})
}

// readAuthorities reads every certificate of a PEM file, of which there is one at
// least.
func readAuthorities(file string) (roots []*x509.Certificate, err error) {
	rest, err := os.ReadFile(file) //nolint:gosec // G304: the operator names the file
	if err != nil {
		return nil, err
	}
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("certificate %d of %s: %w", len(roots)+1, file, err)
		}
		roots = append(roots, c)
	}
	if len(roots) == 0 {
		return nil, fmt.Errorf("%s holds no certificate", file)
	}
	return roots, nil
}
