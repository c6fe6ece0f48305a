package oidc

import (
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/gatekeeper-oidc/gatekeeper/identity"
	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
	"github.com/gatekeeper-oidc/gatekeeper/internal/web"
	"github.com/gatekeeper-oidc/gatekeeper/oauth2"
	"github.com/gatekeeper-oidc/gatekeeper/templates"
)

// clearSite makes the browser forget what our pages stored. It does not name
// "cookies": that reaches the whole registrable domain, and with it the cookies
// of applications that live beside us (Clear Site Data section 3.1).
const clearSite = `"storage"`

// A signOut is a checked sign-out request: Client is zero when nobody asked,
// Back is "" or a URI registered for Client.
type signOut struct {
	Client oauth2.Client
	Hint   oauth2.Hint // zero without an id_token_hint
	Back   string
	State  string

	Locales string // ui_locales as received
}

// logout is the end_session_endpoint (OpenID Connect RP-Initiated Logout 1.0
// section 2).
func (h *Handler) logout(w http.ResponseWriter, r *http.Request) error {
	in, err := parameters(w, r)
	if err != nil {
		return err
	}
	req, err := h.check(r, in)
	if err != nil {
		return err
	}
	s, u, signedIn := identity.FromContext(r.Context())
	switch {
	case !signedIn && r.Method == http.MethodPost:
		return redirect(w, link(pathLogout, in))
	case !signedIn:
		return h.leave(w, r, req, nil)
	case s.ID != req.Hint.Session && u.ID != req.Hint.Subject:
		return h.ask(w, r, req, u)
	}
	return h.end(w, r, req)
}

// parameters reads the query of a GET and the form of a POST, each parameter
// once, and keeps those the specification names.
func parameters(w http.ResponseWriter, r *http.Request) (url.Values, error) {
	in, err := web.Query(r)
	if r.Method == http.MethodPost {
		in, err = web.Form(w, r, web.MaxForm)
	}
	if err != nil {
		return nil, fmt.Errorf("read sign-out request: %w", err)
	}
	out := url.Values{}
	for _, name := range []string{"id_token_hint", "client_id", "post_logout_redirect_uri", "state", "ui_locales"} {
		if v := in.Get(name); v != "" {
			out.Set(name, v)
		}
	}
	return out, nil
}

// check holds a sign-out request to what is registered. What it refuses ends on
// a page: the browser goes only to a URI the application registered.
func (h *Handler) check(r *http.Request, in url.Values) (signOut, error) {
	req := signOut{State: in.Get("state"), Locales: in.Get("ui_locales")}
	clientID := in.Get("client_id")
	if raw := in.Get("id_token_hint"); raw != "" {
		hint, err := h.cfg.Provider.VerifyHint(r.Context(), raw)
		if fault.Is(err, fault.Unavailable) {
			return signOut{}, fmt.Errorf("verify id_token_hint: %w", err)
		}
		// One that nobody can check any more, its key having retired, says nothing, and
		// neither does one of another application: the person is asked, and goes on from
		// there. An address to return to needs to be proved otherwise.
		if err == nil && (clientID == "" || clientID == hint.ClientID) {
			req.Hint, clientID = hint, hint.ClientID
		}
	}
	if err := h.identify(r, &req, clientID); err != nil {
		return signOut{}, err
	}
	return req, registered(&req, in.Get("post_logout_redirect_uri"))
}

// identify finds the application that asks, if it says who it is.
func (h *Handler) identify(r *http.Request, req *signOut, clientID string) error {
	if clientID == "" {
		return nil
	}
	c, err := h.cfg.Provider.Client(r.Context(), clientID)
	if fault.Is(err, fault.NotFound) {
		return invalid("client_known", "The application is not registered here.").With("client_id", clientID)
	}
	if err != nil {
		return fmt.Errorf("client %s of sign-out: %w", clientID, err)
	}
	req.Client = c
	return nil
}

// registered accepts a post_logout_redirect_uri only byte for byte, and only for
// an application we know (RP-Initiated Logout section 3). Where nobody said who
// asks, the person can still sign out, and the URI is forgotten.
func registered(req *signOut, uri string) error {
	switch {
	case uri == "" || req.Client.ID == "":
		return nil
	case !slices.Contains(req.Client.PostLogoutRedirectURIs, uri):
		err := invalid("post_logout_redirect_uri_registered", "The address to return to is not registered for this application.").
			With("client_id", req.Client.ID).With("received", uri)
		for _, known := range req.Client.PostLogoutRedirectURIs {
			err = err.With("registered", known)
		}
		return err
	}
	req.Back = uri
	return nil
}

// ask shows the confirmation page. Its form carries the request again, to be
// checked again: nothing is remembered in between.
func (h *Handler) ask(w http.ResponseWriter, r *http.Request, req signOut, u identity.User) error {
	page := templates.LogoutConfirm{
		Locale:      h.locale(r, req.Locales),
		Form:        templates.Form{Action: pathLogoutConfirm, CSRF: h.mux.FormToken(w, r)},
		Application: req.Client.Name,
		User:        u.Email,
	}
	for _, f := range []templates.Field{
		{Name: "client_id", Value: req.Client.ID},
		{Name: "post_logout_redirect_uri", Value: req.Back},
		{Name: "state", Value: req.State},
		{Name: "ui_locales", Value: req.Locales},
	} {
		if f.Value != "" {
			page.Form.Fields = append(page.Form.Fields, f)
		}
	}
	return h.mux.Render(w, http.StatusOK, page)
}

// confirm is the person's answer; web has checked that it came from our page.
func (h *Handler) confirm(w http.ResponseWriter, r *http.Request) error {
	form, err := web.Form(w, r, web.MaxForm)
	if err != nil {
		return fmt.Errorf("read sign-out answer: %w", err)
	}
	form.Del("id_token_hint")
	req, err := h.check(r, form)
	if err != nil {
		return err
	}
	return h.end(w, r, req)
}

// end ends the session the browser proves, and only that, and has the applications
// it reached told.
func (h *Handler) end(w http.ResponseWriter, r *http.Request, req signOut) error {
	s, u, ok := identity.FromContext(r.Context())
	if !ok {
		return h.leave(w, r, req, nil)
	}
	reached, err := h.cfg.SignOuts.SignOut(r.Context(), u.ID, s.ID)
	if err != nil {
		return err
	}
	frames, err := h.frames(r.Context(), reached, s.ID)
	if err != nil {
		return err
	}
	return h.leave(w, r, req, frames)
}

// leave drops the cookie and sends the browser back to the application, or to our
// signed-out page; by way of that page, where it has frames to show.
func (h *Handler) leave(w http.ResponseWriter, r *http.Request, req signOut, frames []string) error {
	h.mux.DropCookie(w, h.cfg.SessionCookie)
	h.mux.BrowserState(w, r, "")
	h.mux.ForgetBrowser(w, r)
	w.Header().Set("Clear-Site-Data", clearSite)
	if shown := web.AllowFrames(w, frames); len(shown) > 0 {
		page := templates.SignedOut{Locale: h.locale(r, req.Locales), Application: req.Client.Name, ReturnURL: req.Client.ClientURI, Frames: shown}
		if req.Back != "" {
			page.Onward = template.URL(back(req.Back, req.State)) //nolint:gosec // registered, so no script; the scheme may be a native client's own
		}
		return h.mux.Render(w, http.StatusOK, page)
	}
	if req.Back == "" {
		q := url.Values{}
		if req.Client.ID != "" {
			q.Set("client_id", req.Client.ID)
		}
		if req.Locales != "" {
			q.Set("ui_locales", req.Locales)
		}
		return redirect(w, link(pathLogoutDone, q))
	}
	return redirect(w, back(req.Back, req.State))
}

// done is the signed-out page. It names the application that asked, if any, and
// links to where that application registered its home. Somebody still signed in
// is not told the contrary, but asked.
func (h *Handler) done(w http.ResponseWriter, r *http.Request) error {
	if _, _, signedIn := identity.FromContext(r.Context()); signedIn {
		return redirect(w, pathLogout)
	}
	query, err := web.Query(r)
	if err != nil {
		return err
	}
	page := templates.SignedOut{Locale: h.locale(r, query.Get("ui_locales"))}
	if id := query.Get("client_id"); id != "" {
		c, err := h.cfg.Provider.Client(r.Context(), id)
		if err != nil && !fault.Is(err, fault.NotFound) {
			return fmt.Errorf("client %s of sign-out: %w", id, err)
		}
		page.Application, page.ReturnURL = c.Name, c.ClientURI
	}
	return h.mux.Render(w, http.StatusOK, page)
}

// locale chooses the language of a page.
func (h *Handler) locale(r *http.Request, uiLocales string) templates.Locale {
	return h.cfg.Pages.Locale(r.Header.Get("Accept-Language"), strings.Fields(uiLocales)...)
}

func link(path string, query url.Values) string {
	if len(query) == 0 {
		return path
	}
	return path + "?" + query.Encode()
}

// back adds state, and nothing else, to a registered URI, whose own query stays
// as it is (RP-Initiated Logout section 3).
func back(uri, state string) string {
	if state == "" {
		return uri
	}
	base, fragment, found := strings.Cut(uri, "#")
	if found {
		fragment = "#" + fragment
	}
	separator := "?"
	if strings.Contains(base, "?") {
		separator = "&"
	}
	return base + separator + "state=" + url.QueryEscape(state) + fragment
}

// redirect answers 303, so that the browser goes on with a GET whatever it sent.
func redirect(w http.ResponseWriter, to string) error {
	w.Header().Set("Location", to)
	w.WriteHeader(http.StatusSeeOther)
	return nil
}
