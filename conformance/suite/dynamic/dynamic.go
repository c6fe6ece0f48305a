// Package dynamic is the profile Dynamic OP: applications that register
// themselves, prove who they are with keys, and publish what the provider fetches.
package dynamic

import (
	"github.com/gatekeeper-oidc/gatekeeper/conformance/suite"
	"github.com/gatekeeper-oidc/gatekeeper/conformance/suite/config"
	"github.com/gatekeeper-oidc/gatekeeper/conformance/suite/flow"
)

// Profile is Dynamic OP, for every response type.
func Profile() suite.Profile {
	return suite.Profile{
		Name: "dynamic", Title: "Dynamic OP", Fresh: "private_key_jwt",
		Variants: []suite.Variant{
			{ResponseType: "code"},
			{ResponseType: "id_token"},
			{ResponseType: "id_token token"},
			{ResponseType: "code id_token"},
			{ResponseType: "code token"},
			{ResponseType: "code id_token token"},
		},
		Modules: []suite.Module{
			config.Discovery(),
			flow.Server(),
			IDTokenRS256(),
			flow.IDTokenUnsigned(),
			UserinfoRS256(),
			RedirectURIInRequest(),
			RedirectQueryOK(),
			RedirectQueryMismatch(),
			RedirectQueryAdded(),
			RedirectFragment(),
			LogoURI(),
			PolicyURI(),
			TermsURI(),
			JWKSURI(),
			SectorURI(),
			SectorBad(),
			RotateKeys(),
			flow.RefreshToken(),
			KeyRotation(),
			RequestURIUnsigned(),
			RequestURISigned(),
			flow.RequestObjectWithRedirectURI(),
			flow.SignedRequestObject(),
			AssertionForIssuer(),
			Lifecycle(),
		},
		Offered: func(m *suite.Metadata) string {
			if m.Registration == "" {
				return "no registration_endpoint is advertised"
			}
			return ""
		},
	}
}
