package oidc

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/gatekeeper-oidc/gatekeeper/internal/web"
	"github.com/gatekeeper-oidc/gatekeeper/keys"
	"github.com/gatekeeper-oidc/gatekeeper/oauth2"
)

// The paths of this package, below the issuer.
const (
	pathJWKS          = "/oidc/jwks"
	pathUserinfo      = oauth2.UserinfoPath
	pathLogout        = "/oidc/logout"
	pathLogoutConfirm = "/oidc/logout/confirm"
	pathLogoutDone    = "/oidc/logout/done"
	pathCheckSession  = "/oidc/session"
)

// discoveryMaxAge is how long a copy of discovery may be used: short enough that
// a changed configuration is seen soon, long enough to spare a fetch per login.
const discoveryMaxAge = 5 * time.Minute

// discoveryPaths returns where the metadata is found, below the issuer: the two
// well-known names, which for an issuer with a path are its appended form (OpenID
// Connect Discovery section 4), and that path behind them, which is its inserted
// form at the root of the host (RFC 8414 section 3.1).
func discoveryPaths(issuerPath string) []string {
	var paths []string
	for _, name := range []string{"/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"} {
		paths = append(paths, name)
		if issuerPath != "" {
			paths = append(paths, name+issuerPath)
		}
	}
	return paths
}

// metadata is the server's description of itself (OpenID Connect Discovery
// section 3, RFC 8414 section 2). Every name is registered, every endpoint
// answers, and nothing is advertised that does not work; empty lists are left out.
type metadata struct {
	Issuer                string `json:"issuer"`
	AuthorizationEndpoint string `json:"authorization_endpoint"`
	TokenEndpoint         string `json:"token_endpoint"`
	UserinfoEndpoint      string `json:"userinfo_endpoint"`
	JWKSURI               string `json:"jwks_uri"`
	RevocationEndpoint    string `json:"revocation_endpoint"`
	IntrospectionEndpoint string `json:"introspection_endpoint"`
	EndSessionEndpoint    string `json:"end_session_endpoint"`
	CheckSessionIframe    string `json:"check_session_iframe"`
	PushedEndpoint        string `json:"pushed_authorization_request_endpoint"`
	RegistrationEndpoint  string `json:"registration_endpoint,omitempty"`
	DeviceEndpoint        string `json:"device_authorization_endpoint"` // RFC 8628 section 4

	Scopes               []string `json:"scopes_supported,omitempty"`
	ResponseTypes        []string `json:"response_types_supported"`
	ResponseModes        []string `json:"response_modes_supported"`
	GrantTypes           []string `json:"grant_types_supported"`
	CodeChallengeMethods []string `json:"code_challenge_methods_supported"`
	SubjectTypes         []string `json:"subject_types_supported"`
	IDTokenAlgs          []string `json:"id_token_signing_alg_values_supported"`
	RequestObjectAlgs    []string `json:"request_object_signing_alg_values_supported"`
	AuthorizationAlgs    []string `json:"authorization_signing_alg_values_supported"` // JARM
	ClaimTypes           []string `json:"claim_types_supported"`

	IDTokenEncAlgs           []string `json:"id_token_encryption_alg_values_supported"`
	IDTokenEncs              []string `json:"id_token_encryption_enc_values_supported"`
	UserinfoAlgs             []string `json:"userinfo_signing_alg_values_supported"`
	UserinfoEncAlgs          []string `json:"userinfo_encryption_alg_values_supported"`
	UserinfoEncs             []string `json:"userinfo_encryption_enc_values_supported"`
	AuthorizationEncAlgs     []string `json:"authorization_encryption_alg_values_supported"`
	AuthorizationEncs        []string `json:"authorization_encryption_enc_values_supported"`
	IntrospectionSigningAlgs []string `json:"introspection_signing_alg_values_supported"` // RFC 9701
	IntrospectionEncAlgs     []string `json:"introspection_encryption_alg_values_supported"`
	IntrospectionEncs        []string `json:"introspection_encryption_enc_values_supported"`
	RequestObjectEncAlgs     []string `json:"request_object_encryption_alg_values_supported,omitempty"`
	RequestObjectEncs        []string `json:"request_object_encryption_enc_values_supported,omitempty"`

	TokenAuthMethods        []string `json:"token_endpoint_auth_methods_supported"`
	TokenAuthAlgs           []string `json:"token_endpoint_auth_signing_alg_values_supported"`
	RevocationAuthMethods   []string `json:"revocation_endpoint_auth_methods_supported"`
	RevocationAuthAlgs      []string `json:"revocation_endpoint_auth_signing_alg_values_supported"`
	IntrospectionAuthMethod []string `json:"introspection_endpoint_auth_methods_supported"`
	IntrospectionAuthAlgs   []string `json:"introspection_endpoint_auth_signing_alg_values_supported"`
	Claims                  []string `json:"claims_supported"`
	ACRValues               []string `json:"acr_values_supported,omitempty"`
	Prompts                 []string `json:"prompt_values_supported"`
	UILocales               []string `json:"ui_locales_supported,omitempty"`

	BackchannelLogout         bool `json:"backchannel_logout_supported"`
	BackchannelLogoutSession  bool `json:"backchannel_logout_session_supported"`
	FrontchannelLogout        bool `json:"frontchannel_logout_supported"`
	FrontchannelLogoutSession bool `json:"frontchannel_logout_session_supported"`

	IssParameter        bool `json:"authorization_response_iss_parameter_supported"` // RFC 9207
	ClaimsParameter     bool `json:"claims_parameter_supported"`
	RequestParameter    bool `json:"request_parameter_supported"`
	RequestURIParameter bool `json:"request_uri_parameter_supported"` // true if left out
	RequireRequestURIs  bool `json:"require_request_uri_registration,omitempty"`
}

func newMetadata(cfg Config) metadata {
	confidential := oauth2.ConfidentialMethods()
	everyone := append(slices.Clone(confidential), oauth2.AuthNone)
	prompts := []string{"none", "login", "consent", "select_account"}
	if cfg.SignUp {
		prompts = append(prompts, "create") // Initiating User Registration via OpenID Connect 1.0
	}
	signing, toClients, content := append(cfg.Keys.Algs(), oauth2.HS256), keys.EncryptionAlgs(), keys.ContentAlgs()
	m := metadata{
		Issuer:                cfg.Issuer,
		AuthorizationEndpoint: cfg.Issuer + "/oauth2/authorize",
		TokenEndpoint:         cfg.Issuer + "/oauth2/token",
		UserinfoEndpoint:      cfg.Issuer + pathUserinfo,
		JWKSURI:               cfg.Issuer + pathJWKS,
		RevocationEndpoint:    cfg.Issuer + "/oauth2/revoke",
		IntrospectionEndpoint: cfg.Issuer + "/oauth2/introspect",
		EndSessionEndpoint:    cfg.Issuer + pathLogout,
		CheckSessionIframe:    cfg.Issuer + pathCheckSession,
		PushedEndpoint:        cfg.Issuer + "/oauth2/par",
		DeviceEndpoint:        cfg.Issuer + "/oauth2/device_authorization",

		Scopes:               cfg.Scopes,
		ResponseTypes:        cfg.ResponseTypes,
		ResponseModes:        oauth2.ResponseModes(),
		GrantTypes:           grantTypes(cfg.ResponseTypes),
		CodeChallengeMethods: []string{"S256"},
		SubjectTypes:         []string{oauth2.SubjectPublic, oauth2.SubjectPairwise},
		IDTokenAlgs:          signing,
		RequestObjectAlgs:    oauth2.RequestObjectAlgs(),
		AuthorizationAlgs:    signing,
		ClaimTypes:           []string{"normal"},

		IDTokenEncAlgs: toClients, IDTokenEncs: content,
		UserinfoAlgs: signing, UserinfoEncAlgs: toClients, UserinfoEncs: content,
		AuthorizationEncAlgs: toClients, AuthorizationEncs: content,
		IntrospectionSigningAlgs: signing, IntrospectionEncAlgs: toClients, IntrospectionEncs: content,

		TokenAuthMethods:        everyone,
		TokenAuthAlgs:           oauth2.AssertionAlgs(),
		RevocationAuthMethods:   everyone,
		RevocationAuthAlgs:      oauth2.AssertionAlgs(),
		IntrospectionAuthMethod: confidential,
		IntrospectionAuthAlgs:   oauth2.AssertionAlgs(),
		Claims: append(claimNames(cfg.Scopes),
			"iss", "aud", "exp", "iat", "auth_time", "nonce", "acr", "amr", "azp", "at_hash", "sid"),
		ACRValues: oauth2.ACRValues(),
		Prompts:   prompts,
		UILocales: cfg.Pages.Locales(),

		BackchannelLogout: true, BackchannelLogoutSession: true, FrontchannelLogout: true, FrontchannelLogoutSession: true,
		IssParameter: true, ClaimsParameter: true, RequestParameter: true, RequestURIParameter: cfg.RequestURIs, RequireRequestURIs: cfg.RequestURIs,
	}
	if algs := cfg.Keys.EncryptionAlgs(); len(algs) > 0 {
		m.RequestObjectEncAlgs, m.RequestObjectEncs = algs, content
	}
	if cfg.Registration.Advertised() {
		m.RegistrationEndpoint = cfg.Issuer + pathRegister
	}
	return m
}

// grantTypes are those of the token endpoint, and implicit where a response type
// passes tokens through the browser.
func grantTypes(responseTypes []string) []string {
	grants := oauth2.TokenGrants()
	if len(responseTypes) > 1 || responseTypes[0] != "code" {
		grants = append(grants, oauth2.GrantImplicit)
	}
	return grants
}

// newDiscovery serialises the metadata once.
func newDiscovery(m metadata) (*web.Document, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(m); err != nil {
		return nil, fmt.Errorf("encode metadata: %w", err)
	}
	return web.NewDocument("application/json", b.Bytes(), discoveryMaxAge), nil
}
