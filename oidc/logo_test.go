package oidc

import (
	"bytes"
	"image"
	"image/png"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gatekeeper-oidc/gatekeeper/internal/fetch"
	"github.com/gatekeeper-oidc/gatekeeper/internal/web"
	"github.com/gatekeeper-oidc/gatekeeper/oauth2"
)

const logoAt = "https://shop.example/logo"

// dot is an image of one pixel.
func dot(t *testing.T) string {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, image.NewGray(image.Rect(0, 0, 1, 1))); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// gallery is Logos behind the real road.
func gallery(t *testing.T) (*world, *shelf, http.Handler) {
	t.Helper()
	k, s := newWorld(), &shelf{docs: map[string]fetch.Document{}, asked: map[string]int{}}
	k.clients["linked"] = oauth2.Client{ID: "linked", Name: "The <Shop>", LogoURI: logoAt}
	u, err := url.Parse(issuer)
	if err != nil {
		t.Fatal(err)
	}
	m, err := web.New(web.Config{Issuer: u, Internal: true, AllowedHosts: []string{"id.example.org"}, Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return noon }})
	if err != nil {
		t.Fatal(err)
	}
	l, err := NewLogos(k, s)
	if err != nil {
		t.Fatal(err)
	}
	l.Routes(m)
	return k, s, m
}

// TestLogoIsPassedOn: once fetched, it comes from memory, with nothing a browser
// could run.
func TestLogoIsPassedOn(t *testing.T) {
	t.Parallel()
	k, s, h := gallery(t)
	s.put(logoAt, "image/png", dot(t))
	for range 3 {
		w := get(t, h, issuer+"/logo/linked")
		header := w.Header()
		if w.Code != http.StatusOK || header.Get("Content-Type") != "image/png" || w.Body.String() != dot(t) ||
			header.Get("X-Content-Type-Options") != "nosniff" || !strings.Contains(header.Get("Content-Security-Policy"), "sandbox") ||
			!strings.Contains(header.Get("Content-Security-Policy"), "default-src 'none'") || header.Get("Cache-Control") != "public, max-age=3600" {
			t.Fatalf("%d %v", w.Code, header)
		}
	}
	if n := s.times(logoAt); n != 1 {
		t.Errorf("asked %d times", n)
	}
	k.clients["linked"] = oauth2.Client{ID: "linked", LogoURI: logoAt + "2"}
	s.put(logoAt+"2", "image/png", dot(t))
	if w := get(t, h, issuer+"/logo/linked"); w.Code != http.StatusOK || s.times(logoAt+"2") != 1 {
		t.Errorf("another address: %d", w.Code)
	}
}

// TestLogoThatIsNone: the initial stands in, and the address is left alone for a
// while.
func TestLogoThatIsNone(t *testing.T) {
	t.Parallel()
	for name, doc := range map[string]struct{ kind, body string }{
		"a program":                 {"image/svg+xml", `<svg xmlns="http://www.w3.org/2000/svg"><script>1</script></svg>`},
		"a program called image":    {"image/png", `<svg xmlns="http://www.w3.org/2000/svg"><script>1</script></svg>`},
		"a page called image":       {"image/gif", `<!doctype html><script>1</script>`},
		"a picture of another kind": {"image/jpeg", dot(t)},
		"too much":                  {"image/png", dot(t) + strings.Repeat("x", maxLogo)},
		"nothing":                   {"image/png", ""},
	} {
		_, s, h := gallery(t)
		s.put(logoAt, doc.kind, doc.body)
		for range 2 {
			w := get(t, h, issuer+"/logo/linked")
			if w.Code != http.StatusNotFound || w.Header().Get("Content-Type") != "image/svg+xml" || !strings.Contains(w.Body.String(), ">T</text>") ||
				strings.Contains(w.Body.String(), "script") || w.Header().Get("Cache-Control") != "public, max-age=60" {
				t.Errorf("%s: %d %v %s", name, w.Code, w.Header(), w.Body)
			}
		}
		if n := s.times(logoAt); n != 1 {
			t.Errorf("%s: asked %d times", name, n)
		}
	}
}

func TestLogoOfNobody(t *testing.T) {
	t.Parallel()
	k, s, h := gallery(t)
	for _, id := range []string{"nobody", "shop"} {
		if w := get(t, h, issuer+"/logo/"+id); w.Code != http.StatusNotFound || w.Body.Len() != 0 {
			t.Errorf("%s: %d %s", id, w.Code, w.Body)
		}
	}
	k.down = true
	if w := get(t, h, issuer+"/logo/linked"); w.Code != http.StatusNotFound || s.times(logoAt) != 0 {
		t.Errorf("without a store: %d", w.Code)
	}
	if _, err := NewLogos(nil, nil); err == nil {
		t.Error("logos of nobody")
	}
}
