package oauth2_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatekeeper-oidc/gatekeeper/keys"
	"github.com/gatekeeper-oidc/gatekeeper/oauth2"
)

// TestLogoutToken: signed and encrypted as the ID tokens of its client are, and
// never to be mistaken for one (Back-Channel Logout 1.0 section 2.4).
func TestLogoutToken(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, f *fixture) {
		pair := func(c *oauth2.Client) {
			c.SubjectType, c.SectorIdentifierURI = oauth2.SubjectPairwise, "https://one.example/sector.json"
		}
		for name, edit := range map[string]func(*oauth2.Client){
			"plain":    func(*oauth2.Client) {},
			"es256":    func(c *oauth2.Client) { c.IDTokenAlg = keys.ES256 },
			"hs256":    func(c *oauth2.Client) { c.IDTokenAlg = oauth2.HS256 },
			"pairwise": pair,
		} {
			a := f.app(name, edit)
			id := a.login().ID
			l := oauth2.Logout{Session: f.session.ID, ClientID: a.ID, UserID: f.user.ID}
			raw, err := f.p.LogoutToken(t.Context(), &a.Client, l)
			must(t, err)
			got, want := claims(t, raw), claims(t, id)
			if alg, typ := jwtHeader(t, raw); alg != first(jwtHeader(t, id)) || typ != "logout+jwt" {
				t.Errorf("%s: alg %s, typ %s", name, alg, typ)
			}
			if diff := cmp.Diff(map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}}, got["events"]); diff != "" {
				t.Errorf("%s: events (-want +got):\n%s", name, diff)
			}
			for _, claim := range []string{"iss", "aud", "sub", "sid"} {
				if got[claim] != want[claim] {
					t.Errorf("%s: %s is %v, in the ID token %v", name, claim, got[claim], want[claim])
				}
			}
			if got["exp"].(float64)-got["iat"].(float64) != 120 || got["jti"] == "" || got["nonce"] != nil {
				t.Errorf("%s: %v", name, got)
			}
			if _, err := f.p.VerifyHint(t.Context(), raw); !errors.Is(err, oauth2.ErrInactive) {
				t.Errorf("%s: a logout token passes for an ID token: %v", name, err)
			}
			if _, err := f.p.Inspect(t.Context(), raw); !errors.Is(err, oauth2.ErrInactive) {
				t.Errorf("%s: a logout token passes for an access token: %v", name, err)
			}
			again, err := f.p.LogoutToken(t.Context(), &a.Client, l)
			must(t, err)
			if claims(t, again)["jti"] == got["jti"] {
				t.Errorf("%s: two tokens with one jti", name)
			}
		}
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		must(t, err)
		signing := strings.TrimSuffix(string(jwks(t, key)), "]}")
		_, one, _ := strings.Cut(signing, "[")
		set := signing + "," + strings.NewReplacer(`"sig"`, `"enc"`, `"ES256"`, `"ECDH-ES"`, `"k1"`, `"k2"`).Replace(one) + "]}"
		sealed := f.app("sealed", func(c *oauth2.Client) {
			c.JWKS, c.IDTokenEncAlg, c.IDTokenEnc = json.RawMessage(set), keys.ECDHES, "A256GCM"
		})
		raw, err := f.p.LogoutToken(t.Context(), &sealed.Client, oauth2.Logout{Session: f.session.ID, ClientID: sealed.ID, UserID: f.user.ID})
		must(t, err)
		if !keys.IsEncrypted(raw) {
			t.Errorf("not encrypted as its ID tokens are: %s", raw)
		}
	})
}

// jwtHeader returns what a JWT says of itself.
func jwtHeader(tb testing.TB, raw string) (alg, typ string) {
	tb.Helper()
	head, _, _ := strings.Cut(raw, ".")
	text, err := base64.RawURLEncoding.DecodeString(head)
	must(tb, err)
	var h struct{ Alg, Typ string }
	must(tb, json.Unmarshal(text, &h))
	return h.Alg, h.Typ
}

func first(a, _ string) string { return a }

// TestSessionsReach: whoever redeems a code, or gets tokens through the browser,
// hears of the session's end if it registered to, and nobody else does.
func TestSessionsReach(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, f *fixture) {
		back := func(c *oauth2.Client) { c.BackchannelLogoutURI = "https://shop.example/backchannel" }
		front := func(c *oauth2.Client) {
			c.RedirectURIs = append(c.RedirectURIs, "https://front.example/callback")
			c.FrontchannelLogoutURI = "https://front.example/out"
		}
		f.app("back", back).login()
		f.app("front", front).login()
		f.app("quiet").login()
		f.app("unredeemed", back).code()
		through := f.app("through", back, hybrid)
		if _, q := f.authorize("alice", through.request("response_type", "id_token", "response_mode", "fragment")).location(); q.Has("error") {
			t.Fatal(q)
		}
		reached, err := f.db.SessionClients(t.Context(), f.session.ID)
		must(t, err)
		if got := reached[f.session.ID]; !slices.Equal(got, []string{"back", "front", "through"}) {
			t.Errorf("reached %q", got)
		}
	}, func(c *oauth2.Config) { c.ResponseTypes = oauth2.ResponseTypes() })
}

func TestSessionState(t *testing.T) {
	t.Parallel()
	for uri, origin := range map[string]string{
		"https://shop.example/cb":         "https://shop.example",
		"https://SHOP.example:443/cb?a=b": "https://shop.example",
		"https://shop.example:8443/cb":    "https://shop.example:8443",
		"http://localhost:80/cb":          "http://localhost",
		"http://127.0.0.1:9/cb":           "http://127.0.0.1:9",
		"http://[::1]/cb":                 "http://[::1]",
		"http://[::1]:9/cb":               "http://[::1]:9",
		"http://127.0.0.1:443/cb":         "http://127.0.0.1:443",
	} {
		got := oauth2.SessionState("shop", uri, "state")
		hash, salt, _ := strings.Cut(got, ".")
		sum := sha256.Sum256([]byte("shop " + origin + " state " + salt))
		if hash != base64.RawURLEncoding.EncodeToString(sum[:]) || len(salt) < 22 || strings.Contains(got, " ") {
			t.Errorf("%s: %q is not of the origin %s", uri, got, origin)
		}
		if got == oauth2.SessionState("shop", uri, "state") {
			t.Errorf("%s: the same twice", uri)
		}
	}
	for _, uri := range []string{"org.example.app:/cb", "::", ""} {
		if got := oauth2.SessionState("app", uri, "state"); got != "" {
			t.Errorf("%s, which no page has: %q", uri, got)
		}
	}
}
