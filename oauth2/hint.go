package oauth2

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/gatekeeper-oidc/gatekeeper/keys"
)

// A Hint is what a verified id_token_hint says (OpenID Connect Core 3.1.2.1).
type Hint struct{ Subject, ClientID, Session string }

// VerifyHint checks an ID token of this issuer, however old. ErrInactive means it
// is not one: another kind of token, another issuer, or not signed by our keys.
func (p *Provider) VerifyHint(ctx context.Context, idToken string) (Hint, error) {
	payload, err := p.cfg.Keys.VerifyContext(ctx, idToken, "JWT")
	if errors.Is(err, keys.ErrSignature) {
		return Hint{}, fmt.Errorf("%w: %w", ErrInactive, err)
	}
	if err != nil {
		return Hint{}, fmt.Errorf("verify ID token: %w", err)
	}
	var c struct {
		idClaims
		Audience audience `json:"aud"`
	}
	if err := json.Unmarshal(payload, &c); err != nil {
		return Hint{}, fmt.Errorf("%w: %w", ErrInactive, err)
	}
	if c.Issuer != p.cfg.Issuer || c.Subject == "" || len(c.Audience) != 1 {
		return Hint{}, ErrInactive
	}
	if time.Unix(c.IssuedAt, 0).After(p.cfg.Now().Add(leeway)) {
		return Hint{}, ErrInactive
	}
	return Hint{Subject: c.Subject, ClientID: c.Audience[0], Session: c.Session}, nil
}

// leeway forgives the clocks of our own nodes.
const leeway = 5 * time.Second
