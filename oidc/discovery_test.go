package oidc

import (
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
)

func TestDiscovery(t *testing.T) {
	t.Parallel()
	k := newWorld()
	h := k.road(t, k.config(t))
	w := get(t, h, issuer+"/.well-known/openid-configuration")
	if w.Code != http.StatusOK || w.Header().Get("Content-Type") != "application/json" || w.Header().Get("Cache-Control") != "public, max-age=300" {
		t.Fatalf("%d %v", w.Code, w.Header())
	}
	golden(t, "discovery.golden.json", w.Body.Bytes())
	if other := get(t, h, issuer+"/.well-known/oauth-authorization-server"); other.Body.String() != w.Body.String() {
		t.Errorf("RFC 8414 metadata differ: %s", other.Body)
	}
	if cors := get(t, h, issuer+"/.well-known/openid-configuration", "Origin", "https://anybody.example"); cors.Header().Get("Access-Control-Allow-Origin") == "" {
		t.Error("no browser can read it")
	}
	if again := get(t, h, issuer+"/.well-known/openid-configuration", "If-None-Match", w.Header().Get("ETag")); again.Code != http.StatusNotModified || again.Body.Len() != 0 {
		t.Errorf("second fetch: %d", again.Code)
	}
	k.down = true
	if w := get(t, h, issuer+"/.well-known/openid-configuration"); w.Code != http.StatusOK {
		t.Errorf("while the store is down: %d", w.Code)
	}
}

// TestDiscoveryNames: only registered names, nothing empty and nothing null.
func TestDiscoveryNames(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("testdata/registered_names.txt")
	if err != nil {
		t.Fatal(err)
	}
	registered := map[string]bool{}
	for line := range strings.Lines(string(raw)) {
		registered[strings.Fields(line)[0]] = true
	}
	k := newWorld()
	for name, change := range map[string]func(c *Config){
		"everything": func(c *Config) { c.SignUp, c.Registration = true, RegistrationOpen },
		"little":     func(c *Config) { c.Scopes = []string{"openid"} },
	} {
		cfg := k.config(t)
		change(&cfg)
		var doc map[string]any
		if err := json.Unmarshal(get(t, k.road(t, cfg), issuer+"/.well-known/openid-configuration").Body.Bytes(), &doc); err != nil {
			t.Fatal(err)
		}
		for member, v := range doc {
			if !registered[member] {
				t.Errorf("%s: %s is no registered name", name, member)
			}
			if list, ok := v.([]any); v == nil || v == "" || ok && len(list) == 0 {
				t.Errorf("%s: %s is empty", name, member)
			}
		}
		prompts, _ := json.Marshal(doc["prompt_values_supported"])
		if strings.Contains(string(prompts), "create") != cfg.SignUp {
			t.Errorf("%s: prompts %s", name, prompts)
		}
	}
}

// TestDiscoveryOfRegistration: where nobody may register an application, there is
// no word of it.
func TestDiscoveryOfRegistration(t *testing.T) {
	t.Parallel()
	for mode, want := range map[RegistrationMode]string{
		"": "", RegistrationClosed: "", RegistrationToken: issuer + "/oidc/register", RegistrationOpen: issuer + "/oidc/register",
	} {
		k := newWorld()
		cfg := k.config(t)
		cfg.Registration = mode
		var doc struct {
			Endpoint string `json:"registration_endpoint"`
		}
		if err := json.Unmarshal(get(t, k.road(t, cfg), issuer+"/.well-known/openid-configuration").Body.Bytes(), &doc); err != nil || doc.Endpoint != want {
			t.Errorf("%q: %q, %v", mode, doc.Endpoint, err)
		}
	}
}

// TestAdvertisedEndpointsAnswer: every URL of this package in discovery leads
// somewhere, and every one begins with the issuer.
func TestAdvertisedEndpointsAnswer(t *testing.T) {
	t.Parallel()
	k := newWorld()
	h := k.road(t, k.config(t))
	var doc map[string]any
	if err := json.Unmarshal(get(t, h, issuer+"/.well-known/openid-configuration").Body.Bytes(), &doc); err != nil {
		t.Fatal(err)
	}
	for name, v := range doc {
		if !strings.HasSuffix(name, "_endpoint") && name != "jwks_uri" {
			continue
		}
		u, err := url.Parse(v.(string))
		if err != nil || !strings.HasPrefix(v.(string), issuer+"/") {
			t.Errorf("%s: %v", name, v)
			continue
		}
		if w := get(t, h, v.(string)); strings.HasPrefix(u.Path, "/oidc/") && w.Code == http.StatusNotFound {
			t.Errorf("%s: nothing answers at %s", name, v)
		}
	}
}

// TestIssuerWithPath serves the three forms of the well-known address
// (RFC 8414 section 3.1, OpenID Connect Discovery section 4).
func TestIssuerWithPath(t *testing.T) {
	t.Parallel()
	k := newWorld()
	cfg := k.config(t)
	cfg.Issuer += "/tenant"
	h := k.road(t, cfg)
	if w := get(t, h, issuer+"/.well-known/openid-configuration"); w.Code != http.StatusNotFound {
		t.Errorf("another issuer's metadata, at the root of the host: %d", w.Code)
	}
	for _, path := range []string{
		"/.well-known/openid-configuration/tenant", "/tenant/.well-known/openid-configuration",
		"/.well-known/oauth-authorization-server/tenant", "/tenant/.well-known/oauth-authorization-server",
	} {
		w := get(t, h, issuer+path)
		if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), `"issuer": "`+cfg.Issuer+`"`) {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
}

func TestJWKS(t *testing.T) {
	t.Parallel()
	k := newWorld()
	h := k.road(t, k.config(t))
	w := get(t, h, issuer+"/oidc/jwks", "Origin", "https://anybody.example")
	if w.Code != http.StatusOK || w.Body.String() != k.jwks || w.Header().Get("Cache-Control") != "public, max-age=900" ||
		w.Header().Get("Content-Type") != "application/jwk-set+json" || w.Header().Get("Access-Control-Allow-Origin") == "" {
		t.Fatalf("%d %v %s", w.Code, w.Header(), w.Body)
	}
	etag := w.Header().Get("ETag")
	if w := get(t, h, issuer+"/oidc/jwks", "If-None-Match", etag); w.Code != http.StatusNotModified {
		t.Errorf("unchanged: %d", w.Code)
	}
	k.jwks = `{"keys":[{"kid":"next"}]}`
	if w := get(t, h, issuer+"/oidc/jwks", "If-None-Match", etag); w.Code != http.StatusOK || w.Body.String() != k.jwks {
		t.Errorf("a rotation is not seen: %d %s", w.Code, w.Body)
	}
	k.down = true
	if w := get(t, h, issuer+"/oidc/jwks"); w.Code != http.StatusOK {
		t.Errorf("while the store is down: %d", w.Code)
	}
}

func BenchmarkDiscovery(b *testing.B) { benchmark(b, "/.well-known/openid-configuration") }
func BenchmarkJWKS(b *testing.B)      { benchmark(b, "/oidc/jwks") }
