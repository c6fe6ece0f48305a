package conformance

import (
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"

	"golang.org/x/net/html"
)

// A browser is a person's browser without JavaScript: cookies, links, forms,
// redirects. It stops at a redirect that leaves the issuer, which is how an
// application gets its answer.
type browser struct {
	t      *testing.T
	issuer *url.URL
	http   *http.Client
}

// A page is where the browser is.
type page struct {
	url    *url.URL
	status int
	header http.Header
	text   string
	doc    *html.Node
	left   *url.URL // where a redirect left the issuer to, if it did
}

// A form is the state of one form of a page, as a person could change it.
type form struct {
	method string
	action *url.URL
	fields url.Values
}

func newBrowser(t *testing.T, issuer string) *browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(issuer)
	if err != nil {
		t.Fatal(err)
	}
	return &browser{t: t, issuer: u, http: &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

func (b *browser) get(target string) *page {
	b.t.Helper()
	r, err := http.NewRequestWithContext(b.t.Context(), http.MethodGet, target, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	return b.follow(r)
}

func (b *browser) post(target string, fields url.Values) *page {
	b.t.Helper()
	r, err := http.NewRequestWithContext(b.t.Context(), http.MethodPost, target, strings.NewReader(fields.Encode()))
	if err != nil {
		b.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Origin", b.issuer.Scheme+"://"+b.issuer.Host)
	return b.follow(r)
}

// follow sends r and goes where it is sent, as far as the issuer's own pages.
func (b *browser) follow(r *http.Request) *page {
	b.t.Helper()
	for range 20 {
		res, err := b.http.Do(r)
		if err != nil {
			b.t.Fatal(err)
		}
		p := &page{url: r.URL, status: res.StatusCode, header: res.Header, text: body(b.t, res)}
		if res.StatusCode < 300 || res.StatusCode > 399 || res.StatusCode == http.StatusNotModified {
			if p.doc, err = html.Parse(strings.NewReader(p.text)); err != nil {
				b.t.Fatal(err)
			}
			return p
		}
		if res.StatusCode == http.StatusTemporaryRedirect || res.StatusCode == http.StatusPermanentRedirect {
			b.t.Fatalf("%s answered %d, which would forward credentials (RFC 9700 section 2.1)", r.URL.Path, res.StatusCode)
		}
		next, err := r.URL.Parse(res.Header.Get("Location"))
		if err != nil {
			b.t.Fatal(err)
		}
		if next.Host != b.issuer.Host || next.Scheme != b.issuer.Scheme {
			p.left = next
			return p
		}
		if r, err = http.NewRequestWithContext(b.t.Context(), http.MethodGet, next.String(), nil); err != nil {
			b.t.Fatal(err)
		}
	}
	b.t.Fatal("redirected in circles")
	return nil
}

// form returns the form that holds the element with this id.
func (p *page) form(t *testing.T, id string) form {
	t.Helper()
	el := p.element(id)
	if el == nil {
		t.Fatalf("no element #%s on %s (%d):\n%s", id, p.url, p.status, p.text)
	}
	for n := el; n != nil; n = n.Parent {
		if n.Type == html.ElementNode && n.Data == "form" {
			return p.read(t, n, el)
		}
	}
	t.Fatalf("#%s is in no form", id)
	return form{}
}

func (p *page) read(t *testing.T, formNode, pressed *html.Node) form {
	t.Helper()
	action, err := p.url.Parse(attr(formNode, "action"))
	if err != nil {
		t.Fatal(err)
	}
	f := form{method: strings.ToUpper(attr(formNode, "method")), action: action, fields: url.Values{}}
	for n := range formNode.Descendants() {
		if n.Type != html.ElementNode || attr(n, "name") == "" {
			continue
		}
		switch kind := attr(n, "type"); {
		case n.Data == "input" && (kind == "checkbox" || kind == "radio"):
			if has(n, "checked") {
				f.fields.Add(attr(n, "name"), attr(n, "value"))
			}
		case n.Data == "input" && kind != "submit":
			f.fields.Add(attr(n, "name"), attr(n, "value"))
		case n == pressed:
			f.fields.Add(attr(n, "name"), attr(n, "value"))
		}
	}
	return f
}

// press submits the form of the element with this id, after setting fields.
func (b *browser) press(p *page, id string, set map[string]string) *page {
	b.t.Helper()
	f := p.form(b.t, id)
	for k, v := range set {
		f.fields.Set(k, v)
	}
	if f.method == http.MethodGet {
		f.action.RawQuery = f.fields.Encode()
		return b.get(f.action.String())
	}
	return b.post(f.action.String(), f.fields)
}

// signIn fills in the login page.
func (b *browser) signIn(p *page, email, password string) *page {
	b.t.Helper()
	return b.press(p, "submit", map[string]string{"login": email, "password": password})
}

// allow accepts the consent page.
func (b *browser) allow(p *page) *page {
	b.t.Helper()
	return b.press(p, "consent-accept", nil)
}

func (p *page) element(id string) *html.Node {
	for n := range p.doc.Descendants() {
		if n.Type == html.ElementNode && attr(n, "id") == id {
			return n
		}
	}
	return nil
}

func (p *page) title() string {
	for n := range p.doc.Descendants() {
		if n.Type == html.ElementNode && n.Data == "h1" && n.FirstChild != nil {
			return strings.TrimSpace(n.FirstChild.Data)
		}
	}
	return ""
}

func (p *page) String() string {
	if p.left != nil {
		return fmt.Sprintf("%d to %s", p.status, p.left)
	}
	return fmt.Sprintf("%d at %s:\n%s", p.status, p.url, p.text)
}

func attr(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

func has(n *html.Node, name string) bool {
	for _, a := range n.Attr {
		if a.Key == name {
			return true
		}
	}
	return false
}
