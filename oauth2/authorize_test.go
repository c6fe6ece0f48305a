package oauth2_test

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatekeeper-oidc/gatekeeper/oauth2"
)

// Both tables of authorization checks: each rule decides at least one row.
func TestAuthorizeRefuses(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, f *fixture) {
		shop := f.app("shop", func(c *oauth2.Client) { c.Audience = []string{"https://api.example"} })
		f.app("pub", public)
		f.app("service", func(c *oauth2.Client) { c.Grants = []string{oauth2.GrantClientCredentials} })
		f.app("off", func(c *oauth2.Client) { c.Disabled = true })
		f.app("pusher", func(c *oauth2.Client) { c.RequirePAR = true })
		f.app("signer", func(c *oauth2.Client) { c.RequireSignedRequest, c.JWKSURI = true, "https://shop.example/jwks" })
		f.app("hybrid", hybrid)
		seen := map[string]bool{"people_hints": true, "id_token_hint_ours": true} // refuse nothing
		for _, c := range []struct {
			name, rule, code string // code "": the person sees a page
			edit             func(v url.Values)
		}{
			{"two client ids", "client_id_once", "", func(v url.Values) { v.Add("client_id", "shop") }},
			{"two redirect URIs", "redirect_uri_once", "", func(v url.Values) { v.Add("redirect_uri", callback) }},
			{"no client id", "client_registered", "", func(v url.Values) { v.Del("client_id") }},
			{"an empty client id", "client_registered", "", func(v url.Values) { v.Set("client_id", "") }},
			{"an unknown client", "client_registered", "", func(v url.Values) { v.Set("client_id", "nobody") }},
			{"a disabled client", "client_registered", "", func(v url.Values) { v.Set("client_id", "off") }},
			{"a huge client id", "client_registered", "", func(v url.Values) { v.Set("client_id", strings.Repeat("x", 5000)) }},
			{"a client id in another case", "client_registered", "", func(v url.Values) { v.Set("client_id", "Shop") }},
			{"no redirect URI", "redirect_uri_registered", "", func(v url.Values) { v.Del("redirect_uri") }},
			{"another redirect URI", "redirect_uri_registered", "", func(v url.Values) { v.Set("redirect_uri", callback+"/") }},
			{"a redirect URI with a query", "redirect_uri_registered", "", func(v url.Values) { v.Set("redirect_uri", callback+"?a=b") }},
			{"a redirect URI with a fragment", "redirect_uri_registered", "", func(v url.Values) { v.Set("redirect_uri", callback+"#") }},
			{"a redirect URI in another case", "redirect_uri_registered", "", func(v url.Values) { v.Set("redirect_uri", "HTTPS://shop.example/cb") }},

			{"an unknown response mode", "response_mode_known", "invalid_request", func(v url.Values) { v.Set("response_mode", "carrier_pigeon") }},
			{"two states", "no_repeated_parameters", "invalid_request", func(v url.Values) { v.Add("state", "b") }},
			{"two scopes", "no_repeated_parameters", "invalid_request", func(v url.Values) { v.Add("scope", "email") }},
			{"two unknown parameters", "no_repeated_parameters", "invalid_request", func(v url.Values) { v["zebra"] = []string{"a", "b"} }},
			{"a long nonce", "parameter_sizes", "invalid_request", func(v url.Values) { v.Set("nonce", strings.Repeat("n", 513)) }},
			{"a long scope", "parameter_sizes", "invalid_request", func(v url.Values) { v.Set("scope", strings.Repeat("s", 1025)) }},
			{"a long challenge", "parameter_sizes", "invalid_request", func(v url.Values) { v.Set("code_challenge", strings.Repeat("c", 129)) }},
			{"two request objects", "one_request_object", "invalid_request", func(v url.Values) { v.Set("request", "a.b.c"); v.Set("request_uri", "https://a.example/r") }},
			{"an unsigned request object", "request_object_signed", "invalid_request_object", func(v url.Values) { v.Set("request", "eyJhbGciOiJub25lIn0.e30.") }},
			{"an unregistered request by reference", "request_uri_registered", "invalid_request_uri", func(v url.Values) { v.Set("request_uri", "https://a.example/r") }},
			{"a request that was to be pushed", "pushed_when_required", "invalid_request", func(v url.Values) { v.Set("client_id", "pusher") }},
			{"a request that was to be signed", "signed_when_required", "invalid_request", func(v url.Values) { v.Set("client_id", "signer") }},
			{"a registration", "registration_unsupported", "registration_not_supported", func(v url.Values) { v.Set("registration", "{}") }},
			{"no response type", "response_type_known", "invalid_request", func(v url.Values) { v.Del("response_type") }},
			{"response type token", "response_type_known", "unsupported_response_type", func(v url.Values) { v.Set("response_type", "token") }},
			{"response type code code", "response_type_known", "unsupported_response_type", func(v url.Values) { v.Set("response_type", "code code") }},
			{"response type none", "response_type_known", "unsupported_response_type", func(v url.Values) { v.Set("response_type", "none") }},
			{"an unregistered response type", "response_type_registered", "unauthorized_client", func(v url.Values) { v.Set("response_type", "code id_token") }},
			{"a client without the grant", "response_type_registered", "unauthorized_client", func(v url.Values) { v.Set("client_id", "service") }},
			{"tokens in a query", "response_mode_known", "invalid_request", func(v url.Values) { v.Set("response_type", "id_token"); v.Set("response_mode", "query") }},
			{"an ID token without openid", "openid_for_id_token", "invalid_request", func(v url.Values) {
				v.Set("client_id", "hybrid")
				v.Set("response_type", "code id_token")
				v.Set("scope", "email")
			}},
			{"an ID token without nonce", "nonce", "invalid_request", func(v url.Values) {
				v.Set("client_id", "hybrid")
				v.Set("response_type", "id_token code")
				v.Del("nonce")
			}},
			{"claims that are no JSON", "claims_parameter", "invalid_request", func(v url.Values) { v.Set("claims", "name") }},
			{"claims that are a list", "claims_parameter", "invalid_request", func(v url.Values) { v.Set("claims", "[]") }},
			{"claims with a brace too many", "claims_parameter", "invalid_request", func(v url.Values) { v.Set("claims", `{"userinfo":{}}}`) }},
			{"claims with a bracket behind", "claims_parameter", "invalid_request", func(v url.Values) { v.Set("claims", `{"userinfo":{}}]`) }},
			{"claims given twice", "claims_parameter", "invalid_request", func(v url.Values) { v.Set("claims", `{"userinfo":{},"userinfo":{}}`) }},
			{"claims of the wrong form", "claims_parameter", "invalid_request", func(v url.Values) { v.Set("claims", `{"userinfo":{"name":"x"}}`) }},
			{"an acr nobody reaches", "claims_parameter", "unmet_authentication_requirements", func(v url.Values) {
				v.Set("claims", `{"id_token":{"acr":{"essential":true,"values":["urn:x:gold"]}}}`)
			}},
			{"a quote in the scope", "scope_grammar", "invalid_scope", func(v url.Values) { v.Set("scope", `openid "x"`) }},
			{"a line break in the scope", "scope_grammar", "invalid_scope", func(v url.Values) { v.Set("scope", "openid\r\nx") }},
			{"only unregistered scopes", "scope_grammar", "invalid_scope", func(v url.Values) { v.Set("scope", "OpenID") }},
			{"fifty-one scopes", "scope_grammar", "invalid_scope", func(v url.Values) { v.Set("scope", words(51)) }},
			{"a foreign resource", "resource_allowed", "invalid_target", func(v url.Values) { v.Set("resource", "https://bank.example") }},
			{"no challenge", "pkce_s256", "invalid_request", func(v url.Values) { v.Del("code_challenge"); v.Del("code_challenge_method") }},
			{"no challenge of a public client", "pkce_s256", "invalid_request", func(v url.Values) { v.Set("client_id", "pub"); v.Del("code_challenge"); v.Del("code_challenge_method") }},
			{"a method without challenge", "pkce_s256", "invalid_request", func(v url.Values) { v.Del("code_challenge") }},
			{"method plain", "pkce_s256", "invalid_request", func(v url.Values) { v.Set("code_challenge_method", "plain") }},
			{"no method, which means plain", "pkce_s256", "invalid_request", func(v url.Values) { v.Del("code_challenge_method") }},
			{"a challenge of one letter", "pkce_s256", "invalid_request", func(v url.Values) { v.Set("code_challenge", "x") }},
			{"a challenge with spaces", "pkce_s256", "invalid_request", func(v url.Values) { v.Set("code_challenge", strings.Repeat(" ", 43)) }},
			{"a padded challenge", "pkce_s256", "invalid_request", func(v url.Values) { v.Set("code_challenge", challengeOf("x")[:42]+"=") }},
			{"an unknown prompt", "prompt_values", "invalid_request", func(v url.Values) { v.Set("prompt", "dance") }},
			{"prompt none and login", "prompt_values", "invalid_request", func(v url.Values) { v.Set("prompt", "none login") }},
			{"a max_age that is no number", "max_age_seconds", "invalid_request", func(v url.Values) { v.Set("max_age", "soon") }},
			{"a max_age with a sign", "max_age_seconds", "invalid_request", func(v url.Values) { v.Set("max_age", "+5") }},
			{"a negative max_age", "max_age_seconds", "invalid_request", func(v url.Values) { v.Set("max_age", "-1") }},
		} {
			v := shop.request()
			c.edit(v)
			r := f.authorize("alice", v)
			if got := f.rule.Load(); got != c.rule {
				t.Errorf("%s: rule %v decided, want %s", c.name, got, c.rule)
			}
			seen[c.rule] = true
			if c.code == "" {
				isPage(t, c.name, r)
				continue
			}
			to, q := r.location()
			if to != callback || q.Get("error") != c.code || q.Get("iss") != issuer || q.Has("code") {
				t.Errorf("%s: told %s %v, want %s", c.name, to, q, c.code)
			}
			if q.Get("state") != "a state" || !plain(q.Get("error_description")) || len(q) != 5 || q.Get("session_state") == "" {
				t.Errorf("%s: told %v", c.name, q)
			}
		}
		for _, rule := range oauth2.Rules() {
			if !seen[rule] {
				t.Errorf("no row for rule %s", rule)
			}
		}
	})
}

func words(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString("s" + strconv.Itoa(i) + " ")
	}
	return b.String()
}

func isPage(t *testing.T, name string, r reply) {
	t.Helper()
	if r.Status != http.StatusBadRequest || r.Header.Get("Location") != "" || !strings.HasPrefix(r.Header.Get("Content-Type"), "text/html") {
		t.Errorf("%s: status %d, Location %q, type %q, want a page", name, r.Status, r.Header.Get("Location"), r.Header.Get("Content-Type"))
	}
}

// plain reports whether s has only what RFC 6749 section 4.1.2.1 allows.
func plain(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < 0x20 || c > 0x7E || c == '"' || c == '\\' {
			return false
		}
	}
	return s != ""
}

func TestAuthorizeAccepts(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, f *fixture) {
		shop := f.app("shop", func(c *oauth2.Client) {
			c.RedirectURIs = append(c.RedirectURIs, "https://shop.example/cb?tenant=1&x=")
			c.Audience = []string{"https://a.example", "https://b.example"}
		})
		hint := shop.login().ID
		for _, c := range []struct {
			name string
			edit func(v url.Values)
		}{
			{"an ordinary request", func(url.Values) {}},
			{"no state", func(v url.Values) { v.Del("state") }},
			{"a state of one letter", func(v url.Values) { v.Set("state", "x") }},
			{"a state of every kind of letter", func(v url.Values) { v.Set("state", strings.Repeat("aZ0 <>&\"'\\%+=/?é☃", 100)) }},
			{"a short nonce", func(v url.Values) { v.Set("nonce", "n") }},
			{"no nonce", func(v url.Values) { v.Del("nonce") }},
			{"a nonce of 384 letters", func(v url.Values) { v.Set("nonce", strings.Repeat("n", 384)) }},
			{"no scope", func(v url.Values) { v.Del("scope") }},
			{"unknown scopes among known ones", func(v url.Values) { v.Set("scope", "openid nonsense email") }},
			{"everything that may be ignored", func(v url.Values) {
				with(v, "display", "popup", "ui_locales", "de fr", "claims_locales", "de", "login_hint", "a@b.example", "acr_values", "9 8", "zebra", "1", "audience", "x")
			}},
			{"an empty parameter twice removed", func(v url.Values) { v.Set("prompt", "") }},
			{"two resources", func(v url.Values) { v["resource"] = []string{"https://a.example", "https://b.example"} }},
			{"a redirect URI with a query", func(v url.Values) { v.Set("redirect_uri", "https://shop.example/cb?tenant=1&x=") }},
			{"response mode query", func(v url.Values) { v.Set("response_mode", "query") }},
			{"a large max_age", func(v url.Values) { v.Set("max_age", "9999999999") }},
			{"prompt none", func(v url.Values) { v.Set("prompt", "none") }},
			{"the person's own hint", func(v url.Values) { v.Set("id_token_hint", hint) }},
		} {
			v := shop.request()
			c.edit(v)
			for _, method := range []string{"GET", "POST"} {
				r := f.authorize("alice", v)
				if method == "POST" {
					r = f.posted("alice", v)
				}
				_, q := r.location()
				if q.Get("code") == "" || q.Get("iss") != issuer || q.Has("error") {
					t.Errorf("%s by %s: %v", c.name, method, q)
				}
				if q.Get("state") != v.Get("state") || q.Has("state") != v.Has("state") {
					t.Errorf("%s by %s: state %q, want %q", c.name, method, q.Get("state"), v.Get("state"))
				}
				if want := strings.Contains(v.Get("redirect_uri"), "tenant"); (q.Get("tenant") == "1") != want {
					t.Errorf("%s by %s: Location %s", c.name, method, r.Header.Get("Location"))
				}
			}
		}
	})
}

// posted sends v from another site's form, which brings no cookie, and follows the
// redirect, which does.
func (f *fixture) posted(name string, v url.Values) reply {
	f.tb.Helper()
	r := f.do(http.MethodPost, "/oauth2/authorize", strings.NewReader(v.Encode()), "Origin", "https://shop.example", "Sec-Fetch-Site", "cross-site")
	to, q := r.location()
	if to != "/oauth2/authorize" || q.Get("r") == "" {
		f.tb.Fatalf("a posted request went to %s %v", to, q)
	}
	return f.visit(name, r.Header.Get("Location"))
}

func TestPostedRequests(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, f *fixture) {
		shop := f.app("shop")
		post := func(v url.Values) reply {
			return f.do(http.MethodPost, "/oauth2/authorize", strings.NewReader(v.Encode()), "Sec-Fetch-Site", "cross-site")
		}
		if _, q := post(shop.request("response_type", "none")).location(); q.Get("error") != "unsupported_response_type" {
			t.Errorf("a refused posted request told %v", q)
		}
		isPage(t, "an unknown client by POST", post(shop.request("client_id", "nobody")))
		huge := shop.request("state", strings.Repeat("s", 2048), "login_hint", strings.Repeat("l", 320), "nonce", strings.Repeat("\"", 512), "acr_values",
			strings.Repeat("\\", 512), "ui_locales", strings.Repeat("\"", 256))
		huge.Set("state", strings.Repeat("\"", 2048))
		if _, q := post(huge).location(); q.Get("error") != "invalid_request" {
			t.Errorf("a request too long for a query told %v", q)
		}
		r := post(shop.request())
		sealed := r.Header.Get("Location")
		isPage(t, "a changed seal", f.visit("alice", sealed[:len(sealed)-4]+"AAAA"))
		f.later(2 * time.Minute)
		isPage(t, "an old seal", f.visit("alice", sealed))
		sealed = post(shop.request()).Header.Get("Location")
		shop.RedirectURIs = []string{"https://shop.example/new"}
		must(t, f.db.UpdateClient(t.Context(), shop.Client))
		isPage(t, "a redirect URI withdrawn in the meantime", f.visit("alice", sealed))
	})
}

// A request waits in an interaction that belongs to one browser and is spent once.
func TestInteractions(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, f *fixture) {
		shop := f.app("shop")
		r := f.authorize("", shop.request())
		to, q := r.location()
		id, cookie := q.Get("i"), strings.Split(r.Header.Get("Set-Cookie"), ";")[0]
		if to != "/login" || id == "" || !strings.HasPrefix(cookie, "__Host-gk_tx=") {
			t.Fatalf("a stranger was sent to %s %v, cookie %q", to, q, cookie)
		}
		resume := oauth2.ResumeURL(id)
		if r := f.visit("alice", resume); r.Status != http.StatusNotFound {
			t.Errorf("another browser resumed: %d", r.Status)
		}
		if to, _ := f.visit("", resume, cookie).location(); to != "/login" {
			t.Errorf("nobody went on to %s", to)
		}
		f.store.fail("ConsumeInteraction", 1)
		if r := f.visit("alice", resume, cookie); r.Status != http.StatusServiceUnavailable || r.Header.Get("Retry-After") == "" {
			t.Errorf("a store that is down: %d", r.Status)
		}
		var codes atomic.Int32
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				if r := f.visit("alice", resume, cookie); r.Status == http.StatusSeeOther {
					codes.Add(1)
				}
			})
		}
		all.Wait()
		if codes.Load() != 1 {
			t.Errorf("%d of 8 tabs got a code, want 1", codes.Load())
		}
	})
}

// What a step decides from is what was asked, within bounds.
func TestInteractionKeepsTheRequest(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, f *fixture) {
		year := 31_536_000_000
		shop := f.app("shop", func(c *oauth2.Client) { c.DefaultMaxAge, c.Audience = &year, []string{"https://a.example"} })
		hint := shop.login().ID
		kept := func(pairs ...string) oauth2.AuthorizeRequest {
			_, q := f.authorize("", shop.request(pairs...)).location()
			in, err := f.db.Interaction(t.Context(), q.Get("i"))
			must(t, err)
			return in.Request
		}
		zero, most := int64(0), int64(315_360_000)
		registered, err := f.db.Client(t.Context(), "shop")
		must(t, err)
		want := oauth2.AuthorizeRequest{
			ClientID: "shop", Registration: registered.Registration, RedirectURI: callback, ResponseType: "code", ResponseMode: "query", Scopes: []string{"openid", "email"},
			Audience: []string{"https://a.example"}, State: "a state", Nonce: "a nonce", CodeChallenge: challengeOf(verifier),
			Prompt: []string{"login", "consent"}, MaxAge: &zero, HintSubject: f.user.ID, LoginHint: "a@b.example", UILocales: []string{"de", "fr"},
			ACRValues: []string{"2"}, Display: "page",
		}
		got := kept("scope", "email openid email nonsense", "prompt", "login consent login", "max_age", "0", "id_token_hint", hint,
			"login_hint", "a@b.example", "ui_locales", "de fr", "acr_values", "2", "display", "page")
		slices.Sort(got.Scopes)
		slices.Sort(want.Scopes)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("request (-want +got):\n%s", diff)
		}
		for name, age := range map[string]*int64{"of the request": kept("max_age", "9999999999").MaxAge, "of the client": kept().MaxAge} {
			if age == nil || *age != most {
				t.Errorf("max_age %s: %v, want %d", name, age, most)
			}
		}
	})
}

func TestPromptsAndPeople(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, f *fixture) {
		shop := f.app("shop")
		hint := shop.login().ID
		f.person("bob")
		told := func(name string, pairs ...string) string {
			_, q := f.authorize(name, shop.request(pairs...)).location()
			return q.Get("error")
		}
		for _, c := range []struct{ name, got, want string }{
			{"none without a session", told("", "prompt", "none"), "login_required"},
			{"somebody else than hinted", told("bob", "prompt", "none", "id_token_hint", hint), "login_required"},
			{"somebody else, and no prompt", told("bob", "id_token_hint", hint), "login_required"},
		} {
			if c.got != c.want {
				t.Errorf("%s: %q, want %q", c.name, c.got, c.want)
			}
		}
		f.steps.consent.Store(true)
		if got := told("alice", "prompt", "none"); got != "consent_required" {
			t.Errorf("none without consent: %q", got)
		}
		if f.rule.Load() != nil {
			t.Errorf("what a person has to do was recorded as a refusal by %v", f.rule.Load())
		}
		// The person says no.
		r := f.authorize("alice", shop.request())
		_, q := r.location()
		cookie := strings.Split(r.Header.Get("Set-Cookie"), ";")[0]
		in, err := f.db.Interaction(t.Context(), q.Get("i"))
		must(t, err)
		in.Denied = "access_denied"
		must(t, f.p.Advance(t.Context(), in))
		_, q = f.visit("alice", oauth2.ResumeURL(in.ID), cookie).location()
		if q.Get("error") != "access_denied" || q.Get("state") != "a state" || q.Get("iss") != issuer {
			t.Errorf("a no was told as %v", q)
		}
		if r := f.visit("alice", oauth2.ResumeURL(in.ID), cookie); r.Status != http.StatusNotFound {
			t.Errorf("a denied interaction was resumed: %d", r.Status)
		}
	})
}

// A sign-in in the second of the request is not taken for one within it.
func TestPromptLoginAsksInTheSameSecond(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, f *fixture) {
		shop := f.app("shop")
		f.session.AuthTime = f.now().Truncate(time.Second)
		must(t, f.db.PutSession(t.Context(), f.session))
		r := f.authorize("alice", shop.request("prompt", "login"))
		to, q := r.location()
		if to != "/login" {
			t.Fatalf("prompt=login went to %s %v", to, q)
		}
		cookie := strings.Split(r.Header.Get("Set-Cookie"), ";")[0]
		in, err := f.db.Interaction(t.Context(), q.Get("i"))
		must(t, err)
		in.Authenticated = f.session.ID
		must(t, f.p.Advance(t.Context(), in))
		if _, q := f.visit("alice", oauth2.ResumeURL(in.ID), cookie).location(); q.Get("code") == "" {
			t.Errorf("after the sign-in: %v", q)
		}
	})
}

// F15: the answer by form_post needs no inline script, and no quoting is forgotten.
func TestFormPost(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, f *fixture) {
		shop := f.app("shop")
		r := f.authorize("alice", shop.request("response_mode", "form_post", "state", `"><script>alert(1)</script>`))
		if r.Status != http.StatusOK || strings.Contains(r.Body, "<script>") || strings.Contains(r.Body, "onload") {
			t.Errorf("status %d, body %s", r.Status, r.Body)
		}
		for _, want := range []string{`action="` + callback + `"`, `name="code"`, `name="iss"`, `name="state"`} {
			if !strings.Contains(r.Body, want) {
				t.Errorf("the page has no %s", want)
			}
		}
		if csp := r.Header.Get("Content-Security-Policy"); strings.Contains(csp, "unsafe-inline") || strings.Contains(csp, "form-action") {
			t.Errorf("policy %s", csp)
		}
		if _, q := f.authorize("alice", f.app("own", func(c *oauth2.Client) { c.Type, c.RedirectURIs = oauth2.Native, []string{"com.example:/cb"} }).
			request("redirect_uri", "com.example:/cb", "response_mode", "form_post")).location(); q.Get("error") != "invalid_request" || q.Has("code") {
			t.Errorf("a form was sent to a scheme no browser posts to: %v", q)
		}
		r = f.authorize("", shop.request("response_mode", "form_post", "prompt", "none"))
		if !strings.Contains(r.Body, "login_required") || strings.Contains(r.Body, `name="code"`) {
			t.Errorf("an error by form_post: %s", r.Body)
		}
	})
}
