package login

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/gatekeeper-oidc/gatekeeper/identity"
	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
)

// Cookie is the name of the session cookie, as web.Mux.SetCookie takes it. Its
// value is 256 random bits and means nothing by itself.
const Cookie = "gk_session"

// DeviceCookie is the name of the cookie by which a browser is known to those who
// signed in with it: see identity.Service.Device.
const DeviceCookie = "gk_device"

const keepDevice = 365 * 24 * time.Hour

// A Resumer finds the session of a cookie's value; identity.Service is one.
type Resumer interface {
	Resume(ctx context.Context, token string) (identity.Session, identity.User, error)
}

// Session returns the hook of web.Config that puts the signed-in session into the
// context of a page request. A request without a live session is nobody's; only a
// store that does not answer is an error. What the browser says of those who know
// it comes with it.
func Session(people Resumer, cookie func(r *http.Request, name string) string) func(http.ResponseWriter, *http.Request) (context.Context, error) {
	return func(_ http.ResponseWriter, r *http.Request) (context.Context, error) {
		ctx := r.Context()
		if r.Method == http.MethodPost { // passwords are sent by no other
			ctx = identity.WithDevice(ctx, cookie(r, DeviceCookie))
		}
		token := cookie(r, Cookie)
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
