package web

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-chi/chi/v5"
	"go.opentelemetry.io/otel/trace"

	"github.com/gatekeeper-oidc/gatekeeper/internal/meter"
	"github.com/gatekeeper-oidc/gatekeeper/templates"
)

// A Handler answers a request or returns why it could not. It writes nothing
// before it has decided.
type Handler func(w http.ResponseWriter, r *http.Request) error

// Routes is what a feature shows to the Mux.
type Routes interface{ Routes(m *Mux) }

// Config is what the road needs. Zero values are the safe ones; Issuer, Log and
// Now are required, and so are FormKey and Pages unless Internal.
type Config struct {
	Issuer         *url.URL
	TrustedProxies []netip.Prefix
	AllowedHosts   []string // besides the issuer's; names without ports
	FormKey        [32]byte // of the form tokens and browser states
	Dev            bool     // show people the decision trace, answer any loopback name
	Internal       bool     // the operators' listener: plain http, any address literal as Host
	Limits         Limits
	Pages          *templates.Set
	Log            *slog.Logger
	Meter          *meter.Meter
	Tracer         trace.TracerProvider // nil means no tracing
	Now            func() time.Time
	Refused        func(ctx context.Context, r Refusal) // may be nil
	// Session puts the signed-in session, if any, into the context of a page
	// request. It fails only when it cannot tell.
	Session func(w http.ResponseWriter, r *http.Request) (context.Context, error)
}

// Limits says how many requests of one audience are at work at once at most, so
// that a storm at one door does not close the others; under load it is fewer (see
// gate). Zero means the default: 256 pages, 512 of applications, 128 of operators,
// 1024 files.
type Limits struct{ Pages, OAuth, API, Static int64 }

// Mux mounts features on the one road. It is the only place that knows the router.
type Mux struct {
	cfg       Config
	https     bool
	origin    string // of the issuer
	prefix    string // path of the issuer, "" in the normal case
	inPages   *strings.Replacer
	hosts     []string
	router    *chi.Mux
	endpoints map[string]*endpoint
	gate      *gate
	files     atomic.Int64 // files under way
	shed      *tally
	refusals  *tally
	crossSite *http.CrossOriginProtection

	proxyTold [3]atomic.Bool // which mistakes of a proxy the log told of: see unclear
}

// New returns an empty Mux.
func New(cfg Config) (*Mux, error) {
	switch {
	case cfg.Issuer == nil || cfg.Issuer.Host == "":
		return nil, errors.New("web: the issuer is missing")
	case cfg.Log == nil || cfg.Now == nil:
		return nil, errors.New("web: a log and a clock are needed")
	case !cfg.Internal && cfg.Pages == nil:
		return nil, errors.New("web: the pages are missing")
	case !cfg.Internal && cfg.FormKey == [32]byte{}:
		return nil, errors.New("web: the key of the form tokens is missing")
	}
	m := &Mux{
		cfg: cfg, https: cfg.Issuer.Scheme == "https", origin: cfg.Issuer.Scheme + "://" + cfg.Issuer.Host,
		router: chi.NewRouter(), endpoints: map[string]*endpoint{}, crossSite: http.NewCrossOriginProtection(),
		gate: newGate(cfg.Now, cfg.Limits), shed: newTally(shedWindow), refusals: newTally(refusalWindow),
	}
	if !cfg.Internal {
		m.prefix = strings.TrimSuffix(cfg.Issuer.Path, "/")
		m.inPages = pageReplacer(m.prefix)
	}
	if err := m.crossSite.AddTrustedOrigin(m.origin); err != nil {
		return nil, fmt.Errorf("web: issuer %s is no origin: %w", cfg.Issuer, err)
	}
	for _, h := range append([]string{cfg.Issuer.Host}, cfg.AllowedHosts...) {
		m.hosts = append(m.hosts, hostname(h))
	}
	m.router.NotFound(m.serve(&route{to: strangers}, notFound))
	m.router.MethodNotAllowed(m.serve(&route{to: strangers}, notImplemented))
	return m, nil
}

// Page mounts h for people: errors become an HTML page, unsafe methods need a
// same-origin request and a form token, the session is in the context.
func (m *Mux) Page(pattern string, h Handler, opts ...Option) {
	m.mount(pattern, &route{to: people, formToken: true}, h, opts...)
}

// CrossSitePage is Page for the two pages that other sites may post to by
// specification: /oauth2/authorize and /oidc/logout.
func (m *Mux) CrossSitePage(pattern string, h Handler, opts ...Option) {
	m.mount(pattern, &route{to: people, popup: true}, h, opts...)
}

// API mounts h for programs of the operator: errors are RFC 9457 problem details,
// with the challenge of RFC 6750 section 3 on 401 and 403.
func (m *Mux) API(pattern string, h Handler) {
	m.mount(pattern, &route{to: operators}, h)
}

// OAuth mounts h for applications: errors are RFC 6749 section 5.2 JSON. cors
// decides which browser origins may read the answer; nil means none.
func (m *Mux) OAuth(pattern string, h Handler, cors CORS) {
	m.mount(pattern, &route{to: applications, cors: cors}, h)
}

// Published mounts h as OAuth does, for a document that is served from memory: it
// is answered whatever else is under way, because refusing it would cost as much.
func (m *Mux) Published(pattern string, h Handler, cors CORS) {
	m.mount(pattern, &route{to: applications, cors: cors, published: true}, h)
}

// Resource mounts h for the bearers of an access token, such as userinfo: errors
// are RFC 6750 section 3 challenges with a JSON body.
func (m *Mux) Resource(pattern string, h Handler, cors CORS) {
	m.mount(pattern, &route{to: bearers, cors: cors}, h)
}

// Static mounts h as it is, outside the session and the form tokens.
func (m *Mux) Static(pattern string, h http.Handler) {
	m.mount(pattern, &route{to: files}, func(w http.ResponseWriter, r *http.Request) error {
		h.ServeHTTP(w, r)
		return nil
	})
}

// Framed mounts h as the one kind of document that any site may show in a frame.
// It is outside the session and the form tokens: what it does, its script does
// with what the browser lets it see.
func (m *Mux) Framed(pattern string, h Handler) {
	m.mount(pattern, &route{to: files, framed: true}, h)
}

// Probe mounts h for those who watch the program: any Host, plain http, no cap,
// so that a health check never fails for a reason that is not about health.
func (m *Mux) Probe(pattern string, h Handler) {
	m.mount(pattern, &route{to: probes}, h)
}

// An Option refines one mounted page.
type Option func(*route)

// OwnForms is for pages outside an authorization request, such as the account
// pages: forms may only be sent to, and redirected within, this site
// (Content-Security-Policy form-action 'self').
func OwnForms(rt *route) { rt.ownForms = true }

// InPopup is for pages on the way of an authorization request: an application may
// have opened them in a window of their own, and hears of the answer from there
// (Cross-Origin-Opener-Policy unsafe-none). Cross-site pages are such pages.
func InPopup(rt *route) { rt.popup = true }

// mount composes the road of rt before h and hangs it at pattern.
func (m *Mux) mount(pattern string, rt *route, h Handler, opts ...Option) {
	method, path, found := strings.Cut(pattern, " ")
	if !found {
		method, path = "", pattern
	}
	for _, o := range opts {
		o(rt)
	}
	rt.pattern = path
	ep := m.endpoints[path]
	if ep == nil {
		ep = &endpoint{methods: map[string]http.HandlerFunc{}}
		m.endpoints[path] = ep
		m.router.Handle(path, ep)
		other := &route{to: rt.to, pattern: path, cors: rt.cors, popup: rt.popup, otherMethod: true, published: rt.published}
		ep.other = m.serve(other, ep.otherMethod)
	}
	methods := methodsOf(method, rt)
	ep.cors = ep.cors || rt.cors != nil
	serve := m.serve(rt, h)
	for _, name := range methods {
		switch {
		case name == http.MethodOptions && rt.cors != nil:
			pre := &route{to: rt.to, pattern: path, cors: rt.cors, otherMethod: true, published: rt.published}
			ep.methods[name] = m.serve(pre, ep.preflight)
		case ep.methods[name] != nil:
			panic("web: " + name + " " + path + " is mounted twice")
		case name == http.MethodHead && rt.to == people: // safe: what a GET would do is not done (RFC 9110 section 9.2.1)
			ep.methods[name] = m.serve(&route{to: rt.to, pattern: path, popup: rt.popup, otherMethod: true}, headOnly)
		default:
			ep.methods[name] = serve
		}
	}
	ep.allow = allowed(ep.methods)
}

// methodsOf are the methods that a pattern with this one, "" is none, answers.
func methodsOf(method string, rt *route) []string {
	methods := []string{method}
	switch {
	case method == http.MethodGet, method == "" && (rt.to == files || rt.to == probes):
		methods = []string{http.MethodGet, http.MethodHead}
	case method == "":
		methods = []string{http.MethodGet, http.MethodHead, http.MethodPost}
	}
	if rt.cors != nil {
		methods = append(methods, http.MethodOptions)
	}
	return methods
}

// headOnly answers HEAD on a page without doing what the page does.
func headOnly(w http.ResponseWriter, _ *http.Request) error {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(http.StatusOK)
	return nil
}

// allowed returns the value of the Allow header.
func allowed(methods map[string]http.HandlerFunc) string {
	names := make([]string, 0, len(methods))
	for n := range methods {
		names = append(names, n)
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

// ServeHTTP takes r down the road.
func (m *Mux) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	peer := peerOf(r)
	rec := &record{Context: r.Context(), start: m.cfg.Now(), peer: peer, secure: m.secure(r, peer), target: r.URL.RequestURI()}
	rec.info = Info{
		CorrelationID: correlation(r.Header), Address: m.address(peer, r.Header), UserAgent: printable(r.UserAgent(), 256),
	}
	rec.w.ResponseWriter, rec.w.prefix = w, m.prefix
	w.Header()[correlationHeader] = []string{rec.info.CorrelationID}
	if len(r.TransferEncoding) > 0 && r.ProtoMajor == 1 {
		// A Content-Length beside it, which net/http has taken away unseen, would make two
		// readers disagree where the request ends: nothing more is read from this
		// connection (RFC 9112 section 6.1).
		w.Header().Set("Connection", "close")
	}
	defer m.finish(rec, r.Method) //nolint:contextcheck // the record is the context
	r = r.WithContext(rec)        //nolint:contextcheck // the record wraps the context of r
	if m.prefix != "" {
		u := *r.URL
		if r.URL = &u; !m.enter(r) {
			r.URL.Path, r.URL.RawPath = "/outside/the/issuer", "" // which nobody mounts
		}
	}
	m.router.ServeHTTP(&rec.w, r)
}
