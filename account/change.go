package account

import (
	"fmt"
	"net/http"
	"net/url"

	"github.com/gatekeeper-oidc/gatekeeper/audit"
	"github.com/gatekeeper-oidc/gatekeeper/identity"
	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
	"github.com/gatekeeper-oidc/gatekeeper/internal/web"
	"github.com/gatekeeper-oidc/gatekeeper/login"
)

// What the page can say was done.
const (
	donePassword = "password"
	doneSession  = "session"
	doneOthers   = "others"
	doneApp      = "app"
)

// others is what a form names to end every session but this one.
const others = "others"

// endSession is POST /account/sessions/end.
func (h *Handler) endSession(w http.ResponseWriter, r *http.Request, p me) error {
	form, err := web.Form(w, r, web.MaxForm)
	if err != nil {
		return fmt.Errorf("read the form: %w", err)
	}
	ids, what := []string{form.Get("session")}, doneSession
	switch ids[0] {
	case others:
		what = doneOthers
		if ids, err = h.others(r, p); err != nil {
			return err
		}
	case "", p.session.ID: // signing out here is /oidc/logout's
		return invalid("session_named", "No other browser is named.")
	}
	if len(ids) > 0 { // to End, none means all
		if err := h.cfg.People.End(r.Context(), identity.Actor(p.user.ID), p.user.ID, audit.SessionEnded, ids...); err != nil {
			return fmt.Errorf("end sessions from the account page: %w", err)
		}
	}
	return done(w, r, what)
}

// others returns the sessions of p but the one that asks.
func (h *Handler) others(r *http.Request, p me) ([]string, error) {
	all, err := h.cfg.People.Sessions(r.Context(), p.user.ID)
	if err != nil {
		return nil, fmt.Errorf("sessions of user %s: %w", p.user.ID, err)
	}
	var ids []string
	for _, s := range all {
		if s.ID != p.session.ID {
			ids = append(ids, s.ID)
		}
	}
	return ids, nil
}

// revokeApp is POST /account/apps/revoke. Twice is as good as once.
func (h *Handler) revokeApp(w http.ResponseWriter, r *http.Request, p me) error {
	form, err := web.Form(w, r, web.MaxForm)
	if err != nil {
		return fmt.Errorf("read the form: %w", err)
	}
	client := form.Get("client")
	if client == "" {
		return invalid("client_named", "No application is named.")
	}
	err = h.cfg.Consents.Revoke(r.Context(), identity.Actor(p.user.ID), p.user.ID, client)
	if err != nil && !fault.Is(err, fault.NotFound) {
		return fmt.Errorf("revoke from the account page: %w", err)
	}
	return done(w, r, doneApp)
}

// password is POST /account/password.
func (h *Handler) password(w http.ResponseWriter, r *http.Request, p me) error {
	form, err := web.Form(w, r, web.MaxForm)
	if err != nil {
		return fmt.Errorf("read the form: %w", err)
	}
	if err = h.change(w, r, p, form); err == nil {
		return done(w, r, donePassword)
	}
	refused, status, err := login.Refuse(h.mux, w, r, err)
	if err != nil {
		return err
	}
	page, err := h.page(w, r, p, "")
	if err != nil {
		return err
	}
	page.Refused, page.Refused.Min = refused, h.cfg.MinPassword
	return h.mux.Render(w, status, page)
}

// change replaces the password of p and renews the session under a new cookie
// value, so that a copy of the old one is out like every other browser.
func (h *Handler) change(w http.ResponseWriter, r *http.Request, p me, form url.Values) error {
	ctx := r.Context()
	u, err := h.cfg.People.Authenticate(ctx, p.user.Email, form.Get("current"))
	if fault.Is(err, fault.Unauthenticated) || err == nil && u.ID != p.user.ID {
		return &fault.Error{
			Kind: fault.Unauthenticated, Code: "wrong_password", Rule: "current_password", Err: err,
			Detail: "The current password is not right.",
		}
	}
	if err != nil {
		return fmt.Errorf("check the current password: %w", err)
	}
	if err := h.cfg.People.SetPassword(ctx, identity.Actor(u.ID), u.ID, form.Get("password"), p.session.ID); err != nil {
		return fmt.Errorf("change password: %w", err)
	}
	_, token, err := h.cfg.People.Begin(ctx, u, &p.session, "pwd")
	if err != nil {
		return fmt.Errorf("renew the session: %w", err)
	}
	h.mux.SetCookie(w, login.Cookie, token)
	h.mux.RenewForms(w, r)
	return nil
}

func invalid(rule, detail string) error {
	return &fault.Error{Kind: fault.Invalid, Code: "invalid_request", Rule: rule, Detail: detail}
}
