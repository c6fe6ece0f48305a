package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	xoauth2 "golang.org/x/oauth2"

	"github.com/gatekeeper-oidc/gatekeeper/admin"
)

var (
	errTryAnswer = errors.New("the answer is not the one that was asked for")
	errTryToken  = errors.New("the token does not hold what it must")
	errTryPublic = errors.New("only an authenticated application may ask")
)

// A tryTrip is one login seen from an application's side.
type tryTrip struct {
	app                    *app
	api                    admin.API // nil when only the server is known
	forget                 func()    // what this process remembers of tokens
	http                   *http.Client
	issuer, client, secret string
	scopes                 []string
	noOpen                 bool

	provider  *oidc.Provider
	endpoints struct {
		Revocation    string `json:"revocation_endpoint"`
		Introspection string `json:"introspection_endpoint"`
	}
	config  xoauth2.Config
	result  tryResult
	refresh string // the newest refresh token
	access  string // the newest access token
	dead    bool   // the server has revoked the grant, as it must after a replay
}

// A tryResult is what a try found out; -o json prints it.
type tryResult struct {
	Issuer   string         `json:"issuer"`
	ClientID string         `json:"client_id"`
	IDToken  decodedToken   `json:"id_token"`
	Access   *decodedToken  `json:"access_token,omitempty"` // nil when it is opaque
	Userinfo map[string]any `json:"userinfo,omitempty"`
	Checks   []tryCheck     `json:"checks"`
}

// A tryCheck is one thing that was found right.
type tryCheck struct {
	Name  string `json:"name"`
	Found string `json:"found"`
}

func (t *tryTrip) run(ctx context.Context) error {
	ctx = oidc.ClientContext(ctx, t.http)
	t.result.Issuer, t.result.ClientID = t.issuer, t.client
	var err error
	if t.provider, err = oidc.NewProvider(ctx, t.issuer); err != nil {
		if ctx.Err() == nil {
			t.app.say("Is the server running? Start it with: gatekeeper serve")
		}
		return &exitError{exitUnreachable, fmt.Errorf("discover %s: %w", t.issuer, err)}
	}
	if err := t.provider.Claims(&t.endpoints); err != nil {
		return fmt.Errorf("read discovery: %w", err)
	}
	for _, step := range []func(context.Context) error{t.signIn, t.userinfo, t.rotate, t.alive, t.revoke, t.introspect} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	if t.app.global.output == "table" {
		return nil // told line by line
	}
	return t.app.print(view{value: t.result, names: []string{t.result.IDToken.text("sub")}})
}

// ok tells and keeps what was found right.
func (t *tryTrip) ok(name, found string) error {
	t.result.Checks = append(t.result.Checks, tryCheck{name, found})
	if t.app.global.output != "table" {
		return nil
	}
	_, err := fmt.Fprintf(t.app.Stdout, "%s %-18s %s\n", t.app.paint(green, "✓"), name, clean(found))
	return err
}

func (t *tryTrip) line(name, said string) error {
	if t.app.global.output != "table" {
		return nil
	}
	_, err := fmt.Fprintf(t.app.Stdout, "    %-16s %s\n", name, clean(said))
	return err
}

// signIn sends the person to the server, takes the code back and redeems it.
func (t *tryTrip) signIn(ctx context.Context) error {
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listen for the answer: %w", err)
	}
	_, port, err := net.SplitHostPort(ln.Addr().String())
	if err != nil {
		return fmt.Errorf("listen for the answer: %w", err)
	}
	ask := newTryRequest(t.issuer)
	t.config = xoauth2.Config{
		ClientID: t.client, ClientSecret: t.secret, Endpoint: t.provider.Endpoint(),
		RedirectURL: tryRedirect(":" + port), Scopes: t.scopes,
	}
	t.config.Endpoint.AuthStyle = xoauth2.AuthStyleInParams
	if t.secret != "" {
		t.config.Endpoint.AuthStyle = xoauth2.AuthStyleInHeader
	}
	server := &http.Server{Handler: ask, ReadHeaderTimeout: tryHTTP}
	go func() { _ = server.Serve(ln) }() // ends with Close below
	defer func() { _ = server.Close() }()

	t.invite(ctx, t.config.AuthCodeURL(ask.state, oidc.Nonce(ask.nonce), xoauth2.S256ChallengeOption(ask.verifier)))
	code, err := ask.wait(ctx)
	if err != nil {
		return err
	}
	if err := t.ok("code received", "state and RFC 9207 iss match"); err != nil {
		return err
	}
	tokens, err := t.config.Exchange(ctx, code, xoauth2.VerifierOption(ask.verifier))
	if err != nil {
		return fmt.Errorf("redeem the code: %w", err)
	}
	t.access, t.refresh = tokens.AccessToken, tokens.RefreshToken
	return t.readTokens(ctx, tokens, ask.nonce)
}

func (t *tryTrip) invite(ctx context.Context, address string) {
	said := "Open this in a browser:\n  " + address
	if !t.noOpen && t.app.Browse != nil && t.app.Browse(ctx, address) == nil {
		said = "Opened (copy it if no browser came up; --no-open to only print):\n  " + address
	}
	_, _ = fmt.Fprintln(t.app.Stderr, said) // without it nobody could go on, so -q does not silence it
}

// readTokens verifies the ID token against the published keys and shows both.
func (t *tryTrip) readTokens(ctx context.Context, tokens *xoauth2.Token, nonce string) error {
	raw, _ := tokens.Extra("id_token").(string)
	id, err := t.provider.VerifierContext(ctx, &oidc.Config{
		ClientID: t.client, Now: t.app.Now, SupportedSigningAlgs: algorithms(),
	}).Verify(ctx, raw)
	if err != nil {
		return fmt.Errorf("verify the ID token: %w", err)
	}
	if id.Nonce != nonce {
		return fmt.Errorf("verify the ID token: %w: its nonce is another", errTryToken)
	}
	if id.AccessTokenHash != "" {
		if err := id.VerifyAccessToken(tokens.AccessToken); err != nil {
			return fmt.Errorf("verify at_hash: %w", err)
		}
	}
	d, err := decodeJWT(raw)
	if err != nil {
		return err
	}
	t.result.IDToken = d
	if err := t.ok("tokens", fmt.Sprintf("%v kid %v, verified with the JWKS", d.Header["alg"], d.Header["kid"])); err != nil {
		return err
	}
	left := "expires in " + span(id.Expiry.Sub(t.app.Now()))
	if err := t.line("id_token", join("sub", id.Subject, "email", d.text("email"), "amr", d.text("amr"), left)); err != nil {
		return err
	}
	access, err := decodeJWT(tokens.AccessToken)
	if err != nil {
		return t.line("access", join("opaque", "for "+span(time.Until(tokens.Expiry))))
	}
	t.result.Access = &access
	return t.line("access", join(fmt.Sprintf("JWT %v", access.Header["typ"]), "aud", access.text("aud"), "scope", access.text("scope")))
}

func (t *tryTrip) userinfo(ctx context.Context) error {
	if t.provider.UserInfoEndpoint() == "" {
		return nil
	}
	info, err := t.provider.UserInfo(ctx, xoauth2.StaticTokenSource(&xoauth2.Token{AccessToken: t.access, TokenType: "Bearer"}))
	if err != nil {
		return fmt.Errorf("ask userinfo: %w", err)
	}
	if err := info.Claims(&t.result.Userinfo); err != nil {
		return fmt.Errorf("read userinfo: %w", err)
	}
	if info.Subject != t.result.IDToken.text("sub") { // OpenID Connect Core section 5.3.2
		return fmt.Errorf("%w: userinfo speaks of %s", errTryToken, info.Subject)
	}
	var names []string
	for name := range t.result.Userinfo {
		names = append(names, name)
	}
	slices.Sort(names)
	email, _ := t.result.Userinfo["email"].(string)
	return t.ok("userinfo", join("same sub", "email", email, "claims", strings.Join(names, " ")))
}

// join puts words beside each other and drops a label that has no value.
func join(parts ...string) string {
	var out []string
	for i, p := range parts {
		label := i+1 < len(parts) && slices.Contains([]string{"sub", "email", "amr", "aud", "scope"}, p)
		if p == "" || label && parts[i+1] == "" {
			continue
		}
		out = append(out, p)
	}
	return strings.Join(out, " ")
}

// text is a claim as text; "" if there is none.
func (d decodedToken) text(claim string) string {
	v, ok := d.Claims[claim]
	if !ok {
		return ""
	}
	return claimText(v)
}

// form adds what a public client says of itself to a request's parameters.
func (t *tryTrip) form(v url.Values) url.Values {
	if t.secret == "" {
		v.Set("client_id", t.client)
	}
	return v
}
