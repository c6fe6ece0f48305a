package identity

import (
	"context"
	"slices"
	"strings"
	"time"
)

// Status tells whether a user may sign in.
type Status string

// A user is active until an admin, or too many failures, say otherwise.
const (
	Active Status = "active"
	Locked Status = "locked"
)

// RoleAdmin is the one role the program itself knows: it may use the admin API.
const RoleAdmin = "admin"

// An Address is the OpenID Connect address claim (OpenID Connect Core section 5.1.1).
type Address struct {
	Formatted     string `json:"formatted,omitempty"`
	StreetAddress string `json:"street_address,omitempty"`
	Locality      string `json:"locality,omitempty"`
	Region        string `json:"region,omitempty"`
	PostalCode    string `json:"postal_code,omitempty"`
	Country       string `json:"country,omitempty"`
}

// Line returns the address on one line, "" if a is nil or empty.
func (a *Address) Line() string {
	if a == nil {
		return ""
	}
	if a.Formatted != "" {
		return strings.Join(strings.Fields(a.Formatted), " ")
	}
	parts := []string{a.StreetAddress, a.PostalCode, a.Locality, a.Region, a.Country}
	return strings.Join(slices.DeleteFunc(parts, func(p string) bool { return p == "" }), ", ")
}

// A Profile holds the standard claims a person may have (OpenID Connect Core
// section 5.1), under their claim names. Empty fields are omitted everywhere.
type Profile struct {
	Name                string   `json:"name,omitempty"`
	GivenName           string   `json:"given_name,omitempty"`
	FamilyName          string   `json:"family_name,omitempty"`
	MiddleName          string   `json:"middle_name,omitempty"`
	Nickname            string   `json:"nickname,omitempty"`
	PreferredUsername   string   `json:"preferred_username,omitempty"`
	ProfileURL          string   `json:"profile,omitempty"`
	Picture             string   `json:"picture,omitempty"`
	Website             string   `json:"website,omitempty"`
	Gender              string   `json:"gender,omitempty"`
	Birthdate           string   `json:"birthdate,omitempty"` // YYYY-MM-DD, 0000-MM-DD or YYYY
	Zoneinfo            string   `json:"zoneinfo,omitempty"`
	Locale              string   `json:"locale,omitempty"` // BCP 47
	PhoneNumber         string   `json:"phone_number,omitempty"`
	PhoneNumberVerified bool     `json:"phone_number_verified,omitempty"`
	Address             *Address `json:"address,omitempty"`
}

// A User is a person who can sign in. It carries no credential.
type User struct {
	ID            string    `json:"id"` // UUID; the public subject, never reassigned
	Email         string    `json:"email"`
	EmailVerified bool      `json:"email_verified"`
	Status        Status    `json:"status"`
	Roles         []string  `json:"roles"`
	Profile       Profile   `json:"profile"`
	CreatedAt     time.Time `json:"created_at"`
	UpdatedAt     time.Time `json:"updated_at"`
	LastLoginAt   time.Time `json:"last_login_at,omitzero"`
}

// A Password is what is kept of a user's password, and how often it was missed.
// It cannot be marshalled.
type Password struct {
	Hash        string    // PHC string
	Failures    int       // consecutive
	LastFailure time.Time // by the database's clock
	ChangedAt   time.Time
	MustChange  bool // somebody else chose it: a sign-in needs another first
}

// A Counter is where an attempt's misses are counted if not with the account: Apart
// for a browser that has signed in before, else only where there is no account.
type Counter struct {
	Name  string // a keyed hash
	Apart bool
}

// MarshalJSON refuses: a credential never leaves the program.
func (Password) MarshalJSON() ([]byte, error) { return nil, errMarshalSecret }

// A Session is one signed-in browser. ID is the sid claim; TokenHash is the
// SHA-256 of the cookie's value, which is never stored.
type Session struct {
	ID         string    `json:"id"`
	TokenHash  []byte    `json:"-"`
	UserID     string    `json:"user_id"`
	AMR        []string  `json:"amr"` // RFC 8176
	ACR        string    `json:"acr"`
	AuthTime   time.Time `json:"auth_time"` // whole seconds
	CreatedAt  time.Time `json:"created_at"`
	LastSeenAt time.Time `json:"last_seen_at"`
	ExpiresAt  time.Time `json:"expires_at"` // absolute end
	EndedAt    time.Time `json:"ended_at,omitzero"`
	Address    string    `json:"address,omitempty"`
	UserAgent  string    `json:"user_agent,omitempty"`
}

// A Page asks for the next Limit rows after a cursor, which is opaque to callers
// and taken from the last answer.
type Page struct {
	After string
	Limit int
}

// Store keeps users and sessions. InTx runs f in a transaction carried by the
// context f is given; every other method joins the transaction of its context.
// Within a transaction User keeps the row it returns from changing until the end,
// so that what is decided on it still holds when it is written.
// A row that is not there is fault.NotFound; a store that does not answer is
// fault.Unavailable; a broken uniqueness is fault.Conflict.
type Store interface {
	InTx(ctx context.Context, f func(ctx context.Context) error) error

	InsertUser(ctx context.Context, u User) error
	UpdateUser(ctx context.Context, u User) error // every field but ID and CreatedAt
	DeleteUser(ctx context.Context, id string) error
	User(ctx context.Context, id string) (User, error)
	UserByEmail(ctx context.Context, email string) (User, error) // email already normalised
	Users(ctx context.Context, query string, p Page) (users []User, next string, err error)
	CountUsersWithRole(ctx context.Context, role string) (int, error)
	// ActiveWithRole returns the ids of those who hold role and may sign in, in order.
	// Inside a transaction nobody takes the role, or the right to sign in, from one of
	// them until it ends.
	ActiveWithRole(ctx context.Context, role string) (ids []string, err error)

	// UserForLogin returns the user, their password row and the database's clock
	// in one round trip: a zero User if there is none, which is no error. A user
	// without a password has no Hash. Failures are the counter's where c says so, or
	// where there is no user.
	UserForLogin(ctx context.Context, email string, c Counter) (u User, p Password, now time.Time, err error)
	SetPassword(ctx context.Context, userID, hash string) error    // resets Failures and MustChange
	RehashPassword(ctx context.Context, userID, hash string) error // the same password in another form
	MustChangePassword(ctx context.Context, userID string) error
	// MissPassword adds one to the consecutive failures, atomically, and returns the
	// sum; it begins again if the last was longer than MissMemory ago. MissCounter
	// does so for a counter that belongs to no account.
	MissPassword(ctx context.Context, userID string) (failures int, err error)
	MissCounter(ctx context.Context, counter string) (failures int, err error)
	ClearCounter(ctx context.Context, counter string) error
	ClearFailures(ctx context.Context, userID string) error // and sets LastLoginAt

	PutSession(ctx context.Context, s Session) error // upsert by ID
	// SessionByToken returns a session that is neither ended nor past its end,
	// together with its user, in one round trip.
	SessionByToken(ctx context.Context, tokenHash []byte) (Session, User, error)
	TouchSession(ctx context.Context, id string) error
	Sessions(ctx context.Context, userID string) ([]Session, error) // live ones; "" means everybody's, newest first, at most 1000
	// EndSessions ends the live sessions of userID among ids, or all of them if ids
	// is empty, and returns those it ended. It never ends another user's.
	EndSessions(ctx context.Context, userID string, ids ...string) (ended []string, err error)
	// RevokeGrants revokes what userID has granted to clientID, or to any if that is
	// "", and returns the ids of what was live.
	RevokeGrants(ctx context.Context, userID, clientID string) (ids []string, err error)

	// PutSetupToken replaces the one setup token; ConsumeSetupToken deletes it if
	// hash matches and it has not expired, and reports whether it did.
	PutSetupToken(ctx context.Context, hash []byte, ttl time.Duration) error
	ConsumeSetupToken(ctx context.Context, hash []byte) (bool, error)
	// PeekSetupToken reports whether ConsumeSetupToken would succeed.
	PeekSetupToken(ctx context.Context, hash []byte) (bool, error)
}
