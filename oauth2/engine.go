package oauth2

import (
	"context"
	"slices"
	"time"

	"github.com/ory/fosite"
	foauth2 "github.com/ory/fosite/handler/oauth2"
	"github.com/ory/fosite/handler/openid"
	"github.com/ory/fosite/handler/pkce"
)

// An engine is fosite, set up with every field we depend on. It holds no key and
// no state; what belongs to one request travels in its context as a *work.
type engine struct{ fosite *fosite.Fosite }

// settings are fosite's, but for what depends on the client of the request.
type settings struct {
	*fosite.Config

	p *Provider
}

// GetEnforcePKCE requires PKCE of every client that did not opt out.
func (settings) GetEnforcePKCE(ctx context.Context) bool {
	w := workFrom(ctx)
	return w.client.Public() || !w.client.InsecureNoPKCE
}

// GetRefreshTokenScopes are the scopes without one of which there is no refresh
// token; none where the registration for the grant is enough.
func (s settings) GetRefreshTokenScopes(ctx context.Context) []string {
	if s.p.byRegistration(workFrom(ctx).client) {
		return nil
	}
	return []string{"offline_access"}
}

// GetEnforcePKCEForPublicClients is true whatever else is said.
func (settings) GetEnforcePKCEForPublicClients(context.Context) bool { return true }

func newEngine(p *Provider) *engine {
	secret := p.cfg.Vault.Subkey("fosite")
	s := settings{p: p, Config: &fosite.Config{
		GlobalSecret:                   secret[:],
		AccessTokenIssuer:              p.cfg.Issuer,
		IDTokenIssuer:                  p.cfg.Issuer,
		TokenURL:                       p.cfg.Issuer + "/oauth2/token",
		AccessTokenLifespan:            p.cfg.Lifetimes.Access,
		RefreshTokenLifespan:           p.cfg.Lifetimes.Refresh,
		AuthorizeCodeLifespan:          p.cfg.Lifetimes.Code,
		IDTokenLifespan:                p.cfg.Lifetimes.IDToken,
		EnforcePKCE:                    true,
		EnforcePKCEForPublicClients:    true,
		EnablePKCEPlainChallengeMethod: false,
		OmitRedirectScopeParam:         true,
		ScopeStrategy:                  fosite.ExactScopeStrategy,
		AudienceMatchingStrategy:       fosite.ExactAudienceMatchingStrategy,
		ClientSecretsHasher:            noHasher{},
		RedirectSecureChecker:          alreadyChecked,
		ClientAuthenticationStrategy:   alreadyAuthenticated,
		SendDebugMessagesToClients:     false,
	}}
	a, t := adapter{p}, strategies{p}
	code := &foauth2.AuthorizeExplicitGrantHandler{
		AccessTokenStrategy: t, RefreshTokenStrategy: t, AuthorizeCodeStrategy: t, CoreStorage: a, TokenRevocationStorage: a, Config: s,
	}
	proof := &pkce.Handler{AuthorizeCodeStrategy: t, Storage: a, Config: s}
	id := &openid.IDTokenHandleHelper{IDTokenStrategy: t}
	s.AuthorizeEndpointHandlers = fosite.AuthorizeEndpointHandlers{code, proof}
	s.TokenEndpointHandlers = fosite.TokenEndpointHandlers{grantRouter{
		GrantCode: {
			code, proof,
			link{handle: p.requireStanding},
			&openid.OpenIDConnectExplicitHandler{OpenIDConnectRequestStorage: a, Config: s, IDTokenHandleHelper: id},
			link{populate: p.redeem},
		},
		GrantRefresh: {
			&foauth2.RefreshTokenGrantHandler{AccessTokenStrategy: t, RefreshTokenStrategy: t, TokenRevocationStorage: a, Config: s},
			link{handle: p.narrow},
			&openid.OpenIDConnectRefreshHandler{Config: s, IDTokenHandleHelper: id},
			link{populate: p.rotate},
		},
		GrantDevice:    p.deviceChain(),
		GrantExchange:  p.exchangeChain(),
		GrantJWTBearer: p.bearerChain(),
		GrantClientCredentials: {
			link{handle: p.grantToClient},
			&foauth2.ClientCredentialsGrantHandler{
				HandleHelper: &foauth2.HandleHelper{AccessTokenStrategy: t, AccessTokenStorage: a, Config: s}, Config: s,
			},
		},
	}}
	return &engine{&fosite.Fosite{Store: a, Config: s}}
}

// The chains of grants that need no link of fosite's.

func (p *Provider) deviceChain() []fosite.TokenEndpointHandler {
	return []fosite.TokenEndpointHandler{
		link{handle: p.pollDevice}, link{handle: p.requireStanding}, link{populate: p.issue}, link{populate: p.redeem},
	}
}

func (p *Provider) exchangeChain() []fosite.TokenEndpointHandler {
	return []fosite.TokenEndpointHandler{link{handle: p.exchangeToken}, link{populate: p.issueAccess}, link{populate: p.recordExchange}}
}

func (p *Provider) bearerChain() []fosite.TokenEndpointHandler {
	return []fosite.TokenEndpointHandler{link{handle: p.acceptAssertion}, link{populate: p.issueAccess}, link{populate: p.spendAssertion}}
}

// A grantRouter is fosite's only token handler: one explicit chain for each
// grant, so that no shared check can be forgotten and the order can be read.
type grantRouter map[string][]fosite.TokenEndpointHandler

// CanHandleTokenEndpointRequest takes every request: an unknown grant is refused
// here, by name.
func (grantRouter) CanHandleTokenEndpointRequest(context.Context, fosite.AccessRequester) bool {
	return true
}

// CanSkipClientAuth never lets a request skip client authentication.
func (grantRouter) CanSkipClientAuth(context.Context, fosite.AccessRequester) bool { return false }

// HandleTokenEndpointRequest checks the request, link by link.
func (g grantRouter) HandleTokenEndpointRequest(ctx context.Context, r fosite.AccessRequester) error {
	for _, h := range g[workFrom(ctx).grantType] {
		if err := h.HandleTokenEndpointRequest(ctx, r); err != nil && !notMine(err) {
			return err
		}
	}
	return nil
}

// PopulateTokenEndpointResponse makes the answer, link by link; the last one
// writes what the grant wants written.
func (g grantRouter) PopulateTokenEndpointResponse(ctx context.Context, r fosite.AccessRequester, w fosite.AccessResponder) error {
	for _, h := range g[workFrom(ctx).grantType] {
		if err := h.PopulateTokenEndpointResponse(ctx, r, w); err != nil && !notMine(err) {
			return err
		}
	}
	return nil
}

// A link is one of our own steps in a chain.
type link struct {
	handle, populate func(ctx context.Context, w *work) error
}

// CanHandleTokenEndpointRequest is true: the router chose the chain.
func (link) CanHandleTokenEndpointRequest(context.Context, fosite.AccessRequester) bool { return true }

// CanSkipClientAuth is false.
func (link) CanSkipClientAuth(context.Context, fosite.AccessRequester) bool { return false }

// HandleTokenEndpointRequest runs the link's check, if it has one, and tells
// fosite's request what it decided.
func (l link) HandleTokenEndpointRequest(ctx context.Context, r fosite.AccessRequester) error {
	if l.handle == nil {
		return nil
	}
	w := workFrom(ctx)
	if err := l.handle(ctx, w); err != nil {
		return w.failed(err)
	}
	if ar, ok := r.(*fosite.AccessRequest); ok && w.scopes != nil {
		ar.RequestedScope, ar.GrantedScope = w.scopes, w.scopes
		ar.RequestedAudience, ar.GrantedAudience = w.grant.Audience, w.grant.Audience
	}
	return nil
}

// PopulateTokenEndpointResponse runs the link's effect, if it has one, and tells
// fosite's response what it made.
func (l link) PopulateTokenEndpointResponse(ctx context.Context, _ fosite.AccessRequester, r fosite.AccessResponder) error {
	if l.populate == nil {
		return nil
	}
	w := workFrom(ctx)
	if err := l.populate(ctx, w); err != nil {
		return w.failed(err)
	}
	if w.access != "" {
		r.SetAccessToken(w.access)
		r.SetTokenType("bearer")
	}
	return nil
}

// refreshes reports whether a person's grant to c, with these scopes, comes with a
// refresh token.
func (p *Provider) refreshes(c *Client, scopes []string) bool {
	return c.May(GrantRefresh) && (p.byRegistration(c) || slices.Contains(scopes, "offline_access"))
}

// byRegistration reports whether c gets refresh tokens for being registered for
// them; without offline_access they live no longer than the person's session.
func (p *Provider) byRegistration(c *Client) bool {
	switch or(c.Refresh, p.cfg.Refresh) {
	case RefreshRegistered:
		return true
	case RefreshOffline:
		return false
	default:
		return c.FirstParty || c.Type == Native
	}
}

// accessTTL is how long an access token of c lives.
func (p *Provider) accessTTL(c *Client) time.Duration {
	if c.AccessTokenTTL > 0 {
		return time.Duration(c.AccessTokenTTL) * time.Second
	}
	return p.cfg.Lifetimes.Access
}

// refreshTTL is how long a grant of c lives.
func (p *Provider) refreshTTL(c *Client) time.Duration {
	if c.RefreshTokenTTL > 0 {
		return time.Duration(c.RefreshTokenTTL) * time.Second
	}
	return p.cfg.Lifetimes.Refresh
}
