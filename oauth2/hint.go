package oauth2

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
	"github.com/gatekeeper-oidc/gatekeeper/keys"
)

// A Hint is what a verified id_token_hint says (OpenID Connect Core section
// 3.1.2.1). Subject is the user's id, whatever the token calls them.
type Hint struct{ Subject, ClientID, Session string }

// VerifyHint checks an ID token of this issuer, however old. ErrInactive means it
// is not one: another kind of token, another issuer, or not signed by our keys.
func (p *Provider) VerifyHint(ctx context.Context, idToken string) (Hint, error) {
	payload, err := p.verifyOwn(ctx, idToken)
	if errors.Is(err, keys.ErrSignature) {
		return Hint{}, fmt.Errorf("%w: %w", ErrInactive, err)
	}
	if err != nil {
		return Hint{}, fmt.Errorf("verify ID token: %w", err)
	}
	var c struct {
		idClaims
		Audience audience `json:"aud"`
		Use      string   `json:"token_use"` // an access token says so
	}
	if err := keys.Claims(payload, &c); err != nil {
		return Hint{}, fmt.Errorf("%w: %w", ErrInactive, err)
	}
	if c.Use != "" || c.Issuer != p.cfg.Issuer || c.Subject == "" || len(c.Audience) != 1 || c.Expires == 0 { // signed userinfo has no exp
		return Hint{}, ErrInactive
	}
	if time.Unix(c.IssuedAt, 0).After(p.cfg.Now().Add(leeway)) {
		return Hint{}, ErrInactive
	}
	h := Hint{Subject: c.Subject, ClientID: c.Audience[0], Session: c.Session}
	client, err := p.Client(ctx, h.ClientID)
	if fault.Is(err, fault.NotFound) {
		return h, nil // whoever asks will find that out
	}
	if err != nil {
		return Hint{}, err
	}
	if before(c.IssuedAt, &client) {
		return Hint{}, ErrInactive
	}
	if h.Session, err = p.SessionOf(ctx, &client, h.Session); err != nil {
		return Hint{}, err
	}
	h.Subject, err = p.UserOf(ctx, &client, h.Subject)
	return h, err
}

// verifyOwn returns the claims of an ID token of ours: signed by the ring, or with
// the secret of the client it was for.
func (p *Provider) verifyOwn(ctx context.Context, idToken string) ([]byte, error) {
	alg, claims := unverified(idToken)
	if alg != HS256 {
		return p.cfg.Keys.VerifyContext(ctx, idToken, "JWT")
	}
	var c struct {
		Audience audience `json:"aud"`
	}
	if keys.Claims(claims, &c) != nil || len(c.Audience) != 1 {
		return nil, keys.ErrSignature
	}
	client, err := p.Client(ctx, c.Audience[0])
	if fault.Is(err, fault.NotFound) {
		return nil, keys.ErrSignature
	}
	if err != nil {
		return nil, err
	}
	if client.IDTokenAlg != HS256 {
		return nil, keys.ErrSignature // its secret may sign assertions; those are no ID tokens
	}
	payload, head, err := p.fromSecret(&client, idToken)
	if errors.Is(err, errNotTheirs) || err == nil && head.Type != "JWT" {
		return nil, keys.ErrSignature
	}
	return payload, err
}

// leeway forgives the clocks of our own nodes: further apart than this a node is not
// ready.
const leeway = time.Minute
