package oauth2

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/gatekeeper-oidc/gatekeeper/audit"
	"github.com/gatekeeper-oidc/gatekeeper/identity"
)

// ErrInactive means a token is unknown, malformed, expired, revoked, or outlived
// its grant, session, user or client. It never means that a store did not answer.
var ErrInactive = errors.New("oauth2: token inactive")

// A ClientType chooses safe metadata for a kind of application.
type ClientType string

// The types of clients the program knows presets for.
const (
	Web     ClientType = "web"     // server-side, confidential
	SPA     ClientType = "spa"     // in a browser, public
	Native  ClientType = "native"  // installed, public, loopback or custom-scheme redirect
	Machine ClientType = "machine" // a service: client credentials, or a resource server
)

// The ways a client may authenticate (RFC 7591 section 2, token_endpoint_auth_method).
const (
	AuthBasic      = "client_secret_basic"
	AuthPost       = "client_secret_post"
	AuthPrivateKey = "private_key_jwt"
	AuthNone       = "none"
)

// AssertionAlgs returns the signature algorithms a private_key_jwt client may use,
// for discovery (token_endpoint_auth_signing_alg_values_supported).
func AssertionAlgs() []string { return slices.Clone(assertionAlgs) }

// The grants the token endpoint knows.
const (
	GrantCode              = "authorization_code"
	GrantRefresh           = "refresh_token"
	GrantClientCredentials = "client_credentials"
)

// A SecretHash is a generated client secret as it is kept: a keyed hash. Several
// may be valid at once while a secret is being rotated.
type SecretHash struct {
	Hash      []byte    `json:"hash"`
	ExpiresAt time.Time `json:"expires_at,omitzero"` // zero: does not expire
}

// A Client is an application registered with the server. Its JSON is the admin
// API's and the declarative file's; Secrets never leave through either.
type Client struct {
	ID                     string          `json:"id"`
	Name                   string          `json:"name,omitempty"`
	Type                   ClientType      `json:"type"`
	RedirectURIs           []string        `json:"redirect_uris,omitempty"`
	PostLogoutRedirectURIs []string        `json:"post_logout_redirect_uris,omitempty"`
	Grants                 []string        `json:"grants"`
	Scopes                 []string        `json:"scopes"`
	Audience               []string        `json:"audience,omitempty"` // what its tokens may be for, and what a machine answers for
	AuthMethod             string          `json:"auth_method"`
	JWKS                   json.RawMessage `json:"jwks,omitempty"`              // public keys for private_key_jwt
	AccessToken            string          `json:"access_token,omitempty"`      // "jwt" (default) or "opaque"
	AccessTokenAlg         string          `json:"access_token_alg,omitempty"`  // default RS256
	IDTokenAlg             string          `json:"id_token_alg,omitempty"`      // default RS256
	AccessTokenTTL         int             `json:"access_token_ttl,omitempty"`  // seconds; 0: the server's
	RefreshTokenTTL        int             `json:"refresh_token_ttl,omitempty"` // seconds; 0: the server's
	FirstParty             bool            `json:"first_party,omitempty"`       // no consent page
	InsecureNoPKCE         bool            `json:"insecure_no_pkce,omitempty"`  // confidential clients only
	IntrospectAny          bool            `json:"introspect_any,omitempty"`    // may ask about any token of this issuer
	DefaultMaxAge          *int            `json:"default_max_age,omitempty"`   // seconds
	ClientURI              string          `json:"client_uri,omitempty"`
	LogoURI                string          `json:"logo_uri,omitempty"`
	PolicyURI              string          `json:"policy_uri,omitempty"`
	TOSURI                 string          `json:"tos_uri,omitempty"`
	Contacts               []string        `json:"contacts,omitempty"`
	Disabled               bool            `json:"disabled,omitempty"`
	Secrets                []SecretHash    `json:"-"`
	CreatedAt              time.Time       `json:"created_at,omitzero"`
	UpdatedAt              time.Time       `json:"updated_at,omitzero"`
}

// Public reports whether the client cannot keep a secret (RFC 6749 section 2.1).
func (c *Client) Public() bool { return c.AuthMethod == AuthNone }

// An Interaction is an authorization request waiting for a person. Request is
// the checked request; the rest is what the person has done about it since. A
// step decides from these fields and the session, never from memory.
type Interaction struct {
	ID        string
	Binding   []byte // SHA-256 of the transaction cookie of the browser that began it
	Request   AuthorizeRequest
	CreatedAt time.Time
	ExpiresAt time.Time
	Selected  string // session id the person goes on with: chosen, signed in, or consented in
	// Authenticated is the session id that signed in within this interaction. It is
	// what satisfies prompt=login and max_age=0: a session and the request may have
	// begun in the same second, which is all that auth_time tells.
	Authenticated string
	Consented     bool   // said yes in this interaction (prompt=consent)
	Denied        string // "" or the OAuth error code the person's answer means
}

// Select names the session the person goes on with. What was said in another one
// is forgotten: nobody's sign-in or consent is lent to the next person.
func (in *Interaction) Select(session string) {
	if in.Selected != session {
		in.Authenticated, in.Consented = "", false
	}
	in.Selected = session
}

// An AuthorizeRequest is an authorization request after every check: nothing in
// it needs to be looked at with suspicion again.
type AuthorizeRequest struct {
	ClientID      string   `json:"client_id"`
	RedirectURI   string   `json:"redirect_uri"`
	ResponseType  string   `json:"response_type"`
	ResponseMode  string   `json:"response_mode"` // "query" or "form_post"
	Scopes        []string `json:"scopes"`        // registered ones only
	Audience      []string `json:"audience,omitempty"`
	State         string   `json:"state,omitempty"`
	Nonce         string   `json:"nonce,omitempty"`
	CodeChallenge string   `json:"code_challenge,omitempty"` // S256
	Prompt        []string `json:"prompt,omitempty"`
	MaxAge        *int64   `json:"max_age,omitempty"`      // seconds
	HintSubject   string   `json:"hint_subject,omitempty"` // sub of a verified id_token_hint
	LoginHint     string   `json:"login_hint,omitempty"`
	UILocales     []string `json:"ui_locales,omitempty"`
	ACRValues     []string `json:"acr_values,omitempty"`
	Display       string   `json:"display,omitempty"`
}

// HasPrompt reports whether the request carries the prompt value p.
func (r *AuthorizeRequest) HasPrompt(p string) bool {
	for _, v := range r.Prompt {
		if v == p {
			return true
		}
	}
	return false
}

// A Grant is one authorization: what a user let a client have, in one session.
// It owns its tokens and is immutable after insert but for its revocation.
type Grant struct {
	ID         string // UUID
	ClientID   string
	Subject    string // user id
	Session    string // sid
	Scopes     []string
	Audience   []string
	Nonce      string
	AuthTime   time.Time
	AMR        []string
	ACR        string
	Offline    bool   // offline_access: outlives its session
	SecretHash []byte // SHA-256 of the refresh token's secret; nil without one
	CreatedAt  time.Time
	ExpiresAt  time.Time // absolute end of everything it owns
	RevokedAt  time.Time
}

// A RefreshState is the narrow, often written half of a grant.
type RefreshState struct {
	Generation int // of the newest token handed out; the first is 1
	RotatedAt  time.Time
	ExpiresAt  time.Time // absolute
}

// A Rotation is the outcome of presenting a refresh token.
type Rotation int

// Rotated: this call advanced the generation. Repeated: another call did, inside
// the grace window, so the successor is the same. Replayed: the token is older
// than that, and the grant is now revoked. Dead: the grant was revoked, has
// expired or does not exist.
const (
	Dead Rotation = iota
	Rotated
	Repeated
	Replayed
)

// A Standing is everything a token's liveness depends on, read in one statement.
type Standing struct {
	GrantFound   bool // client-credentials tokens have no grant
	GrantRevoked bool
	SessionEnded bool
	UserFound    bool
	User         identity.User
	TokenRevoked bool
}

// Store keeps clients, interactions and grants. Methods join the transaction of
// their context. Errors as in identity.Store. Time is the database's.
type Store interface {
	InTx(ctx context.Context, f func(ctx context.Context) error) error

	Client(ctx context.Context, id string) (Client, error)
	InsertClient(ctx context.Context, c Client) error
	UpdateClient(ctx context.Context, c Client) error
	DeleteClient(ctx context.Context, id string) error // and revokes its grants
	Clients(ctx context.Context, p identity.Page) (clients []Client, next string, err error)

	PutInteraction(ctx context.Context, in Interaction) error // upsert
	Interaction(ctx context.Context, id string) (Interaction, error)
	// ConsumeInteraction deletes it and reports whether it was still there: of
	// racing callers exactly one gets true.
	ConsumeInteraction(ctx context.Context, id string) (bool, error)

	// RedeemGrant inserts g and, if withRefresh, its first refresh state, and
	// records e, in one statement. It reports false, having written nothing, if a
	// grant with this id exists: the code was redeemed before.
	RedeemGrant(ctx context.Context, g Grant, withRefresh bool, e audit.Event) (bool, error)
	Grant(ctx context.Context, id string) (Grant, RefreshState, error)
	// GrantWithStanding is Grant and Standing in one round trip, for refresh.
	GrantWithStanding(ctx context.Context, id string) (Grant, RefreshState, Standing, error)
	// RotateRefresh is the compare-and-swap on the generation, with e recorded in
	// the same transaction when it is Rotated. generation is that of the token
	// presented; the token of generation+1 is its successor. For Replayed it
	// revokes the grant and records replay instead.
	RotateRefresh(ctx context.Context, r RotateRequest) (Rotation, error)
	// RevokeGrant is idempotent; it reports whether this call did it.
	RevokeGrant(ctx context.Context, id string, e audit.Event) (bool, error)
	// RevokeGrants revokes the live grants of subject and client; either may be
	// "" for any, both not. It returns their ids.
	RevokeGrants(ctx context.Context, subject, clientID string) (ids []string, err error)
	Grants(ctx context.Context, subject string) ([]Grant, error) // live ones
	RevokeToken(ctx context.Context, jti string, expiresAt time.Time, e audit.Event) error
	// Standing reads what liveness depends on. grant and session may be "".
	Standing(ctx context.Context, q StandingQuery) (Standing, error)

	// UseAssertion marks (client, jti) used until expiresAt and reports whether it
	// was unused: of racing callers exactly one gets true.
	UseAssertion(ctx context.Context, clientID, jti string, expiresAt time.Time) (bool, error)
}

// A RotateRequest names the token presented and what to record of it.
type RotateRequest struct {
	Grant      string
	Generation int
	Grace      time.Duration
	Idle       time.Duration // dead if not rotated for this long
	Event      audit.Event   // when Rotated
	Replay     audit.Event   // when Replayed
}

// A StandingQuery names what a token says it depends on.
type StandingQuery struct{ Grant, Session, Subject, JTI string }
