package main

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/spf13/cobra"
	"golang.org/x/oauth2"
)

const (
	loginClient = "gatekeeper-cli"
	loginScopes = "openid offline_access admin"
	loginEarly  = time.Minute // a token this near its end is replaced first
)

func (a *app) loginCommand() *cobra.Command {
	var client, scope string
	c := &cobra.Command{
		Use: "login ISSUER", Short: "Sign in to a server, for commands with --server",
		Long: "Sign in to a server with a browser, here or on another device, so that commands with --server\n" +
			"need no token file. The server must know the command line as an application:\n" +
			"`gatekeeper client create " + loginClient + " --type device --scope '" + loginScopes + "'`, made there\n" +
			"once. Tokens are kept in your configuration folder, for you alone, and replaced when they\n" +
			"expire. They open nothing unless you are an administrator. --server says where the admin API\n" +
			"is, where that is not the issuer.",
		Example: "  gatekeeper login https://id.example.org --server https://id.internal:9090\n  gatekeeper client list --server https://id.internal:9090",
		Args:    exactly("an issuer"),
	}
	c.Flags().StringVar(&client, "client", loginClient, "the application the command line is")
	c.Flags().StringVar(&scope, "scope", loginScopes, "what to ask for")
	selecting(c, "client", "scope")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		issuer := strings.TrimSuffix(args[0], "/")
		if err := safeIssuer(issuer); err != nil {
			return err
		}
		r := remote{Server: serverName(cmp.Or(a.server(), issuer)), Issuer: issuer, Client: client}
		return a.login(cmd.Context(), r, words([]string{scope}))
	}
	return c
}

// serverName is a server's address in one spelling.
func serverName(server string) string { return strings.TrimSuffix(server, "/") }

// safeIssuer refuses to send a token in the clear beyond this computer.
func safeIssuer(issuer string) error {
	u, err := url.Parse(issuer)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return usagef("%s is no issuer, such as https://id.example.org", quote(issuer))
	}
	ip := net.ParseIP(u.Hostname())
	if u.Scheme != "https" && (u.Scheme != "http" || u.Hostname() != "localhost" && (ip == nil || !ip.IsLoopback())) {
		return usagef("%s: an administrator's token travels over https, or to this computer only", issuer)
	}
	return nil
}

// discover returns what the issuer of r says of itself, as x/oauth2 wants it, and
// a context whose requests go there.
func (a *app) discover(ctx context.Context, r remote) (context.Context, *oauth2.Config, *oidc.Provider, error) {
	transport, err := a.transport()
	if err != nil {
		return nil, nil, nil, err
	}
	ctx = oidc.ClientContext(ctx, &http.Client{Transport: transport, Timeout: time.Minute})
	p, err := oidc.NewProvider(ctx, r.Issuer)
	if err != nil {
		return nil, nil, nil, &exitError{exitUnreachable, fmt.Errorf("discover %s: %w", r.Issuer, err)}
	}
	end := p.Endpoint()
	end.AuthStyle = oauth2.AuthStyleInParams // a public client has its name and nothing else
	return ctx, &oauth2.Config{ClientID: r.Client, Endpoint: end}, p, nil
}

func (a *app) login(ctx context.Context, r remote, scopes []string) error {
	ctx, conf, _, err := a.discover(ctx, r)
	if err != nil {
		return err
	}
	conf.Scopes = scopes
	resource := oauth2.SetAuthURLParam("resource", r.Issuer+"/admin/v1")
	device, err := conf.DeviceAuth(ctx, resource)
	if err != nil {
		return &exitError{exitNotAllowed, fmt.Errorf("%s does not let %s begin (%w); make it there: gatekeeper client create %s --type device --scope '%s'",
			r.Issuer, r.Client, err, loginClient, loginScopes)}
	}
	at := cmp.Or(device.VerificationURIComplete, device.VerificationURI)
	a.say("Open %s\nand compare the code: %s", at, device.UserCode)
	if a.Browse != nil && a.StderrTTY {
		_ = a.Browse(ctx, at) // the address is on the screen
	}
	token, err := conf.DeviceAccessToken(ctx, device, resource)
	if err != nil {
		return &exitError{exitNotAllowed, fmt.Errorf("nobody said yes: %w", err)}
	}
	r.Access, r.Refresh, r.Expires = token.AccessToken, token.RefreshToken, token.Expiry
	if err := a.keepRemote(r); err != nil {
		return err
	}
	a.say("Signed in. Commands with --server %s are yours now.", r.Server)
	return nil
}

// fresh returns an access token of r that is good for a while yet.
func (a *app) fresh(ctx context.Context, r remote) (string, error) {
	if a.Now().Add(loginEarly).Before(r.Expires) {
		return r.Access, nil
	}
	again := fmt.Errorf("the login for %s has ended; sign in again: gatekeeper login %s --server %s", r.Server, r.Issuer, r.Server)
	if r.Refresh == "" {
		return "", &exitError{exitNotAllowed, again}
	}
	ctx, conf, _, err := a.discover(ctx, r)
	if err != nil {
		return "", err
	}
	token, err := conf.TokenSource(ctx, &oauth2.Token{RefreshToken: r.Refresh}).Token()
	if err != nil {
		return "", &exitError{exitNotAllowed, fmt.Errorf("%w (%w)", again, err)}
	}
	r.Access, r.Refresh, r.Expires = token.AccessToken, cmp.Or(token.RefreshToken, r.Refresh), token.Expiry
	return r.Access, a.keepRemote(r)
}

func (a *app) logoutCommand() *cobra.Command {
	return &cobra.Command{
		Use: "logout SERVER", Short: "Give the tokens of a login back, and forget them",
		Example: "  gatekeeper logout https://id.internal:9090",
		Args:    exactly("a server"),
		RunE: func(cmd *cobra.Command, args []string) error {
			r, ok, err := a.remote(serverName(args[0]))
			if err != nil {
				return err
			}
			if !ok {
				return &exitError{exitNotFound, fmt.Errorf("there is no login for %s", args[0])}
			}
			gone := a.giveTokensBack(cmd.Context(), r)
			if err := a.keepRemote(remote{Server: r.Server}); err != nil {
				return err
			}
			if gone != nil {
				a.say("The login for %s is forgotten here, but its tokens could not be revoked there: %v", r.Server, gone)
				return nil
			}
			a.say("Signed out of %s.", r.Server)
			return nil
		},
	}
}

// giveTokensBack revokes the grant of r (RFC 7009).
func (a *app) giveTokensBack(ctx context.Context, r remote) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	ctx, _, p, err := a.discover(ctx, r)
	if err != nil {
		return err
	}
	var says struct {
		Revoke string `json:"revocation_endpoint"`
	}
	if err := p.Claims(&says); err != nil {
		return err
	}
	form := url.Values{"token": {cmp.Or(r.Refresh, r.Access)}, "client_id": {r.Client}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, says.Revoke, strings.NewReader(form.Encode()))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	client, _ := ctx.Value(oauth2.HTTPClient).(*http.Client)
	res, err := client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }() // only its status counts
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answered %s", says.Revoke, res.Status)
	}
	return nil
}
