package web

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"net/http"

	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
)

// A Refusal is a refused request on its way to the trail.
type Refusal struct {
	Reference string // such as 7KQ2-M9XT
	Route     string // the pattern, never the path
	ClientID  string // as the handler noted it
	Fault     *fault.Error
	Network   string // it came from
	Repeats   bool   // the next ones of this kind in this minute are counted, and show this reference
	Count     int    // above 0: no refusal, but how many of this kind there were
}

// Refuse gives err a reference, notes it in the request's log line and hands it
// to the trail. The error writers call it; so does a handler that answers an
// error in its own form, such as a redirect to the application. Asked twice about
// one error it gives the same answer.
//
// What the program did (Internal, Unavailable) and what nobody forbade (NotFound)
// is logged, not handed to the trail.
func (m *Mux) Refuse(r *http.Request, err error) (reference string, f *fault.Error) {
	f = fault.Of(err)
	if f.Kind == fault.Internal && errors.Is(err, context.DeadlineExceeded) {
		f = fault.Down("time_budget", err)
	}
	rec := recordFrom(r.Context())
	if rec == nil {
		return newReference(), f
	}
	rec.mu.Lock()
	if rec.fault != nil && (rec.fault == f || errors.Is(err, rec.err)) {
		defer rec.mu.Unlock()
		return rec.reference, rec.fault
	}
	refusal, written := m.sampled(rec.info.Bucket(), Refusal{Reference: newReference(), Route: rec.route, ClientID: rec.clientID, Fault: f})
	rec.reference, rec.fault, rec.err, rec.counted = refusal.Reference, f, err, !written
	rec.gone = errors.Is(rec.Err(), context.Canceled) && (f.Kind == fault.Internal || f.Kind == fault.Unavailable)
	rec.mu.Unlock()

	if written && m.cfg.Refused != nil && refused(f.Kind) {
		m.cfg.Refused(r.Context(), refusal)
	}
	return refusal.Reference, f
}

// refused reports whether k is somebody's refusal rather than our failure.
func refused(k fault.Kind) bool {
	switch k {
	case fault.Invalid, fault.Unauthenticated, fault.Forbidden, fault.Conflict, fault.TooMany, fault.TooLarge,
		fault.Unsupported, fault.Stale:
		return true
	default:
		return false
	}
}

// newReference returns 40 random bits in the letters people do not misread
// (Crockford's base 32).
func newReference() string {
	const letters = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	for i := range b {
		b[i] = letters[b[i]&31]
	}
	return string(b[:4]) + "-" + string(b[4:])
}

// logFailure logs a failure that could not become the answer.
func (m *Mux) logFailure(r *http.Request, err error) {
	m.cfg.Log.LogAttrs(r.Context(), slog.LevelError, "error page failed", slog.String("event", "error_page_failed"),
		slog.String("correlation_id", InfoFrom(r.Context()).CorrelationID), slog.Any("cause", err))
}
