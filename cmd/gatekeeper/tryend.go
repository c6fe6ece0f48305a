package main

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	xoauth2 "golang.org/x/oauth2"
)

const maxAnswer = 1 << 20

// tryPage is what the browser shows at the end: a heading and a sentence.
const tryPage = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>%[1]s · gatekeeper try</title>
<style>
body { min-height: 100vh; margin: 0; display: grid; place-content: center; padding: 1rem; text-align: center;
  font: 1rem/1.5 system-ui, sans-serif; background: light-dark(#efebe2, #0f1413); color: light-dark(#1c2522, #ece8de) }
h1 { margin: 0 0 .5rem; font: 400 1.875rem/1.2 ui-serif, Georgia, serif }
p { margin: 0 }
</style>
</head>
<body><main><h1>%[1]s</h1><p>%[2]s</p></main></body>
</html>
`

// A tryRequest is an authorization request that waits for its answer.
type tryRequest struct {
	issuer, state, nonce, verifier string
	answers                        chan tryAnswer
}

type tryAnswer struct {
	code string
	err  error
}

func newTryRequest(issuer string) *tryRequest {
	return &tryRequest{
		issuer: issuer, state: rand.Text(), nonce: rand.Text(), verifier: xoauth2.GenerateVerifier(),
		answers: make(chan tryAnswer, 1),
	}
}

// ServeHTTP takes the answer at the redirect URI. One without the right state is
// not the answer, whoever sent it, and the wait goes on.
func (q *tryRequest) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	v := r.URL.Query()
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
	w.Header().Set("Referrer-Policy", "no-referrer")
	if r.URL.Path != "/callback" || subtle.ConstantTimeCompare([]byte(v.Get("state")), []byte(q.state)) != 1 {
		w.WriteHeader(http.StatusNotFound)
		_, _ = fmt.Fprintf(w, tryPage, "Nothing here", "This is not the answer gatekeeper try waits for.") // a browser that left
		return
	}
	answer := q.read(v)
	title, said := "Signed in", "You can close this window and go back to the terminal."
	if answer.err != nil {
		title, said = "Not signed in", "The terminal says why."
	}
	_, _ = fmt.Fprintf(w, tryPage, title, said) // a browser that left
	select {
	case q.answers <- answer:
	default: // the first answer counts
	}
}

func (q *tryRequest) read(v url.Values) tryAnswer {
	switch {
	case v.Get("iss") != q.issuer: // RFC 9207 section 2.4
		return tryAnswer{err: fmt.Errorf("%w: iss is %q, not %q", errTryAnswer, v.Get("iss"), q.issuer)}
	case v.Get("error") != "":
		return tryAnswer{err: fmt.Errorf("the server answered %s: %s", v.Get("error"), v.Get("error_description"))}
	case v.Get("code") == "":
		return tryAnswer{err: fmt.Errorf("%w: there is no code in it", errTryAnswer)}
	default:
		return tryAnswer{code: v.Get("code")}
	}
}

func (q *tryRequest) wait(ctx context.Context) (code string, err error) {
	select {
	case answer := <-q.answers:
		return answer.code, answer.err
	case <-ctx.Done():
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return "", &exitError{exitFailed, errors.New("nobody signed in in time (--timeout)")}
		}
		return "", &exitError{exitFailed, errors.New("interrupted")}
	}
}

// rotate refreshes, then shows what becomes of the token it used: within the
// grace window it is answered with the same successor, so that a lost answer
// costs nobody their login; without one it is refused.
func (t *tryTrip) rotate(ctx context.Context) error {
	if t.refresh == "" {
		if t.wants("offline_access") {
			return t.line("refresh", "none was issued: the client may not use refresh_token")
		}
		return nil
	}
	old := t.refresh
	fresh, err := t.redeem(ctx, old)
	if err != nil {
		return fmt.Errorf("refresh: %w", err)
	}
	t.access, t.refresh = fresh.AccessToken, fresh.RefreshToken
	if fresh.RefreshToken == old {
		return fmt.Errorf("%w: the refresh token was not rotated", errTryToken)
	}
	again, err := t.redeem(ctx, old)
	var refused *xoauth2.RetrieveError
	switch {
	case errors.As(err, &refused) && refused.ErrorCode == "invalid_grant":
		t.refresh, t.dead = "", true
		return t.ok("refresh", "rotated; the old one is refused, and its grant with it")
	case err != nil:
		return fmt.Errorf("present the old refresh token: %w", err)
	case again.RefreshToken != fresh.RefreshToken:
		return fmt.Errorf("%w: the old refresh token had a second successor", errTryToken)
	default:
		return t.ok("refresh", "rotated; for a moment the old one answers with the same successor, then it is refused")
	}
}

func (t *tryTrip) redeem(ctx context.Context, refresh string) (*xoauth2.Token, error) {
	return t.config.TokenSource(ctx, &xoauth2.Token{RefreshToken: refresh}).Token()
}

// alive asks whether the access token is good for something before it is given
// back: only then does the answer afterwards prove anything.
func (t *tryTrip) alive(ctx context.Context) error {
	active, err := t.active(ctx)
	switch {
	case errors.Is(err, errTryPublic):
		return nil
	case err != nil:
		return fmt.Errorf("introspect: %w", err)
	case active == t.dead:
		return fmt.Errorf("%w: introspection says active is %t", errTryToken, active)
	default:
		return nil
	}
}

// revoke gives the newest refresh token back, and its grant with it (RFC 7009).
func (t *tryTrip) revoke(ctx context.Context) error {
	if t.endpoints.Revocation == "" {
		return nil
	}
	token, said := t.refresh, "the grant and its tokens"
	if token == "" {
		token, said = t.access, "the access token"
	}
	status, _, err := t.post(ctx, t.endpoints.Revocation, url.Values{"token": {token}})
	if err != nil {
		return fmt.Errorf("revoke: %w", err)
	}
	if status != http.StatusOK {
		return fmt.Errorf("revoke: the server answered %d", status)
	}
	return t.ok("revoke", said)
}

// introspect asks whether the access token lives on: it must not.
func (t *tryTrip) introspect(ctx context.Context) error {
	active, err := t.active(ctx)
	if errors.Is(err, errTryPublic) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("introspect: %w", err)
	}
	if active {
		return fmt.Errorf("%w: it is still active after it was revoked", errTryToken)
	}
	return t.ok("introspect", "the access token is inactive now")
}

// active asks the store where there is one, else the server as an application.
func (t *tryTrip) active(ctx context.Context) (bool, error) {
	if t.api != nil {
		t.forget()
		info, err := t.api.InspectToken(ctx, t.access)
		return info.Active, err
	}
	if t.secret == "" || t.endpoints.Introspection == "" {
		return false, errTryPublic
	}
	status, body, err := t.post(ctx, t.endpoints.Introspection, url.Values{"token": {t.access}})
	if err != nil {
		return false, err
	}
	if status != http.StatusOK {
		return false, fmt.Errorf("the server answered %d", status)
	}
	var answer struct {
		Active bool `json:"active"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return false, fmt.Errorf("read the answer: %w", err)
	}
	return answer.Active, nil
}

// post sends a form as the client, authenticated if it can be.
func (t *tryTrip) post(ctx context.Context, address string, v url.Values) (status int, body []byte, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, strings.NewReader(t.form(v).Encode()))
	if err != nil {
		return 0, nil, fmt.Errorf("ask %s: %w", address, err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if t.secret != "" { // RFC 6749 section 2.3.1: both halves are form-encoded
		req.SetBasicAuth(url.QueryEscape(t.client), url.QueryEscape(t.secret))
	}
	res, err := t.http.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = res.Body.Close() }() // only read
	body, err = readAll(address, res.Body, maxAnswer)
	return res.StatusCode, body, err
}
