package conformance

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// TestPrompts walks the values of prompt, max_age and the hints (OpenID Connect
// Core section 3.1.2.1).
func TestPrompts(t *testing.T) {
	everywhere(t, func(t *testing.T, d *deployment) {
		a := shop(t, d)
		d.user(t, "ben@example.org", anaPassword)
		b := newBrowser(t, d.issuer)
		tok, first := a.tokens(b, ana, anaPassword)
		raw, _ := tok.Extra("id_token").(string)
		var claims struct {
			AuthTime int64    `json:"auth_time"`
			SID      string   `json:"sid"`
			ACR      string   `json:"acr"`
			AMR      []string `json:"amr"`
			AZP      string   `json:"azp"`
			Name     string   `json:"name"`
			RAT      any      `json:"rat"`
		}
		if err := first.Claims(&claims); err != nil {
			t.Fatal(err)
		}
		if claims.AuthTime == 0 || claims.SID == "" || claims.ACR == "" || len(claims.AMR) == 0 || claims.Name != "" || claims.RAT != nil {
			t.Errorf("ID token claims: %+v", claims)
		}

		t.Run("login asks again and renews auth_time", func(t *testing.T) {
			poll(t, "the clock's next second", func() bool { return time.Now().Unix() > claims.AuthTime })
			tr := a.begin("prompt", "login")
			p := b.get(tr.url)
			if p.element("password") == nil {
				t.Fatalf("no login page: %s", p)
			}
			_, id := a.redeem(tr, a.code(tr, b.signIn(p, ana, anaPassword)))
			var again struct {
				AuthTime int64  `json:"auth_time"`
				SID      string `json:"sid"`
			}
			if err := id.Claims(&again); err != nil {
				t.Fatal(err)
			}
			if again.AuthTime <= claims.AuthTime || again.SID != claims.SID {
				t.Errorf("auth_time %d after %d, sid %q after %q", again.AuthTime, claims.AuthTime, again.SID, claims.SID)
			}
		})
		t.Run("consent asks even a first-party application's user", func(t *testing.T) {
			tr := a.begin("prompt", "consent")
			p := b.get(tr.url)
			if p.element("consent-accept") == nil {
				t.Fatalf("no consent page: %s", p)
			}
			a.code(tr, b.allow(p))
		})
		t.Run("refused consent is access_denied", func(t *testing.T) {
			tr := a.begin("prompt", "consent")
			if q := a.answer(tr, b.press(b.get(tr.url), "consent-deny", nil)); q.Get("error") != "access_denied" {
				t.Errorf("%v", q)
			}
		})
		t.Run("select_account shows who is signed in", func(t *testing.T) {
			tr := a.begin("prompt", "select_account")
			p := b.get(tr.url)
			if p.left != nil || !strings.Contains(p.text, ana) {
				t.Fatalf("no account chooser: %s", p)
			}
		})
		t.Run("max_age=0 asks again", func(t *testing.T) {
			tr := a.begin("max_age", "0")
			p := b.get(tr.url)
			if p.element("password") == nil {
				t.Fatalf("no login page: %s", p)
			}
			a.code(tr, b.signIn(p, ana, anaPassword))
		})
		t.Run("a large max_age does not", func(t *testing.T) {
			tr := a.begin("max_age", "10000")
			a.code(tr, b.get(tr.url))
		})
		t.Run("a hint of the same person is silent", func(t *testing.T) {
			tr := a.begin("prompt", "none", "id_token_hint", raw)
			a.code(tr, b.get(tr.url))
		})
		t.Run("a hint of another person is login_required", func(t *testing.T) {
			other := newBrowser(t, d.issuer)
			a.tokens(other, "ben@example.org", anaPassword)
			tr := a.begin("prompt", "none", "id_token_hint", raw)
			if q := a.answer(tr, other.get(tr.url)); q.Get("error") != "login_required" {
				t.Errorf("%v", q)
			}
		})
		t.Run("hints for people reach the page", func(t *testing.T) {
			p := newBrowser(t, d.issuer).get(a.begin("ui_locales", "tlh de", "login_hint", ana).url)
			if p.title() != "Anmelden" || attr(p.element("login"), "value") != ana {
				t.Errorf("title %q, address %q", p.title(), attr(p.element("login"), "value"))
			}
		})
		t.Run("create where sign-up is closed asks who has an account", func(t *testing.T) {
			tr := a.begin("prompt", "create")
			p := newBrowser(t, d.issuer).get(tr.url)
			if p.element("password") == nil {
				t.Fatalf("no login page: %s", p)
			}
			a.code(tr, b.signIn(b.get(tr.url), ana, anaPassword))
		})
		t.Run("unknown parameters and hints for people are ignored", func(t *testing.T) {
			tr := a.begin("display", "popup", "ui_locales", "de en", "claims_locales", "de", "acr_values", "1 2", "login_hint", "x", "extra", "y")
			a.code(tr, b.get(tr.url))
		})
		t.Run("POST to the authorization endpoint", func(t *testing.T) {
			tr := a.begin()
			u, _ := url.Parse(tr.url)
			p := newBrowser(t, d.issuer).post(u.Scheme+"://"+u.Host+u.Path, u.Query())
			if p.element("password") == nil {
				t.Fatalf("no login page: %s", p)
			}
		})
		t.Run("form_post", func(t *testing.T) {
			tr := a.begin("response_mode", "form_post")
			p := b.get(tr.url)
			if p.status != http.StatusOK || p.left != nil {
				t.Fatalf("%s", p)
			}
			f := p.form(t, "continue")
			if f.action.String() != callback || f.fields.Get("code") == "" || f.fields.Get("state") != tr.state || f.fields.Get("iss") != d.issuer {
				t.Errorf("form_post fields: %s %v", f.action, f.fields)
			}
		})
	})
}

// TestTheDoorIsHeldShut tries what a hostile site or another browser could try.
func TestTheDoorIsHeldShut(t *testing.T) {
	everywhere(t, func(t *testing.T, d *deployment) {
		a := shop(t, d)
		victim, attacker := newBrowser(t, d.issuer), newBrowser(t, d.issuer)

		t.Run("an interaction belongs to the browser that began it", func(t *testing.T) {
			p := attacker.get(a.begin().url)
			if q := victim.get(p.url.String()); q.element("password") != nil {
				t.Errorf("another browser was shown the attacker's interaction: %s", q)
			}
		})
		t.Run("a form without its token is refused", func(t *testing.T) {
			p := victim.get(a.begin().url)
			f := p.form(t, "submit")
			f.fields.Set("login", ana)
			f.fields.Set("password", anaPassword)
			f.fields.Del("csrf")
			if q := victim.post(f.action.String(), f.fields); q.status != http.StatusForbidden {
				t.Errorf("%s", q)
			}
		})
		t.Run("a cross-site form is refused", func(t *testing.T) {
			f := victim.get(a.begin().url).form(t, "submit")
			r, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, f.action.String(), strings.NewReader(f.fields.Encode()))
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			r.Header.Set("Sec-Fetch-Site", "cross-site")
			r.Header.Set("Origin", "https://evil.example")
			if q := victim.follow(r); q.status != http.StatusForbidden {
				t.Errorf("%s", q)
			}
		})
		t.Run("unknown person and wrong password look alike", func(t *testing.T) {
			wrong := victim.signIn(victim.get(a.begin().url), ana, "not the password at all")
			unknown := victim.signIn(victim.get(a.begin().url), "nobody@example.org", "not the password at all")
			scrub := strings.NewReplacer(ana, "X", "nobody@example.org", "X")
			if wrong.status != unknown.status || len(scrub.Replace(wrong.text)) != len(scrub.Replace(unknown.text)) {
				t.Errorf("they differ: %d and %d", wrong.status, unknown.status)
			}
		})
		t.Run("signing in changes the session cookie", func(t *testing.T) {
			p := victim.get(a.begin().url)
			before := cookies(victim)
			victim.signIn(p, ana, anaPassword)
			if after := cookies(victim); after["session"] == "" || after["session"] == before["session"] {
				t.Errorf("before %v, after %v", before, after)
			}
		})
		t.Run("a locked person is out at once", func(t *testing.T) {
			d.cli(t, "user", "lock", ana)
			poll(t, "the session is dead on every node", func() bool {
				tr := a.begin("prompt", "none")
				return a.answer(tr, victim.get(tr.url)).Get("error") == "login_required"
			})
		})
	})
}

func cookies(b *browser) map[string]string {
	out := map[string]string{}
	for _, c := range b.http.Jar.Cookies(b.issuer) {
		name := strings.TrimPrefix(strings.TrimPrefix(c.Name, "__Host-"), "gk_")
		out[name] = c.Value
	}
	return out
}
