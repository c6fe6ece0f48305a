package admin

import (
	"context"
	"slices"
	"strings"

	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
	"github.com/gatekeeper-oidc/gatekeeper/oauth2"
)

// A right is something an application may have that is more than to sign people in
// who agreed to it. Nobody gives what they do not have: who is bound by scopes needs
// one of those in needs, or ScopeAll, to make an application with it, and to change
// one that has it, whose secret and addresses are as good as the right itself.
type right struct {
	rule   string
	needs  []string
	detail string
	has    func(issuer string, c *oauth2.Client) bool
}

// clientRights are the rights of an application but for the admin scopes, each of
// which is a right of its own. A new member of a client that gives one belongs here;
// a test holds the list to the members there are.
var clientRights = []right{
	{
		"delegation_needs_admin", nil,
		"An application that exchanges tokens or trusts an issuer's assertions is an administrator's to make and to change.",
		func(_ string, c *oauth2.Client) bool { // RFC 8693, RFC 7523: it speaks for people who did not sign in to it
			return c.Exchange != nil || len(c.TrustedIssuers) > 0 || c.May(oauth2.GrantExchange) || c.May(oauth2.GrantJWTBearer)
		},
	},
	{
		"first_party_needs_admin", nil,
		"An application that people are not asked about is an administrator's to make and to change.",
		func(_ string, c *oauth2.Client) bool { return c.FirstParty },
	},
	{
		"introspect_any_needs_tokens",
		[]string{ScopeTokens},
		"An application that may ask about every token is for those to make and to change who may do so themselves.",
		func(_ string, c *oauth2.Client) bool { return c.IntrospectAny },
	},
	{
		"audience_needs_tokens",
		[]string{ScopeTokens},
		"A service with an audience may ask about every token for it: it is for those to make and to change who may do so themselves.",
		func(_ string, c *oauth2.Client) bool { return c.Type == oauth2.Machine && len(c.Audience) > 0 },
	},
	{
		"insecure_needs_admin", nil,
		"An application that does without a protection of its people is an administrator's to make and to change.",
		func(_ string, c *oauth2.Client) bool { return c.InsecureNoPKCE || c.InsecureShortScheme },
	},
	{
		"own_audience_needs_admin", nil,
		"An application whose tokens are for this server itself is an administrator's to make and to change.",
		func(issuer string, c *oauth2.Client) bool {
			return slices.ContainsFunc(c.Audience, func(a string) bool { return a == issuer || strings.HasPrefix(a, issuer+"/") })
		},
	},
}

// guardClient refuses a narrow actor who would change, or make, an application that
// has, or would have, rights the actor lacks.
func (s *Service) guardClient(ctx context.Context, c oauth2.Client) error {
	for _, r := range clientRights {
		if !r.has(s.Issuer, &c) || mayDo(ctx, ScopeAll) || slices.ContainsFunc(r.needs, func(scope string) bool { return mayDo(ctx, scope) }) {
			continue
		}
		return beyond(c.ID, r.rule, strings.Join(append([]string{ScopeAll}, r.needs...), " or "), r.detail)
	}
	for _, scope := range c.Scopes {
		if adminScope(scope) && !mayDo(ctx, scope) {
			return beyond(c.ID, "admin_client_needs_scope", scope, "A token may not change an application that may have more admin scopes than it has.")
		}
	}
	return nil
}

// adminScope reports whether scope opens a part of this API, or might one day.
func adminScope(scope string) bool {
	return scope == ScopeAll || strings.HasPrefix(scope, ScopeAll+":")
}

func beyond(clientID, rule, needs, detail string) error {
	return &fault.Error{
		Kind: fault.Forbidden, Code: "insufficient_scope", Rule: rule, Detail: detail,
		Facts: []fault.Fact{{Name: "client_id", Value: clientID}, {Name: "needs", Value: needs}},
	}
}
