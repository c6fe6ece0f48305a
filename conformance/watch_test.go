package conformance

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// TestWhatOperatorsSee runs a whole life of tokens, with refusals, at the most
// talkative level, and reads what the nodes, the trail and the metrics wrote of it:
// one line for each request, its correlation id in and out, and nowhere a secret.
func TestWhatOperatorsSee(t *testing.T) {
	t.Parallel()
	d := embedded(t, "GATEKEEPER_LOG_LEVEL=debug", "GATEKEEPER_LOG_FORMAT=json")
	a := shop(t, d)
	b := newBrowser(t, d.issuer)
	const wrong = "not the password but nearly"
	b.signIn(b.get(a.begin().url), ana, wrong)
	tr := a.begin()
	code := a.login(b, tr, ana, anaPassword)
	tok, _ := a.redeem(tr, code)
	a.exchange(code, tr.pkce) // a replay: it revokes what the code gave
	again, _ := a.tokens(b, ana, anaPassword)
	next, err := a.refresh(again.RefreshToken)
	if err != nil {
		t.Fatal(err)
	}
	a.userinfo(next.AccessToken)
	a.active(next.AccessToken)
	call(t, a.config.Endpoint.TokenURL, "shop", "a-wrong-client-secret", url.Values{"grant_type": {"client_credentials"}})
	a.call("revocation_endpoint", url.Values{"token": {next.RefreshToken}})
	raw, _ := again.Extra("id_token").(string)
	correlated(t, a)

	metrics := body(t, fetched(t, "http://"+d.nodes[0].mgmt+"/metrics"))
	log := d.nodes[0].log.String()
	for _, secret := range []string{
		anaPassword, wrong, a.config.ClientSecret, "a-wrong-client-secret", code, tr.pkce, tok.AccessToken, tok.RefreshToken,
		again.AccessToken, again.RefreshToken, next.AccessToken, next.RefreshToken, raw, cookies(b)["session"], cookies(b)["tx"],
	} {
		if secret == "" {
			t.Fatal("a secret that was to be looked for is missing")
		}
		for place, text := range map[string]string{"log": log, "trail": d.cli(t, "audit", "export"), "metrics": metrics} {
			if strings.Contains(text, secret) {
				t.Errorf("the %s tells %.12s…", place, secret)
			}
		}
	}
	for _, person := range []string{ana, d.issuer + "/oauth2"} {
		if strings.Contains(metrics, person) {
			t.Errorf("the metrics name %s", person)
		}
	}
	requestLines(t, log)
	for _, series := range []string{
		`gatekeeper_tokens_issued_total{`, `gatekeeper_replays_total{`, `gatekeeper_http_request_duration_seconds_count{`, `gatekeeper_signing_key_age_seconds `,
	} {
		if !strings.Contains(metrics, "\n"+series) {
			t.Errorf("no series %s", series)
		}
	}
}

func fetched(t *testing.T, target string, header ...string) *http.Response {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, target, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

// correlated sends an id in and wants it back.
func correlated(t *testing.T, a *app) {
	t.Helper()
	res := fetched(t, a.endpoint("jwks_uri"), "X-Correlation-ID", "the-operators-own-id")
	if got := res.Header.Get("X-Correlation-ID"); got != "the-operators-own-id" {
		t.Errorf("correlation id %q came back", got)
	}
	_ = body(t, res)
}

// requestLines reads the log: every line is JSON, and those of requests say which,
// how it ended and what it belongs to.
func requestLines(t *testing.T, log string) {
	t.Helper()
	routes, ours := map[string]int{}, 0
	for line := range strings.Lines(log) {
		var e struct {
			Event, Method, Route string
			Status               int
			CorrelationID        string `json:"correlation_id"`
		}
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Errorf("not JSON: %s", line)
			continue
		}
		if e.Event != "request" {
			continue
		}
		if e.Method == "" || e.Status == 0 || e.CorrelationID == "" {
			t.Errorf("a request without its story: %s", line)
		}
		routes[e.Route]++
		if e.CorrelationID == "the-operators-own-id" {
			ours++
		}
	}
	if ours != 1 {
		t.Errorf("%d lines of one request", ours)
	}
	for _, want := range []string{"/oauth2/authorize", "/login", "/oauth2/token", "/oauth2/introspect", "/oauth2/revoke", "/oidc/userinfo"} {
		if routes[want] == 0 {
			t.Errorf("no line of %s; there are %v", want, routes)
		}
	}
}
