package account

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/gatekeeper-oidc/gatekeeper/audit"
	"github.com/gatekeeper-oidc/gatekeeper/consent"
	"github.com/gatekeeper-oidc/gatekeeper/identity"
	"github.com/gatekeeper-oidc/gatekeeper/internal/web"
	"github.com/gatekeeper-oidc/gatekeeper/oauth2"
	"github.com/gatekeeper-oidc/gatekeeper/templates"
)

const (
	pathAccount    = "/account"
	pathEndSession = "/account/sessions/end"
	pathRevokeApp  = "/account/apps/revoke"
	pathPassword   = "/account/password"
	pathLogin      = "/login"
	pathSignOut    = "/oidc/logout/confirm" // takes a form with our token as the person's yes
)

// A People holds the rules about a person; identity.Service is one.
type People interface {
	Authenticate(ctx context.Context, email, password string) (identity.User, error)
	Begin(ctx context.Context, u identity.User, previous *identity.Session, amr ...string) (identity.Session, string, error)
	SetPassword(ctx context.Context, actor, userID, password string, keep ...string) error
	Sessions(ctx context.Context, userID string) ([]identity.Session, error)
	End(ctx context.Context, actor, userID string, kind audit.Kind, ids ...string) error
}

// A Consents holds what applications may do; consent.Service is one.
type Consents interface {
	Consents(ctx context.Context, userID string, p identity.Page) (consents []consent.Consent, next string, err error)
	Revoke(ctx context.Context, actor, userID, clientID string) error
}

// A Clients finds registered applications; oauth2.Provider is one.
type Clients interface {
	Client(ctx context.Context, id string) (oauth2.Client, error)
}

// Config is what a Handler needs; all of it is required.
type Config struct {
	People      People
	Consents    Consents
	Clients     Clients
	Pages       *templates.Set
	MinPassword int // characters, as identity.Policy has it
}

// Handler mounts the pages.
type Handler struct {
	cfg Config
	mux *web.Mux // set by Routes
}

// New returns a Handler.
func New(cfg Config) (*Handler, error) {
	if cfg.People == nil || cfg.Consents == nil || cfg.Clients == nil || cfg.Pages == nil || cfg.MinPassword <= 0 {
		return nil, errors.New("account: People, Consents, Clients, Pages and MinPassword are required")
	}
	return &Handler{cfg: cfg}, nil
}

// Routes mounts the pages on m.
func (h *Handler) Routes(m *web.Mux) {
	h.mux = m
	m.Page("GET /", home)
	m.Page("GET /.well-known/change-password", changePassword)
	m.Page("GET "+pathAccount, h.mine(h.show), web.OwnForms)
	m.Page("POST "+pathEndSession, h.mine(h.endSession), web.OwnForms)
	m.Page("POST "+pathRevokeApp, h.mine(h.revokeApp), web.OwnForms)
	m.Page("POST "+pathPassword, h.mine(h.password), web.OwnForms)
}

// home is the bare address of the server: whoever types it finds their account.
func home(w http.ResponseWriter, r *http.Request) error {
	http.Redirect(w, r, pathAccount, http.StatusSeeOther)
	return nil
}

// changePassword is where password managers send people (a Well-Known URL for Changing
// Passwords).
func changePassword(w http.ResponseWriter, r *http.Request) error {
	http.Redirect(w, r, pathAccount+"#change", http.StatusSeeOther)
	return nil
}

// A me is the signed-in person a request comes from.
type me struct {
	session identity.Session
	user    identity.User
}

// mine asks for a signed-in person before h.
func (*Handler) mine(h func(w http.ResponseWriter, r *http.Request, p me) error) web.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		s, u, ok := identity.FromContext(r.Context())
		if !ok {
			http.Redirect(w, r, pathLogin, http.StatusSeeOther)
			return nil
		}
		return h(w, r, me{s, u})
	}
}

// show is GET /account.
func (h *Handler) show(w http.ResponseWriter, r *http.Request, p me) error {
	query, err := web.Query(r)
	if err != nil {
		return fmt.Errorf("read the query of the account page: %w", err)
	}
	page, err := h.page(w, r, p, query.Get("apps"))
	if err != nil {
		return err
	}
	switch done := query.Get("done"); done {
	case donePassword, doneSession, doneOthers, doneApp:
		page.Done = done
	}
	return h.mux.Render(w, http.StatusOK, page)
}

// page returns the account page of p as it stands, with the applications behind after.
func (h *Handler) page(w http.ResponseWriter, r *http.Request, p me, after string) (templates.Account, error) {
	sessions, err := h.cfg.People.Sessions(r.Context(), p.user.ID)
	if err != nil {
		return templates.Account{}, fmt.Errorf("sessions of user %s: %w", p.user.ID, err)
	}
	apps, next, err := h.apps(r.Context(), p.user.ID, after)
	if err != nil {
		return templates.Account{}, err
	}
	more := ""
	if next != "" {
		more = pathAccount + "?" + url.Values{"apps": {next}}.Encode() + "#apps"
	}
	return templates.Account{
		Locale:      h.cfg.Pages.Locale(r.Header.Get("Accept-Language")),
		CSRF:        h.mux.FormToken(w, r),
		Person:      templates.Person{ID: p.user.ID, Name: p.user.Profile.Name, Email: p.user.Email},
		Facts:       facts(p.user),
		Sessions:    devices(sessions, p.session.ID),
		Apps:        apps,
		MinPassword: h.cfg.MinPassword,
		Paths: templates.AccountPaths{
			Password: pathPassword, EndSession: pathEndSession, RevokeApp: pathRevokeApp, SignOut: pathSignOut, MoreApps: more,
		},
	}, nil
}

// done leads back to the page, which says what was done.
func done(w http.ResponseWriter, r *http.Request, what string) error {
	http.Redirect(w, r, pathAccount+"?done="+what, http.StatusSeeOther)
	return nil
}
