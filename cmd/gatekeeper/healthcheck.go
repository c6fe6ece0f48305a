package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/spf13/cobra"

	"github.com/gatekeeper-oidc/gatekeeper/internal/config"
)

func (a *app) healthcheckCommand() *cobra.Command {
	var address string
	var ready bool
	var timeout time.Duration
	c := &cobra.Command{
		Use: "healthcheck", Short: "Ask the server of this configuration whether it lives, for containers",
		Long: "Ask the server of this configuration whether it lives, or with --ready whether it may be sent\n" +
			"work. The exit status is 0 if it does and 1 if not.",
		Example: "  gatekeeper healthcheck\n  gatekeeper healthcheck --ready --timeout 1s",
		Args:    between(0),
	}
	f := c.Flags()
	f.StringVar(&address, "url", "", "ask here instead")
	f.BoolVar(&ready, "ready", false, "ask whether it may be sent work")
	durationVar(f, &timeout, "timeout", 3*time.Second, "how long to wait")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		ctx, cancel := context.WithTimeout(cmd.Context(), timeout)
		defer cancel()
		cfg, err := a.loadGlobal()
		if err != nil {
			return err
		}
		if address == "" {
			address = ownAddress(cfg) + map[bool]string{true: "/readyz", false: "/healthz"}[ready]
		}
		if err := probe(ctx, cfg, address); err != nil {
			return &exitError{exitFailed, err}
		}
		a.say("ok")
		return nil
	}
	return c
}

// ownAddress is where the server of cfg listens, seen from this computer.
func ownAddress(cfg *config.Config) string {
	scheme := "http"
	if cfg.ServesTLS() {
		scheme = "https"
	}
	host, port, err := net.SplitHostPort(cfg.Listen)
	if ip := net.ParseIP(host); err != nil || host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return scheme + "://" + net.JoinHostPort(host, port)
}

// probe asks address as if it were asked by the name in the issuer: that is the
// name the server answers to and its certificate is for.
func probe(ctx context.Context, cfg *config.Config, address string) error {
	side, err := trust(cfg)
	if err != nil {
		return err
	}
	issuer, err := url.Parse(cfg.Issuer)
	if err != nil {
		return badConfig(fmt.Errorf("issuer: %w", err))
	}
	side.ServerName = issuer.Hostname()
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: side, DisableKeepAlives: true}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return usagef("--url %s: %v", address, err)
	}
	req.Host = issuer.Host
	res, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("the server does not answer: %w", err)
	}
	defer func() { _ = res.Body.Close() }() // only its status counts
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("the server answered %s", res.Status)
	}
	return nil
}
