package oidc

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"
)

// leaving signs out of a session that reached some applications.
func leaving(t *testing.T, query string, reached ...string) *httptest.ResponseRecorder {
	t.Helper()
	k := signedIn()
	k.reached = reached
	k.clients["tool2"] = k.clients["tool"]
	return get(t, k.road(t, k.config(t)), issuer+"/oidc/logout?"+query, "Cookie", live)
}

// found returns an attribute of every element of a kind.
func found(t *testing.T, page, element, name string) (values []string) {
	t.Helper()
	doc, err := html.Parse(strings.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}
	for n := range doc.Descendants() {
		if n.Type != html.ElementNode || n.Data != element {
			continue
		}
		for _, a := range n.Attr {
			if a.Key == name {
				values = append(values, a.Val)
			}
		}
	}
	return values
}

func TestFrames(t *testing.T) {
	t.Parallel()
	const hint, bye = "id_token_hint=this-session", "&state=x%26y&post_logout_redirect_uri=https://shop.example/bye"
	const frame = "https://TOOL.example:8443/out?a=b&iss=https%3A%2F%2Fid.example.org&sid=s1"
	t.Run("and on to the application", func(t *testing.T) {
		t.Parallel()
		w := leaving(t, hint+bye, "back", "gone", "odd", "tool", "tool2")
		if w.Code != http.StatusOK {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		if got := found(t, w.Body.String(), "iframe", "src"); !slices.Equal(got, []string{frame, frame}) {
			t.Errorf("frames %q, want one for each application with an address that can stand in a policy", got)
		}
		policy := w.Header().Get("Content-Security-Policy")
		if !strings.HasSuffix(policy, "; frame-src https://tool.example:8443") || strings.Contains(policy, "odd") {
			t.Errorf("policy %q", policy)
		}
		// A browser that runs the script must not obey both: the application would be
		// called twice.
		if want := `<noscript><meta http-equiv="refresh" content="5;url=https://shop.example/bye?state=x%26y"></noscript>`; !strings.Contains(w.Body.String(), want) {
			t.Errorf("the page does not go on without script, or goes on twice with it: %s", w.Body)
		}
		if got := found(t, w.Body.String(), "a", "href"); !slices.Contains(got, "https://shop.example/bye?state=x%26y") {
			t.Errorf("links %q", got)
		}
		if w.Header().Get("Clear-Site-Data") == "" || !strings.Contains(strings.Join(w.Header().Values("Set-Cookie"), "\n"), "__Host-gk_session=;") {
			t.Errorf("headers %v", w.Header())
		}
	})
	t.Run("and nowhere to go", func(t *testing.T) {
		t.Parallel()
		w := leaving(t, hint, "tool")
		if got := found(t, w.Body.String(), "iframe", "src"); w.Code != http.StatusOK || !slices.Equal(got, []string{frame}) {
			t.Errorf("%d, frames %q", w.Code, got)
		}
		if got := found(t, w.Body.String(), "meta", "http-equiv"); len(got) != 0 {
			t.Errorf("a page without an address goes on: %q", got)
		}
	})
	for name, reached := range map[string][]string{
		"of applications told otherwise":             {"back"},
		"that a policy could not hold":               {"odd"},
		"of applications gone or of no front at all": {"gone", "ours"},
		"of nobody": nil,
	} {
		t.Run("none "+name, func(t *testing.T) {
			t.Parallel()
			w := leaving(t, hint+bye, reached...)
			if w.Code != http.StatusSeeOther || w.Header().Get("Location") != "https://shop.example/bye?state=x%26y" {
				t.Errorf("%d to %q", w.Code, w.Header().Get("Location"))
			}
		})
	}
}

// TestCheckSessionFrame: this page alone may be shown by any site.
func TestCheckSessionFrame(t *testing.T) {
	t.Parallel()
	k := newWorld()
	w := get(t, k.road(t, k.config(t)), issuer+"/oidc/session")
	if w.Code != http.StatusOK || w.Header().Get("Content-Type") != "text/html; charset=utf-8" || w.Header().Get("X-Frame-Options") != "" {
		t.Fatalf("%d %v", w.Code, w.Header())
	}
	policy := w.Header().Get("Content-Security-Policy")
	for _, want := range []string{"frame-ancestors *", "default-src 'none'", "script-src 'self'"} {
		if !strings.Contains(policy, want) {
			t.Errorf("policy %q lacks %q", policy, want)
		}
	}
	if got := found(t, w.Body.String(), "script", "src"); len(got) != 1 || !strings.HasPrefix(got[0], "/assets/session.") {
		t.Errorf("scripts %q", got)
	}
}

// TestSignOutChangesTheBrowserState: the frame must notice.
func TestSignOutChangesTheBrowserState(t *testing.T) {
	t.Parallel()
	w := leaving(t, "id_token_hint=this-session")
	var state *http.Cookie
	for _, c := range w.Result().Cookies() {
		if c.Name == "__Host-gk_bs" {
			state = c
		}
	}
	if state == nil || state.Value == "" || state.HttpOnly || !state.Secure || state.SameSite != http.SameSiteNoneMode || state.Path != "/" {
		t.Errorf("browser state %+v", state)
	}
}
