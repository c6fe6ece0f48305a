package conformance

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// browserState is the cookie the session frame reads.
func (b *browser) browserState() string {
	for _, c := range b.http.Jar.Cookies(b.issuer) {
		if c.Name == "gk_bs" {
			return c.Value
		}
	}
	return ""
}

// stateHolds recomputes a session_state as the frame does.
func stateHolds(state, client, origin, browserState string) bool {
	hash, salt, ok := strings.Cut(state, ".")
	sum := sha256.Sum256([]byte(client + " " + origin + " " + browserState + " " + salt))
	return ok && salt != "" && browserState != "" && hash == base64.RawURLEncoding.EncodeToString(sum[:])
}

// TestSessionManagement is the certification profile "Session Management" as far as
// it can be told without script; TestChromiumSignOut does the rest.
func TestSessionManagement(t *testing.T) {
	everywhere(t, func(t *testing.T, d *deployment) {
		a := leaver(t, d)(t)
		origin := strings.TrimSuffix(callback, "/callback")
		b := newBrowser(t, d.issuer)
		ask := func(pairs ...string) url.Values {
			t.Helper()
			tr := a.begin(pairs...)
			p := b.get(tr.url)
			if p.left == nil && p.element("password") != nil {
				p = b.signIn(p, ana, anaPassword)
			}
			return a.answer(tr, p)
		}
		refused := ask("prompt", "none")
		nobody := b.browserState()
		if refused.Get("error") != "login_required" || !stateHolds(refused.Get("session_state"), "shop", origin, nobody) {
			t.Errorf("an error with session_state %q", refused.Get("session_state"))
		}
		first := ask()
		signedIn := b.browserState()
		if signedIn == nobody || !stateHolds(first.Get("session_state"), "shop", origin, signedIn) || first.Get("code") == "" {
			t.Errorf("signed in, session_state %q", first.Get("session_state"))
		}
		if wrong := ask("response_type", "nonsense"); wrong.Get("error") == "" || !stateHolds(wrong.Get("session_state"), "shop", origin, signedIn) {
			t.Errorf("a refusal with session_state %q", wrong.Get("session_state"))
		}
		again := ask("prompt", "none")
		if b.browserState() != signedIn || again.Get("session_state") == first.Get("session_state") || !stateHolds(again.Get("session_state"), "shop", origin, signedIn) {
			t.Errorf("the state changed, or its salt did not: %q, %q", first.Get("session_state"), again.Get("session_state"))
		}
		b.press(b.get(a.endpoint(leave)), "logout-confirm", nil)
		if after := b.browserState(); after == signedIn || stateHolds(again.Get("session_state"), "shop", origin, after) {
			t.Error("signing out did not change the state of the browser")
		}
		frame := b.get(a.endpoint("check_session_iframe"))
		if policy := frame.header.Get("Content-Security-Policy"); frame.status != http.StatusOK || frame.header.Get("X-Frame-Options") != "" || !strings.Contains(policy, "frame-ancestors *") {
			t.Errorf("the frame cannot be framed: %v", frame.header)
		}
	})
}
