package conformance

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

// An app is an application somebody else wrote: go-oidc and x/oauth2, nothing of ours.
type app struct {
	t        *testing.T
	config   *oauth2.Config
	provider *oidc.Provider
	verifier *oidc.IDTokenVerifier
	issuer   string
}

// A trip is one authorization request on its way.
type trip struct {
	state, nonce, pkce string
	url                string
}

func newApp(t *testing.T, d *deployment, id, secret, redirect string, scopes ...string) *app {
	t.Helper()
	provider, err := oidc.NewProvider(t.Context(), d.issuer)
	if err != nil {
		t.Fatal(err)
	}
	if len(scopes) == 0 {
		scopes = []string{"openid", "profile", "email", "offline_access"}
	}
	return &app{
		t: t, issuer: d.issuer, provider: provider,
		config:   &oauth2.Config{ClientID: id, ClientSecret: secret, RedirectURL: redirect, Scopes: scopes, Endpoint: provider.Endpoint()},
		verifier: provider.Verifier(&oidc.Config{ClientID: id}),
	}
}

// begin makes an authorization request with state, nonce and PKCE.
func (a *app) begin(extra ...string) trip {
	tr := trip{state: rand.Text(), nonce: rand.Text(), pkce: oauth2.GenerateVerifier()}
	opts := []oauth2.AuthCodeOption{oidc.Nonce(tr.nonce), oauth2.S256ChallengeOption(tr.pkce)}
	for i := 0; i+1 < len(extra); i += 2 {
		opts = append(opts, oauth2.SetAuthURLParam(extra[i], extra[i+1]))
	}
	tr.url = a.config.AuthCodeURL(tr.state, opts...)
	return tr
}

// code takes the answer the browser brought and checks it as an application must.
func (a *app) code(tr trip, p *page) string {
	a.t.Helper()
	q := a.answer(tr, p)
	if q.Get("error") != "" || q.Get("code") == "" {
		a.t.Fatalf("no code in the answer: %s", p)
	}
	return q.Get("code")
}

// answer checks that p went back to the application, with state and iss (RFC 9207).
func (a *app) answer(tr trip, p *page) url.Values {
	a.t.Helper()
	if p.left == nil || !strings.HasPrefix(p.left.String(), a.config.RedirectURL) {
		a.t.Fatalf("did not come back to the application: %s", p)
	}
	q := p.left.Query()
	if q.Get("state") != tr.state {
		a.t.Fatalf("state %q, want %q", q.Get("state"), tr.state)
	}
	if q.Get("iss") != a.issuer {
		a.t.Fatalf("iss %q, want %q", q.Get("iss"), a.issuer)
	}
	return q
}

// redeem exchanges the code and verifies the ID token.
func (a *app) redeem(tr trip, code string) (*oauth2.Token, *oidc.IDToken) {
	a.t.Helper()
	tok, err := a.config.Exchange(a.t.Context(), code, oauth2.VerifierOption(tr.pkce))
	if err != nil {
		a.t.Fatal(err)
	}
	return tok, a.idToken(tok, tr.nonce)
}

func (a *app) idToken(tok *oauth2.Token, nonce string) *oidc.IDToken {
	a.t.Helper()
	raw, _ := tok.Extra("id_token").(string)
	id, err := a.verifier.Verify(a.t.Context(), raw)
	if err != nil {
		a.t.Fatalf("id_token: %v", err)
	}
	if id.Nonce != nonce {
		a.t.Fatalf("nonce %q, want %q", id.Nonce, nonce)
	}
	if id.AccessTokenHash != "" {
		if err := id.VerifyAccessToken(tok.AccessToken); err != nil {
			a.t.Fatalf("at_hash: %v", err)
		}
	}
	return id
}

// login walks a person through login and consent to a code, whatever of the two
// is asked for.
func (a *app) login(b *browser, tr trip, email, password string) string {
	a.t.Helper()
	p := b.get(tr.url)
	if p.left == nil && p.element("password") != nil {
		p = b.signIn(p, email, password)
	}
	if p.left == nil && p.element("consent-accept") != nil {
		p = b.allow(p)
	}
	return a.code(tr, p)
}

// tokens is login and redeem in one.
func (a *app) tokens(b *browser, email, password string) (*oauth2.Token, *oidc.IDToken) {
	a.t.Helper()
	tr := a.begin()
	return a.redeem(tr, a.login(b, tr, email, password))
}

// refresh spends a refresh token.
func (a *app) refresh(token string) (*oauth2.Token, error) {
	return a.config.TokenSource(context.WithoutCancel(a.t.Context()), &oauth2.Token{RefreshToken: token}).Token()
}

// A reply is the answer of a back-channel endpoint.
type reply struct {
	status int
	header http.Header
	json   map[string]any
	text   string
}

// call posts a form to a back-channel endpoint with Basic authentication, or
// without when the secret is empty.
func (a *app) call(endpoint string, fields url.Values) reply {
	a.t.Helper()
	return call(a.t, a.endpoint(endpoint), a.config.ClientID, a.config.ClientSecret, fields)
}

func call(t *testing.T, target, id, secret string, fields url.Values) reply {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, target, strings.NewReader(fields.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if secret != "" {
		r.SetBasicAuth(url.QueryEscape(id), url.QueryEscape(secret))
	}
	return send(t, r)
}

func send(t *testing.T, r *http.Request) reply {
	t.Helper()
	res, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	out := reply{status: res.StatusCode, header: res.Header, text: body(t, res)}
	if strings.Contains(res.Header.Get("Content-Type"), "json") {
		if err := json.Unmarshal([]byte(out.text), &out.json); err != nil {
			t.Fatalf("%v in %s", err, out.text)
		}
	}
	return out
}

// endpoint returns an endpoint from discovery by its metadata name.
func (a *app) endpoint(name string) string {
	a.t.Helper()
	var meta map[string]any
	if err := a.provider.Claims(&meta); err != nil {
		a.t.Fatal(err)
	}
	s, _ := meta[name].(string)
	if s == "" {
		a.t.Fatalf("discovery has no %s", name)
	}
	return s
}

// userinfo asks /userinfo with an access token.
func (a *app) userinfo(token string) reply {
	a.t.Helper()
	r, err := http.NewRequestWithContext(a.t.Context(), http.MethodGet, a.endpoint("userinfo_endpoint"), nil)
	if err != nil {
		a.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	return send(a.t, r)
}

// active introspects a token as the application itself.
func (a *app) active(token string) bool {
	a.t.Helper()
	r := a.call("introspection_endpoint", url.Values{"token": {token}})
	if r.status != http.StatusOK {
		a.t.Fatalf("introspection answered %d %s", r.status, r.text)
	}
	active, _ := r.json["active"].(bool)
	return active
}

// dead reports whether a token is inactive in two answers running: requests
// alternate between the nodes, so that is every node's.
func (a *app) dead(token string) bool {
	a.t.Helper()
	for range 2 {
		if a.active(token) {
			return false
		}
	}
	return true
}

func unmarshal(text string, v any) error { return json.Unmarshal([]byte(text), v) }
