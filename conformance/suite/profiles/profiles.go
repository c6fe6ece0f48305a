// Package profiles is the list of every profile, in the order a run goes.
package profiles

import (
	"slices"

	"github.com/gatekeeper-oidc/gatekeeper/conformance/suite"
	"github.com/gatekeeper-oidc/gatekeeper/conformance/suite/basic"
	"github.com/gatekeeper-oidc/gatekeeper/conformance/suite/config"
	"github.com/gatekeeper-oidc/gatekeeper/conformance/suite/deployment"
	"github.com/gatekeeper-oidc/gatekeeper/conformance/suite/dynamic"
	"github.com/gatekeeper-oidc/gatekeeper/conformance/suite/formpost"
	"github.com/gatekeeper-oidc/gatekeeper/conformance/suite/hybrid"
	"github.com/gatekeeper-oidc/gatekeeper/conformance/suite/implicit"
	"github.com/gatekeeper-oidc/gatekeeper/conformance/suite/logout"
	"github.com/gatekeeper-oidc/gatekeeper/conformance/suite/thirdparty"
)

// All returns every profile.
func All() []suite.Profile {
	return slices.Concat(
		[]suite.Profile{deployment.Profile(), config.Profile(), basic.Profile(), implicit.Profile(), hybrid.Profile()},
		formpost.Profiles(),
		[]suite.Profile{dynamic.Profile(), thirdparty.Profile()},
		logout.Profiles(),
	)
}

// Named returns the profiles with these names, in the order of All, and the first
// name there is no profile for.
func Named(names ...string) (chosen []suite.Profile, unknown string) {
	for _, p := range All() {
		if slices.Contains(names, p.Name) {
			chosen = append(chosen, p)
		}
	}
	for _, n := range names {
		if !slices.ContainsFunc(chosen, func(p suite.Profile) bool { return p.Name == n }) {
			return nil, n
		}
	}
	return chosen, ""
}
