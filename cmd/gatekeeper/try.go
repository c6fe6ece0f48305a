package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/gatekeeper-oidc/gatekeeper/admin"
	"github.com/gatekeeper-oidc/gatekeeper/internal/config"
	"github.com/gatekeeper-oidc/gatekeeper/oauth2"
)

const (
	tryPrefix = "gatekeeper-try-"
	tryStale  = time.Hour // a client of a try that was killed is swept after this
	tryHTTP   = 15 * time.Second
)

type tryOptions struct {
	issuer, client, secretFile, scope, caFile string
	noOpen                                    bool
	timeout                                   time.Duration
}

func (a *app) tryCommand() *cobra.Command {
	var o tryOptions
	c := &cobra.Command{
		Use: "try", Short: "Go through a whole login as an application would",
		Long: "Go through a whole login as an application would: authorization code with PKCE, ID token,\n" +
			"userinfo, refresh, revocation, introspection, each checked and shown.\n\n" +
			"On a development server it registers a client of its own and deletes it at the end. Elsewhere\n" +
			"name one with --client; http://127.0.0.1/callback must be among its redirect URIs and its type\n" +
			"native, so that the port may be any.",
		Example: "  gatekeeper try\n  gatekeeper try --no-open --scope 'openid email'\n" +
			"  gatekeeper try --issuer https://id.example.org --client my-cli",
		Args: between(0),
	}
	f := c.Flags()
	f.StringVar(&o.issuer, "issuer", "", "the issuer to sign in at (default: this configuration's)")
	f.StringVar(&o.client, "client", "", "sign in to this application instead of one made for the occasion")
	f.StringVar(&o.secretFile, "secret-file", "", "the secret of --client, if it has one (- is standard input)")
	f.StringVar(&o.scope, "scope", "openid profile email offline_access", "what to ask for")
	f.StringVar(&o.caFile, "ca", "", "trust this certificate as well (PEM)")
	f.BoolVar(&o.noOpen, "no-open", false, "print the address instead of opening a browser")
	durationVar(f, &o.timeout, "timeout", 5*time.Minute, "how long to wait for the person")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		ctx, cancel := context.WithTimeout(a.acting(cmd.Context()), o.timeout)
		defer cancel()
		return a.try(ctx, o)
	}
	return c
}

// try finds out where and as whom to sign in, then does it.
func (a *app) try(ctx context.Context, o tryOptions) (err error) {
	trip := &tryTrip{app: a, issuer: o.issuer, client: o.client, scopes: strings.Fields(strings.ReplaceAll(o.scope, ",", " ")), noOpen: o.noOpen}
	if o.secretFile != "" {
		if trip.secret, err = a.readSecret(o.secretFile); err != nil {
			return err
		}
	}
	var cfg *config.Config
	if o.issuer == "" || o.client == "" {
		b, giveBack, err := a.lend(ctx, trip)
		if err != nil {
			return err
		}
		defer giveBack()
		cfg = b.config
	}
	if trip.issuer == "" {
		return usagef("say where to sign in: --issuer URL")
	}
	var extra []string
	if o.caFile != "" {
		extra = append(extra, a.path(o.caFile))
	}
	if trip.http, err = tryClient(cfg, extra...); err != nil {
		return err
	}
	return trip.run(ctx)
}

// lend opens the store and takes from it what trip was not told: the issuer, a
// client. giveBack undoes both.
func (a *app) lend(ctx context.Context, trip *tryTrip) (_ *backend, giveBack func(), err error) {
	a.global.issuer = trip.issuer // the store answers for that issuer's tokens
	b, err := a.openToLend(ctx, trip.client == "", "only a development server on this computer lends you a client; name one with --client")
	if err != nil {
		return nil, nil, err
	}
	trip.api, trip.forget, trip.issuer = b.API, b.forget, cmp.Or(trip.issuer, b.issuer)
	forget := func() {}
	if trip.client == "" {
		if forget, err = a.borrowClient(ctx, b, trip); err != nil {
			return nil, nil, errors.Join(err, b.close())
		}
	}
	return b, func() {
		forget()
		_ = b.close() // what mattered has been answered
	}, nil
}

// openToLend opens the store of the server beside this command. Where something is to
// be lent, the server has to be a development one; a store that is not there means
// that no server ever ran.
func (a *app) openToLend(ctx context.Context, lends bool, refusal string) (*backend, error) {
	if cfg, err := a.loadGlobal(); err == nil && lends && !cfg.Dev {
		return nil, usagef("%s", refusal)
	}
	b, err := a.open(ctx)
	if exit, ok := errors.AsType[*exitError](err); ok && exit.status == exitNotFound {
		return nil, &exitError{exitUnreachable, exit.err}
	}
	return b, err
}

// borrowClient registers the client of one try, and returns how it is forgotten.
func (a *app) borrowClient(ctx context.Context, b *backend, trip *tryTrip) (forget func(), err error) {
	if !b.dev || b.program == nil {
		return nil, usagef("only a development server on this computer lends you a client; name one with --client")
	}
	a.sweepTries(ctx, b)
	made, err := b.CreateClient(ctx, admin.ClientInput{Client: oauth2.Client{
		ID: tryPrefix + strings.ToLower(rand.Text()[:12]), Name: "gatekeeper try", Type: oauth2.Native,
		RedirectURIs: []string{tryRedirect("")}, Scopes: trip.scopes,
	}})
	if err != nil {
		return nil, fmt.Errorf("register a client for the occasion: %w", err)
	}
	trip.client = made.ID
	return func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tryHTTP)
		defer cancel()
		if err := b.DeleteClient(ctx, made.ID); err != nil {
			a.say("The client %s is still there (%v); delete it with: gatekeeper client delete %s", made.ID, err, made.ID)
		}
	}, nil
}

// sweepTries deletes the clients of tries that could not. That one fails is no
// reason not to try.
func (a *app) sweepTries(ctx context.Context, b *backend) {
	all, err := everyClient(ctx, b)
	if err != nil {
		return
	}
	for _, c := range all {
		if strings.HasPrefix(c.ID, tryPrefix) && a.Now().Sub(c.CreatedAt) > tryStale {
			_ = b.DeleteClient(ctx, c.ID)
		}
	}
}

// tryRedirect is where the answer comes back: RFC 8252 section 7.3, a loopback
// literal whose port the server ignores.
func tryRedirect(port string) string { return "http://127.0.0.1" + port + "/callback" }

// tryClient speaks to the server as an application would. A development
// certificate is trusted because it is in our own data folder, or was named.
func tryClient(cfg *config.Config, caFile ...string) (*http.Client, error) {
	side, err := trust(cfg, caFile...)
	if err != nil {
		return nil, err
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = side
	return &http.Client{Transport: transport, Timeout: tryHTTP}, nil
}

// wants reports whether the trip asks for a scope.
func (t *tryTrip) wants(scope string) bool { return slices.Contains(t.scopes, scope) }
