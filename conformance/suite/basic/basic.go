// Package basic is the profile Basic OP: the code flow.
package basic

import (
	"github.com/gatekeeper-oidc/gatekeeper/conformance/suite"
	"github.com/gatekeeper-oidc/gatekeeper/conformance/suite/flow"
)

// Profile is Basic OP, with the answer in the query.
func Profile() suite.Profile {
	return suite.Profile{Name: "basic", Title: "Basic OP", Variants: []suite.Variant{{ResponseType: "code"}}, Modules: Modules()}
}

// Modules are those of Basic OP.
func Modules() []suite.Module {
	return []suite.Module{
		flow.Server(),
		flow.ResponseTypeMissing(),
		flow.IDTokenSignature(),
		flow.IDTokenUnsigned(),
		flow.UserinfoGet(),
		flow.UserinfoPostHeader(),
		flow.UserinfoPostBody(),
		flow.RequestWithoutNonceSucceeds(),
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
		flow.PostRequest(),
		flow.ClientSecretPost(),
		flow.RequestURIUnsigned(),
		flow.UnsignedRequestObject(),
		flow.ClaimsEssential(),
		flow.RequestObjectWithRedirectURI(),
		flow.RefreshToken(),
		flow.ValidPKCE(),
		// Beyond the official list: what it skips where nothing unsigned is offered.
		flow.SignedRequestObject(),
		flow.ForgedRequestObject(),
	}
}
