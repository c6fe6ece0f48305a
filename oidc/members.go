package oidc

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"

	"github.com/gatekeeper-oidc/gatekeeper/identity"
	"github.com/gatekeeper-oidc/gatekeeper/oauth2"
)

// The bounds of what an application may say of itself.
const (
	maxMember  = 2048 // bytes of a text
	maxMembers = 100  // entries of a list, and members of a request
)

// A member is one of a registration: its name on the wire, and the same thing in
// oauth2.Client.
type member struct {
	name string
	// read puts what came into c and says what is wrong with it, or "".
	read func(c *oauth2.Client, raw json.RawMessage) string
	// show returns what is registered, nil for nothing.
	show func(c *oauth2.Client) any
	// reset makes c as if it had not come.
	reset func(c *oauth2.Client)
}

// members is every member of a registration there is (RFC 7591 section 2, OpenID
// Connect Registration section 2, RP-Initiated Logout section 3.1, Front-Channel
// and Back-Channel Logout section 2, RFC 9101 section 10.5, RFC 9126 section 6,
// RFC 9701 section 6, JARM section 3). What is not here is ignored, and what an
// application may not say of itself, such as that it needs no consent, is not here.
var members = []member{
	textMember("client_name", func(c *oauth2.Client) *string { return &c.Name }),
	{"application_type", readType, showType, func(c *oauth2.Client) { c.Type = "" }},
	listMember("redirect_uris", func(c *oauth2.Client) *[]string { return &c.RedirectURIs }),
	listMember("post_logout_redirect_uris", func(c *oauth2.Client) *[]string { return &c.PostLogoutRedirectURIs }),
	listMember("grant_types", func(c *oauth2.Client) *[]string { return &c.Grants }),
	listMember("response_types", func(c *oauth2.Client) *[]string { return &c.ResponseTypes }),
	{"scope", readScope, showScope, func(c *oauth2.Client) { c.Scopes = nil }},
	listMember("request_uris", func(c *oauth2.Client) *[]string { return &c.RequestURIs }),
	textMember("initiate_login_uri", func(c *oauth2.Client) *string { return &c.InitiateLoginURI }),
	flagMember("require_pushed_authorization_requests", func(c *oauth2.Client) *bool { return &c.RequirePAR }),
	flagMember("require_signed_request_object", func(c *oauth2.Client) *bool { return &c.RequireSignedRequest }),

	textMember("token_endpoint_auth_method", func(c *oauth2.Client) *string { return &c.AuthMethod }),
	textMember("token_endpoint_auth_signing_alg", func(c *oauth2.Client) *string { return &c.AssertionAlg }),
	{"jwks", readJWKS, showJWKS, func(c *oauth2.Client) { c.JWKS = nil }},
	textMember("jwks_uri", func(c *oauth2.Client) *string { return &c.JWKSURI }),

	textMember("id_token_signed_response_alg", func(c *oauth2.Client) *string { return &c.IDTokenAlg }).otherwise("RS256"),
	textMember("id_token_encrypted_response_alg", func(c *oauth2.Client) *string { return &c.IDTokenEncAlg }),
	textMember("id_token_encrypted_response_enc", func(c *oauth2.Client) *string { return &c.IDTokenEnc }),
	textMember("userinfo_signed_response_alg", func(c *oauth2.Client) *string { return &c.UserinfoAlg }),
	textMember("userinfo_encrypted_response_alg", func(c *oauth2.Client) *string { return &c.UserinfoEncAlg }),
	textMember("userinfo_encrypted_response_enc", func(c *oauth2.Client) *string { return &c.UserinfoEnc }),
	textMember("authorization_signed_response_alg", func(c *oauth2.Client) *string { return &c.AuthorizationAlg }),
	textMember("authorization_encrypted_response_alg", func(c *oauth2.Client) *string { return &c.AuthorizationEncAlg }),
	textMember("authorization_encrypted_response_enc", func(c *oauth2.Client) *string { return &c.AuthorizationEnc }),
	textMember("introspection_signed_response_alg", func(c *oauth2.Client) *string { return &c.IntrospectionAlg }),
	textMember("introspection_encrypted_response_alg", func(c *oauth2.Client) *string { return &c.IntrospectionEncAlg }),
	textMember("introspection_encrypted_response_enc", func(c *oauth2.Client) *string { return &c.IntrospectionEnc }),
	textMember("request_object_signing_alg", func(c *oauth2.Client) *string { return &c.RequestObjectAlg }),
	textMember("request_object_encryption_alg", func(c *oauth2.Client) *string { return &c.RequestObjectEncAlg }),
	textMember("request_object_encryption_enc", func(c *oauth2.Client) *string { return &c.RequestObjectEnc }),

	textMember("subject_type", func(c *oauth2.Client) *string { return &c.SubjectType }).otherwise(oauth2.SubjectPublic),
	textMember("sector_identifier_uri", func(c *oauth2.Client) *string { return &c.SectorIdentifierURI }),
	{"default_max_age", readMaxAge, showMaxAge, func(c *oauth2.Client) { c.DefaultMaxAge = nil }},
	listMember("default_acr_values", func(c *oauth2.Client) *[]string { return &c.DefaultACRValues }),
	flagMember("require_auth_time", func(c *oauth2.Client) *bool { return &c.RequireAuthTime }),

	textMember("backchannel_logout_uri", func(c *oauth2.Client) *string { return &c.BackchannelLogoutURI }),
	flagMember("backchannel_logout_session_required", func(c *oauth2.Client) *bool { return &c.BackchannelLogoutSession }),
	textMember("frontchannel_logout_uri", func(c *oauth2.Client) *string { return &c.FrontchannelLogoutURI }),
	flagMember("frontchannel_logout_session_required", func(c *oauth2.Client) *bool { return &c.FrontchannelLogoutSession }),

	textMember("client_uri", func(c *oauth2.Client) *string { return &c.ClientURI }),
	textMember("logo_uri", func(c *oauth2.Client) *string { return &c.LogoURI }),
	textMember("policy_uri", func(c *oauth2.Client) *string { return &c.PolicyURI }),
	textMember("tos_uri", func(c *oauth2.Client) *string { return &c.TOSURI }),
	listMember("contacts", func(c *oauth2.Client) *[]string { return &c.Contacts }),
	textMember("software_id", func(c *oauth2.Client) *string { return &c.SoftwareID }),
	textMember("software_version", func(c *oauth2.Client) *string { return &c.SoftwareVersion }),
}

// textMember is a member that is a string; an empty one is none.
func textMember(name string, at func(c *oauth2.Client) *string) member {
	return member{name, func(c *oauth2.Client, raw json.RawMessage) string {
		var v string
		if json.Unmarshal(raw, &v) != nil || !plainText(v) {
			return "The member " + name + " is a text of at most 2048 characters, without control characters."
		}
		*at(c) = v
		return ""
	}, func(c *oauth2.Client) any {
		if v := *at(c); v != "" {
			return v
		}
		return nil
	}, func(c *oauth2.Client) { *at(c) = "" }}
}

// otherwise says what it means that a text was left out, so that it is told.
func (m member) otherwise(value string) member {
	show := m.show
	m.show = func(c *oauth2.Client) any {
		if v := show(c); v != nil {
			return v
		}
		return value
	}
	return m
}

// listMember is a member that is an array of strings.
func listMember(name string, at func(c *oauth2.Client) *[]string) member {
	return member{name, func(c *oauth2.Client, raw json.RawMessage) string {
		var v []string
		if json.Unmarshal(raw, &v) != nil || len(v) > maxMembers || slices.ContainsFunc(v, func(s string) bool { return s == "" || !plainText(s) }) {
			return "The member " + name + " is a list of at most 100 texts, each of at most 2048 characters."
		}
		*at(c) = v
		return ""
	}, func(c *oauth2.Client) any {
		if v := *at(c); len(v) > 0 {
			return v
		}
		return nil
	}, func(c *oauth2.Client) { *at(c) = nil }}
}

// flagMember is a member that is true or false; left out, it is false.
func flagMember(name string, at func(c *oauth2.Client) *bool) member {
	return member{name, func(c *oauth2.Client, raw json.RawMessage) string {
		if json.Unmarshal(raw, at(c)) != nil {
			return "The member " + name + " is true or false."
		}
		return ""
	}, func(c *oauth2.Client) any { return *at(c) }, func(c *oauth2.Client) { *at(c) = false }}
}

func plainText(s string) bool {
	return len(s) <= maxMember && !strings.ContainsFunc(s, identity.Misleading)
}

// readType reads application_type (OpenID Connect Registration section 2).
func readType(c *oauth2.Client, raw json.RawMessage) string {
	var v string
	if json.Unmarshal(raw, &v) != nil || v != string(oauth2.Web) && v != string(oauth2.Native) {
		return "The application_type is web or native."
	}
	c.Type = oauth2.ClientType(v)
	return ""
}

func showType(c *oauth2.Client) any {
	if c.Type == oauth2.Native {
		return string(oauth2.Native)
	}
	return string(oauth2.Web)
}

// readScope reads scope: words with spaces between (RFC 7591 section 2).
func readScope(c *oauth2.Client, raw json.RawMessage) string {
	var v string
	if json.Unmarshal(raw, &v) != nil || !plainText(v) {
		return "The scope is a text of words with spaces between them."
	}
	c.Scopes = nil
	for s := range strings.FieldsSeq(v) {
		if !slices.Contains(c.Scopes, s) {
			c.Scopes = append(c.Scopes, s)
		}
	}
	return ""
}

func showScope(c *oauth2.Client) any { return strings.Join(c.Scopes, " ") }

// readJWKS keeps a key set as it came, without its spaces; oauth2.CheckClient
// looks into it.
func readJWKS(c *oauth2.Client, raw json.RawMessage) string {
	var b bytes.Buffer
	if raw[0] != '{' || json.Compact(&b, raw) != nil {
		return "The jwks is a JWK Set: an object with a list of keys."
	}
	c.JWKS = b.Bytes()
	return ""
}

func showJWKS(c *oauth2.Client) any {
	if len(c.JWKS) == 0 {
		return nil
	}
	return c.JWKS
}

func readMaxAge(c *oauth2.Client, raw json.RawMessage) string {
	var v int
	if json.Unmarshal(raw, &v) != nil || v < 0 {
		return "The default_max_age is a whole number of seconds."
	}
	c.DefaultMaxAge = &v
	return ""
}

func showMaxAge(c *oauth2.Client) any {
	if c.DefaultMaxAge == nil {
		return nil
	}
	return *c.DefaultMaxAge
}
