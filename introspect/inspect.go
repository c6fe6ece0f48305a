package introspect

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/gatekeeper-oidc/gatekeeper/identity"
	"github.com/gatekeeper-oidc/gatekeeper/internal/meter"
	"github.com/gatekeeper-oidc/gatekeeper/internal/web"
	"github.com/gatekeeper-oidc/gatekeeper/oauth2"
)

// Tokens tells whether a token is alive; oauth2.Provider does. A token that is
// not is oauth2.ErrInactive; every other error means it cannot tell.
type Tokens interface {
	Inspect(ctx context.Context, token string) (oauth2.Token, error)
}

var _ Tokens = (*oauth2.Provider)(nil)

// maxToken bounds what is looked at; none of our tokens is as long.
const maxToken = 16 << 10

// An Inspector answers what a token is good for, whatever carries the question.
type Inspector struct {
	Issuer string
	Tokens Tokens
	Meter  *meter.Meter
}

// An Answer is the introspection response (RFC 7662 section 2.2). The zero value
// is the inactive one, and then it has no other member. Times are seconds since
// the epoch.
type Answer struct {
	Active      bool     `json:"active"`
	Scope       string   `json:"scope,omitempty"` // space-separated
	ClientID    string   `json:"client_id,omitempty"`
	Username    string   `json:"username,omitempty"`
	TokenType   string   `json:"token_type,omitempty"` // "Bearer"; none for a refresh token
	Issuer      string   `json:"iss,omitempty"`
	Subject     string   `json:"sub,omitempty"` // user id, or client id for client credentials
	Audience    []string `json:"aud,omitempty"`
	ExpiresAt   int64    `json:"exp,omitempty"`
	IssuedAt    int64    `json:"iat,omitempty"`
	NotBefore   int64    `json:"nbf,omitempty"`
	ID          string   `json:"jti,omitempty"`
	Session     string   `json:"sid,omitempty"`
	AuthTime    int64    `json:"auth_time,omitempty"`
	ACR         string   `json:"acr,omitempty"`
	AMR         []string `json:"amr,omitempty"`
	UID         string   `json:"uid,omitempty"`
	Email       string   `json:"email,omitempty"` // with the scope email, if it is verified
	EmailKnown  bool     `json:"email_verified,omitempty"`
	Roles       []string `json:"roles,omitempty"`
	MFAVerified *bool    `json:"mfa_verified,omitempty"` // absent where there is no person

	Actor *oauth2.Actor `json:"act,omitempty"` // who acts for the person (RFC 8693 section 4.1)
}

// Inspect says what token is good for to caller, over transport ("http"). The
// error is a store that could not tell, and nothing else.
func (i *Inspector) Inspect(ctx context.Context, transport string, caller oauth2.Client, token string) (Answer, error) {
	a, err := i.inspect(ctx, caller, token)
	if err != nil {
		return Answer{}, err
	}
	i.Meter.Introspection(transport, a.Active)
	return a, nil
}

func (i *Inspector) inspect(ctx context.Context, caller oauth2.Client, token string) (Answer, error) {
	if token == "" || len(token) > maxToken {
		return Answer{}, nil
	}
	t, err := i.Tokens.Inspect(ctx, token)
	if errors.Is(err, oauth2.ErrInactive) {
		return Answer{}, nil
	}
	if err != nil {
		return Answer{}, fmt.Errorf("introspect for client %s: %w", caller.ID, err)
	}
	if !i.entitled(caller, t) {
		i.withheld(ctx, caller, t)
		return Answer{}, nil
	}
	return i.answer(t), nil
}

// withheld tells the operator, in the log, why a live token was called inactive: the
// caller itself learns nothing, and whoever runs it looks for the mistake here.
func (i *Inspector) withheld(ctx context.Context, caller oauth2.Client, t oauth2.Token) {
	web.Note(ctx, slog.String("withheld", "the token lives, but is not this caller's to know: give it the token's audience, or introspect_any"),
		slog.String("token_client", t.ClientID), slog.String("token_audience", strings.Join(t.Audience, " ")),
		slog.String("caller_audience", strings.Join(caller.Audience, " ")))
}

// entitled reports whether a live token is caller's to know about (RFC 7662
// section 4). A refresh token is only ever its own client's. The issuer is in the
// audience of what is meant for this server itself, and nobody answers for that.
func (i *Inspector) entitled(caller oauth2.Client, t oauth2.Token) bool {
	switch {
	case t.ClientID == caller.ID:
		return true
	case t.Kind != kindAccess:
		return false
	case caller.IntrospectAny || slices.Contains(t.Audience, caller.ID):
		return true
	case caller.Type != oauth2.Machine:
		return false
	}
	return slices.ContainsFunc(caller.Audience, func(a string) bool {
		return a != i.Issuer && slices.Contains(t.Audience, a)
	})
}

const kindAccess = "access"

func (i *Inspector) answer(t oauth2.Token) Answer {
	a := Answer{
		Active:    true,
		Scope:     strings.Join(t.Scopes, " "),
		ClientID:  t.ClientID,
		Issuer:    i.Issuer,
		Subject:   t.Sub,
		Audience:  t.Audience,
		ExpiresAt: seconds(t.ExpiresAt),
		IssuedAt:  seconds(t.IssuedAt),
		NotBefore: seconds(t.NotBefore),
		ID:        t.JTI,
		Session:   t.Sid,
		ACR:       t.ACR,
		AMR:       t.AMR,
		Actor:     t.Actor,
	}
	if t.Kind == kindAccess {
		a.TokenType = "Bearer"
	}
	if t.User != nil {
		a.person(t)
	}
	return a
}

// person adds what only a token with a person behind it can say.
func (a *Answer) person(t oauth2.Token) {
	a.UID = t.Sub
	a.AuthTime = seconds(t.AuthTime)
	a.Roles = t.User.Roles
	mfa := t.ACR == identity.ACRMulti
	a.MFAVerified = &mfa
	if slices.Contains(t.Scopes, "profile") {
		a.Username = t.User.Profile.PreferredUsername
	}
	if slices.Contains(t.Scopes, "email") && t.User.EmailVerified { // anybody can sign up with somebody's address
		a.Email, a.EmailKnown = t.User.Email, true
		if a.Username == "" {
			a.Username = t.User.Email
		}
	}
}

// seconds returns t as a NumericDate (RFC 7519 section 2), 0 if it is not known.
func seconds(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()
}
