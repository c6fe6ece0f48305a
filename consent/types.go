package consent

import (
	"context"
	"time"

	"github.com/gatekeeper-oidc/gatekeeper/identity"
	"github.com/gatekeeper-oidc/gatekeeper/oauth2"
)

// A Consent is one remembered answer: this user lets this client have these scopes.
type Consent struct {
	UserID    string    `json:"user_id"`
	ClientID  string    `json:"client_id"`
	Scopes    []string  `json:"scopes"`
	GrantedAt time.Time `json:"granted_at"`
	UpdatedAt time.Time `json:"updated_at"`
	// Registration is said to PutConsent, and not kept: the one of the client that was
	// asked for. A client made again under the same id has another. "" is any.
	Registration string `json:"-"`
}

// Store keeps consents. Methods join the transaction of their context.
type Store interface {
	InTx(ctx context.Context, f func(ctx context.Context) error) error
	// Consent is fault.NotFound where there is none.
	Consent(ctx context.Context, userID, clientID string) (Consent, error)
	// PutConsent replaces the scopes and keeps GrantedAt. NotFound where the user is
	// gone, or the client, or it is another registration.
	PutConsent(ctx context.Context, c Consent) error
	// Consents returns a page of what a person allowed, in order of client.
	Consents(ctx context.Context, userID string, p identity.Page) (consents []Consent, next string, err error)
	DeleteConsent(ctx context.Context, userID, clientID string) error
	// RevokeGrants revokes the live grants of subject and client, as in oauth2.Store.
	RevokeGrants(ctx context.Context, subject, clientID string) (ids []string, err error)
	// Unasked returns the live grants of a person to clients that have no consent of
	// theirs, the newest thousand, the newest first.
	Unasked(ctx context.Context, userID string) ([]oauth2.Grant, error)
}
