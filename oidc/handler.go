package oidc

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/gatekeeper-oidc/gatekeeper/internal/web"
	"github.com/gatekeeper-oidc/gatekeeper/oauth2"
	"github.com/gatekeeper-oidc/gatekeeper/templates"
)

// A Provider knows tokens and applications; oauth2.Provider is one.
type Provider interface {
	Client(ctx context.Context, id string) (oauth2.Client, error)
	Inspect(ctx context.Context, token string) (oauth2.Token, error)
	UserinfoFor(ctx context.Context, c *oauth2.Client, claims map[string]any) (token string, ok bool, err error)
	SessionFor(ctx context.Context, c *oauth2.Client, session string) (string, error)
	VerifyHint(ctx context.Context, idToken string) (oauth2.Hint, error)
	AllowOrigin(ctx context.Context, origin string) bool
}

var _ Provider = (*oauth2.Provider)(nil)

// SignOuts ends the session of a person who wants to leave, tells the applications
// it reached, and returns their ids; Backchannel is one.
type SignOuts interface {
	SignOut(ctx context.Context, userID, session string) (reached []string, err error)
}

var _ SignOuts = (*Backchannel)(nil)

// Config is what a Handler needs. Everything but SignUp and Registration is required.
type Config struct {
	Issuer        string
	Provider      Provider
	Keys          Keys
	SignOuts      SignOuts
	Pages         *templates.Set
	Scopes        []string // offered to applications
	ResponseTypes []string // offered to applications; empty: code alone
	RequestURIs   bool     // request objects are fetched (request_uri)
	SignUp        bool     // people may create their own account
	Registration  RegistrationMode
	SessionCookie string // name of the session cookie, dropped at sign-out
}

// Handler mounts discovery, the key set, userinfo, sign-out and the frame of
// session management.
type Handler struct {
	cfg       Config
	path      string // of the issuer, "" in the normal case
	discovery *web.Document
	session   *web.Document // the frame of session management
	jwks      published
	mux       *web.Mux // of the pages; set by Routes
}

// New returns a Handler; what it advertises is fixed here.
func New(cfg Config) (*Handler, error) {
	u, err := url.Parse(cfg.Issuer)
	switch {
	case err != nil:
		return nil, fmt.Errorf("oidc: issuer: %w", err)
	case u.Scheme == "" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || strings.HasSuffix(cfg.Issuer, "/"):
		return nil, errors.New("oidc: the issuer is an absolute URL without query, fragment and final slash")
	case cfg.Provider == nil || cfg.Keys == nil || cfg.SignOuts == nil || cfg.Pages == nil:
		return nil, errors.New("oidc: Provider, Keys, SignOuts and Pages are required")
	case len(cfg.Scopes) == 0 || cfg.SessionCookie == "":
		return nil, errors.New("oidc: Scopes and SessionCookie are required")
	}
	if len(cfg.ResponseTypes) == 0 {
		cfg.ResponseTypes = []string{"code"}
	}
	discovery, session, err := documents(cfg)
	if err != nil {
		return nil, err
	}
	return &Handler{cfg: cfg, path: u.EscapedPath(), discovery: discovery, session: session, jwks: published{keys: cfg.Keys}}, nil
}

// documents makes what is served as it is: discovery, and the frame of session
// management.
func documents(cfg Config) (discovery, session *web.Document, err error) {
	if discovery, err = newDiscovery(newMetadata(cfg)); err != nil {
		return nil, nil, fmt.Errorf("oidc: discovery: %w", err)
	}
	frame, err := cfg.Pages.CheckSession()
	if err != nil {
		return nil, nil, fmt.Errorf("oidc: session frame: %w", err)
	}
	return discovery, web.NewDocument("text/html; charset=utf-8", frame, discoveryMaxAge), nil
}

// Routes mounts the endpoints on m.
func (h *Handler) Routes(m *web.Mux) {
	h.mux = m
	for _, p := range discoveryPaths(h.path) {
		m.Published("GET "+p, h.discovery.Serve, web.AnyOrigin)
	}
	m.Published("GET "+pathJWKS, h.jwks.serve, web.AnyOrigin)
	m.Resource("GET "+pathUserinfo, h.userinfo, h.cfg.Provider.AllowOrigin)
	m.Resource("POST "+pathUserinfo, h.userinfo, h.cfg.Provider.AllowOrigin)
	m.CrossSitePage("GET "+pathLogout, h.logout)
	m.CrossSitePage("POST "+pathLogout, h.logout)
	m.Page("POST "+pathLogoutConfirm, h.confirm, web.InPopup)
	m.Page("GET "+pathLogoutDone, h.done, web.InPopup)
	m.Framed("GET "+pathCheckSession, h.session.Serve)
}
