package main

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
)

// warnManagement tells an operator whose management door other computers reach
// without TLS: a token with an admin scope would cross the network in the clear.
func (p *program) warnManagement(ctx context.Context) {
	if p.cfg.ManagementOff() || p.cfg.ServesTLS() || onlyHere(p.cfg.ManagementListen) {
		return
	}
	p.log.LogAttrs(ctx, slog.LevelWarn, "other computers reach the management listener, and it has no certificate: an administrator's token would cross the network in the clear; set tls_cert and tls_key, or management_listen to 127.0.0.1",
		slog.String("event", "management_in_the_clear"), slog.String("listen", p.cfg.ManagementListen))
}

// onlyHere reports whether an address is reached from this computer alone.
func onlyHere(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}
