package web

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
)

// TestProxyMistakes walks what a request can say of its scheme. No mistake is a
// plain http request of a person, which is sent to https.
func TestProxyMistakes(t *testing.T) {
	t.Parallel()
	const trusted, foreign = "10.0.0.1:1", "192.0.2.7:1"
	tests := []struct {
		name, peer string
		header     map[string]string
		want       string
	}{
		{"a person came to the plain port", foreign, nil, ""},
		{"the proxy says http, and it was", trusted, map[string]string{"X-Forwarded-Proto": "http"}, ""},
		{"the proxy says nothing", trusted, nil, "proxy_sends_no_scheme"},
		{"the proxy says only whom it speaks for", trusted, map[string]string{"X-Forwarded-For": "203.0.113.5"}, "proxy_sends_no_scheme"},
		{"the proxy says it by RFC 7239 alone", trusted, map[string]string{"Forwarded": "proto=https"}, "proxy_sends_no_scheme"},
		{"a proxy nobody knows", foreign, map[string]string{"X-Forwarded-Proto": "https"}, "proxy_not_trusted"},
		{"a proxy nobody knows that says only whom", foreign, map[string]string{"X-Forwarded-For": "203.0.113.5"}, "proxy_not_trusted"},
		{"an inner proxy that overwrites", trusted, map[string]string{"X-Forwarded-Proto": "http", "Sec-Fetch-Site": "none"}, "proxy_says_http"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://id.example/login", nil)
			r.RemoteAddr = tt.peer
			for k, v := range tt.header {
				r.Header.Set(k, v)
			}
			for range 2 {
				err := b.unclear(r, peerOf(r))
				switch {
				case tt.want == "" && err != nil:
					t.Errorf("refused: %v", err)
				case tt.want != "" && (err == nil || fault.Of(err).Rule != tt.want):
					t.Errorf("got %v, want the rule %s", err, tt.want)
				}
			}
			if got, want := strings.Count(b.log.String(), `"event":"proxy_`), min(len(tt.want), 1); got != want {
				t.Errorf("%d log lines, want %d: %s", got, want, b.log.String())
			}
		})
	}
}
