package oauth2

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/google/uuid"
	"github.com/ory/fosite"
)

// strategies are fosite's token strategies. They make our tokens, in our formats,
// with our keys; fosite decides when.
type strategies struct{ p *Provider }

// AuthorizeCodeSignature returns the code: it is its own key.
func (strategies) AuthorizeCodeSignature(_ context.Context, code string) string { return code }

// GenerateAuthorizeCode seals the grant of this request.
func (s strategies) GenerateAuthorizeCode(ctx context.Context, _ fosite.Requester) (code, signature string, err error) {
	w := workFrom(ctx)
	code, err = s.p.sealCode(w.grant, w.req)
	return code, code, err
}

// ValidateAuthorizeCode compares the expiry the code carries.
func (s strategies) ValidateAuthorizeCode(ctx context.Context, _ fosite.Requester, _ string) error {
	w := workFrom(ctx)
	if w.code == nil || !s.p.cfg.Now().Before(time.Unix(w.code.Expires, 0)) {
		if w.code == nil || w.code.Client == w.client.ID {
			w.err = invalidGrant("code_fresh", "The authorization code has expired.")
		}
		return fosite.ErrTokenExpired
	}
	return nil
}

// AccessTokenSignature returns the token: nothing is stored under it.
func (strategies) AccessTokenSignature(_ context.Context, token string) string { return token }

// GenerateAccessToken mints the access token of this request.
func (s strategies) GenerateAccessToken(ctx context.Context, _ fosite.Requester) (token, signature string, err error) {
	w := workFrom(ctx)
	g := w.grant
	g.Scopes = w.scopes
	claims, err := s.p.accessFor(ctx, w.client, g, w.user)
	if err != nil {
		return "", "", w.failed(err)
	}
	claims.Actor = w.actor
	if w.exchange != nil {
		claims.Registration = w.client.Registration
	}
	if w.access, err = s.p.mint(ctx, w.client, claims); err != nil {
		return "", "", w.failed(err)
	}
	w.accessEnds = time.Unix(claims.Expires, 0)
	return w.access, w.access, nil
}

// ValidateAccessToken is not asked: Inspect answers for access tokens.
func (strategies) ValidateAccessToken(context.Context, fosite.Requester, string) error {
	return errors.New("oauth2: access tokens are inspected, not validated")
}

// RefreshTokenSignature returns a key for a token this server made and "" for any
// other, so that garbage never reaches the store.
func (s strategies) RefreshTokenSignature(ctx context.Context, token string) string {
	t, ok := s.p.readRefresh(token)
	if !ok {
		return ""
	}
	workFrom(ctx).rt = t
	return token
}

// GenerateRefreshToken makes the first refresh token of a grant, or the one
// successor of the token presented.
func (s strategies) GenerateRefreshToken(ctx context.Context, _ fosite.Requester) (token, signature string, err error) {
	w := workFrom(ctx)
	next := w.rt.next()
	if w.grantType != GrantRefresh {
		id, err := uuid.Parse(w.grant.ID)
		if err != nil {
			return "", "", w.failed(err)
		}
		next = newRefreshToken(id)
		if before, ok := s.p.unanswered.GetIfPresent(w.grant.ID); ok && before.first.generation > 0 {
			next = before.first
		}
		w.first = next
		w.grant.SecretHash = next.secretHash()
	}
	w.refresh = s.p.writeRefresh(next)
	return w.refresh, w.refresh, nil
}

// ValidateRefreshToken is satisfied: usable has looked at everything.
func (strategies) ValidateRefreshToken(context.Context, fosite.Requester, string) error { return nil }

// GenerateIDToken mints the ID token of this request.
func (s strategies) GenerateIDToken(ctx context.Context, _ time.Duration, _ fosite.Requester) (string, error) {
	w := workFrom(ctx)
	g := w.grant
	if w.grantType == GrantRefresh {
		g.Nonce = "" // OpenID Connect Core section 12.2
	}
	var err error
	if w.id, err = s.p.mintID(ctx, idToken{client: w.client, grant: g, user: w.user, access: w.access}); err != nil {
		return "", w.failed(err)
	}
	return w.id, nil
}

// noHasher stands where fosite would hash client secrets.
type noHasher struct{}

// Compare refuses.
func (noHasher) Compare(context.Context, []byte, []byte) error { return fosite.ErrInvalidClient }

// Hash refuses.
func (noHasher) Hash(context.Context, []byte) ([]byte, error) { return nil, fosite.ErrInvalidClient }

// alreadyAuthenticated hands fosite the client AuthenticateClient has found.
func alreadyAuthenticated(ctx context.Context, _ *http.Request, _ url.Values) (fosite.Client, error) {
	return fositeClient{workFrom(ctx)}, nil
}

// alreadyChecked is true: redirect URIs are checked at registration and, byte
// for byte, by redirectRegistered.
func alreadyChecked(context.Context, *url.URL) bool { return true }
