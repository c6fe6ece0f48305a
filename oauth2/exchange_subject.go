package oauth2

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
	"github.com/gatekeeper-oidc/gatekeeper/keys"
)

// liveAccess is Inspect for access tokens only: a refresh token is its client's
// secret, and nobody else's to bring.
func (p *Provider) liveAccess(ctx context.Context, token string) (Token, error) {
	if strings.HasPrefix(token, refreshPrefix) {
		return Token{}, ErrInactive
	}
	return p.Inspect(ctx, token)
}

// liveID is the liveness rule for an ID token that this server made for c: signed
// by the ring, not expired, and the person and the session stand. One signed with
// c's secret proves nothing: c could have written it, about anybody.
func (p *Provider) liveID(ctx context.Context, c *Client, raw string) (Token, error) {
	if alg, _ := unverified(raw); alg == HS256 {
		return Token{}, ErrInactive
	}
	payload, err := p.verifyOwn(ctx, raw)
	if errors.Is(err, keys.ErrSignature) {
		return Token{}, ErrInactive
	}
	if err != nil {
		return Token{}, fmt.Errorf("verify ID token: %w", err)
	}
	var claims struct {
		idClaims
		Audience audience `json:"aud"`
		Use      string   `json:"token_use"` // an access token says so
	}
	if err := keys.Claims(payload, &claims); err != nil {
		return Token{}, ErrInactive
	}
	if !p.liveIDFits(&claims.idClaims, claims.Audience, claims.Use, c) {
		return Token{}, ErrInactive
	}
	t := Token{
		Kind: "id", ClientID: c.ID, Sub: claims.Subject, Session: claims.Session, AuthTime: time.Unix(claims.AuthTime, 0).UTC(),
		AMR: claims.AMR, ACR: claims.ACR, ExpiresAt: time.Unix(claims.Expires, 0).UTC(),
	}
	if t.Subject, err = p.UserOf(ctx, c, claims.Subject); err != nil {
		return Token{}, err
	}
	if t.Session, err = p.SessionOf(ctx, c, claims.Session); err != nil {
		return Token{}, err
	}
	s, err := p.standing(ctx, t.standingQuery())
	if err != nil {
		return Token{}, err
	}
	s.GrantFound = true // it knows none: the person and the session are all there is to ask
	if !s.alive(true, false) {
		return Token{}, ErrInactive
	}
	t.User = &s.User
	return t, nil
}

// liveIDFits holds the claims of an ID token to c and to now.
func (p *Provider) liveIDFits(claims *idClaims, aud audience, use string, c *Client) bool {
	now := p.cfg.Now()
	return use == "" && !before(claims.IssuedAt, c) && claims.Issuer == p.cfg.Issuer && slices.Equal(aud, audience{c.ID}) && claims.Session != "" &&
		now.Before(time.Unix(claims.Expires, 0)) && !time.Unix(claims.IssuedAt, 0).After(now.Add(leeway))
}

// standingQuery names what the liveness of t depends on.
func (t *Token) standingQuery() StandingQuery {
	return StandingQuery{Grant: t.Grant, Session: t.Session, Subject: t.Subject, JTI: t.JTI}
}

// decidedBy completes a refusal with the rule that decided. What is no refusal of
// the caller stays as it is.
func decidedBy(rule string, err error) error {
	var f *fault.Error
	if !errors.As(err, &f) || f.Rule != "" {
		return err
	}
	return ruled(rule, f)
}

// exchangeFits holds the grant and its policy together. A client that registered
// itself has neither: what it may do with others' tokens, an administrator says.
func exchangeFits(_ *Provider, c *Client) string {
	x := c.Exchange
	switch {
	case x == nil && !c.May(GrantExchange):
		return ""
	case c.Dynamic:
		return "Token exchange is given by an administrator, not registered for."
	case x == nil:
		return "The token exchange grant needs a policy: exchange, with at least one audience."
	case !c.May(GrantExchange):
		return "A policy for token exchange needs the grant " + GrantExchange + "."
	case len(x.Audiences) == 0:
		return "A policy for token exchange names the audiences its tokens may be for."
	}
	if why := audienceFit(nil, &Client{Audience: x.Audiences}); why != "" {
		return why
	}
	if len(x.Clients) > 100 || slices.ContainsFunc(x.Clients, func(id string) bool { return !clientID.MatchString(id) }) {
		return "A policy for token exchange names at most a hundred client ids."
	}
	return ""
}
