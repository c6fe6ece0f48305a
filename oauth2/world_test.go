package oauth2_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatekeeper-oidc/gatekeeper/audit"
	"github.com/gatekeeper-oidc/gatekeeper/identity"
	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
	"github.com/gatekeeper-oidc/gatekeeper/internal/web"
	"github.com/gatekeeper-oidc/gatekeeper/keys"
	"github.com/gatekeeper-oidc/gatekeeper/oauth2"
	"github.com/gatekeeper-oidc/gatekeeper/storage"
	"github.com/gatekeeper-oidc/gatekeeper/storage/state"
	"github.com/gatekeeper-oidc/gatekeeper/templates"
)

const (
	issuer   = "https://id.example.org"
	callback = "https://shop.example.org/cb"
	userID   = "0b9b7a4e-5c0e-4a35-9c53-0f2a3d0f5c11"
	verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
)

func s256(v string) string {
	sum := sha256.Sum256([]byte(v))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// A world is a Provider behind its handlers, on a real SQLite.
type world struct {
	tb       testing.TB
	db       *storage.DB
	store    *moody
	ring     *keys.Ring
	source   *moodySource
	vault    *keys.Vault
	provider *oauth2.Provider
	mux      *web.Mux
	log      *bytes.Buffer
	offset   atomic.Int64 // of the Provider's clock
	steps    []*step
	secrets  map[string]string

	mu      sync.Mutex
	session identity.Session
	user    identity.User
	refused []web.Refusal
}

// moody is the store, but for what a test makes fail.
type moody struct {
	*storage.DB

	down atomic.Bool // every method a Provider calls
	deaf atomic.Bool // writes alone
}

var errNoAnswer = errors.New("connection refused")

func (m *moody) fails(write bool) error {
	if m.down.Load() || write && m.deaf.Load() {
		return fault.Down("store", errNoAnswer)
	}
	return nil
}

func (m *moody) Client(ctx context.Context, id string) (oauth2.Client, error) {
	if err := m.fails(false); err != nil {
		return oauth2.Client{}, err
	}
	return m.DB.Client(ctx, id)
}

func (m *moody) Standing(ctx context.Context, q oauth2.StandingQuery) (oauth2.Standing, error) {
	if err := m.fails(false); err != nil {
		return oauth2.Standing{}, err
	}
	return m.DB.Standing(ctx, q)
}

func (m *moody) GrantWithStanding(ctx context.Context, id string) (oauth2.Grant, oauth2.RefreshState, oauth2.Standing, error) {
	if err := m.fails(false); err != nil {
		return oauth2.Grant{}, oauth2.RefreshState{}, oauth2.Standing{}, err
	}
	return m.DB.GrantWithStanding(ctx, id)
}

func (m *moody) RedeemGrant(ctx context.Context, g oauth2.Grant, refresh bool, e audit.Event) (bool, error) {
	if err := m.fails(true); err != nil {
		return false, err
	}
	return m.DB.RedeemGrant(ctx, g, refresh, e)
}

func (m *moody) RotateRefresh(ctx context.Context, r oauth2.RotateRequest) (oauth2.Rotation, error) {
	if err := m.fails(true); err != nil {
		return oauth2.Dead, err
	}
	return m.DB.RotateRefresh(ctx, r)
}

func (m *moody) RevokeGrant(ctx context.Context, id string, e audit.Event) (bool, error) {
	if err := m.fails(true); err != nil {
		return false, err
	}
	return m.DB.RevokeGrant(ctx, id, e)
}

func (m *moody) RevokeToken(ctx context.Context, jti string, at time.Time, e audit.Event) error {
	if err := m.fails(true); err != nil {
		return err
	}
	return m.DB.RevokeToken(ctx, jti, at, e)
}

func (m *moody) UseAssertion(ctx context.Context, client, jti string, at time.Time) (bool, error) {
	if err := m.fails(true); err != nil {
		return false, err
	}
	return m.DB.UseAssertion(ctx, client, jti, at)
}

// options changes a world before it is built.
type options struct {
	grace  time.Duration
	access time.Duration
	quiet  bool // the bell does not reach the Provider
}

func newWorld(tb testing.TB, change ...func(o *options)) *world {
	tb.Helper()
	o := options{grace: 30 * time.Second, access: 15 * time.Minute}
	for _, f := range change {
		f(&o)
	}
	ctx := tb.Context()
	w := &world{tb: tb, log: &bytes.Buffer{}, secrets: map[string]string{}, source: &moodySource{}}
	log := slog.New(slog.DiscardHandler)
	var err error
	w.db, err = storage.Open(ctx, storage.Config{URL: "sqlite:" + filepath.Join(tb.TempDir(), "gatekeeper.db"), Migrate: true})
	must(tb, err)
	tb.Cleanup(func() { must(tb, w.db.Close()) })
	w.store = &moody{DB: w.db}
	w.vault, err = keys.NewVault(bytes.Repeat([]byte{7}, 32))
	must(tb, err)
	w.ring, err = keys.NewRing(keys.RingConfig{
		Store: w.db, Vault: w.vault, Source: w.source, Log: log, Now: time.Now,
		Policy: keys.Policy{Algs: []string{keys.RS256, keys.ES256, keys.EdDSA}},
		Record: func(context.Context, keys.Change) error { return nil },
	})
	must(tb, err)
	must(tb, w.ring.Load(ctx))
	w.provider, err = oauth2.NewProvider(oauth2.Config{
		Issuer: issuer, Store: w.store, Keys: w.ring, Vault: w.vault, Limits: state.NewMemory(w.now, 0), Log: log, Now: w.now,
		Trail: audit.NewTrail(audit.Config{Store: w.db, Now: w.now, Log: log}),
		Lifetimes: oauth2.Lifetimes{
			Code: time.Minute, Access: o.access, IDToken: 15 * time.Minute, Refresh: 7 * 24 * time.Hour, RefreshIdle: 72 * time.Hour,
			Interaction: 30 * time.Minute, Grace: o.grace,
		},
	})
	must(tb, err)
	w.serve()
	if !o.quiet {
		w.hear()
	}
	must(tb, w.db.InsertUser(ctx, identity.User{
		ID: userID, Email: "ana@example.org", EmailVerified: true, Status: identity.Active, Roles: []string{"editor"},
	}))
	w.signIn("pwd")
	return w
}

// serve mounts the handlers; steps may be appended at any time before a request.
func (w *world) serve() {
	w.tb.Helper()
	u, err := url.Parse(issuer)
	must(w.tb, err)
	pages, err := templates.New()
	must(w.tb, err)
	w.mux, err = web.New(web.Config{
		Issuer: u, Pages: pages, Log: slog.New(slog.DiscardHandler), Now: w.now, FormKey: [32]byte{1},
		Refused: func(_ context.Context, r web.Refusal) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.refused = append(w.refused, r)
		},
		Session: func(_ http.ResponseWriter, r *http.Request) (context.Context, error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			if r.Header.Get("Test-Guest") != "" || w.session.ID == "" {
				return r.Context(), nil
			}
			return identity.NewContext(r.Context(), w.session, w.user), nil
		},
	})
	must(w.tb, err)
	w.steps = []*step{{path: "/login"}, {path: "/consent"}}
	(&oauth2.Handler{Provider: w.provider, Steps: []oauth2.Step{w.steps[0], w.steps[1]}}).Routes(w.mux)
}

// hear lets the bell reach the Provider, as the program does.
func (w *world) hear() {
	w.tb.Helper()
	ctx, cancel := context.WithCancel(w.tb.Context())
	var done sync.WaitGroup
	done.Go(func() { _ = w.db.Listen(ctx, w.provider.Forget) })
	w.tb.Cleanup(func() { cancel(); done.Wait() })
}

// A step is needed for as long as its reason is not "".
type step struct {
	path   string
	reason atomic.Value
}

func (s *step) Path() string { return s.path }

func (s *step) Needed(ctx context.Context, _ oauth2.Interaction) (string, error) {
	if reason, _ := s.reason.Load().(string); reason != "" {
		return reason, nil
	}
	if _, _, ok := identity.FromContext(ctx); !ok && s.path == "/login" {
		return "login_required", nil
	}
	return "", nil
}

// moodySource makes keys whose signatures can be made to fail.
type moodySource struct {
	keys.Software

	broken atomic.Bool
}

func (w *world) now() time.Time { return time.Now().Add(time.Duration(w.offset.Load())) }

func (w *world) later(d time.Duration) { w.offset.Add(int64(d)) }

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

// signIn starts a session and puts it into every request that is not a guest's.
func (w *world) signIn(amr ...string) {
	w.tb.Helper()
	ctx := w.tb.Context()
	u, err := w.db.User(ctx, userID)
	must(w.tb, err)
	at := time.Now().Truncate(time.Second)
	acr := identity.ACRSingle
	if len(amr) > 1 {
		acr = identity.ACRMulti
	}
	s := identity.Session{
		ID: "s-" + base64.RawURLEncoding.EncodeToString([]byte(time.Now().String()))[:24], TokenHash: []byte(time.Now().String()), UserID: u.ID, AMR: amr, ACR: acr, AuthTime: at, CreatedAt: at,
		LastSeenAt: at, ExpiresAt: at.Add(24 * time.Hour),
	}
	must(w.tb, w.db.PutSession(ctx, s))
	w.mu.Lock()
	defer w.mu.Unlock()
	w.session, w.user = s, u
}

// client registers an application as the admin API does and returns its secret.
func (w *world) client(c oauth2.Client) string {
	w.tb.Helper()
	must(w.tb, w.provider.CheckClient(&c))
	var plain string
	if c.AuthMethod == oauth2.AuthBasic || c.AuthMethod == oauth2.AuthPost {
		var keep oauth2.SecretHash
		plain, keep = w.provider.NewSecret()
		c.Secrets = []oauth2.SecretHash{keep}
	}
	must(w.tb, w.db.InsertClient(w.tb.Context(), c))
	w.provider.Forget("client:" + c.ID)
	w.secrets[c.ID] = plain
	return plain
}

// shop registers the confidential client most tests are about.
func (w *world) shop() {
	w.tb.Helper()
	w.client(oauth2.Client{ID: "shop", RedirectURIs: []string{callback}, Scopes: []string{"openid", "email", "offline_access", "orders"}})
}

func (w *world) do(r *http.Request) *httptest.ResponseRecorder {
	rec := httptest.NewRecorder()
	w.mux.ServeHTTP(rec, r)
	return rec
}

// query is an authorization request of shop that has nothing wrong with it.
func query() url.Values {
	return url.Values{
		"client_id": {"shop"}, "redirect_uri": {callback}, "response_type": {"code"}, "scope": {"openid email offline_access"},
		"state": {"xyz"}, "nonce": {"n-0S6"}, "code_challenge": {s256(verifier)}, "code_challenge_method": {"S256"},
	}
}

func with(v url.Values, pairs ...string) url.Values {
	out := url.Values{}
	for k, x := range v {
		out[k] = x
	}
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] == "" {
			out.Del(pairs[i])
			continue
		}
		out.Set(pairs[i], pairs[i+1])
	}
	return out
}

func (w *world) get(path string) *httptest.ResponseRecorder {
	return w.do(httptest.NewRequestWithContext(w.tb.Context(), http.MethodGet, issuer+path, nil))
}

func (w *world) authorize(q url.Values) *httptest.ResponseRecorder {
	return w.get("/oauth2/authorize?" + q.Encode())
}

// told returns the parameters an answer brings to the application.
func (w *world) told(rec *httptest.ResponseRecorder) url.Values {
	w.tb.Helper()
	u, err := url.Parse(rec.Header().Get("Location"))
	if err != nil || rec.Code != http.StatusSeeOther || u.Host == "" {
		w.tb.Fatalf("%d to %q, want a redirect to the application\n%s", rec.Code, rec.Header().Get("Location"), rec.Body)
	}
	return u.Query()
}

func (w *world) code(q url.Values) string {
	w.tb.Helper()
	got := w.told(w.authorize(q))
	if got.Get("code") == "" {
		w.tb.Fatalf("no code: %v", got)
	}
	return got.Get("code")
}

// An answer is what the token endpoint said.
type answer struct {
	status int
	header http.Header
	json   map[string]any
}

func (a answer) text(name string) string { s, _ := a.json[name].(string); return s }

// post calls a back-channel endpoint as client id, by its registered secret.
func (w *world) post(path, id string, form url.Values) answer {
	w.tb.Helper()
	r := httptest.NewRequestWithContext(w.tb.Context(), http.MethodPost, issuer+path, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if secret := w.secrets[id]; secret != "" {
		r.SetBasicAuth(url.QueryEscape(id), url.QueryEscape(secret))
	}
	return w.call(r)
}

func (w *world) call(r *http.Request) answer {
	w.tb.Helper()
	rec := w.do(r)
	a := answer{status: rec.Code, header: rec.Header()}
	body, err := io.ReadAll(rec.Body)
	must(w.tb, err)
	if len(body) > 0 {
		if err := json.Unmarshal(body, &a.json); err != nil {
			w.tb.Fatalf("%s: %v: %s", r.URL.Path, err, body)
		}
	}
	return a
}

func codeForm(code string) url.Values {
	return url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {callback}, "code_verifier": {verifier}}
}

func refreshForm(token string) url.Values {
	return url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}}
}

func (w *world) token(id string, form url.Values) answer {
	w.tb.Helper()
	return w.post("/oauth2/token", id, form)
}

// tokens signs in at shop and redeems the code.
func (w *world) tokens() answer {
	w.tb.Helper()
	return w.wantOK(w.token("shop", codeForm(w.code(query()))))
}

func (w *world) wantOK(a answer) answer {
	w.tb.Helper()
	if a.status != http.StatusOK {
		w.tb.Fatalf("got %d %v, want 200", a.status, a.json)
	}
	return a
}

func (w *world) wantError(a answer, status int, code string) {
	w.tb.Helper()
	if a.status != status || a.text("error") != code {
		w.tb.Errorf("got %d %v, want %d %s", a.status, a.json, status, code)
	}
}

// wantAlive checks what the one liveness rule says.
func (w *world) wantAlive(token string, want bool) {
	w.tb.Helper()
	_, err := w.provider.Inspect(w.tb.Context(), token)
	if want && err != nil || !want && !errors.Is(err, oauth2.ErrInactive) {
		w.tb.Errorf("Inspect: %v, want alive %v", err, want)
	}
}

// trips returns how many statements f sends.
func (w *world) trips(f func()) uint64 {
	before := w.db.Trips()
	f()
	return w.db.Trips() - before
}

// payload is the claims of a JWT and its header, unverified.
func payload(tb testing.TB, token string) (header, claims map[string]any) {
	tb.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		tb.Fatalf("not a JWT: %q", token)
	}
	for i, into := range []*map[string]any{&header, &claims} {
		raw, err := base64.RawURLEncoding.DecodeString(parts[i])
		must(tb, err)
		must(tb, json.Unmarshal(raw, into))
	}
	return header, claims
}

// events returns what the trail has of a kind.
func (w *world) events(kind audit.Kind) []audit.Event {
	w.tb.Helper()
	trail := audit.NewTrail(audit.Config{Store: w.db, Now: w.now, Log: slog.New(slog.DiscardHandler)})
	must(w.tb, trail.Sequence(w.tb.Context()))
	all, err := w.db.Events(w.tb.Context(), audit.Filter{Kind: kind, Limit: 100})
	must(w.tb, err)
	return all
}

// at32 runs f thirty-two times at once.
func at32[T any](f func(i int) T) []T {
	out := make([]T, 32)
	var ready, done sync.WaitGroup
	ready.Add(len(out))
	for i := range out {
		done.Go(func() {
			ready.Done()
			ready.Wait()
			out[i] = f(i)
		})
	}
	done.Wait()
	return out
}
