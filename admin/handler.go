package admin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/gatekeeper-oidc/gatekeeper/identity"
	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
	"github.com/gatekeeper-oidc/gatekeeper/internal/web"
	"github.com/gatekeeper-oidc/gatekeeper/oauth2"
)

// base is where the API lives, below the issuer or the management listener.
const base = "/admin/v1"

// Tokens tells whether a token is alive; oauth2.Provider does.
type Tokens interface {
	Inspect(ctx context.Context, token string) (oauth2.Token, error)
}

var _ Tokens = (*oauth2.Provider)(nil)

// Handler mounts the API under /admin/v1. Issuer, API and Tokens are required.
type Handler struct {
	Issuer string
	API    API
	Tokens Tokens
}

// Routes mounts every route of the table, and the document that describes them.
// A route without a scope would be open to everybody, so there is none.
func (h *Handler) Routes(m *web.Mux) {
	table := routes(h.API)
	for _, rt := range table {
		m.API(rt.method+" "+base+rt.path, h.serve(rt))
	}
	document := openAPI(h.Issuer, table)
	m.API("GET "+base+"/openapi.json", func(w http.ResponseWriter, _ *http.Request) error {
		return web.JSON(w, http.StatusOK, document)
	})
}

// serve is the road of one route: who asks, may they, what do they say, the work.
func (h *Handler) serve(rt route) web.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		ctx, err := h.authorize(r, rt)
		if err != nil {
			return err
		}
		query, err := queryOf(r, rt)
		if err != nil {
			return err
		}
		if err := noPrecondition(r, rt); err != nil {
			return err
		}
		if rt.in == nil {
			if err := nothing(w, r); err != nil {
				return err
			}
		}
		out, err := rt.serve(request{r.WithContext(ctx), query}, func(into any) error { return decode(w, r, into) })
		if err != nil {
			return err
		}
		if rt.status == http.StatusNoContent {
			w.Header().Set("Cache-Control", "no-store")
			w.WriteHeader(rt.status)
			return nil
		}
		if t := tagOf(out); t != "" {
			w.Header().Set("ETag", t)
		}
		return web.JSON(w, rt.status, out)
	}
}

// authorize holds the request to the scopes of its route and returns its context
// with the actor in it.
func (h *Handler) authorize(r *http.Request, rt route) (context.Context, error) {
	raw, err := bearer(r)
	if err != nil {
		return nil, err
	}
	t, err := h.Tokens.Inspect(r.Context(), raw)
	if errors.Is(err, oauth2.ErrInactive) {
		return nil, unauthenticated("token_alive", "The access token is not valid.")
	}
	if err != nil {
		return nil, fmt.Errorf("inspect admin token: %w", err)
	}
	facts := []fault.Fact{{Name: "client_id", Value: t.ClientID}, {Name: "scope", Value: strings.Join(t.Scopes, " ")}}
	switch {
	case t.Kind != "access":
		return nil, unauthenticated("access_token_kind", "A refresh token is not an access token.")
	case !slices.Contains(t.Audience, h.Issuer) && !slices.Contains(t.Audience, h.Issuer+base):
		err := unauthenticated("admin_audience", "The access token is for another service; ask for the resource "+h.Issuer+base+".")
		err.Facts = append(facts, fault.Fact{Name: "aud", Value: strings.Join(t.Audience, " ")})
		return nil, err
	case !slices.ContainsFunc(rt.scopes, func(s string) bool { return slices.Contains(t.Scopes, s) }):
		return nil, &fault.Error{
			Kind: fault.Forbidden, Code: "insufficient_scope", Rule: "admin_scope",
			Detail: "The access token needs one of the scopes " + strings.Join(rt.scopes, ", ") + ".", Facts: facts,
		}
	case t.User != nil && !slices.Contains(t.User.Roles, identity.RoleAdmin):
		return nil, &fault.Error{
			Kind: fault.Forbidden, Code: "not_an_administrator", Rule: "admin_role",
			Detail: "The person behind the access token does not have the role admin.", Facts: facts,
		}
	}
	name := "client:" + t.ClientID
	if t.User != nil {
		name = identity.Actor(t.User.ID)
	}
	return newBoundContext(r.Context(), name, t.Scopes), nil
}

func bearer(r *http.Request) (string, error) {
	values := r.Header.Values("Authorization")
	if len(values) == 0 {
		return "", unauthenticated("token_present", "An access token is required.")
	}
	scheme, token, _ := strings.Cut(values[0], " ")
	if len(values) > 1 || !strings.EqualFold(scheme, "Bearer") || token == "" || strings.ContainsAny(token, " ,") {
		return "", invalid("authorization_header", "Send one Authorization header: Bearer and the access token.")
	}
	return token, nil
}

func unauthenticated(rule, detail string) *fault.Error {
	return &fault.Error{Kind: fault.Unauthenticated, Code: "invalid_token", Rule: rule, Detail: detail}
}
