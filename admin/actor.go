package admin

import (
	"context"
	"slices"

	"github.com/gatekeeper-oidc/gatekeeper/identity"
	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
)

// The scopes of the admin API. ScopeAll opens every route, ScopeRead every one
// that changes nothing, the others their own part.
const (
	ScopeAll     = "admin"
	ScopeRead    = "admin:read"
	ScopeClients = "admin:clients"
	ScopeUsers   = "admin:users"
	ScopeKeys    = "admin:keys"
	ScopeTokens  = "admin:tokens"
	ScopeAudit   = "admin:audit"
)

// Scopes returns every scope of the admin API.
func Scopes() []string {
	return []string{ScopeAll, ScopeRead, ScopeClients, ScopeUsers, ScopeKeys, ScopeTokens, ScopeAudit}
}

type actorKey struct{}

// An actor is who acts. One with scopes is bound by them.
type actor struct {
	name   string
	bound  bool
	scopes []string
}

// NewContext returns ctx saying that actor ("cli:ana", "system") acts, with every
// right: whoever holds the store holds everything in it.
func NewContext(ctx context.Context, name string) context.Context {
	return context.WithValue(ctx, actorKey{}, actor{name: name})
}

// newBoundContext returns ctx saying that actor acts within scopes.
func newBoundContext(ctx context.Context, name string, scopes []string) context.Context {
	return context.WithValue(ctx, actorKey{}, actor{name: name, bound: true, scopes: scopes})
}

// Actor returns who acts in ctx, "system" if nobody said so; the trail
// records it.
func Actor(ctx context.Context) string {
	if a, ok := ctx.Value(actorKey{}).(actor); ok {
		return a.name
	}
	return identity.System
}

// mayDo reports whether the actor of ctx holds scope, or everything.
func mayDo(ctx context.Context, scope string) bool {
	a, _ := ctx.Value(actorKey{}).(actor)
	return !a.bound || slices.Contains(a.scopes, ScopeAll) || slices.Contains(a.scopes, scope)
}

// guardRoles refuses a narrow actor who would change, or make, an administrator.
func guardRoles(ctx context.Context, roles []string) error {
	if !slices.Contains(roles, identity.RoleAdmin) || mayDo(ctx, ScopeAll) {
		return nil
	}
	return &fault.Error{
		Kind: fault.Forbidden, Code: "insufficient_scope", Rule: "admin_role_needs_admin",
		Detail: "Only a token with the scope admin may change a person with the role admin.",
		Facts:  []fault.Fact{{Name: "needs", Value: ScopeAll}},
	}
}
