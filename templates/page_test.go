package templates

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"
)

func parsed(t *testing.T, text string) *html.Node {
	t.Helper()
	doc, err := html.Parse(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

func attr(n *html.Node, key string) (string, bool) {
	for _, a := range n.Attr {
		if a.Key == key {
			return a.Val, true
		}
	}
	return "", false
}

// elements returns the elements called name, every one if name is "".
func elements(doc *html.Node, name string) (found []*html.Node) {
	for n := range doc.Descendants() {
		if n.Type == html.ElementNode && (name == "" || n.Data == name) {
			found = append(found, n)
		}
	}
	return found
}

func text(n *html.Node) string {
	var b strings.Builder
	for c := range n.Descendants() {
		if c.Type == html.TextNode {
			b.WriteString(c.Data)
		}
	}
	return strings.Join(strings.Fields(b.String()), " ")
}

// TestEveryPage holds what is true of all of them (WCAG 2.2, and the strictest
// Content-Security-Policy).
func TestEveryPage(t *testing.T) {
	t.Parallel()
	s := newSet(t)
	for name, p := range samples() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			doc := parsed(t, render(t, s, p))
			root := elements(doc, "html")[0]
			if lang, _ := attr(root, "lang"); lang != string(p.locale()) {
				t.Errorf("lang is %q, want %q", lang, p.locale())
			}
			if dir, _ := attr(root, "dir"); dir != "ltr" {
				t.Errorf("dir is %q", dir)
			}
			if title := text(elements(doc, "title")[0]); !strings.HasSuffix(title, " · Gatekeeper") || strings.HasPrefix(title, " ") {
				t.Errorf("title %q", title)
			}
			if n, m := len(elements(doc, "h1")), len(elements(doc, "main")); n != 1 || m != 1 {
				t.Errorf("%d h1 and %d main", n, m)
			}
			ids := uniqueIDs(t, doc)
			for _, n := range elements(doc, "") {
				contained(t, n)
				described(t, n, ids)
			}
			labelled(t, doc)
			if n := autofocused(doc); n > 1 {
				t.Errorf("%d elements want the focus", n)
			}
		})
	}
}

func uniqueIDs(t *testing.T, doc *html.Node) map[string]bool {
	t.Helper()
	ids := map[string]bool{}
	for _, n := range elements(doc, "") {
		if id, ok := attr(n, "id"); ok {
			if ids[id] {
				t.Errorf("id %q is there twice", id)
			}
			ids[id] = true
		}
	}
	return ids
}

// contained reports what a strict policy would block, or what would make another
// site see that somebody is here.
func contained(t *testing.T, n *html.Node) {
	t.Helper()
	if n.Data == "iframe" { // the one thing a page shows of another site, of which nothing is seen
		_, hidden := attr(n, "hidden")
		if may, _ := attr(n, "sandbox"); !hidden || may == "" || strings.Contains(may, "top-navigation") || strings.Contains(may, "popups") {
			t.Errorf("a frame that is seen, or may move the page: %q", may)
		}
		return
	}
	for _, a := range n.Attr {
		if a.Key == "style" || strings.HasPrefix(a.Key, "on") {
			t.Errorf("<%s> has an inline %s", n.Data, a.Key)
		}
		loads := a.Key == "src" || n.Data == "link" && a.Key == "href"
		if loads && !strings.HasPrefix(a.Val, AssetsPath) && (n.Data != "img" || !strings.HasPrefix(a.Val, LogoPath)) {
			t.Errorf("<%s> loads %q", n.Data, a.Val)
		}
	}
	if n.Data == "style" || n.Data == "script" && n.FirstChild != nil {
		t.Errorf("<%s> with content of its own", n.Data)
	}
	if n.Data == "button" {
		if kind, _ := attr(n, "type"); kind != "submit" {
			t.Errorf("button %q is of type %q", text(n), kind)
		}
	}
	if target, _ := attr(n, "target"); target == "_blank" {
		if rel, _ := attr(n, "rel"); !strings.Contains(rel, "noopener") {
			t.Errorf("a new window keeps its opener: %q", text(n))
		}
		if rel, _ := attr(n, "rel"); !strings.Contains(rel, "nofollow") {
			t.Errorf("we vouch for %q", text(n))
		}
	}
}

func described(t *testing.T, n *html.Node, ids map[string]bool) {
	t.Helper()
	for _, key := range []string{"aria-describedby", "aria-labelledby", "for"} {
		v, _ := attr(n, key)
		for id := range strings.FieldsSeq(v) {
			if !ids[id] {
				t.Errorf("<%s %s=%q> points at nothing", n.Data, key, v)
			}
		}
	}
}

// labelled wants a label, and a word for the browser's memory, for every field.
func labelled(t *testing.T, doc *html.Node) {
	t.Helper()
	labels := map[string]bool{}
	for _, l := range elements(doc, "label") {
		id, _ := attr(l, "for")
		labels[id] = text(l) != ""
	}
	for _, in := range elements(doc, "input") {
		kind, _ := attr(in, "type")
		_, hidden := attr(in, "hidden")
		id, _ := attr(in, "id")
		complete, _ := attr(in, "autocomplete")
		if kind == "hidden" || hidden {
			continue
		}
		if !labels[id] || complete == "" {
			t.Errorf("input %q: label %v, autocomplete %q", id, labels[id], complete)
		}
		if kind == "password" {
			if v, ok := attr(in, "value"); ok {
				t.Errorf("a password is in the page: %q", v)
			}
		}
		if _, ok := attr(in, "onpaste"); ok {
			t.Errorf("input %q minds pasting", id)
		}
	}
}

func autofocused(doc *html.Node) (n int) {
	for _, e := range elements(doc, "") {
		if _, ok := attr(e, "autofocus"); ok {
			n++
		}
	}
	return n
}

// TestStableIDs is the contract with those who drive our pages.
func TestStableIDs(t *testing.T) {
	t.Parallel()
	s := newSet(t)
	for name, want := range map[string][]string{
		"login": {"login", "password", "submit"}, "login_again": {"login", "password", "submit"}, "select": {"submit"},
		"signup": {"name", "login", "password", "submit"}, "setup": {"name", "login", "password", "submit"},
		"consent": {"consent-accept", "consent-deny"}, "logout": {"logout-confirm", "logout-cancel"},
		"form_post": {"continue"}, "account": {"current", "password", "submit", "sign-out", "end-others"}, "login_refused": {"problem"},
		"login_linked": {"client-logo", "client-home", "client-policy", "client-terms"}, "consent_linked": {"client-logo", "client-home", "client-policy", "client-terms"},
		"device": {"code", "submit"}, "device_refused": {"code", "submit", "problem"}, "device_approved": {"done-approved"}, "device_denied": {"done-denied"},
		"consent_device": {"consent-accept", "consent-deny", "user-code"},
	} {
		doc := parsed(t, render(t, s, samples()[name]))
		ids := uniqueIDs(t, doc)
		for _, id := range want {
			if !ids[id] {
				t.Errorf("%s has no #%s", name, id)
			}
		}
	}
	if h1 := text(elements(parsed(t, render(t, s, samples()["login"])), "h1")[0]); h1 != "Sign in" {
		t.Errorf("the sign-in page is called %q", h1)
	}
}

// TestDenyWeighsAsMuchAsAllow: both are buttons of one form and one style, and
// neither is chosen beforehand.
func TestDenyWeighsAsMuchAsAllow(t *testing.T) {
	t.Parallel()
	doc := parsed(t, render(t, newSet(t), samples()["consent"]))
	var shapes []string
	for _, b := range elements(doc, "button") {
		class, _ := attr(b, "class")
		kind, _ := attr(b, "type")
		_, focus := attr(b, "autofocus")
		if focus {
			t.Error("an answer is chosen beforehand")
		}
		shapes = append(shapes, class+" "+kind)
	}
	if len(shapes) != 2 || shapes[0] != shapes[1] {
		t.Errorf("the answers are %q", shapes)
	}
}

func TestHostileNames(t *testing.T) {
	t.Parallel()
	s := newSet(t)
	evil := "\u202eevil</title><script>alert(1)</script>\x00"
	person := Person{ID: evil, Name: evil, Email: evil}
	app := NewApp(evil, evil, "https://shop.example/\"><script>")
	app.Links = Links{Home: "vbscript:alert(1)", Policy: "javascript:alert(1)", Terms: "data:text/html,x", Logo: true}
	form := Form{Action: "/login", Fields: []Field{{evil, evil}}}
	for _, p := range []Page{
		Login{App: app, Login: evil, Form: form},
		SelectAccount{App: app, Person: person, Form: form},
		Consent{App: app, Person: person, Scopes: []Scope{{evil, evil}}},
		Consent{App: app, Person: person, Device: &AskingDevice{Code: evil, Browser: evil, System: evil, Address: evil}},
		Connect{Code: evil, Form: form},
		LogoutConfirm{Application: evil, User: evil},
		SignedOut{Application: evil, ReturnURL: "javascript:alert(1)"},
		Problem{Title: evil, Detail: evil, Reference: evil, Facts: []Fact{{evil, evil}}},
		FormPost{Action: "javascript:alert(1)", Fields: []Field{{evil, evil}}},
		Account{Person: person, Facts: []Fact{{"name", evil}}, Sessions: []Device{{ID: "x", Address: evil}}, Apps: []ConnectedApp{{ID: "y", App: app, Scopes: []Scope{{Name: evil}}}}},
	} {
		got := render(t, s, p)
		doc := parsed(t, got)
		for _, n := range elements(doc, "script") {
			if src, _ := attr(n, "src"); !strings.HasPrefix(src, AssetsPath) {
				t.Errorf("%T: a script got in:\n%s", p, got)
			}
		}
		for _, n := range elements(doc, "") {
			for _, a := range n.Attr {
				if strings.HasPrefix(a.Val, "javascript:") || strings.HasPrefix(a.Val, "data:") {
					t.Errorf("%T: %s=%q", p, a.Key, a.Val)
				}
			}
		}
		for _, n := range elements(doc, "body") {
			if strings.ContainsRune(text(n), '\u202e') {
				t.Errorf("%T: the direction of the text can be turned", p)
			}
		}
	}
}

func TestNewApp(t *testing.T) {
	t.Parallel()
	for redirect, want := range map[string]App{
		"https://shop.example/callback":      {Host: "shop.example"},
		"https://shop.example:8443/callback": {Host: "shop.example:8443"},
		"http://localhost:3000/cb":           {Local: true},
		"http://app.localhost/cb":            {Local: true},
		"http://127.0.0.1:9/cb":              {Local: true},
		"http://[::1]/cb":                    {Local: true},
		"com.example.app:/cb":                {Local: true},
		"":                                   {},
	} {
		want.ID, want.Name = "shop", "shop"
		if got := NewApp("shop", "\u2066 \u2069", redirect); got != want {
			t.Errorf("%s: got %+v, want %+v", redirect, got, want)
		}
	}
}

func TestUnknownPageAndLanguage(t *testing.T) {
	t.Parallel()
	s := newSet(t)
	if got := render(t, s, Login{Locale: "xx"}); !strings.Contains(got, `lang="en"`) {
		t.Error("an unknown language is not answered in English")
	}
	if err := s.Render(&strings.Builder{}, stray{}); err == nil {
		t.Error("a page without a template was rendered")
	}
}

type stray struct{ Locale }

func (stray) page() string { return "stray" }

func TestAssets(t *testing.T) {
	t.Parallel()
	s := newSet(t)
	if n := len(s.assets.files[s.assets.urls["page.css"]].body); n > 15<<10 {
		t.Errorf("the style sheet has %d bytes", n)
	}
	for name, u := range s.assets.urls {
		rec := httptest.NewRecorder()
		s.Assets().ServeHTTP(rec, httptest.NewRequest(http.MethodGet, u, nil))
		h := rec.Header()
		if rec.Code != http.StatusOK || rec.Body.Len() == 0 || !strings.Contains(h.Get("Cache-Control"), "immutable") || h.Get("Content-Type") == "" {
			t.Errorf("%s: %d %v", name, rec.Code, h)
		}
		if slices.ContainsFunc([]string{"@import", "url(", "http://", "https://"}, func(w string) bool {
			return strings.Contains(strings.ReplaceAll(rec.Body.String(), "http://www.w3.org/2000/svg", ""), w)
		}) {
			t.Errorf("%s fetches something", name)
		}
	}
	for _, u := range []string{AssetsPath, AssetsPath + "page.css", AssetsPath + "../page/login.html"} {
		rec := httptest.NewRecorder()
		s.Assets().ServeHTTP(rec, httptest.NewRequest(http.MethodGet, u, nil))
		if rec.Code != http.StatusNotFound {
			t.Errorf("%s: %d", u, rec.Code)
		}
	}
}
