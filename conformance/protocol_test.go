package conformance

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
)

// TestWhatApplicationsMeet is what applications that follow the letter of the
// specifications run into.
func TestWhatApplicationsMeet(t *testing.T) {
	everywhere(t, func(t *testing.T, d *deployment) {
		uid := d.user(t, ana, anaPassword, "--email-verified")
		secret := d.client(t, "shop", "--redirect-uri", callback, "--post-logout-redirect-uri", "http://127.0.0.1:9/bye",
			"--audience", "https://api.example", "--scope", "openid,email,offline_access")
		a := newApp(t, d, "shop", secret, callback, "openid", "email")
		t.Run("HEAD does nothing", func(t *testing.T) { headIsSafe(t, d, a) })
		t.Run("parameters of its own", func(t *testing.T) { ownParameters(t, a) })
		t.Run("a long state", func(t *testing.T) { longState(t, a) })
		t.Run("userinfo and resources", func(t *testing.T) { userinfoAudience(t, d, a) })
		t.Run("hints nobody can check", func(t *testing.T) { uselessHints(t, a) })
		t.Run("addresses nobody verified", func(t *testing.T) { unverified(t, d, a) })
		t.Run("installed applications", func(t *testing.T) { installed(t, d) })
		t.Run("sessions of a sector", func(t *testing.T) { sectorSessions(t, d) })
		t.Run("dates and types of assertions", func(t *testing.T) { assertions(t, d, uid) })
		t.Run("chunks close the connection", func(t *testing.T) { chunked(t, d) })
	})
}

func headIsSafe(t *testing.T, d *deployment, a *app) {
	t.Helper()
	b := newBrowser(t, d.issuer)
	a.tokens(b, ana, anaPassword)
	pushed := a.call("pushed_authorization_request_endpoint", url.Values{
		"response_type": {"code"}, "redirect_uri": {callback}, "scope": {"openid"}, "state": {"s"},
		"code_challenge": {strings.Repeat("A", 43)}, "code_challenge_method": {"S256"},
	})
	at := d.issuer + "/oauth2/authorize?" + url.Values{"client_id": {"shop"}, "request_uri": {fmt.Sprint(pushed.json["request_uri"])}}.Encode()
	for _, target := range []string{at, a.begin().url, d.issuer + "/oidc/logout", d.issuer + "/login"} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodHead, target, nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := b.http.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.Header.Get("Location") != "" || res.StatusCode != http.StatusOK {
			t.Errorf("HEAD %s answered %d to %q", r.URL.Path, res.StatusCode, res.Header.Get("Location"))
		}
	}
	if p := b.get(at); p.left == nil || p.left.Query().Get("code") == "" {
		t.Errorf("the pushed request was spent, or the session ended: %s", p)
	}
}

func ownParameters(t *testing.T, a *app) {
	t.Helper()
	for _, own := range [][]string{{"r", "x"}, {"i", "x"}, {"r", "x", "i", "y", "anything", "z"}} {
		b := newBrowser(t, a.issuer)
		tr := a.begin(own...)
		a.redeem(tr, a.login(b, tr, ana, anaPassword))
		form, err := url.Parse(a.begin(own...).url)
		if err != nil {
			t.Fatal(err)
		}
		if p := b.post(a.issuer+"/oauth2/authorize", form.Query()); p.left == nil || p.left.Query().Get("code") == "" {
			t.Errorf("%v by POST: %s", own, p)
		}
	}
}

func longState(t *testing.T, a *app) {
	t.Helper()
	state := strings.Repeat("s", 4096)
	b := newBrowser(t, a.issuer)
	tr := a.begin("state", state)
	tr.state = state
	a.redeem(tr, a.login(b, tr, ana, anaPassword))
}

func userinfoAudience(t *testing.T, d *deployment, a *app) {
	t.Helper()
	b := newBrowser(t, d.issuer)
	tok, _ := a.tokens(b, ana, anaPassword)
	if r := a.userinfo(tok.AccessToken); r.status != http.StatusOK {
		t.Errorf("a token for nothing in particular: %d %s", r.status, r.text)
	}
	tr := a.begin("resource", "https://api.example")
	tok, _ = a.redeem(tr, a.code(tr, b.get(tr.url)))
	if r := a.userinfo(tok.AccessToken); r.status != http.StatusUnauthorized {
		t.Errorf("a token for another resource: %d", r.status)
	}
	if c := jwtPart(t, tok.AccessToken, 1); c["aud"] != "https://api.example" {
		t.Errorf("aud %v", c["aud"])
	}
}

func uselessHints(t *testing.T, a *app) {
	t.Helper()
	b := newBrowser(t, a.issuer)
	a.tokens(b, ana, anaPassword)
	for _, hint := range []string{"a.b.c", "garbage", newSigner(t).sign(t, object{"iss": a.issuer, "sub": "x", "aud": "shop", "exp": time.Now().Unix()})} {
		tr := a.begin("prompt", "none", "id_token_hint", hint)
		a.redeem(tr, a.code(tr, b.get(tr.url)))
		p := b.get(a.endpoint("end_session_endpoint") + "?" + url.Values{"id_token_hint": {hint}, "post_logout_redirect_uri": {"http://127.0.0.1:9/bye"}}.Encode())
		if p.left != nil || p.element("logout-confirm") == nil {
			t.Errorf("sign-out with %.10s: %s", hint, p)
		}
	}
}

func unverified(t *testing.T, d *deployment, a *app) {
	t.Helper()
	d.user(t, "victim@bank.example", anaPassword)
	tok, id := a.tokens(newBrowser(t, d.issuer), "victim@bank.example", anaPassword)
	for name, c := range map[string]object{
		"access token": jwtPart(t, tok.AccessToken, 1), "introspection": a.call("introspection_endpoint", url.Values{"token": {tok.AccessToken}}).json,
	} {
		if c["email"] != nil {
			t.Errorf("%s says %v", name, c["email"])
		}
	}
	var claims object
	if err := id.Claims(&claims); err != nil {
		t.Fatal(err)
	}
	if info := a.userinfo(tok.AccessToken).json; info["email_verified"] != false {
		t.Errorf("userinfo: %v", info)
	}
	tr := a.begin("claims", `{"userinfo":{"email":null}}`, "scope", "openid")
	tok, _ = a.redeem(tr, a.login(newBrowser(t, d.issuer), tr, "victim@bank.example", anaPassword))
	if info := a.userinfo(tok.AccessToken).json; info["email"] != nil && info["email_verified"] != false {
		t.Errorf("userinfo of a claim asked for by name: %v", info)
	}
}

func installed(t *testing.T, d *deployment) {
	t.Helper()
	d.client(t, "tool", "--type", "native", "--redirect-uri", "http://127.0.0.1/cb", "--redirect-uri", "https://tool.example/cb")
	d.client(t, "ourtool", "--type", "native", "--first-party", "--redirect-uri", "com.example.ours:/cb")
	for id, redirect := range map[string]string{"tool": "http://127.0.0.1:4711/cb", "ourtool": "com.example.ours:/cb"} {
		a, b := newApp(t, d, id, "", redirect, "openid"), newBrowser(t, d.issuer)
		a.tokens(b, ana, anaPassword)
		tr := a.begin("prompt", "none")
		if q := a.answer(tr, b.get(tr.url)); q.Get("error") != "consent_required" {
			t.Errorf("%s: another application of that computer gets %v", id, q)
		}
		if p := b.get(a.begin().url); p.element("consent-accept") == nil {
			t.Errorf("%s is not asked: %s", id, p)
		}
	}
	a, b := newApp(t, d, "tool", "", "https://tool.example/cb", "openid"), newBrowser(t, d.issuer)
	a.tokens(b, ana, anaPassword)
	tr := a.begin("prompt", "none")
	a.redeem(tr, a.code(tr, b.get(tr.url)))
	for _, uri := range []string{"http://127.0.0.1:0/cb", "http://127.0.0.1:65536/cb", "http://[::1]:99999/cb", "https://tool.example:0/cb"} {
		if _, _, err := d.try(t, "", "client", "create", "odd", "--type", "native", "--redirect-uri", uri); err == nil {
			t.Errorf("%s was registered", uri)
		}
	}
}

func sectorSessions(t *testing.T, d *deployment) {
	t.Helper()
	b := newBrowser(t, d.issuer)
	sids := map[any]string{}
	for _, id := range []string{"one", "two"} {
		secret := d.client(t, id, "--redirect-uri", "https://"+id+".example/cb", "--subject-type", "pairwise")
		a := newApp(t, d, id, secret, "https://"+id+".example/cb", "openid")
		tok, idt := a.tokens(b, ana, anaPassword)
		raw, _ := tok.Extra("id_token").(string)
		sid := jwtPart(t, raw, 1)["sid"]
		if other := sids[sid]; other != "" {
			t.Errorf("%s and %s are told one session", id, other)
		}
		sids[sid] = id
		answer := a.call("introspection_endpoint", url.Values{"token": {tok.AccessToken}})
		if answer.json["active"] != true || answer.json["sid"] != sid || jwtPart(t, tok.AccessToken, 1)["sid"] != sid {
			t.Errorf("%s: the papers disagree about the session: %s", id, answer.text)
		}
		if p := b.get(a.endpoint("end_session_endpoint") + "?id_token_hint=" + raw); id == "two" && p.element("logout-confirm") != nil {
			t.Errorf("its own hint asks: %s (%s)", p, idt.Subject)
		}
		if id == "one" { // which has signed out: the next one signs in anew
			b = newBrowser(t, d.issuer)
		}
	}
}

func assertions(t *testing.T, d *deployment, uid string) {
	t.Helper()
	s := newSigner(t)
	keys, err := json.Marshal(s.jwks())
	if err != nil {
		t.Fatal(err)
	}
	d.client(t, "signer", "--type", "machine", "--auth-method", "private_key_jwt", "--jwks-file", write(t, t.TempDir(), "keys.json", string(keys)), "--audience", "https://api.example")
	now := float64(time.Now().Unix())
	for _, tt := range []struct {
		name string
		more string // members, as they are written
		want int
	}{
		{"whole", `"iat":%.0f,"exp":%.0f`, 200},
		{"with a fraction", `"iat":%.3f,"exp":%.3f`, 200},
		{"twice", `"iat":%.0f,"exp":%.0f,"sub":"signer"`, 401},
		{"in another case too", `"iat":%.0f,"exp":%.0f,"Sub":"` + uid + `"`, 200},
	} {
		token := s.signText(t, `{"iss":"signer","sub":"signer","aud":"`+d.issuer+`","jti":"`+uuid.NewString()+`",`+fmt.Sprintf(tt.more, now, now+60.5)+`}`, "JWT")
		if r := assert(t, d, token); r.status != tt.want || tt.want == 200 && jwtPart(t, fmt.Sprint(r.json["access_token"]), 1)["sub"] != "signer" {
			t.Errorf("%s: %d %s", tt.name, r.status, r.text)
		}
	}
	for ahead, want := range map[float64]int{10: 200, 25: 200, 70: 401} {
		token := s.signText(t, fmt.Sprintf(`{"iss":"signer","sub":"signer","aud":%q,"jti":%q,"iat":%.0f,"nbf":%.0f,"exp":%.0f}`, d.issuer, uuid.NewString(), now+ahead, now+ahead, now+120), "")
		if r := assert(t, d, token); r.status != want {
			t.Errorf("%.0f s ahead: %d %s", ahead, r.status, r.text)
		}
	}
	for typ, want := range map[string]int{"": 200, "JWT": 200, "client-authentication+jwt": 200, "logout+jwt": 401, "oauth-authz-req+jwt": 401, "at+jwt": 401} {
		token := s.signText(t, fmt.Sprintf(`{"iss":"signer","sub":"signer","aud":%q,"jti":%q,"iat":%.0f,"exp":%.0f}`, d.issuer, uuid.NewString(), now, now+60), typ)
		if r := assert(t, d, token); r.status != want {
			t.Errorf("typ %q: %d %s", typ, r.status, r.text)
		}
	}
}

func assert(t *testing.T, d *deployment, token string) reply {
	t.Helper()
	return call(t, d.issuer+"/oauth2/token", "", "", url.Values{
		"grant_type": {"client_credentials"}, "client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}, "client_assertion": {token},
	})
}

// chunked sends what two readers could take for two requests.
func chunked(t *testing.T, d *deployment) {
	t.Helper()
	for _, path := range []string{"/oauth2/token", "/nowhere"} {
		c, err := net.Dial("tcp", d.nodes[0].listen)
		if err != nil {
			t.Fatal(err)
		}
		host := strings.TrimPrefix(d.issuer, "http://")
		_, err = fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", path, host)
		if err != nil {
			t.Fatal(err)
		}
		res, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatal(err)
		}
		if !res.Close {
			t.Errorf("%s: the connection stays open: %v", path, res.Header)
		}
		_ = res.Body.Close()
		_ = c.Close()
	}
}
