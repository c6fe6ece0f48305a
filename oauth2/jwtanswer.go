package oauth2

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
	"github.com/gatekeeper-oidc/gatekeeper/keys"
)

// UserinfoFor returns what to tell c of a person as the JWT it registered, ok
// false if it registered none and plain JSON will do (OpenID Connect Core section
// 5.3.2). claims is added to: iss and aud.
func (p *Provider) UserinfoFor(ctx context.Context, c *Client, claims map[string]any) (token string, ok bool, err error) {
	if c.UserinfoAlg == "" && c.UserinfoEncAlg == "" {
		return "", false, nil
	}
	claims["iss"], claims["aud"] = p.cfg.Issuer, c.ID
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", false, fmt.Errorf("userinfo claims: %w", err)
	}
	if c.UserinfoAlg == "" { // encrypted, and not signed
		token, err = p.cfg.ClientKeys.Encrypt(fetchFor(ctx, c), clientKeys(c), keys.Encryption{Alg: c.UserinfoEncAlg, Enc: c.UserinfoEnc}, "", payload)
		if err != nil {
			return "", false, keysAway(c, fault.Invalid, "invalid_client", err)
		}
		return token, true, nil
	}
	token, err = p.sealFor(ctx, c, secured{alg: c.UserinfoAlg, typ: "JWT", encAlg: c.UserinfoEncAlg, enc: c.UserinfoEnc}, payload)
	return token, true, err
}

// IntrospectionFor returns an introspection answer as a JWT for the caller c (RFC
// 9701 section 5): typ keeps it from being taken for any other token.
func (p *Provider) IntrospectionFor(ctx context.Context, c *Client, answer any) (string, error) {
	payload, err := json.Marshal(struct {
		Issuer   string `json:"iss"`
		Audience string `json:"aud"`
		IssuedAt int64  `json:"iat"`
		Answer   any    `json:"token_introspection"`
	}{p.cfg.Issuer, c.ID, p.cfg.Now().Unix(), answer})
	if err != nil {
		return "", fmt.Errorf("introspection claims: %w", err)
	}
	return p.sealFor(ctx, c, secured{
		alg: or(c.IntrospectionAlg, keys.RS256), typ: "token-introspection+jwt", encAlg: c.IntrospectionEncAlg, enc: c.IntrospectionEnc,
	}, payload)
}
