// Package config is the profile Config OP: what the provider says of itself.
package config

import (
	"context"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/gatekeeper-oidc/gatekeeper/conformance/suite"
)

// Profile is Config OP.
func Profile() suite.Profile {
	return suite.Profile{Name: "config", Title: "Config OP", Variants: []suite.Variant{{}}, Modules: []suite.Module{
		Discovery(),
		AuthorizationServer(),
		JWKS(),
	}}
}

// Discovery holds the document to OpenID Connect Discovery 3 and 4.
func Discovery() suite.Module {
	return suite.Module{
		Name: "discovery-endpoint-verification", Summary: "The provider describes itself as the specifications say.", Spec: "OpenID Connect Discovery 3",
		Run: func(_ context.Context, c *suite.Case) error {
			for _, check := range checks {
				if why := check(c, c.Server.Metadata); why != "" {
					return suite.Failf("%s", why)
				}
			}
			return nil
		},
	}
}

// checks are the rules about the document; each returns what is wrong, or "".
var checks = []func(c *suite.Case, m *suite.Metadata) string{
	issuerPlain, addressesSecure, membersKnown, nothingEmpty,
	func(_ *suite.Case, m *suite.Metadata) string {
		return contains("response_types_supported", m.ResponseTypes, "code")
	},
	func(_ *suite.Case, m *suite.Metadata) string {
		return contains("id_token_signing_alg_values_supported", m.IDTokenAlgs, "RS256")
	},
	func(_ *suite.Case, m *suite.Metadata) string { return contains("scopes_supported", m.Scopes, "openid") },
	subjectTypes, scopesLegal, languagesCanonical, claimsThere, refreshAdvertised, registrationComplete,
}

func contains(name string, list []string, value string) string {
	if !slices.Contains(list, value) {
		return name + " lacks " + value
	}
	return ""
}

func issuerPlain(_ *suite.Case, m *suite.Metadata) string {
	u, err := url.Parse(m.Issuer)
	if err != nil || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return "the issuer has a query or a fragment"
	}
	return ""
}

// addressesSecure wants every address to be https. An issuer on this computer may
// do without, which is for development only.
func addressesSecure(c *suite.Case, m *suite.Metadata) string {
	issuer, err := url.Parse(m.Issuer)
	if err != nil {
		return "the issuer is no address"
	}
	local := issuer.Scheme == "http" && (issuer.Hostname() == "localhost" || strings.HasPrefix(issuer.Hostname(), "127."))
	if local {
		c.Warnf("", "the issuer is plain http, which no application elsewhere can use")
	}
	for name, raw := range m.Raw {
		var address string
		if !isAddress(name) || json.Unmarshal(raw, &address) != nil {
			continue
		}
		u, err := url.Parse(address)
		switch {
		case err != nil || u.Host == "" || u.Fragment != "":
			return name + " is no address"
		case u.Scheme != "https" && !local:
			return name + " is not https"
		}
	}
	return ""
}

// isAddress reports whether a member is an address by its name.
func isAddress(name string) bool {
	return strings.HasSuffix(name, "_endpoint") || strings.HasSuffix(name, "_uri") || name == "issuer" || name == "check_session_iframe"
}

//go:embed names.txt
var names string

// membersKnown wants only names of the IANA registry of authorization server
// metadata (RFC 8414 7.1) and of the specifications that add to it.
func membersKnown(_ *suite.Case, m *suite.Metadata) string {
	known := strings.Fields(names)
	for name := range m.Raw {
		if !slices.Contains(known, name) {
			return name + " is no registered name"
		}
	}
	return ""
}

func nothingEmpty(_ *suite.Case, m *suite.Metadata) string {
	for name, raw := range m.Raw {
		if text := strings.TrimSpace(string(raw)); text == "null" || text == "[]" || text == `""` || text == "{}" {
			return name + " is empty; what is not there is left out"
		}
	}
	return ""
}

func subjectTypes(_ *suite.Case, m *suite.Metadata) string {
	if len(m.SubjectTypes) == 0 {
		return "subject_types_supported is missing"
	}
	for _, t := range m.SubjectTypes {
		if t != "public" && t != "pairwise" {
			return "subject_types_supported has " + t
		}
	}
	return ""
}

func scopesLegal(_ *suite.Case, m *suite.Metadata) string {
	for _, s := range m.Scopes {
		if s == "" || strings.ContainsFunc(s, func(r rune) bool { return r <= 0x20 || r > 0x7E || r == '"' || r == '\\' }) {
			return fmt.Sprintf("the scope %q has a character that RFC 6749 3.3 does not allow", s)
		}
	}
	return ""
}

var language = regexp.MustCompile(`^[a-z]{2,3}(-[A-Z][a-z]{3})?(-([A-Z]{2}|\d{3}))?$`)

func languagesCanonical(_ *suite.Case, m *suite.Metadata) string {
	for _, name := range []string{"ui_locales_supported", "claims_locales_supported"} {
		var list []string
		if raw, ok := m.Raw[name]; ok && json.Unmarshal(raw, &list) != nil {
			return name + " is no list"
		}
		for _, l := range list {
			if !language.MatchString(l) {
				return fmt.Sprintf("%s has %q, which is not written as BCP 47 advises", name, l)
			}
		}
	}
	return ""
}

func claimsThere(c *suite.Case, m *suite.Metadata) string {
	if len(m.Claims) == 0 {
		c.Warnf("", "claims_supported is missing")
	}
	return ""
}

func refreshAdvertised(c *suite.Case, m *suite.Metadata) string {
	if slices.Contains(m.Scopes, "offline_access") && !slices.Contains(m.Grants, "refresh_token") {
		c.Warnf("", "grant_types_supported lacks refresh_token")
	}
	return ""
}

// registrationComplete is what a provider that lets applications register must
// also offer (OpenID Connect Core 15.2).
func registrationComplete(_ *suite.Case, m *suite.Metadata) string {
	if m.Registration == "" || len(m.ResponseTypes) < 2 {
		return "" // or registration is there, but not the profile of dynamic providers
	}
	return contains("grant_types_supported", m.Grants, "authorization_code")
}

// AuthorizationServer compares the two names of the document.
func AuthorizationServer() suite.Module {
	return suite.Module{
		Name: "discovery-rfc8414", Summary: "The document under the OAuth name says the same.", Spec: "RFC 8414 3",
		Run: func(ctx context.Context, c *suite.Case) error {
			issuer, err := url.Parse(c.Server.Metadata.Issuer)
			if err != nil {
				return suite.Failf("the issuer is no address")
			}
			path := strings.TrimSuffix(issuer.Path, "/")
			issuer.Path = "/.well-known/oauth-authorization-server" + path
			r, err := c.Get(ctx, issuer.String())
			if err != nil {
				return err
			}
			if r.Status != 200 || r.JSON == nil {
				return suite.Failf("it answered %d with %s", r.Status, r.Type())
			}
			for name := range c.Server.Metadata.Raw {
				if _, ok := r.JSON[name]; !ok {
					return suite.Failf("it lacks %s", name)
				}
			}
			if r.Text("issuer") != c.Server.Metadata.Issuer {
				return suite.Failf("it names another issuer")
			}
			return nil
		},
	}
}

// JWKS holds the published keys to RFC 7517.
func JWKS() suite.Module {
	return suite.Module{
		Name: "jwks", Summary: "The keys are public, named, and strong enough.", Spec: "RFC 7517 4",
		Run: func(ctx context.Context, c *suite.Case) error {
			r, err := c.Get(ctx, c.Server.Metadata.JWKS)
			if err != nil {
				return err
			}
			var set struct {
				Keys []map[string]any `json:"keys"`
			}
			if r.Status != 200 || json.Unmarshal(r.Body, &set) != nil || len(set.Keys) == 0 {
				return suite.Failf("jwks_uri answered %d without a set of keys", r.Status)
			}
			seen := map[string]bool{}
			rs256 := false
			for _, k := range set.Keys {
				kid, _ := k["kid"].(string)
				if seen[kid] {
					return suite.Failf("two keys have the kid %q", kid)
				}
				seen[kid] = true
				rs256 = rs256 || k["kty"] == "RSA" && (k["alg"] == nil || k["alg"] == "RS256")
				if why := weakKey(k); why != "" {
					return suite.Failf("the key %s %s", kid, why)
				}
			}
			if !rs256 {
				return suite.Brokef("OpenID Connect Core 15.1", "there is no key for RS256")
			}
			return nil
		},
	}
}

// weakKey says what is wrong with a published key, or "".
func weakKey(k map[string]any) string {
	for _, secret := range []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k"} {
		if _, ok := k[secret]; ok {
			return "has the private member " + secret
		}
	}
	for _, name := range []string{"kid", "kty", "use", "alg"} {
		if s, _ := k[name].(string); s == "" {
			return "has no " + name
		}
	}
	for _, name := range []string{"n", "e", "x", "y"} {
		s, ok := k[name].(string)
		if !ok {
			continue
		}
		b, err := base64.RawURLEncoding.DecodeString(s)
		if err != nil {
			return "has an " + name + " that is not base64url without padding"
		}
		if bits := new(big.Int).SetBytes(b).BitLen(); name == "n" && bits < 2048 {
			return fmt.Sprintf("has %d bits, fewer than 2048", bits)
		}
	}
	return ""
}
