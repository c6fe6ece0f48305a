package main

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gatekeeper-oidc/gatekeeper/internal/config"
)

// TestDoctorReadsTheCertificate: what is wrong with it, and what mends it.
func TestDoctorReadsTheCertificate(t *testing.T) {
	t.Parallel()
	now := time.Now()
	dir := t.TempDir()
	pair, _ := devFor(t, dir, "id.example.org", now)
	garbage := filepath.Join(dir, "garbage.crt")
	if err := os.WriteFile(garbage, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		cfg    config.Config
		later  time.Duration
		status string
		says   string
		fix    string
	}{
		"good":             {config.Config{Issuer: "https://id.example.org", TLSCert: pair.Cert}, 0, pass, "396 days left", ""},
		"soon over":        {config.Config{Issuer: "https://id.example.org", TLSCert: pair.Cert}, devLeafLife - 20*24*time.Hour, warn, "19 days left", "renew it"},
		"over":             {config.Config{Issuer: "https://id.example.org", TLSCert: pair.Cert}, devLeafLife + time.Hour, fail, "expired", "renew it"},
		"another host":     {config.Config{Issuer: "https://sso.example.org", TLSCert: pair.Cert}, 0, fail, "not sso.example.org", "host of the issuer"},
		"no such file":     {config.Config{Issuer: "https://id.example.org", TLSCert: filepath.Join(dir, "none")}, 0, fail, "no such file", "check tls_cert"},
		"no PEM":           {config.Config{Issuer: "https://id.example.org", TLSCert: garbage}, 0, fail, "no PEM certificate", "check tls_cert"},
		"a proxy's":        {config.Config{Issuer: "https://id.example.org"}, 0, pass, "proxy in front", ""},
		"none":             {config.Config{Issuer: "http://localhost:8080"}, 0, pass, "plain HTTP", ""},
		"to be made":       {config.Config{Issuer: "https://localhost:8080", TLS: "dev", DataDir: filepath.Join(dir, "new")}, 0, pass, "made at the first start", ""},
		"no issuer at all": {config.Config{Issuer: "https://[", TLSCert: pair.Cert}, 0, fail, "missing ']'", "check issuer"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := patient{cfg: &c.cfg, app: &app{world: world{Now: func() time.Time { return now.Add(c.later) }}}}
			found(t, p.certificate(t.Context()), c.status, c.says, c.fix)
		})
	}
}

// TestDoctorKnowsItsOwnIssuer from whatever else may answer at that address.
func TestDoctorKnowsItsOwnIssuer(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		answer func(self string) (int, string)
		status string
		says   string
		fix    string
	}{
		"itself":           {func(self string) (int, string) { return 200, `{"issuer":"` + self + `"}` }, pass, "is itself", ""},
		"another issuer":   {func(string) (int, string) { return 200, `{"issuer":"https://other.example"}` }, fail, "discovery says https://other.example", "make them equal"},
		"another program":  {func(string) (int, string) { return 200, "<html>" }, fail, "not the discovery", "check DNS and the proxy"},
		"a proxy that cut": {func(string) (int, string) { return 404, "" }, fail, "404", "the proxy hands /.well-known on"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var self string
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				status, body := c.answer(self)
				if r.URL.Path != "/.well-known/openid-configuration" {
					status = http.StatusTeapot
				}
				w.WriteHeader(status)
				_, _ = w.Write([]byte(body))
			}))
			t.Cleanup(server.Close)
			self = server.URL
			p := patient{cfg: &config.Config{Issuer: self}, app: &app{world: world{Now: time.Now}}}
			found(t, p.issuer(t.Context()), c.status, c.says, c.fix)
		})
	}
	silent := patient{cfg: &config.Config{Issuer: "http://localhost:1"}, app: &app{world: world{Now: time.Now}}}
	found(t, silent.issuer(t.Context()), fail, "does not answer", "gatekeeper serve")
	silent.cfg.Dev = true
	found(t, silent.issuer(t.Context()), warn, "does not answer", "gatekeeper serve")
}

// TestDoctorHasACureForEveryDatabase it cannot open, and goes on with the rest.
func TestDoctorHasACureForEveryDatabase(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ url, says string }{
		"nobody there": {"postgres://nobody:hunter2@127.0.0.1:1/none", "connection refused"},
		"no such name": {"postgres://nobody:hunter2@gatekeeper.invalid/none", "no such host"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := patient{cfg: &config.Config{DatabaseURL: config.Secret(c.url)}, app: &app{world: world{Now: time.Now}}}
			ctx, cancel := context.WithTimeout(t.Context(), examTime)
			defer cancel()
			found(t, p.database(ctx), fail, c.says, "check database_url")
			for _, exam := range []func(context.Context) []finding{p.clock, p.people, p.clients} {
				if got := exam(ctx); got != nil {
					t.Errorf("without a database: %v", got)
				}
			}
		})
	}
}

// found wants one finding with this status, that says and mends these.
func found(t *testing.T, got []finding, status, says, fix string) {
	t.Helper()
	switch {
	case len(got) != 1:
		t.Errorf("got %v, want one finding", got)
	case got[0].Status != status || !strings.Contains(got[0].Detail, says) || !strings.Contains(got[0].Fix, fix) || (fix == "") != (got[0].Fix == ""):
		t.Errorf("got %+v, want %s, %q and the fix %q", got[0], status, says, fix)
	case strings.Contains(got[0].Detail, "hunter2"):
		t.Errorf("%q tells the password", got[0].Detail)
	}
}
