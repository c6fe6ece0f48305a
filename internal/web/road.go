package web

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
)

// A link is one check of the road: it stands before next on the routes it is for.
type link struct {
	name string
	on   func(rt *route) bool
	wrap func(rt *route, next Handler) Handler
}

// road lists the links in the order a request meets them.
func (m *Mux) road() []link {
	always := func(*route) bool { return true }
	guarded := func(rt *route) bool { return rt.to != probes }
	mounted := func(rt *route) bool { return rt.to != strangers && rt.to != probes && !rt.otherMethod }
	pages := func(rt *route) bool { return rt.to == people && !rt.otherMethod }
	ownPages := func(rt *route) bool { return pages(rt) && rt.formToken }
	return []link{
		{"span", func(*route) bool { return m.cfg.Tracer != nil }, m.span},
		{"headers", always, m.headers},
		{"files", func(rt *route) bool { return rt.to == files || rt.published }, m.counted},
		{"gate", func(rt *route) bool { _, ok := rt.rank(); return ok }, m.admitted},
		{"door", always, m.door},
		{"recover", always, m.recovered},
		{"host", guarded, m.host},
		{"scheme", func(rt *route) bool { return guarded(rt) && m.https && !m.cfg.Internal }, m.scheme},
		{"budget", func(rt *route) bool { return rt.budget() > 0 }, m.budgeted},
		{"cors", func(rt *route) bool { return rt.cors != nil }, m.cors},
		{"limits", mounted, m.limits},
		{"origin", ownPages, m.sameOrigin},
		{"session", func(rt *route) bool { return pages(rt) && m.cfg.Session != nil }, m.session},
		{"form token", ownPages, m.formToken},
	}
}

// serve composes the road of rt before h.
func (m *Mux) serve(rt *route, h Handler) http.HandlerFunc {
	for _, l := range slices.Backward(m.road()) {
		if l.on(rt) {
			h = l.wrap(rt, h)
		}
	}
	quiet := rt.to == files || rt.to == probes
	return func(w http.ResponseWriter, r *http.Request) {
		rec := recordFrom(r.Context())
		rec.route, rec.quiet = rt.pattern, quiet
		_ = h(w, r) // the door returns none
	}
}

// A panicError is what a handler died of.
type panicError struct {
	value any
	stack []byte
}

func (p *panicError) Error() string { return fmt.Sprintf("panic: %v", p.value) }

// recovered turns a panic into an Internal error. http.ErrAbortHandler is a
// handler's own way to cut the connection and passes.
func (m *Mux) recovered(_ *route, next Handler) Handler {
	return func(w http.ResponseWriter, r *http.Request) (err error) {
		defer func() {
			v := recover()
			if v == nil {
				return
			}
			if e, ok := v.(error); ok && errors.Is(e, http.ErrAbortHandler) {
				panic(v)
			}
			err = &fault.Error{Kind: fault.Internal, Code: "internal", Rule: "no_panic", Err: &panicError{v, debug.Stack()}}
		}()
		return next(w, r)
	}
}

// host refuses a Host that is not ours with 421 (RFC 9110 section 15.5.20), which
// ends DNS rebinding and mistaken virtual hosts alike. Ports are not compared:
// proxies drop them, and no URL is built from the request.
func (m *Mux) host(_ *route, next Handler) Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		if name := hostname(r.Host); !m.ours(name) {
			return &statusError{status: http.StatusMisdirectedRequest, fault: &fault.Error{
				Kind: fault.Invalid, Code: "invalid_request", Detail: "This server does not answer for that host name.",
				Rule:  "host_allowed",
				Facts: []fault.Fact{{Name: "host", Value: printable(name, 128)}, {Name: "allowed", Value: strings.Join(m.hosts, " ")}},
			}}
		}
		return next(w, r)
	}
}

func (m *Mux) ours(name string) bool {
	if slices.Contains(m.hosts, name) {
		return true
	}
	if localName(name) {
		return m.cfg.Dev || m.cfg.Internal
	}
	a, err := netip.ParseAddr(name)
	return err == nil && (m.cfg.Internal || m.cfg.Dev && a.IsLoopback())
}

// localName reports whether name is this computer's for itself (RFC 6761 section 6.3).
func localName(name string) bool { return name == "localhost" || strings.HasSuffix(name, ".localhost") }

// hostname returns the name of a Host header: lower case, no port, no brackets,
// no trailing dot.
func hostname(host string) string {
	name, _, err := net.SplitHostPort(host)
	if err != nil {
		name = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	}
	return strings.ToLower(strings.TrimSuffix(name, "."))
}

// scheme keeps an https issuer off plain http: a person reading is sent to https,
// everything else is refused, because a redirected POST has already leaked. What
// came through a proxy that does not say how is told so: a redirect would come
// back the same way, for ever.
func (m *Mux) scheme(rt *route, next Handler) Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		rec := recordFrom(r.Context())
		if rec.secure {
			return next(w, r)
		}
		if err := m.unclear(r, rec.peer); err != nil {
			return err
		}
		read := r.Method == http.MethodGet || r.Method == http.MethodHead
		if read && (rt.to == people || rt.to == files || rt.to == strangers) && strings.HasPrefix(r.URL.Path, "/") {
			w.Header().Set("Location", m.origin+rec.target)
			w.WriteHeader(http.StatusPermanentRedirect)
			return nil
		}
		return &fault.Error{
			Kind: fault.Invalid, Code: "invalid_request", Detail: "This server answers over https only.", Rule: "https_required",
			Facts: []fault.Fact{{Name: "peer_trusted", Value: fmt.Sprint(m.trusted(rec.peer))}},
		}
	}
}

// budgeted ends a request that takes too long; its stores see the deadline.
func (m *Mux) budgeted(rt *route, next Handler) Handler {
	budget := rt.budget()
	return func(w http.ResponseWriter, r *http.Request) error {
		ctx, cancel := context.WithTimeout(r.Context(), budget)
		defer cancel()
		return next(w, r.WithContext(ctx))
	}
}

// limits bounds what a handler may read, before anybody parses it.
func (m *Mux) limits(rt *route, next Handler) Handler {
	limit := rt.maxBody()
	return func(w http.ResponseWriter, r *http.Request) error {
		if len(r.URL.RawQuery) > MaxQuery {
			return &statusError{status: http.StatusRequestURITooLong, fault: &fault.Error{
				Kind: fault.TooLarge, Code: "invalid_request", Detail: "The query is too long.", Rule: "query_size",
			}}
		}
		if err := unencoded(r.Header); err != nil {
			return err
		}
		if r.ContentLength > limit {
			return tooLarge(limit)
		}
		if r.Body != nil && r.Body != http.NoBody {
			r.Body = http.MaxBytesReader(plain(w), r.Body, limit)
		}
		return next(w, r)
	}
}

// plain returns the writer below the road's own, which closes the connection after
// an oversized body.
func plain(w http.ResponseWriter) http.ResponseWriter {
	if own, ok := w.(*response); ok {
		return own.ResponseWriter
	}
	return w
}

// sameOrigin refuses unsafe requests that a browser says come from elsewhere.
func (m *Mux) sameOrigin(_ *route, next Handler) Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		if err := m.crossSite.Check(r); err != nil {
			return &fault.Error{
				Kind: fault.Forbidden, Code: "cross_site_request", Detail: "This form was sent from another site.", Rule: "same_origin",
				Facts: []fault.Fact{
					{Name: "origin", Value: printable(r.Header.Get("Origin"), 128)},
					{Name: "sec_fetch_site", Value: printable(r.Header.Get("Sec-Fetch-Site"), 32)},
				},
			}
		}
		return next(w, r)
	}
}

// session puts the signed-in session into the context.
func (m *Mux) session(_ *route, next Handler) Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		ctx, err := m.cfg.Session(w, r)
		if err != nil {
			return fmt.Errorf("read the session: %w", err)
		}
		return next(w, r.WithContext(ctx))
	}
}
