package login

import (
	"net/http"

	"github.com/gatekeeper-oidc/gatekeeper/templates"
)

// replacePage asks for a password of one's own, where somebody else chose the one
// that was typed.
func (h *Handler) replacePage(w http.ResponseWriter, r *http.Request, v visit, login string) templates.Replace {
	return templates.Replace{
		Locale: v.locale, Form: h.form(w, r, v, pathReplace), App: v.app, Login: login, MinPassword: h.cfg.MinPassword,
	}
}

// asked again without its form, the page begins where a sign-in begins.
func (h *Handler) backToLogin(w http.ResponseWriter, r *http.Request) error {
	v, err := h.opened(w, r)
	if err != nil {
		return err
	}
	return see(w, r, v.link(pathLogin))
}

// replace is POST /login/password. Nobody is signed in before the password is their
// own: the form proves the one it replaces.
func (h *Handler) replace(w http.ResponseWriter, r *http.Request) error {
	v, form, err := h.submitted(w, r)
	if err != nil {
		return err
	}
	u, err := h.cfg.People.Replace(r.Context(), form.Get("login"), form.Get("current"), form.Get("password"))
	if err == nil {
		err = h.enter(w, r, u, v.in)
	}
	if err == nil {
		return see(w, r, v.onward())
	}
	refused, status, err := Refuse(h.mux, w, r, err)
	if err != nil {
		return err
	}
	page := h.replacePage(w, r, v, form.Get("login"))
	page.Refused = refused
	page.Refused.Min = h.cfg.MinPassword
	return h.mux.Render(w, status, page)
}
