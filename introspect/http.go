package introspect

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
	"github.com/gatekeeper-oidc/gatekeeper/internal/web"
	"github.com/gatekeeper-oidc/gatekeeper/oauth2"
)

// Clients authenticates the caller of a back-channel endpoint; oauth2.Provider does.
type Clients interface {
	AuthenticateClient(r *http.Request, form url.Values) (oauth2.Client, error)
	IntrospectionFor(ctx context.Context, c *oauth2.Client, answer any) (token string, err error)
}

var _ Clients = (*oauth2.Provider)(nil)

// Handler mounts POST /oauth2/introspect.
type Handler struct {
	Clients   Clients
	Inspector *Inspector
}

// Routes mounts the endpoint on m. No browser origin may read its answers: a
// caller keeps a secret, and a page cannot.
func (h *Handler) Routes(m *web.Mux) {
	m.OAuth("POST /oauth2/introspect", h.introspect, nil)
}

// introspect answers RFC 7662 section 2.1. token_type_hint is read and not
// needed: the form of a token says what it is.
func (h *Handler) introspect(w http.ResponseWriter, r *http.Request) error {
	form, err := web.Form(w, r, web.MaxForm)
	if err != nil {
		return fmt.Errorf("read introspection form: %w", err)
	}
	caller, err := h.caller(r, form)
	if err != nil {
		return err
	}
	if form.Get("token") == "" {
		return &fault.Error{Kind: fault.Invalid, Code: "invalid_request", Rule: "token_present", Detail: "The parameter token is required."}
	}
	a, err := h.Inspector.Inspect(r.Context(), "http", caller, form.Get("token"))
	if err != nil {
		return err
	}
	if !wantsJWT(r) {
		return web.JSON(w, http.StatusOK, a)
	}
	token, err := h.Clients.IntrospectionFor(r.Context(), &caller, a)
	if err != nil {
		return fmt.Errorf("sign an introspection answer: %w", err)
	}
	return web.JWT(w, jwtType, token)
}

// jwtType is a signed answer's media type (RFC 9701 section 4).
const jwtType = "application/token-introspection+jwt"

// wantsJWT reports whether the caller asked for a signed answer.
func wantsJWT(r *http.Request) bool {
	for _, accept := range r.Header.Values("Accept") {
		for one := range strings.SplitSeq(accept, ",") {
			media, _, _ := strings.Cut(one, ";")
			if strings.EqualFold(strings.TrimSpace(media), jwtType) {
				return true
			}
		}
	}
	return false
}

// caller authenticates who asks. A public client proves nothing by its name, so
// it is refused: anybody could ask in it (RFC 7662 section 2.1).
func (h *Handler) caller(r *http.Request, form url.Values) (oauth2.Client, error) {
	c, err := h.Clients.AuthenticateClient(r, form)
	if err != nil {
		return oauth2.Client{}, fmt.Errorf("introspection caller: %w", err)
	}
	if c.Public() {
		return oauth2.Client{}, &fault.Error{
			Kind: fault.Unauthenticated, Code: "invalid_client", Rule: "introspection_authenticated",
			Detail: "Introspection is for clients that authenticate.", Facts: []fault.Fact{{Name: "client_id", Value: c.ID}},
		}
	}
	return c, nil
}
