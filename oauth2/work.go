package oauth2

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/ory/fosite"
	foauth2 "github.com/ory/fosite/handler/oauth2"
	"github.com/ory/fosite/handler/openid"
	fjwt "github.com/ory/fosite/token/jwt"

	"github.com/gatekeeper-oidc/gatekeeper/identity"
	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
)

// A work is everything one request does inside fosite: what came in, what was
// found out, and what is to be written once nothing can fail any more. It is
// fosite's session too, the only one it ever sees.
type work struct {
	client    *Client
	form      url.Values
	grantType string
	redirect  string // the one redirect URI fosite may see

	code   *sealedCode
	rt     refreshToken // as presented; zero without one
	state  RefreshState
	grant  Grant
	scopes []string // of this token: the grant's, or fewer

	asserted *asserting
	exchange *exchanging
	actor    *Actor // of this token: who acts with it (RFC 8693)

	whole    Grant     // as it was authorized: what redeeming writes, though this token may be for less
	reusable time.Time // until when what was redeemed could come again

	user *identity.User
	req  AuthorizeRequest // at the authorization endpoint

	access     string
	accessEnds time.Time
	refresh    string
	first      refreshToken // of a grant that begins
	id         string

	expires map[fosite.TokenType]time.Time
	claims  fjwt.IDTokenClaims
	headers fjwt.Headers
	err     error // ours, which fosite would otherwise hide under server_error
}

type workKey struct{}

func newWork(c *Client, form url.Values) *work {
	return &work{client: c, form: form, expires: map[fosite.TokenType]time.Time{}}
}

func withWork(ctx context.Context, w *work) context.Context {
	return context.WithValue(ctx, workKey{}, w)
}

// workFrom returns the work of ctx. There always is one: every way into fosite
// goes through Provider, which puts it there.
func workFrom(ctx context.Context) *work {
	w, _ := ctx.Value(workKey{}).(*work)
	if w == nil {
		return newWork(&Client{AuthMethod: AuthNone}, nil)
	}
	return w
}

// failed keeps our own error and returns one that ends fosite's chain.
func (w *work) failed(err error) error {
	if w.err == nil {
		w.err = err
	}
	return fosite.ErrServerError.WithWrap(err)
}

// outcome returns what to answer when fosite returned err: our own error where
// we had one, else the protocol error nearest to the cause (fosite wraps those
// of its handlers into server_error).
func (w *work) outcome(err error) error {
	if err == nil {
		return nil
	}
	if w.err != nil {
		return w.err
	}
	for e := err; e != nil; e = errors.Unwrap(e) {
		var rfc *fosite.RFC6749Error
		if !errors.As(e, &rfc) {
			break
		}
		if rfc.ErrorField != fosite.ErrServerError.ErrorField {
			return protocolFault(rfc)
		}
		e = rfc
	}
	return &fault.Error{Kind: fault.Internal, Code: "server_error", Detail: "The request could not be completed.", Err: err}
}

func protocolFault(e *fosite.RFC6749Error) *fault.Error {
	f := &fault.Error{Kind: fault.Invalid, Code: e.ErrorField, Detail: e.HintField, Rule: "grant_engine", Err: e}
	if f.Detail == "" {
		f.Detail = e.DescriptionField
	}
	if e.ErrorField == fosite.ErrInvalidClient.ErrorField {
		f.Kind = fault.Unauthenticated
	}
	return f
}

// request makes the clean HTTP request fosite reads: these parameters and no
// other, no header, no body.
func request(params url.Values) *http.Request {
	return &http.Request{Method: http.MethodPost, URL: &url.URL{}, Header: http.Header{}, Form: params, PostForm: params, Body: http.NoBody}
}

// The methods below make a work fosite's session.
var (
	_ openid.Session                    = (*work)(nil)
	_ foauth2.CoreStrategy              = strategies{}
	_ openid.OpenIDConnectTokenStrategy = strategies{}
)

// SetExpiresAt keeps what fosite computed; our tokens carry their own times.
func (w *work) SetExpiresAt(k fosite.TokenType, at time.Time) { w.expires[k] = at }

// GetExpiresAt returns what SetExpiresAt kept.
func (w *work) GetExpiresAt(k fosite.TokenType) time.Time { return w.expires[k] }

// GetUsername returns nothing: no name travels through fosite.
func (w *work) GetUsername() string { return "" }

// GetSubject returns the user's id.
func (w *work) GetSubject() string { return w.grant.Subject }

// Clone returns the same work: one request, one session.
func (w *work) Clone() fosite.Session { return w }

// IDTokenClaims returns the claims fosite looks at; ours are made in mintID.
func (w *work) IDTokenClaims() *fjwt.IDTokenClaims {
	w.claims.Subject = w.grant.Subject
	return &w.claims
}

// IDTokenHeaders returns headers nobody sends.
func (w *work) IDTokenHeaders() *fjwt.Headers { return &w.headers }
