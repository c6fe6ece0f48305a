package conformance

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
)

// TestClientsAsLibrariesAreMade: what common client libraries do in their standard
// configuration works against an application registered with ours.
func TestClientsAsLibrariesAreMade(t *testing.T) {
	everywhere(t, func(t *testing.T, d *deployment) {
		d.user(t, ana, anaPassword, "--email-verified")
		t.Run("a secret in the header or in the body", func(t *testing.T) { secretEitherWay(t, d) })
		t.Run("refresh tokens without offline_access", func(t *testing.T) { refreshByRegistration(t, d) })
		t.Run("access tokens with the header type JWT", func(t *testing.T) { headerTypeJWT(t, d) })
		t.Run("ids that other systems made", func(t *testing.T) { foreignIDs(t, d) })
		t.Run("schemes without a dot", func(t *testing.T) { shortSchemes(t, d) })
		t.Run("assertions of an hour", func(t *testing.T) { longAssertions(t, d) })
		t.Run("why a token is withheld", func(t *testing.T) { withheld(t, d) })
	})
}

// onBothNodes reports whether ok holds twice running: requests alternate between the
// nodes.
func onBothNodes(ok func() bool) bool {
	for range 2 {
		if !ok() {
			return false
		}
	}
	return true
}

func secretEitherWay(t *testing.T, d *deployment) {
	t.Helper()
	token := func(id, secret string) reply {
		return call(t, d.issuer+"/oauth2/token", "", "", url.Values{"grant_type": {"client_credentials"}, "client_id": {id}, "client_secret": {secret}})
	}
	secret := d.client(t, "job", "--type", "machine", "--audience", "https://api.example")
	if r := token("job", secret); r.status != http.StatusOK {
		t.Errorf("a secret in the body: %d %s", r.status, r.text)
	}
	d.cli(t, "client", "update", "job", "--exact-auth-method")
	poll(t, "the update is known on every node", func() bool {
		return onBothNodes(func() bool { return token("job", secret).status == http.StatusUnauthorized })
	})
	description, _ := token("job", secret).json["error_description"].(string)
	d.explains(t, description, "gatekeeper client update job --exact-auth-method=false")
}

// explains wants `gatekeeper explain` of the reference in a description to name what
// would let the request through.
func (d *deployment) explains(t *testing.T, description, fix string) {
	t.Helper()
	_, ref, _ := strings.Cut(strings.TrimSuffix(description, ")"), "(ref ")
	poll(t, "the refusal "+ref+" is explained", func() bool {
		out, _, err := d.try(t, "", "explain", ref)
		return err == nil && strings.Contains(out, fix)
	})
}

func refreshByRegistration(t *testing.T, d *deployment) {
	t.Helper()
	for _, tt := range []struct {
		id   string
		args []string
		want bool
	}{
		{"tool", []string{"--type", "native", "--redirect-uri", callback}, true},
		{"ours", []string{"--type", "web", "--first-party", "--redirect-uri", callback}, true},
		{"theirs", []string{"--type", "web", "--redirect-uri", callback}, false},
		{"asked", []string{"--type", "web", "--refresh", "registered", "--redirect-uri", callback}, true},
		{"strict", []string{"--type", "native", "--refresh", "offline_access", "--redirect-uri", callback}, false},
	} {
		secret := d.client(t, tt.id, tt.args...)
		a := newApp(t, d, tt.id, secret, callback, "openid", "email")
		b := newBrowser(t, d.issuer)
		tok, _ := a.tokens(b, ana, anaPassword)
		if got := tok.RefreshToken != ""; got != tt.want {
			t.Errorf("%s: a refresh token %v, want %v", tt.id, got, tt.want)
		}
		if tok.RefreshToken == "" {
			continue
		}
		next, err := a.refresh(tok.RefreshToken)
		if err != nil {
			t.Errorf("%s: %v", tt.id, err)
			continue
		}
		b.signOutHere(t)
		if _, err := a.refresh(next.RefreshToken); err == nil {
			t.Errorf("%s: the refresh token outlived the session", tt.id)
		}
	}
}

// signOutHere signs the browser's person out by the account's own way.
func (b *browser) signOutHere(t *testing.T) {
	t.Helper()
	p := b.get(b.issuer.String() + "/oidc/logout")
	f := p.form(t, "logout-confirm")
	if p = b.post(f.action.String(), f.fields); p.status != http.StatusOK {
		t.Fatalf("sign-out: %s", p)
	}
}

func headerTypeJWT(t *testing.T, d *deployment) {
	t.Helper()
	secret := d.client(t, "spring", "--type", "web", "--redirect-uri", callback, "--access-token-typ", "JWT")
	a := newApp(t, d, "spring", secret, callback, "openid", "email")
	tok, _ := a.tokens(newBrowser(t, d.issuer), ana, anaPassword)
	id, _ := tok.Extra("id_token").(string)
	if head := jwtPart(t, tok.AccessToken, 0); head["typ"] != "JWT" {
		t.Errorf("header %v", head)
	}
	if !a.active(tok.AccessToken) || a.userinfo(tok.AccessToken).status != http.StatusOK {
		t.Error("the token is good for nothing")
	}
	if a.active(id) || a.userinfo(id).status != http.StatusUnauthorized {
		t.Error("an ID token passes for an access token")
	}
	p := newBrowser(t, d.issuer).get(a.endpoint("end_session_endpoint") + "?" + url.Values{"id_token_hint": {tok.AccessToken}, "post_logout_redirect_uri": {"http://127.0.0.1:9/bye"}}.Encode())
	if p.left != nil {
		t.Errorf("an access token passes for an id_token_hint: sent to %s", p.left)
	}
}

func foreignIDs(t *testing.T, d *deployment) {
	t.Helper()
	person := d.user(t, "bob@example.org", anaPassword)
	for _, id := range []string{uuid.NewString(), "https://app.example/meta", "urn:example:app", "app@example.org"} {
		secret := d.client(t, id, "--type", "machine", "--audience", "https://api.example")
		if r := call(t, d.issuer+"/oauth2/token", id, secret, url.Values{"grant_type": {"client_credentials"}}); r.status != http.StatusOK {
			t.Errorf("%s: %d %s", id, r.status, r.text)
		}
		d.cli(t, "client", "update", id, "--name", "Moved here")
		if c := decode[object](t, d, "client", "get", id); c["id"] != id || c["name"] != "Moved here" {
			t.Errorf("%s: %v", id, c)
		}
		d.cli(t, "client", "delete", id, "--yes")
	}
	for _, id := range []string{person, strings.ToUpper(person)} {
		if _, errOut, err := d.try(t, "", "client", "create", id, "--type", "machine"); err == nil || !strings.Contains(errOut, "id of a person") {
			t.Errorf("a client with a person's id: %v %s", err, errOut)
		}
	}
}

func shortSchemes(t *testing.T, d *deployment) {
	t.Helper()
	if _, errOut, err := d.try(t, "", "client", "create", "phone", "--type", "native", "--redirect-uri", "app:/cb"); err == nil || !strings.Contains(errOut, "insecure_short_scheme") {
		t.Errorf("a short scheme without the flag: %v %s", err, errOut)
	}
	d.client(t, "phone", "--type", "native", "--redirect-uri", "app:/cb", "--insecure-short-scheme")
	for _, uri := range []string{"javascript:/alert(1)", "data:/x", "file:/etc/passwd", "about:/blank"} {
		if _, _, err := d.try(t, "", "client", "create", "evil", "--type", "native", "--redirect-uri", uri, "--insecure-short-scheme"); err == nil {
			t.Errorf("%s was registered", uri)
		}
	}
}

func longAssertions(t *testing.T, d *deployment) {
	t.Helper()
	s := newSigner(t)
	keys, err := json.Marshal(s.jwks())
	if err != nil {
		t.Fatal(err)
	}
	file := write(t, t.TempDir(), "keys.json", string(keys))
	d.client(t, "signer", "--type", "machine", "--auth-method", "private_key_jwt", "--jwks-file", file, "--audience", "https://api.example")
	token := func() reply {
		now := time.Now().Unix()
		return call(t, d.issuer+"/oauth2/token", "", "", url.Values{
			"grant_type": {"client_credentials"}, "client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
			"client_assertion": {s.sign(t, object{"iss": "signer", "sub": "signer", "aud": d.issuer, "iat": now, "exp": now + 3590, "jti": uuid.NewString()})},
		})
	}
	if r := token(); r.status != http.StatusUnauthorized || !strings.Contains(r.text, "lives too long") {
		t.Errorf("an assertion of an hour: %d %s", r.status, r.text)
	}
	d.cli(t, "client", "update", "signer", "--assertion-max-age", "1h")
	poll(t, "every node takes an assertion of an hour", func() bool {
		return onBothNodes(func() bool { return token().status == http.StatusOK })
	})
}

func withheld(t *testing.T, d *deployment) {
	t.Helper()
	secret := d.client(t, "caller", "--type", "machine", "--audience", "https://one.example")
	other := d.client(t, "other", "--type", "machine", "--audience", "https://two.example")
	r := call(t, d.issuer+"/oauth2/token", "caller", secret, url.Values{"grant_type": {"client_credentials"}})
	access, _ := r.json["access_token"].(string)
	if r := call(t, d.issuer+"/oauth2/introspect", "other", other, url.Values{"token": {access}}); r.json["active"] != false || len(r.json) != 1 {
		t.Errorf("introspection: %s", r.text)
	}
	poll(t, "a log tells why", func() bool {
		for _, n := range d.nodes {
			if strings.Contains(n.log.String(), `"withheld":`) && strings.Contains(n.log.String(), "https://two.example") {
				return true
			}
		}
		return false
	})
}

// TestSelfRegisteredClientsMayUseResource is how MCP clients come (RFC 8707): they
// register themselves, say no application_type, and ask for a resource and no
// offline_access.
func TestSelfRegisteredClientsMayUseResource(t *testing.T) {
	t.Parallel()
	const resource = "https://mcp.example"
	env := []string{"GATEKEEPER_REGISTRATION=open", "GATEKEEPER_REGISTRATION_AUDIENCES=" + resource}
	for name, begin := range map[string]func(*testing.T, ...string) *deployment{"sqlite": embedded, "postgres and redis on two nodes": cluster} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := begin(t, env...)
			d.user(t, ana, anaPassword, "--email-verified")
			c := newRegistrant(t, d).register(object{
				"token_endpoint_auth_method": "none", "grant_types": []any{"authorization_code", "refresh_token"}, "redirect_uris": []any{"http://127.0.0.1/callback"},
			})
			if c.all["application_type"] != "native" {
				t.Errorf("application_type %v", c.all["application_type"])
			}
			a := newApp(t, d, c.id, "", "http://127.0.0.1:43521/callback", "openid")
			tr := a.begin("resource", resource)
			tok, _ := a.redeem(tr, a.login(newBrowser(t, d.issuer), tr, ana, anaPassword))
			if aud := jwtPart(t, tok.AccessToken, 1)["aud"]; aud != resource {
				t.Errorf("aud %v, want %s", aud, resource)
			}
			if tok.RefreshToken == "" {
				t.Error("no refresh token: the person would sign in every fifteen minutes")
			} else if _, err := a.refresh(tok.RefreshToken); err != nil {
				t.Error(err)
			}
			tr = a.begin("resource", "https://other.example")
			q := a.answer(tr, newBrowser(t, d.issuer).get(tr.url))
			if q.Get("error") != "invalid_target" {
				t.Errorf("another resource: %v", q)
			}
			d.explains(t, q.Get("error_description"), "registration_audiences: [https://other.example]")
			r := newRegistrant(t, d).ask(http.MethodPost, d.issuer+"/oidc/register", "", object{"redirect_uris": []any{callback}, "scope": "orders:read"})
			description, _ := r.json["error_description"].(string)
			d.explains(t, description, "registration_scopes: add orders:read")
		})
	}
}

// TestFrameworksPage registers everything docs/frameworks.md tells people to.
func TestFrameworksPage(t *testing.T) {
	t.Parallel()
	d := embedded(t)
	n := 0
	for line := range strings.Lines(readFile(t, "../docs/frameworks.md")) {
		_, command, found := strings.Cut(line, "`gatekeeper client create ")
		command, _, _ = strings.Cut(command, "`")
		if !found {
			continue
		}
		n++
		if c := decode[object](t, d, append([]string{"client", "create"}, strings.Fields(command)...)...); c["id"] == nil {
			t.Errorf("%s: %v", command, c)
		}
	}
	if n < 15 {
		t.Errorf("%d commands, want those of the page", n)
	}
}
