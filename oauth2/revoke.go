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
	t, err := p.issued(r.Context(), token)
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
	if err := p.Revoke(r.Context(), t, "client:"+c.ID); err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusOK)
	return nil
}

// Revoke ends a live token for actor: a refresh token with its whole grant, an
// access token alone.
func (p *Provider) Revoke(ctx context.Context, t Token, actor string) error {
	e := p.cfg.Trail.Fill(ctx, audit.Event{
		Kind: audit.TokenRevoked, Actor: actor, Subject: t.Subject, ClientID: t.ClientID, Session: t.Session, Grant: t.Grant,
		Detail: map[string]string{"scope": strings.Join(t.Scopes, " ")},
	})
	if t.Kind == "refresh" {
		e.Kind = audit.GrantRevoked
		if _, err := p.cfg.Store.RevokeGrant(ctx, t.Grant, e); err != nil {
			return fmt.Errorf("revoke grant: %w", err)
		}
		p.Forget("grant:" + t.Grant)
		return nil
	}
	if err := p.cfg.Store.RevokeToken(ctx, t.JTI, t.ExpiresAt.Add(2*leeway), e); err != nil {
		return fmt.Errorf("revoke access token: %w", err)
	}
	p.Forget("token:" + t.JTI)
	return nil
}
