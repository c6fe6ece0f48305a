package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/gatekeeper-oidc/gatekeeper/conformance/suite"
	"github.com/gatekeeper-oidc/gatekeeper/internal/config"
)

func TestConformanceRun(t *testing.T) { //nolint:tparallel // one server: in order
	t.Parallel()
	h := openHouse(t, "--rate-limit-factor", "1000")

	t.Run("a development server lends everything", func(t *testing.T) {
		page := filepath.Join(t.TempDir(), "report.html")
		status, out, errs := h.command(t, "", nil, "conformance", "run", "--profile", "config,basic", "--pause", "1s", "--html", page)
		if status != exitDone {
			t.Fatalf("exit status %d\n%s\n%s", status, out, errs)
		}
		for _, want := range []string{
			"✓ basic (code)  server\n", "✓ basic (code)  request-object-signed-rs256\n", "! config  discovery-endpoint-verification\n",
			"plain http", "– basic (code)  unsigned-request-object", "[OpenID Connect Discovery 3]",
		} {
			if !strings.Contains(out, want) {
				t.Errorf("%q is missing in\n%s", want, out)
			}
		}
		if !strings.Contains(errs, " passed, 0 failed, 1 warned") {
			t.Errorf("the sum is missing in %s", errs)
		}
		html, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, never := range []string{"<script", "http-equiv=\"refresh\"", "src=", "@import"} {
			if strings.Contains(string(html), never) {
				t.Errorf("the page needs something else: %s", never)
			}
		}
		if !strings.Contains(string(html), "<code>prompt-login</code>") || !strings.Contains(string(html), "To be looked at") {
			t.Errorf("the page does not hold the results:\n%s", html)
		}
		if _, left, _ := h.command(t, "", nil, "client", "list", "-o", "name"); strings.TrimSpace(left) != "" {
			t.Errorf("borrowed clients are still there: %s", left)
		}
		if _, left, _ := h.command(t, "", nil, "user", "list", "-o", "name"); strings.TrimSpace(left) != "" {
			t.Errorf("the borrowed person is still there: %s", left)
		}
	})

	t.Run("what fails, as JSON", func(t *testing.T) {
		status, out, errs := h.command(t, "wrong password, all of it\n", nil, "conformance", "run", "--issuer", h.issuer, "--user", "nobody@example.org", "--password-stdin",
			"--client-id", "nobody", "--profile", "basic", "--pause", "1s", "-o", "json")
		var report suite.Report
		if err := json.Unmarshal([]byte(out), &report); err != nil {
			t.Fatalf("%v in %s", err, out)
		}
		if status != exitFailed || report.Count(suite.Failed) == 0 || report.Issuer != h.issuer {
			t.Errorf("exit status %d, %d failed\n%s", status, report.Count(suite.Failed), errs)
		}
		for _, r := range report.Results {
			if r.Outcome == suite.Failed && (len(r.Reasons) == 0 || r.Spec == "") {
				t.Errorf("%s failed and nobody knows why: %+v", r.Module, r)
			}
		}
		if strings.Contains(out+errs, "wrong password") {
			t.Error("the password was told")
		}
	})

	t.Run("a warning, strictly", func(t *testing.T) {
		if status, out, _ := h.command(t, "", nil, "conformance", "run", "--profile", "config", "--strict"); status != exitFailed {
			t.Errorf("exit status %d\n%s", status, out)
		}
	})

	t.Run("usage", func(t *testing.T) {
		for _, args := range [][]string{{"--profile", "perfect"}, {"--issuer", h.issuer, "--user", "ana@example.org"}, {"--from", "nowhere.json"}} {
			if status, _, errs := h.command(t, "", nil, append([]string{"conformance", "run"}, args...)...); status != exitUsage {
				t.Errorf("%v: exit status %d %s", args, status, errs)
			}
		}
	})
}

func TestConformanceRunLendsNothingInProduction(t *testing.T) {
	t.Parallel()
	h := &household{dir: t.TempDir(), issuer: "https://id.example.org"}
	status, _, errs := h.command(t, "", nil, "conformance", "run")
	if status != exitUsage || !strings.Contains(errs, "--user") {
		t.Errorf("exit status %d\n%s", status, errs)
	}
}

// TestConformanceSeed prepares a server over TLS twice and runs the suite with
// what was printed last: every advertised address is https.
func TestConformanceSeed(t *testing.T) {
	t.Parallel()
	h := openHouse(t, "--rate-limit-factor", "1000", "--tls", "dev")
	more := func(w *world) { w.Environ = append(w.Environ, "GATEKEEPER_TLS=dev") }
	settings, seeded := filepath.Join(h.dir, "settings.yaml"), filepath.Join(h.dir, "suite.json")
	var outputs []suite.Configuration
	for range 2 {
		status, out, errs := h.command(t, "", more, "conformance", "seed", "--settings", settings, "--alias", "acme", "--suite-ca", "suite.pem")
		if status != exitDone {
			t.Fatalf("exit status %d\n%s", status, errs)
		}
		if !strings.Contains(errs, "response_types") || !strings.Contains(errs, "rate_limit_factor") {
			t.Errorf("the settings are missing in %s", errs)
		}
		var c suite.Configuration
		if err := json.Unmarshal([]byte(out), &c); err != nil {
			t.Fatalf("%v in %s", err, out)
		}
		outputs = append(outputs, c)
		if err := os.WriteFile(seeded, []byte(out), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if outputs[0].Client.ID != outputs[1].Client.ID || outputs[0].Client.Secret == outputs[1].Client.Secret {
		t.Error("seeding twice is not the same applications with new secrets")
	}
	if _, list, _ := h.command(t, "", more, "client", "list", "-o", "name"); len(strings.Fields(list)) != 5 {
		t.Errorf("clients: %s", list)
	}
	knownSettings(t, settings)
	status, out, errs := h.command(t, "", more, "conformance", "run", "--from", seeded, "--no-pkce", "--profile", "config", "--profile", "rp-initiated-logout", "--strict", "--pause", "1s")
	if status != exitDone {
		t.Errorf("exit status %d\n%s\n%s", status, out, errs)
	}
	h.issuer = ""
	if status, _, errs := h.command(t, "", more, "user", "create", "boss@example.org", "--role", "admin"); status != exitDone {
		t.Fatal(errs)
	}
	if status, _, errs := h.command(t, "", more, "conformance", "seed", "--user", "boss@example.org"); status != exitUsage || !strings.Contains(errs, "roles") {
		t.Errorf("exit status %d %s", status, errs)
	}
}

// knownSettings holds the settings that were written to the keys there are.
func knownSettings(t *testing.T, file string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var written map[string]any
	if err := yaml.Unmarshal(text, &written); err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for _, f := range config.Fields() {
		known[f.Key] = true
	}
	for key := range written {
		if !known[key] {
			t.Errorf("the setting %s is not known", key)
		}
	}
	for _, key := range []string{"response_types", "rate_limit_factor", "fetch_allow", "fetch_ca"} {
		if written[key] == nil {
			t.Errorf("the setting %s is missing in\n%s", key, text)
		}
	}
}
