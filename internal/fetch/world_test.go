package fetch

import (
	"context"
	"crypto/x509"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// loopback is what the tests allow beside the public network.
var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}

func newClient(tb testing.TB, set func(*Config)) *Client {
	tb.Helper()
	cfg := Config{Now: func() time.Time { return epoch }}
	set(&cfg)
	c, err := New(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

// serve starts a TLS server with h and a client that may reach it.
func serve(tb testing.TB, h http.HandlerFunc, more ...func(*Config)) (*Client, string) {
	tb.Helper()
	s := httptest.NewTLSServer(h)
	tb.Cleanup(s.Close)
	return newClient(tb, func(cfg *Config) {
		cfg.Allow, cfg.Roots = loopback, []*x509.Certificate{s.Certificate()}
		for _, set := range more {
			set(cfg)
		}
	}), s.URL
}

// names is a resolver: for each look-up of a host the next of its answers, the
// last one again and again.
func names(answers map[string][][]netip.Addr) func(context.Context, string) ([]netip.Addr, error) {
	return func(_ context.Context, host string) ([]netip.Addr, error) {
		all := answers[host]
		if len(all) > 1 {
			answers[host] = all[1:]
		}
		if len(all) == 0 {
			return nil, nil
		}
		return all[0], nil
	}
}

// at returns address with another host; httptest's certificate is for example.com too.
func at(tb testing.TB, address, host string) string {
	tb.Helper()
	u, err := url.Parse(address)
	if err != nil {
		tb.Fatal(err)
	}
	u.Host = host + ":" + u.Port()
	return u.String()
}

func says(kind, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", kind)
		_, _ = strings.NewReader(body).WriteTo(w)
	}
}
