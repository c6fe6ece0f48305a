package oidc

import (
	"errors"
	"fmt"
	"mime"
	"net/http"
	"slices"
	"strings"

	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
	"github.com/gatekeeper-oidc/gatekeeper/internal/web"
	"github.com/gatekeeper-oidc/gatekeeper/oauth2"
)

// userinfo says who the person behind an access token is (OpenID Connect Core
// section 5.3).
func (h *Handler) userinfo(w http.ResponseWriter, r *http.Request) error {
	raw, err := bearer(w, r)
	if err != nil {
		return err
	}
	t, err := h.cfg.Provider.Inspect(r.Context(), raw)
	if errors.Is(err, oauth2.ErrInactive) {
		return refusedToken("token_alive", "The access token is not valid.")
	}
	if err != nil {
		return fmt.Errorf("inspect token for userinfo: %w", err)
	}
	if err := mayReadUserinfo(t, h.cfg.Issuer); err != nil {
		return err
	}
	claims := ClaimTable{}.Claims(t.User, t.Scopes, t.Claims.Userinfo)
	claims["sub"] = t.Sub
	c, err := h.cfg.Provider.Client(r.Context(), t.ClientID)
	if err != nil {
		return fmt.Errorf("client %s of userinfo: %w", t.ClientID, err)
	}
	token, secured, err := h.cfg.Provider.UserinfoFor(r.Context(), &c, claims)
	if err != nil {
		return fmt.Errorf("userinfo for client %s: %w", c.ID, err)
	}
	if secured {
		return web.JWT(w, "application/jwt", token)
	}
	return web.JSON(w, http.StatusOK, claims)
}

// mayReadUserinfo holds a live token to what userinfo asks of it.
func mayReadUserinfo(t oauth2.Token, issuer string) error {
	switch {
	case t.Kind != "access":
		return refusedToken("access_token_kind", "A refresh token is not an access token.").With("client_id", t.ClientID)
	case t.User == nil:
		return refusedToken("token_has_user", "The access token belongs to an application, not to a person.").With("client_id", t.ClientID)
	case !slices.Contains(t.Scopes, "openid"):
		return &fault.Error{
			Kind: fault.Forbidden, Code: "insufficient_scope", Rule: "scope_openid",
			Detail: "The access token lacks the scope openid.",
			Facts:  []fault.Fact{{Name: "client_id", Value: t.ClientID}, {Name: "scope", Value: strings.Join(t.Scopes, " ")}},
		}
	case !slices.Contains(t.Audience, issuer) && !slices.Contains(t.Audience, issuer+pathUserinfo):
		f := refusedToken("token_for_userinfo", "The access token is for another resource (RFC 9068 section 4).")
		return f.With("client_id", t.ClientID).With("audience", strings.Join(t.Audience, " "))
	}
	return nil
}

func refusedToken(rule, detail string) *fault.Error {
	return &fault.Error{Kind: fault.Unauthenticated, Code: "invalid_token", Rule: rule, Detail: detail}
}

// bearer returns the access token of r by the one method used: the
// Authorization header, or access_token in a form body. In the query it would
// end up in logs, so there it is refused (RFC 6750 section 2, RFC 9700 section
// 4.3.2).
func bearer(w http.ResponseWriter, r *http.Request) (string, error) {
	query, err := web.Query(r)
	if err != nil {
		return "", fmt.Errorf("read userinfo query: %w", err)
	}
	if query.Has("access_token") {
		return "", invalid("token_not_in_query", "An access token never goes into the query.")
	}
	header, err := authorization(r)
	if err != nil {
		return "", err
	}
	body, err := formToken(w, r)
	switch {
	case err != nil:
		return "", err
	case header != "" && body != "":
		return "", invalid("one_token_method", "The access token is sent in two ways; choose one.")
	case header == "" && body == "":
		return "", refusedToken("token_present", "An access token is required.")
	}
	return header + body, nil
}

func authorization(r *http.Request) (string, error) {
	values := r.Header.Values("Authorization")
	if len(values) == 0 {
		return "", nil
	}
	scheme, token, _ := strings.Cut(values[0], " ")
	if len(values) > 1 || !strings.EqualFold(scheme, "Bearer") || token == "" || strings.ContainsAny(token, " ,") {
		return "", invalid("authorization_header", "Send one Authorization header: Bearer and the access token.")
	}
	return token, nil
}

func formToken(w http.ResponseWriter, r *http.Request) (string, error) {
	if !isForm(r) {
		return "", nil // another body is not ours to read; the header may carry the token
	}
	form, err := web.Form(w, r, web.MaxForm)
	if err != nil {
		return "", fmt.Errorf("read userinfo form: %w", err)
	}
	return form.Get("access_token"), nil
}

func isForm(r *http.Request) bool {
	mt, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	return r.Method == http.MethodPost && err == nil && mt == "application/x-www-form-urlencoded"
}

func invalid(rule, detail string) *fault.Error {
	return &fault.Error{Kind: fault.Invalid, Code: "invalid_request", Rule: rule, Detail: detail}
}
