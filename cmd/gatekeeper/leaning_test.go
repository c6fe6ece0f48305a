package main

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gatekeeper-oidc/gatekeeper/internal/web"
)

func TestANodeWhoseClockIsWrongIsNotReady(t *testing.T) {
	t.Parallel()
	const right = `"clock":"ok"`
	for offset, ready := range map[time.Duration]bool{
		0: true, 59 * time.Second: true, -59 * time.Second: true, 62 * time.Second: false, -62 * time.Second: false, time.Hour: false,
	} {
		var words bytes.Buffer
		c := &clock{now: func() time.Time { return time.Now().Add(offset) }, log: slog.New(slog.NewTextHandler(&words, nil)), theirs: func(context.Context) (time.Time, error) { return time.Now(), nil }}
		h := &health{Now: time.Now, Checks: []healthCheck{{"clock", true, c.check}}}
		code, said := ask(t, healthMux(t, func(m *web.Mux) { h.ManagementRoutes(m) }), "/readyz")
		if ready != (code == http.StatusOK) || ready != strings.Contains(said, right) {
			t.Errorf("%s off: %d %s", offset, code, said)
		}
		_ = c.check(t.Context())
		if n := strings.Count(words.String(), "clock_off"); ready != (n == 0) || n > 1 {
			t.Errorf("%s off: said %d times: %s", offset, n, words.String())
		}
	}
}
