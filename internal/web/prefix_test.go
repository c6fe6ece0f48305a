package web

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/gatekeeper-oidc/gatekeeper/templates"
)

// TestIssuerWithPath: with an issuer of https://id.example/a/b everything is below
// it, and only the well-known addresses and the probes stay at the root.
func TestIssuerWithPath(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(c *Config) { c.Issuer = &url.URL{Scheme: "https", Host: "id.example", Path: "/a/b"} })
	b.Page("GET /account", fine)
	b.Page("GET /", fine)
	b.Page("GET /away", func(w http.ResponseWriter, r *http.Request) error {
		w.Header().Set("Location", r.URL.Query().Get("to"))
		w.WriteHeader(http.StatusSeeOther)
		return nil
	})
	b.Page("GET /page", func(w http.ResponseWriter, _ *http.Request) error {
		return b.Render(w, http.StatusOK, templates.SignedOut{Application: ` href="/x" `, ReturnURL: "https://shop.example/bye"})
	})
	b.OAuth("GET /.well-known/openid-configuration/a/b", fine, AnyOrigin)
	b.OAuth("GET /.well-known/openid-configuration", fine, AnyOrigin)
	b.Page("GET /healthz", fine)
	for path, want := range map[string]int{
		"/a/b/account": 200, "/a/b": 200, "/a/b/": 200, "/account": 404, "/": 404, "/a": 404, "/a/bb/account": 404, "/a/b/a/b/account": 404, "/a//b/account": 404,
		"/a/%62/account": 404, "/A/b/account": 404, "/healthz": 200, "/a/b/healthz": 200,
		"/.well-known/openid-configuration/a/b": 200, "/a/b/.well-known/openid-configuration": 200, "/.well-known/openid-configuration": 404,
		"/outside/the/issuer": 404,
	} {
		if w := b.get(path); w.Code != want {
			t.Errorf("%s: %d, want %d", path, w.Code, want)
		}
	}
	for to, want := range map[string]string{
		"/login?i=1": "/a/b/login?i=1", "https://shop.example/cb?code=1": "https://shop.example/cb?code=1", "//evil.example": "//evil.example",
		"org.example:/cb": "org.example:/cb",
	} {
		if got := b.get("/a/b/away?to=" + url.QueryEscape(to)).Header().Get("Location"); got != want {
			t.Errorf("a redirect to %s went to %s, want %s", to, got, want)
		}
	}
	page := b.get("/a/b/page").Body.String()
	for _, want := range []string{` href="/a/b/assets/`, ` href="/a/b/login"`, ` href="https://shop.example/bye"`} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %s", want)
		}
	}
	if strings.Contains(page, ` href="/login`) || strings.Contains(page, ` src="/assets`) || strings.Contains(page, `href="/a/b/x"`) {
		t.Errorf("the page has an address above the issuer, or changed somebody's name: %s", page)
	}
}
