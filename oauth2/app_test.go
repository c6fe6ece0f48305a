package oauth2_test

import (
	"crypto/ecdsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/gatekeeper-oidc/gatekeeper/audit"
	"github.com/gatekeeper-oidc/gatekeeper/oauth2"
)

// An app is a registered client and what it knows about itself.
type app struct {
	oauth2.Client
	f      *fixture
	secret string
	sign   func(claims map[string]any) string // private_key_jwt
	key    *ecdsa.PrivateKey                  // request objects
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
	if a.AuthMethod == oauth2.AuthBasic || a.AuthMethod == oauth2.AuthPost || a.SharesSecret() {
		var keep oauth2.SecretHash
		a.secret, keep = f.p.NewSecret(&a.Client)
		a.Secrets = []oauth2.SecretHash{keep}
	}
	must(f.tb, f.db.InsertClient(f.tb.Context(), a.Client))
	f.apps = append(f.apps, a.Client)
	for _, u := range f.people {
		f.allow(u, a.Client)
	}
	return a
}

func public(c *oauth2.Client)  { c.AuthMethod = oauth2.AuthNone }
func machine(c *oauth2.Client) { c.Type, c.Scopes = oauth2.Machine, []string{"api:read", "api:write"} }
func noPKCE(c *oauth2.Client)  { c.InsecureNoPKCE = true }
func hybrid(c *oauth2.Client) {
	c.Grants = []string{oauth2.GrantCode, oauth2.GrantRefresh, oauth2.GrantImplicit}
	c.ResponseTypes = oauth2.ResponseTypes()
}
func opaque(c *oauth2.Client) { c.AccessToken = "opaque" }

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
	if u.Fragment != "" {
		q, err = url.ParseQuery(u.EscapedFragment())
		must(r.tb, err)
		u.Fragment, u.RawFragment = "", ""
	}
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
