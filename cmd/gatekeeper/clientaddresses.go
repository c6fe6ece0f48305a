package main

import (
	"github.com/gatekeeper-oidc/gatekeeper/oauth2"
)

// tableOfAddresses shows where a client is asked, and told of sign-outs.
func tableOfAddresses(t *table, c *oauth2.Client) {
	for _, a := range []struct{ title, value string }{
		{"KEYS", c.JWKSURI},
		{"SECTOR", c.SectorIdentifierURI},
		{"BACK-CHANNEL LOGOUT", c.BackchannelLogoutURI},
		{"FRONT-CHANNEL LOGOUT", c.FrontchannelLogoutURI},
		{"LOGO", c.LogoURI},
	} {
		if a.value != "" {
			t.field(a.title, a.value)
		}
	}
	t.each("REQUEST OBJECTS", c.RequestURIs)
}
