package oauth2_test

import (
	"net/http"
	"regexp"
	"testing"

	"pgregory.net/rapid"

	"github.com/gatekeeper-oidc/gatekeeper/oauth2"
)

// What redirectAllowed accepts differs from what is registered in the port of a
// loopback literal at most.
func TestRedirectAllowedProperty(t *testing.T) {
	t.Parallel()
	port := regexp.MustCompile(`^(http://(?:127\.0\.0\.1|\[::1\]))(?::[0-9]{1,5})?`)
	rapid.Check(t, func(t *rapid.T) {
		parts := func(label string) string {
			return rapid.SampledFrom([]string{"http", "https", "HTTP"}).Draw(t, label+" scheme") + "://" +
				rapid.SampledFrom([]string{"", "a@", "127.0.0.1@"}).Draw(t, label+" user") +
				rapid.SampledFrom([]string{"127.0.0.1", "[::1]", "localhost", "127.0.0.1.example", "[::1", "127.0.0.2"}).Draw(t, label+" host") +
				rapid.SampledFrom([]string{"", ":", ":1", ":80", ":65535", ":123456", ":1x", ":1@b"}).Draw(t, label+" port") +
				rapid.SampledFrom([]string{"", "/", "/cb", "/c%62", "?a", "#", "\\", "/cb#x"}).Draw(t, label+" rest")
		}
		registered, got := parts("registered"), parts("got")
		kind := rapid.SampledFrom([]oauth2.ClientType{oauth2.Web, oauth2.SPA, oauth2.Native}).Draw(t, "type")
		ok := oauth2.RedirectAllowed(&oauth2.Client{Type: kind, RedirectURIs: []string{registered}}, got)
		same := registered == got
		if ok && !same && (kind != oauth2.Native || port.ReplaceAllString(registered, "$1") != port.ReplaceAllString(got, "$1")) {
			t.Fatalf("%s client registered %q, %q was allowed", kind, registered, got)
		}
		if same && !ok {
			t.Fatalf("%q was refused to itself", got)
		}
	})
}

func TestRefreshTokenRoundTrip(t *testing.T) {
	t.Parallel()
	f := newFixture(t, databases["sqlite"](t))
	rapid.Check(t, func(t *rapid.T) {
		generation := rapid.Uint32Min(1).Draw(t, "generation")
		grant := [16]byte(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "grant"))
		secret := [16]byte(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "secret"))
		token := f.p.WriteRefresh(grant, generation, secret)
		again, got, ok := f.p.ReadRefresh(token)
		if !ok || again != token || got != generation {
			t.Fatalf("%s came back as %s, generation %d, %t", token, again, got, ok)
		}
		at := rapid.IntRange(0, len(token)-1).Draw(t, "at")
		changed := token[:at] + string(rapid.ByteRange('!', '~').Draw(t, "letter")) + token[at+1:]
		if _, _, ok := f.p.ReadRefresh(changed); ok != (changed == token) {
			t.Fatalf("a changed token was read: %s", changed)
		}
	})
}

// A family is the model of one grant's refresh tokens.
type family struct {
	f       *fixture
	a       *app
	grace   bool
	tokens  []string // by generation, from 1
	revoked bool
}

// present sends the token of a generation and says what should come of it.
func (m *family) present(t *rapid.T, generation int) {
	r := m.a.refresh(m.tokens[generation-1])
	newest := len(m.tokens)
	fine := !m.revoked && (generation == newest || m.grace && generation == newest-1)
	if (r.Status == http.StatusOK) != fine {
		t.Fatalf("generation %d of %d (grace %t, revoked %t): %d %s", generation, newest, m.grace, m.revoked, r.Status, r.Body)
	}
	if !fine {
		m.revoked = true
		return
	}
	next := tokensOf(r.json()).Refresh
	if generation == newest {
		m.tokens = append(m.tokens, next)
	}
	if next != m.tokens[generation] {
		t.Fatalf("generation %d has two successors", generation)
	}
}

// Refreshes, repeats, replays, strangers and failures, in any order, against a model.
func TestRefreshFamilyProperty(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, f *fixture) { familyProperty(t, f, true) })
	t.Run("without grace", func(t *testing.T) {
		t.Parallel()
		onEach(t, func(t *testing.T, f *fixture) { familyProperty(t, f, false) }, lifetimes(noGrace))
	})
}

func familyProperty(t *testing.T, f *fixture, grace bool) {
	t.Helper()
	shop := f.app("shop", opaque)
	other := f.app("other")
	rapid.Check(t, func(t *rapid.T) {
		m := &family{f: f, a: shop, grace: grace, tokens: []string{shop.login("scope", "offline_access").Refresh}}
		t.Repeat(map[string]func(*rapid.T){
			"refresh": func(t *rapid.T) { m.present(t, len(m.tokens)) },
			"any":     func(t *rapid.T) { m.present(t, rapid.IntRange(1, len(m.tokens)).Draw(t, "generation")) },
			"stranger": func(t *rapid.T) {
				token := m.tokens[rapid.IntRange(1, len(m.tokens)).Draw(t, "generation")-1]
				if r := other.refresh(token); r.Status != http.StatusBadRequest {
					t.Fatalf("a stranger: %d %s", r.Status, r.Body)
				}
			},
			"failure": func(t *rapid.T) {
				f.store.fail("RotateRefresh", 1)
				if r := shop.refresh(m.tokens[len(m.tokens)-1]); !m.revoked && r.Status != http.StatusServiceUnavailable {
					t.Fatalf("a store that is down: %d %s", r.Status, r.Body)
				}
				f.store.fail("RotateRefresh", 0)
			},
			"": func(t *rapid.T) {
				if got := f.alive(m.tokens[len(m.tokens)-1]); got == m.revoked {
					t.Fatalf("the newest token is alive: %t, want %t", got, !m.revoked)
				}
			},
		})
	})
}
