package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gatekeeper-oidc/gatekeeper/audit"
	"github.com/gatekeeper-oidc/gatekeeper/identity"
	"github.com/gatekeeper-oidc/gatekeeper/internal/fetch"
	"github.com/gatekeeper-oidc/gatekeeper/internal/web"
	"github.com/gatekeeper-oidc/gatekeeper/keys"
	"github.com/gatekeeper-oidc/gatekeeper/oauth2"
	"github.com/gatekeeper-oidc/gatekeeper/oidc"
	"github.com/gatekeeper-oidc/gatekeeper/storage"
	"github.com/gatekeeper-oidc/gatekeeper/storage/state"
)

// engine is the real Provider, but for tokens that only a test knows.
type engine struct {
	*oauth2.Provider

	tokens tokens
}

func (e engine) Inspect(ctx context.Context, token string) (oauth2.Token, error) {
	if _, ok := e.tokens[token]; ok || token == "down" {
		return e.tokens.Inspect(ctx, token)
	}
	return e.Provider.Inspect(ctx, token)
}

func (e engine) Issued(ctx context.Context, token string) (oauth2.Token, error) {
	if _, ok := e.tokens[token]; ok || token == "down" {
		return e.tokens.Inspect(ctx, token)
	}
	return e.Provider.Issued(ctx, token)
}

// world is a Service on a real SQLite, and what reaches it.
type world struct {
	*Service

	db       *storage.DB
	provider *oauth2.Provider
	tokens   tokens
	server   *httptest.Server
	clock    func() time.Time // the database's
}

func newWorld(t *testing.T) *world {
	t.Helper()
	ctx := t.Context()
	db, err := storage.Open(ctx, storage.Config{URL: "sqlite:" + filepath.Join(t.TempDir(), "gatekeeper.db"), Migrate: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	clock := func() time.Time {
		now, err := db.Now(ctx)
		if err != nil && ctx.Err() == nil {
			t.Error(err)
		}
		return now
	}
	vault, err := keys.NewVault(bytes.Repeat([]byte{7}, 32))
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	trail := audit.NewTrail(audit.Config{Store: db, Now: clock, Log: log})
	ring, err := keys.NewRing(keys.RingConfig{
		Store: db, Vault: vault, Source: keys.Software{}, Log: log, Now: clock, Policy: keys.Policy{Algs: []string{keys.ES256, keys.RS256}},
		Record: func(ctx context.Context, c keys.Change) error {
			kind := map[string]audit.Kind{"created": audit.KeyCreated, "revoked": audit.KeyRevoked}[c.Kind]
			return trail.Record(ctx, audit.Event{Kind: kind, Actor: Actor(ctx), Detail: map[string]string{"kid": c.Key.ID}})
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := ring.Load(ctx); err != nil {
		t.Fatal(err)
	}
	outside, err := fetch.New(fetch.Config{Now: clock, Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, DangerouslyAllowHTTP: true})
	if err != nil {
		t.Fatal(err)
	}
	sets, err := keys.NewClientSets(keys.ClientSetsConfig{Fetcher: outside, Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	limits := state.NewMemory(clock, 0)
	provider, err := oauth2.NewProvider(oauth2.Config{
		Issuer: issuer, Store: db, Keys: ring, Vault: vault, Trail: trail, Limits: limits, Log: log, Now: clock, Scopes: Scopes(),
		ClientKeys: sets, Claims: oidc.ClaimTable{}, Fetch: outside,
		Lifetimes: oauth2.Lifetimes{
			Code: time.Minute, Access: 15 * time.Minute, IDToken: 15 * time.Minute, Refresh: time.Hour, RefreshIdle: time.Hour, Interaction: time.Hour,
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{provider: provider, db: db, tokens: tokens{"root": machine(ScopeAll)}, clock: clock}
	w.Service = &Service{
		Issuer: issuer, OAuth: engine{provider, w.tokens}, Store: db, Tokens: db, Allowed: db, Reached: db, Ring: ring, Trail: trail, Now: clock,
		People: &identity.Service{
			Store: db, Trail: trail, Limits: limits, Now: clock,
			Hasher: identity.NewHasher(identity.HasherConfig{Params: identity.Params{Memory: 64, Time: 1, Threads: 1}, Now: clock}),
		},
	}
	w.server = httptest.NewServer(mux(t, &Handler{Issuer: issuer, API: w.Service, Tokens: engine{provider, w.tokens}}))
	t.Cleanup(w.server.Close)
	return w
}

// client returns a Client with a token, whose every exchange is held to the
// OpenAPI document.
func (w *world) client(t *testing.T, token string) *Client {
	t.Helper()
	c, err := NewClient(w.server.URL, token, documented{t, document(t)})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// ways are the two ways to keep the contract, each opened on a store of its own.
func ways() map[string]func(t *testing.T) (context.Context, API, *world) {
	return map[string]func(t *testing.T) (context.Context, API, *world){
		"on the store": func(t *testing.T) (context.Context, API, *world) {
			t.Helper()
			w := newWorld(t)
			return NewContext(t.Context(), "client:ops"), w.Service, w
		},
		"over HTTP": func(t *testing.T) (context.Context, API, *world) {
			t.Helper()
			w := newWorld(t)
			return t.Context(), w.client(t, "root"), w
		},
	}
}

// clientCredentials asks the real token endpoint for everything c may have.
func (w *world) clientCredentials(t *testing.T, c ClientWithSecret) string {
	t.Helper()
	u, err := url.Parse(issuer)
	if err != nil {
		t.Fatal(err)
	}
	m, err := web.New(web.Config{Issuer: u, Internal: true, Log: slog.New(slog.DiscardHandler), Now: w.clock})
	if err != nil {
		t.Fatal(err)
	}
	(&oauth2.Handler{Provider: w.provider}).Routes(m)
	form := url.Values{"grant_type": {oauth2.GrantClientCredentials}, "scope": {strings.Join(c.Scopes, " ")}}
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "http://127.0.0.1/oauth2/token", strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.SetBasicAuth(c.ID, c.Secret)
	rec := httptest.NewRecorder()
	m.ServeHTTP(rec, r)
	var answer struct {
		Token string `json:"access_token"`
	}
	if err := json.Unmarshal(rec.Body.Bytes(), &answer); err != nil || answer.Token == "" {
		t.Fatalf("token endpoint: %d %s", rec.Code, rec.Body)
	}
	return answer.Token
}

// wantActor checks who did what the trail says of kind.
func (w *world) wantActor(t *testing.T, kind audit.Kind, actor string) {
	t.Helper()
	events, err := w.Events(t.Context(), audit.Filter{Kind: kind})
	if err != nil || len(events) != 1 || events[0].Actor != actor {
		t.Errorf("%s: %+v, %v; want one by %s", kind, events, err, actor)
	}
}

// documented holds every exchange to the OpenAPI document.
type documented struct {
	t   *testing.T
	doc map[string]any
}

func (d documented) RoundTrip(r *http.Request) (*http.Response, error) {
	d.t.Helper()
	op := d.operation(r)
	if r.Body != nil {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		request, _ := op["requestBody"].(map[string]any)
		d.check(request, "application/json", body, "request of "+r.URL.Path)
	}
	res, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, err
	}
	res.Body = io.NopCloser(bytes.NewReader(body))
	responses, _ := op["responses"].(map[string]any)
	answer, ok := responses[res.Status[:3]].(map[string]any)
	if !ok {
		answer, _ = responses["default"].(map[string]any)
	}
	if len(body) > 0 {
		media, _, _ := strings.Cut(res.Header.Get("Content-Type"), ";")
		d.check(answer, media, body, "answer of "+r.Method+" "+r.URL.Path)
	}
	return res, nil
}

// operation finds the row of a request in the document.
func (d documented) operation(r *http.Request) map[string]any {
	d.t.Helper()
	got := strings.Split(r.URL.EscapedPath(), "/")
	paths, _ := d.doc["paths"].(map[string]any)
	for path, item := range paths {
		want := strings.Split(path, "/")
		same := len(want) == len(got)
		for i := range want {
			same = same && i < len(got) && (want[i] == got[i] || strings.HasPrefix(want[i], "{"))
		}
		if op, ok := item.(map[string]any)[strings.ToLower(r.Method)].(map[string]any); same && ok {
			return op
		}
	}
	d.t.Errorf("%s %s is not documented", r.Method, r.URL.Path)
	return nil
}

func (d documented) check(part map[string]any, media string, body []byte, where string) {
	d.t.Helper()
	content, _ := part["content"].(map[string]any)
	described, _ := content[media].(map[string]any)
	schema, ok := described["schema"].(map[string]any)
	if !ok {
		d.t.Errorf("%s: %s is not documented", where, media)
		return
	}
	var v any
	if err := json.Unmarshal(body, &v); err != nil {
		d.t.Errorf("%s: %v", where, err)
		return
	}
	schemas, _ := d.doc["components"].(map[string]any)["schemas"].(map[string]any)
	checkSchema(d.t, schemas, schema, v, where, false)
}
