package audit

import (
	"context"
	"time"

	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
)

// A Kind names what happened; the names are a public contract (docs/events.md).
type Kind string

// The kinds recorded today. A name is noun.past-participle and never changes.
const (
	LoginSucceeded   Kind = "login.succeeded"
	LoginFailed      Kind = "login.failed"
	LogoutRequested  Kind = "logout.completed"
	LogoutDelivered  Kind = "logout.delivered"
	LogoutAbandoned  Kind = "logout.abandoned"
	SessionStarted   Kind = "session.started"
	SessionEnded     Kind = "session.ended"
	UserCreated      Kind = "user.created"
	UserUpdated      Kind = "user.updated"
	UserDeleted      Kind = "user.deleted"
	UserLocked       Kind = "user.locked"
	UserUnlocked     Kind = "user.unlocked"
	PasswordChanged  Kind = "password.changed"
	ClientCreated    Kind = "client.created"
	ClientUpdated    Kind = "client.updated"
	ClientDeleted    Kind = "client.deleted"
	ClientRegistered Kind = "client.registered"
	SecretRotated    Kind = "client.secret_rotated"
	ConsentGranted   Kind = "consent.granted"
	ConsentDenied    Kind = "consent.denied"
	ConsentRevoked   Kind = "consent.revoked"
	GrantIssued      Kind = "grant.issued"
	GrantRefreshed   Kind = "grant.refreshed"
	GrantRevoked     Kind = "grant.revoked"
	TokenRevoked     Kind = "token.revoked"
	CodeReplayed     Kind = "code.replayed"
	RefreshReplayed  Kind = "refresh.replayed"
	DeviceRequested  Kind = "device.requested"
	DeviceApproved   Kind = "device.approved"
	DeviceDenied     Kind = "device.denied"
	TokenExchanged   Kind = "token.exchanged"
	KeyCreated       Kind = "key.created"
	KeyRevoked       Kind = "key.revoked"
	InitialCreated   Kind = "registration_token.created"
	InitialRevoked   Kind = "registration_token.revoked"
	SetupLinkCreated Kind = "setup.link_created"
	SetupCompleted   Kind = "setup.completed"
	RequestRefused   Kind = "request.refused"
)

// An Event is one fact, never changed once recorded. Ids only: no token, no
// secret, no password, and no personal data beyond the address it came from.
type Event struct {
	ID       string    `json:"id"`                 // UUIDv7, unique, made by Record
	Position int64     `json:"position,omitempty"` // given after commit, without gaps; 0 until then
	Hash     string    `json:"hash,omitempty"`     // hex SHA-256 over the previous hash and this event; given with Position
	Altered  string    `json:"altered,omitempty"`  // what a store found changed in the row of this event; no part of it
	Kind     Kind      `json:"kind"`
	At       time.Time `json:"at"`
	Actor    string    `json:"actor,omitempty"`   // who did it: "user:ID", "client:ID", "cli:NAME", "system"
	Subject  string    `json:"subject,omitempty"` // user id it happened to
	ClientID string    `json:"client_id,omitempty"`
	Session  string    `json:"sid,omitempty"`
	Sessions []string  `json:"sids,omitempty"` // sessions ended by this change
	Grant    string    `json:"grant_id,omitempty"`

	CorrelationID string `json:"correlation_id,omitempty"`
	Address       string `json:"address,omitempty"`
	UserAgent     string `json:"user_agent,omitempty"`

	Reference string            `json:"reference,omitempty"` // what a refused person was shown
	Detail    map[string]string `json:"detail,omitempty"`
	Trace     []fault.Fact      `json:"trace,omitempty"` // what the deciding rule looked at
}

// Changed notes in detail what a field was and what it is now, where a change says
// so: "was.NAME" and "now.NAME", of which an empty one is left out. It is never told
// of a secret.
func Changed(detail map[string]string, name, was, now string) {
	detail["was."+name], detail["now."+name] = was, now
}

// A Filter narrows a reading of the trail. Zero fields match everything.
type Filter struct {
	After     int64 // position
	Since     time.Time
	Kind      Kind
	Subject   string
	ClientID  string
	Reference string
	Newest    bool // newest first
	Limit     int
}

// Store keeps the trail.
type Store interface {
	// AppendEvents inserts events and joins the transaction carried by ctx.
	AppendEvents(ctx context.Context, events ...Event) error
	// SequenceEvents gives up to limit committed events without a position the
	// next positions, in order of id, and chains their hashes through link. One
	// caller in the cluster at a time; another returns 0 at once.
	SequenceEvents(ctx context.Context, limit int, link func(previous string, e Event) string) (int, error)
	// Events returns sequenced events in order of position, and, when a
	// Reference is given, also those that have none yet.
	// It says in Altered what of a row is not as it was written.
	Events(ctx context.Context, f Filter) ([]Event, error)
	// Head returns the last position that was given and the hash at it, as kept
	// beside the trail; 0 before the first.
	Head(ctx context.Context) (position int64, hash string, err error)
}
