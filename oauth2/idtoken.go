package oauth2

import (
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"fmt"

	"github.com/gatekeeper-oidc/gatekeeper/identity"
	"github.com/gatekeeper-oidc/gatekeeper/keys"
)

// idClaims are the claims of an ID token about itself (OpenID Connect Core
// sections 2, 3.1.3.6 and 3.3.2.11).
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
	CodeHash   string   `json:"c_hash,omitempty"`
	StateHash  string   `json:"s_hash,omitempty"`
}

// An idToken is what an ID token is made of. access, code and state are those that
// travel with it through the browser, "" where there is none; scopes are those
// whose claims it carries itself, where there is no userinfo to ask.
type idToken struct {
	client              *Client
	grant               Grant
	user                *identity.User
	access, code, state string
	scopes              []string
}

// mintID signs an ID token as its client is registered, and encrypts it if so.
func (p *Provider) mintID(ctx context.Context, in idToken) (string, error) {
	c, g := in.client, in.grant
	alg, now := or(c.IDTokenAlg, keys.RS256), p.cfg.Now()
	sub, err := p.SubjectFor(ctx, c, g.Subject)
	if err != nil {
		return "", err
	}
	session, err := p.SessionFor(ctx, c, g.Session)
	if err != nil {
		return "", err
	}
	payload, err := json.Marshal(idClaims{
		Issuer: p.cfg.Issuer, Subject: sub, Audience: c.ID, Expires: now.Add(p.cfg.Lifetimes.IDToken).Unix(), IssuedAt: now.Unix(),
		AuthTime: g.AuthTime.Unix(), Nonce: g.Nonce, ACR: g.ACR, AMR: g.AMR, AZP: c.ID, Session: session,
		AccessHash: halfHash(alg, in.access), CodeHash: halfHash(alg, in.code), StateHash: halfHash(alg, in.state),
	})
	if err != nil {
		return "", fmt.Errorf("ID token claims: %w", err)
	}
	if named := p.stillNamed(c, g.Claims.IDToken); in.user != nil && (len(in.scopes) > 0 || len(named) > 0) {
		if payload, err = merge(payload, p.cfg.Claims.Claims(in.user, in.scopes, named)); err != nil {
			return "", fmt.Errorf("ID token claims of the user: %w", err)
		}
	}
	return p.sealFor(ctx, c, secured{alg: alg, encAlg: c.IDTokenEncAlg, enc: c.IDTokenEnc, typ: "JWT"}, payload)
}

// merge adds members to a JSON object that has some, and none of the same name.
func merge(object []byte, more map[string]any) ([]byte, error) {
	if len(more) == 0 {
		return object, nil
	}
	rest, err := json.Marshal(more)
	if err != nil {
		return nil, err
	}
	out := append(object[:len(object)-1:len(object)-1], ',')
	return append(out, rest[1:]...), nil
}

// halfHash is at_hash and its like: the left half of the hash that belongs to
// alg, "" of nothing.
func halfHash(alg, value string) string {
	if value == "" {
		return ""
	}
	if alg == keys.EdDSA {
		sum := sha512.Sum512([]byte(value))
		return base64.RawURLEncoding.EncodeToString(sum[:32])
	}
	sum := sha256.Sum256([]byte(value))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}
