package meter

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

func scrape(t *testing.T, m *Meter) string {
	t.Helper()
	rec := httptest.NewRecorder()
	m.Handler().ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil))
	if rec.Code != http.StatusOK {
		t.Fatalf("got status %d", rec.Code)
	}
	return rec.Body.String()
}

func TestEveryMetricUnderItsName(t *testing.T) {
	t.Parallel()
	m := New("1.2.3")
	m.HTTP("POST /oauth2/token", "POST", 200, 700*time.Microsecond)
	m.TokenIssued("authorization_code", "access")
	m.TokenError("refresh_token", "invalid_grant")
	m.Login("password", "ok")
	m.Introspection("http", true)
	m.Replay("refresh")
	m.PasswordHash(50 * time.Millisecond)
	m.PasswordWaiting(3)
	m.RateLimited("login.address")
	m.DeviceAnswer("approved")
	m.RefusalsDropped(7)
	m.RefusalsDropped(0)
	m.Gauge("signing_key_age_seconds", "Age.", func() float64 { return 42 })
	m.Gauge("gatekeeper_outbox_oldest_seconds", "Age.", func() float64 { return 1 })
	got := scrape(t, m)
	for _, want := range []string{
		`gatekeeper_http_request_duration_seconds_bucket{code="200",method="POST",route="POST /oauth2/token",le="0.0005"} 0`,
		`gatekeeper_http_request_duration_seconds_bucket{code="200",method="POST",route="POST /oauth2/token",le="0.001"} 1`,
		`gatekeeper_tokens_issued_total{grant="authorization_code",type="access"} 1`,
		`gatekeeper_token_errors_total{error="invalid_grant",grant="refresh_token"} 1`,
		`gatekeeper_logins_total{method="password",result="ok"} 1`,
		`gatekeeper_introspections_total{active="true",transport="http"} 1`,
		`gatekeeper_replays_total{kind="refresh"} 1`,
		`gatekeeper_password_hash_seconds_count 1`,
		`gatekeeper_password_hash_waiting 3`,
		`gatekeeper_rate_limited_total{rule="login.address"} 1`,
		`gatekeeper_device_answers_total{answer="approved"} 1`,
		`gatekeeper_audit_refusals_dropped_total 7`,
		`gatekeeper_signing_key_age_seconds 42`,
		`gatekeeper_outbox_oldest_seconds 1`,
		`gatekeeper_build_info{go_version="go`,
		`version="1.2.3"} 1`,
		`go_goroutines `,
		`process_cpu_seconds_total `,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("not published: %s", want)
		}
	}
}

// Nobody outside makes a series.
func TestOutsidersMakeNoSeries(t *testing.T) {
	t.Parallel()
	m := New("test")
	for i := range 1000 {
		s := fmt.Sprintf("x%d", i)
		m.HTTP("", s, 1000+i, time.Second)
		m.TokenIssued(s, "access")
		m.TokenError(s, s)
	}
	got := scrape(t, m)
	for _, want := range []string{
		`gatekeeper_http_request_duration_seconds_count{code="0",method="other",route="none"} 1000`,
		`gatekeeper_tokens_issued_total{grant="other",type="access"} 1000`,
		`gatekeeper_token_errors_total{error="other",grant="other"} 1000`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("not published: %s", want)
		}
	}
}

func TestTheNilMeterMeasuresNothing(t *testing.T) {
	t.Parallel()
	var m *Meter
	m.HTTP("/", "GET", 200, time.Second)
	m.TokenIssued("a", "b")
	m.TokenError("a", "b")
	m.Login("a", "b")
	m.Introspection("http", false)
	m.Replay("code")
	m.PasswordHash(time.Second)
	m.PasswordWaiting(1)
	m.RateLimited("r")
	m.RefusalsDropped(1)
	m.Gauge("g", "h", func() float64 { return 0 })
	rec := httptest.NewRecorder()
	m.Handler().ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil))
	if rec.Code != http.StatusNotFound {
		t.Errorf("got status %d, want 404", rec.Code)
	}
}

func TestConcurrentFirstUses(t *testing.T) {
	t.Parallel()
	m := New("test")
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for i := range 200 {
				m.RateLimited(fmt.Sprintf("rule%d", i%20))
			}
		})
	}
	wg.Wait()
	if got := scrape(t, m); !strings.Contains(got, `gatekeeper_rate_limited_total{rule="rule7"} 160`) {
		t.Error("counts were lost")
	}
}

// It is not parallel: AllocsPerRun counts the allocations of the whole process.
func TestTheHotPathAllocatesNothing(t *testing.T) {
	m := New("test")
	for name, f := range map[string]func(){
		"HTTP":          func() { m.HTTP("POST /oauth2/token", "POST", 200, time.Millisecond) },
		"TokenIssued":   func() { m.TokenIssued("refresh_token", "access") },
		"TokenError":    func() { m.TokenError("refresh_token", "invalid_grant") },
		"Introspection": func() { m.Introspection("http", true) },
		"Login":         func() { m.Login("password", "ok") },
	} {
		if got := testing.AllocsPerRun(100, f); got != 0 {
			t.Errorf("%s: got %v allocations, want 0", name, got)
		}
	}
}

func BenchmarkHTTP(b *testing.B) {
	m := New("test")
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			m.HTTP("POST /oauth2/token", "POST", 200, time.Millisecond)
		}
	})
}
