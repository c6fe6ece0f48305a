package login

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/gatekeeper-oidc/gatekeeper/identity"
	"github.com/gatekeeper-oidc/gatekeeper/internal/meter"
	"github.com/gatekeeper-oidc/gatekeeper/internal/ratelimit"
	"github.com/gatekeeper-oidc/gatekeeper/internal/web"
	"github.com/gatekeeper-oidc/gatekeeper/oauth2"
	"github.com/gatekeeper-oidc/gatekeeper/templates"
)

const (
	pathLogin   = "/login"
	pathReplace = "/login/password"
	pathCancel  = "/login/cancel"
	pathSelect  = "/login/select"
	pathSignUp  = "/signup"
	pathSetup   = "/setup/"
	pathAccount = "/account" // where a sign-in that nobody asked for leads
)

// A Flow finds the authorization request a browser came with and stores what its
// person has done; oauth2.Provider is one.
type Flow interface {
	Client(ctx context.Context, id string) (oauth2.Client, error)
	Interaction(ctx context.Context, id string, binding []byte) (oauth2.Interaction, error)
	Advance(ctx context.Context, in oauth2.Interaction) error
}

// A People knows who people are; identity.Service is one.
type People interface {
	Authenticate(ctx context.Context, email, password string) (identity.User, error)
	BeginOnce(ctx context.Context, attempt []byte, u identity.User, previous *identity.Session, amr ...string) (identity.Session, string, error)
	Device(ctx context.Context, email string) string
	Replace(ctx context.Context, email, current, next string) (identity.User, error)
	CreateUser(ctx context.Context, actor string, n identity.NewUser) (identity.User, error)
	SetupOpen(ctx context.Context, token string) (bool, error)
	CompleteSetup(ctx context.Context, token string, n identity.NewUser) (identity.User, error)
}

// Config is what a Handler needs; all but Rules, Meter and SignUp is required.
type Config struct {
	Flow        Flow
	People      People
	Pages       *templates.Set
	Limits      ratelimit.Source
	Rules       ratelimit.Rules // zero: the defaults
	Meter       *meter.Meter    // nil: nothing is measured
	Now         func() time.Time
	MinPassword int  // characters, as identity.Policy has it
	SignUp      bool // people may create their own account
}

// Handler mounts the pages.
type Handler struct {
	cfg  Config
	step PasswordStep
	mux  *web.Mux // set by Routes
}

// New returns a Handler.
func New(cfg Config) (*Handler, error) {
	if cfg.Flow == nil || cfg.People == nil || cfg.Pages == nil || cfg.Limits == nil || cfg.Now == nil || cfg.MinPassword <= 0 {
		return nil, errors.New("login: Flow, People, Pages, Limits, Now and MinPassword are required")
	}
	if cfg.Rules == (ratelimit.Rules{}) {
		cfg.Rules = ratelimit.Defaults()
	}
	return &Handler{cfg: cfg, step: PasswordStep{Now: cfg.Now}}, nil
}

// Steps returns the steps of the door, in the order the dispatcher asks them.
func (h *Handler) Steps() []oauth2.Step { return []oauth2.Step{&h.step, SelectStep{}} }

// Routes mounts the pages on m.
func (h *Handler) Routes(m *web.Mux) {
	h.mux = m
	m.Page("GET "+pathLogin, h.show, web.InPopup)
	m.Page("POST "+pathLogin, h.submit, web.InPopup)
	m.Page("GET "+pathReplace, h.backToLogin, web.InPopup)
	m.Page("POST "+pathReplace, h.replace, web.InPopup)
	m.Page("POST "+pathCancel, h.cancel, web.InPopup)
	m.Page("GET "+pathSelect, h.choices, web.InPopup)
	m.Page("POST "+pathSelect, h.choose, web.InPopup)
	m.Page("GET "+pathSignUp, h.newcomer, web.OwnForms, web.InPopup)
	m.Page("POST "+pathSignUp, h.signUp, web.OwnForms, web.InPopup)
	m.Page("GET "+pathSetup+"{token}", h.setup, web.OwnForms)
	m.Page("POST "+pathSetup+"{token}", h.completeSetup, web.OwnForms)
}

// A visit is a request to a page of the door: the interaction the browser came
// with, if any, and the application that began it.
type visit struct {
	in     oauth2.Interaction // zero when nobody asked
	app    templates.App
	locale templates.Locale
	as     string // "" or what the person said of themselves: asOther, asKnown
	notice string
}

// What a link to the sign-in page may say.
const (
	asOther = "other" // not who is signed in
	asKnown = "known" // has an account, though the application asked for a new one
)

// visit reads a page's parameters. An interaction of another browser, or one that
// is over, is fault.NotFound.
func (h *Handler) visit(w http.ResponseWriter, r *http.Request, params url.Values) (visit, error) {
	v := visit{as: params.Get("as"), notice: params.Get("notice")}
	if id := params.Get("i"); id != "" {
		var err error
		if v.in, err = h.cfg.Flow.Interaction(r.Context(), id, h.mux.Binding(w, r)); err != nil {
			return visit{}, fmt.Errorf("interaction of a page: %w", err)
		}
		c, err := h.cfg.Flow.Client(r.Context(), v.in.Request.ClientID)
		if err != nil {
			return visit{}, fmt.Errorf("client of interaction %s: %w", id, err)
		}
		v.app = templates.NewApp(c.ID, c.Name, v.in.Request.RedirectURI)
		v.app.Links = templates.Links{Home: c.ClientURI, Policy: c.PolicyURI, Terms: c.TOSURI, Logo: c.LogoURI != ""}
	}
	v.locale = h.cfg.Pages.Locale(r.Header.Get("Accept-Language"), v.in.Request.UILocales...)
	return v, nil
}

// opened reads the visit of a GET; submitted that of a POST, with its form.
func (h *Handler) opened(w http.ResponseWriter, r *http.Request) (visit, error) {
	query, err := web.Query(r)
	if err != nil {
		return visit{}, fmt.Errorf("read the query of a page: %w", err)
	}
	return h.visit(w, r, query)
}

func (h *Handler) submitted(w http.ResponseWriter, r *http.Request) (visit, url.Values, error) {
	form, err := web.Form(w, r, web.MaxForm)
	if err != nil {
		return visit{}, nil, fmt.Errorf("read a form: %w", err)
	}
	v, err := h.visit(w, r, form)
	return v, form, err
}

// link returns a page of the door for the same interaction.
func (v visit) link(path string, more ...string) string {
	q := url.Values{}
	if v.in.ID != "" {
		q.Set("i", v.in.ID)
	}
	for i := 0; i+1 < len(more); i += 2 {
		q.Set(more[i], more[i+1])
	}
	if len(q) == 0 {
		return path
	}
	return path + "?" + q.Encode()
}

// form returns a form for the same interaction.
func (h *Handler) form(w http.ResponseWriter, r *http.Request, v visit, action string) templates.Form {
	f := templates.Form{Action: action, CSRF: h.mux.FormToken(w, r)}
	if v.in.ID != "" {
		f.Fields = append(f.Fields, templates.Field{Name: "i", Value: v.in.ID})
	}
	if v.as != "" {
		f.Fields = append(f.Fields, templates.Field{Name: "as", Value: v.as})
	}
	return f
}

// onward is where a person goes who has done what a page asked.
func (v visit) onward() string {
	if v.in.ID == "" {
		return pathAccount
	}
	return oauth2.ResumeURL(v.in.ID)
}

// see answers 303, so that the browser goes on with a GET whatever it sent.
func see(w http.ResponseWriter, r *http.Request, to string) error {
	http.Redirect(w, r, to, http.StatusSeeOther) //nolint:gosec // G710: to is one of our paths; what came from outside is encoded in its query
	return nil
}
