package oauth2_test

import (
	"strings"
	"testing"

	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
	"github.com/gatekeeper-oidc/gatekeeper/oauth2"
)

func TestCheckClientRefuses(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, f *fixture) {
		minus := -1
		uri := func(s string) func(c *oauth2.Client) {
			return func(c *oauth2.Client) { c.RedirectURIs = []string{s} }
		}
		for _, c := range []struct {
			name, rule string
			edit       func(c *oauth2.Client)
		}{
			{"an id with a space", "client_id_form", func(c *oauth2.Client) { c.ID = "a b" }},
			{"an id that climbs", "client_id_form", func(c *oauth2.Client) { c.ID = "a/../b" }},
			{"a header type nobody knows", "access_token_kind", func(c *oauth2.Client) { c.AccessTokenTyp = "jwt" }},
			{"refresh tokens nobody knows when", "access_token_kind", func(c *oauth2.Client) { c.Refresh = "always" }},
			{"assertions of a week", "lifetimes", func(c *oauth2.Client) { c.AssertionMaxAge = 7 * 86_400 }},
			{"a short scheme of a web client", "redirect_uris", func(c *oauth2.Client) { c.InsecureShortScheme = true }},
			{"a short scheme that is everybody's", "redirect_uris", func(c *oauth2.Client) {
				c.Type, c.InsecureShortScheme, c.RedirectURIs = oauth2.Native, true, []string{"javascript:/x"}
			}},
			{"an unknown type", "client_type_known", func(c *oauth2.Client) { c.Type = "toaster" }},
			{"an unknown method", "auth_method_known", func(c *oauth2.Client) { c.AuthMethod = "tls_client_auth" }},
			{"a public machine", "auth_method_known", func(c *oauth2.Client) { c.Type, c.AuthMethod = oauth2.Machine, oauth2.AuthNone }},
			{"a browser with a secret", "auth_method_known", func(c *oauth2.Client) { c.Type, c.AuthMethod = oauth2.SPA, oauth2.AuthBasic }},
			{"no keys", "client_keys", func(c *oauth2.Client) { c.AuthMethod = oauth2.AuthPrivateKey }},
			{"keys for nothing", "client_keys", func(c *oauth2.Client) { c.JWKS = []byte(`{"keys":[]}`) }},
			{"keys in two ways", "client_keys", func(c *oauth2.Client) { c.JWKS, c.JWKSURI = []byte(`{"keys":[]}`), "https://shop.example/jwks" }},
			{"keys over http", "client_keys", func(c *oauth2.Client) { c.JWKSURI = "http://shop.example/jwks" }},
			{"the password grant", "grants_fit", func(c *oauth2.Client) { c.Grants = []string{"password"} }},
			{"implicit without a response type", "response_types_fit", func(c *oauth2.Client) { c.Grants = []string{oauth2.GrantImplicit} }},
			{"an ID token without implicit", "response_types_fit", func(c *oauth2.Client) { c.ResponseTypes = []string{"code id_token"} }},
			{"a code without its grant", "response_types_fit", func(c *oauth2.Client) {
				c.Grants, c.ResponseTypes = []string{oauth2.GrantImplicit}, []string{"code id_token"}
			}},
			{"a response type nobody knows", "response_types_fit", func(c *oauth2.Client) { c.ResponseTypes = []string{"token"} }},
			{"HS256 of a public client", "algorithms_known", func(c *oauth2.Client) { c.AuthMethod, c.IDTokenAlg = oauth2.AuthNone, oauth2.HS256 }},
			{"unsigned request objects", "request_objects", func(c *oauth2.Client) { c.RequestObjectAlg = "none" }},
			{"a request URI over http", "request_objects", func(c *oauth2.Client) { c.RequestURIs = []string{"http://shop.example/r"} }},
			{"a subject type nobody knows", "subject_type", func(c *oauth2.Client) { c.SubjectType = "secret" }},
			{"a pairwise client on two hosts", "subject_type", func(c *oauth2.Client) {
				c.SubjectType, c.RedirectURIs = oauth2.SubjectPairwise, []string{callback, "https://other.example/cb"}
			}},
			{"a logout address over http", "logout_addresses", func(c *oauth2.Client) { c.BackchannelLogoutURI = "http://shop.example/out" }},
			{"a logout frame elsewhere", "logout_addresses", func(c *oauth2.Client) { c.FrontchannelLogoutURI = "https://other.example/out" }},
			{"a login address over http", "initiate_login_uri", func(c *oauth2.Client) { c.InitiateLoginURI = "http://localhost/in" }},
			{"refresh alone", "grants_fit", func(c *oauth2.Client) { c.Grants = []string{oauth2.GrantRefresh} }},
			{"a public client with client credentials", "grants_fit", func(c *oauth2.Client) {
				c.AuthMethod, c.Grants = oauth2.AuthNone, []string{oauth2.GrantClientCredentials}
			}},
			{"no redirect URI", "redirect_uris", func(c *oauth2.Client) { c.RedirectURIs = nil }},
			{"http", "redirect_uris", uri("http://shop.example/cb")},
			{"a fragment", "redirect_uris", uri("https://shop.example/cb#x")},
			{"a wildcard", "redirect_uris", uri("https://*.shop.example/cb")},
			{"a user name", "redirect_uris", uri("https://a@shop.example/cb")},
			{"a path that climbs", "redirect_uris", uri("https://shop.example/a/../b")},
			{"a relative one", "redirect_uris", uri("/cb")},
			{"javascript", "redirect_uris", uri("javascript:alert(1)")},
			{"data", "redirect_uris", uri("data:text/html,x")},
			{"a line break", "redirect_uris", uri("https://shop.example/\r\nx")},
			{"no host", "redirect_uris", uri("https:///cb")},
			{"a scheme of a web client's own", "redirect_uris", uri("com.example.app:/cb")},
			{"a native scheme without a dot", "redirect_uris", func(c *oauth2.Client) { c.Type, c.RedirectURIs = oauth2.Native, []string{"app:/cb"} }},
			{"a native scheme without a slash", "redirect_uris", func(c *oauth2.Client) { c.Type, c.RedirectURIs = oauth2.Native, []string{"com.example:cb"} }},
			{"a bad page after logout", "post_logout_redirect_uris", func(c *oauth2.Client) { c.PostLogoutRedirectURIs = []string{"http://shop.example"} }},
			{"a scope of two words", "scopes_known", func(c *oauth2.Client) { c.Scopes = []string{"a b"} }},
			{"an audience with a fragment", "audience", func(c *oauth2.Client) { c.Audience = []string{"https://a.example#b"} }},
			{"audiences no code can carry", "audience", func(c *oauth2.Client) { c.Audience = strings.Fields(strings.Repeat(strings.Repeat("a", 500)+" ", 5)) }},
			{"an unknown algorithm", "algorithms_known", func(c *oauth2.Client) { c.IDTokenAlg = "none" }},
			{"an unknown kind of token", "access_token_kind", func(c *oauth2.Client) { c.AccessToken = "paper" }},
			{"a token for a year", "lifetimes", func(c *oauth2.Client) { c.AccessTokenTTL = 31_536_000 }},
			{"a negative max_age", "lifetimes", func(c *oauth2.Client) { c.DefaultMaxAge = &minus }},
			{"a public client without PKCE", "pkce_opt_out", func(c *oauth2.Client) { c.AuthMethod, c.InsecureNoPKCE = oauth2.AuthNone, true }},
			{"a javascript logo", "links", func(c *oauth2.Client) { c.LogoURI = "javascript:alert(1)" }},
			{"a name that turns around", "links", func(c *oauth2.Client) { c.Name = "a\u202eb" }},
			{"a name of two lines", "links", func(c *oauth2.Client) { c.Name = "a\u2028b" }},
			{"a name with a control character", "links", func(c *oauth2.Client) { c.Name = "a\u0085b" }},
		} {
			cl := oauth2.Client{ID: "shop", RedirectURIs: []string{callback}}
			c.edit(&cl)
			err := f.p.CheckClient(&cl)
			code := map[bool]string{true: "invalid_redirect_uri", false: "invalid_client_metadata"}[c.rule == "redirect_uris"]
			if got := fault.Of(err); err == nil || got.Rule != c.rule || got.Code != code {
				t.Errorf("%s: %v by rule %q, want %s", c.name, err, got.Rule, c.rule)
			}
		}
	})
}

func TestKeepSecretWantsLongOnes(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, f *fixture) {
		for length, ok := range map[int]bool{31: false, 32: true, 512: true, 513: false} {
			if _, err := f.p.KeepSecret(&oauth2.Client{}, strings.Repeat("s", length)); (err == nil) != ok {
				t.Errorf("%d characters: %v", length, err)
			}
		}
	})
}

func TestNewProviderWantsEverything(t *testing.T) {
	t.Parallel()
	if _, err := oauth2.NewProvider(oauth2.Config{Issuer: issuer}); err == nil {
		t.Error("a provider without a store")
	}
}
