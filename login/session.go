package login

import (
	"context"
	"fmt"
	"net/http"

	"github.com/gatekeeper-oidc/gatekeeper/identity"
	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
)

// Cookie is the name of the session cookie, as web.Mux.SetCookie takes it. Its
// value is 256 random bits and means nothing by itself.
const Cookie = "gk_session"

// A Resumer finds the session of a cookie's value; identity.Service is one.
type Resumer interface {
	Resume(ctx context.Context, token string) (identity.Session, identity.User, error)
}

// Session returns the hook of web.Config that puts the signed-in session into the
// context of a page request. A request without a live session is nobody's; only a
// store that does not answer is an error.
func Session(people Resumer, cookie func(*http.Request) string) func(http.ResponseWriter, *http.Request) (context.Context, error) {
	return func(_ http.ResponseWriter, r *http.Request) (context.Context, error) {
		ctx := r.Context()
		token := cookie(r)
		if token == "" {
			return ctx, nil
		}
		s, u, err := people.Resume(ctx, token)
		switch {
		case err == nil:
			return identity.NewContext(ctx, s, u), nil
		case fault.Is(err, fault.NotFound):
			return ctx, nil
		default:
			return nil, fmt.Errorf("session of a page: %w", err)
		}
	}
}
