// Package implicit is the profile Implicit OP: tokens through the browser.
package implicit

import (
	"github.com/gatekeeper-oidc/gatekeeper/conformance/suite"
	"github.com/gatekeeper-oidc/gatekeeper/conformance/suite/flow"
)

// Profile is Implicit OP, with the answer in the fragment.
func Profile() suite.Profile {
	return suite.Profile{
		Name: "implicit", Title: "Implicit OP",
		Variants: []suite.Variant{{ResponseType: "id_token"}, {ResponseType: "id_token token"}}, Modules: Modules(),
	}
}

// Modules are those of Implicit OP.
func Modules() []suite.Module {
	return []suite.Module{
		flow.Server(),
		flow.ResponseTypeMissing(),
		flow.IDTokenSignature(),
		flow.UserinfoGet(),
		flow.UserinfoPostHeader(),
		flow.UserinfoPostBody(),
		flow.RequestWithoutNonceFails(),
		flow.ScopeProfile(),
		flow.ScopeEmail(),
		flow.ScopeAddress(),
		flow.ScopePhone(),
		flow.ScopeAll(),
		flow.AlternateHappyFlow(),
		flow.DisplayPage(),
		flow.DisplayPopup(),
		flow.PromptLogin(),
		flow.PromptNoneNotLoggedIn(),
		flow.PromptNoneLoggedIn(),
		flow.MaxAge1(),
		flow.MaxAge10000(),
		flow.UnknownParameter(),
		flow.IDTokenHint(),
		flow.LoginHint(),
		flow.UILocales(),
		flow.ClaimsLocales(),
		flow.ACRValues(),
		flow.RegisteredRedirectURI(),
		flow.RequestURIUnsigned(),
		flow.UnsignedRequestObject(),
		flow.ClaimsEssential(),
		flow.RequestObjectWithRedirectURI(),
		flow.SignedRequestObject(),
	}
}
