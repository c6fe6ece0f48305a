package login

import (
	"context"
	"fmt"
	"net/http"

	"github.com/gatekeeper-oidc/gatekeeper/identity"
	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
	"github.com/gatekeeper-oidc/gatekeeper/oauth2"
	"github.com/gatekeeper-oidc/gatekeeper/templates"
)

// show is GET /login.
func (h *Handler) show(w http.ResponseWriter, r *http.Request) error {
	v, err := h.opened(w, r)
	if err != nil {
		return err
	}
	settled, err := h.settled(r.Context(), v)
	if err != nil {
		return err
	}
	if settled {
		return see(w, r, v.onward())
	}
	if v.in.Request.HasPrompt("create") && h.cfg.SignUp && v.as == "" && v.notice == "" {
		return see(w, r, v.link(pathSignUp))
	}
	page := h.page(w, r, v)
	if page.Login == "" && len(v.in.Request.LoginHint) <= maxHint {
		page.Login = v.in.Request.LoginHint
	}
	return h.mux.Render(w, http.StatusOK, page)
}

// maxHint bounds what an application may prefill (RFC 5321 section 4.5.3.1.3).
const maxHint = 254

// settled reports whether there is nothing to prove: the person is signed in as
// the request wants it and does not ask for another account.
func (h *Handler) settled(ctx context.Context, v visit) (bool, error) {
	_, _, signedIn := identity.FromContext(ctx)
	if !signedIn || v.as == asOther {
		return false, nil
	}
	if v.in.ID == "" {
		return true, nil
	}
	reason, err := h.step.Needed(ctx, v.in)
	if err != nil {
		return false, fmt.Errorf("ask whether a sign-in is needed: %w", err)
	}
	return reason == "", nil
}

// page returns the sign-in page for a visit.
func (h *Handler) page(w http.ResponseWriter, r *http.Request, v visit) templates.Login {
	p := templates.Login{Locale: v.locale, Form: h.form(w, r, v, pathLogin), App: v.app, Notice: v.notice}
	if h.cfg.SignUp {
		p.SignUp = v.link(pathSignUp)
	}
	p.Closed = v.in.Request.HasPrompt("create") && !h.cfg.SignUp
	if v.in.ID != "" {
		cancel := h.form(w, r, v, pathCancel)
		p.Cancel = &cancel
	}
	_, u, signedIn := identity.FromContext(r.Context())
	switch {
	case !signedIn || v.as != "":
	case !asked(v.in.Request, u):
		p.Reason = "other"
	default:
		p.Reason, p.Fixed, p.Login, p.SignUp = "again", true, u.Email, ""
		p.Switch = v.link(pathLogin, "as", asOther)
	}
	return p
}

// submit is POST /login.
func (h *Handler) submit(w http.ResponseWriter, r *http.Request) error {
	v, form, err := h.submitted(w, r)
	if err != nil {
		return err
	}
	u, err := h.cfg.People.Authenticate(r.Context(), form.Get("login"), form.Get("password"))
	if err == nil {
		err = h.enter(w, r, u, v.in)
	}
	if err == nil {
		return see(w, r, v.onward())
	}
	if fault.Of(err).Code == "password_change_required" {
		return h.mux.Render(w, http.StatusOK, h.replacePage(w, r, v, form.Get("login")))
	}
	refused, status, err := Refuse(h.mux, w, r, err)
	if err != nil {
		return err
	}
	page := h.page(w, r, v)
	page.Refused = refused
	if !page.Fixed {
		page.Login = form.Get("login")
	}
	return h.mux.Render(w, status, page)
}

// enter begins a session for someone who has just proved who they are, gives the
// browser its cookie and writes into the interaction, if there is one, that they did.
func (h *Handler) enter(w http.ResponseWriter, r *http.Request, u identity.User, in oauth2.Interaction) error {
	ctx := r.Context()
	var previous *identity.Session
	if s, _, ok := identity.FromContext(ctx); ok {
		previous = &s
	}
	s, token, err := h.cfg.People.BeginOnce(ctx, h.mux.Attempt(r), u, previous, "pwd")
	if err != nil {
		return fmt.Errorf("begin a session: %w", err)
	}
	h.mux.SetCookie(w, Cookie, token)
	h.mux.SetLastingCookie(w, DeviceCookie, h.cfg.People.Device(ctx, u.Email), keepDevice)
	h.mux.RenewForms(w, r)
	h.mux.BrowserState(w, r, s.ID)
	if in.ID == "" {
		return nil
	}
	in.Select(s.ID)
	in.Authenticated = s.ID
	if err := h.cfg.Flow.Advance(ctx, in); err != nil {
		return fmt.Errorf("advance interaction %s: %w", in.ID, err)
	}
	return nil
}

// cancel is POST /login/cancel: the person does not want to go on.
func (h *Handler) cancel(w http.ResponseWriter, r *http.Request) error {
	v, _, err := h.submitted(w, r)
	if err != nil {
		return err
	}
	if v.in.ID == "" {
		return see(w, r, pathLogin)
	}
	v.in.Denied = "access_denied" // RFC 6749 section 4.1.2.1
	if err := h.cfg.Flow.Advance(r.Context(), v.in); err != nil {
		return fmt.Errorf("cancel interaction %s: %w", v.in.ID, err)
	}
	return see(w, r, v.onward())
}
