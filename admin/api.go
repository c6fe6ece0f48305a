package admin

import (
	"context"
	"time"

	"github.com/gatekeeper-oidc/gatekeeper/audit"
	"github.com/gatekeeper-oidc/gatekeeper/consent"
	"github.com/gatekeeper-oidc/gatekeeper/identity"
	"github.com/gatekeeper-oidc/gatekeeper/keys"
	"github.com/gatekeeper-oidc/gatekeeper/oauth2"
)

// API is everything those who run the server can do. Service does it on the
// store; Client does it over HTTP on a running server. The CLI knows only this.
type API interface {
	CreateClient(ctx context.Context, in ClientInput) (ClientWithSecret, error)
	// UpdateClient replaces an application whole, but for its secrets. Where seen names
	// what ClientTag said of it, here and below, a change made meanwhile is not undone.
	UpdateClient(ctx context.Context, c oauth2.Client, seen ...string) (oauth2.Client, error)
	DeleteClient(ctx context.Context, id string, seen ...string) error
	Client(ctx context.Context, id string) (oauth2.Client, error)
	Clients(ctx context.Context, p identity.Page) (clients []oauth2.Client, next string, err error)
	RotateSecret(ctx context.Context, id string, in RotateInput) (ClientWithSecret, error)
	// ClientWarnings says what is registered of an application and will not work,
	// such as an address that this server does not ask.
	ClientWarnings(ctx context.Context, id string) ([]string, error)

	CreateUser(ctx context.Context, in UserInput) (identity.User, error)
	UpdateUser(ctx context.Context, u identity.User, seen ...string) (identity.User, error) // replaces it whole
	DeleteUser(ctx context.Context, user string, seen ...string) error                      // user: id or email, here and below
	User(ctx context.Context, user string) (identity.User, error)
	Users(ctx context.Context, query string, p identity.Page) (users []identity.User, next string, err error)
	LockUser(ctx context.Context, user, reason string) error
	UnlockUser(ctx context.Context, user string) error
	SetPassword(ctx context.Context, user, password string) error

	Sessions(ctx context.Context, user string) ([]Session, error)      // "" means everybody's
	EndSessions(ctx context.Context, user string, ids ...string) error // those named; none named is refused
	EndAllSessions(ctx context.Context, user string) error
	Consents(ctx context.Context, user string, p identity.Page) (consents []consent.Consent, next string, err error)
	RevokeConsent(ctx context.Context, user, clientID string) error

	Keys(ctx context.Context) ([]keys.Listed, error)
	RotateKeys(ctx context.Context, alg string, now bool) ([]keys.Listed, error)
	RevokeKey(ctx context.Context, id string) error

	CreateInitialToken(ctx context.Context, in InitialTokenInput) (InitialTokenWithSecret, error)
	InitialTokens(ctx context.Context) ([]oauth2.InitialToken, error) // newest first, live or not
	RevokeInitialToken(ctx context.Context, id string) error

	InspectToken(ctx context.Context, token string) (TokenInfo, error)
	RevokeToken(ctx context.Context, token string) (Revoked, error)

	Events(ctx context.Context, f audit.Filter) ([]audit.Event, error)
	TrailHead(ctx context.Context) (TrailHead, error)
	Explain(ctx context.Context, reference string) (audit.Event, error)
	SetupLink(ctx context.Context) (url string, err error)
}

// ClientInput is a client to create and, if the administrator brings one, its secret.
type ClientInput struct {
	oauth2.Client
	Secret string `json:"client_secret,omitempty"` // "" generates one for a confidential client
}

// ClientWithSecret is a client and the secret that is shown this once.
type ClientWithSecret struct {
	oauth2.Client
	Secret string `json:"client_secret,omitempty"`
}

// RotateInput says what becomes of the old secret.
type RotateInput struct {
	Secret  string        `json:"client_secret,omitempty"` // "" generates one
	KeepOld time.Duration `json:"keep_old,omitempty"`      // nanoseconds in JSON
}

// InitialTokenInput is an initial access token to make (RFC 7591 section 3).
type InitialTokenInput struct {
	Name string        `json:"name,omitempty"`
	Uses int           `json:"uses,omitempty"` // registrations it is good for; 0: one
	Life time.Duration `json:"life,omitempty"` // nanoseconds in JSON; 0: a day
}

// InitialTokenWithSecret is an initial access token and its secret, shown this once.
type InitialTokenWithSecret struct {
	oauth2.InitialToken
	Token string `json:"token"`
}

// Session is a live session and the ids of the applications that will be told when
// it ends: those it reached that registered a logout address.
type Session struct {
	identity.Session
	Clients []string `json:"clients,omitempty"`
}

// UserInput is a user to create.
type UserInput struct {
	Email         string           `json:"email"`
	EmailVerified bool             `json:"email_verified,omitempty"`
	Password      string           `json:"password,omitempty"`
	PasswordHash  string           `json:"password_hash,omitempty"` // PHC string, for imports
	Roles         []string         `json:"roles,omitempty"`
	Profile       identity.Profile `json:"profile,omitzero"`
}

// TokenInfo is what a token is good for, as introspection says it.
type TokenInfo struct {
	Active    bool      `json:"active"`
	Kind      string    `json:"kind,omitempty"`
	ClientID  string    `json:"client_id,omitempty"`
	Subject   string    `json:"sub,omitempty"`
	Session   string    `json:"sid,omitempty"`
	Grant     string    `json:"grant_id,omitempty"`
	Scopes    []string  `json:"scopes,omitempty"`
	Audience  []string  `json:"audience,omitempty"`
	IssuedAt  time.Time `json:"issued_at,omitzero"`
	ExpiresAt time.Time `json:"expires_at,omitzero"`
}

// Revoked is what came of revoking a token.
type Revoked struct {
	Kind     string `json:"kind"` // "access", or "refresh": then its grant is revoked
	ClientID string `json:"client_id"`
	Grant    string `json:"grant_id,omitempty"`
	Already  bool   `json:"already"` // it was worthless before
}

// TrailHead is how far the trail has come, as it is kept beside the events: a trail
// that ends before it, or has another hash there, was cut off.
type TrailHead struct {
	Position int64  `json:"position"` // 0: nothing was written yet
	Hash     string `json:"hash"`
}
