package web

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

func clientID(id string) slog.Attr { return slog.String("client_id", id) }

func TestOneLinePerRequest(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.OAuth("POST /token", func(w http.ResponseWriter, r *http.Request) error {
		Note(r.Context(), clientID("shop"), slog.String("sub", "u1"))
		Note(r.Context(), slog.String("sub", "u2"))
		return JSON(w, http.StatusOK, struct{}{})
	}, nil)
	r := request("POST", "/token", "a=b", "X-Correlation-ID", "c-1")
	r.RemoteAddr = "203.0.113.77:4"
	b.do(r)
	lines := b.log.lines(t)
	if len(lines) != 1 {
		t.Fatalf("%d lines", len(lines))
	}
	want := map[string]any{
		"level": "INFO", "msg": "request", "event": "request", "method": "POST", "route": "/token", "status": 200.0, "bytes": 3.0,
		"correlation_id": "c-1", "client_id": "shop", "sub": "u2", "address": "203.0.113.0/24", "took_ms": 0.0,
	}
	for k, v := range want {
		if lines[0][k] != v {
			t.Errorf("%s = %v, want %v", k, lines[0][k], v)
		}
	}
}

func TestNoSecretReachesTheLog(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	const secret = "hunter2"
	leaky := func(err error) Handler {
		return func(_ http.ResponseWriter, r *http.Request) error {
			Note(r.Context(), slog.String("access_token", secret), slog.String("password", secret), slog.String("code", secret))
			return err
		}
	}
	b.OAuth("/token/{id}", leaky(nil), nil)
	b.OAuth("/bad/{id}", leaky(quoting()), nil)
	b.Page("/page/{id}", leaky(errTest))
	for _, path := range []string{"/token/", "/bad/", "/page/", "/nowhere/"} {
		for _, method := range []string{"GET", "POST", "PUT"} {
			b.do(request(method, path+secret+"?code="+secret, "password="+secret,
				"Authorization", "Bearer "+secret, "Cookie", "gk_session="+secret, "User-Agent", secret, "Referer", "https://x/?"+secret,
				"X-Correlation-ID", "not a word "+secret, "X-Forwarded-For", secret, "DPoP", secret))
		}
	}
	if log := b.log.String(); strings.Contains(log, secret) {
		t.Errorf("the log tells the secret:\n%s", log)
	}
	if got := strings.Count(b.log.String(), `"event":"request"`); got != 12 {
		t.Errorf("%d lines, want 12", got)
	}
}

// quoting is an error whose cause quotes what was sent, as parsers do.
func quoting() error {
	e := *errTest
	e.Err = errors.New("parse \"hunter2\"")
	return &e
}

func TestNoteWithoutARequest(t *testing.T) {
	t.Parallel()
	Note(t.Context(), clientID("shop")) // the CLI has no line to add to
	if got := InfoFrom(t.Context()); got != (Info{}) {
		t.Errorf("info %v", got)
	}
	want := Info{CorrelationID: "c"}
	if got := InfoFrom(NewContext(t.Context(), want)); got != want {
		t.Errorf("info %v, want %v", got, want)
	}
}

func TestCorrelation(t *testing.T) {
	t.Parallel()
	const traceID = "4bf92f3577b34da6a3ce929d0e0e4736"
	parent := "00-" + traceID + "-00f067aa0ba902b7-01"
	tests := []struct {
		name   string
		header []string
		want   string // "" means a new one
	}{
		{"none", nil, ""},
		{"a word", []string{"X-Correlation-ID", "req_1.A-b"}, "req_1.A-b"},
		{"a trace", []string{"Traceparent", parent}, traceID},
		{"a word before a trace", []string{"X-Correlation-ID", "w", "Traceparent", parent}, "w"},
		{"a forged line", []string{"X-Correlation-ID", "a\" status=200"}, ""},
		{"too long", []string{"X-Correlation-ID", strings.Repeat("a", 65)}, ""},
		{"two", []string{"X-Correlation-ID", "a", "X-Correlation-ID", "b"}, ""},
		{"a trace of zeros", []string{"Traceparent", "00-" + strings.Repeat("0", 32) + "-00f067aa0ba902b7-01"}, ""},
		{"a trace in capitals", []string{"Traceparent", strings.ToUpper(parent)}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			var seen string
			b.API("GET /x", func(_ http.ResponseWriter, r *http.Request) error {
				seen = InfoFrom(r.Context()).CorrelationID
				return nil
			})
			got := b.get("/x", tt.header...).Header().Get("X-Correlation-ID")
			if got != seen || tt.want != "" && got != tt.want || tt.want == "" && (len(got) != 32 || !plainWord(got) || got == traceID) {
				t.Errorf("echoed %q, in the context %q, want %q", got, seen, tt.want)
			}
		})
	}
}

func TestSpansNameTheRouteAndNothingElse(t *testing.T) {
	t.Parallel()
	spans := tracetest.NewInMemoryExporter()
	provider := trace.NewTracerProvider(trace.WithSyncer(spans))
	t.Cleanup(func() { _ = provider.Shutdown(context.WithoutCancel(t.Context())) })
	b := newBench(t, func(c *Config) { c.Tracer = provider })
	b.OAuth("GET /user/{id}", failing(errors.New("boom")), nil)
	const parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	for _, peer := range []string{"192.0.2.1:1", "10.0.0.1:1"} {
		r := request("GET", "/user/hunter2?code=hunter2", "", "Traceparent", parent)
		r.RemoteAddr = peer
		b.do(r)
	}
	got := spans.GetSpans()
	if len(got) != 2 {
		t.Fatalf("%d spans", len(got))
	}
	for _, s := range got {
		if s.Name != "GET /user/{id}" {
			t.Errorf("name %s", s.Name)
		}
		for _, a := range s.Attributes {
			if strings.Contains(a.Value.String(), "hunter2") {
				t.Errorf("attribute %s tells the secret", a.Key)
			}
		}
	}
	if got[0].Parent.IsValid() || len(got[0].Links) != 1 {
		t.Error("a stranger's trace was continued, not linked")
	}
	if got[1].Parent.TraceID().String() != "4bf92f3577b34da6a3ce929d0e0e4736" {
		t.Error("a trusted proxy's trace was not continued")
	}
	if line := b.log.lines(t)[1]; line["trace_id"] != "4bf92f3577b34da6a3ce929d0e0e4736" {
		t.Errorf("line %v", line)
	}
}

// nowhere takes every line, so that a benchmark pays for its formatting.
type nowhere struct{}

func (nowhere) Write(p []byte) (int, error) { return len(p), nil }

func discard() *slog.Logger { return slog.New(slog.NewJSONHandler(nowhere{}, nil)) }
