package oidc

import (
	"context"
	"fmt"
	"net/url"
	"strings"

	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
	"github.com/gatekeeper-oidc/gatekeeper/oauth2"
)

// frames returns what the signed-out page loads, one address for each application
// among reached that registered one (Front-Channel Logout 1.0 section 3).
func (h *Handler) frames(ctx context.Context, reached []string, session string) ([]string, error) {
	var frames []string
	for _, id := range reached {
		c, err := h.cfg.Provider.Client(ctx, id)
		if fault.Is(err, fault.NotFound) {
			continue // gone, or disabled
		}
		if err != nil {
			return nil, fmt.Errorf("client %s of a sign-out: %w", id, err)
		}
		if c.FrontchannelLogoutURI != "" {
			told, err := h.cfg.Provider.SessionFor(ctx, &c, session)
			if err != nil {
				return nil, fmt.Errorf("session of a sign-out for client %s: %w", id, err)
			}
			frames = append(frames, frameOf(&c, h.cfg.Issuer, told))
		}
	}
	return frames, nil
}

// frameOf adds iss and sid to the registered address, whose own query stays as it
// is. They are always sent, together (section 2): who did not ask for them ignores
// them.
func frameOf(c *oauth2.Client, issuer, session string) string {
	separator := "?"
	if strings.Contains(c.FrontchannelLogoutURI, "?") {
		separator = "&"
	}
	return c.FrontchannelLogoutURI + separator + url.Values{"iss": {issuer}, "sid": {session}}.Encode()
}
