package conformance

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/coreos/go-oidc/v3/oidc"
)

const (
	ana         = "ana@example.org"
	anaPassword = "correct horse battery staple"
	callback    = "http://127.0.0.1:9/callback"
)

// TestMainJob is the product in one test: an administrator registers an
// application, a person signs in and consents, the application redeems the code,
// a resource server validates the token, it refreshes, is introspected, revoked,
// and the person signs out.
func TestMainJob(t *testing.T) { everywhere(t, mainJob) }

func mainJob(t *testing.T, d *deployment) {
	t.Helper()
	secret := d.client(t, "shop", "--type", "web", "--name", "The Shop", "--redirect-uri", callback,
		"--post-logout-redirect-uri", "http://127.0.0.1:9/bye", "--scope", "openid,profile,email,offline_access")
	uid := d.user(t, ana, anaPassword, "--email-verified", "--name", "Ana Example", "--role", "reporter_user")
	a := newApp(t, d, "shop", secret, callback)
	b := newBrowser(t, d.issuer)

	tr := a.begin()
	p := b.get(tr.url)
	if p.title() != "Sign in" {
		t.Fatalf("title %q, want Sign in: %s", p.title(), p)
	}
	p = b.signIn(p, ana, anaPassword)
	if p.element("consent-accept") == nil || !strings.Contains(p.text, "The Shop") || !strings.Contains(p.text, ana) {
		t.Fatalf("the consent page must name the application and the person: %s", p)
	}
	tok, id := a.redeem(tr, a.code(tr, b.allow(p)))
	if id.Subject != uid {
		t.Errorf("sub %q, want the user's id %q", id.Subject, uid)
	}
	resourceServer(t, d, a, tok.AccessToken, uid)

	info := a.userinfo(tok.AccessToken)
	if info.json["sub"] != uid || info.json["email"] != ana || info.json["email_verified"] != true || info.json["name"] != "Ana Example" {
		t.Errorf("userinfo: %s", info.text)
	}
	if !a.active(tok.AccessToken) || !a.active(tok.RefreshToken) {
		t.Error("fresh tokens are not active")
	}

	next, err := a.refresh(tok.RefreshToken)
	if err != nil {
		t.Fatal(err)
	}
	if next.RefreshToken == tok.RefreshToken || next.AccessToken == tok.AccessToken {
		t.Error("refresh did not rotate")
	}

	t.Run("a second sign-in is silent", func(t *testing.T) {
		tr := a.begin("prompt", "none")
		a.redeem(tr, a.code(tr, b.get(tr.url)))
	})
	t.Run("revocation ends the whole grant", func(t *testing.T) {
		if r := a.call("revocation_endpoint", url.Values{"token": {next.RefreshToken}}); r.status != http.StatusOK {
			t.Fatalf("revocation answered %d %s", r.status, r.text)
		}
		poll(t, "the access token is dead on every node", func() bool { return a.dead(next.AccessToken) })
		if _, err := a.refresh(next.RefreshToken); err == nil {
			t.Error("a revoked refresh token was accepted")
		}
	})
	t.Run("sign-out", func(t *testing.T) { signOut(t, d, a, b) })
	trailTells(t, d, uid)
}

// resourceServer validates the access token as a service would: locally, by the
// published keys, with nothing but the issuer's name.
func resourceServer(t *testing.T, d *deployment, a *app, token, uid string) {
	t.Helper()
	at, err := a.provider.Verifier(&oidc.Config{SkipClientIDCheck: true}).Verify(t.Context(), token)
	if err != nil {
		t.Fatalf("access token does not verify against the JWKS: %v", err)
	}
	var c struct {
		ClientID string   `json:"client_id"`
		UID      string   `json:"uid"`
		Email    string   `json:"email"`
		Roles    []string `json:"roles"`
		MFA      *bool    `json:"mfa_verified"`
		Scope    string   `json:"scope"`
		JTI      string   `json:"jti"`
		SID      string   `json:"sid"`
	}
	if err := at.Claims(&c); err != nil {
		t.Fatal(err)
	}
	if c.ClientID != "shop" || c.UID != uid || c.Email != ana || !slices.Equal(c.Roles, []string{"reporter_user"}) || c.MFA == nil || *c.MFA || c.JTI == "" || c.SID == "" {
		t.Errorf("access token claims: %+v", c)
	}
	if !strings.Contains(c.Scope, "openid") || at.Issuer != d.issuer || len(at.Audience) == 0 {
		t.Errorf("scope %q, iss %q, aud %q", c.Scope, at.Issuer, at.Audience)
	}
}

func signOut(t *testing.T, d *deployment, a *app, b *browser) {
	t.Helper()
	tr := a.begin("prompt", "none")
	tok, _ := a.redeem(tr, a.code(tr, b.get(tr.url)))
	raw, _ := tok.Extra("id_token").(string)
	p := b.get(a.endpoint("end_session_endpoint") + "?" + url.Values{
		"id_token_hint": {raw}, "post_logout_redirect_uri": {"http://127.0.0.1:9/bye"}, "state": {"s1"},
	}.Encode())
	if p.left == nil || p.left.String() != "http://127.0.0.1:9/bye?state=s1" {
		t.Fatalf("after sign-out: %s", p)
	}
	tr = a.begin("prompt", "none")
	if q := a.answer(tr, b.get(tr.url)); q.Get("error") != "login_required" {
		t.Errorf("after sign-out prompt=none answered %v, want login_required", q)
	}
}

// trailTells checks that the trail knows the whole story.
func trailTells(t *testing.T, d *deployment, uid string) {
	t.Helper()
	var kinds []string
	for line := range strings.Lines(d.cli(t, "audit", "export")) {
		var e struct {
			Kind, Subject string
			CorrelationID string `json:"correlation_id"`
			Address       string
		}
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		kinds = append(kinds, e.Kind)
		if e.Kind == "login.succeeded" && (e.Subject != uid || e.CorrelationID == "" || e.Address == "") {
			t.Errorf("login.succeeded lacks who or where: %s", line)
		}
	}
	for _, want := range []string{"client.created", "user.created", "login.succeeded", "session.started", "consent.granted", "grant.issued", "grant.refreshed", "grant.revoked", "logout.completed"} {
		if !slices.Contains(kinds, want) {
			t.Errorf("the trail has no %s; it has %v", want, kinds)
		}
	}
}
