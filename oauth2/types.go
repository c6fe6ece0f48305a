package oauth2

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/gatekeeper-oidc/gatekeeper/audit"
	"github.com/gatekeeper-oidc/gatekeeper/identity"
)

// ErrInactive means a token is unknown, malformed, expired, revoked, or outlived
// its grant, session, user or client. It never means that a store did not answer.
var ErrInactive = errors.New("oauth2: token inactive")

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
	Registration  string   `json:"registration,omitempty"` // of the client, when the request came
	RedirectURI   string   `json:"redirect_uri"`
	ResponseType  string   `json:"response_type"` // as registered, such as "code id_token"
	ResponseMode  string   `json:"response_mode"` // "query", "fragment" or "form_post", or one of them and ".jwt"
	Scopes        []string `json:"scopes"`        // registered ones only
	Audience      []string `json:"audience,omitempty"`
	Narrowed      bool     `json:"narrowed,omitempty"` // Audience was asked for (RFC 8707): the tokens are for nothing else
	State         string   `json:"state,omitempty"`
	Nonce         string   `json:"nonce,omitempty"`
	CodeChallenge string   `json:"code_challenge,omitempty"` // S256
	Prompt        []string `json:"prompt,omitempty"`
	MaxAge        *int64   `json:"max_age,omitempty"`      // seconds
	HintSubject   string   `json:"hint_subject,omitempty"` // user id a verified id_token_hint names
	LoginHint     string   `json:"login_hint,omitempty"`
	UILocales     []string `json:"ui_locales,omitempty"`
	ACRValues     []string `json:"acr_values,omitempty"`
	Display       string   `json:"display,omitempty"`

	Claims      ClaimsRequest `json:"claims,omitzero"`
	ClaimScopes []string      `json:"claim_scopes,omitempty"` // scopes that Claims reaches beyond Scopes
	// Device is the device this request speaks for (RFC 8628), nil for one that came
	// by itself: the answer then goes to the device, and the browser nowhere.
	Device *DeviceVisit `json:"device,omitempty"`
	// Pushed names the pushed request this one came as (RFC 9126), to be spent when
	// it is completed; "" for one that came with the browser.
	Pushed string `json:"pushed,omitempty"`
}

// Asked returns what a person is asked to agree to: the scopes, and those whose
// claims are asked for one by one.
func (r *AuthorizeRequest) Asked() []string {
	if len(r.ClaimScopes) == 0 {
		return r.Scopes
	}
	return append(slices.Clone(r.Scopes), r.ClaimScopes...)
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
	Narrowed   bool // Audience was asked for: not for this server's userinfo, unless it is among it
	Nonce      string
	AuthTime   time.Time
	AMR        []string
	ACR        string
	Offline    bool   // offline_access: outlives its session
	Claims     Claims // asked for one by one
	SecretHash []byte // SHA-256 of the refresh token's secret; nil without one
	CreatedAt  time.Time
	ExpiresAt  time.Time // absolute end of everything it owns
	RevokedAt  time.Time
	// Registration is the one of the client that it was given to. A client made again
	// under the same id has another; "" is a grant of before there were any.
	Registration string
	Basis        *Basis // what RedeemGrant holds it to; said to it, not kept
	Hears        bool   // its application wants to hear of the session's end; said to RedeemGrant, not kept
}

// A Basis is what something lasting is written on, as it was when it was decided: the
// statement that writes reads it again. A nil one is asked of nothing.
type Basis struct {
	Version      time.Time // UpdatedAt of the client
	Registration string    // of the client
	Consent      bool      // the person has to have allowed the grant's scopes
	Session      bool      // the session has to live; a redemption wants it of every grant that has one
	// Resumes is the id of the event of an attempt that had no answer: if the grant was
	// written with it, this redemption is that one.
	Resumes string
}

// What a statement that reads its basis finds: the client is not what it was, so
// that there is to decide anew; or the person, their session or their consent is gone.
var (
	ErrClientChanged = errors.New("oauth2: the client has changed since it was read")
	ErrBasisGone     = errors.New("oauth2: the person, their session or their consent is gone")
)

// Claims names the claims an application asked for by name (OpenID Connect Core
// section 5.5), as far as it may have them.
type Claims struct {
	IDToken  []string `json:"id_token,omitempty"`
	Userinfo []string `json:"userinfo,omitempty"`
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
	Client       string // of the grant
	Registration string // of the grant
	Claims       Claims // of the grant
}

// Store keeps clients, interactions and grants. Methods join the transaction of
// their context. Errors as in identity.Store. Time is the database's.
type Store interface {
	DeviceStore

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
	// grant with this id exists: the code was redeemed before. If g.Hears, the
	// session has reached its application from then on (LogoutStore); one that comes
	// after the session's end is told of it at once. What g.Basis names is read in the
	// same statement: ErrClientChanged, ErrBasisGone.
	RedeemGrant(ctx context.Context, g Grant, withRefresh bool, e audit.Event) (bool, error)
	Grant(ctx context.Context, id string) (Grant, RefreshState, error)
	// GrantWithStanding is Grant and Standing in one round trip, for refresh.
	GrantWithStanding(ctx context.Context, id string) (Grant, RefreshState, Standing, error)
	// RotateRefresh is the compare-and-swap on the generation, with e recorded in
	// the same transaction when it is Rotated. generation is that of the token
	// presented; the token of generation+1 is its successor. For Replayed it
	// revokes the grant and records replay instead. It reads r.Basis in the statement
	// that rotates: ErrClientChanged, or Dead.
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

	// UserByEmail is as in identity.Store: email is normalised.
	UserByEmail(ctx context.Context, email string) (identity.User, error)

	// UseAssertion marks (client, jti) used until expiresAt and reports whether it
	// was unused: of racing callers exactly one gets true.
	UseAssertion(ctx context.Context, clientID, jti string, expiresAt time.Time) (bool, error)
	// UsedAssertion reports whether (client, jti) was marked and has not expired.
	UsedAssertion(ctx context.Context, clientID, jti string) (bool, error)
	// ServerSecret returns the sealed secret kept under name, and keeps fresh there
	// first if there is none: of racing callers all get the same.
	ServerSecret(ctx context.Context, name string, fresh []byte) ([]byte, error)
	// ReplaceServerSecret keeps sealed under name in the place of old, and does
	// nothing if something else is there by now.
	ReplaceServerSecret(ctx context.Context, name string, old, sealed []byte) error
}

// A RotateRequest names the token presented and what to record of it.
type RotateRequest struct {
	Grant      string
	Generation int
	Grace      time.Duration
	Idle       time.Duration // dead if not rotated for this long
	Event      audit.Event   // when Rotated
	Replay     audit.Event   // when Replayed
	Basis      *Basis        // nil: nothing is asked
}

// A StandingQuery names what a token says it depends on.
type StandingQuery struct{ Grant, Session, Subject, JTI string }
