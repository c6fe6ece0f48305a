package main

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/gatekeeper-oidc/gatekeeper/admin"
	"github.com/gatekeeper-oidc/gatekeeper/conformance"
	"github.com/gatekeeper-oidc/gatekeeper/internal/config"
	"github.com/gatekeeper-oidc/gatekeeper/oauth2"
)

// The benchmarks drive the whole public handler over a real store. Besides time
// and allocations they report trips/op: statements sent to the database, which do
// not depend on the machine's mood. TestRoundTrips holds them to their bars.

const benchRedirect = "http://127.0.0.1:9/cb"

// A rig is a running program without sockets, and an application that uses it.
type rig struct {
	tb      testing.TB
	p       *program
	handler http.Handler
	secrets map[string]string
	cookies []*http.Cookie
	proof   string
}

// stores are the databases a benchmark runs on.
func stores(tb testing.TB) map[string]func() string {
	tb.Helper()
	all := map[string]func() string{
		"sqlite": func() string { return "sqlite:" + filepath.Join(tb.TempDir(), "gatekeeper.db") },
	}
	if os.Getenv(conformance.PostgresURL) != "" {
		all["postgres"] = func() string { return conformance.Postgres(tb, os.Getenv) }
	}
	return all
}

func newRig(tb testing.TB, database string) *rig {
	tb.Helper()
	w := world{Now: time.Now, Stderr: &strings.Builder{}}
	cfg, err := config.Load(config.Input{
		Environ: []string{
			"GATEKEEPER_DATABASE_URL=" + database, "GATEKEEPER_DATA_DIR=" + tb.TempDir(), "GATEKEEPER_ISSUER=http://localhost:8080",
			"GATEKEEPER_SECRET=a-root-secret-for-tests-that-is-long-enough", "GATEKEEPER_RATE_LIMIT_FACTOR=1000000", "GATEKEEPER_LOG_LEVEL=error",
		},
		Dir: tb.TempDir(), ReadFile: os.ReadFile, Stat: os.Stat,
	})
	if err != nil {
		tb.Fatal(err)
	}
	p, err := wire(tb.Context(), cfg, w)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = p.Close() })
	handler, err := p.public(nil, p.health())
	if err != nil {
		tb.Fatal(err)
	}
	r := &rig{tb: tb, p: p, handler: handler, secrets: map[string]string{}, proof: "a-verifier-that-has-more-than-forty-three-characters"}
	r.register()
	r.signIn()
	return r
}

func (r *rig) register() {
	r.tb.Helper()
	ctx := admin.NewContext(r.tb.Context(), "test")
	for _, c := range []oauth2.Client{
		{ID: "web", Type: oauth2.Web, RedirectURIs: []string{benchRedirect}, FirstParty: true},
		{ID: "cc", Type: oauth2.Machine, Scopes: []string{"api"}},
		{ID: "opaque", Type: oauth2.Machine, Scopes: []string{"api"}, AccessToken: "opaque"},
		{ID: "rs", Type: oauth2.Machine, Scopes: []string{}, IntrospectAny: true},
	} {
		made, err := r.p.API.CreateClient(ctx, admin.ClientInput{Client: c})
		if err != nil {
			r.tb.Fatal(err)
		}
		r.secrets[c.ID] = made.Secret
	}
	if _, err := r.p.API.CreateUser(ctx, admin.UserInput{Email: "ana@example.org", Password: "correct horse battery staple"}); err != nil {
		r.tb.Fatal(err)
	}
}

func (r *rig) do(req *http.Request) *httptest.ResponseRecorder {
	for _, c := range r.cookies {
		req.AddCookie(c)
	}
	w := httptest.NewRecorder()
	r.handler.ServeHTTP(w, req)
	return w
}

func (r *rig) get(target string) *httptest.ResponseRecorder {
	return r.do(httptest.NewRequestWithContext(r.tb.Context(), http.MethodGet, "http://localhost:8080"+target, nil))
}

func (r *rig) post(path, client string, form url.Values) *httptest.ResponseRecorder {
	req := httptest.NewRequestWithContext(r.tb.Context(), http.MethodPost, "http://localhost:8080"+path, strings.NewReader(form.Encode()))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if client != "" {
		req.SetBasicAuth(client, r.secrets[client])
	}
	return r.do(req)
}

var hidden = regexp.MustCompile(`name="(csrf|i)" value="([^"]+)"`)

func (r *rig) signIn() {
	r.tb.Helper()
	first := r.get(r.authorizeURL())
	r.cookies = first.Result().Cookies()
	page := r.get(first.Header().Get("Location"))
	form := url.Values{"login": {"ana@example.org"}, "password": {"correct horse battery staple"}}
	for _, m := range hidden.FindAllStringSubmatch(page.Body.String(), -1) {
		form.Set(m[1], m[2])
	}
	done := r.post("/login", "", form)
	r.cookies = append(r.cookies, done.Result().Cookies()...)
	if done.Code != http.StatusSeeOther {
		r.tb.Fatalf("sign-in answered %d %s", done.Code, done.Body)
	}
}

func (r *rig) authorizeURL() string {
	sum := sha256.Sum256([]byte(r.proof))
	return "/oauth2/authorize?" + url.Values{
		"client_id": {"web"}, "redirect_uri": {benchRedirect}, "response_type": {"code"}, "scope": {"openid email offline_access"},
		"state": {"s"}, "nonce": {"n"}, "code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"},
	}.Encode()
}

func (r *rig) code() string {
	r.tb.Helper()
	w := r.get(r.authorizeURL())
	to, err := url.Parse(w.Header().Get("Location"))
	if err != nil || to.Query().Get("code") == "" {
		r.tb.Fatalf("authorize answered %d %s %s", w.Code, w.Header().Get("Location"), w.Body)
	}
	return to.Query().Get("code")
}

type benchTokens struct {
	Access  string `json:"access_token"`
	Refresh string `json:"refresh_token"`
}

func (r *rig) tokens(w *httptest.ResponseRecorder) benchTokens {
	r.tb.Helper()
	var t benchTokens
	if err := json.Unmarshal(w.Body.Bytes(), &t); err != nil || w.Code != http.StatusOK || t.Access == "" {
		r.tb.Fatalf("token endpoint answered %d %s", w.Code, w.Body)
	}
	return t
}

func (r *rig) redeem(code string) benchTokens {
	return r.tokens(r.post("/oauth2/token", "web", url.Values{
		"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {benchRedirect}, "code_verifier": {r.proof},
	}))
}

func (r *rig) refresh(token string) benchTokens {
	return r.tokens(r.post("/oauth2/token", "web", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}}))
}

func (r *rig) clientCredentials(client string) benchTokens {
	return r.tokens(r.post("/oauth2/token", client, url.Values{"grant_type": {"client_credentials"}, "scope": {"api"}}))
}

func (r *rig) ok(w *httptest.ResponseRecorder, has string) {
	if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), has) {
		r.tb.Fatalf("answered %d %s, want %s in it", w.Code, w.Body, has)
	}
}

func (r *rig) userinfo(token string) *httptest.ResponseRecorder {
	req := httptest.NewRequestWithContext(r.tb.Context(), http.MethodGet, "http://localhost:8080/oidc/userinfo", nil)
	req.Header.Set("Authorization", "Bearer "+token)
	return r.do(req)
}

// An operation is one thing the product does, prepared so that each call of the
// function it returns does it once. most is the bar for store round trips.
type operation struct {
	name    string
	most    float64
	prepare func(r *rig) func()
}

// operations are what issue after issue must not make dearer.
func operations() []operation {
	return []operation{
		{"discovery", 0, func(r *rig) func() { return func() { r.ok(r.get("/.well-known/openid-configuration"), "issuer") } }},
		{"jwks", 0, func(r *rig) func() { return func() { r.ok(r.get("/oidc/jwks"), "keys") } }},
		{"silent authorize", 1, func(r *rig) func() { return func() { r.code() } }}, // the session is read
		{"authorize and exchange", 2, func(r *rig) func() { return func() { r.redeem(r.code()) } }},
		{"refresh", 2, func(r *rig) func() {
			t := r.redeem(r.code())
			return func() { t = r.refresh(t.Refresh) }
		}},
		{"client credentials RS256", 0, func(r *rig) func() { return func() { r.clientCredentials("cc") } }},
		{"client credentials opaque", 0, func(r *rig) func() { return func() { r.clientCredentials("opaque") } }},
		{"introspection active", 0, func(r *rig) func() {
			t := r.redeem(r.code())
			return func() { r.ok(r.post("/oauth2/introspect", "rs", url.Values{"token": {t.Access}}), `"active":true`) }
		}},
		{"introspection inactive", 0, func(r *rig) func() {
			return func() { r.ok(r.post("/oauth2/introspect", "rs", url.Values{"token": {"a.b.c"}}), `"active":false`) }
		}},
		{"userinfo", 0, func(r *rig) func() {
			t := r.redeem(r.code())
			return func() { r.ok(r.userinfo(t.Access), "sub") }
		}},
		{"revocation", 3, func(r *rig) func() { // mint, look, revoke
			return func() {
				t := r.clientCredentials("opaque")
				r.ok(r.post("/oauth2/revoke", "opaque", url.Values{"token": {t.Access}}), "")
			}
		}},
	}
}

func BenchmarkOperations(b *testing.B) {
	for name, database := range stores(b) {
		b.Run(name, func(b *testing.B) {
			r := newRig(b, database())
			for _, op := range operations() {
				b.Run(op.name, func(b *testing.B) {
					r.tb = b
					once := op.prepare(r)
					once()
					b.ReportAllocs()
					before := r.p.DB.Trips()
					b.ResetTimer()
					n := 0
					for b.Loop() {
						once()
						n++
					}
					b.ReportMetric(float64(r.p.DB.Trips()-before)/float64(n), "trips/op")
				})
			}
		})
	}
}

// TestRoundTrips holds every operation to its bar, averaged over enough of them
// that what a cache reads again every few seconds does not show.
func TestRoundTrips(t *testing.T) {
	for name, database := range stores(t) {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, database())
			for _, op := range operations() {
				r.tb = t
				once := op.prepare(r)
				once()
				const times = 40
				before := r.p.DB.Trips()
				for range times {
					once()
				}
				if got := float64(r.p.DB.Trips()-before) / times; got > op.most+0.3 {
					t.Errorf("%s costs %.2f round trips, want at most %.0f", op.name, got, op.most)
				}
			}
		})
	}
}
