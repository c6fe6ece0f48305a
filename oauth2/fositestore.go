package oauth2

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"time"

	"github.com/ory/fosite"
	foauth2 "github.com/ory/fosite/handler/oauth2"
	"github.com/ory/fosite/handler/openid"
	"github.com/ory/fosite/handler/pkce"

	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
)

// An adapter is fosite's storage. It reads what a request needs into its work
// and writes nothing: the last link of each chain writes it all in one statement,
// after everything that can fail has succeeded.
type adapter struct{ p *Provider }

// A missing storage interface is silent in fosite, so each is asserted.
var (
	_ fosite.Storage                     = adapter{}
	_ foauth2.CoreStorage                = adapter{}
	_ foauth2.TokenRevocationStorage     = adapter{}
	_ openid.OpenIDConnectRequestStorage = adapter{}
	_ pkce.PKCERequestStorage            = adapter{}
)

// fositeClient shows a client to fosite, with exactly one redirect URI.
type fositeClient struct{ w *work }

// GetID returns the client's id.
func (c fositeClient) GetID() string { return c.w.client.ID }

// GetHashedSecret returns nothing: fosite never authenticates a client.
func (c fositeClient) GetHashedSecret() []byte { return nil }

// GetRedirectURIs returns the one redirect URI this request was found to be
// allowed, so that fosite's own, laxer matching has nothing to choose from.
func (c fositeClient) GetRedirectURIs() []string { return []string{c.w.redirect} }

// GetGrantTypes returns the registered grants.
func (c fositeClient) GetGrantTypes() fosite.Arguments { return c.w.client.Grants }

// GetResponseTypes returns the one response type there is.
func (c fositeClient) GetResponseTypes() fosite.Arguments { return fosite.Arguments{"code"} }

// GetScopes returns the registered scopes, and those of a grant made before the
// registration shrank.
func (c fositeClient) GetScopes() fosite.Arguments {
	return slices.Concat(c.w.client.Scopes, c.w.grant.Scopes)
}

// IsPublic reports whether the client can keep no secret.
func (c fositeClient) IsPublic() bool { return c.w.client.Public() }

// GetAudience returns what was found to be allowed for this request.
func (c fositeClient) GetAudience() fosite.Arguments { return c.w.grant.Audience }

// owner is the client a code or grant belongs to, of which fosite compares the id.
type owner struct {
	fositeClient
	id string
}

// GetID returns the owner's id.
func (o owner) GetID() string { return o.id }

// GetClient returns the client of the request.
func (adapter) GetClient(ctx context.Context, id string) (fosite.Client, error) {
	w := workFrom(ctx)
	if w.client.ID != id {
		return nil, fosite.ErrNotFound
	}
	return fositeClient{w}, nil
}

// ClientAssertionJWTValid is not asked: client assertions are ours.
func (adapter) ClientAssertionJWTValid(context.Context, string) error { return fosite.ErrJTIKnown }

// SetClientAssertionJWT is not asked.
func (adapter) SetClientAssertionJWT(context.Context, string, time.Time) error {
	return fosite.ErrJTIKnown
}

// CreateAuthorizeCodeSession writes nothing: the code carries itself.
func (adapter) CreateAuthorizeCodeSession(context.Context, string, fosite.Requester) error {
	return nil
}

// GetAuthorizeCodeSession opens the code. fosite then checks its client, its
// redirect URI and its expiry, in that order, before anything counts as replay.
func (a adapter) GetAuthorizeCodeSession(ctx context.Context, code string, _ fosite.Session) (fosite.Requester, error) {
	w := workFrom(ctx)
	if w.code == nil {
		c, err := a.p.openCode(code)
		if err != nil {
			w.err = invalidGrant("code_ours", "The authorization code is not one of this server.")
			return nil, fosite.ErrNotFound
		}
		w.code, w.grant = &c, c.grant()
		w.whole, w.reusable, w.scopes = w.grant, time.Unix(c.Expires, 0), w.grant.Scopes
		w.expires[fosite.AuthorizeCode] = w.reusable
	}
	r := w.requester()
	r.Form.Set("redirect_uri", "the one of the authorization request")
	sum := sha256.Sum256([]byte(w.form.Get("redirect_uri")))
	if subtle.ConstantTimeCompare(sum[:], w.code.Redirect) == 1 {
		r.Form.Set("redirect_uri", w.form.Get("redirect_uri"))
	}
	return r, nil
}

// requester is the grant as fosite sees it.
func (w *work) requester() *fosite.Request {
	return &fosite.Request{
		ID: w.grant.ID, Client: owner{fositeClient{w}, w.grant.ClientID}, Form: url.Values{}, Session: w,
		RequestedScope: w.scopes, GrantedScope: w.scopes, RequestedAudience: w.grant.Audience, GrantedAudience: w.grant.Audience,
	}
}

// InvalidateAuthorizeCodeSession writes nothing: inserting the grant does it.
func (adapter) InvalidateAuthorizeCodeSession(context.Context, string) error { return nil }

// CreatePKCERequestSession writes nothing: the code carries the challenge.
func (adapter) CreatePKCERequestSession(context.Context, string, fosite.Requester) error { return nil }

// GetPKCERequestSession returns the challenge the code carries.
func (a adapter) GetPKCERequestSession(ctx context.Context, _ string, _ fosite.Session) (fosite.Requester, error) {
	w := workFrom(ctx)
	if w.code == nil || w.code.Challenge == "" {
		return nil, fosite.ErrNotFound
	}
	r := w.requester()
	r.Form.Set("code_challenge", w.code.Challenge)
	r.Form.Set("code_challenge_method", "S256")
	return r, nil
}

// DeletePKCERequestSession does nothing, on purpose: fosite calls it before it
// has looked at the verifier, and a challenge deleted then lets the next attempt
// pass without one.
func (adapter) DeletePKCERequestSession(context.Context, string) error { return nil }

// CreateOpenIDConnectSession writes nothing.
func (adapter) CreateOpenIDConnectSession(context.Context, string, fosite.Requester) error {
	return nil
}

// GetOpenIDConnectSession returns the grant if it is an OpenID Connect one.
func (adapter) GetOpenIDConnectSession(ctx context.Context, _ string, _ fosite.Requester) (fosite.Requester, error) {
	w := workFrom(ctx)
	if !w.grant.has("openid") {
		return nil, openid.ErrNoSessionFound
	}
	return w.requester(), nil
}

// DeleteOpenIDConnectSession does nothing.
func (adapter) DeleteOpenIDConnectSession(context.Context, string) error { return nil }

// CreateAccessTokenSession writes nothing: access tokens are not stored.
func (adapter) CreateAccessTokenSession(context.Context, string, fosite.Requester) error { return nil }

// GetAccessTokenSession is not asked: Inspect answers for access tokens.
func (adapter) GetAccessTokenSession(context.Context, string, fosite.Session) (fosite.Requester, error) {
	return nil, fosite.ErrNotFound
}

// DeleteAccessTokenSession does nothing.
func (adapter) DeleteAccessTokenSession(context.Context, string) error { return nil }

// CreateRefreshTokenSession writes nothing: the last link writes the generation.
func (adapter) CreateRefreshTokenSession(context.Context, string, string, fosite.Requester) error {
	return nil
}

// GetRefreshTokenSession reads the grant of a refresh token with everything its
// liveness depends on, in one round trip. It never reports reuse to fosite, which
// would revoke before it has compared the client; see Provider.rotate.
func (a adapter) GetRefreshTokenSession(ctx context.Context, signature string, _ fosite.Session) (fosite.Requester, error) {
	w := workFrom(ctx)
	if signature == "" {
		w.err = invalidGrant("refresh_token_ours", "The refresh token is not one of this server.")
		return nil, fosite.ErrNotFound
	}
	g, state, standing, err := a.p.cfg.Store.GrantWithStanding(ctx, w.rt.grant.String())
	if fault.Is(err, fault.NotFound) {
		w.err = invalidGrant("grant_known", "The refresh token's grant is gone.")
		return nil, fosite.ErrNotFound
	}
	if err != nil {
		return nil, w.failed(fmt.Errorf("read grant: %w", err))
	}
	w.grant, w.state, w.scopes = g, state, g.Scopes
	if err := a.p.usable(w, standing); err != nil {
		w.err = err
		return nil, fosite.ErrNotFound
	}
	w.user = &standing.User
	w.expires[fosite.RefreshToken] = state.ExpiresAt
	return w.requester(), nil
}

// DeleteRefreshTokenSession does nothing.
func (adapter) DeleteRefreshTokenSession(context.Context, string) error { return nil }

// RotateRefreshToken does nothing: the last link rotates.
func (adapter) RotateRefreshToken(context.Context, string, string) error { return nil }

// RevokeRefreshToken is reached only if fosite decides to revoke by itself,
// which it is never given a reason to.
func (adapter) RevokeRefreshToken(context.Context, string) error { return errNotOurs }

// RevokeAccessToken is as RevokeRefreshToken.
func (adapter) RevokeAccessToken(context.Context, string) error { return errNotOurs }

var errNotOurs = errors.New("oauth2: revocation is decided by Provider")

func invalidGrant(rule, detail string) *fault.Error {
	return &fault.Error{Kind: fault.Invalid, Code: "invalid_grant", Detail: detail, Rule: rule}
}
