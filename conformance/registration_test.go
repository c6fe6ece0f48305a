package conformance

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"golang.org/x/oauth2"
)

// dynamicModules are those of the certification's Dynamic and third-party-login
// profiles that are about registration, by the name its suite has for them.
var dynamicModules = []struct {
	name string
	run  func(r *registrant)
}{
	{"server", dynamicServer},
	{"idtoken-rs256", idTokenAlgorithm},
	{"userinfo-rs256", userinfoAlgorithm},
	{"ensure-redirect-uri-in-authorization-request", redirectAmongTwo},
	{"redirect-uri-query-OK", redirectWithQuery},
	{"redirect-uri-query-mismatch", redirectWithOtherQuery},
	{"redirect-uri-query-added", redirectWithMoreQuery},
	{"redirect-uri-regfrag", redirectWithFragment},
	{"registration-logo-uri", showsLogo},
	{"registration-policy-uri", showsPolicy},
	{"registration-tos-uri", showsTerms},
	{"registration-jwks-uri", keysByReference},
	{"registration-sector-uri", sectorDocument},
	{"registration-sector-bad", sectorOfOthers},
	{"3rd-party-init-login", initiateLogin},
	{"3rd-party-init-login-nonhttps", initiateLoginInTheClear},
	{"client-management", manage},
	{"client-metadata-refused", refusesMetadata},
}

func TestDynamicRegistration(t *testing.T) {
	t.Parallel()
	env := []string{
		"GATEKEEPER_REGISTRATION=open", "GATEKEEPER_REGISTRATION_INSECURE_NO_PKCE=true",
		"GATEKEEPER_RESPONSE_TYPES=code,id_token,code id_token",
	}
	for name, deploy := range map[string]func(*testing.T, ...string) *deployment{"sqlite": embedded, "postgres and redis on two nodes": cluster} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := deploy(t, env...)
			d.user(t, ana, anaPassword, "--email-verified")
			r := newRegistrant(t, d)
			for _, m := range dynamicModules {
				t.Run(m.name, func(t *testing.T) { m.run(r.in(t)) })
			}
		})
	}
}

// dynamicServer: an application registers with keys that have no kid and without a
// scope, signs somebody in without PKCE, as the suite does, and leaves.
func dynamicServer(r *registrant) {
	c := r.register(object{"jwks": newSigner(r.T).jwks()})
	scope, _ := c.all["scope"].(string)
	for _, s := range []string{"openid", "profile", "email", "address", "phone", "offline_access"} {
		if !strings.Contains(" "+scope+" ", " "+s+" ") {
			r.Errorf("a client without a registered scope may have %q, without %s", scope, s)
		}
	}
	a := r.app(c, callback)
	tr := a.begin()
	u, err := url.Parse(tr.url)
	if err != nil {
		r.Fatal(err)
	}
	q := u.Query()
	q.Del("code_challenge")
	q.Del("code_challenge_method")
	u.RawQuery = q.Encode()
	tr.url = u.String()
	code := a.login(newBrowser(r.T, r.d.issuer), tr, ana, anaPassword)
	got := call(r.T, a.endpoint("token_endpoint"), c.id, c.secret, url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {callback}})
	access, _ := got.json["access_token"].(string)
	if got.status != http.StatusOK || a.userinfo(access).json["sub"] == nil {
		r.Fatalf("token endpoint: %d %s", got.status, got.text)
	}
	if left := r.ask(http.MethodDelete, c.uri, c.token, nil); left.status != http.StatusNoContent || left.text != "" {
		r.Errorf("leaving answered %d %s", left.status, left.text)
	}
	if again := r.ask(http.MethodGet, c.uri, c.token, nil); again.status != http.StatusUnauthorized {
		r.Errorf("afterwards the record answers %d", again.status)
	}
	poll(r.T, "every node knows that the application left", func() bool {
		for range 2 {
			if p := newBrowser(r.T, r.d.issuer).get(a.begin().url); p.status != http.StatusBadRequest {
				return false
			}
		}
		return true
	})
}

func idTokenAlgorithm(r *registrant) {
	for _, alg := range []string{"RS256", "ES256"} {
		c := r.register(object{"id_token_signed_response_alg": alg})
		a := r.app(c, callback)
		tr := a.begin()
		tok, err := a.config.Exchange(r.Context(), a.login(newBrowser(r.T, r.d.issuer), tr, ana, anaPassword), oauth2.VerifierOption(tr.pkce))
		if err != nil {
			r.Fatal(err)
		}
		raw, _ := tok.Extra("id_token").(string)
		if head := jwtPart(r.T, raw, 0); head["alg"] != alg || head["kid"] == nil {
			r.Errorf("registered %s, got %v", alg, head)
		}
	}
}

func userinfoAlgorithm(r *registrant) {
	c := r.register(object{"userinfo_signed_response_alg": "RS256"})
	a := r.app(c, callback)
	access, subject := r.flow(a)
	info := a.userinfo(access)
	if info.status != http.StatusOK || !strings.HasPrefix(info.header.Get("Content-Type"), "application/jwt") {
		r.Fatalf("userinfo: %d %v", info.status, info.header)
	}
	claims := jwtPart(r.T, info.text, 1)
	if claims["iss"] != r.d.issuer || claims["aud"] != c.id || claims["sub"] != subject || claims["nonce"] != nil {
		r.Errorf("claims %v", claims)
	}
}

// errorPage wants no redirect, and a page that says why.
func (r *registrant) errorPage(target string) {
	r.Helper()
	if p := newBrowser(r.T, r.d.issuer).get(target); p.left != nil || p.status != http.StatusBadRequest {
		r.Errorf("got %d, want an error page: %s", p.status, p)
	}
}

// without is an authorization request with its redirect_uri set, or gone if "".
func (r *registrant) without(c registration, redirect string) string {
	r.Helper()
	u, err := url.Parse(r.app(c, callback).begin().url)
	if err != nil {
		r.Fatal(err)
	}
	q := u.Query()
	q.Del("redirect_uri")
	if redirect != "" {
		q.Set("redirect_uri", redirect)
	}
	u.RawQuery = q.Encode()
	return u.String()
}

func redirectAmongTwo(r *registrant) {
	r.errorPage(r.without(r.register(object{"redirect_uris": []any{callback, callback + "/2"}}), ""))
}

func redirectWithQuery(r *registrant) {
	const redirect = callback + "?foo=bar"
	a := r.app(r.register(object{"redirect_uris": []any{redirect}}), redirect)
	tr := a.begin()
	b := newBrowser(r.T, r.d.issuer)
	p := b.signIn(b.get(tr.url), ana, anaPassword)
	if p.left == nil {
		p = b.allow(p)
	}
	if q := a.answer(tr, p); q.Get("foo") != "bar" || q.Get("code") == "" {
		r.Errorf("answer %v", q)
	}
}

func redirectWithOtherQuery(r *registrant) {
	c := r.register(object{"redirect_uris": []any{callback + "?foo=bar"}})
	r.errorPage(r.without(c, callback+"?bar=foo"))
}

func redirectWithMoreQuery(r *registrant) {
	r.errorPage(r.without(r.register(nil), callback+"?foo=bar"))
}

func redirectWithFragment(r *registrant) {
	r.refused(object{"redirect_uris": []any{callback + "#fragment"}}, "invalid_redirect_uri")
}

// shows wants the element with this id, with an attribute, on the sign-in and on
// the consent page.
func (r *registrant) shows(more object, id, attribute string) (value string) {
	r.Helper()
	b := newBrowser(r.T, r.d.issuer)
	login := b.get(r.app(r.register(more), callback).begin().url)
	for where, p := range map[string]*page{"sign-in": login, "consent": b.signIn(login, ana, anaPassword)} {
		n := p.element(id)
		if n == nil {
			r.Fatalf("the %s page has no #%s: %s", where, id, p)
		}
		value = attr(n, attribute)
		if n.Data == "a" && attr(n, "rel") != "noopener noreferrer nofollow" {
			r.Errorf("#%s has rel %q", id, attr(n, "rel"))
		}
	}
	return value
}

func showsLogo(r *registrant) {
	logo := r.site.publish("/logo.png", "image/png", picture(r.T))
	src := r.shows(object{"logo_uri": logo}, "client-logo", "src")
	if !strings.HasPrefix(src, "/logo/") {
		r.Fatalf("the page asks %s for the image", src)
	}
	got := r.ask(http.MethodGet, r.d.issuer+src, "", nil)
	if got.status != http.StatusOK || got.text != picture(r.T) || got.header.Get("Content-Type") != "image/png" || got.header.Get("X-Content-Type-Options") != "nosniff" {
		r.Errorf("the image: %d %v", got.status, got.header)
	}
	gone := r.shows(object{"logo_uri": r.site.URL + "/nothing.png"}, "client-logo", "src")
	if got := r.ask(http.MethodGet, r.d.issuer+gone, "", nil); got.status != http.StatusNotFound || !strings.Contains(got.text, ">S</text>") {
		r.Errorf("an image that nobody has: %d %s", got.status, got.text)
	}
}

func showsPolicy(r *registrant) {
	const at = "https://app.example/privacy"
	if got := r.shows(object{"policy_uri": at}, "client-policy", "href"); got != at {
		r.Errorf("the link leads to %s", got)
	}
}

func showsTerms(r *registrant) {
	const at = "https://app.example/terms"
	if got := r.shows(object{"tos_uri": at}, "client-terms", "href"); got != at {
		r.Errorf("the link leads to %s", got)
	}
}

func keysByReference(r *registrant) {
	s := newSigner(r.T)
	set, err := json.Marshal(s.jwks())
	if err != nil {
		r.Fatal(err)
	}
	c := r.register(object{"jwks_uri": r.site.publish("/jwks.json", "application/json", string(set)), "token_endpoint_auth_method": "private_key_jwt"})
	if c.secret != "" {
		r.Error("a client that signs was given a secret")
	}
	a := r.app(c, callback)
	tr := a.begin()
	code := a.login(newBrowser(r.T, r.d.issuer), tr, ana, anaPassword)
	form := r.assertion(s, c.id, a.endpoint("token_endpoint"))
	form.Set("grant_type", "authorization_code")
	form.Set("code", code)
	form.Set("redirect_uri", callback)
	form.Set("code_verifier", tr.pkce)
	if got := call(r.T, a.endpoint("token_endpoint"), c.id, "", form); got.status != http.StatusOK {
		r.Errorf("an assertion by the published key: %d %s", got.status, got.text)
	}
}

func sectorDocument(r *registrant) {
	sector := r.site.publish("/sector.json", "application/json", `["`+callback+`","https://other.example/cb"]`)
	more := object{"subject_type": "pairwise", "sector_identifier_uri": sector}
	_, public := r.flow(r.app(r.register(nil), callback))
	_, first := r.flow(r.app(r.register(more), callback))
	_, second := r.flow(r.app(r.register(more), callback))
	if first == public || first != second {
		r.Errorf("two applications of one sector call her %s and %s, the others %s", first, second, public)
	}
}

func sectorOfOthers(r *registrant) {
	sector := r.site.publish("/others.json", "application/json", `["https://other.example/cb"]`)
	r.refused(object{"subject_type": "pairwise", "sector_identifier_uri": sector}, "invalid_client_metadata")
	r.refused(object{"subject_type": "pairwise", "sector_identifier_uri": r.site.URL + "/nothing.json"}, "invalid_client_metadata")
}

func initiateLogin(r *registrant) {
	const at = "https://app.example/login"
	c := r.register(object{"initiate_login_uri": at})
	got := r.ask(http.MethodGet, c.uri, c.token, nil)
	if got.status != http.StatusOK || got.json["initiate_login_uri"] != at || got.header.Get("Content-Type") != "application/json" {
		r.Errorf("the record: %d %s", got.status, got.text)
	}
}

func initiateLoginInTheClear(r *registrant) {
	r.refused(object{"initiate_login_uri": "http://app.example/login"}, "invalid_client_metadata")
}

// manage is RFC 7592 section 2.
func manage(r *registrant) {
	c, other := r.register(nil), r.register(nil)
	for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodDelete} {
		for _, token := range []string{"", "guess", other.token} {
			got := r.ask(method, c.uri, token, base())
			if got.status != http.StatusUnauthorized || !strings.HasPrefix(got.header.Get("WWW-Authenticate"), "Bearer") {
				r.Errorf("%s with %q: %d", method, token, got.status)
			}
		}
	}
	next := base()
	next["client_id"], next["redirect_uris"], next["client_name"] = c.id, []any{callback + "/next"}, "Renamed"
	got := r.ask(http.MethodPut, c.uri, c.token, next)
	if got.status != http.StatusOK || got.json["registration_access_token"] != c.token {
		r.Fatalf("replace: %d %s", got.status, got.text)
	}
	r.echoes(next, got.json)
	poll(r.T, "every node knows the new redirect URI", func() bool {
		for range 2 {
			if p := newBrowser(r.T, r.d.issuer).get(r.without(c, callback+"/next")); p.element("password") == nil {
				return false
			}
		}
		return true
	})
	r.flow(r.app(c, callback+"/next")) // with the secret it had
	next["client_id"] = other.id
	if got := r.ask(http.MethodPut, c.uri, c.token, next); got.status != http.StatusBadRequest || got.json["error"] != "invalid_client_metadata" {
		r.Errorf("replace another: %d %s", got.status, got.text)
	}
}

func refusesMetadata(r *registrant) {
	for name, more := range map[string]object{
		"an algorithm nobody has": {"id_token_signed_response_alg": "none"}, "a subject type nobody has": {"subject_type": "x"},
		"a method nobody has": {"token_endpoint_auth_method": "x"}, "a quotation mark": {"id_token_signed_response_alg": "\"\\\u00e9"},
		"an implicit answer without its grant": {"response_types": []any{"id_token"}},
		"an answer that is switched off":       {"response_types": []any{"code token"}, "grant_types": []any{"authorization_code", "implicit"}},
		"a machine":                            {"grant_types": []any{"client_credentials"}},
	} {
		r.Run(name, func(t *testing.T) { r.in(t).refused(more, "invalid_client_metadata") })
	}
	for name, uri := range map[string]string{"plain http": "http://app.example/cb", "a script": "javascript:alert(1)", "no address": "x"} {
		r.Run(name, func(t *testing.T) {
			r.in(t).refused(object{"redirect_uris": []any{uri}}, "invalid_redirect_uri")
		})
	}
}
