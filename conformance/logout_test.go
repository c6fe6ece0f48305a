package conformance

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"golang.org/x/oauth2"
)

const (
	bye   = "http://127.0.0.1:9/bye"
	leave = "end_session_endpoint"
)

// A leaving is a person about to sign out: their browser, the application they
// came from and what it got.
type leaving struct {
	a    *app
	b    *browser
	tok  *oauth2.Token
	hint string // the ID token
}

// signedIn signs ana in on a browser of its own.
func signedIn(a *app, d *deployment) leaving {
	a.t.Helper()
	b := newBrowser(a.t, d.issuer)
	tok, _ := a.tokens(b, ana, anaPassword)
	hint, _ := tok.Extra("id_token").(string)
	return leaving{a, b, tok, hint}
}

// ask sends the browser to the end session endpoint with pairs of parameters.
func (l leaving) ask(pairs ...string) *page {
	l.a.t.Helper()
	q := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		q.Set(pairs[i], pairs[i+1])
	}
	return l.b.get(l.a.endpoint(leave) + "?" + q.Encode())
}

// out reports whether the person is signed out, as prompt=none says.
func (l leaving) out() bool {
	l.a.t.Helper()
	tr := l.a.begin("prompt", "none")
	return l.a.answer(tr, l.b.get(tr.url)).Get("error") == "login_required"
}

// leaver registers an application that may be returned to, for each subtest to
// sign in with.
func leaver(t *testing.T, d *deployment, args ...string) func(t *testing.T) *app {
	t.Helper()
	secret := d.client(t, "shop", append([]string{
		"--type", "web", "--name", "The Shop", "--redirect-uri", callback, "--post-logout-redirect-uri", bye, "--first-party",
	}, args...)...)
	d.user(t, ana, anaPassword)
	return func(t *testing.T) *app { t.Helper(); return newApp(t, d, "shop", secret, callback) }
}

// rpInitiated lists the modules of the certification profile "RP-Initiated Logout".
// A module asks to sign out; if it is asked back, it says yes.
var rpInitiated = []struct {
	module string
	query  func(t *testing.T, l leaving) []string
	asked  bool   // the person is asked first
	to     string // where the browser leaves to; "" stays
	title  string // of the page it stays on
	out    bool
}{
	{
		module: "oidcc-rp-initiated-logout", to: bye + "?state=" + strings.Repeat("s", 128), out: true,
		query: func(_ *testing.T, l leaving) []string {
			return []string{"id_token_hint", l.hint, "post_logout_redirect_uri", bye, "state", strings.Repeat("s", 128)}
		},
	},
	{
		module: "oidcc-rp-initiated-logout-no-state", to: bye, out: true,
		query: func(_ *testing.T, l leaving) []string {
			return []string{"id_token_hint", l.hint, "post_logout_redirect_uri", bye}
		},
	},
	{
		module: "oidcc-rp-initiated-logout-bad-post-logout-redirect-uri", title: "This request cannot be answered",
		query: func(_ *testing.T, l leaving) []string {
			return []string{"id_token_hint", l.hint, "post_logout_redirect_uri", "http://127.0.0.1:9/elsewhere", "state", "s"}
		},
	},
	{
		module: "oidcc-rp-initiated-logout-query-added-to-post-logout-redirect-uri", title: "This request cannot be answered",
		query: func(_ *testing.T, l leaving) []string {
			return []string{"id_token_hint", l.hint, "post_logout_redirect_uri", bye + "?foo=bar", "state", "s"}
		},
	},
	{
		module: "oidcc-rp-initiated-logout-bad-id-token-hint", asked: true, title: "Signed out", out: true,
		query: func(t *testing.T, l leaving) []string {
			t.Helper()
			return []string{"id_token_hint", forged(t, l.hint, "RS256"), "post_logout_redirect_uri", bye, "state", "s"}
		},
	},
	{
		module: "oidcc-rp-initiated-logout-modified-id-token-hint", asked: true, title: "Signed out", out: true,
		query: func(t *testing.T, l leaving) []string {
			t.Helper()
			return []string{"id_token_hint", forged(t, l.hint, "none"), "post_logout_redirect_uri", bye, "state", "s"}
		},
	},
	{
		module: "oidcc-rp-initiated-logout-no-id-token-hint", asked: true, title: "Signed out", out: true,
		query: func(*testing.T, leaving) []string { return []string{"post_logout_redirect_uri", bye, "state", "s"} },
	},
	{
		module: "oidcc-rp-initiated-logout-no-params", asked: true, title: "Signed out", out: true,
		query: func(*testing.T, leaving) []string { return nil },
	},
	{
		module: "oidcc-rp-initiated-logout-only-state", asked: true, title: "Signed out", out: true,
		query: func(*testing.T, leaving) []string { return []string{"state", "s"} },
	},
	{
		module: "oidcc-rp-initiated-logout-no-post-logout-redirect-uri", title: "Signed out", out: true,
		query: func(_ *testing.T, l leaving) []string { return []string{"id_token_hint", l.hint, "state", "s"} },
	},
	{
		module: "a client alone, which proves nothing", asked: true, to: bye + "?state=s", out: true,
		query: func(*testing.T, leaving) []string {
			return []string{"client_id", "shop", "post_logout_redirect_uri", bye, "state", "s"}
		},
	},
}

func TestLogoutRPInitiated(t *testing.T) {
	everywhere(t, func(t *testing.T, d *deployment) {
		application := leaver(t, d)
		t.Run("oidcc-rp-initiated-logout-discovery-endpoint-verification", func(t *testing.T) {
			if got := application(t).endpoint(leave); got != d.issuer+"/oidc/logout" {
				t.Errorf("%s is %q", leave, got)
			}
		})
		for _, m := range rpInitiated {
			t.Run(m.module, func(t *testing.T) {
				l := signedIn(application(t), d)
				p := l.ask(m.query(t, l)...)
				if asks := p.left == nil && p.element("logout-confirm") != nil; asks != m.asked {
					t.Fatalf("asked: %v, want %v: %s", asks, m.asked, p)
				}
				if m.asked {
					p = l.b.press(p, "logout-confirm", nil)
				}
				switch {
				case m.to != "" && (p.left == nil || p.left.String() != m.to):
					t.Errorf("went to %s, want %s", p, m.to)
				case m.to == "" && (p.left != nil || p.title() != m.title):
					t.Errorf("stayed at %s, want %q", p, m.title)
				}
				if got := l.out(); got != m.out {
					t.Errorf("signed out: %v, want %v", got, m.out)
				}
			})
		}
		t.Run("staying changes nothing", func(t *testing.T) {
			l := signedIn(application(t), d)
			if p := l.ask(); p.element("logout-cancel") == nil || l.out() || !l.a.active(l.tok.AccessToken) {
				t.Errorf("signed out by a question: %s", p)
			}
		})
	})
}

// TestLogoutReaches: every token of the session is dead, offline grants stay, and
// the person's other browsers know nothing of it.
func TestLogoutReaches(t *testing.T) {
	everywhere(t, func(t *testing.T, d *deployment) {
		a := leaver(t, d)(t)
		secret := d.client(t, "tool", "--type", "web", "--redirect-uri", callback, "--first-party")
		online := newApp(t, d, "tool", secret, callback, "openid", "email")
		l, elsewhere := signedIn(a, d), signedIn(a, d)
		other, _ := online.tokens(l.b, ana, anaPassword)
		if p := l.ask("id_token_hint", l.hint, "post_logout_redirect_uri", bye); p.left == nil {
			t.Fatalf("not signed out: %s", p)
		}
		poll(t, "tokens of the session are dead on every node", func() bool { return online.dead(other.AccessToken) })
		if r := online.userinfo(other.AccessToken); r.status != http.StatusUnauthorized {
			t.Errorf("userinfo answered %d after the sign-out", r.status)
		}
		if other.RefreshToken != "" {
			if _, err := online.refresh(other.RefreshToken); err == nil {
				t.Error("a refresh token without offline_access outlived its session")
			}
		}
		if _, err := a.refresh(l.tok.RefreshToken); err != nil {
			t.Errorf("an offline grant ended with the session: %v", err)
		}
		if !a.active(elsewhere.tok.AccessToken) || elsewhere.out() {
			t.Error("another browser was signed out")
		}
	})
}

// forged is an ID token with the claims of raw that the server did not sign: by
// another key, or by none.
func forged(t *testing.T, raw, alg string) string {
	t.Helper()
	parts := strings.Split(raw, ".")
	text, err := base64.RawURLEncoding.DecodeString(parts[0])
	if err != nil {
		t.Fatal(err)
	}
	var header map[string]any
	if err := json.Unmarshal(text, &header); err != nil {
		t.Fatal(err)
	}
	header["alg"] = alg
	if text, err = json.Marshal(header); err != nil {
		t.Fatal(err)
	}
	signed := base64.RawURLEncoding.EncodeToString(text) + "." + parts[1]
	if alg == "none" {
		return signed + "."
	}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte(signed))
	signature, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	return signed + "." + base64.RawURLEncoding.EncodeToString(signature)
}
