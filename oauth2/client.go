package oauth2

import (
	"encoding/json"
	"slices"
	"time"
)

// A ClientType chooses safe metadata for a kind of application.
type ClientType string

// The types of clients the program knows presets for.
const (
	Web     ClientType = "web"     // server-side, confidential
	SPA     ClientType = "spa"     // in a browser, public
	Native  ClientType = "native"  // installed, public, loopback or custom-scheme redirect
	Machine ClientType = "machine" // a service: client credentials, or a resource server
	Device  ClientType = "device"  // without a browser of its own, public (RFC 8628)
)

// The ways a client may authenticate (RFC 7591 section 2, token_endpoint_auth_method).
const (
	AuthBasic      = "client_secret_basic"
	AuthPost       = "client_secret_post"
	AuthSecretJWT  = "client_secret_jwt"
	AuthPrivateKey = "private_key_jwt"
	AuthNone       = "none"
)

// ConfidentialMethods returns the ways to authenticate that prove something, for
// discovery.
func ConfidentialMethods() []string {
	return []string{AuthBasic, AuthPost, AuthSecretJWT, AuthPrivateKey}
}

// AssertionAlgs returns the signature algorithms of client assertions
// (private_key_jwt, client_secret_jwt), for discovery.
func AssertionAlgs() []string { return append(slices.Clone(assertionAlgs), HS256) }

// HS256 is the one symmetric algorithm: for a confidential client that registered
// it, whose secret is then sealed instead of hashed.
const HS256 = "HS256"

// The grants of the token endpoint, and the one of the authorization endpoint
// that never reaches it.
const (
	GrantCode              = "authorization_code"
	GrantRefresh           = "refresh_token"
	GrantClientCredentials = "client_credentials"
	GrantImplicit          = "implicit"
	GrantDevice            = "urn:ietf:params:oauth:grant-type:device_code"
	GrantExchange          = "urn:ietf:params:oauth:grant-type:token-exchange"
	GrantJWTBearer         = "urn:ietf:params:oauth:grant-type:jwt-bearer" //nolint:gosec // G101: a name
)

// How an application's people are called towards it (OpenID Connect Core section 8).
const (
	SubjectPublic   = "public"
	SubjectPairwise = "pairwise"
)

// Whom a client assertion may be for (RFC 7523 section 3), by profile: one value,
// the issuer or the token endpoint (the default); the issuer as a single string
// and nothing else (FAPI 2.0); or any of issuer, token endpoint and the endpoint
// asked, alone or among others (OpenID Connect Core, FAPI 1.0).
const (
	AudienceOne    = ""
	AudienceIssuer = "issuer"
	AudienceAny    = "any"
)

// The header types of access tokens: the one of RFC 9068 section 2.1, and the one
// that older verifiers want. A token of the second carries a mark of its own, so
// that nothing else this server signs passes for one.
const (
	TypAccessToken = "at+jwt"
	TypJWT         = "JWT"
)

// When a person's grant comes with a refresh token, besides the registration for
// the grant: with the scope offline_access only (OpenID Connect Core section 11),
// or always. Without the scope it lives no longer than the person's session.
const (
	RefreshOffline    = "offline_access"
	RefreshRegistered = "registered"
)

// A SecretHash is a generated client secret as it is kept: a keyed hash. Several
// may be valid at once while a secret is being rotated.
type SecretHash struct {
	Hash      []byte    `json:"hash"`
	ExpiresAt time.Time `json:"expires_at,omitzero"` // zero: does not expire
	// Sealed is the secret itself, for a client that signs or wants signed with it
	// (HS256, client_secret_jwt); nil for every other.
	Sealed []byte `json:"sealed,omitempty"`
}

// A Client is an application registered with the server. Its JSON is the admin
// API's and the declarative file's; Secrets never leave through either. Members
// named as in a registration (RFC 7591) mean what they mean there.
type Client struct {
	ID                     string     `json:"id"`
	Name                   string     `json:"name,omitempty"`
	Type                   ClientType `json:"type"`
	RedirectURIs           []string   `json:"redirect_uris,omitempty"`
	PostLogoutRedirectURIs []string   `json:"post_logout_redirect_uris,omitempty"`
	Grants                 []string   `json:"grants"`
	ResponseTypes          []string   `json:"response_types,omitempty"` // default: code, for who may use codes
	Scopes                 []string   `json:"scopes"`
	Audience               []string   `json:"audience,omitempty"`                              // what its tokens may be for, and what a machine answers for
	FirstParty             bool       `json:"first_party,omitempty"`                           // no consent page
	InsecureNoPKCE         bool       `json:"insecure_no_pkce,omitempty"`                      // confidential clients only
	InsecureShortScheme    bool       `json:"insecure_short_scheme,omitempty"`                 // native: a scheme without a dot, which any application may claim
	IntrospectAny          bool       `json:"introspect_any,omitempty"`                        // may ask about any token of this issuer
	RequirePAR             bool       `json:"require_pushed_authorization_requests,omitempty"` // RFC 9126 section 6
	RequireSignedRequest   bool       `json:"require_signed_request_object,omitempty"`         // RFC 9101 section 10.5
	RequestURIs            []string   `json:"request_uris,omitempty"`
	InitiateLoginURI       string     `json:"initiate_login_uri,omitempty"`

	AuthMethod        string          `json:"auth_method"`
	ExactAuthMethod   bool            `json:"exact_auth_method,omitempty"`               // a secret comes by AuthMethod and no other way
	AssertionAlg      string          `json:"token_endpoint_auth_signing_alg,omitempty"` // "": any of AssertionAlgs
	AssertionAudience string          `json:"assertion_audience,omitempty"`              // AudienceOne, AudienceIssuer or AudienceAny
	AssertionMaxAge   int             `json:"assertion_max_age,omitempty"`               // seconds one may live; 0: five minutes
	JWKS              json.RawMessage `json:"jwks,omitempty"`                            // public keys, by value
	JWKSURI           string          `json:"jwks_uri,omitempty"`                        // or by reference

	AccessToken     string `json:"access_token,omitempty"`      // "jwt" (default) or "opaque"
	AccessTokenAlg  string `json:"access_token_alg,omitempty"`  // default RS256
	AccessTokenTyp  string `json:"access_token_typ,omitempty"`  // header of a JWT: TypAccessToken (default) or TypJWT
	AccessTokenTTL  int    `json:"access_token_ttl,omitempty"`  // seconds; 0: the server's
	RefreshTokenTTL int    `json:"refresh_token_ttl,omitempty"` // seconds; 0: the server's
	Refresh         string `json:"refresh,omitempty"`           // RefreshOffline or RefreshRegistered; "": by its kind and the server

	// How what the server says to the client is signed, and encrypted with the
	// client's own key. An empty signing algorithm means RS256 for an ID token and a
	// JWT response, and plain JSON for userinfo and introspection.
	IDTokenAlg          string `json:"id_token_alg,omitempty"`
	IDTokenEncAlg       string `json:"id_token_encrypted_response_alg,omitempty"`
	IDTokenEnc          string `json:"id_token_encrypted_response_enc,omitempty"`
	UserinfoAlg         string `json:"userinfo_signed_response_alg,omitempty"`
	UserinfoEncAlg      string `json:"userinfo_encrypted_response_alg,omitempty"`
	UserinfoEnc         string `json:"userinfo_encrypted_response_enc,omitempty"`
	AuthorizationAlg    string `json:"authorization_signed_response_alg,omitempty"` // JARM
	AuthorizationEncAlg string `json:"authorization_encrypted_response_alg,omitempty"`
	AuthorizationEnc    string `json:"authorization_encrypted_response_enc,omitempty"`
	IntrospectionAlg    string `json:"introspection_signed_response_alg,omitempty"` // RFC 9701
	IntrospectionEncAlg string `json:"introspection_encrypted_response_alg,omitempty"`
	IntrospectionEnc    string `json:"introspection_encrypted_response_enc,omitempty"`
	// How what the client says to the server is signed (RFC 9101); "": any that we take.
	RequestObjectAlg    string `json:"request_object_signing_alg,omitempty"`
	RequestObjectEncAlg string `json:"request_object_encryption_alg,omitempty"`
	RequestObjectEnc    string `json:"request_object_encryption_enc,omitempty"`

	SubjectType         string   `json:"subject_type,omitempty"` // SubjectPublic (default) or SubjectPairwise
	SectorIdentifierURI string   `json:"sector_identifier_uri,omitempty"`
	DefaultMaxAge       *int     `json:"default_max_age,omitempty"` // seconds
	DefaultACRValues    []string `json:"default_acr_values,omitempty"`
	RequireAuthTime     bool     `json:"require_auth_time,omitempty"` // always honoured: auth_time is in every ID token

	BackchannelLogoutURI      string `json:"backchannel_logout_uri,omitempty"`
	BackchannelLogoutSession  bool   `json:"backchannel_logout_session_required,omitempty"`
	FrontchannelLogoutURI     string `json:"frontchannel_logout_uri,omitempty"`
	FrontchannelLogoutSession bool   `json:"frontchannel_logout_session_required,omitempty"`

	Exchange       *Exchange       `json:"exchange,omitempty"`        // RFC 8693; nil: none
	TrustedIssuers []TrustedIssuer `json:"trusted_issuers,omitempty"` // RFC 7523 section 2.1; none: nobody's assertions

	ClientURI       string   `json:"client_uri,omitempty"`
	LogoURI         string   `json:"logo_uri,omitempty"`
	PolicyURI       string   `json:"policy_uri,omitempty"`
	TOSURI          string   `json:"tos_uri,omitempty"`
	Contacts        []string `json:"contacts,omitempty"`
	SoftwareID      string   `json:"software_id,omitempty"`
	SoftwareVersion string   `json:"software_version,omitempty"`

	Dynamic  bool         `json:"dynamic,omitempty"` // registered itself (RFC 7591)
	Disabled bool         `json:"disabled,omitempty"`
	Secrets  []SecretHash `json:"-"`
	// Registration is the store's to give: a client deleted and made again under the
	// same id has another, and inherits nothing.
	Registration string    `json:"-"`
	CreatedAt    time.Time `json:"created_at,omitzero"`
	UpdatedAt    time.Time `json:"updated_at,omitzero"`
}

// Public reports whether the client cannot keep a secret (RFC 6749 section 2.1).
func (c *Client) Public() bool { return c.AuthMethod == AuthNone }

// Pairwise reports whether people are called differently towards each sector of
// clients (OpenID Connect Core section 8.1).
func (c *Client) Pairwise() bool { return c.SubjectType == SubjectPairwise }

// May reports whether the client is registered for a grant.
func (c *Client) May(grant string) bool { return slices.Contains(c.Grants, grant) }

// Accepts reports whether a credential of this method may prove the client: the
// registered one, and for a plain secret either way it can be sent, because most
// libraries choose by what discovery offers.
func (c *Client) Accepts(method string) bool {
	if method == c.AuthMethod {
		return true
	}
	plain := func(m string) bool { return m == AuthBasic || m == AuthPost }
	return !c.ExactAuthMethod && plain(method) && plain(c.AuthMethod)
}

// KeepsSecret reports whether the client has a secret: to authenticate with, or to
// have its answers signed with.
func (c *Client) KeepsSecret() bool {
	return c.SharesSecret() || c.AuthMethod == AuthBasic || c.AuthMethod == AuthPost
}

// LacksShared reports whether the client shares its secret now, but of those it
// was given only hashes were kept.
func (c *Client) LacksShared() bool {
	return c.SharesSecret() && !slices.ContainsFunc(c.Secrets, func(s SecretHash) bool { return s.Sealed != nil })
}

// SharesSecret reports whether the server needs the client's secret itself, not
// only its hash: to check or to make an HMAC with it.
func (c *Client) SharesSecret() bool {
	for _, alg := range [...]string{c.IDTokenAlg, c.UserinfoAlg, c.AuthorizationAlg, c.IntrospectionAlg} {
		if alg == HS256 {
			return true
		}
	}
	return c.AuthMethod == AuthSecretJWT
}
