// Package formpost is the three profiles Form Post OP: the modules of Basic,
// Implicit and Hybrid, with the answer in a form that the browser posts.
package formpost

import (
	"github.com/gatekeeper-oidc/gatekeeper/conformance/suite"
	"github.com/gatekeeper-oidc/gatekeeper/conformance/suite/basic"
	"github.com/gatekeeper-oidc/gatekeeper/conformance/suite/hybrid"
	"github.com/gatekeeper-oidc/gatekeeper/conformance/suite/implicit"
)

// Profiles are Form Post Basic, Implicit and Hybrid.
func Profiles() []suite.Profile {
	all := []suite.Profile{basic.Profile(), implicit.Profile(), hybrid.Profile()}
	for i := range all {
		all[i].Name, all[i].Title = "formpost-"+all[i].Name, "Form Post "+all[i].Title
		for j := range all[i].Variants {
			all[i].Variants[j].ResponseMode = "form_post"
		}
	}
	return all
}
