package oidc

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatekeeper-oidc/gatekeeper/audit"
	"github.com/gatekeeper-oidc/gatekeeper/internal/ratelimit"
	"github.com/gatekeeper-oidc/gatekeeper/oauth2"
)

// TestRegisterDefaults: what RFC 7591 section 2 says of members left out.
func TestRegisterDefaults(t *testing.T) {
	t.Parallel()
	r := newRegistry(t)
	status, out, header := r.ask(http.MethodPost, pathRegister, "", shop(object{"unknown": object{"a": 1}, "client_name#de": "Laden"}))
	if status != http.StatusCreated || header.Get("Cache-Control") != "no-store" || header.Get("Content-Type") != "application/json" {
		t.Fatalf("%d %v %v", status, header, out)
	}
	id, _ := out["client_id"].(string)
	for member, want := range map[string]any{
		"token_endpoint_auth_method": "client_secret_basic", "application_type": "web", "scope": strings.Join(everyScope(), " "),
		"id_token_signed_response_alg": "RS256", "subject_type": "public", "client_secret_expires_at": 0.0,
		"registration_client_uri": issuer + "/oidc/register/" + id,
	} {
		if out[member] != want {
			t.Errorf("%s = %v, want %v", member, out[member], want)
		}
	}
	for member, want := range map[string][]any{
		"grant_types": {"authorization_code"}, "response_types": {"code"}, "redirect_uris": {"https://shop.example/cb"},
	} {
		if d := cmp.Diff(any(want), out[member]); d != "" {
			t.Errorf("%s (-want +got):\n%s", member, d)
		}
	}
	if _, echoed := out["unknown"]; echoed {
		t.Error("a member nobody knows is echoed")
	}
	if issued, _ := out["client_id_issued_at"].(float64); issued < 1e9 {
		t.Errorf("client_id_issued_at %v", out["client_id_issued_at"])
	}
	c := r.stored(id)
	secret, _ := out["client_secret"].(string)
	if !c.Dynamic || c.InsecureNoPKCE || c.FirstParty || c.IntrospectAny || len(c.Secrets) != 1 || !r.provider.HasSecret(&c, secret) {
		t.Errorf("stored: %+v", c)
	}
	reg, err := r.db.Registration(t.Context(), id)
	if err != nil || !reg.Proves(out["registration_access_token"].(string)) || reg.Proves("another") || strings.Contains(string(reg.TokenHash), "gk_rat_") {
		t.Errorf("registration: %+v, %v", reg, err)
	}
	if d := cmp.Diff([]string{"client.registered by client:ID"}, r.events(id)); d != "" {
		t.Errorf("events (-want +got):\n%s", d)
	}
}

// everything is a registration with every member there is.
func everything(t *testing.T, r *registry) object {
	t.Helper()
	r.shelf.put("https://shop.example/sector.json", "application/json", `["https://shop.example/cb","https://other.example/cb"]`)
	var set any
	if err := json.Unmarshal(newIssuerKey(t).jwks(), &set); err != nil {
		t.Fatal(err)
	}
	return object{
		"client_name": "The Shop", "application_type": "web", "redirect_uris": []any{"https://shop.example/cb", "https://other.example/cb"},
		"post_logout_redirect_uris": []any{"https://shop.example/bye"}, "grant_types": []any{"authorization_code", "refresh_token", "implicit"},
		"response_types": []any{"code", "code id_token"}, "scope": "openid email", "request_uris": []any{"https://shop.example/r.jwt#1"},
		"initiate_login_uri": "https://shop.example/login", "require_pushed_authorization_requests": true, "require_signed_request_object": true,
		"token_endpoint_auth_method": "private_key_jwt", "token_endpoint_auth_signing_alg": "PS256", "jwks": set,
		"id_token_signed_response_alg": "ES256", "userinfo_signed_response_alg": "RS256", "authorization_signed_response_alg": "ES256",
		"introspection_signed_response_alg": "RS256", "request_object_signing_alg": "RS256",
		"subject_type": "pairwise", "sector_identifier_uri": "https://shop.example/sector.json", "default_max_age": 300.0,
		"default_acr_values": []any{"1"}, "require_auth_time": true,
		"backchannel_logout_uri": "https://shop.example/bc", "backchannel_logout_session_required": true,
		"frontchannel_logout_uri": "https://shop.example/fc", "frontchannel_logout_session_required": true,
		"client_uri": "https://shop.example/", "logo_uri": "https://shop.example/logo.png", "policy_uri": "https://shop.example/privacy",
		"tos_uri": "https://shop.example/terms", "contacts": []any{"ops@shop.example"}, "software_id": "shop", "software_version": "1.2",
	}
}

// TestRegisterEchoesEverything: every registered member comes back, when it is
// registered, when it is read, and after it replaced itself.
func TestRegisterEchoesEverything(t *testing.T) {
	t.Parallel()
	r := newRegistry(t)
	sent := everything(t, r)
	m := r.registers(sent)
	_, read, _ := r.ask(http.MethodGet, m.path, m.token, nil)
	again := object{"client_id": m.id}
	for member, v := range sent {
		again[member] = v
	}
	_, replaced, _ := r.ask(http.MethodPut, m.path, m.token, again)
	for where, out := range map[string]object{"registered": m.all, "read": read, "replaced": replaced} {
		for member, want := range sent {
			if d := cmp.Diff(want, out[member]); d != "" {
				t.Errorf("%s, %s (-sent +got):\n%s", where, member, d)
			}
		}
		if out["registration_access_token"] != m.token || out["client_id"] != m.id || out["client_secret"] != nil {
			t.Errorf("%s: %v", where, out)
		}
	}
	if d := cmp.Diff([]string{"client.registered by client:ID", "client.updated by client:ID"}, r.events(m.id)); d != "" {
		t.Errorf("replacing with the same changed something (-want +got):\n%s", d)
	}
}

// TestEveryMemberIsDecided: each member of a client either belongs to a
// registration or is the operator's.
func TestEveryMemberIsDecided(t *testing.T) {
	t.Parallel()
	operators := []string{
		"ID", "Audience", "FirstParty", "InsecureNoPKCE", "IntrospectAny", "AssertionAudience", "AccessToken", "AccessTokenAlg", "AccessTokenTTL",
		"RefreshTokenTTL", "ExactAuthMethod", "AssertionMaxAge", "AccessTokenTyp", "Refresh", "InsecureShortScheme", "Dynamic", "Disabled", "Secrets", "Registration", "CreatedAt", "UpdatedAt",
	}
	full := oauth2.Client{}
	v := reflect.ValueOf(&full).Elem()
	for i := range v.NumField() {
		switch f := v.Field(i); f.Interface().(type) {
		case string, oauth2.ClientType:
			f.SetString("x")
		case []string:
			f.Set(reflect.ValueOf([]string{"x"}))
		case bool:
			f.SetBool(true)
		case int:
			f.SetInt(1)
		case *int:
			f.Set(reflect.ValueOf(new(int)))
		case json.RawMessage:
			f.SetBytes([]byte("{}"))
		}
	}
	for _, m := range members {
		m.reset(&full)
	}
	for i := range v.NumField() {
		name := v.Type().Field(i).Name
		if f := v.Field(i); f.IsZero() == slices.Contains(operators, name) && name != "Secrets" && name != "CreatedAt" && name != "UpdatedAt" {
			t.Errorf("%s is neither a member of a registration nor the operator's, or both", name)
		}
	}
}

// TestRegisterRefuses is RFC 7591 section 3.2.2, rule by rule.
func TestRegisterRefuses(t *testing.T) {
	t.Parallel()
	r := newRegistry(t, func(c *RegistrarConfig) {
		c.Rules = ratelimit.Rules{Register: ratelimit.Rule{Name: "r", Burst: 1000, Period: time.Second}}
	})
	r.shelf.put("https://shop.example/others.json", "application/json", `["https://other.example/cb"]`)
	r.shelf.put("https://shop.example/object.json", "application/json", `{"a":1}`)
	r.shelf.put("https://shop.example/page", "text/html", `["https://shop.example/cb"]`)
	const metadata, redirect, device = "invalid_client_metadata", "invalid_redirect_uri", oauth2.GrantDevice
	for _, tt := range []struct {
		name string
		body any
		code string
	}{
		{"nothing", "", metadata},
		{"no object", `[]`, metadata},
		{"two objects", `{"redirect_uris":["https://a.example/"]}{}`, metadata},
		{"a member twice", `{"redirect_uris":["https://a.example/"],"client_name":"a","client_name":"b"}`, metadata},
		{"an object that does not end", `{"redirect_uris":["https://a.example/"]`, metadata},
		{"no redirect URI", object{}, redirect},
		{"a redirect URI that is no list", object{"redirect_uris": "https://shop.example/cb"}, redirect},
		{"a redirect URI with a fragment", object{"redirect_uris": []string{"https://shop.example/cb#f"}}, redirect},
		{"a redirect URI with an empty fragment", object{"redirect_uris": []string{"https://shop.example/cb#"}}, redirect},
		{"plain http", object{"redirect_uris": []string{"http://shop.example/cb"}}, redirect},
		{"a script", object{"redirect_uris": []string{"javascript:alert(1)"}}, redirect},
		{"a scheme of its own on the web", object{"redirect_uris": []string{"com.example.app:/cb"}}, redirect},
		{"a relative redirect URI", object{"redirect_uris": []string{"/cb"}}, redirect},
		{"implicit to localhost", object{"redirect_uris": []string{"http://localhost/cb"}, "grant_types": []string{"implicit"}, "response_types": []string{"id_token"}}, metadata},
		{"an implicit response type without its grant", shop(object{"response_types": []string{"id_token"}}), metadata},
		{"a response type that is not offered", shop(object{"response_types": []string{"token"}, "grant_types": []string{"implicit"}}), metadata},
		{"an unknown grant", shop(object{"grant_types": []string{"password"}}), metadata},
		{"a grant without a person", shop(object{"grant_types": []string{"client_credentials"}}), metadata},
		{"only scopes it may not have", shop(object{"scope": "admin admin:clients"}), metadata},
		{"a scope list", shop(object{"scope": []string{"openid"}}), metadata},
		{"an unknown method", shop(object{"token_endpoint_auth_method": "tls_client_auth"}), metadata},
		{"keys and their address", shop(object{"jwks": object{"keys": []any{}}, "jwks_uri": "https://shop.example/jwks"}), metadata},
		{"keys that are none", shop(object{"jwks": object{"keys": []any{}}}), metadata},
		{"keys that are a text", shop(object{"jwks": "{}"}), metadata},
		{"private_key_jwt without keys", shop(object{"token_endpoint_auth_method": "private_key_jwt"}), metadata},
		{"an unknown algorithm", shop(object{"id_token_signed_response_alg": "RS1"}), metadata},
		{"the algorithm none", shop(object{"id_token_signed_response_alg": "none"}), metadata},
		{"HS256 without a secret", shop(object{"id_token_signed_response_alg": "HS256", "token_endpoint_auth_method": "none"}), metadata},
		{"an unknown subject type", shop(object{"subject_type": "secret"}), metadata},
		{"pairwise on two hosts", object{"subject_type": "pairwise", "redirect_uris": []string{"https://a.example/cb", "https://b.example/cb"}}, metadata},
		{"pairwise by a scheme of its own", object{
			"subject_type": "pairwise", "application_type": "native", "redirect_uris": []string{"com.evil.app://shop.example/cb"},
		}, metadata},
		{"pairwise for a device", shop(object{"subject_type": "pairwise", "grant_types": []string{"authorization_code", device}}), metadata},
		{"pairwise for a device, by the document of others", object{
			"subject_type": "pairwise", "grant_types": []string{device}, "sector_identifier_uri": "https://shop.example/others.json",
		}, metadata},
		{"a sector document that nobody has", shop(object{"sector_identifier_uri": "https://shop.example/nothing.json"}), metadata},
		{"a sector document of others", shop(object{"subject_type": "pairwise", "sector_identifier_uri": "https://shop.example/others.json"}), metadata},
		{"a sector document that is no list", shop(object{"sector_identifier_uri": "https://shop.example/object.json"}), metadata},
		{"a sector document that is a page", shop(object{"sector_identifier_uri": "https://shop.example/page"}), metadata},
		{"a sector document over http", shop(object{"sector_identifier_uri": "http://shop.example/sector.json"}), metadata},
		{"initiate_login_uri over http", shop(object{"initiate_login_uri": "http://shop.example/login"}), metadata},
		{"a logo that is a script", shop(object{"logo_uri": "javascript:alert(1)"}), metadata},
		{"a name with a line in it", shop(object{"client_name": "a\nb"}), metadata},
		{"a name of a megabyte's worth", shop(object{"client_name": strings.Repeat("x", 3000)}), metadata},
		{"a flag that is a text", shop(object{"require_auth_time": "true"}), metadata},
		{"half a second", shop(object{"default_max_age": 0.5}), metadata},
		{"less than no time", shop(object{"default_max_age": -1}), metadata},
		{"an unknown application type", shop(object{"application_type": "spa"}), metadata},
		{"no contact at all in a list", shop(object{"contacts": []any{nil}}), metadata},
		{"a software statement that is none", shop(object{"software_statement": "x.y"}), "invalid_software_statement"},
	} {
		status, out, header := r.ask(http.MethodPost, pathRegister, "", tt.body)
		r.refuses(tt.name, http.StatusBadRequest, tt.code, status, out)
		if header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: headers %v", tt.name, header)
		}
	}
	if all, _, err := r.db.Clients(t.Context(), pageOfAll); err != nil || len(all) != 0 {
		t.Errorf("what was refused was registered: %d, %v", len(all), err)
	}
}

func TestRegisterWantsJSON(t *testing.T) {
	t.Parallel()
	r := newRegistry(t)
	for kind, body := range map[string]string{"text/plain": "{}", "": "{}", "application/x-www-form-urlencoded": "a=b"} {
		q := httptest.NewRequestWithContext(t.Context(), http.MethodPost, issuer+pathRegister, strings.NewReader(body))
		q.Header.Set("Content-Type", kind)
		w := httptest.NewRecorder()
		r.mux.ServeHTTP(w, q)
		if w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), "invalid_request") {
			t.Errorf("%q: %d %s", kind, w.Code, w.Body)
		}
	}
	status, out, _ := r.ask(http.MethodPost, pathRegister, "", `{"a":"`+strings.Repeat("x", maxRegistration)+`"}`)
	r.refuses("a huge one", http.StatusRequestEntityTooLarge, "invalid_request", status, out)
}

func TestRegistrationModes(t *testing.T) {
	t.Parallel()
	mode := func(m RegistrationMode) func(c *RegistrarConfig) { return func(c *RegistrarConfig) { c.Mode = m } }
	for _, closedMode := range []RegistrationMode{"", RegistrationClosed, "unheard of"} {
		r := newRegistry(t, mode(closedMode))
		status, out, _ := r.ask(http.MethodPost, pathRegister, r.initial(1, time.Hour), shop())
		r.refuses("closed", http.StatusForbidden, "access_denied", status, out)
	}
	r := newRegistry(t, mode(RegistrationToken))
	status, out, header := r.ask(http.MethodPost, pathRegister, "", shop())
	r.refuses("without a token", http.StatusUnauthorized, "invalid_token", status, out)
	if got := header.Get("WWW-Authenticate"); !strings.HasPrefix(got, "Bearer ") || strings.Contains(got, "error=") {
		t.Errorf("challenge %q", got)
	}
	status, out, _ = r.ask(http.MethodPost, pathRegister, "gk_iat_guess", shop())
	r.refuses("with a guess", http.StatusUnauthorized, "invalid_token", status, out)
	status, out, _ = r.ask(http.MethodPost, pathRegister, r.initial(5, -time.Second), shop())
	r.refuses("with an old token", http.StatusUnauthorized, "invalid_token", status, out)
	token := r.initial(1, time.Hour)
	status, out, _ = r.ask(http.MethodPost, pathRegister, token, object{})
	r.refuses("with nothing to say", http.StatusBadRequest, "invalid_redirect_uri", status, out)
	if status, out, _ = r.ask(http.MethodPost, pathRegister, token, object{"grant_types": []string{"client_credentials"}}); status != http.StatusCreated {
		t.Errorf("with a token: %d %v; a refusal must not use it up, and it vouches for a machine", status, out)
	}
	status, out, _ = r.ask(http.MethodPost, pathRegister, token, shop())
	r.refuses("a second time", http.StatusUnauthorized, "invalid_token", status, out)

	open := newRegistry(t)
	open.registers(shop())
	status, out, _ = open.ask(http.MethodPost, pathRegister, "gk_iat_guess", shop())
	open.refuses("a bad token where none is needed", http.StatusUnauthorized, "invalid_token", status, out)
}

// TestClosingLeavesTheDoorOut: once registration is closed, an application may
// look at its record and leave, and not change.
func TestClosingLeavesTheDoorOut(t *testing.T) {
	t.Parallel()
	r := newRegistry(t)
	m := r.registers(shop())
	r.cfg.Mode = RegistrationClosed
	if status, out, _ := r.ask(http.MethodGet, m.path, m.token, nil); status != http.StatusOK {
		t.Errorf("read: %d %v", status, out)
	}
	status, out, _ := r.ask(http.MethodPut, m.path, m.token, shop(object{"client_id": m.id}))
	r.refuses("replace", http.StatusForbidden, "access_denied", status, out)
	if status, _, _ := r.ask(http.MethodDelete, m.path, m.token, nil); status != http.StatusNoContent {
		t.Errorf("delete: %d", status)
	}
}

// TestRegisterScopes: an application gets of what it asked for what it may have.
func TestRegisterScopes(t *testing.T) {
	t.Parallel()
	r := newRegistry(t)
	if got := r.registers(shop(object{"scope": "openid  admin reports:write email openid"})).all["scope"]; got != "openid email" {
		t.Errorf("scope %q", got)
	}
}

func TestRegisterPKCE(t *testing.T) {
	t.Parallel()
	r := newRegistry(t, func(c *RegistrarConfig) { c.InsecureNoPKCE = true })
	if c := r.stored(r.registers(shop()).id); !c.InsecureNoPKCE {
		t.Error("the dangerous setting does nothing")
	}
	m := r.registers(shop(object{"token_endpoint_auth_method": "none"}))
	if c := r.stored(m.id); c.InsecureNoPKCE || c.Type != oauth2.SPA || m.secret != "" || m.all["client_secret_expires_at"] != nil || m.all["application_type"] != "web" {
		t.Errorf("a public client: %+v %v", c, m.all)
	}
	if c := r.stored(r.registers(object{
		"redirect_uris": []string{"com.example.app:/cb", "http://127.0.0.1/cb"}, "application_type": "native", "token_endpoint_auth_method": "none",
	}).id); c.Type != oauth2.Native {
		t.Errorf("a native client: %+v", c)
	}
}

func TestRegistrationIsLimited(t *testing.T) {
	t.Parallel()
	r := newRegistry(t, func(c *RegistrarConfig) {
		c.Rules = ratelimit.Rules{Register: ratelimit.Rule{Name: "a", Burst: 1, Period: time.Hour}, Registration: ratelimit.Rule{Name: "b", Burst: 1, Period: time.Hour}}
	})
	m := r.registers(shop())
	status, out, header := r.ask(http.MethodPost, pathRegister, "", shop())
	r.refuses("one more", http.StatusTooManyRequests, "too_many_requests", status, out)
	if header.Get("Retry-After") == "" {
		t.Errorf("headers %v", header)
	}
	if status, _, _ := r.ask(http.MethodGet, m.path, m.token, nil); status != http.StatusOK {
		t.Errorf("read: %d", status)
	}
	status, out, _ = r.ask(http.MethodGet, m.path, "guess", nil)
	r.refuses("a guess", http.StatusTooManyRequests, "too_many_requests", status, out)
}

// TestRegistrationCORS: an application in a browser may register itself; what is
// registered, no page of another site reads.
func TestRegistrationCORS(t *testing.T) {
	t.Parallel()
	r := newRegistry(t)
	m := r.registers(shop())
	for _, method := range []string{http.MethodOptions, http.MethodGet} {
		q := httptest.NewRequestWithContext(t.Context(), method, issuer+m.path, nil)
		q.Header.Set("Origin", "https://shop.example")
		q.Header.Set("Access-Control-Request-Method", http.MethodPut)
		q.Header.Set("Authorization", "Bearer "+m.token)
		w := httptest.NewRecorder()
		r.mux.ServeHTTP(w, q)
		if got := w.Header().Get("Access-Control-Allow-Origin"); got != "" {
			t.Errorf("%s: %q may read it", method, got)
		}
	}
	for _, method := range []string{http.MethodOptions, http.MethodPost} {
		q := httptest.NewRequestWithContext(t.Context(), method, issuer+pathRegister, strings.NewReader("{}"))
		q.Header.Set("Origin", "https://tool.example")
		q.Header.Set("Access-Control-Request-Method", http.MethodPost)
		w := httptest.NewRecorder()
		r.mux.ServeHTTP(w, q)
		if got := w.Header().Get("Access-Control-Allow-Origin"); got != "*" || w.Header().Get("Access-Control-Allow-Credentials") != "" {
			t.Errorf("%s of the endpoint: %q", method, got)
		}
	}
}

func TestExpire(t *testing.T) {
	t.Parallel()
	r := newRegistry(t)
	m := r.registers(shop())
	for _, unused := range []time.Duration{0, time.Hour} {
		r.cfg.Unused = unused
		if n, err := r.Expire(t.Context(), 10); n != 0 || err != nil {
			t.Errorf("after %s: %d, %v", unused, n, err)
		}
	}
	r.cfg.Unused = time.Microsecond
	if n, err := r.Expire(t.Context(), 10); n != 1 || err != nil {
		t.Fatalf("%d, %v", n, err)
	}
	status, out, _ := r.ask(http.MethodGet, m.path, m.token, nil)
	r.refuses("afterwards", http.StatusUnauthorized, "invalid_token", status, out)
	if d := cmp.Diff([]string{"client.registered by client:ID", "client.deleted by system"}, r.events(m.id)); d != "" {
		t.Errorf("events (-want +got):\n%s", d)
	}
}

func TestNewRegistrarRefuses(t *testing.T) {
	t.Parallel()
	if _, err := NewRegistrar(RegistrarConfig{Issuer: issuer, Trail: &audit.Trail{}}); err == nil {
		t.Error("a registrar without a store")
	}
}

// TestRegisteredAddresses: an address that a stranger may not send this server, or
// a browser, to is refused whatever it is for, at first and afterwards.
func TestRegisteredAddresses(t *testing.T) {
	t.Parallel()
	for _, member := range []string{
		"jwks_uri", "sector_identifier_uri", "logo_uri", "backchannel_logout_uri", "frontchannel_logout_uri", "initiate_login_uri", "client_uri", "policy_uri", "tos_uri",
	} {
		r := newRegistry(t)
		m := r.registers(shop(object{}))
		for _, address := range []string{"https://inside.example/", "http://shop.example/"} {
			for path, send := range map[string]func(o object) (int, object, http.Header){
				"registered": func(o object) (int, object, http.Header) { return r.ask(http.MethodPost, pathRegister, "", o) },
				"replaced": func(o object) (int, object, http.Header) {
					o["client_id"] = m.id
					return r.ask(http.MethodPut, m.path, m.token, o)
				},
			} {
				status, out, _ := send(shop(object{member: address}))
				if status != http.StatusBadRequest || out["error"] != "invalid_client_metadata" {
					t.Errorf("%s, %s %s: %d %v", path, member, address, status, out)
				}
			}
		}
	}
	if status, out, _ := newRegistry(t).ask(http.MethodPost, pathRegister, "", shop(object{"tos_uri": "https://shop.example/terms#part"})); status != http.StatusCreated {
		t.Errorf("a link into a page: %d %v", status, out)
	}
}
