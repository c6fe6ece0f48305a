package oidc

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatekeeper-oidc/gatekeeper/identity"
	"github.com/gatekeeper-oidc/gatekeeper/oauth2"
)

var pageOfAll = identity.Page{Limit: 1000}

// TestManage is RFC 7592: read, replace, delete, by whoever has the token and
// nobody else.
func TestManage(t *testing.T) {
	t.Parallel()
	r := newRegistry(t)
	m := r.registers(shop(object{"client_name": "Shop", "default_max_age": 60, "contacts": []string{"a@shop.example"}}))
	other := r.registers(shop())
	for name, tt := range map[string]struct{ path, token string }{
		"no token": {m.path, ""}, "a guess": {m.path, "gk_rat_guess"}, "another application's": {m.path, other.token},
		"of an application there is not": {pathRegister + "/nobody", m.token}, "a secret": {m.path, m.secret},
	} {
		for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodDelete} {
			var body any
			if method == http.MethodPut {
				body = shop(object{"client_id": m.id})
			}
			status, out, _ := r.ask(method, tt.path, tt.token, body)
			r.refuses(name+" "+method, http.StatusUnauthorized, "invalid_token", status, out)
		}
	}
	status, read, header := r.ask(http.MethodGet, m.path, m.token, nil)
	if status != http.StatusOK || read["client_name"] != "Shop" || read["client_secret"] != nil || header.Get("Cache-Control") != "no-store" {
		t.Fatalf("read: %d %v", status, read)
	}

	status, out, _ := r.ask(http.MethodPut, m.path, m.token, shop(object{"client_id": m.id, "client_secret": m.secret, "client_name": "Store", "contacts": nil}))
	if status != http.StatusOK || out["client_name"] != "Store" || out["default_max_age"] != nil || out["contacts"] != nil || out["registration_access_token"] != m.token || out["client_secret"] != nil {
		t.Fatalf("replace: %d %v", status, out)
	}
	c := r.stored(m.id)
	if !r.provider.HasSecret(&c, m.secret) {
		t.Error("replacing lost the secret")
	}
	if status, _, _ := r.ask(http.MethodDelete, m.path, m.token, nil); status != http.StatusNoContent {
		t.Errorf("delete: %d", status)
	}
	status, out, _ = r.ask(http.MethodGet, m.path, m.token, nil)
	r.refuses("read afterwards", http.StatusUnauthorized, "invalid_token", status, out)
	want := []string{"client.registered by client:ID", "client.updated by client:ID client_name default_max_age contacts", "client.deleted by client:ID"}
	if d := cmp.Diff(want, r.events(m.id)); d != "" {
		t.Errorf("events (-want +got):\n%s", d)
	}
}

// An application stays in its sector: a grant it has would be renewed with the names
// that others have for its people.
func TestReplaceKeepsTheSector(t *testing.T) {
	t.Parallel()
	r := newRegistry(t)
	own, public := r.registers(shop(object{"subject_type": "pairwise"})), r.registers(shop())
	for name, tt := range map[string]struct {
		of     made
		change object
		status int
	}{
		"another host":      {own, object{"subject_type": "pairwise", "redirect_uris": []string{"https://bank.example/cb"}}, http.StatusBadRequest},
		"public before":     {public, object{"subject_type": "pairwise"}, http.StatusBadRequest},
		"another path":      {own, object{"subject_type": "pairwise", "redirect_uris": []string{"https://shop.example/other"}}, http.StatusOK},
		"public, elsewhere": {public, object{"redirect_uris": []string{"https://bank.example/cb"}}, http.StatusOK},
	} {
		body := shop(object{"client_id": tt.of.id}, tt.change)
		if status, out, _ := r.ask(http.MethodPut, tt.of.path, tt.of.token, body); status != tt.status {
			t.Errorf("%s: %d %v, want %d", name, status, out, tt.status)
		}
	}
}

// TestReplaceElsewhereIsNoFirstParty: what an operator trusted was where people
// were sent, so an application that changes that asks for consent again.
func TestReplaceElsewhereIsNoFirstParty(t *testing.T) {
	t.Parallel()
	r := newRegistry(t)
	m := r.registers(shop())
	for _, tt := range []struct {
		to   string
		want bool
	}{{"https://shop.example/cb", true}, {"https://bank.example/cb", false}} {
		c, err := r.db.Client(t.Context(), m.id)
		if err != nil {
			t.Fatal(err)
		}
		c.FirstParty = true
		if err := r.db.UpdateClient(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		body := shop(object{"client_id": m.id, "redirect_uris": []string{tt.to}})
		if status, out, _ := r.ask(http.MethodPut, m.path, m.token, body); status != http.StatusOK {
			t.Fatalf("%s: %d %v", tt.to, status, out)
		}
		if c, err = r.db.Client(t.Context(), m.id); err != nil || c.FirstParty != tt.want {
			t.Errorf("with %s it is first party: %t, %v; want %t", tt.to, c.FirstParty, err, tt.want)
		}
	}
}

// TestReplaceRefuses is RFC 7592 section 2.2.
func TestReplaceRefuses(t *testing.T) {
	t.Parallel()
	r := newRegistry(t)
	m := r.registers(shop())
	public := r.registers(shop(object{"token_endpoint_auth_method": "none"}))
	for name, tt := range map[string]struct {
		of   made
		body object
		code string
	}{
		"no client_id":               {m, shop(), "invalid_client_metadata"},
		"another's client_id":        {m, shop(object{"client_id": public.id}), "invalid_client_metadata"},
		"a client_id of no text":     {m, shop(object{"client_id": 1}), "invalid_client_metadata"},
		"another secret":             {m, shop(object{"client_id": m.id, "client_secret": "mine"}), "invalid_client_metadata"},
		"a secret where none is":     {public, shop(object{"client_id": public.id, "token_endpoint_auth_method": "none", "client_secret": ""}), "invalid_client_metadata"},
		"a registration token":       {m, shop(object{"client_id": m.id, "registration_access_token": m.token}), "invalid_client_metadata"},
		"an issue time":              {m, shop(object{"client_id": m.id, "client_id_issued_at": 1}), "invalid_client_metadata"},
		"a bad redirect URI":         {m, object{"client_id": m.id, "redirect_uris": []string{"https://a.example/#x"}}, "invalid_redirect_uri"},
		"a grant without a person":   {m, shop(object{"client_id": m.id, "grant_types": []string{"client_credentials"}}), "invalid_client_metadata"},
		"HS256 with a hashed secret": {m, shop(object{"client_id": m.id, "id_token_signed_response_alg": "HS256"}), "invalid_client_metadata"},
	} {
		status, out, _ := r.ask(http.MethodPut, tt.of.path, tt.of.token, tt.body)
		r.refuses(name, http.StatusBadRequest, tt.code, status, out)
	}
	if d := cmp.Diff([]string{"client.registered by client:ID"}, r.events(m.id)); d != "" {
		t.Errorf("events (-want +got):\n%s", d)
	}
}

// TestReplaceMakesSecrets: an application that needs a secret now gets one, and
// one that does not loses it.
func TestReplaceMakesSecrets(t *testing.T) {
	t.Parallel()
	r := newRegistry(t)
	m := r.registers(shop(object{"token_endpoint_auth_method": "none"}))
	status, out, _ := r.ask(http.MethodPut, m.path, m.token, shop(object{"client_id": m.id, "id_token_signed_response_alg": "HS256"}))
	secret, _ := out["client_secret"].(string)
	if c := r.stored(m.id); status != http.StatusOK || secret == "" || !r.provider.HasSecret(&c, secret) || c.LacksShared() {
		t.Fatalf("to a secret: %d %v", status, out)
	}
	status, out, _ = r.ask(http.MethodPut, m.path, m.token, shop(object{"client_id": m.id, "token_endpoint_auth_method": "none"}))
	if c := r.stored(m.id); status != http.StatusOK || out["client_secret"] != nil || out["client_secret_expires_at"] != nil || len(c.Secrets) != 0 {
		t.Errorf("to none: %d %v", status, out)
	}
}

// TestReplaceKeepsWhatTheOperatorGave, and cannot give more.
func TestReplaceKeepsWhatTheOperatorGave(t *testing.T) {
	t.Parallel()
	r := newRegistry(t)
	m := r.registers(shop())
	c := r.stored(m.id)
	c.FirstParty, c.Audience, c.AccessTokenTTL, c.InsecureNoPKCE = true, []string{"https://api.example"}, 60, true
	c.Scopes = append(c.Scopes, "reports:read")
	if err := r.db.UpdateClient(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	status, out, _ := r.ask(http.MethodPut, m.path, m.token, shop(object{"client_id": m.id, "scope": "openid reports:read reports:write", "first_party": false}))
	got := r.stored(m.id)
	if status != http.StatusOK || out["scope"] != "openid reports:read" || !got.FirstParty || got.AccessTokenTTL != 60 || len(got.Audience) != 1 || !got.InsecureNoPKCE || !got.Dynamic {
		t.Errorf("%d %v %+v", status, out, got)
	}
}

func TestDisabledApplicationIsRefused(t *testing.T) {
	t.Parallel()
	r := newRegistry(t)
	m := r.registers(shop())
	c := r.stored(m.id)
	c.Disabled = true
	if err := r.db.UpdateClient(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	status, out, _ := r.ask(http.MethodDelete, m.path, m.token, nil)
	r.refuses("delete", http.StatusForbidden, "access_denied", status, out)
}

// TestStaticClientsHaveNoRecord: an application that the operator registered is
// nobody's to manage, whatever token is shown.
func TestStaticClientsHaveNoRecord(t *testing.T) {
	t.Parallel()
	r := newRegistry(t)
	if err := r.db.InsertClient(t.Context(), oauth2.Client{ID: "shop", Type: oauth2.Web}); err != nil {
		t.Fatal(err)
	}
	status, out, _ := r.ask(http.MethodGet, pathRegister+"/shop", "gk_rat_x", nil)
	r.refuses("read", http.StatusUnauthorized, "invalid_token", status, out)
}

// An intruder is the rules, with somebody else at work while they are asked.
type intruder struct {
	RegistrationEngine

	during func()
}

func (i intruder) CheckSector(ctx context.Context, c *oauth2.Client) error {
	i.during()
	return i.RegistrationEngine.CheckSector(ctx, c)
}

// TestReplaceLosesNothing: a change that somebody else made meanwhile is not
// overwritten.
func TestReplaceLosesNothing(t *testing.T) {
	t.Parallel()
	r := newRegistry(t)
	m := r.registers(shop())
	r.cfg.Engine = intruder{r.provider, func() {
		c := r.stored(m.id)
		c.FirstParty = true
		if err := r.db.UpdateClient(t.Context(), c); err != nil {
			t.Error(err)
		}
	}}
	status, out, _ := r.ask(http.MethodPut, m.path, m.token, shop(object{"client_id": m.id, "client_name": "Mine"}))
	r.refuses("replace", http.StatusConflict, "invalid_request", status, out)
	if c := r.stored(m.id); !c.FirstParty || c.Name != "" {
		t.Errorf("stored: %+v", c)
	}
}

// TestTokenIsSpentOnce: of two registrations with one token at once, the second is
// refused when it comes to it, and leaves nothing behind.
func TestTokenIsSpentOnce(t *testing.T) {
	t.Parallel()
	r := newRegistry(t)
	token := r.initial(1, time.Hour)
	r.cfg.Engine = intruder{r.provider, func() {
		if id, err := r.db.SpendInitialToken(t.Context(), oauth2.HashOf(token)); err != nil || id == "" {
			t.Errorf("%q, %v", id, err)
		}
	}}
	status, out, _ := r.ask(http.MethodPost, pathRegister, token, shop())
	r.refuses("register", http.StatusUnauthorized, "invalid_token", status, out)
	if all, _, err := r.db.Clients(t.Context(), pageOfAll); err != nil || len(all) != 0 {
		t.Errorf("%d applications, %v", len(all), err)
	}
}
