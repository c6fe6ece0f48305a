package web

import (
	"net/http"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// span traces the request under its route pattern; paths and queries, which may
// hold secrets, never reach a span. A caller's trace is continued if the caller is
// a trusted proxy; anybody else's is only linked, so that strangers neither decide
// what is sampled nor hang spans into our traces.
func (m *Mux) span(rt *route, next Handler) Handler {
	tracer := m.cfg.Tracer.Tracer("github.com/gatekeeper-oidc/gatekeeper/internal/web")
	return func(w http.ResponseWriter, r *http.Request) error {
		rec := recordFrom(r.Context())
		ctx := r.Context()
		opts := []trace.SpanStartOption{
			trace.WithSpanKind(trace.SpanKindServer),
			trace.WithAttributes(
				attribute.String("http.request.method", method(r.Method)), attribute.String("http.route", rt.pattern),
				attribute.String("gatekeeper.correlation_id", rec.info.CorrelationID)),
		}
		remote := propagation.TraceContext{}.Extract(ctx, propagation.HeaderCarrier(r.Header))
		if sc := trace.SpanContextFromContext(remote); sc.IsValid() {
			if m.trusted(rec.peer) {
				ctx = remote
			} else {
				opts = append(opts, trace.WithLinks(trace.Link{SpanContext: sc}))
			}
		}
		ctx, span := tracer.Start(ctx, method(r.Method)+" "+rt.pattern, opts...)
		defer span.End()
		err := next(w, r.WithContext(ctx))
		span.SetAttributes(attribute.Int("http.response.status_code", rec.w.status))
		if rec.w.status >= http.StatusInternalServerError {
			span.SetStatus(codes.Error, rec.reference)
		}
		rec.traceID = span.SpanContext().TraceID().String()
		return err
	}
}

// method returns a request's method, or "_OTHER" for one nobody registered, so
// that strangers cannot invent label values.
func method(name string) string {
	switch name {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch,
		http.MethodDelete, http.MethodOptions, http.MethodConnect, http.MethodTrace:
		return name
	default:
		return "_OTHER"
	}
}
