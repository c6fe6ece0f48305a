package main

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gatekeeper-oidc/gatekeeper/internal/web"
)

// healthMux mounts h as the public or the management listener does.
func healthMux(t *testing.T, mount func(*web.Mux)) http.Handler {
	t.Helper()
	m, err := web.New(web.Config{
		Issuer: &url.URL{Scheme: "https", Host: "id.example"}, Internal: true,
		Log: slog.New(slog.DiscardHandler), Now: time.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	mount(m)
	return m
}

func ask(t *testing.T, h http.Handler, path string) (int, string) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
	return w.Code, strings.TrimSpace(w.Body.String())
}

func TestHealth(t *testing.T) {
	t.Parallel()
	down := errors.New("dial db.internal: refused")
	tests := []struct {
		name         string
		database     error
		redis        error
		draining     bool
		code         int
		word, detail string
	}{
		{"well", nil, nil, false, 200, `{"status":"ok"}`, `{"status":"ok","checks":{"database":"ok","redis":"ok"}}`},
		{"redis is down", nil, down, false, 200, `{"status":"degraded"}`, `{"status":"degraded","checks":{"database":"ok","redis":"dial db.internal: refused"}}`},
		{"the database is down", down, nil, false, 503, `{"status":"unavailable"}`, `{"status":"unavailable","checks":{"database":"dial db.internal: refused","redis":"ok"}}`},
		{"both are down", down, down, false, 503, `{"status":"unavailable"}`, ""},
		{"stopping", nil, nil, true, 503, `{"status":"draining"}`, `{"status":"draining","checks":{}}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := &health{Now: time.Now, Checks: []healthCheck{
				{"database", true, func(context.Context) error { return tt.database }},
				{"redis", false, func(context.Context) error { return tt.redis }},
			}}
			if tt.draining {
				h.drain()
			}
			public, management := healthMux(t, h.Routes), healthMux(t, h.ManagementRoutes)
			if code, body := ask(t, public, "/readyz"); code != tt.code || body != tt.word {
				t.Errorf("readyz %d %s", code, body)
			}
			if code, body := ask(t, management, "/readyz"); code != tt.code || tt.detail != "" && body != tt.detail {
				t.Errorf("readyz in detail %d %s", code, body)
			}
			if code, body := ask(t, public, "/healthz"); code != 200 || body != `{"status":"ok"}` {
				t.Errorf("healthz %d %s", code, body)
			}
		})
	}
}

func TestStrangersCannotMakeHealthAFlood(t *testing.T) {
	t.Parallel()
	asked := 0
	now := time.Unix(0, 0)
	h := &health{Now: func() time.Time { return now }, Checks: []healthCheck{{"database", true, func(context.Context) error { asked++; return nil }}}}
	for range 100 {
		h.report(t.Context())
	}
	now = now.Add(healthFresh)
	report := h.report(t.Context())
	if asked != 2 {
		t.Errorf("the database was asked %d times, want twice", asked)
	}
	if out, err := json.Marshal(report); err != nil || !strings.Contains(string(out), `"ok"`) {
		t.Errorf("%s %v", out, err)
	}
}

func TestAHungUpCallerDoesNotMakeUsUnhealthy(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	h := &health{Now: time.Now, Checks: []healthCheck{{"database", true, func(ctx context.Context) error { return ctx.Err() }}}}
	if got := h.report(ctx).Status; got != "ok" {
		t.Errorf("status %s", got)
	}
}
