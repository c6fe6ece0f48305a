package login

import (
	"fmt"
	"net/http"
	"net/url"

	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
	"github.com/gatekeeper-oidc/gatekeeper/internal/web"
	"github.com/gatekeeper-oidc/gatekeeper/oauth2"
	"github.com/gatekeeper-oidc/gatekeeper/templates"
)

// setup is GET /setup/TOKEN. Looking at the page spends nothing: mail scanners and
// previews look too.
func (h *Handler) setup(w http.ResponseWriter, r *http.Request) error {
	if err := h.setupOpen(r); err != nil {
		return err
	}
	return h.mux.Render(w, http.StatusOK, h.setupPage(w, r))
}

func (h *Handler) setupOpen(r *http.Request) error {
	if err := h.spend(r, h.cfg.Rules.Setup); err != nil {
		return err
	}
	open, err := h.cfg.People.SetupOpen(r.Context(), r.PathValue("token"))
	if err != nil {
		return fmt.Errorf("look at the setup link: %w", err)
	}
	if !open {
		return &fault.Error{
			Kind: fault.NotFound, Code: "setup_link_invalid", Rule: "setup_token_live",
			Detail: "This set-up link was used, has expired, or was replaced by a newer one.",
		}
	}
	return nil
}

func (h *Handler) setupPage(w http.ResponseWriter, r *http.Request) templates.Setup {
	return templates.Setup{
		Locale:      h.cfg.Pages.Locale(r.Header.Get("Accept-Language")),
		Form:        templates.Form{Action: pathSetup + url.PathEscape(r.PathValue("token")), CSRF: h.mux.FormToken(w, r)},
		MinPassword: h.cfg.MinPassword,
	}
}

// completeSetup is POST /setup/TOKEN: it creates the first administrator and signs
// them in.
func (h *Handler) completeSetup(w http.ResponseWriter, r *http.Request) error {
	form, err := web.Form(w, r, web.MaxForm)
	if err != nil {
		return fmt.Errorf("read the setup form: %w", err)
	}
	err = h.setupOpen(r)
	if fault.Of(err).Code == "setup_link_invalid" && h.sentAgain(w, r, form) {
		return see(w, r, pathAccount)
	}
	if err != nil {
		return err
	}
	err = h.administrate(w, r, form)
	if c := fault.Of(err).Code; err != nil && (c == "setup_link_invalid" || c == "already_set_up") && h.sentAgain(w, r, form) {
		err = nil
	}
	if err == nil {
		return see(w, r, pathAccount)
	}
	refused, status, err := Refuse(h.mux, w, r, err)
	if err != nil {
		return err
	}
	page := h.setupPage(w, r)
	page.Name, page.Login, page.Refused = form.Get("name"), form.Get("login"), refused
	page.Refused.Min = h.cfg.MinPassword
	return h.mux.Render(w, status, page)
}

// sentAgain signs in whoever sent the form that made the first administrator once
// more: the answer to the first may never have reached them.
func (h *Handler) sentAgain(w http.ResponseWriter, r *http.Request, form url.Values) bool {
	u, err := h.cfg.People.Authenticate(r.Context(), form.Get("login"), form.Get("password"))
	return err == nil && h.enter(w, r, u, oauth2.Interaction{}) == nil
}

func (h *Handler) administrate(w http.ResponseWriter, r *http.Request, form url.Values) error {
	n, err := newUser(form)
	if err != nil {
		return err
	}
	u, err := h.cfg.People.CompleteSetup(r.Context(), r.PathValue("token"), n)
	if err != nil {
		return fmt.Errorf("complete setup: %w", err)
	}
	return h.enter(w, r, u, oauth2.Interaction{})
}
