package oauth2_test

import (
	"context"
	"crypto"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/gatekeeper-oidc/gatekeeper/audit"
	"github.com/gatekeeper-oidc/gatekeeper/conformance"
	"github.com/gatekeeper-oidc/gatekeeper/identity"
	"github.com/gatekeeper-oidc/gatekeeper/internal/web"
	"github.com/gatekeeper-oidc/gatekeeper/keys"
	"github.com/gatekeeper-oidc/gatekeeper/oauth2"
	"github.com/gatekeeper-oidc/gatekeeper/storage"
	"github.com/gatekeeper-oidc/gatekeeper/storage/state"
	"github.com/gatekeeper-oidc/gatekeeper/templates"
)

const issuer = "https://id.example"

// A fixture is a whole authorization server over a real database; only the steps
// a person would take are simple.
type fixture struct {
	tb      testing.TB
	db      *storage.DB
	store   *flaky
	source  *cachedKeys
	ring    *keys.Ring
	vault   *keys.Vault
	trail   *audit.Trail
	p       *oauth2.Provider
	mux     *web.Mux
	user    identity.User
	session identity.Session
	ahead   atomic.Int64 // how far the program's clock is ahead of the world's
	steps   steps
}

// An option changes the configuration of a fixture.
type option func(*oauth2.Config)

func lifetimes(edit func(*oauth2.Lifetimes)) option {
	return func(c *oauth2.Config) { edit(&c.Lifetimes) }
}

// databases are those every test runs on.
var databases = map[string]func(tb testing.TB) string{
	"sqlite":   func(tb testing.TB) string { tb.Helper(); return "sqlite:" + filepath.Join(tb.TempDir(), "test.db") },
	"postgres": func(tb testing.TB) string { tb.Helper(); return conformance.Postgres(tb, os.Getenv) },
}

// onEach runs f over each kind of database.
func onEach(t *testing.T, f func(t *testing.T, f *fixture), opts ...option) {
	t.Helper()
	for name, fresh := range databases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f(t, newFixture(t, fresh(t), opts...))
		})
	}
}

func newFixture(tb testing.TB, url string, opts ...option) *fixture {
	tb.Helper()
	db, err := storage.Open(tb.Context(), storage.Config{URL: url, Migrate: true})
	must(tb, err)
	tb.Cleanup(func() { must(tb, db.Close()) })
	f := &fixture{tb: tb, db: db, store: &flaky{Store: db}, source: &cachedKeys{}}
	f.vault, err = keys.NewVault([]byte("0123456789abcdef0123456789abcdef"))
	must(tb, err)
	f.ring, err = keys.NewRing(keys.RingConfig{
		Store: db, Vault: f.vault, Source: f.source, Log: slog.New(slog.DiscardHandler), Now: f.now,
		Policy: keys.Policy{Algs: []string{keys.RS256, keys.PS256, keys.ES256, keys.EdDSA}},
		Record: func(context.Context, keys.Change) error { return nil },
	})
	must(tb, err)
	must(tb, f.ring.Load(tb.Context()))
	f.trail = audit.NewTrail(audit.Config{Store: db, Now: f.now})
	cfg := oauth2.Config{
		Issuer: issuer, Store: f.store, Keys: f.ring, Vault: f.vault, Trail: f.trail, Limits: state.NewMemory(f.now, 0),
		Log: slog.New(slog.DiscardHandler), Now: f.now,
		Lifetimes: oauth2.Lifetimes{
			Code: time.Minute, Access: 15 * time.Minute, IDToken: time.Hour, Refresh: 7 * 24 * time.Hour, RefreshIdle: 24 * time.Hour,
			Interaction: time.Hour, Grace: 30 * time.Second,
		},
	}
	for _, o := range opts {
		o(&cfg)
	}
	f.p, err = oauth2.NewProvider(cfg)
	must(tb, err)
	f.mount()
	f.listen()
	f.user, f.session = f.person("alice")
	return f
}

func (f *fixture) mount() {
	pages, err := templates.New()
	must(f.tb, err)
	base, err := url.Parse(issuer)
	must(f.tb, err)
	f.mux, err = web.New(web.Config{
		Issuer: base, FormKey: f.vault.Subkey("form"), Pages: pages, Log: slog.New(slog.DiscardHandler), Now: f.now,
		Limits: web.Limits{OAuth: 1 << 20, Pages: 1 << 20}, Refused: f.trail.Refuse, Session: f.resume,
	})
	must(f.tb, err)
	(&oauth2.Handler{Provider: f.p, Steps: f.steps.list()}).Routes(f.mux)
}

// listen lets the provider hear what changes, as cmd does, and returns when it does.
func (f *fixture) listen() {
	ctx, cancel := context.WithCancel(context.WithoutCancel(f.tb.Context()))
	var heard atomic.Bool
	var done sync.WaitGroup
	done.Go(func() {
		_ = f.db.Listen(ctx, func(topic string) {
			heard.Store(true)
			f.p.Forget(topic)
		})
	})
	f.tb.Cleanup(func() { cancel(); done.Wait() })
	probe := oauth2.Client{ID: "probe", Type: oauth2.Machine, AuthMethod: oauth2.AuthBasic, Disabled: true}
	must(f.tb, f.db.InsertClient(f.tb.Context(), probe))
	for !heard.Load() {
		must(f.tb, f.db.UpdateClient(f.tb.Context(), probe))
		runtime.Gosched()
	}
}

func (f *fixture) now() time.Time { return time.Now().Add(time.Duration(f.ahead.Load())) }

// later moves the program's clock; the database's stays where it is.
func (f *fixture) later(d time.Duration) { f.ahead.Add(int64(d)) }

// person makes a user who signed in a while ago.
func (f *fixture) person(name string) (identity.User, identity.Session) {
	f.tb.Helper()
	u := identity.User{ID: uuid.NewString(), Email: name + "@example.com", EmailVerified: true, Status: identity.Active, Roles: []string{"staff"}}
	must(f.tb, f.db.InsertUser(f.tb.Context(), u))
	now := f.now().Truncate(time.Second)
	s := identity.Session{
		ID: uuid.NewString(), TokenHash: hash("cookie of " + name), UserID: u.ID, AMR: []string{"pwd"}, ACR: "1",
		AuthTime: now.Add(-time.Minute), CreatedAt: now, LastSeenAt: now, ExpiresAt: now.Add(30 * 24 * time.Hour),
	}
	must(f.tb, f.db.PutSession(f.tb.Context(), s))
	return u, s
}

func hash(s string) []byte {
	sum := sha256.Sum256([]byte(s))
	return sum[:]
}

// resume is what package login does with its cookie.
func (f *fixture) resume(_ http.ResponseWriter, r *http.Request) (context.Context, error) {
	c, err := r.Cookie("who")
	if err != nil {
		return r.Context(), nil
	}
	s, u, err := f.db.SessionByToken(r.Context(), hash("cookie of "+c.Value))
	if err != nil {
		return r.Context(), nil
	}
	return identity.NewContext(r.Context(), s, u), nil
}

// steps are a sign-in and a consent that a test can ask for.
type steps struct{ consent atomic.Bool }

func (s *steps) list() []oauth2.Step { return []oauth2.Step{signIn{}, consents{&s.consent}} }

type signIn struct{}

func (signIn) Path() string { return "/login" }

func (signIn) Needed(ctx context.Context, in oauth2.Interaction) (string, error) {
	s, _, ok := identity.FromContext(ctx)
	if !ok || in.Request.HasPrompt("login") && in.Authenticated != s.ID {
		return "login_required", nil
	}
	return "", nil
}

type consents struct{ wanted *atomic.Bool }

func (consents) Path() string { return "/consent" }

func (c consents) Needed(_ context.Context, in oauth2.Interaction) (string, error) {
	if (c.wanted.Load() || in.Request.HasPrompt("consent")) && !in.Consented {
		return "consent_required", nil
	}
	return "", nil
}

// An app is a registered client and what it knows about itself.
type app struct {
	oauth2.Client
	f      *fixture
	secret string
	sign   func(claims map[string]any) string // private_key_jwt
}

const callback = "https://shop.example/cb"

// app registers a web client; edit changes what it is.
func (f *fixture) app(id string, edit ...func(*oauth2.Client)) *app {
	f.tb.Helper()
	a := &app{f: f, Client: oauth2.Client{ID: id, RedirectURIs: []string{callback}}}
	for _, e := range edit {
		e(&a.Client)
	}
	if a.Type == oauth2.Machine {
		a.RedirectURIs = nil
	}
	must(f.tb, f.p.CheckClient(&a.Client))
	if a.AuthMethod == oauth2.AuthBasic || a.AuthMethod == oauth2.AuthPost {
		var keep oauth2.SecretHash
		a.secret, keep = f.p.NewSecret()
		a.Secrets = []oauth2.SecretHash{keep}
	}
	must(f.tb, f.db.InsertClient(f.tb.Context(), a.Client))
	return a
}

func public(c *oauth2.Client)  { c.AuthMethod = oauth2.AuthNone }
func machine(c *oauth2.Client) { c.Type, c.Scopes = oauth2.Machine, []string{"api:read", "api:write"} }
func noPKCE(c *oauth2.Client)  { c.InsecureNoPKCE = true }
func opaque(c *oauth2.Client)  { c.AccessToken = "opaque" }

const verifier = "a-code-verifier-of-forty-three-characters-at-least"

func challengeOf(v string) string { return base64.RawURLEncoding.EncodeToString(hash(v)) }

// request returns the parameters of an ordinary authorization request; pairs
// replace them, and "" removes one.
func (a *app) request(pairs ...string) url.Values {
	v := url.Values{
		"client_id": {a.ID}, "redirect_uri": {callback}, "response_type": {"code"}, "scope": {"openid email offline_access"},
		"state": {"a state"}, "nonce": {"a nonce"}, "code_challenge": {challengeOf(verifier)}, "code_challenge_method": {"S256"},
	}
	return with(v, pairs...)
}

func with(v url.Values, pairs ...string) url.Values {
	for i := 0; i+1 < len(pairs); i += 2 {
		v.Del(pairs[i])
		if pairs[i+1] != "" {
			v.Set(pairs[i], pairs[i+1])
		}
	}
	return v
}

// A reply is an HTTP answer that was read.
type reply struct {
	tb     testing.TB
	Status int
	Header http.Header
	Body   string
}

func (f *fixture) do(method, path string, body io.Reader, headers ...string) reply {
	f.tb.Helper()
	r := httptest.NewRequestWithContext(f.tb.Context(), method, issuer+path, body)
	if body != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	f.mux.ServeHTTP(w, r)
	return reply{f.tb, w.Code, w.Header(), w.Body.String()}
}

// authorize sends v with the cookie of name; "" is nobody.
func (f *fixture) authorize(name string, v url.Values) reply {
	f.tb.Helper()
	return f.visit(name, "/oauth2/authorize?"+v.Encode())
}

func (f *fixture) visit(name, path string, cookies ...string) reply {
	f.tb.Helper()
	if name != "" {
		cookies = append(cookies, "who="+name)
	}
	return f.do(http.MethodGet, path, nil, "Cookie", strings.Join(cookies, "; "))
}

// location returns the redirect's target and its query.
func (r reply) location() (string, url.Values) {
	r.tb.Helper()
	u, err := url.Parse(r.Header.Get("Location"))
	if err != nil || r.Status != http.StatusSeeOther {
		r.tb.Fatalf("status %d, Location %q, want a 303; body %.300s", r.Status, r.Header.Get("Location"), r.Body)
	}
	q := u.Query()
	u.RawQuery = ""
	return u.String(), q
}

func (r reply) json() map[string]any {
	r.tb.Helper()
	var m map[string]any
	if err := json.Unmarshal([]byte(r.Body), &m); err != nil {
		r.tb.Fatalf("body %.300q is not JSON: %v", r.Body, err)
	}
	return m
}

// ok fails the test unless the answer is a 200.
func (r reply) ok() map[string]any {
	r.tb.Helper()
	if r.Status != http.StatusOK {
		r.tb.Fatalf("status %d, body %s", r.Status, r.Body)
	}
	return r.json()
}

// refused fails the test unless the answer is this OAuth error.
func (r reply) refused(status int, code string) map[string]any {
	r.tb.Helper()
	m := r.json()
	if r.Status != status || m["error"] != code {
		r.tb.Errorf("status %d, body %s, want %d %s", r.Status, r.Body, status, code)
	}
	return m
}

// code runs a silent authorization and returns the code.
func (a *app) code(pairs ...string) string {
	a.f.tb.Helper()
	_, q := a.f.authorize("alice", a.request(pairs...)).location()
	if q.Get("code") == "" {
		a.f.tb.Fatalf("no code: %v", q)
	}
	return q.Get("code")
}

// post authenticates as the app and posts a form.
func (a *app) post(path string, pairs ...string) reply {
	a.f.tb.Helper()
	v := with(url.Values{}, pairs...)
	var headers []string
	switch a.AuthMethod {
	case oauth2.AuthBasic:
		headers = []string{"Authorization", basic(a.ID, a.secret)}
	case oauth2.AuthPost:
		v.Set("client_id", a.ID)
		v.Set("client_secret", a.secret)
	case oauth2.AuthNone:
		v.Set("client_id", a.ID)
	case oauth2.AuthPrivateKey:
		v.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
		v.Set("client_assertion", a.sign(nil))
	}
	return a.f.do(http.MethodPost, path, strings.NewReader(v.Encode()), headers...)
}

func basic(id, secret string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(url.QueryEscape(id)+":"+url.QueryEscape(secret)))
}

// token posts to the token endpoint.
func (a *app) token(pairs ...string) reply { a.f.tb.Helper(); return a.post("/oauth2/token", pairs...) }

// redeem spends a code as it should be.
func (a *app) redeem(code string, pairs ...string) reply {
	a.f.tb.Helper()
	return a.token(append([]string{"grant_type", "authorization_code", "code", code, "redirect_uri", callback, "code_verifier", verifier}, pairs...)...)
}

func (a *app) refresh(token string, pairs ...string) reply {
	a.f.tb.Helper()
	return a.token(append([]string{"grant_type", "refresh_token", "refresh_token", token}, pairs...)...)
}

// login is a whole authorization: its token response.
func (a *app) login(pairs ...string) tokens {
	a.f.tb.Helper()
	return tokensOf(a.redeem(a.code(pairs...)).ok())
}

type tokens struct{ Access, Refresh, ID string }

func tokensOf(m map[string]any) tokens {
	s := func(k string) string { v, _ := m[k].(string); return v }
	return tokens{s("access_token"), s("refresh_token"), s("id_token")}
}

// alive reports whether Inspect calls a token active.
func (f *fixture) alive(token string) bool {
	f.tb.Helper()
	_, err := f.p.Inspect(f.tb.Context(), token)
	if err != nil && !errors.Is(err, oauth2.ErrInactive) {
		f.tb.Fatalf("inspect: %v", err)
	}
	return err == nil
}

// events counts what the trail has of a kind.
func (f *fixture) events(kind audit.Kind, about string) int {
	f.tb.Helper()
	must(f.tb, f.trail.Sequence(f.tb.Context()))
	all, err := f.trail.Events(f.tb.Context(), audit.Filter{Kind: kind, Limit: 1000})
	must(f.tb, err)
	n := 0
	for _, e := range all {
		if about == "" || e.ClientID == about || e.Grant == about {
			n++
		}
	}
	return n
}

// claims decodes a JWT without checking it.
func claims(tb testing.TB, jwt string) map[string]any {
	tb.Helper()
	return segment(tb, jwt, 1)
}

func segment(tb testing.TB, jwt string, n int) map[string]any {
	tb.Helper()
	parts := strings.Split(jwt, ".")
	if len(parts) != 3 {
		tb.Fatalf("%.40q is not a JWT", jwt)
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[n])
	must(tb, err)
	var m map[string]any
	must(tb, json.Unmarshal(raw, &m))
	return m
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

// cachedKeys makes each kind of key once per process, and can be made to fail.
type cachedKeys struct {
	keys.Software
	broken atomic.Bool
}

var made sync.Map // alg → func() (made, error)

type madeKey struct {
	signer crypto.Signer
	der    []byte
}

func (c *cachedKeys) Generate(ctx context.Context, alg string) (crypto.Signer, []byte, error) {
	once, _ := made.LoadOrStore(alg, sync.OnceValues(func() (madeKey, error) {
		s, der, err := c.Software.Generate(context.WithoutCancel(ctx), alg)
		return madeKey{s, der}, err
	}))
	k, err := once.(func() (madeKey, error))()
	return brittle{k.signer, &c.broken}, slices.Clone(k.der), err
}

func (c *cachedKeys) Open(ctx context.Context, alg string, private []byte) (crypto.Signer, error) {
	s, err := c.Software.Open(ctx, alg, private)
	return brittle{s, &c.broken}, err
}

// brittle is a signer in a machine that can be unplugged.
type brittle struct {
	crypto.Signer
	broken *atomic.Bool
}

func (b brittle) Sign(rand io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if b.broken.Load() {
		return nil, errors.New("unplugged")
	}
	return b.Signer.Sign(rand, digest, opts)
}
