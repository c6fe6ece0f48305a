package oauth2

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/gatekeeper-oidc/gatekeeper/audit"
	"github.com/gatekeeper-oidc/gatekeeper/internal/web"
)

// revoke serves POST /oauth2/revoke (RFC 7009). A token nobody knows is revoked
// already; somebody else's is left alone and refused (section 2.1). A refresh token
// of an earlier generation ends its grant too: its holder may never have received
// the successor.
func (h *Handler) revoke(w http.ResponseWriter, r *http.Request) error {
	form, err := web.Form(w, r, web.MaxForm)
	if err != nil {
		return err
	}
	p := h.Provider
	c, err := p.AuthenticateClient(r, form)
	if err != nil {
		return err
	}
	token := form.Get("token")
	if token == "" {
		return ruled("parameters_present", invalid("invalid_request", "The parameter token is missing."))
	}
	t, err := p.Issued(r.Context(), token)
	if errors.Is(err, ErrInactive) {
		w.Header().Set("Cache-Control", "no-store")
		w.WriteHeader(http.StatusOK)
		return nil
	}
	if err != nil {
		return err
	}
	if t.ClientID != c.ID {
		return ruled("token_owner", invalid("invalid_request", "The token belongs to another client.")).With("client_id", c.ID)
	}
	if _, err := p.Revoke(r.Context(), t, "client:"+c.ID); err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusOK)
	return nil
}

// Revoke ends a token this server made, as Issued returns it, for actor: a refresh
// token, of whatever generation, with its whole grant, an access token alone. It
// reports whether that changed anything: a grant may be gone already. This is the one
// rule, for applications and operators alike.
func (p *Provider) Revoke(ctx context.Context, t Token, actor string) (done bool, err error) {
	e := audit.Event{
		Kind: audit.TokenRevoked, Actor: actor, ClientID: t.ClientID, Session: t.Session, Grant: t.Grant,
		Detail: map[string]string{"scope": strings.Join(t.Scopes, " "), "token": t.Kind},
	}
	if t.Subject != t.ClientID { // a client's own token is nobody's
		e.Subject = t.Subject
	}
	if t.Kind == "refresh" {
		e.Kind = audit.GrantRevoked
		if done, err = p.cfg.Store.RevokeGrant(ctx, t.Grant, p.cfg.Trail.Fill(ctx, e)); err != nil {
			return false, fmt.Errorf("revoke grant: %w", err)
		}
		p.Forget("grant:" + t.Grant)
		return done, nil
	}
	e.Detail["jti"] = t.JTI
	if err := p.cfg.Store.RevokeToken(ctx, t.JTI, t.ExpiresAt.Add(2*leeway), p.cfg.Trail.Fill(ctx, e)); err != nil {
		return false, fmt.Errorf("revoke access token: %w", err)
	}
	p.Forget("token:" + t.JTI)
	return true, nil
}
