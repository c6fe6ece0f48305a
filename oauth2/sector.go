package oauth2

import (
	"context"
	"encoding/json"
	"slices"

	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
	"github.com/gatekeeper-oidc/gatekeeper/internal/fetch"
)

// CheckSector fetches the sector document of c, if it names one, and wants every
// redirect URI in it (OpenID Connect Registration section 5): whoever publishes
// the document says which applications are of its sector. It asks somebody else's
// server, so it does not belong into a transaction. Fault: Invalid
// "invalid_client_metadata".
func (p *Provider) CheckSector(ctx context.Context, c *Client) error {
	if c.SectorIdentifierURI == "" {
		return nil
	}
	refused := func(why string, cause error) error {
		f := ruled("sector_document", invalid("invalid_client_metadata", why)).
			With("client_id", clip(c.ID, 100)).With("sector_identifier_uri", clip(c.SectorIdentifierURI, 512))
		f.Err = cause
		return f
	}
	if p.cfg.Fetch == nil {
		return refused("This server does not fetch sector documents.", nil)
	}
	doc, err := p.cfg.Fetch.Get(fetchFor(ctx, c), c.SectorIdentifierURI, fetch.Want{Accept: sectorTypes})
	if err != nil {
		return refused("The document at sector_identifier_uri could not be fetched.", err)
	}
	var members []string
	if err := json.Unmarshal(doc.Body, &members); err != nil {
		return refused("The document at sector_identifier_uri is not a JSON array of redirect URIs.", err)
	}
	for _, uri := range c.RedirectURIs {
		if !slices.Contains(members, uri) {
			f := fault.Of(refused("The document at sector_identifier_uri lacks a redirect URI of the application.", nil))
			return f.With("redirect_uri", clip(uri, 512))
		}
	}
	return nil
}

// sectorTypes are the media types of a sector document; text/plain is what plain
// file servers say.
var sectorTypes = []string{"application/json", "text/plain"}
