package main

import (
	"slices"

	"github.com/gatekeeper-oidc/gatekeeper/audit"
	"github.com/gatekeeper-oidc/gatekeeper/internal/config"
)

// knownKind refuses a kind of event that no event can have: its answer would be that
// nothing happened.
func knownKind(kind string) error {
	if kind == "" || slices.Contains(audit.Kinds(), audit.Kind(kind)) {
		return nil
	}
	best, least := "", len(kind)/2+1
	for _, k := range audit.Kinds() {
		if d := config.Distance(kind, string(k)); d < least {
			best, least = string(k), d
		}
	}
	if best == "" {
		return usagef("--kind %s: there is no such kind of event; docs/events.md lists them", kind)
	}
	return usagef("--kind %s: there is no such kind of event; did you mean %s?", kind, best)
}
