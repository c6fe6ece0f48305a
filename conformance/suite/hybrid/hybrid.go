// Package hybrid is the profile Hybrid OP: a code and tokens in one answer.
package hybrid

import (
	"github.com/gatekeeper-oidc/gatekeeper/conformance/suite"
	"github.com/gatekeeper-oidc/gatekeeper/conformance/suite/flow"
)

// Profile is Hybrid OP, with the answer in the fragment.
func Profile() suite.Profile {
	return suite.Profile{
		Name: "hybrid", Title: "Hybrid OP",
		Variants: []suite.Variant{{ResponseType: "code id_token"}, {ResponseType: "code token"}, {ResponseType: "code id_token token"}},
		Modules:  Modules(),
	}
}

// Modules are those of Hybrid OP.
func Modules() []suite.Module {
	return []suite.Module{
		flow.Server(),
		flow.ResponseTypeMissing(),
		flow.IDTokenSignature(),
		flow.UserinfoGet(),
		flow.UserinfoPostHeader(),
		flow.UserinfoPostBody(),
		flow.RequestWithoutNonceSucceeds(),
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
		flow.CodeReuse(),
		flow.CodeReuse30(),
		flow.RegisteredRedirectURI(),
		flow.ClientSecretPost(),
		flow.RequestURIUnsigned(),
		flow.UnsignedRequestObject(),
		flow.ClaimsEssential(),
		flow.RequestObjectWithRedirectURI(),
		flow.RefreshToken(),
		flow.ValidPKCE(),
		flow.SignedRequestObject(),
	}
}
