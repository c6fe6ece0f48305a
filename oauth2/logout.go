package oauth2

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"time"

	"github.com/gatekeeper-oidc/gatekeeper/audit"
	"github.com/gatekeeper-oidc/gatekeeper/keys"
)

// A Logout is an application that has yet to be told that a session ended.
type Logout struct {
	Session, ClientID, UserID string
	EndedAt                   time.Time
	Age                       time.Duration // since EndedAt when it was claimed, by the database's clock
	Attempt                   int           // counts from 1, and names the claim
}

// A LogoutStore keeps which applications a session reached, and the outbox of
// those to be told of its end. EndSessions of identity.Store fills that outbox, in
// its own transaction. A claim is a lease: until it runs out nobody else gets the
// row, and afterwards what its holder says of it is not heard.
type LogoutStore interface {
	InTx(ctx context.Context, f func(ctx context.Context) error) error

	Client(ctx context.Context, id string) (Client, error)
	// SessionClients returns the ids of the applications each of sessions reached,
	// in order, of those that want to hear of its end.
	SessionClients(ctx context.Context, sessions ...string) (map[string][]string, error)
	// ClaimLogouts claims rows that are due: the first of each application, the longest
	// due first, then the second of each, and so on. Of racing callers one gets each.
	ClaimLogouts(ctx context.Context, lease time.Duration, q LogoutQuery) ([]Logout, error)
	// ClaimLogoutsOf claims up to limit rows of one session that nobody tried yet.
	ClaimLogoutsOf(ctx context.Context, session string, lease time.Duration, limit int) ([]Logout, error)
	// SettleLogout removes a claimed row and records e; false, with nothing written,
	// if the claim had run out and another took its place.
	SettleLogout(ctx context.Context, l Logout, e audit.Event) (bool, error)
	// DropLogout removes a claimed row of which there is nothing to tell.
	DropLogout(ctx context.Context, l Logout) error
	// PostponeLogout gives a claimed row back, due again after a while.
	PostponeLogout(ctx context.Context, l Logout, by time.Duration) error
	// WakeLogouts makes the rows of an application that wait to be tried again due
	// now, not those that somebody tries, and returns how many.
	WakeLogouts(ctx context.Context, clientID string) (int64, error)
}

// A LogoutQuery says which rows to claim.
type LogoutQuery struct {
	Limit     int
	PerClient int      // rows of one application; 0: any number
	Except    []string // applications that have enough for now
	Of        Vouched  // whose rows
}

// Vouched tells applications that registered themselves from those of operators.
type Vouched int

// Everybody's rows, those of applications an operator registered, or those of
// applications that registered themselves.
const (
	OfEverybody Vouched = iota
	OfOperators
	OfStrangers
)

// HearsLogout reports whether c registered to be told of the end of a session, in
// one way or the other.
func (c *Client) HearsLogout() bool {
	return c.BackchannelLogoutURI != "" || c.FrontchannelLogoutURI != ""
}

// logoutTTL is how long a logout token may be on its way (Back-Channel Logout 1.0
// section 2.4 advises two minutes at most).
const logoutTTL = 2 * time.Minute

// logoutEvent is what makes a token a logout token (section 2.4, events).
const logoutEvent = "http://schemas.openid.net/event/backchannel-logout"

// logoutClaims are the claims of a logout token; there is no nonce, so that it
// never passes for an ID token (section 2.4).
type logoutClaims struct {
	Issuer   string              `json:"iss"`
	Subject  string              `json:"sub"`
	Audience string              `json:"aud"`
	IssuedAt int64               `json:"iat"`
	Expires  int64               `json:"exp"`
	ID       string              `json:"jti"`
	Session  string              `json:"sid"`
	Events   map[string]struct{} `json:"events"`
}

// LogoutToken makes the token that tells c of l, signed, and encrypted, as the ID
// tokens of c are (Back-Channel Logout 1.0 section 2.4).
func (p *Provider) LogoutToken(ctx context.Context, c *Client, l Logout) (string, error) {
	sub, err := p.SubjectFor(ctx, c, l.UserID)
	if err != nil {
		return "", err
	}
	session, err := p.SessionFor(ctx, c, l.Session)
	if err != nil {
		return "", err
	}
	now := p.cfg.Now()
	payload, err := json.Marshal(logoutClaims{
		Issuer: p.cfg.Issuer, Subject: sub, Audience: c.ID, IssuedAt: now.Unix(), Expires: now.Add(logoutTTL).Unix(),
		ID: rand.Text(), Session: session, Events: map[string]struct{}{logoutEvent: {}},
	})
	if err != nil {
		return "", fmt.Errorf("logout token claims: %w", err)
	}
	return p.sealFor(ctx, c, secured{alg: or(c.IDTokenAlg, keys.RS256), typ: "logout+jwt", encAlg: c.IDTokenEncAlg, enc: c.IDTokenEnc}, payload)
}
