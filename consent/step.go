package consent

import (
	"context"
	"fmt"
	"strings"

	"github.com/gatekeeper-oidc/gatekeeper/identity"
	"github.com/gatekeeper-oidc/gatekeeper/oauth2"
)

// consentRequired is our reason, which prompt=none turns into an error (OpenID
// Connect Core section 3.1.2.6).
const consentRequired = "consent_required"

// A Clients finds registered applications; oauth2.Provider is one.
type Clients interface {
	Client(ctx context.Context, id string) (oauth2.Client, error)
}

// Step asks for consent when a request goes beyond what was allowed.
type Step struct {
	Service *Service
	Clients Clients
}

// Path implements oauth2.Step.
func (*Step) Path() string { return pathConsent }

// Needed implements oauth2.Step; its reason is consent_required.
func (s *Step) Needed(ctx context.Context, in oauth2.Interaction) (reason string, err error) {
	session, u, ok := identity.FromContext(ctx)
	switch {
	case !ok:
		return consentRequired, nil
	case in.Consented && in.Selected == session.ID:
		return "", nil
	case everything(in.Request):
		return consentRequired, nil
	}
	c, err := s.Clients.Client(ctx, in.Request.ClientID)
	if err != nil {
		return "", fmt.Errorf("client %s of a request: %w", in.Request.ClientID, err)
	}
	if impersonable(&c, in.Request.RedirectURI) {
		return consentRequired, nil
	}
	if c.FirstParty {
		return "", nil
	}
	allowed, found, err := s.Service.Remembered(ctx, u.ID, c.ID)
	if err != nil {
		return "", err
	}
	if !found || len(beyond(in.Request.Asked(), allowed)) > 0 {
		return consentRequired, nil
	}
	return "", nil
}

// impersonable reports whether another application of the same computer could get the
// answer: a public one proves itself by nothing but a redirect URI, and only one on
// https is its own. So the person is there each time, whatever they allowed
// before, and whoever made it (RFC 8252 section 8.6).
func impersonable(c *oauth2.Client, redirect string) bool {
	return c.Public() && redirect != "" && !strings.HasPrefix(redirect, "https://")
}

// everything reports whether a person is asked about all of a request, whatever
// they allowed before: the application wants it so, or a device asks, which may be
// anybody's (RFC 8628 section 5.4).
func everything(req oauth2.AuthorizeRequest) bool {
	return req.HasPrompt("consent") || req.Device != nil
}
