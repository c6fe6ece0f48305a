package web

import (
	"errors"
	"log/slog"
	"math"

	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
)

// finish writes the one log line of a request and counts it. Queries, headers,
// paths and bodies are never written: the route pattern and the ids say enough.
func (m *Mux) finish(rec *record, name string) {
	aborted := recover()
	took := m.cfg.Now().Sub(rec.start)
	status := rec.w.status
	switch {
	case aborted != nil && status == 0:
		status = statusHungUp
	case status == 0:
		status = 200
	}
	m.cfg.Meter.HTTP(rec.route, method(name), status, took)
	if level := rec.level(); m.cfg.Log.Enabled(rec, level) {
		m.cfg.Log.LogAttrs(rec, level, "request", m.line(rec, method(name), status, took.Seconds()*1000)...)
	}
	if aborted != nil {
		panic(aborted) // http.ErrAbortHandler: net/http cuts the connection
	}
}

func (rec *record) level() slog.Level {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	switch {
	case rec.counted:
		return slog.LevelDebug
	case rec.fault != nil && !rec.gone && (rec.fault.Kind == fault.Internal || rec.fault.Kind == fault.Unavailable):
		return slog.LevelError
	case rec.quiet:
		return slog.LevelDebug
	default:
		return slog.LevelInfo
	}
}

// line returns the attributes of the log line.
func (m *Mux) line(rec *record, method string, status int, ms float64) []slog.Attr {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	attrs := make([]slog.Attr, 0, 16+len(rec.notes))
	attrs = append(
		attrs,
		slog.String("event", "request"), slog.String("method", method), slog.String("route", rec.route),
		slog.Int("status", status), slog.Float64("took_ms", math.Round(ms*1000)/1000), slog.Int64("bytes", rec.w.bytes),
		slog.String("correlation_id", rec.info.CorrelationID), slog.String("address", truncated(rec.info.Address)),
	)
	if rec.traceID != "" {
		attrs = append(attrs, slog.String("trace_id", rec.traceID))
	}
	attrs = append(attrs, rec.notes...)
	if rec.fault == nil {
		return attrs
	}
	attrs = append(attrs, slog.String("error", rec.fault.Code), slog.String("rule", rec.fault.Rule), slog.String("reference", rec.reference))
	if rec.fault.Kind == fault.Internal || rec.fault.Kind == fault.Unavailable { // another kind's cause may quote what was sent
		attrs = append(attrs, slog.Any("cause", rec.err))
	}
	if p, ok := errors.AsType[*panicError](rec.err); ok {
		attrs = append(attrs, slog.String("stack", string(p.stack)))
	}
	return attrs
}

// redact hides a value that stands under the name of a secret, should a caller
// ever note one.
func redact(a slog.Attr) slog.Attr {
	switch a.Key {
	case "code", "code_verifier", "token", "access_token", "refresh_token", "id_token", "id_token_hint", "client_secret",
		"client_assertion", "password", "otp", "cookie", "authorization", "set-cookie", "dpop", "device_code", "user_code", "ticket":
		return slog.String(a.Key, "[redacted]")
	default:
		return a
	}
}
