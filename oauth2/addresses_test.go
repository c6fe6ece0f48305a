package oauth2_test

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/gatekeeper-oidc/gatekeeper/internal/fetch"
	"github.com/gatekeeper-oidc/gatekeeper/oauth2"
)

// TestAddressesThatAreNeverAsked: an operator is told of each, with its member and
// its reason, and of none whose name could not be looked up.
func TestAddressesThatAreNeverAsked(t *testing.T) {
	t.Parallel()
	strict, err := fetch.New(fetch.Config{Now: time.Now, Resolve: func(_ context.Context, host string) ([]netip.Addr, error) {
		switch host {
		case "app.example":
			return []netip.Addr{netip.MustParseAddr("93.184.216.34")}, nil
		case "inside.example":
			return []netip.Addr{netip.MustParseAddr("10.0.0.7")}, nil
		}
		return nil, errors.New("no such name")
	}})
	must(t, err)
	for name, tt := range map[string]struct {
		client oauth2.Client
		member string
		why    string
	}{
		"a private address":      {oauth2.Client{BackchannelLogoutURI: "https://10.1.2.3/out"}, "backchannel_logout_uri", "no public one"},
		"this computer":          {oauth2.Client{BackchannelLogoutURI: "http://localhost:3000/out"}, "backchannel_logout_uri", "not https"},
		"a name that is private": {oauth2.Client{JWKSURI: "https://inside.example/jwks"}, "jwks_uri", "10.0.0.7 is no public address"},
		"a database":             {oauth2.Client{RequestURIs: []string{"https://app.example/r", "https://app.example:5432/r"}}, "request_uris", "another service"},
		"a sector":               {oauth2.Client{SectorIdentifierURI: "https://[::1]/s"}, "sector_identifier_uri", "no public one"},
		"a logo":                 {oauth2.Client{LogoURI: "http://app.example/logo.png"}, "logo_uri", "not https"},
		"a trusted issuer":       {oauth2.Client{TrustedIssuers: []oauth2.TrustedIssuer{{JWKSURI: "https://169.254.169.254/"}}}, "trusted_issuers", "no public one"},
		"everything is well":     {oauth2.Client{JWKSURI: "https://app.example:8443/jwks", BackchannelLogoutURI: "https://unknown.example/", ClientURI: "http://10.0.0.1/"}, "", ""},
	} {
		got := oauth2.Unasked(t.Context(), strict, &tt.client)
		switch {
		case tt.member == "" && len(got) > 0:
			t.Errorf("%s: %q", name, got)
		case tt.member != "" && (len(got) != 1 || !strings.Contains(got[0], tt.member) || !strings.Contains(got[0], tt.why) || !strings.Contains(got[0], "fetch_allow")):
			t.Errorf("%s: %q", name, got)
		}
	}
}

// TestAddressesOfStrangers: what nobody vouches for leads to public hosts over
// https, every member alike.
func TestAddressesOfStrangers(t *testing.T) {
	t.Parallel()
	f := newFixture(t, databases["sqlite"](t), func(c *oauth2.Config) {
		strict, err := fetch.New(fetch.Config{Now: c.Now})
		must(t, err)
		c.Fetch = strict
	})
	for member, set := range map[string]func(c *oauth2.Client, address string){
		"jwks_uri":                func(c *oauth2.Client, a string) { c.JWKSURI = a },
		"sector_identifier_uri":   func(c *oauth2.Client, a string) { c.SectorIdentifierURI = a },
		"request_uris":            func(c *oauth2.Client, a string) { c.RequestURIs = []string{"https://app.example/r#1", a} },
		"backchannel_logout_uri":  func(c *oauth2.Client, a string) { c.BackchannelLogoutURI = a },
		"frontchannel_logout_uri": func(c *oauth2.Client, a string) { c.FrontchannelLogoutURI = a },
		"initiate_login_uri":      func(c *oauth2.Client, a string) { c.InitiateLoginURI = a },
		"logo_uri":                func(c *oauth2.Client, a string) { c.LogoURI = a },
		"client_uri":              func(c *oauth2.Client, a string) { c.ClientURI = a },
		"policy_uri":              func(c *oauth2.Client, a string) { c.PolicyURI = a },
		"tos_uri":                 func(c *oauth2.Client, a string) { c.TOSURI = a },
	} {
		for address, fine := range map[string]bool{
			"https://app.example/a#b": true, "https://app.example:8443/": true, "https://8.8.8.8/": true,
			"http://app.example/": false, "http://localhost/": false, "https://localhost/": false, "https://127.0.0.1:8443/": false,
			"https://192.168.0.1/": false, "https://[fd00::1]/": false, "https://app.example:22/": false, "https://app.example:6379/": false,
			"https://2130706433/": false, "ftp://app.example/": false,
		} {
			var c oauth2.Client
			set(&c, address)
			why := f.p.Unwelcome(&c)
			if fine != (why == "") || !fine && !strings.Contains(why, member) {
				t.Errorf("%s %s: %q", member, address, why)
			}
		}
	}
}
