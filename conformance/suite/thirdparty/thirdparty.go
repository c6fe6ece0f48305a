// Package thirdparty is the profile 3rd-party-initiated login: applications that
// say where a sign-in begins.
package thirdparty

import (
	"context"
	"net/http"

	"github.com/gatekeeper-oidc/gatekeeper/conformance/suite"
)

// Profile is 3rd Party-Init OP.
func Profile() suite.Profile {
	return suite.Profile{
		Name: "3rdparty-init-login", Title: "3rd Party-Init OP", Fresh: "client_secret_basic",
		Variants: []suite.Variant{{ResponseType: "code"}},
		Modules:  []suite.Module{Echoed(), NotHTTPS()},
		Offered: func(m *suite.Metadata) string {
			if m.Registration == "" {
				return "no registration_endpoint is advertised"
			}
			return ""
		},
	}
}

const begin = "https://conformance.invalid/begin"

// Echoed registers where a sign-in begins.
func Echoed() suite.Module {
	return suite.Module{
		Name: "3rd-party-init-login", Summary: "initiate_login_uri is kept, and said again to the application.", Spec: "OpenID Connect Core 4",
		Run: func(ctx context.Context, c *suite.Case) error {
			cl, _, err := c.Registered(ctx, map[string]any{"initiate_login_uri": begin})
			if err != nil {
				return err
			}
			r, err := c.Manage(ctx, http.MethodGet, cl)
			if err != nil {
				return err
			}
			if r.Status != http.StatusOK || r.Text("initiate_login_uri") != begin {
				return suite.Brokef("RFC 7592 2.1", "reading the registration answered %d and initiate_login_uri %q", r.Status, r.Text("initiate_login_uri"))
			}
			return nil
		},
	}
}

// NotHTTPS registers an address that anybody on the way can read.
func NotHTTPS() suite.Module {
	return suite.Module{
		Name: "3rd-party-init-login-nonhttps", Summary: "An initiate_login_uri that is not https is refused.", Spec: "OpenID Connect Registration 2",
		Run: func(ctx context.Context, c *suite.Case) error {
			return c.Unregistrable(ctx, map[string]any{"initiate_login_uri": "http://conformance.invalid/begin"}, "invalid_client_metadata")
		},
	}
}
