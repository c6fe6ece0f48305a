// Package deployment is the profile of a deployed issuer as its users meet it:
// through the proxies, caches and balancers in front of it. It goes beyond what the
// official suite looks at.
package deployment

import (
	"github.com/gatekeeper-oidc/gatekeeper/conformance/suite"
	"github.com/gatekeeper-oidc/gatekeeper/conformance/suite/flow"
)

// Profile is what every deployment should pass.
func Profile() suite.Profile {
	return suite.Profile{Name: "deployment", Title: "Deployed issuer", Variants: []suite.Variant{{ResponseType: "code"}}, Modules: []suite.Module{
		// In front of the program
		ForgedHost(),
		Certificate(),
		Clock(),
		DiscoveryCaching(),
		JWKSCaching(),
		KeysAgree(),
		CrossOrigin(),
		// What browsers are told
		PageHeaders(),
		Cookies(),
		SessionFixation(),
		ForeignForm(),
		// The flow
		flow.Server(),
		flow.ValidPKCE(),
		PKCEWrongVerifier(),
		PKCEMissingVerifier(),
		PKCEPlain(),
		PKCEDowngrade(),
		LongState(),
		RepeatedParameter(),
		AccessDenied(),
		RedirectVariations(),
		Pushed(),
		// Codes and tokens
		CodeReplay(),
		CodeOfAnother(),
		CodeRedirectURI(),
		RefreshReuse(),
		Revocation(),
		Introspection(),
		UserinfoRefusals(),
		TokenRefusals(),
		LogoutEnds(),
		// What errors say
		ErrorTexts(),
	}}
}
