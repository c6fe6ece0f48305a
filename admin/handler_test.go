package admin

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatekeeper-oidc/gatekeeper/audit"
	"github.com/gatekeeper-oidc/gatekeeper/identity"
	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
	"github.com/gatekeeper-oidc/gatekeeper/internal/web"
	"github.com/gatekeeper-oidc/gatekeeper/oauth2"
)

const issuer = "https://id.example.org"

// tokens is a Tokens that knows a few.
type tokens map[string]oauth2.Token

func (k tokens) Inspect(_ context.Context, token string) (oauth2.Token, error) {
	if token == "down" {
		return oauth2.Token{}, fault.Down("store", errors.New("no answer"))
	}
	t, ok := k[token]
	if !ok {
		return oauth2.Token{}, oauth2.ErrInactive
	}
	return t, nil
}

// asked is an API that notes who came through, and does nothing.
type asked struct {
	API

	actor  string
	bound  bool
	user   string
	ids    []string
	all    bool
	called bool
}

func (a *asked) UnlockUser(ctx context.Context, user string) error {
	a.called, a.actor, a.user, a.bound = true, Actor(ctx), user, !mayDo(ctx, ScopeAll)
	return nil
}

func (a *asked) EndSessions(_ context.Context, user string, ids ...string) error {
	a.called, a.user, a.ids = true, user, ids
	return nil
}

func (a *asked) EndAllSessions(_ context.Context, user string) error {
	a.called, a.user, a.all = true, user, true
	return nil
}

func (a *asked) CreateInitialToken(context.Context, InitialTokenInput) (InitialTokenWithSecret, error) {
	a.called = true
	return InitialTokenWithSecret{}, nil
}

func (a *asked) Events(context.Context, audit.Filter) ([]audit.Event, error) {
	a.called = true
	return nil, nil
}

func (a *asked) ClientWarnings(context.Context, string) ([]string, error) { return nil, nil }

func (a *asked) CreateClient(_ context.Context, in ClientInput) (ClientWithSecret, error) {
	a.called = true
	return ClientWithSecret{Client: in.Client}, nil
}

func (a *asked) Users(context.Context, string, identity.Page) ([]identity.User, string, error) {
	a.called = true
	return nil, "", nil
}

func mux(t *testing.T, h web.Routes) *web.Mux {
	t.Helper()
	u, err := url.Parse(issuer)
	if err != nil {
		t.Fatal(err)
	}
	m, err := web.New(web.Config{Issuer: u, Internal: true, Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return noon }})
	if err != nil {
		t.Fatal(err)
	}
	h.Routes(m)
	return m
}

func do(t *testing.T, h http.Handler, method, path, token, body string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, "http://127.0.0.1:9090"+base+path, strings.NewReader(body))
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func machine(scopes ...string) oauth2.Token {
	return oauth2.Token{Kind: "access", ClientID: "ops", Subject: "ops", Scopes: scopes, Audience: []string{issuer}}
}

func person(roles []string, scopes ...string) oauth2.Token {
	t := machine(scopes...)
	t.User = &identity.User{ID: "u1", Roles: roles}
	t.Subject = "u1"
	return t
}

func TestAuthorize(t *testing.T) {
	t.Parallel()
	elsewhere := machine(ScopeAll)
	elsewhere.Audience = []string{"https://shop.example"}
	resource := machine(ScopeAll)
	resource.Audience = []string{issuer + base}
	refresh := machine(ScopeAll)
	refresh.Kind = "refresh"
	h := func(api API) *web.Mux {
		return mux(t, &Handler{Issuer: issuer, API: api, Tokens: tokens{
			"all": machine(ScopeAll), "users": machine("openid", ScopeUsers), "read": machine(ScopeRead), "keys": machine(ScopeKeys), "none": machine("openid"),
			"elsewhere": elsewhere, "resource": resource, "refresh": refresh,
			"admin": person([]string{"admin"}, ScopeAll), "someone": person([]string{"reporter"}, ScopeAll), "prefix": machine("admin:users2", "administrator"),
		}})
	}
	for _, tt := range []struct {
		name, token string
		status      int
		code, actor string
		bound       bool
	}{
		{"no token", "", 401, "invalid_token", "", false},
		{"unknown token", "bogus", 401, "invalid_token", "", false},
		{"refresh token", "refresh", 401, "invalid_token", "", false},
		{"token for another service", "elsewhere", 401, "invalid_token", "", false},
		{"store down", "down", 503, "temporarily_unavailable", "", false},
		{"no admin scope", "none", 403, "insufficient_scope", "", false},
		{"scope of another part", "keys", 403, "insufficient_scope", "", false},
		{"scope that only looks like one", "prefix", 403, "insufficient_scope", "", false},
		{"read-only scope on a change", "read", 403, "insufficient_scope", "", false},
		{"person without the role", "someone", 403, "not_an_administrator", "", false},
		{"scope of this part", "users", 204, "", "client:ops", true},
		{"scope admin", "all", 204, "", "client:ops", false},
		{"token for the admin resource", "resource", 204, "", "client:ops", false},
		{"administrator", "admin", 204, "", "user:u1", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			api := &asked{}
			w := do(t, h(api), "PUT", "/users/ana@example.org/unlock", tt.token, "")
			if w.Code != tt.status || tt.code != "" && !strings.Contains(w.Body.String(), `"code":"`+tt.code+`"`) {
				t.Fatalf("got %d %s, want %d %s", w.Code, w.Body, tt.status, tt.code)
			}
			if api.called != (tt.status == 204) || api.actor != tt.actor || api.bound != tt.bound {
				t.Errorf("api: %+v", api)
			}
			if (tt.status == 401 || tt.status == 403) && !strings.HasPrefix(w.Header().Get("WWW-Authenticate"), "Bearer") {
				t.Errorf("no challenge: %v", w.Header())
			}
			if tt.status >= 400 && w.Header().Get("Content-Type") != "application/problem+json" {
				t.Errorf("content type %q", w.Header().Get("Content-Type"))
			}
		})
	}
}

// TestNothingIsOpen walks the whole table without a token and with one that has
// no admin scope: no route may answer.
func TestNothingIsOpen(t *testing.T) {
	t.Parallel()
	h := mux(t, &Handler{Issuer: issuer, API: &asked{}, Tokens: tokens{"none": machine("openid", "offline_access")}})
	for _, rt := range routes(nil) {
		path := strings.NewReplacer("{id}", "x", "{client}", "y", "{ref}", "z").Replace(rt.path)
		if w := do(t, h, rt.method, path, "", ""); w.Code != 401 {
			t.Errorf("%s %s without a token: %d", rt.method, rt.path, w.Code)
		}
		if w := do(t, h, rt.method, path, "none", ""); w.Code != 403 {
			t.Errorf("%s %s without a scope: %d", rt.method, rt.path, w.Code)
		}
	}
}

func TestBodies(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, body string
		status     int
		says       string
	}{
		{"good", `{"id":"shop","type":"web"}`, 201, `"id":"shop"`},
		{"none", "", 415, "application/json"},
		{"not JSON", `{"id":`, 400, "well-formed"},
		{"null", `null`, 400, "null"},
		{"null for a member", `{"id":"shop","name":null}`, 400, "name is null"},
		{"null for a list", `{"id":"shop","redirect_uris":null}`, 400, "redirect_uris is null"},
		{"a list", `[]`, 400, ""},
		{"another spelling", `{"ID":"shop"}`, 400, "did you mean id"},
		{"a member twice", `{"id":"a","id":"b"}`, 400, "id is there twice"},
		{"a member twice by escape", `{"id":"a","\u0069d":"b"}`, 400, "id is there twice"},
		{"a member twice below", `{"id":"a","exchange":{"audiences":[],"audiences":["https://a"]}}`, 400, "exchange.audiences is there twice"},
		{"brackets", strings.Repeat("[", 200_000), 400, "deeper"},
		{"not UTF-8", "{\"id\":\"\xff\"}", 400, ""},
		{"unknown member", `{"id":"shop","redirect_uri":"https://a/"}`, 400, "no member redirect_uri"},
		{"secrets of its own", `{"id":"shop","Secrets":[]}`, 400, "no member Secrets"},
		{"wrong type", `{"id":7}`, 400, "id has the wrong type"},
		{"two values", `{"id":"a"}{"id":"b"}`, 400, "one well-formed"},
		{"text behind it", `{"id":"a"}]`, 400, "one well-formed"},
		{"too large", `{"id":"` + strings.Repeat("x", 1<<20) + `"}`, 413, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			api := &asked{}
			w := do(t, mux(t, &Handler{Issuer: issuer, API: api, Tokens: tokens{"all": machine(ScopeAll)}}), "POST", "/clients", "all", tt.body)
			if w.Code != tt.status || !strings.Contains(w.Body.String(), tt.says) {
				t.Errorf("got %d %s", w.Code, w.Body)
			}
			if api.called != (tt.status == 201) {
				t.Errorf("the API was called: %t", api.called)
			}
		})
	}
}

// TestMediaTypes: what does not say that it is JSON is not read as JSON.
func TestMediaTypes(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		header http.Header
		status int
	}{
		{http.Header{"Content-Type": {"application/json"}}, 201},
		{http.Header{"Content-Type": {"application/json; charset=utf-8"}}, 201},
		{http.Header{"Content-Type": {"text/plain"}}, 415},
		{http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}, 415},
		{http.Header{"Content-Type": {"application/jsonx"}}, 415},
		{http.Header{"Content-Type": {"application/json", "text/plain"}}, 415},
		{http.Header{}, 415},
	} {
		api := &asked{}
		h := mux(t, &Handler{Issuer: issuer, API: api, Tokens: tokens{"all": machine(ScopeAll)}})
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "http://127.0.0.1:9090"+base+"/clients", strings.NewReader(`{"id":"shop"}`))
		r.Header = tt.header.Clone()
		r.Header.Set("Authorization", "Bearer all")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != tt.status || api.called != (tt.status == 201) {
			t.Errorf("%v: got %d %s, want %d", tt.header, w.Code, w.Body, tt.status)
		}
	}
}

// TestNullMakesNothing: neither as a body nor as a member.
func TestNullMakesNothing(t *testing.T) {
	t.Parallel()
	for _, body := range []string{"null", `{"uses":null}`, `{"name":null}`, `{"life":null}`} {
		api := &asked{}
		h := mux(t, &Handler{Issuer: issuer, API: api, Tokens: tokens{"all": machine(ScopeAll)}})
		if w := do(t, h, "POST", "/registration-tokens", "all", body); w.Code != 400 || api.called {
			t.Errorf("%s: got %d, called %t", body, w.Code, api.called)
		}
	}
}

func TestQueries(t *testing.T) {
	t.Parallel()
	h := mux(t, &Handler{Issuer: issuer, API: &asked{}, Tokens: tokens{"all": machine(ScopeAll)}})
	for _, tt := range []struct {
		path   string
		status int
	}{
		{"/users", 200},
		{"/users?query=a&limit=3&after=x", 200},
		{"/users?limits=3", 400},
		{"/users?limit=-1", 400},
		{"/users?limit=many", 400},
		{"/events?since=yesterday", 400},
		{"/events?newest=perhaps", 400},
		{"/events?after=1.5", 400},
		{"/nothing", 404},
	} {
		if w := do(t, h, "GET", tt.path, "all", ""); w.Code != tt.status {
			t.Errorf("%s: %d, want %d: %s", tt.path, w.Code, tt.status, w.Body)
		}
	}
	if w := do(t, h, "GET", "/users", "all", ""); strings.TrimSpace(w.Body.String()) != `{"users":[]}` {
		t.Errorf("nobody: %s", w.Body)
	}
}

// TestEndSessionsNeverMeansAllByAccident: only the bare address means every one. A
// selection that cannot be read, or that selects nothing, is refused.
func TestEndSessionsNeverMeansAllByAccident(t *testing.T) {
	t.Parallel()
	ask := func(query, body string) (*asked, int) {
		api := &asked{}
		w := do(t, mux(t, &Handler{Issuer: issuer, API: api, Tokens: tokens{"all": machine(ScopeAll)}}), "DELETE", "/users/u1/sessions"+query, "all", body)
		return api, w.Code
	}
	for query, want := range map[string][]string{"?ids=a": {"a"}, "?ids=a,b": {"a", "b"}, "?ids=a%2Cb": {"a", "b"}} {
		if api, status := ask(query, ""); status != 204 || !slices.Equal(api.ids, want) || api.all {
			t.Errorf("%q: %d, ids %q, all %t; want %q", query, status, api.ids, api.all, want)
		}
	}
	for _, query := range []string{"", "?"} {
		if api, status := ask(query, ""); status != 204 || !api.all || api.ids != nil {
			t.Errorf("%q: %d, all %t; want all", query, status, api.all)
		}
	}
	for _, query := range []string{
		"?ids=", "?ids", "?ids=a;b", "?ids=a&ids=b", "?ids=%zz", "?ids=a,", "?ids=,", "?ids=,a", "?ids=a,,b", "?ids=a,a", "?ids=+", "?ids=a,+b",
		"?IDS=a", "?id=a", "?ids[]=a", "?ids=a&x=", "?;", "?%zz", "?ids=%00", "?ids=%FF", "?=a", "?ids=a;", "?x;ids=a",
	} {
		if api, status := ask(query, ""); status != 400 || api.called {
			t.Errorf("%q: %d, called %t; want 400", query, status, api.called)
		}
	}
	for body, want := range map[string]int{`{"ids":["a"]}`: 400, `["a"]`: 400, `null`: 400, `{}`: 204} {
		if api, status := ask("", body); status != want || api.called != (want == 204) {
			t.Errorf("with the body %s: %d, called %t; want %d", body, status, api.called, want)
		}
	}
}

// TestNoRouteForgivesAQuery: on every route of the table a query that cannot be
// read, or that says what the route does not know, is refused before any work.
func TestNoRouteForgivesAQuery(t *testing.T) {
	t.Parallel()
	api := &asked{}
	h := mux(t, &Handler{Issuer: issuer, API: api, Tokens: tokens{"all": machine(ScopeAll)}})
	for _, rt := range routes(nil) {
		path := strings.NewReplacer("{id}", "x", "{client}", "y", "{ref}", "z").Replace(rt.path)
		bad := []string{"?;", "?%zz", "?a=1", "?a=1;b=2", "?%FF=1", "?" + strings.Repeat("a=1&", 70)}
		for _, p := range rt.query {
			bad = append(bad, "?"+p.name+"=", "?"+p.name, "?"+p.name+"=1&"+p.name+"=1", "?"+p.name+"=1;x", "?"+p.name+"=%zz", "?"+strings.ToUpper(p.name)+"=1")
			if p.kind != "string" {
				bad = append(bad, "?"+p.name+"=x", "?"+p.name+"=1.5", "?"+p.name+"=+1", "?"+p.name+"=-1")
			}
		}
		for _, query := range bad {
			if w := do(t, h, rt.method, path+query, "all", ""); w.Code != 400 || api.called {
				t.Errorf("%s %s%s: %d, called %t", rt.method, rt.path, query, w.Code, api.called)
			}
		}
	}
}

// TestNamesTravelWhole: a name with anything in it arrives as it was.
func TestNamesTravelWhole(t *testing.T) {
	t.Parallel()
	api := &asked{}
	h := mux(t, &Handler{Issuer: issuer, API: api, Tokens: tokens{"all": machine(ScopeAll)}})
	srv := httptest.NewServer(h)
	defer srv.Close()
	c, err := NewClient(srv.URL, "all", nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"ana@example.org", "a+b/c@example.org", "100% sure", "ä?#&=", "a%2Fb", "..;", "a b"} {
		if err := c.UnlockUser(t.Context(), name); err != nil || api.user != name {
			t.Errorf("%q arrived as %q, %v", name, api.user, err)
		}
	}
	for _, name := range []string{"", ".", ".."} {
		if err := c.DeleteUser(t.Context(), name); !fault.Is(err, fault.NotFound) {
			t.Errorf("%q: %v, want not found", name, err)
		}
	}
}

func TestNewClientKeepsTheTokenSafe(t *testing.T) {
	t.Parallel()
	for server, ok := range map[string]bool{
		"https://id.example.org": true, "https://id.example.org/": true, "http://127.0.0.1:9090": true, "http://[::1]:9090": true, "http://localhost": true,
		"http://id.example.org": false, "http://127.0.0.1.example.org": false, "ftp://localhost": false, "id.example.org": false, "": false,
		"https://u:p@id.example.org": false, "https://id.example.org?x": false,
	} {
		if _, err := NewClient(server, "t", nil); (err == nil) != ok {
			t.Errorf("%q: %v", server, err)
		}
	}
	if _, err := NewClient("https://id.example.org", "", nil); err == nil {
		t.Error("no token is not refused")
	}
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { t.Error("followed with", r.Header) }))
	defer elsewhere.Close()
	srv := httptest.NewServer(http.RedirectHandler(elsewhere.URL, http.StatusTemporaryRedirect))
	defer srv.Close()
	c, err := NewClient(srv.URL, "secret", nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Keys(t.Context()); fault.Of(err).Code != "unexpected_answer" {
		t.Errorf("redirected: %v", err)
	}
}

func TestClientTellsWhatHappened(t *testing.T) {
	t.Parallel()
	answer := func(status int, body string) http.RoundTripper {
		return roundTrip(func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: status, Status: http.StatusText(status), Header: http.Header{"Retry-After": {"3"}}, Body: io.NopCloser(strings.NewReader(body))}, nil
		})
	}
	for _, tt := range []struct {
		name      string
		transport http.RoundTripper
		kind      fault.Kind
		code      string
	}{
		{"a problem", answer(409, `{"code":"client_exists","detail":"There is one.","reference":"7KQ2-M9XT"}`), fault.Conflict, "client_exists"},
		{"down", answer(503, `{"code":"temporarily_unavailable"}`), fault.Unavailable, "temporarily_unavailable"},
		{"another server", answer(404, `<html>`), fault.NotFound, "unexpected_answer"},
		{"a gateway", answer(502, ``), fault.Unavailable, "unexpected_answer"},
		{"nobody there", roundTrip(func(*http.Request) (*http.Response, error) { return nil, io.ErrUnexpectedEOF }), fault.Unavailable, "unreachable"},
	} {
		c, err := NewClient("https://id.example.org", "t", tt.transport)
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.Client(t.Context(), "shop")
		if f := fault.Of(err); f.Kind != tt.kind || f.Code != tt.code {
			t.Errorf("%s: %+v", tt.name, f)
		}
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
