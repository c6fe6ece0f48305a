package login

import (
	"fmt"
	"net/http"
	"net/url"

	"github.com/gatekeeper-oidc/gatekeeper/identity"
	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
	"github.com/gatekeeper-oidc/gatekeeper/internal/ratelimit"
	"github.com/gatekeeper-oidc/gatekeeper/internal/web"
	"github.com/gatekeeper-oidc/gatekeeper/templates"
)

// newcomer is GET /signup.
func (h *Handler) newcomer(w http.ResponseWriter, r *http.Request) error {
	if err := h.signUpOpen(); err != nil {
		return err
	}
	v, err := h.opened(w, r)
	if err != nil {
		return err
	}
	return h.mux.Render(w, http.StatusOK, h.signUpPage(w, r, v))
}

func (h *Handler) signUpOpen() error {
	if h.cfg.SignUp {
		return nil
	}
	return &fault.Error{
		Kind: fault.NotFound, Code: "signup_closed", Rule: "signup_open",
		Detail: "New accounts are made by an administrator here.",
	}
}

func (h *Handler) signUpPage(w http.ResponseWriter, r *http.Request, v visit) templates.SignUp {
	p := templates.SignUp{
		Locale: v.locale, Form: h.form(w, r, v, pathSignUp), App: v.app, MinPassword: h.cfg.MinPassword,
		SignIn: v.link(pathLogin, "as", asKnown),
	}
	if len(v.in.Request.LoginHint) <= maxHint {
		p.Login = v.in.Request.LoginHint
	}
	return p
}

// signUp is POST /signup. The answer is the same, for the same work, whether or
// not somebody has the address already.
func (h *Handler) signUp(w http.ResponseWriter, r *http.Request) error {
	if err := h.signUpOpen(); err != nil {
		return err
	}
	v, form, err := h.submitted(w, r)
	if err != nil {
		return err
	}
	err = h.create(r, form)
	if err == nil || fault.Is(err, fault.Conflict) {
		return see(w, r, v.link(pathLogin, "notice", "signup"))
	}
	refused, status, err := Refuse(h.mux, w, r, err)
	if err != nil {
		return err
	}
	page := h.signUpPage(w, r, v)
	page.Name, page.Login, page.Refused = form.Get("name"), form.Get("login"), refused
	page.Refused.Min = h.cfg.MinPassword
	return h.mux.Render(w, status, page)
}

// create makes the account, within the limit of the network it is asked from.
func (h *Handler) create(r *http.Request, form url.Values) error {
	if err := h.spend(r, h.cfg.Rules.SignUp); err != nil {
		return err
	}
	n, err := newUser(form)
	if err != nil {
		return err
	}
	if _, err = h.cfg.People.CreateUser(r.Context(), identity.System, n); err != nil {
		return fmt.Errorf("sign up: %w", err)
	}
	return nil
}

// spend takes one attempt from the limit of the network a request comes from.
func (h *Handler) spend(r *http.Request, rule ratelimit.Rule) error {
	place := web.InfoFrom(r.Context()).Bucket()
	if place == "" {
		place = "unknown" // limited too, never free
	}
	wait, err := h.cfg.Limits.Advance(r.Context(), place, rule)
	if err != nil {
		return fmt.Errorf("check limit %s: %w", rule.Name, err)
	}
	if wait <= 0 {
		return nil
	}
	h.cfg.Meter.RateLimited(rule.Name)
	return &fault.Error{
		Kind: fault.TooMany, Code: "too_many_attempts", Rule: rule.Name, RetryAfter: wait,
		Detail: "There were too many attempts from here; try again later.",
	}
}

// newUser reads the fields that the sign-up and set-up pages share.
func newUser(form url.Values) (identity.NewUser, error) {
	n := identity.NewUser{
		Email: form.Get("login"), Password: form.Get("password"), Profile: identity.Profile{Name: form.Get("name")},
	}
	if n.Password == "" { // to identity, none means none yet
		return n, &fault.Error{Kind: fault.Invalid, Code: "weak_password", Rule: "password_missing", Detail: "Please choose a password."}
	}
	return n, nil
}
