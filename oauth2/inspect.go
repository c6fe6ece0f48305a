package oauth2

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gatekeeper-oidc/gatekeeper/identity"
	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
	"github.com/gatekeeper-oidc/gatekeeper/keys"
)

// A Token is a live access or refresh token.
type Token struct {
	Kind      string // "access" or "refresh"
	JTI       string
	ClientID  string
	Subject   string // user id, or client id for client credentials
	Sub       string // what the token calls Subject: the same, or a pairwise value
	Session   string
	Sid       string // what the token calls Session: the same, or a pairwise value
	Grant     string
	Scopes    []string
	Audience  []string
	AuthTime  time.Time
	AMR       []string
	ACR       string
	Actor     *Actor // who acts for Subject, if somebody does (RFC 8693 section 4.1)
	IssuedAt  time.Time
	NotBefore time.Time
	ExpiresAt time.Time
	User      *identity.User // nil for client credentials
	Claims    Claims         // asked for by name; known of a live token only

	registration string // of the client, where no grant of its own says so
}

// Inspect returns a live token, ErrInactive, or fault.Unavailable when it cannot
// tell. It is the one liveness rule: signature and type, then client, grant,
// session and user standing, then single-token revocation.
func (p *Provider) Inspect(ctx context.Context, token string) (Token, error) {
	if strings.HasPrefix(token, refreshPrefix) {
		return p.inspectRefresh(ctx, token)
	}
	t, err := p.accessToken(ctx, token)
	if err != nil {
		return Token{}, err
	}
	c, err := p.standingClient(ctx, t.ClientID)
	if err != nil {
		return Token{}, err
	}
	q, ofUser := StandingQuery{JTI: t.JTI}, t.Grant != ""
	if ofUser {
		q = t.standingQuery()
	}
	s, err := p.standing(ctx, q)
	if err != nil {
		return Token{}, err
	}
	t.Scopes, t.Audience = p.stillGiven(&c, t.Scopes), p.stillMeant(&c, t.Audience)
	if len(t.Audience) == 0 || !s.alive(ofUser, c.outlives(t.Scopes)) || !c.sameRegistration(t.registration) ||
		s.Client == c.ID && !c.sameRegistration(s.Registration) {
		return Token{}, ErrInactive
	}
	if ofUser {
		t.User = &s.User
		if s.Client == t.ClientID { // what another asked for by name did not pass to who exchanged its token
			t.Claims = Claims{IDToken: p.stillNamed(&c, s.Claims.IDToken), Userinfo: p.stillNamed(&c, s.Claims.Userinfo)}
		}
	}
	return t, nil
}

// Issued returns a token this server made, whatever has become of it since: who
// wants to be rid of a token need not know whether it still lives. ErrInactive is
// for what is none of ours, and for one whose time is over.
func (p *Provider) Issued(ctx context.Context, token string) (Token, error) {
	if !strings.HasPrefix(token, refreshPrefix) {
		return p.accessToken(ctx, token)
	}
	r, err := p.refreshGrant(ctx, token)
	if err != nil {
		return Token{}, err
	}
	return p.refreshToken(ctx, r)
}

// accessToken returns what an access token of this server says, until its time is over.
func (p *Provider) accessToken(ctx context.Context, token string) (Token, error) {
	a, err := p.authentic(ctx, token)
	if err != nil {
		return Token{}, err
	}
	now := p.cfg.Now()
	if a.Issuer != p.cfg.Issuer || !now.Before(time.Unix(a.Expires, 0)) || time.Unix(a.IssuedAt, 0).After(now.Add(leeway)) {
		return Token{}, ErrInactive
	}
	t := Token{
		Kind: "access", JTI: a.ID, ClientID: a.ClientID, Subject: a.Subject, Sub: a.Subject, Session: a.Session, Sid: a.Session, Grant: a.Grant, Scopes: strings.Fields(a.Scope),
		Audience: a.Audience, AMR: a.AMR, ACR: a.ACR, Actor: a.Actor, IssuedAt: time.Unix(a.IssuedAt, 0).UTC(), NotBefore: time.Unix(a.NotUntil, 0).UTC(), ExpiresAt: time.Unix(a.Expires, 0).UTC(),
		registration: a.Registration,
	}
	if a.userClaims == nil {
		return t, nil
	}
	if a.AuthTime != 0 {
		t.AuthTime = time.Unix(a.AuthTime, 0).UTC()
	}
	c, err := p.Client(ctx, a.ClientID)
	if fault.Is(err, fault.NotFound) {
		return Token{}, ErrInactive
	}
	if err != nil {
		return Token{}, err
	}
	if t.Session, err = p.SessionOf(ctx, &c, a.Session); err != nil {
		return Token{}, err
	}
	t.Subject, err = p.UserOf(ctx, &c, a.Subject)
	return t, err
}

// alive is what standing means: a revoked token, a revoked or vanished grant, a
// user who may not sign in, or – unless the grant is to outlive it – an ended
// session end a token before its time.
func (s Standing) alive(ofUser, offline bool) bool {
	switch {
	case s.TokenRevoked:
		return false
	case !ofUser:
		return true
	case !s.GrantFound || s.GrantRevoked || !s.UserFound || s.User.Status != identity.Active:
		return false
	default:
		return offline || !s.SessionEnded
	}
}

// verified are the claims of a token whose signature was checked, and the ETag of
// the key set it was checked with: a key revoked since has changed it.
type verified struct {
	claims accessClaims
	keys   string
}

// authentic returns the claims of an access token made by this server, from a
// short memory where it was checked before.
func (p *Provider) authentic(ctx context.Context, token string) (accessClaims, error) {
	if len(token) > 16<<10 {
		return accessClaims{}, ErrInactive
	}
	key := sha256.Sum256([]byte(token))
	_, ring, _ := p.cfg.Keys.JWKS()
	if v, ok := p.verified.GetIfPresent(key); ok && v.keys == ring {
		return v.claims, nil
	}
	a, err := p.claimsOf(ctx, token)
	if err != nil {
		return accessClaims{}, err
	}
	if a.UID == "" {
		a.userClaims = nil // client credentials: nobody's
	}
	p.verified.Set(key, verified{a, ring})
	return a, nil
}

// claimsOf unseals or verifies an access token.
func (p *Provider) claimsOf(ctx context.Context, token string) (accessClaims, error) {
	a := accessClaims{userClaims: &userClaims{}}
	if strings.HasPrefix(token, accessPrefix) {
		if err := p.unseal(token, accessPrefix, "access", &a); err != nil {
			return a, ErrInactive
		}
		return a, nil
	}
	typ := TypAccessToken
	if headerType(token) == TypJWT { // of a client that wants it so
		typ = TypJWT
	}
	payload, err := p.cfg.Keys.VerifyContext(ctx, token, typ)
	if errors.Is(err, keys.ErrSignature) {
		return a, ErrInactive
	}
	if err != nil {
		return a, fmt.Errorf("verify access token: %w", err)
	}
	if err := json.Unmarshal(payload, &a); err != nil || typ == TypJWT && a.Use != usedForAccess {
		return a, ErrInactive
	}
	return a, nil
}

// standingClient is Client for liveness: a client that is gone or disabled makes
// its tokens inactive.
func (p *Provider) standingClient(ctx context.Context, id string) (Client, error) {
	c, err := p.Client(ctx, id)
	if fault.Is(err, fault.NotFound) {
		return Client{}, ErrInactive
	}
	return c, err
}

// A refreshed is a refresh token of this server and what the store knows of it.
type refreshed struct {
	presented refreshToken
	grant     Grant
	state     RefreshState
	standing  Standing
}

// refreshToken is what a refresh token says through its grant.
func (p *Provider) refreshToken(ctx context.Context, r refreshed) (Token, error) {
	g := r.grant
	c, err := p.Client(ctx, g.ClientID)
	if fault.Is(err, fault.NotFound) {
		return Token{}, ErrInactive
	}
	if err != nil {
		return Token{}, err
	}
	sub, err := p.SubjectFor(ctx, &c, g.Subject)
	if err != nil {
		return Token{}, err
	}
	sid, err := p.SessionFor(ctx, &c, g.Session)
	return Token{
		Sub: sub, Sid: sid,
		Kind: "refresh", ClientID: g.ClientID, Subject: g.Subject, Session: g.Session, Grant: g.ID, Scopes: g.Scopes, Audience: g.Audience,
		AuthTime: g.AuthTime, AMR: g.AMR, ACR: g.ACR, IssuedAt: r.state.RotatedAt, NotBefore: r.state.RotatedAt, ExpiresAt: r.state.ExpiresAt,
	}, err
}

// refreshGrant reads the grant of a refresh token of any generation; ErrInactive
// if this server did not make it or its grant is gone.
func (p *Provider) refreshGrant(ctx context.Context, token string) (refreshed, error) {
	rt, ok := p.readRefresh(token)
	if !ok {
		return refreshed{}, ErrInactive
	}
	g, state, s, err := p.cfg.Store.GrantWithStanding(ctx, rt.grant.String())
	if fault.Is(err, fault.NotFound) {
		return refreshed{}, ErrInactive
	}
	if err != nil {
		return refreshed{}, fmt.Errorf("read the grant of a refresh token: %w", err)
	}
	if subtle.ConstantTimeCompare(rt.secretHash(), g.SecretHash) != 1 {
		return refreshed{}, ErrInactive
	}
	return refreshed{rt, g, state, s}, nil
}

func (p *Provider) inspectRefresh(ctx context.Context, token string) (Token, error) {
	r, err := p.refreshGrant(ctx, token)
	if err != nil {
		return Token{}, err
	}
	now := p.cfg.Now()
	switch {
	case int(r.presented.generation) != r.state.Generation, !now.Before(r.state.ExpiresAt),
		now.Sub(r.state.RotatedAt) > p.cfg.Lifetimes.RefreshIdle:
		return Token{}, ErrInactive
	}
	c, err := p.standingClient(ctx, r.grant.ClientID)
	if err != nil {
		return Token{}, err
	}
	if !p.mayRefresh(&c, r.grant, r.standing) {
		return Token{}, ErrInactive
	}
	t, err := p.refreshToken(ctx, r)
	t.User = &r.standing.User
	return t, err
}

// mayRefresh reports whether what the refresh tokens of a grant live on is there.
func (p *Provider) mayRefresh(c *Client, g Grant, s Standing) bool {
	return c.sameRegistration(g.Registration) && s.alive(true, c.outlives(g.Scopes)) && p.refreshes(c, c.registered(g.Scopes))
}

// stillGiven returns those of a token's scopes its client is registered for now: what
// an operator takes away is gone from what lives, too.
func (p *Provider) stillGiven(c *Client, scopes []string) []string {
	return slices.DeleteFunc(slices.Clone(scopes), func(s string) bool { return !slices.Contains(c.Scopes, s) })
}

// stillMeant returns those of a token's audiences its client may have tokens for now.
func (p *Provider) stillMeant(c *Client, audience []string) []string {
	return slices.DeleteFunc(slices.Clone(audience), func(a string) bool {
		exchanged := c.Exchange != nil && slices.Contains(c.Exchange.Audiences, a)
		return a != p.cfg.Issuer+UserinfoPath && !exchanged && !p.mayTarget(c, a)
	})
}
