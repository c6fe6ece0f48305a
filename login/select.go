package login

import (
	"fmt"
	"net/http"

	"github.com/gatekeeper-oidc/gatekeeper/identity"
	"github.com/gatekeeper-oidc/gatekeeper/templates"
)

// choices is GET /login/select.
func (h *Handler) choices(w http.ResponseWriter, r *http.Request) error {
	v, err := h.opened(w, r)
	if err != nil {
		return err
	}
	s, u, ok := identity.FromContext(r.Context())
	if !ok || v.in.ID == "" {
		return see(w, r, v.onward())
	}
	f := h.form(w, r, v, pathSelect)
	f.Fields = append(f.Fields, templates.Field{Name: "session", Value: s.ID})
	return h.mux.Render(w, http.StatusOK, templates.SelectAccount{
		Locale: v.locale, Form: f, App: v.app,
		Person: templates.Person{ID: u.ID, Name: u.Profile.Name, Email: u.Email},
		Other:  v.link(pathLogin, "as", asOther),
	})
}

// choose is POST /login/select. The choice counts only for the session the page
// showed: another tab may have signed in somebody else since.
func (h *Handler) choose(w http.ResponseWriter, r *http.Request) error {
	v, form, err := h.submitted(w, r)
	if err != nil {
		return err
	}
	s, _, ok := identity.FromContext(r.Context())
	if !ok || v.in.ID == "" || form.Get("session") != s.ID {
		return see(w, r, v.onward())
	}
	v.in.Select(s.ID)
	if err := h.cfg.Flow.Advance(r.Context(), v.in); err != nil {
		return fmt.Errorf("choose account in interaction %s: %w", v.in.ID, err)
	}
	return see(w, r, v.onward())
}
