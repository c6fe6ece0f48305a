package oauth2

import (
	"context"
	"net/url"
	"strings"

	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
)

func clientRegistered(ctx context.Context, d *draft) *fault.Error {
	id := d.get("client_id")
	if id == "" {
		return invalid("invalid_request", "The application did not say who it is: client_id is missing.")
	}
	c, err := d.p.Client(ctx, id)
	if fault.Is(err, fault.NotFound) {
		return invalid("invalid_client", "The application is not registered here.").With("received", clip(id, 100))
	}
	if err != nil {
		return fault.Of(err)
	}
	d.client, d.req.ClientID, d.req.Registration = c, c.ID, c.Registration
	return nil
}

func redirectRegistered(_ context.Context, d *draft) *fault.Error {
	got := d.get("redirect_uri")
	if got == "" {
		return invalid("invalid_request", "The application did not say where to return to: redirect_uri is missing.").
			With("registered", strings.Join(d.client.RedirectURIs, " "))
	}
	if !redirectAllowed(&d.client, got) {
		return invalid("invalid_request", "The application asked to return to an address that is not registered for it.").
			With("received", clip(got, 2048)).With("registered", strings.Join(d.client.RedirectURIs, " "))
	}
	d.req.RedirectURI = got
	return nil
}

// redirectAllowed compares byte for byte. A native client's loopback literal may
// come with any port, and with nothing else changed (RFC 8252 section 7.3,
// RFC 9700 section 2.1).
func redirectAllowed(c *Client, got string) bool {
	for _, registered := range c.RedirectURIs {
		if got == registered {
			return true
		}
		if c.Type == Native && samePortless(registered, got) {
			return true
		}
	}
	return false
}

func samePortless(registered, got string) bool {
	a, okA := cutLoopbackPort(registered)
	b, okB := cutLoopbackPort(got)
	return okA && okB && a == b
}

// cutLoopbackPort removes the port of http://127.0.0.1:PORT… or http://[::1]:PORT….
// It works on the bytes: a parser that normalises is how loopback checks fail.
func cutLoopbackPort(uri string) (string, bool) {
	for _, host := range [...]string{"http://127.0.0.1", "http://[::1]"} {
		rest, ok := strings.CutPrefix(uri, host)
		if !ok {
			continue
		}
		if port, ok := strings.CutPrefix(rest, ":"); ok {
			n := 0
			for n < len(port) && port[n] >= '0' && port[n] <= '9' {
				n++
			}
			if !portFits(port[:n]) {
				return "", false
			}
			rest = port[n:]
		}
		if rest != "" && rest[0] != '/' && rest[0] != '?' {
			return "", false
		}
		if strings.ContainsAny(rest, "#\\") {
			return "", false
		}
		return host + rest, true
	}
	return "", false
}

// origin returns scheme://host of an address, for CORS and for pages.
func origin(uri string) string {
	u, err := url.Parse(uri)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return ""
	}
	return u.Scheme + "://" + u.Host
}
