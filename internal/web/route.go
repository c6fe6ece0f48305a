package web

import (
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
)

// An audience is whom a route speaks to: it decides the checks before the handler
// and the words of an error.
type audience int

const (
	strangers audience = iota // no route: a page for browsers, a problem for others
	people
	applications
	bearers
	operators
	files
	probes
)

// A route is one mounted pattern. Its road is composed when it is mounted; a
// request only walks it.
type route struct {
	to          audience
	pattern     string
	cors        CORS
	formToken   bool // unsafe methods need one
	ownForms    bool
	popup       bool // an application may have opened it, and waits
	framed      bool // any site may show it in a frame
	published   bool // an OAuth answer from memory
	otherMethod bool // stands for the methods nobody mounted
}

// budget is how long the handler may take.
func (rt *route) budget() time.Duration {
	switch {
	case rt.to == people:
		return 10 * time.Second
	case rt.to == files, rt.published: // nothing is waited for
		return 0
	default:
		return 5 * time.Second
	}
}

// maxBody is how many bytes a body may have before anybody looks at it; Form and
// other readers ask for less.
func (rt *route) maxBody() int64 {
	switch rt.to {
	case operators:
		return 1 << 20
	case applications, bearers:
		return 128 << 10
	case people:
		return MaxForm
	default:
		return 0
	}
}

// An endpoint is all the routes of one path.
type endpoint struct {
	methods map[string]http.HandlerFunc
	other   http.HandlerFunc
	allow   string
	cors    bool
}

func (e *endpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if rec := recordFrom(r.Context()); rec != nil && r.URL.RawPath != "" {
		for i, key := range rec.router.URLParams.Keys { // the router matched the escaped path
			if v, err := url.PathUnescape(rec.router.URLParams.Values[i]); err == nil {
				r.SetPathValue(key, v)
			}
		}
	}
	if h := e.methods[r.Method]; h != nil {
		h(w, r)
		return
	}
	e.other(w, r)
}

// otherMethod refuses a method nobody mounted (RFC 9110 section 15.5.6).
func (e *endpoint) otherMethod(w http.ResponseWriter, r *http.Request) error {
	w.Header().Set("Allow", e.allow)
	return &statusError{status: http.StatusMethodNotAllowed, fault: &fault.Error{
		Kind: fault.NotFound, Code: "method_not_allowed", Detail: "This address does not answer " + printable(r.Method, 16) + ".",
		Rule: "method_allowed",
	}}
}

func notFound(http.ResponseWriter, *http.Request) error {
	return &fault.Error{Kind: fault.NotFound, Code: "not_found", Detail: "There is nothing at this address.", Rule: "route_known"}
}

func notImplemented(http.ResponseWriter, *http.Request) error {
	return &statusError{status: http.StatusNotImplemented, fault: &fault.Error{
		Kind: fault.NotFound, Code: "method_not_implemented", Detail: "The request has an unknown method.", Rule: "method_known",
	}}
}

// A statusError is a fault whose HTTP status its kind cannot say.
type statusError struct {
	status int
	fault  *fault.Error
}

func (e *statusError) Error() string { return e.fault.Error() }

// Unwrap shows the fault.
func (e *statusError) Unwrap() error { return e.fault }

// statusOf is the one place where a kind becomes an HTTP status.
func statusOf(err error, f *fault.Error) int {
	if s, ok := errors.AsType[*statusError](err); ok {
		return s.status
	}
	switch f.Kind {
	case fault.Invalid:
		return http.StatusBadRequest
	case fault.Unauthenticated:
		return http.StatusUnauthorized
	case fault.Forbidden:
		return http.StatusForbidden
	case fault.NotFound:
		return http.StatusNotFound
	case fault.Conflict:
		return http.StatusConflict
	case fault.TooMany:
		return http.StatusTooManyRequests
	case fault.TooLarge:
		return http.StatusRequestEntityTooLarge
	case fault.Unavailable:
		return http.StatusServiceUnavailable
	case fault.Unsupported:
		return http.StatusUnsupportedMediaType
	case fault.Stale:
		return http.StatusPreconditionFailed
	default:
		return http.StatusInternalServerError
	}
}
