package conformance

import (
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// A player is a device without a browser: it asks, shows a code, and polls.
type player struct{ *app }

func newPlayer(t *testing.T, d *deployment) player {
	t.Helper()
	d.client(t, "player", "--type", "device", "--name", "The Player")
	return player{newApp(t, d, "player", "", "")}
}

// ask is a device authorization request (RFC 8628 section 3.1).
func (p player) ask(scope string) (device, user, complete string) {
	p.t.Helper()
	r := p.call("device_authorization_endpoint", url.Values{"client_id": {"player"}, "scope": {scope}})
	if r.status != http.StatusOK {
		p.t.Fatalf("device authorization answered %d %s", r.status, r.text)
	}
	get := func(name string) string { s, _ := r.json[name].(string); return s }
	if r.json["interval"] != 5. || r.json["expires_in"] != 600. || get("verification_uri") != p.issuer+"/device" || r.header.Get("Cache-Control") != "no-store" {
		p.t.Errorf("device authorization answered %v %s", r.header, r.text)
	}
	return get("device_code"), get("user_code"), get("verification_uri_complete")
}

func (p player) poll(device string) reply {
	p.t.Helper()
	return p.call("token_endpoint", url.Values{
		"client_id": {"player"}, "grant_type": {"urn:ietf:params:oauth:grant-type:device_code"}, "device_code": {device},
	})
}

// told checks that a poll is answered with this error.
func (p player) told(device, code string) {
	p.t.Helper()
	if r := p.poll(device); r.status != http.StatusBadRequest || r.json["error"] != code {
		p.t.Errorf("a poll answered %d %s, want %s", r.status, r.text, code)
	}
}

// TestDeviceGrant walks a person through connecting a device, without JavaScript.
func TestDeviceGrant(t *testing.T) {
	everywhere(t, func(t *testing.T, d *deployment) {
		p := newPlayer(t, d)
		uid := d.user(t, ana, anaPassword, "--email-verified")
		b := newBrowser(t, d.issuer)
		device, user, complete := p.ask("openid email offline_access")
		p.told(device, "authorization_pending")
		p.told(device, "slow_down")

		page := b.get(complete)
		if page.title() != "Connect a device" || attr(page.element("code"), "value") != user || page.element("login") != nil {
			t.Fatalf("the link must show the code and send nothing: %s", page)
		}
		p.told(device, "slow_down")
		page = b.press(page, "submit", nil)
		if page.title() != "Sign in" || !strings.Contains(page.text, "The Player") {
			t.Fatalf("want the sign-in page for The Player: %s", page)
		}
		page = b.signIn(page, ana, anaPassword)
		for _, want := range []string{"The Player", ana, user, "Did somebody send you this code", "See your email address", "Asked from"} {
			if !strings.Contains(page.text, want) {
				t.Errorf("the page does not say %q: %s", want, page)
			}
		}
		page = b.allow(page)
		if page.title() != "Device connected" || page.status != http.StatusOK || page.left != nil {
			t.Fatalf("after the yes: %s", page)
		}

		r := p.poll(device)
		if r.status != http.StatusOK {
			t.Fatalf("the device got %d %s", r.status, r.text)
		}
		access, _ := r.json["access_token"].(string)
		refresh, _ := r.json["refresh_token"].(string)
		raw, _ := r.json["id_token"].(string)
		id, err := p.verifier.Verify(t.Context(), raw)
		if err != nil {
			t.Fatal(err)
		}
		if err := id.VerifyAccessToken(access); err != nil || id.Subject != uid {
			t.Errorf("ID token of %s: %v", id.Subject, err)
		}
		if info := p.userinfo(access); info.json["email"] != ana {
			t.Errorf("userinfo: %s", info.text)
		}
		next, err := p.refresh(refresh)
		if err != nil || next.AccessToken == "" {
			t.Errorf("refresh: %v", err)
		}
		if page := b.get(d.issuer + "/account"); !strings.Contains(page.text, "The Player") {
			t.Errorf("the account page does not name the application: %s", page)
		}
		p.told(device, "invalid_grant")
		if _, err := p.refresh(next.RefreshToken); err == nil {
			t.Error("the grant outlived the second use of its device code")
		}
		deviceTrail(t, d, uid, access, device, user)
	})
}

// deviceTrail checks that the trail knows who connected what, and no code or token.
func deviceTrail(t *testing.T, d *deployment, uid string, secrets ...string) {
	t.Helper()
	trail := d.cli(t, "audit", "export")
	for _, want := range []string{`"kind":"device.requested"`, `"kind":"device.approved"`, `"actor":"user:` + uid + `"`, `"kind":"code.replayed"`} {
		if !strings.Contains(trail, want) {
			t.Errorf("the trail does not have %s", want)
		}
	}
	if n := strings.Count(trail, `"authorization_pending"`) + strings.Count(trail, `"slow_down"`); n > 0 {
		t.Errorf("the trail has %d entries of a device that waits", n)
	}
	for _, s := range secrets {
		if strings.Contains(trail, s) {
			t.Errorf("the trail holds %.12s…", s)
		}
	}
}

// TestDeviceIsDenied: the other ways a code can go.
func TestDeviceIsDenied(t *testing.T) {
	everywhere(t, func(t *testing.T, d *deployment) {
		p := newPlayer(t, d)
		d.user(t, ana, anaPassword)
		b := newBrowser(t, d.issuer)
		for name, answer := range map[string]func(page *page) *page{
			"denied":    func(page *page) *page { return b.press(b.signIn(page, ana, anaPassword), "consent-deny", nil) },
			"cancelled": func(page *page) *page { return newCancel(t, b, page) },
		} {
			device, user, _ := p.ask("openid")
			typed := strings.ToLower(strings.ReplaceAll(user, "-", " "))
			page := b.press(newPage(b, d), "submit", map[string]string{"user_code": typed})
			if page.element("password") == nil { // signed in already
				page = b.press(page, "consent-deny", nil)
			} else {
				page = answer(page)
			}
			if page.title() != "Device not connected" {
				t.Errorf("%s: %s", name, page)
			}
			p.told(device, "access_denied")
			b = newBrowser(t, d.issuer)
		}
		page := b.press(newPage(b, d), "submit", map[string]string{"user_code": "BBBB-BBBB"})
		reference := regexp.MustCompile(`<code>([0-9A-Z]{4}-[0-9A-Z]{4})</code>`).FindStringSubmatch(page.text)
		if page.status != http.StatusUnprocessableEntity || page.element("problem") == nil || reference == nil {
			t.Fatalf("a wrong code: %s", page)
		}
		poll(t, "the refusal is explained", func() bool {
			out, _, err := d.try(t, "", "explain", reference[1])
			return err == nil && strings.Contains(out, "user_code_known")
		})
	})
}

func newPage(b *browser, d *deployment) *page { return b.get(d.issuer + "/device") }

// newCancel presses the button of the sign-in page that has no name.
func newCancel(t *testing.T, b *browser, p *page) *page {
	t.Helper()
	for n := range p.doc.Descendants() {
		if n.Data == "form" && attr(n, "action") == "/login/cancel" {
			f := p.read(t, n, nil)
			return b.post(f.action.String(), f.fields)
		}
	}
	t.Fatalf("no way to cancel: %s", p)
	return nil
}

// TestOneDeviceCodeIsRedeemedOnce races its polls over every node.
func TestOneDeviceCodeIsRedeemedOnce(t *testing.T) {
	everywhere(t, func(t *testing.T, d *deployment) {
		p := newPlayer(t, d)
		d.user(t, ana, anaPassword)
		b := newBrowser(t, d.issuer)
		device, _, complete := p.ask("openid")
		b.allow(b.signIn(b.press(b.get(complete), "submit", nil), ana, anaPassword))
		answers := map[string]int{}
		for _, r := range race(func(int) reply { return p.poll(device) }) {
			code, _ := r.json["error"].(string)
			answers[code]++
		}
		if answers[""] != 1 || answers["invalid_grant"] != racers-1 {
			t.Errorf("answers %v, want one with tokens and %d invalid_grant", answers, racers-1)
		}
	})
}

// TestUserCodesAreGuessedSlowly: with the limits a server has by default.
func TestUserCodesAreGuessedSlowly(t *testing.T) {
	t.Parallel()
	d := embedded(t, "GATEKEEPER_RATE_LIMIT_FACTOR=1")
	p := newPlayer(t, d)
	_, user, _ := p.ask("openid")
	b := newBrowser(t, d.issuer)
	var statuses []int
	for range 21 {
		statuses = append(statuses, b.press(newPage(b, d), "submit", map[string]string{"user_code": "BBBB-BBBB"}).status)
	}
	if i := slices.Index(statuses, http.StatusTooManyRequests); i != 20 {
		t.Errorf("statuses %v, want 20 guesses and then 429", statuses)
	}
	page := newBrowser(t, d.issuer)
	if got := page.press(newPage(page, d), "submit", map[string]string{"user_code": user}); got.status != http.StatusTooManyRequests || got.header.Get("Retry-After") == "" {
		t.Errorf("another browser at the same address: %s", got)
	}
}
