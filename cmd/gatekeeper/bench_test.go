package main

import (
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatekeeper-oidc/gatekeeper/admin"
	"github.com/gatekeeper-oidc/gatekeeper/conformance"
	"github.com/gatekeeper-oidc/gatekeeper/internal/config"
	"github.com/gatekeeper-oidc/gatekeeper/keys"
	"github.com/gatekeeper-oidc/gatekeeper/oauth2"
)

// The benchmarks drive the whole public handler over a real store. Besides time
// and allocations (those of the test's own request among them) they report
// trips/op: how often the database is waited for, which does not depend on the
// machine's mood. TestRoundTrips holds them to their bars.

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
	return r.do(r.form(path, client, form))
}

// form is a request that posts form as client, or as nobody.
func (r *rig) form(path, client string, form url.Values) *http.Request {
	req := httptest.NewRequestWithContext(r.tb.Context(), http.MethodPost, "http://localhost:8080"+path, strings.NewReader(form.Encode()))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if client != "" {
		req.SetBasicAuth(client, r.secrets[client])
	}
	return req
}

var hidden = regexp.MustCompile(`name="(csrf|i)" value="([^"]+)"`)

func (r *rig) signIn() {
	r.tb.Helper()
	r.cookies = nil
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

// An operation is one thing the product does. most is the bar for its round trips
// to the store, whichever it is.
type operation struct {
	name    string
	most    float64
	prepare func(r *rig) action
}

// An action is an operation ready to be done again and again. before, if any,
// makes what the next time uses up; it is not measured.
type action struct{ before, do func() }

// operations are what issue after issue must not make dearer.
func operations() []operation {
	return []operation{
		{"discovery", 0, repeat(func(r *rig) { r.ok(r.get("/.well-known/openid-configuration"), "issuer") })},
		{"jwks", 0, repeat(func(r *rig) { r.ok(r.get("/oidc/jwks"), "keys") })},
		{"silent authorize", 1, repeat(func(r *rig) { r.code() })}, // the session is read
		// The request is stored; its page reads it; the form reads it, the account and its sessions, writes two events, a
		// session and who signed in, in two transactions; the end reads both and spends the request.
		{"sign-in by password", 21, repeat((*rig).signIn)},
		{"code exchange", 1, func(r *rig) action {
			var code string
			return action{func() { code = r.code() }, func() { r.redeem(code) }}
		}},
		{"refresh", 2, func(r *rig) action {
			t := r.redeem(r.code())
			return action{do: func() { t = r.refresh(t.Refresh) }}
		}},
		{"client credentials RS256", 0, repeat(func(r *rig) { r.clientCredentials("cc") })},
		{"client credentials opaque", 0, repeat(func(r *rig) { r.clientCredentials("opaque") })},
		{"introspection active", 0, func(r *rig) action { return r.introspection(r.redeem(r.code()).Access, true) }},
		{"introspection active opaque", 0, func(r *rig) action { return r.introspection(r.clientCredentials("opaque").Access, true) }},
		{"introspection inactive", 0, func(r *rig) action { return r.introspection("a.b.c", false) }},
		{"userinfo", 0, func(r *rig) action {
			t := r.redeem(r.code())
			return action{do: func() { r.ok(r.userinfo(t.Access), "sub") }}
		}},
		{"revocation", 1, func(r *rig) action {
			var token string
			return action{
				func() { token = r.clientCredentials("opaque").Access },
				func() { r.ok(r.post("/oauth2/revoke", "opaque", url.Values{"token": {token}}), "") },
			}
		}},
	}
}

// repeat is an action that needs nothing prepared.
func repeat(do func(r *rig)) func(r *rig) action {
	return func(r *rig) action { return action{do: func() { do(r) }} }
}

func (r *rig) introspection(token string, active bool) action {
	want := fmt.Sprintf(`"active":%t`, active)
	return action{do: func() { r.ok(r.post("/oauth2/introspect", "rs", url.Values{"token": {token}}), want) }}
}

// trips does a once and returns the round trips it took.
func (r *rig) trips(a action) uint64 {
	if a.before != nil {
		a.before()
	}
	before := r.p.DB.Trips()
	a.do()
	return r.p.DB.Trips() - before
}

func BenchmarkOperations(b *testing.B) {
	for name, database := range stores(b) {
		b.Run(name, func(b *testing.B) {
			r := newRig(b, database())
			for _, op := range append(operations(), requestOperations()...) {
				b.Run(op.name, func(b *testing.B) {
					r.tb = b
					a := op.prepare(r)
					r.trips(a)
					b.ReportAllocs()
					trips := uint64(0)
					for b.Loop() {
						if a.before != nil {
							b.StopTimer()
							a.before()
							b.StartTimer()
						}
						before := r.p.DB.Trips()
						a.do()
						trips += r.p.DB.Trips() - before
					}
					b.ReportMetric(float64(trips)/float64(b.N), "trips/op")
				})
			}
		})
	}
}

// BenchmarkRS256 holds client credentials against what they cannot go below: one
// signature by the same signer, made by the same goroutine a moment before. The
// bar for their quotient, of the medians, is 1.15.
func BenchmarkRS256(b *testing.B) {
	r := newRig(b, stores(b)["sqlite"]())
	signer, _, err := keys.DefaultSource().Generate(b.Context(), keys.RS256)
	if err != nil {
		b.Fatal(err)
	}
	digest := sha256.Sum256([]byte(r.proof))
	var bare, whole []time.Duration
	for b.Loop() {
		req, w := r.form("/oauth2/token", "cc", url.Values{"grant_type": {"client_credentials"}, "scope": {"api"}}), httptest.NewRecorder()
		start := time.Now()
		if _, err := signer.Sign(rand.Reader, digest[:], crypto.SHA256); err != nil {
			b.Fatal(err)
		}
		signed := time.Now()
		r.handler.ServeHTTP(w, req)
		bare, whole = append(bare, signed.Sub(start)), append(whole, time.Since(signed))
		r.tokens(w)
	}
	b.ReportMetric(float64(median(whole))/float64(median(bare)), "signatures/op")
	b.ReportMetric(float64(median(whole)), "ns/op")
	b.ReportMetric(float64(median(bare)), "ns/signature")
}

func median(d []time.Duration) time.Duration {
	slices.Sort(d)
	return d[len(d)/2]
}

// TestRoundTrips holds every operation to its bar, averaged over enough of them
// that what a cache reads again every few seconds does not show.
func TestRoundTrips(t *testing.T) {
	for name, database := range stores(t) {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, database())
			for _, op := range append(operations(), requestOperations()...) {
				r.tb = t
				a := op.prepare(r)
				r.trips(a)
				const times = 40
				trips := uint64(0)
				for range times {
					trips += r.trips(a)
				}
				if got := float64(trips) / times; got > op.most+0.3 {
					t.Errorf("%s costs %.2f round trips, want at most %.0f", op.name, got, op.most)
				}
			}
		})
	}
}

// TestKeysCostNoMemoryToServe turns every signing key, so that two of each are published, and counts what serving it, and
// the discovery document beside it, allocates.
func TestKeysCostNoMemoryToServe(t *testing.T) { //nolint:paralleltest // AllocsPerRun counts the whole process
	r := newRig(t, stores(t)["sqlite"]())
	serve := func(path string) (allocations float64, size int) {
		req := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://localhost:8080"+path, nil)
		w := httptest.NewRecorder()
		w.Body.Grow(64 << 10)
		allocations = testing.AllocsPerRun(100, func() {
			w.Body.Reset()
			r.handler.ServeHTTP(w, req)
		})
		return allocations, w.Body.Len()
	}
	set, small := serve("/oidc/jwks")
	discovery, _ := serve("/.well-known/openid-configuration")
	if _, err := r.p.ring.Rotate(t.Context(), "", false); err != nil {
		t.Fatal(err)
	}
	setAfter, large := serve("/oidc/jwks")
	discoveryAfter, _ := serve("/.well-known/openid-configuration")
	if large < small*3/2 { // keys to encrypt to are published one at a time
		t.Errorf("the key set has %d bytes, then %d: it did not grow", small, large)
	}
	if setAfter > set || discoveryAfter > discovery {
		t.Errorf("allocations with more keys: key set %v, then %v; discovery %v, then %v", set, setAfter, discovery, discoveryAfter)
	}
}
