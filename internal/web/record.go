package web

import (
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
	"github.com/gatekeeper-oidc/gatekeeper/internal/flight"
)

// A record is what is known about one request. It is the request's context, so
// that reading it back costs no second allocation.
type record struct {
	target string // path and query as they came, before the path of the issuer was cut
	context.Context
	info   Info
	peer   netip.Addr // the socket's
	secure bool       // came over TLS, here or at a trusted proxy
	start  time.Time
	route  string
	router chi.Context
	gate   *gate // which let it in, nil if none asked
	rank   int
	began  time.Time     // of its work
	away   time.Duration // it waited for others meanwhile
	w      response

	mu        sync.Mutex
	notes     []slog.Attr
	clientID  string
	err       error // what the door answered
	fault     *fault.Error
	reference string
	quiet     bool // a file, a probe or a document from memory: logged at debug
	counted   bool // one of many refusals: told in a total, logged at debug
	gone      bool // the caller hung up first
	form      *form
	tx        string // transaction cookie set by this request
	traceID   string
}

// Value lets the record be found, and the router find its own context in it.
func (rec *record) Value(key any) any {
	switch key {
	case recordKey{}:
		return rec
	case infoKey{}:
		return &rec.info
	case flight.CallerKey{}:
		return rec
	case chi.RouteCtxKey:
		return &rec.router
	default:
		return rec.Context.Value(key)
	}
}

// Who implements flight.Caller: the network a guest comes from.
func (rec *record) Who() string { return rec.info.Bucket() }

// Aside implements flight.Caller: a request that waits for somebody else's server
// is not counted as under way, or one address that hangs closes every door.
func (rec *record) Aside() (back func()) {
	g := rec.gate
	if g == nil {
		return func() {}
	}
	left := g.now()
	g.aside(rec.rank)
	return func() {
		g.back(rec.rank)
		rec.mu.Lock()
		defer rec.mu.Unlock()
		rec.away += g.now().Sub(left)
	}
}

var _ flight.Caller = (*record)(nil)

func recordFrom(ctx context.Context) *record {
	rec, _ := ctx.Value(recordKey{}).(*record)
	return rec
}

// Note adds attributes to the one log line of this request; a later attribute of
// the same key replaces an earlier one. The keys client_id, sub and sid are the
// usual ones. Values under the key of a secret are redacted. Without a request in
// ctx it does nothing.
func Note(ctx context.Context, attrs ...slog.Attr) {
	rec := recordFrom(ctx)
	if rec == nil {
		return
	}
	rec.mu.Lock()
	defer rec.mu.Unlock()
	for _, a := range attrs {
		a = redact(a)
		if a.Key == "client_id" {
			rec.clientID = a.Value.String()
		}
		i := slices.IndexFunc(rec.notes, func(n slog.Attr) bool { return n.Key == a.Key })
		if i < 0 {
			rec.notes = append(rec.notes, a)
			continue
		}
		rec.notes[i] = a
	}
}

// A response remembers what was answered.
type response struct {
	http.ResponseWriter
	status int
	bytes  int64
	prefix string // the issuer's path
}

func (w *response) WriteHeader(status int) {
	if w.status == 0 && status >= http.StatusOK {
		w.status = status
		w.leave()
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *response) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	n, err := w.ResponseWriter.Write(p)
	w.bytes += int64(n)
	return n, err
}

// Unwrap lets http.ResponseController reach the connection.
func (w *response) Unwrap() http.ResponseWriter { return w.ResponseWriter }
