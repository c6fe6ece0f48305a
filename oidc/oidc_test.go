package oidc

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"flag"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatekeeper-oidc/gatekeeper/identity"
	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
	"github.com/gatekeeper-oidc/gatekeeper/internal/web"
	"github.com/gatekeeper-oidc/gatekeeper/oauth2"
	"github.com/gatekeeper-oidc/gatekeeper/templates"
)

const issuer = "https://id.example.org"

var (
	update = flag.Bool("update", false, "rewrite the golden files")
	noon   = time.Date(2030, 5, 17, 12, 0, 0, 0, time.UTC)
)

// world is a provider, a ring and a session service that know a few things.
type world struct {
	clients map[string]oauth2.Client
	tokens  map[string]oauth2.Token
	hints   map[string]oauth2.Hint
	jwks    string // body; also its ETag
	signed  *identity.Session
	ended   []string
	reached []string // applications of the session
	down    bool
}

var errDown = fault.Down("store", errors.New("no answer"))

func (k *world) Client(_ context.Context, id string) (oauth2.Client, error) {
	c, ok := k.clients[id]
	switch {
	case k.down:
		return oauth2.Client{}, errDown
	case !ok:
		return oauth2.Client{}, fault.Missing("client", id)
	}
	return c, nil
}

func (k *world) Inspect(_ context.Context, token string) (oauth2.Token, error) {
	t, ok := k.tokens[token]
	switch {
	case k.down:
		return oauth2.Token{}, errDown
	case !ok:
		return oauth2.Token{}, oauth2.ErrInactive
	}
	return t, nil
}

func (k *world) VerifyHint(_ context.Context, raw string) (oauth2.Hint, error) {
	h, ok := k.hints[raw]
	if !ok {
		return oauth2.Hint{}, errors.New("signature not valid")
	}
	return h, nil
}

func (k *world) AllowOrigin(_ context.Context, origin string) bool {
	return origin == "https://shop.example"
}

func (k *world) JWKS() ([]byte, string, time.Duration) {
	return []byte(k.jwks), k.jwks, 15 * time.Minute
}

func (k *world) Algs() []string { return []string{"ES256", "RS256"} }

func (k *world) EncryptionAlgs() []string { return []string{"RSA-OAEP-256"} }

// UserinfoFor answers a client called signed with a JWT.
func (k *world) UserinfoFor(_ context.Context, c *oauth2.Client, claims map[string]any) (string, bool, error) {
	if c.ID != "signed" {
		return "", false, nil
	}
	b, err := json.Marshal(claims)
	return "h." + base64.RawURLEncoding.EncodeToString(b) + ".s", true, err
}

func (k *world) SignOut(_ context.Context, userID, session string) ([]string, error) {
	if k.down {
		return nil, errDown
	}
	k.ended = append(k.ended, userID+" "+session)
	k.signed = nil
	return k.reached, nil
}

func ana() *identity.User {
	return &identity.User{ID: "u1", Email: "ana@example.org", EmailVerified: true, UpdatedAt: noon, Profile: identity.Profile{
		Name: "Ana Example", GivenName: "Ana", FamilyName: "Example", MiddleName: "M", Nickname: "an", PreferredUsername: "ana",
		ProfileURL: "https://ana.example/", Picture: "https://ana.example/me.png", Website: "https://ana.example/blog", Gender: "female",
		Birthdate: "1990-02-03", Zoneinfo: "Europe/Zagreb", Locale: "hr-HR", PhoneNumber: "+385 1 2345", PhoneNumberVerified: true,
		Address: &identity.Address{Formatted: "Ilica 1\n10000 Zagreb", StreetAddress: "Ilica 1", Locality: "Zagreb", Region: "Zagreb", PostalCode: "10000", Country: "HR"},
	}}
}

func everyScope() []string {
	return []string{"openid", "profile", "email", "address", "phone", "offline_access"}
}

func newWorld() *world {
	token := func(scopes ...string) oauth2.Token {
		return oauth2.Token{Kind: "access", Audience: []string{issuer}, ClientID: "shop", Subject: "u1", Sub: "u1", Scopes: scopes, User: ana()}
	}
	refresh := token(everyScope()...)
	refresh.Kind = "refresh"
	bare := token(everyScope()...)
	bare.User = &identity.User{ID: "u2"}
	return &world{
		jwks: `{"keys":[]}`,
		clients: map[string]oauth2.Client{
			"shop": {ID: "shop", Name: "The Shop", ClientURI: "https://shop.example/", PostLogoutRedirectURIs: []string{"https://shop.example/bye", "https://shop.example/bye?a=b"}},
			"ours": {ID: "ours"},
			"back": {ID: "back", BackchannelLogoutURI: "https://back.example/out"},
			"tool": {ID: "tool", FrontchannelLogoutURI: "https://TOOL.example:8443/out?a=b"},
			"odd":  {ID: "odd", FrontchannelLogoutURI: "https://odd.example;script-src/out"},
		},
		tokens: map[string]oauth2.Token{
			"all": token(everyScope()...), "openid": token("openid"), "email": token("openid", "email"), "scopeless": token("email"),
			"refresh": refresh, "bare": bare,
			"machine": {Kind: "access", Audience: []string{issuer}, ClientID: "ops", Subject: "ops", Scopes: []string{"openid"}},
		},
		hints: map[string]oauth2.Hint{
			"this-session":  {Subject: "u1", ClientID: "shop", Session: "s1"},
			"older-session": {Subject: "u1", ClientID: "shop", Session: "s0"},
			"other-person":  {Subject: "u2", ClientID: "shop", Session: "s2"},
			"gone-client":   {Subject: "u1", ClientID: "gone", Session: "s1"},
		},
	}
}

func (k *world) config(tb testing.TB) Config {
	tb.Helper()
	pages, err := templates.New()
	if err != nil {
		tb.Fatal(err)
	}
	return Config{
		Issuer: issuer, Provider: k, Keys: k, SignOuts: k, Scopes: everyScope(), Pages: pages,
		SessionCookie: "gk_session",
	}
}

// road mounts the handler of cfg behind the real road.
func (k *world) road(t *testing.T, cfg Config) *web.Mux {
	t.Helper()
	u, err := url.Parse(cfg.Issuer)
	if err != nil {
		t.Fatal(err)
	}
	m, err := web.New(web.Config{
		Issuer: u, Pages: cfg.Pages, FormKey: [32]byte{1}, Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return noon },
		Session: func(_ http.ResponseWriter, r *http.Request) (context.Context, error) {
			if c, err := r.Cookie("__Host-gk_session"); k.signed != nil && err == nil && c.Value == "live" {
				return identity.NewContext(r.Context(), *k.signed, *ana()), nil
			}
			return r.Context(), nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	h, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	h.Routes(m)
	return m
}

func get(t *testing.T, h http.Handler, target string, header ...string) *httptest.ResponseRecorder {
	t.Helper()
	return send(t, h, http.MethodGet, target, "", header...)
}

func send(t *testing.T, h http.Handler, method, target, form string, header ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, target, strings.NewReader(form))
	if form != "" {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), string(got)); d != "" {
		t.Errorf("%s (-want +got):\n%s", name, d)
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(c *Config){
		"a slash at the end of the issuer": func(c *Config) { c.Issuer += "/" },
		"an issuer with a query":           func(c *Config) { c.Issuer += "?x" },
		"an issuer that is a path":         func(c *Config) { c.Issuer = "/id" },
		"no provider":                      func(c *Config) { c.Provider = nil },
		"no keys":                          func(c *Config) { c.Keys = nil },
		"nobody who signs out":             func(c *Config) { c.SignOuts = nil },
		"no pages":                         func(c *Config) { c.Pages = nil },
		"no scopes":                        func(c *Config) { c.Scopes = nil },
		"no cookie":                        func(c *Config) { c.SessionCookie = "" },
	} {
		cfg := newWorld().config(t)
		change(&cfg)
		if _, err := New(cfg); err == nil {
			t.Errorf("%s: not refused", name)
		}
	}
}

// SessionFor is the identity: the applications of this world are not pairwise.
func (k *world) SessionFor(_ context.Context, _ *oauth2.Client, session string) (string, error) {
	return session, nil
}
