package oauth2

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"fmt"
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
	*userClaims
}

type userClaims struct {
	UID   string   `json:"uid"`
	Email string   `json:"email,omitempty"`
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
func (p *Provider) accessFor(c *Client, g Grant, u *identity.User) accessClaims {
	now := p.cfg.Now()
	ends := now.Add(p.accessTTL(c))
	if !g.ExpiresAt.IsZero() && g.ExpiresAt.Before(ends) {
		ends = g.ExpiresAt // no token outlives its grant
	}
	a := accessClaims{
		Issuer: p.cfg.Issuer, Subject: c.ID, Audience: g.Audience, Expires: ends.Unix(), IssuedAt: now.Unix(),
		NotUntil: now.Unix(), ID: rand.Text(), ClientID: c.ID, Scope: strings.Join(g.Scopes, " "),
	}
	if u == nil {
		return a
	}
	a.Subject, a.Session, a.Grant, a.AuthTime, a.ACR, a.AMR = u.ID, g.Session, g.ID, g.AuthTime.Unix(), g.ACR, g.AMR
	a.userClaims = &userClaims{UID: u.ID, Roles: u.Roles, MFA: g.ACR == identity.ACRMulti}
	if a.Roles == nil {
		a.Roles = []string{}
	}
	if g.has("email") {
		a.Email = u.Email
	}
	return a
}

// mint signs or seals an access token, as the client is registered.
func (p *Provider) mint(ctx context.Context, c *Client, a accessClaims) (string, error) {
	payload, err := json.Marshal(a)
	if err != nil {
		return "", fmt.Errorf("access token claims: %w", err)
	}
	if c.AccessToken == "opaque" {
		return accessPrefix + base64.RawURLEncoding.EncodeToString(p.cfg.Vault.Seal("access", "access", payload)), nil
	}
	return p.cfg.Keys.Sign(ctx, or(c.AccessTokenAlg, keys.RS256), "at+jwt", payload)
}

// idClaims are the claims of an ID token (OpenID Connect Core sections 2 and
// 3.1.3.6). What scopes allow is at userinfo.
type idClaims struct {
	Issuer     string   `json:"iss"`
	Subject    string   `json:"sub"`
	Audience   string   `json:"aud"`
	Expires    int64    `json:"exp"`
	IssuedAt   int64    `json:"iat"`
	AuthTime   int64    `json:"auth_time"`
	Nonce      string   `json:"nonce,omitempty"`
	ACR        string   `json:"acr,omitempty"`
	AMR        []string `json:"amr,omitempty"`
	AZP        string   `json:"azp"`
	Session    string   `json:"sid"`
	AccessHash string   `json:"at_hash,omitempty"`
}

func (p *Provider) mintID(ctx context.Context, c *Client, g Grant, access string) (string, error) {
	alg, now := or(c.IDTokenAlg, keys.RS256), p.cfg.Now()
	payload, err := json.Marshal(idClaims{
		Issuer: p.cfg.Issuer, Subject: g.Subject, Audience: c.ID, Expires: now.Add(p.cfg.Lifetimes.IDToken).Unix(), IssuedAt: now.Unix(),
		AuthTime: g.AuthTime.Unix(), Nonce: g.Nonce, ACR: g.ACR, AMR: g.AMR, AZP: c.ID, Session: g.Session, AccessHash: halfHash(alg, access),
	})
	if err != nil {
		return "", fmt.Errorf("ID token claims: %w", err)
	}
	return p.cfg.Keys.Sign(ctx, alg, "JWT", payload)
}

// halfHash is at_hash: the left half of the hash that belongs to alg.
func halfHash(alg, token string) string {
	if alg == keys.EdDSA {
		sum := sha512.Sum512([]byte(token))
		return base64.RawURLEncoding.EncodeToString(sum[:32])
	}
	sum := sha256.Sum256([]byte(token))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}
