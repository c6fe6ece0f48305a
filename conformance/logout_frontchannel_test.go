package conformance

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/net/html"
)

// A front is an application whose pages a browser visits: it is signed in with a
// redirect, framed at sign-out, and returned to.
type front struct {
	origin string

	mu     sync.Mutex
	visits []*url.URL
	stall  <-chan struct{} // what its frame waits for; nil for nothing
}

func newFront(t *testing.T) *front {
	t.Helper()
	f := &front{}
	server := httptest.NewServer(http.HandlerFunc(f.serve))
	t.Cleanup(server.Close)
	f.origin = server.URL
	return f
}

func (f *front) serve(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	f.visits = append(f.visits, r.URL)
	stall := f.stall
	f.mu.Unlock()
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	switch {
	case r.URL.Path == "/watch":
		_, _ = w.Write([]byte(watchPage))
	case r.URL.Path == "/front" && stall != nil:
		select {
		case <-stall:
		case <-r.Context().Done():
		}
	default:
		_, _ = w.Write([]byte(`<!doctype html><h1 id="welcome">` + strings.TrimPrefix(r.URL.Path, "/") + `</h1>`))
	}
}

// seen returns the visits to a path, in order.
func (f *front) seen(path string) (queries []url.Values) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, u := range f.visits {
		if u.Path == path {
			queries = append(queries, u.Query())
		}
	}
	return queries
}

// hold lets the frame of f wait until the test ends.
func (f *front) hold(t *testing.T) {
	t.Helper()
	stall := make(chan struct{})
	t.Cleanup(func() { close(stall) })
	f.mu.Lock()
	defer f.mu.Unlock()
	f.stall = stall
}

// client registers f as an application.
func (f *front) client(t *testing.T, d *deployment, id string) *app {
	t.Helper()
	secret := d.client(t, id, "--type", "web", "--first-party", "--redirect-uri", f.origin+"/callback", "--post-logout-redirect-uri", f.origin+"/bye",
		"--frontchannel-logout-uri", f.origin+"/front?kept=1", "--frontchannel-logout-session-required")
	return newApp(t, d, id, secret, f.origin+"/callback")
}

// attributes returns an attribute of every element of a kind.
func (p *page) attributes(element, name string) (values []string) {
	for n := range p.doc.Descendants() {
		if n.Type == html.ElementNode && n.Data == element && has(n, name) {
			values = append(values, attr(n, name))
		}
	}
	return values
}

// TestLogoutFrontchannel is the certification profile "Front-Channel Logout" in a
// browser without script.
func TestLogoutFrontchannel(t *testing.T) {
	everywhere(t, func(t *testing.T, d *deployment) {
		first, second := newFront(t), newFront(t)
		a, b := first.client(t, d, "shop"), second.client(t, d, "tool")
		d.user(t, ana, anaPassword)
		t.Run("oidcc-frontchannel-rp-initiated-logout-discovery-endpoint-verification", func(t *testing.T) {
			var meta struct {
				Supported bool `json:"frontchannel_logout_supported"`
				Session   bool `json:"frontchannel_logout_session_supported"`
			}
			if err := a.provider.Claims(&meta); err != nil || !meta.Supported || !meta.Session {
				t.Errorf("%+v, %v", meta, err)
			}
		})
		t.Run("oidcc-frontchannel-rp-initiated-logout", func(t *testing.T) {
			l := signedIn(a, d)
			l.alsoAt(b)
			p := l.ask("id_token_hint", l.hint, "post_logout_redirect_uri", first.origin+"/bye", "state", "s&t")
			query := "/front?kept=1&" + url.Values{"iss": {d.issuer}, "sid": {sidOf(t, l.hint)}}.Encode()
			frames := p.attributes("iframe", "src")
			slices.Sort(frames)
			want := []string{first.origin + query, second.origin + query}
			slices.Sort(want)
			if p.title() != "Signed out" || !slices.Equal(frames, want) {
				t.Fatalf("frames %q, want %q: %s", frames, want, p)
			}
			var sources []string
			for directive := range strings.SplitSeq(p.header.Get("Content-Security-Policy"), ";") {
				if list, ok := strings.CutPrefix(strings.TrimSpace(directive), "frame-src "); ok {
					sources = strings.Fields(list)
				}
			}
			slices.Sort(sources)
			if origins := []string{first.origin, second.origin}; !slices.Equal(sources, slices.Sorted(slices.Values(origins))) {
				t.Errorf("frame-src %q, want exactly the applications of the session", sources)
			}
			on := first.origin + "/bye?state=s%26t"
			if !strings.Contains(p.text, `<noscript><meta http-equiv="refresh" content="5;url=`+on) {
				t.Errorf("without script the page does not go on: %s", p.text)
			}
			if got := p.attributes("a", "href"); !slices.Contains(got, on) {
				t.Errorf("links %q", got)
			}
			if !l.out() {
				t.Error("still signed in")
			}
		})
		t.Run("after a question, and with nowhere to go", func(t *testing.T) {
			l := signedIn(a, d)
			p := l.b.press(l.ask(), "logout-confirm", nil)
			if p.title() != "Signed out" || len(p.attributes("iframe", "src")) != 1 || len(p.attributes("meta", "http-equiv")) != 0 {
				t.Errorf("the page: %s", p)
			}
		})
		t.Run("other pages show no frames", func(t *testing.T) {
			p := newBrowser(t, d.issuer).get(d.issuer + "/oidc/logout/done")
			if policy := p.header.Get("Content-Security-Policy"); strings.Contains(policy, "frame-src") || !strings.Contains(policy, "default-src 'none'") {
				t.Errorf("policy %q", policy)
			}
		})
	})
}
