package introspect

import (
	"bytes"
	"context"
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

// world is a provider that knows a few clients, by their names alone, and tokens.
type world struct {
	clients map[string]oauth2.Client
	tokens  map[string]oauth2.Token
}

// IntrospectionFor answers with the claims as they are, between two dots.
func (k *world) IntrospectionFor(_ context.Context, c *oauth2.Client, answer any) (string, error) {
	b, err := json.Marshal(answer)
	return c.ID + "." + string(b) + ".", err
}

func (k *world) AuthenticateClient(_ *http.Request, form url.Values) (oauth2.Client, error) {
	c, ok := k.clients[form.Get("client_id")]
	if !ok {
		return oauth2.Client{}, &fault.Error{Kind: fault.Unauthenticated, Code: "invalid_client"}
	}
	return c, nil
}

func (k *world) Inspect(_ context.Context, token string) (oauth2.Token, error) {
	if token == "down" {
		return oauth2.Token{}, fault.Down("store", errors.New("no answer"))
	}
	t, ok := k.tokens[token]
	if !ok {
		return oauth2.Token{}, oauth2.ErrInactive
	}
	return t, nil
}

func ana() oauth2.Token {
	return oauth2.Token{
		Kind: "access", JTI: "j1", ClientID: "shop", Subject: "u1", Sub: "u1", Session: "s1", Grant: "g1",
		Scopes: []string{"openid", "profile", "email"}, Audience: []string{issuer, "https://orders.example", "warehouse"},
		AuthTime: noon.Add(-time.Minute), AMR: []string{"pwd"}, ACR: identity.ACRSingle, IssuedAt: noon, ExpiresAt: noon.Add(15 * time.Minute),
		User: &identity.User{ID: "u1", Email: "ana@example.org", Roles: []string{"buyer"}, Profile: identity.Profile{PreferredUsername: "ana"}},
	}
}

func newWorld() *world {
	refresh := ana()
	refresh.Kind, refresh.JTI, refresh.ExpiresAt = "refresh", "", noon.Add(7*24*time.Hour)
	refresh.IssuedAt = time.Time{} // not known of a rotated one
	plain := ana()
	plain.Scopes, plain.User = []string{"openid"}, &identity.User{ID: "u1", Email: "ana@example.org"}
	strong := ana()
	strong.AMR, strong.ACR, strong.Scopes = []string{"pwd", "otp"}, identity.ACRMulti, []string{"openid", "email"}
	return &world{
		clients: map[string]oauth2.Client{
			"shop":      {ID: "shop", Type: oauth2.Web, AuthMethod: oauth2.AuthBasic},
			"stranger":  {ID: "stranger", Type: oauth2.Web, AuthMethod: oauth2.AuthBasic, Audience: []string{"https://orders.example"}},
			"warehouse": {ID: "warehouse", Type: oauth2.Web, AuthMethod: oauth2.AuthBasic},
			"orders":    {ID: "orders", Type: oauth2.Machine, AuthMethod: oauth2.AuthBasic, Audience: []string{"https://orders.example"}},
			"other":     {ID: "other", Type: oauth2.Machine, AuthMethod: oauth2.AuthBasic, Audience: []string{"https://other.example"}},
			"operator":  {ID: "operator", Type: oauth2.Machine, AuthMethod: oauth2.AuthBasic, Audience: []string{issuer}},
			"gateway":   {ID: "gateway", Type: oauth2.Machine, AuthMethod: oauth2.AuthPrivateKey, IntrospectAny: true},
			"board":     {ID: "board", Type: oauth2.SPA, AuthMethod: oauth2.AuthNone},
		},
		tokens: map[string]oauth2.Token{
			"ana": ana(), "refresh": refresh, "plain": plain, "strong": strong,
			"machine": {
				Kind: "access", JTI: "j2", ClientID: "orders", Subject: "orders", Sub: "orders", Scopes: []string{"read"}, Audience: []string{"https://other.example"},
				IssuedAt: noon, ExpiresAt: noon.Add(15 * time.Minute),
			},
		},
	}
}

func handler(t *testing.T, k *world) http.Handler {
	t.Helper()
	u, err := url.Parse(issuer)
	if err != nil {
		t.Fatal(err)
	}
	pages, err := templates.New()
	if err != nil {
		t.Fatal(err)
	}
	m, err := web.New(web.Config{Issuer: u, Pages: pages, FormKey: [32]byte{1}, Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return noon }})
	if err != nil {
		t.Fatal(err)
	}
	(&Handler{Clients: k, Inspector: &Inspector{Issuer: issuer, Tokens: k}}).Routes(m)
	return m
}

func post(t *testing.T, h http.Handler, body string, headers ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, issuer+"/oauth2/introspect", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestWhoMayKnow(t *testing.T) {
	t.Parallel()
	h := handler(t, newWorld())
	for _, tt := range []struct {
		name, caller, token string
		active              bool
	}{
		{"the client it was issued to", "shop", "ana", true},
		{"a client named in its audience", "warehouse", "ana", true},
		{"a machine that answers for its audience", "orders", "ana", true},
		{"a web client with the same audience", "stranger", "ana", false},
		{"a machine that answers for another audience", "other", "ana", false},
		{"a machine whose own tokens are for the issuer", "operator", "ana", false},
		{"a gateway that may ask about all", "gateway", "ana", true},
		{"a refresh token by its client", "shop", "refresh", true},
		{"a refresh token by an audience", "warehouse", "refresh", false},
		{"a refresh token by a machine of its audience", "orders", "refresh", false},
		{"a refresh token by the gateway", "gateway", "refresh", false},
		{"a machine's token by the machine", "orders", "machine", true},
		{"a machine's token by its audience", "other", "machine", true},
		{"a dead token", "shop", "nonsense", false},
		{"a dead token by the gateway", "gateway", "nonsense", false},
		{"a token too long to be one", "shop", strings.Repeat("x", 17<<10), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := post(t, h, url.Values{"client_id": {tt.caller}, "token": {tt.token}, "token_type_hint": {"refresh_token"}}.Encode())
			got := strings.TrimSpace(w.Body.String())
			if w.Code != http.StatusOK || w.Header().Get("Cache-Control") != "no-store" {
				t.Fatalf("%d %v %s", w.Code, w.Header(), got)
			}
			if !tt.active && got != `{"active":false}` {
				t.Errorf("got %s, want nothing but inactive", got)
			}
			if tt.active && !strings.HasPrefix(got, `{"active":true,`) {
				t.Errorf("got %s, want active", got)
			}
		})
	}
}

func TestWhatAnAnswerSays(t *testing.T) {
	t.Parallel()
	h := handler(t, newWorld())
	for caller, tokens := range map[string][]string{"shop": {"ana", "refresh", "plain", "strong"}, "orders": {"machine"}} {
		for _, token := range tokens {
			t.Run(token, func(t *testing.T) {
				t.Parallel()
				w := post(t, h, url.Values{"client_id": {caller}, "token": {token}}.Encode())
				var b bytes.Buffer
				if err := json.Indent(&b, w.Body.Bytes(), "", "  "); err != nil {
					t.Fatal(err)
				}
				golden(t, token+".golden.json", b.Bytes())
			})
		}
	}
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
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

func TestRefused(t *testing.T) {
	t.Parallel()
	h := handler(t, newWorld())
	for _, tt := range []struct {
		name, body string
		status     int
		code       string
	}{
		{"nobody", "token=ana", 401, "invalid_client"},
		{"unknown client", "client_id=nobody&token=ana", 401, "invalid_client"},
		{"public client", "client_id=board&token=ana", 401, "invalid_client"},
		{"no token", "client_id=shop", 400, "invalid_request"},
		{"two tokens", "client_id=shop&token=ana&token=ana", 400, "invalid_request"},
		{"store down is not inactive", "client_id=shop&token=down", 503, "temporarily_unavailable"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := post(t, h, tt.body)
			if w.Code != tt.status || !strings.Contains(w.Body.String(), `"error":"`+tt.code+`"`) || strings.Contains(w.Body.String(), "active") {
				t.Errorf("got %d %s", w.Code, w.Body)
			}
			if tt.status == 503 && w.Header().Get("Retry-After") == "" {
				t.Error("503 without Retry-After")
			}
		})
	}
	t.Run("GET", func(t *testing.T) {
		t.Parallel()
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, issuer+"/oauth2/introspect?token=ana&client_id=shop", nil))
		if w.Code != http.StatusMethodNotAllowed {
			t.Errorf("got %d", w.Code)
		}
	})
	t.Run("a browser may not read it", func(t *testing.T) {
		t.Parallel()
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, issuer+"/oauth2/introspect", strings.NewReader("client_id=shop&token=ana"))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Origin", "https://shop.example")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if got := w.Header().Get("Access-Control-Allow-Origin"); got != "" {
			t.Errorf("allowed origin %q", got)
		}
	})
}

// TestSignedAnswers: who asks for a JWT gets one, and nobody else (RFC 9701
// section 4).
func TestSignedAnswers(t *testing.T) {
	t.Parallel()
	h := handler(t, newWorld())
	for accept, signed := range map[string]bool{
		"application/token-introspection+jwt":                         true,
		"application/json, Application/Token-Introspection+JWT;q=0.5": true,
		"application/json": false,
		"*/*":              false,
		"application/token-introspection+jwt-and-something-else": false,
		"": false,
	} {
		w := post(t, h, url.Values{"client_id": {"shop"}, "token": {"ana"}}.Encode(), "Accept", accept)
		kind, body := w.Header().Get("Content-Type"), w.Body.String()
		if w.Code != http.StatusOK || w.Header().Get("Cache-Control") != "no-store" {
			t.Fatalf("%q: %d %v", accept, w.Code, w.Header())
		}
		if signed != (kind == "application/token-introspection+jwt" && strings.HasPrefix(body, `shop.{"active":true`)) ||
			signed == (kind == "application/json" && strings.HasPrefix(body, `{"active":true`)) {
			t.Errorf("%q: %s %s", accept, kind, body)
		}
	}
	w := post(t, h, url.Values{"client_id": {"shop"}, "token": {"garbage"}}.Encode(), "Accept", "application/token-introspection+jwt")
	if w.Body.String() != `shop.{"active":false}.` {
		t.Errorf("an inactive token: %s", w.Body)
	}
}
