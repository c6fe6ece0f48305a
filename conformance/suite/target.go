package suite

import (
	"context"
	"net/http"
	"time"
)

// A Target is what a run is about, and what it may use. The clock and the way out
// are handed in.
type Target struct {
	Issuer    string
	Transport http.RoundTripper
	Now       func() time.Time

	Login, Password string // of a person who can sign in

	// Clients are applications registered beforehand. The first is used where one
	// will do; without any, each module registers its own (RFC 7591).
	Clients []Client
	// Redirect is the redirect URI of applications that register themselves. Nobody
	// need listen there: the browser stops where it is sent away from the issuer.
	Redirect string
	// PKCE makes every request for a code carry a challenge (RFC 7636), as an
	// application should; the official suite sends none.
	PKCE bool
	// Pages is a printed configuration that says how pages are filled in; nil: the
	// run knows them itself.
	Pages *Configuration
	// Desk is where the provider can reach the suite; nil if it cannot, and what
	// needs it is skipped.
	Desk *Desk
	// RotateKeys makes the provider change its signing key; nil if the run cannot,
	// and what needs it is skipped.
	RotateKeys func(ctx context.Context) error
	// Pause is how long codereuse-30seconds waits; 0 means 30 s.
	Pause time.Duration

	signing *signing
}

// A Client is an application as it is registered.
type Client struct {
	ID           string
	Secret       string
	AuthMethod   string // "" means client_secret_basic, or none without a secret
	RedirectURIs []string
	AfterLogout  []string // post_logout_redirect_uris
	Key          *Key     // signs its request objects and assertions; nil if it registered none

	manageURI, manageToken string // RFC 7592; "" for one registered beforehand
}

// method is how the client authenticates.
func (cl *Client) method() string {
	switch {
	case cl.AuthMethod != "":
		return cl.AuthMethod
	case cl.Secret == "":
		return "none"
	default:
		return "client_secret_basic"
	}
}
