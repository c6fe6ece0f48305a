package web

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"flag"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
	"github.com/gatekeeper-oidc/gatekeeper/internal/flight"
	"github.com/gatekeeper-oidc/gatekeeper/templates"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// A bench is a Mux and what it wrote down.
type bench struct {
	*Mux
	log     lockedBuffer
	mu      sync.Mutex
	refused []Refusal
}

// A lockedBuffer may be written by many requests.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// lines decodes the log.
func (b *lockedBuffer) lines(t *testing.T) []map[string]any {
	t.Helper()
	var out []map[string]any
	for l := range strings.Lines(b.String()) {
		var m map[string]any
		if err := json.Unmarshal([]byte(l), &m); err != nil {
			t.Fatalf("log line %q: %v", l, err)
		}
		out = append(out, m)
	}
	return out
}

func newBench(tb testing.TB, edit ...func(*Config)) *bench {
	tb.Helper()
	pages, err := templates.New()
	if err != nil {
		tb.Fatal(err)
	}
	issuer, err := url.Parse("https://id.example")
	if err != nil {
		tb.Fatal(err)
	}
	b := &bench{}
	cfg := Config{
		Issuer: issuer, TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")},
		FormKey: [32]byte{1}, Pages: pages, Now: noon,
		Log: slog.New(slog.NewJSONHandler(&b.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Refused: func(_ context.Context, r Refusal) {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.refused = append(b.refused, r)
		},
	}
	for _, e := range edit {
		e(&cfg)
	}
	if b.Mux, err = New(cfg); err != nil {
		tb.Fatal(err)
	}
	return b
}

// noon is the time of every test.
func noon() time.Time { return time.Unix(1_700_000_000, 0) }

func (b *bench) do(r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	b.ServeHTTP(w, r)
	return w
}

func (b *bench) get(target string, headers ...string) *httptest.ResponseRecorder {
	return b.do(request(http.MethodGet, target, "", headers...))
}

// request builds one to https://id.example unless target says otherwise; headers
// are name, value pairs.
func request(method, target, body string, headers ...string) *http.Request {
	if strings.HasPrefix(target, "/") {
		target = "https://id.example" + target
	}
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	if body != "" {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	return r
}

func fine(w http.ResponseWriter, _ *http.Request) error {
	w.WriteHeader(http.StatusOK)
	return nil
}

func failing(err error) Handler {
	return func(http.ResponseWriter, *http.Request) error { return err }
}

func decoded(t *testing.T, w *httptest.ResponseRecorder) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &m); err != nil {
		t.Fatalf("body %q: %v", w.Body, err)
	}
	return m
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

func TestNewAsksForWhatItNeeds(t *testing.T) {
	t.Parallel()
	if _, err := New(Config{}); err == nil {
		t.Error("a road without an issuer was built")
	}
	log, issuer := slog.New(slog.DiscardHandler), &url.URL{Scheme: "https", Host: "id.example"}
	if _, err := New(Config{Issuer: issuer, Log: log, Now: noon, Pages: new(templates.Set)}); err == nil {
		t.Error("a road for pages without a form key was built")
	}
	if _, err := New(Config{Issuer: issuer, Log: log, Now: noon, Internal: true}); err != nil {
		t.Errorf("an internal road needs neither pages nor a form key: %v", err)
	}
}

func TestRoadOrder(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(c *Config) {
		c.Session = func(_ http.ResponseWriter, r *http.Request) (context.Context, error) { return r.Context(), nil }
	})
	tests := []struct {
		name string
		rt   *route
		want string
	}{
		{"page", &route{to: people, formToken: true}, "headers gate door recover host scheme budget limits origin session form token"},
		{"cross-site page", &route{to: people}, "headers gate door recover host scheme budget limits session"},
		{"oauth", &route{to: applications, cors: AnyOrigin}, "headers gate door recover host scheme budget cors limits"},
		{"api", &route{to: operators}, "headers gate door recover host scheme budget limits"},
		{"static", &route{to: files}, "headers files door recover host scheme limits"},
		{"probe", &route{to: probes}, "headers door recover budget"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var names []string
			for _, l := range b.road() {
				if l.on(tt.rt) {
					names = append(names, l.name)
				}
			}
			if got := strings.Join(names, " "); got != tt.want {
				t.Errorf("road\n got %s\nwant %s", got, tt.want)
			}
		})
	}
}

// The order must hold when walked, not only when listed.
func TestARequestMeetsTheFirstCheckThatRefusesIt(t *testing.T) {
	t.Parallel()
	session := 0
	b := newBench(t, func(c *Config) {
		c.Session = func(_ http.ResponseWriter, r *http.Request) (context.Context, error) {
			session++
			return r.Context(), nil
		}
	})
	b.Page("POST /form", fine)
	// Wrong in every way: host, scheme, size, origin and token.
	wrong := []string{"Sec-Fetch-Site", "cross-site", "Content-Encoding", "gzip"}
	steps := []struct {
		name   string
		target string
		header []string
		rule   string
	}{
		{"host before scheme", "http://evil.example/form", wrong, "host_allowed"},
		{"scheme before limits", "http://id.example/form", wrong, "https_required"},
		{"limits before origin", "/form", wrong, "no_content_encoding"},
		{"origin before session", "/form", wrong[:2], "same_origin"},
		{"form token last", "/form", nil, "form_token"},
	}
	for _, s := range steps {
		w := b.do(request(http.MethodPost, s.target, "a=1", s.header...))
		if w.Code < 400 || w.Header().Get("Content-Security-Policy") == "" {
			t.Errorf("%s: status %d, policy %q", s.name, w.Code, w.Header().Get("Content-Security-Policy"))
		}
		if got := b.refused[len(b.refused)-1].Fault.Rule; got != s.rule {
			t.Errorf("%s: rule %s, want %s", s.name, got, s.rule)
		}
	}
	if session != 1 {
		t.Errorf("the session was read %d times, want once, for the last request", session)
	}
}

func TestHeaders(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.Page("GET /page", fine)
	b.Page("GET /own", fine, OwnForms)
	b.CrossSitePage("GET /cross", fine)
	b.API("GET /api", fine)
	b.OAuth("GET /oauth", fine, nil)
	b.Resource("GET /resource", fine, AnyOrigin)
	b.Static("GET /static", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) }))
	b.Framed("GET /framed", fine)
	b.Probe("GET /probe", fine)
	var out strings.Builder
	for _, path := range []string{"/page", "/own", "/cross", "/api", "/oauth", "/resource", "/static", "/framed", "/probe", "/nowhere"} {
		w := b.get(path, "X-Correlation-ID", "fixed")
		out.WriteString("GET " + path + "\n")
		var lines []string
		for name, values := range w.Header() {
			for _, v := range values {
				lines = append(lines, "  "+name+": "+v+"\n")
			}
		}
		slices.Sort(lines)
		if path == "/nowhere" { // its length follows the words
			lines = slices.DeleteFunc(lines, func(l string) bool { return strings.HasPrefix(l, "  Content-Length") })
		}
		out.WriteString(strings.Join(lines, "") + "\n")
	}
	golden(t, "headers.golden", out.String())
}

// A promise for localhost would bind every other program of the computer, at
// whatever port, for two years.
func TestHSTSOnlyWhenTheIssuerIsHTTPSAndElsewhere(t *testing.T) {
	t.Parallel()
	for _, issuer := range []string{"http://localhost:8080", "https://localhost:8443", "https://id.localhost:8443"} {
		u, err := url.Parse(issuer)
		if err != nil {
			t.Fatal(err)
		}
		b := newBench(t, func(c *Config) { c.Issuer, c.Dev = u, true })
		b.Page("GET /page", fine)
		if got := b.get(issuer + "/page").Header().Get("Strict-Transport-Security"); got != "" {
			t.Errorf("%s promised https: %q", issuer, got)
		}
	}
}

func plainIssuer(c *Config) { c.Issuer = &url.URL{Scheme: "http", Host: "localhost:8080"} }

func TestHost(t *testing.T) {
	t.Parallel()
	internal := func(c *Config) { c.Internal = true }
	dev := func(c *Config) { plainIssuer(c); c.Dev = true }
	tests := []struct {
		name string
		edit func(*Config)
		host string
		ok   bool
	}{
		{"the issuer's", nil, "id.example", true},
		{"the issuer's in capitals with a dot", nil, "ID.Example.", true},
		{"the issuer's with a port a proxy added", nil, "id.example:8443", true},
		{"an allowed one", func(c *Config) { c.AllowedHosts = []string{"login.example"} }, "login.example", true},
		{"a stranger's", nil, "evil.example", false},
		{"a subdomain", nil, "a.id.example", false},
		{"none", nil, "", false},
		{"loopback in production", nil, "localhost", false},
		{"loopback address in development", dev, "127.0.0.1:8080", true},
		{"IPv6 loopback in development", dev, "[::1]:8080", true},
		{"another address in development", dev, "192.0.2.1:8080", false},
		{"a localhost subdomain in development", dev, "app.localhost:8080", true},
		{"an address on the internal listener", internal, "10.1.2.3:9090", true},
		{"a rebound name on the internal listener", internal, "evil.example", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			if tt.edit != nil {
				b = newBench(t, tt.edit)
			}
			b.OAuth("GET /x", fine, nil)
			r := request(http.MethodGet, "/x", "")
			r.Host = tt.host
			want := http.StatusOK
			if !tt.ok {
				want = http.StatusMisdirectedRequest
			}
			if got := b.do(r).Code; got != want {
				t.Errorf("Host %q: %d, want %d", tt.host, got, want)
			}
		})
	}
}

func TestScheme(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.Page("/page", fine)
	b.OAuth("/token", fine, nil)
	b.Probe("GET /healthz", fine)
	tests := []struct {
		name, method, path, peer, proto string
		want                            int
	}{
		{"a page read over http is sent to https", "GET", "/page?a=1", "192.0.2.1:1", "", 308},
		{"a form over http is refused", "POST", "/page", "192.0.2.1:1", "", 400},
		{"an application over http is refused", "GET", "/token", "192.0.2.1:1", "", 400},
		{"a trusted proxy that says https passes", "GET", "/page", "10.1.1.1:1", "https", 200},
		{"a trusted proxy that says http does not", "GET", "/page", "10.1.1.1:1", "http", 308},
		{"a chain with one http leg does not", "GET", "/page", "10.1.1.1:1", "https, http", 308},
		{"a stranger who says https does not", "GET", "/token", "192.0.2.1:1", "https", 400},
		{"a probe passes", "GET", "/healthz", "192.0.2.1:1", "", 200},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := request(tt.method, "http://id.example"+tt.path, "")
			r.RemoteAddr = tt.peer
			if tt.proto != "" {
				r.Header.Set("X-Forwarded-Proto", tt.proto)
			}
			w := b.do(r)
			if w.Code != tt.want {
				t.Fatalf("status %d, want %d", w.Code, tt.want)
			}
			if tt.want == 308 && w.Header().Get("Location") != "https://id.example"+tt.path {
				t.Errorf("Location %q", w.Header().Get("Location"))
			}
		})
	}
}

func TestTheRedirectToHTTPSStaysHere(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	r := request(http.MethodGet, "http://id.example/", "")
	r.URL.Path, r.URL.Opaque = "//evil.example/", ""
	if got := b.do(r).Header().Get("Location"); got != "https://id.example//evil.example/" {
		t.Errorf("Location %q leaves the issuer", got)
	}
}

func TestInFlightCapRefusesOneMore(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(c *Config) { c.Limits.OAuth = 1 })
	inside, leave := make(chan struct{}), make(chan struct{})
	b.OAuth("GET /slow", func(w http.ResponseWriter, r *http.Request) error {
		close(inside)
		<-leave
		return fine(w, r)
	}, nil)
	b.OAuth("GET /quick", fine, nil)
	b.API("GET /api", fine)
	done := make(chan int)
	go func() { done <- b.get("/slow").Code }()
	<-inside
	w := b.get("/quick")
	if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") != "1" {
		t.Errorf("one more than the cap: %d, Retry-After %q", w.Code, w.Header().Get("Retry-After"))
	}
	if got := b.get("/api").Code; got != http.StatusOK {
		t.Errorf("another audience: %d", got)
	}
	close(leave)
	if got := <-done; got != http.StatusOK {
		t.Errorf("the one inside: %d", got)
	}
	if got := b.get("/quick").Code; got != http.StatusOK {
		t.Errorf("after it left: %d", got)
	}
}

// TestWhoWaitsForOthersHoldsNoPlace: a request that waits for somebody else's
// server is not counted while it does.
func TestWhoWaitsForOthersHoldsNoPlace(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(c *Config) { c.Limits.OAuth = 1 })
	aside, leave, back := make(chan struct{}), make(chan struct{}), make(chan struct{})
	inside, done := make(chan struct{}), make(chan int)
	b.OAuth("GET /waits", func(w http.ResponseWriter, r *http.Request) error {
		caller, ok := r.Context().Value(flight.CallerKey{}).(flight.Caller)
		if !ok || caller.Who() == "" {
			t.Errorf("the request is no caller with a name: %v", caller)
		}
		again := caller.Aside()
		close(aside)
		<-leave
		again()
		close(inside)
		<-back
		return fine(w, r)
	}, nil)
	b.OAuth("GET /quick", fine, nil)
	go func() { done <- b.get("/waits").Code }()
	<-aside
	if got := b.get("/quick").Code; got != http.StatusOK {
		t.Errorf("while it waits: %d", got)
	}
	close(leave)
	<-inside
	if got := b.get("/quick").Code; got != http.StatusServiceUnavailable {
		t.Errorf("when it goes on: %d", got)
	}
	close(back)
	if got := <-done; got != http.StatusOK {
		t.Errorf("the one that waited: %d", got)
	}
	if got := b.get("/quick").Code; got != http.StatusOK {
		t.Errorf("after it left: %d", got)
	}
}

func TestLimits(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.OAuth("POST /token", func(w http.ResponseWriter, r *http.Request) error {
		if _, err := Form(w, r, MaxForm); err != nil {
			return err
		}
		return fine(w, r)
	}, nil)
	if got := b.do(request("POST", "/token?q="+strings.Repeat("a", MaxQuery), "a=b")).Code; got != http.StatusRequestURITooLong {
		t.Errorf("a long query: %d", got)
	}
	if got := b.do(request("POST", "/token", "a="+strings.Repeat("b", 128<<10))).Code; got != http.StatusRequestEntityTooLarge {
		t.Errorf("a body over the road's limit: %d", got)
	}
	if got := b.do(request("POST", "/token", "a="+strings.Repeat("b", MaxForm))).Code; got != http.StatusRequestEntityTooLarge {
		t.Errorf("a body over the form's limit: %d", got)
	}
	r := request("POST", "/token", "a="+strings.Repeat("b", 256<<10))
	r.ContentLength = -1 // chunked: nothing is promised
	if got := b.do(r).Code; got != http.StatusRequestEntityTooLarge {
		t.Errorf("an unannounced body: %d", got)
	}
}

func TestMethods(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.OAuth("POST /token", fine, nil)
	b.Page("/both", fine)
	b.Resource("GET /info", fine, AnyOrigin)
	b.Resource("POST /info", fine, AnyOrigin)
	tests := []struct {
		method, path string
		status       int
		allow        string
	}{
		{"GET", "/token", 405, "POST"},
		{"HEAD", "/both", 200, ""},
		{"DELETE", "/both", 405, "GET, HEAD, POST"},
		{"POST", "/info", 200, ""},
		{"OPTIONS", "/info", 204, "GET, HEAD, OPTIONS, POST"},
		{"BREW", "/info", 501, ""},
		{"GET", "/info/", 404, ""},
	}
	for _, tt := range tests {
		w := b.do(request(tt.method, tt.path, ""))
		if w.Code != tt.status || w.Header().Get("Allow") != tt.allow {
			t.Errorf("%s %s: %d Allow %q, want %d %q", tt.method, tt.path, w.Code, w.Header().Get("Allow"), tt.status, tt.allow)
		}
	}
	if len(b.refused) != 0 {
		t.Errorf("the trail heard of %d wrong addresses; they are nobody's refusal", len(b.refused))
	}
}

func TestMountingTwicePanics(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.API("GET /x", fine)
	defer func() {
		if recover() == nil {
			t.Error("the second mount went unnoticed")
		}
	}()
	b.API("GET /x", fine)
}

func TestPathValuesAreDecoded(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	var got string
	b.API("GET /clients/{id}", func(_ http.ResponseWriter, r *http.Request) error {
		got = r.PathValue("id")
		return nil
	})
	b.get("/clients/https%3A%2F%2Fapp.example%2Fmeta")
	if want := "https://app.example/meta"; got != want {
		t.Errorf("id %q, want %q", got, want)
	}
}

func TestServerLimits(t *testing.T) {
	t.Parallel()
	s := NewServer(http.NotFoundHandler(), slog.New(slog.DiscardHandler))
	if s.ReadHeaderTimeout <= 0 || s.ReadTimeout <= 0 || s.WriteTimeout <= 0 || s.IdleTimeout <= 0 || s.MaxHeaderBytes != 32<<10 ||
		s.HTTP2.MaxConcurrentStreams != 100 {
		t.Errorf("a limit is missing: %+v", s)
	}
}

func TestHTTP2OverTLS(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(c *Config) { c.AllowedHosts = []string{"127.0.0.1"} })
	b.OAuth("GET /x", fine, nil)
	srv := httptest.NewUnstartedServer(nil)
	srv.Config = NewServer(b, slog.New(slog.DiscardHandler))
	srv.EnableHTTP2 = true
	srv.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	srv.StartTLS()
	defer srv.Close()
	resp, err := srv.Client().Get(srv.URL + "/x")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.ProtoMajor != 2 || resp.StatusCode != http.StatusOK {
		t.Errorf("%s %s", resp.Proto, resp.Status)
	}
}

var errTest = &fault.Error{
	Kind: fault.Invalid, Code: "invalid_scope", Detail: `The scope "x" is not \ registered.`, Rule: "scope_registered",
	Facts: []fault.Fact{{Name: "scope", Value: "x"}},
}
