package web

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

func TestBrowserState(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		edit              func(*Config)
		prefix, attribute string
	}{
		"https":            {func(*Config) {}, "__Host-gk_bs=", "; Path=/; Secure; SameSite=None"},
		"http on loopback": {plainIssuer, "gk_bs=", "; Path=/; SameSite=Lax"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, tt.edit)
			ask := func(cookie, session string) (state string, set []string) {
				w := httptest.NewRecorder()
				state = b.BrowserState(w, request("GET", "/", "", "Cookie", cookie), session)
				return state, w.Header()["Set-Cookie"]
			}
			nobody, set := ask("", "")
			if len(nobody) < 22 || !slices.Equal(set, []string{tt.prefix + nobody + tt.attribute}) {
				t.Fatalf("state %q, set %q", nobody, set)
			}
			if again, set := ask(tt.prefix+nobody, ""); again != nobody || len(set) != 0 {
				t.Errorf("set again: %q", set)
			}
			one, set := ask(tt.prefix+nobody, "s1")
			if one == nobody || len(set) != 1 || strings.Contains(set[0], "s1") {
				t.Errorf("signed in: %q, set %q", one, set)
			}
			if two, set := ask(tt.prefix+one, "s2"); two == one || two == nobody || len(set) != 1 {
				t.Errorf("somebody else: %q, set %q", two, set)
			}
		})
	}
}

func TestAllowFrames(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	var shown []string
	b.Page("GET /page", func(w http.ResponseWriter, _ *http.Request) error {
		shown = AllowFrames(w, []string{
			"https://a.example/out?x=1", "https://A.example/other", "http://127.0.0.1:9/out", "http://[::1]:9/out", "https://b.example:8443",
			"https://c.example;script-src/x", "https://d.example,e.example/x", "https://*.example/x", "https://f'.example/x", "javascript:alert(1)", "/x", "::", "",
		})
		w.WriteHeader(http.StatusOK)
		return nil
	})
	b.Page("GET /none", func(w http.ResponseWriter, _ *http.Request) error {
		if got := AllowFrames(w, []string{"https://*/"}); got != nil {
			t.Errorf("allowed %q", got)
		}
		w.WriteHeader(http.StatusOK)
		return nil
	})
	policy := b.get("/page").Header().Get("Content-Security-Policy")
	if !strings.HasSuffix(policy, "; frame-src https://a.example http://127.0.0.1:9 http://[::1]:9 https://b.example:8443") || !strings.HasPrefix(policy, pagePolicy) {
		t.Errorf("policy %q", policy)
	}
	if len(shown) != 5 {
		t.Errorf("shown %q", shown)
	}
	for range 2 { // the policy of one answer is not that of the next
		if got := b.get("/none").Header().Get("Content-Security-Policy"); got != pagePolicy {
			t.Errorf("policy %q", got)
		}
	}
}
