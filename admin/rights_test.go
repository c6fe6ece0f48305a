package admin

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/gatekeeper-oidc/gatekeeper/identity"
	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
	"github.com/gatekeeper-oidc/gatekeeper/oauth2"
)

// ordinary are the members of an application that give it no right beyond signing
// in people who agree, or doing with its own tokens what it was registered for.
var ordinary = strings.Fields(`id name type redirect_uris post_logout_redirect_uris response_types
	require_pushed_authorization_requests require_signed_request_object request_uris initiate_login_uri
	auth_method token_endpoint_auth_signing_alg assertion_audience jwks jwks_uri
	access_token access_token_alg access_token_ttl refresh_token_ttl
	id_token_alg id_token_encrypted_response_alg id_token_encrypted_response_enc
	userinfo_signed_response_alg userinfo_encrypted_response_alg userinfo_encrypted_response_enc
	authorization_signed_response_alg authorization_encrypted_response_alg authorization_encrypted_response_enc
	introspection_signed_response_alg introspection_encrypted_response_alg introspection_encrypted_response_enc
	request_object_signing_alg request_object_encryption_alg request_object_encryption_enc
	subject_type sector_identifier_uri default_max_age default_acr_values require_auth_time
	backchannel_logout_uri backchannel_logout_session_required frontchannel_logout_uri frontchannel_logout_session_required
	client_uri logo_uri policy_uri tos_uri contacts software_id software_version
	assertion_max_age access_token_typ refresh exact_auth_method
	dynamic disabled created_at updated_at`)

// rightful are the members that give a right: each with a value that does.
func rightful() map[string]func(c *oauth2.Client) {
	return map[string]func(c *oauth2.Client){
		"grants": func(c *oauth2.Client) {
			c.Grants = []string{oauth2.GrantClientCredentials, oauth2.GrantExchange}
			c.Audience, c.Exchange = []string{"https://own.example"}, &oauth2.Exchange{Audiences: []string{"https://api.example"}}
		},
		"scopes":           func(c *oauth2.Client) { c.Scopes = []string{"api", ScopeKeys} },
		"audience":         func(c *oauth2.Client) { c.Audience = []string{issuer + base} },
		"first_party":      func(c *oauth2.Client) { c.FirstParty = true },
		"insecure_no_pkce": func(c *oauth2.Client) { c.InsecureNoPKCE = true },
		"insecure_short_scheme": func(c *oauth2.Client) {
			c.Type, c.AuthMethod, c.Grants = oauth2.Native, oauth2.AuthBasic, []string{oauth2.GrantCode}
			c.RedirectURIs, c.InsecureShortScheme = []string{"app:/cb"}, true
		},
		"introspect_any": func(c *oauth2.Client) { c.IntrospectAny = true },
		"exchange": func(c *oauth2.Client) {
			c.Grants = []string{oauth2.GrantClientCredentials, oauth2.GrantExchange}
			c.Audience, c.Exchange = []string{"https://own.example"}, &oauth2.Exchange{Audiences: []string{"https://api.example"}}
		},
		"trusted_issuers": func(c *oauth2.Client) {
			c.Grants = append(c.Grants, oauth2.GrantClientCredentials, oauth2.GrantJWTBearer)
			c.TrustedIssuers = []oauth2.TrustedIssuer{{Issuer: "https://wif.example", JWKSURI: "https://wif.example/jwks", Subjects: []string{"ana@example.org"}}}
		},
	}
}

// TestEveryMemberIsJudged: whoever adds a member to an application says here
// whether it gives a right that is not everybody's to give.
func TestEveryMemberIsJudged(t *testing.T) {
	t.Parallel()
	typ := reflect.TypeFor[oauth2.Client]()
	judged := map[string]bool{}
	for i := range typ.NumField() {
		name := member(typ.Field(i))
		if name == "" {
			continue
		}
		give, gives := rightful()[name]
		judged[name] = true
		if plain := slices.Contains(ordinary, name); plain == gives {
			t.Errorf("%s: among the ordinary members: %t, among those that give a right: %t; want one of both", name, plain, gives)
		}
		if !gives {
			continue
		}
		c := machineClient("x", "api")
		give(&c)
		s := &Service{Issuer: issuer}
		for _, scope := range Scopes() {
			ctx := newBoundContext(t.Context(), "test", []string{scope})
			allowed := scope == ScopeAll || name == "introspect_any" && scope == ScopeTokens || name == "scopes" && scope == ScopeKeys
			if err := s.guardClient(ctx, c); (err == nil) != allowed {
				t.Errorf("%s given by %s: %v; want it allowed: %t", name, scope, err, allowed)
			}
		}
	}
	for _, name := range ordinary {
		if !judged[name] {
			t.Errorf("%s is no member of an application", name)
		}
	}
}

// power is everything that makes an actor more than it is: who has which right.
func (w *world) power(t *testing.T) (out []string) {
	t.Helper()
	clients, _, err := w.db.Clients(t.Context(), identity.Page{Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range clients {
		for _, r := range clientRights {
			if r.has(issuer, &c) {
				out = append(out, fmt.Sprintf("%s %s %v %v %x", c.ID, r.rule, c.RedirectURIs, c.Disabled, c.Secrets[0].Hash))
			}
		}
		for _, s := range c.Scopes {
			if adminScope(s) {
				out = append(out, fmt.Sprintf("%s may %s %v %x", c.ID, s, c.Disabled, c.Secrets[0].Hash))
			}
		}
	}
	users, _, err := w.db.Users(t.Context(), "", identity.Page{Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	for _, u := range users {
		if slices.Contains(u.Roles, identity.RoleAdmin) {
			_, p, _, err := w.db.UserForLogin(t.Context(), u.Email, identity.Counter{})
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, fmt.Sprintf("%s %s %s %s", u.ID, u.Email, u.Status, p.Hash))
		}
	}
	return out
}

// TestNoSequenceRaisesRights: whatever a token with one narrow scope does, in any
// order, nobody has a right afterwards that they did not have before, but for what
// the token itself has.
func TestNoSequenceRaisesRights(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := t.Context()
	root := NewContext(ctx, "cli:root")
	for name, give := range rightful() {
		c := machineClient("has-"+strings.ReplaceAll(name, "_", "-"), "api")
		c.RedirectURIs = []string{"https://a.example/cb"}
		give(&c)
		if _, err := w.CreateClient(root, ClientInput{Client: c}); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	if _, err := w.CreateClient(root, ClientInput{Client: machineClient("plain", "api")}); err != nil {
		t.Fatal(err)
	}
	admin, err := w.CreateUser(root, UserInput{Email: "root@example.org", Password: "a fine long password", Roles: []string{identity.RoleAdmin}})
	if err != nil {
		t.Fatal(err)
	}
	ana, err := w.CreateUser(root, UserInput{Email: "ana@example.org", Password: "a fine long password"})
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	have, _, err := w.db.Clients(ctx, identity.Page{Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range have {
		ids = append(ids, c.ID)
	}
	for _, scope := range Scopes()[1:] {
		w.tokens[scope] = machine(scope)
	}
	before := w.power(t)
	if len(before) < 6 {
		t.Fatalf("the world has few rights to steal: %q", before)
	}
	rapid.Check(t, func(rt *rapid.T) {
		scope := rapid.SampledFrom(Scopes()[1:]).Draw(rt, "scope")
		api, err := NewClient(w.server.URL, scope, nil)
		if err != nil {
			t.Fatal(err)
		}
		client := func() oauth2.Client {
			c := machineClient(rapid.SampledFrom(append(ids, "fresh-1", "fresh-2")).Draw(rt, "client"), "api")
			if have, err := w.db.Client(ctx, c.ID); err == nil && rapid.Bool().Draw(rt, "as it is") {
				c = shown(have)
			}
			for _, name := range rapid.SliceOfN(rapid.SampledFrom(slices.Sorted(keysOf(rightful()))), 0, 2).Draw(rt, "rights") {
				rightful()[name](&c)
			}
			c.Disabled = rapid.Bool().Draw(rt, "disabled")
			return c
		}
		user := func() string { return rapid.SampledFrom([]string{admin.ID, admin.Email, ana.ID}).Draw(rt, "user") }
		roles := func() []string {
			return rapid.SampledFrom([][]string{nil, {"staff"}, {identity.RoleAdmin}, {"staff", identity.RoleAdmin}}).Draw(rt, "roles")
		}
		for range rapid.IntRange(1, 6).Draw(rt, "calls") {
			switch rapid.SampledFrom([]string{"create", "update", "rotate", "delete", "user", "roles", "lock", "password", "drop", "token"}).Draw(rt, "call") {
			case "create":
				_, err = api.CreateClient(ctx, ClientInput{Client: client()})
			case "update":
				_, err = api.UpdateClient(ctx, client())
			case "rotate":
				_, err = api.RotateSecret(ctx, client().ID, RotateInput{})
			case "delete":
				if c := client(); c.ID != "plain" {
					err = api.DeleteClient(ctx, c.ID)
				}
			case "user":
				_, err = api.CreateUser(ctx, UserInput{Email: rapid.StringMatching("[a-z]{8}@example.org").Draw(rt, "email"), Roles: roles()})
			case "roles":
				u, ferr := w.User(ctx, user())
				if ferr != nil {
					t.Fatal(ferr)
				}
				u.Roles = roles()
				_, err = api.UpdateUser(ctx, u)
			case "lock":
				err = api.LockUser(ctx, user(), "")
			case "password":
				err = api.SetPassword(ctx, user(), "another long password")
			case "drop":
				err = api.DeleteUser(ctx, admin.ID)
			case "token":
				_, err = api.CreateInitialToken(ctx, InitialTokenInput{})
			}
			if fault.Is(err, fault.Internal) {
				t.Fatal(err)
			}
		}
		own := func(p string) bool { return strings.Contains(p, " may "+scope+" ") }
		was, is := slices.DeleteFunc(slices.Clone(before), own), slices.DeleteFunc(w.power(t), own)
		if !slices.Equal(was, is) {
			rt.Fatalf("%s changed who may what:\n%s\nbefore:\n%s", scope, strings.Join(is, "\n"), strings.Join(was, "\n"))
		}
	})
}

func keysOf[V any](m map[string]V) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}
