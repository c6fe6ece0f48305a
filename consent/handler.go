package consent

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/gatekeeper-oidc/gatekeeper/identity"
	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
	"github.com/gatekeeper-oidc/gatekeeper/internal/web"
	"github.com/gatekeeper-oidc/gatekeeper/oauth2"
	"github.com/gatekeeper-oidc/gatekeeper/templates"
)

const pathConsent = "/consent"

// switchAccount is the sign-in page for somebody else, for the same interaction.
const switchAccount = "/login?as=other&i="

// A Flow finds the authorization request a browser came with and stores what its
// person has done; oauth2.Provider is one.
type Flow interface {
	Clients
	Interaction(ctx context.Context, id string, binding []byte) (oauth2.Interaction, error)
	Advance(ctx context.Context, in oauth2.Interaction) error
	OpenDevice(ctx context.Context, binding []byte, typed string) (interaction string, err error)
	Device(ctx context.Context, in oauth2.Interaction) (oauth2.DeviceRequest, error)
}

// Handler mounts the page.
type Handler struct {
	service *Service
	flow    Flow
	pages   *templates.Set
	mux     *web.Mux // set by Routes
}

// NewHandler returns a Handler.
func NewHandler(s *Service, f Flow, pages *templates.Set) (*Handler, error) {
	if s == nil || s.Store == nil || s.Trail == nil || f == nil || pages == nil {
		return nil, errors.New("consent: a service with store and trail, a flow and pages are required")
	}
	return &Handler{service: s, flow: f, pages: pages}, nil
}

// Step returns the step that leads to the page.
func (h *Handler) Step() *Step { return &Step{Service: h.service, Clients: h.flow} }

// Routes mounts the page on m.
func (h *Handler) Routes(m *web.Mux) {
	h.mux = m
	m.Page("GET "+pathConsent, h.show, web.InPopup)
	m.Page("POST "+pathConsent, h.decide, web.InPopup)
	m.Page("GET "+pathDevice, h.connect, web.OwnForms)
	m.Page("POST "+pathDevice, h.enter, web.OwnForms)
}

// show is GET /consent.
func (h *Handler) show(w http.ResponseWriter, r *http.Request) error {
	query, err := web.Query(r)
	if err != nil {
		return fmt.Errorf("read the query of the consent page: %w", err)
	}
	in, err := h.interaction(w, r, query.Get("i"))
	if err != nil {
		return err
	}
	s, u, ok := identity.FromContext(r.Context())
	reason, err := h.Step().Needed(r.Context(), in)
	if err != nil {
		return fmt.Errorf("ask whether a consent is needed: %w", err)
	}
	if !ok || reason == "" {
		return onward(w, r, in)
	}
	c, err := h.flow.Client(r.Context(), in.Request.ClientID)
	if err != nil {
		return fmt.Errorf("client of interaction %s: %w", in.ID, err)
	}
	device, err := h.asking(r.Context(), in)
	if err != nil {
		return err
	}
	asked := in.Request.Asked()
	ask, known := asked, []string(nil)
	if !everything(in.Request) && !impersonable(&c, in.Request.RedirectURI) {
		allowed, _, err := h.service.Remembered(r.Context(), u.ID, c.ID)
		if err != nil {
			return err
		}
		ask = beyond(asked, allowed)
		known = beyond(asked, ask)
	}
	app := templates.NewApp(c.ID, c.Name, in.Request.RedirectURI)
	app.Links = templates.Links{Home: c.ClientURI, Policy: c.PolicyURI, Terms: c.TOSURI, Logo: c.LogoURI != ""}
	form := templates.Form{Action: pathConsent, CSRF: h.mux.FormToken(w, r)}
	form.Fields = []templates.Field{{Name: "i", Value: in.ID}, {Name: "session", Value: s.ID}}
	return h.mux.Render(w, http.StatusOK, templates.Consent{
		Locale: h.pages.Locale(r.Header.Get("Accept-Language"), in.Request.UILocales...),
		Form:   form,
		App:    app,
		Person: templates.Person{ID: u.ID, Name: u.Profile.Name, Email: u.Email},
		Scopes: worded(ask, u), Known: worded(known, u),
		Switch: switchAccount + url.QueryEscape(in.ID), Device: device,
	})
}

// decide is POST /consent. An answer given on a page that named somebody else
// leads back to the page.
func (h *Handler) decide(w http.ResponseWriter, r *http.Request) error {
	form, err := web.Form(w, r, web.MaxForm)
	if err != nil {
		return fmt.Errorf("read the consent form: %w", err)
	}
	in, err := h.interaction(w, r, form.Get("i"))
	if err != nil {
		return err
	}
	s, u, ok := identity.FromContext(r.Context())
	if !ok || form.Get("session") != s.ID {
		return onward(w, r, in)
	}
	a := Answer{
		UserID: u.ID, ClientID: in.Request.ClientID, Registration: in.Request.Registration, Session: s.ID, Scopes: in.Request.Asked(),
		Then: func(ctx context.Context) error { return h.flow.Advance(ctx, in) },
	}
	switch form.Get("decision") {
	case "allow":
		in.Select(s.ID)
		in.Consented = true
		err = h.service.Allow(r.Context(), a)
	case "deny":
		in.Denied = "access_denied" // RFC 6749 section 4.1.2.1
		err = h.service.Deny(r.Context(), a)
	default:
		err = &fault.Error{
			Kind: fault.Invalid, Code: "invalid_request", Rule: "consent_decision",
			Detail: "The answer is neither yes nor no.",
		}
	}
	if err != nil {
		return err
	}
	return onward(w, r, in)
}

func (h *Handler) interaction(w http.ResponseWriter, r *http.Request, id string) (oauth2.Interaction, error) {
	in, err := h.flow.Interaction(r.Context(), id, h.mux.Binding(w, r))
	if err != nil {
		return oauth2.Interaction{}, fmt.Errorf("interaction of the consent page: %w", err)
	}
	return in, nil
}

// onward answers 303 to the dispatcher, which knows what is needed next.
func onward(w http.ResponseWriter, r *http.Request, in oauth2.Interaction) error {
	http.Redirect(w, r, oauth2.ResumeURL(in.ID), http.StatusSeeOther)
	return nil
}

// worded returns scopes with what the application would see of u through each.
func worded(scopes []string, u identity.User) []templates.Scope {
	values := map[string]string{
		"profile": u.Profile.Name, "email": u.Email, "phone": u.Profile.PhoneNumber, "address": u.Profile.Address.Line(),
	}
	out := make([]templates.Scope, 0, len(scopes))
	for _, s := range scopes {
		out = append(out, templates.Scope{Name: s, Value: values[s]})
	}
	return out
}
