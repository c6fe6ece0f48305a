package web

import (
	"context"
	"net/http"
	"reflect"
)

// A CORS decides whether a browser origin may read an answer.
type CORS func(ctx context.Context, origin string) bool

// AnyOrigin lets every site read a public document.
func AnyOrigin(context.Context, string) bool { return true }

const maxOrigin = 256 // bytes of an Origin header anybody looks at

// cors tells browsers who may read the answer: everybody, or the one origin that
// asks and is allowed, byte for byte. Never "null", which any sandboxed frame can
// claim, and never with credentials.
func (m *Mux) cors(rt *route, next Handler) Handler {
	everybody := reflect.ValueOf(rt.cors).Pointer() == reflect.ValueOf(AnyOrigin).Pointer()
	return func(w http.ResponseWriter, r *http.Request) error {
		h := w.Header()
		if everybody {
			h.Set("Access-Control-Allow-Origin", "*")
			return next(w, r)
		}
		h.Add("Vary", "Origin")
		if origins := r.Header["Origin"]; len(origins) == 1 && m.readable(r.Context(), rt, origins[0]) {
			h.Set("Access-Control-Allow-Origin", origins[0])
			h.Set("Access-Control-Expose-Headers", "WWW-Authenticate, Retry-After, X-Correlation-ID")
		}
		return next(w, r)
	}
}

func (m *Mux) readable(ctx context.Context, rt *route, origin string) bool {
	return origin != "" && origin != "null" && len(origin) <= maxOrigin && rt.cors(ctx, origin)
}

// preflight answers the browser's question before a request that is not simple
// (Fetch standard, CORS-preflight). An origin that may not read gets no permission.
func (e *endpoint) preflight(w http.ResponseWriter, _ *http.Request) error {
	h := w.Header()
	if h.Get("Access-Control-Allow-Origin") != "" {
		h.Set("Access-Control-Allow-Methods", e.allow)
		h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, DPoP, X-Correlation-ID, Traceparent")
		h.Set("Access-Control-Max-Age", "600")
	}
	h.Set("Allow", e.allow)
	w.WriteHeader(http.StatusNoContent)
	return nil
}
