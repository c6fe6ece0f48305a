package oauth2

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/gatekeeper-oidc/gatekeeper/identity"
	"github.com/gatekeeper-oidc/gatekeeper/keys"
)

// accessClaims are the claims of an access token: RFC 9068 section 2.2, and our
// own uid, email, roles, mfa_verified and gid.
type accessClaims struct {
	Issuer   string   `json:"iss"`
	Subject  string   `json:"sub"`
	Audience audience `json:"aud"`
	Expires  int64    `json:"exp"`
	IssuedAt int64    `json:"iat"`
	NotUntil int64    `json:"nbf"`
	ID       string   `json:"jti"`
	ClientID string   `json:"client_id"`
	Scope    string   `json:"scope,omitempty"`
	Session  string   `json:"sid,omitempty"`
	Grant    string   `json:"gid,omitempty"`
	AuthTime int64    `json:"auth_time,omitempty"`
	ACR      string   `json:"acr,omitempty"`
	AMR      []string `json:"amr,omitempty"`
	Actor    *Actor   `json:"act,omitempty"`
	// Registration is the client's, in a token that hangs on no grant of the client's
	// own: one for itself, and an exchanged one.
	Registration string `json:"reg,omitempty"`
	Use          string `json:"token_use,omitempty"` // usedForAccess under TypJWT, which alone does not say so
	*userClaims
}

const usedForAccess = "access"

// UserinfoPath is where the issuer says who a person is (OpenID Connect Core section
// 5.3).
const UserinfoPath = "/oidc/userinfo"

type userClaims struct {
	UID   string   `json:"uid"`
	Email string   `json:"email,omitempty"` // a verified one
	Known bool     `json:"email_verified,omitempty"`
	Roles []string `json:"roles"`
	MFA   bool     `json:"mfa_verified"`
}

// audience is one string where there is one (RFC 7519 section 4.1.3).
type audience []string

// MarshalJSON writes one audience as a string and several as an array.
func (a audience) MarshalJSON() ([]byte, error) {
	if len(a) == 1 {
		return json.Marshal(a[0])
	}
	return json.Marshal([]string(a))
}

// UnmarshalJSON reads both forms.
func (a *audience) UnmarshalJSON(b []byte) error {
	var one string
	if err := json.Unmarshal(b, &one); err == nil {
		*a = audience{one}
		return nil
	}
	return json.Unmarshal(b, (*[]string)(a))
}

// accessFor returns the claims of a new access token under a grant.
func (p *Provider) accessFor(ctx context.Context, c *Client, g Grant, u *identity.User) (accessClaims, error) {
	now := p.cfg.Now()
	ends := now.Add(p.accessTTL(c))
	if !g.ExpiresAt.IsZero() && g.ExpiresAt.Before(ends) {
		ends = g.ExpiresAt // no token outlives its grant
	}
	a := accessClaims{ // nbf is in the past: a verifier's clock may be behind ours
		Issuer: p.cfg.Issuer, Subject: c.ID, Audience: g.Audience, Expires: ends.Unix(), IssuedAt: now.Unix(),
		NotUntil: now.Add(-leeway).Unix(), ID: rand.Text(), ClientID: c.ID, Scope: strings.Join(g.Scopes, " "),
	}
	if u == nil {
		a.Registration = c.Registration
		return a, nil
	}
	if g.has("openid") && !g.Narrowed && !slices.Contains(a.Audience, p.cfg.Issuer) {
		// Userinfo alone, not the issuer: that is what the admin API goes by.
		a.Audience = append(slices.Clone(a.Audience), p.cfg.Issuer+UserinfoPath)
	}
	sub, err := p.SubjectFor(ctx, c, u.ID)
	if err != nil {
		return a, err
	}
	session, err := p.SessionFor(ctx, c, g.Session)
	if err != nil {
		return a, err
	}
	a.Subject, a.Session, a.Grant, a.ACR, a.AMR = sub, session, g.ID, g.ACR, g.AMR
	if !g.AuthTime.IsZero() { // nobody has signed in for an assertion (RFC 7523)
		a.AuthTime = g.AuthTime.Unix()
	}
	a.userClaims = &userClaims{UID: sub, Roles: u.Roles, MFA: g.ACR == identity.ACRMulti}
	if a.Roles == nil {
		a.Roles = []string{}
	}
	if g.has("email") && u.EmailVerified { // anybody can sign up with somebody's address
		a.Email, a.Known = u.Email, true
	}
	return a, nil
}

// mint signs or seals an access token, as the client is registered.
func (p *Provider) mint(ctx context.Context, c *Client, a accessClaims) (string, error) {
	if c.AccessTokenTyp == TypJWT {
		a.Use = usedForAccess
	}
	payload, err := json.Marshal(a)
	if err != nil {
		return "", fmt.Errorf("access token claims: %w", err)
	}
	if c.AccessToken == "opaque" {
		return accessPrefix + base64.RawURLEncoding.EncodeToString(p.cfg.Vault.Seal("access", "access", payload)), nil
	}
	return p.cfg.Keys.Sign(ctx, or(c.AccessTokenAlg, keys.RS256), or(c.AccessTokenTyp, TypAccessToken), payload)
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}
