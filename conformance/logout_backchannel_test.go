package conformance

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// A channel is an application with a back channel.
type channel struct {
	id     string
	secret string
	*receiver
}

func newChannel(t *testing.T, d *deployment, id string, args ...string) channel {
	t.Helper()
	c := channel{id: id, receiver: newReceiver(t)}
	c.secret = d.client(t, id, append([]string{
		"--type", "web", "--redirect-uri", callback, "--post-logout-redirect-uri", bye, "--first-party",
		"--backchannel-logout-uri", c.address, "--backchannel-logout-session-required",
	}, args...)...)
	return c
}

func (c channel) app(t *testing.T, d *deployment) *app {
	t.Helper()
	return newApp(t, d, c.id, c.secret, callback)
}

// alsoAt lets the person of l go on to another application, and returns its ID token.
func (l leaving) alsoAt(a *app) (hint string) {
	a.t.Helper()
	tok, _ := a.tokens(l.b, ana, anaPassword)
	hint, _ = tok.Extra("id_token").(string)
	return hint
}

// A told event is a line of the trail about an application that was told, or was not.
type toldEvent struct {
	Kind, SID string
	Client    string `json:"client_id"`
	Detail    map[string]string
}

// trail returns the events about telling applications of session sid.
func (d *deployment) trail(t *testing.T, sid string) (events []toldEvent) {
	t.Helper()
	for line := range strings.Lines(d.cli(t, "audit", "export")) {
		var e toldEvent
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		if e.SID == sid && (e.Kind == "logout.delivered" || e.Kind == "logout.abandoned") {
			events = append(events, e)
		}
	}
	return events
}

func TestLogoutBackchannel(t *testing.T) {
	everywhere(t, func(t *testing.T, d *deployment) {
		shop, tool := newChannel(t, d, "shop"), newChannel(t, d, "tool", "--id-token-alg", "ES256")
		d.client(t, "quiet", "--type", "spa", "--redirect-uri", callback, "--first-party")
		d.user(t, ana, anaPassword)
		t.Run("oidcc-backchannel-rp-initiated-logout-discovery-endpoint-verification", func(t *testing.T) {
			var meta struct {
				Supported bool `json:"backchannel_logout_supported"`
				Session   bool `json:"backchannel_logout_session_supported"`
			}
			if err := shop.app(t, d).provider.Claims(&meta); err != nil || !meta.Supported || !meta.Session {
				t.Errorf("%+v, %v", meta, err)
			}
		})
		t.Run("oidcc-backchannel-rp-initiated-logout", func(t *testing.T) { everyApplicationOnce(t, d, shop, tool) })
		t.Run("each way to end a session is told", func(t *testing.T) { everyWay(t, d, shop) })
		t.Run("signing in again is not the end", func(t *testing.T) { renewal(t, d, shop) })
		t.Run("an application that fails hears of it later", func(t *testing.T) { failing(t, d, shop) })
		t.Run("an application that says no is not asked again", func(t *testing.T) { rejecting(t, d, shop) })
		t.Run("an application that hangs holds nobody back", func(t *testing.T) { hanging(t, d, shop, tool) })
		t.Run("a pairwise application hears its own name of the person", func(t *testing.T) { pairwise(t, d) })
	})
}

// everyApplicationOnce: both applications of the session, the one that asked
// included, know before the browser is back, and nobody else is told.
func everyApplicationOnce(t *testing.T, d *deployment, shop, tool channel) {
	t.Helper()
	l := signedIn(shop.app(t, d), d)
	elsewhere := signedIn(shop.app(t, d), d)
	toolHint := l.alsoAt(tool.app(t, d))
	l.alsoAt(newApp(t, d, "quiet", "", callback))
	sid := sidOf(t, l.hint)
	listed := decode[struct {
		Sessions []struct {
			ID      string
			Clients []string
		}
	}](t, d, "session", "list", "--user", ana)
	for _, s := range listed.Sessions {
		if s.ID == sid && !slices.Equal(s.Clients, []string{"shop", "tool"}) {
			t.Errorf("session list says %q will be told", s.Clients)
		}
	}
	p := l.ask("id_token_hint", l.hint, "post_logout_redirect_uri", bye, "state", "s")
	if p.left == nil || p.left.String() != bye+"?state=s" {
		t.Fatalf("went to %s", p)
	}
	for c, hint := range map[channel]string{shop: l.hint, tool: toolHint} {
		told := c.about(t, sid)
		if len(told) != 1 {
			t.Fatalf("%s was told %d times before the browser came back", c.id, len(told))
		}
		checkLogoutToken(t, c.app(t, d), told[0], hint)
	}
	if n := len(shop.about(t, sidOf(t, elsewhere.hint))); n != 0 || elsewhere.out() {
		t.Errorf("another session was ended, or told of: %d", n)
	}
	delivered(t, d, sid, "shop", "tool")
	if n, m := len(shop.about(t, sid)), len(tool.about(t, sid)); n != 1 || m != 1 {
		t.Errorf("told %d and %d times in the end", n, m)
	}
}

// delivered waits until the trail says of each application that it was told, and
// checks that it says so once.
func delivered(t *testing.T, d *deployment, sid string, clients ...string) []toldEvent {
	t.Helper()
	var events []toldEvent
	poll(t, "the trail knows who was told", func() bool {
		events = d.trail(t, sid)
		return len(events) >= len(clients)
	})
	var told []string
	for _, e := range events {
		if e.Kind != "logout.delivered" || e.Detail["status"] != "200" {
			t.Errorf("event %+v", e)
		}
		told = append(told, e.Client)
	}
	slices.Sort(told)
	if !slices.Equal(told, clients) {
		t.Errorf("the trail says %q were told, want %q", told, clients)
	}
	return events
}

// everyWay ends a session in each way there is but signing out.
func everyWay(t *testing.T, d *deployment, shop channel) {
	t.Helper()
	for _, way := range []struct {
		name string
		end  func(t *testing.T, l leaving, sid string)
	}{
		{"the account page", func(t *testing.T, _ leaving, _ string) {
			t.Helper()
			b := signedIn(shop.app(t, d), d).b
			b.press(b.get(d.issuer+"/account"), "end-others", nil)
		}},
		{"signing out on the account page", func(t *testing.T, l leaving, _ string) {
			t.Helper()
			l.b.press(l.b.get(d.issuer+"/account"), "sign-out", nil)
		}},
		{"an administrator", func(t *testing.T, _ leaving, sid string) { t.Helper(); d.cli(t, "session", "revoke", sid, "--yes") }},
		{"a locked account", func(t *testing.T, _ leaving, _ string) {
			t.Helper()
			d.cli(t, "user", "lock", ana)
			d.cli(t, "user", "unlock", ana)
		}},
		{"somebody else on the same browser", func(t *testing.T, l leaving, _ string) {
			t.Helper()
			d.user(t, "ben@example.org", "battery staple correct horse")
			l.b.signIn(l.b.get(d.issuer+"/login?as=other"), "ben@example.org", "battery staple correct horse")
		}},
		// The last, since the password is to be changed then.
		{"a new password", func(t *testing.T, _ leaving, _ string) {
			t.Helper()
			if _, errOut, err := d.try(t, "set by somebody else for now\n", "user", "reset", ana, "--password-stdin"); err != nil {
				t.Fatal(err, errOut)
			}
			b := newBrowser(t, d.issuer) // and she chooses her own again
			p := b.signIn(b.get(d.issuer+"/login"), ana, "set by somebody else for now")
			f := p.form(t, "current")
			f.fields.Set("current", "set by somebody else for now")
			f.fields.Set("password", anaPassword)
			b.post(f.action.String(), f.fields)
		}},
	} {
		t.Run(way.name, func(t *testing.T) {
			a := shop.app(t, d)
			l := signedIn(a, d)
			sid := sidOf(t, l.hint)
			way.end(t, l, sid)
			poll(t, "the application is told", func() bool { return len(shop.about(t, sid)) > 0 })
			checkLogoutToken(t, a, shop.about(t, sid)[0], l.hint)
			delivered(t, d, sid, "shop")
		})
	}
}

// renewal signs in again in the same session, which is a new cookie and no end.
func renewal(t *testing.T, d *deployment, shop channel) {
	t.Helper()
	a := shop.app(t, d)
	l := signedIn(a, d)
	sid := sidOf(t, l.hint)
	tr := a.begin("prompt", "login")
	p := l.b.signIn(l.b.get(tr.url), ana, anaPassword)
	tok, _ := a.redeem(tr, a.code(tr, p))
	again, _ := tok.Extra("id_token").(string)
	if sidOf(t, again) != sid {
		t.Fatalf("another session: %s", sidOf(t, again))
	}
	l.ask("id_token_hint", again)
	if n := len(shop.about(t, sid)); n != 1 {
		t.Errorf("told %d times, want once, of the end", n)
	}
}

// failing answers 500 and 429 at first; each attempt is a token of its own.
func failing(t *testing.T, d *deployment, shop channel) {
	t.Helper()
	a := shop.app(t, d)
	l := signedIn(a, d)
	sid := sidOf(t, l.hint)
	shop.then(http.StatusInternalServerError, http.StatusTooManyRequests)
	if p := l.ask("id_token_hint", l.hint, "post_logout_redirect_uri", bye); p.left == nil {
		t.Fatalf("held back: %s", p)
	}
	if events := delivered(t, d, sid, "shop"); events[0].Detail["attempts"] != "3" {
		t.Errorf("event %+v, want three attempts", events[0])
	}
	seen := map[string]bool{}
	for _, raw := range shop.about(t, sid) {
		seen[checkLogoutToken(t, a, raw, l.hint)] = true
	}
	if len(seen) != 3 {
		t.Errorf("%d different tokens, want 3", len(seen))
	}
}

func rejecting(t *testing.T, d *deployment, shop channel) {
	t.Helper()
	l := signedIn(shop.app(t, d), d)
	sid := sidOf(t, l.hint)
	shop.then(http.StatusBadRequest)
	l.ask("id_token_hint", l.hint)
	var events []toldEvent
	poll(t, "the trail knows that it was not told", func() bool { events = d.trail(t, sid); return len(events) > 0 })
	if e := events[0]; len(events) != 1 || e.Kind != "logout.abandoned" || e.Detail["reason"] != "rejected" || e.Detail["status"] != "400" {
		t.Errorf("events %+v", events)
	}
	if n := len(shop.about(t, sid)); n != 1 {
		t.Errorf("asked %d times", n)
	}
}

// hanging: shop does not answer, tool does, and the browser goes on all the same.
func hanging(t *testing.T, d *deployment, shop, tool channel) {
	t.Helper()
	release := make(chan struct{})
	shop.wait(func() <-chan struct{} { return release })
	defer shop.wait(nil)
	l := signedIn(shop.app(t, d), d)
	l.alsoAt(tool.app(t, d))
	sid := sidOf(t, l.hint)
	p := l.ask("id_token_hint", l.hint, "post_logout_redirect_uri", bye)
	if p.left == nil || p.left.String() != bye {
		t.Fatalf("held back: %s", p)
	}
	if n, m := len(shop.about(t, sid)), len(tool.about(t, sid)); n != 1 || m != 1 {
		t.Errorf("told %d and %d times before the browser came back", n, m)
	}
	close(release) // the answer comes late and still counts
	delivered(t, d, sid, "shop", "tool")
	if n := len(shop.about(t, sid)); n != 1 {
		t.Errorf("told %d times", n)
	}
}

func pairwise(t *testing.T, d *deployment) {
	t.Helper()
	r := newReceiver(t)
	file := filepath.Join(t.TempDir(), "pair.yaml")
	text := "clients:\n  - {id: pair, type: spa, redirect_uris: [\"" + callback + "\"], subject_type: pairwise, first_party: true, backchannel_logout_uri: \"" + r.address + "\"}\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	d.cli(t, "apply", "-f", file)
	a := newApp(t, d, "pair", "", callback)
	l := signedIn(a, d)
	l.ask("id_token_hint", l.hint)
	told := r.about(t, sidOf(t, l.hint))
	if len(told) != 1 {
		t.Fatalf("told %d times", len(told))
	}
	checkLogoutToken(t, a, told[0], l.hint)
}

// TestLogoutSurvivesAKill kills the node that is telling an application. Another
// takes over: the application is told, and the trail says so once.
func TestLogoutSurvivesAKill(t *testing.T) {
	everywhere(t, func(t *testing.T, d *deployment) {
		shop := newChannel(t, d, "shop")
		d.user(t, ana, anaPassword)
		a := shop.app(t, d)
		l := signedIn(a, d)
		sid := sidOf(t, l.hint)
		teller, heir := d.nodes[0], d.nodes[len(d.nodes)-1]
		if heir != teller {
			heir.stop(t)
		}
		shop.wait(func() <-chan struct{} { return nil }) // for ever: only the caller's end ends it
		d.cli(t, "session", "revoke", sid, "--yes")
		poll(t, "the node begins to tell the application", func() bool { return len(shop.about(t, sid)) == 1 })
		teller.kill(t)
		shop.wait(nil)
		if n := len(d.trail(t, sid)); n != 0 {
			t.Fatalf("%d events about what nobody answered", n)
		}
		heir.run(t)
		delivered(t, d, sid, "shop")
		told := shop.about(t, sid)
		if len(told) != 2 {
			t.Errorf("told %d times, want once by each node", len(told))
		}
		checkLogoutToken(t, a, told[len(told)-1], l.hint)
		if heir != teller {
			teller.run(t)
		}
	})
}
