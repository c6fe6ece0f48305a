package suite

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/net/html"
)

// A Browser is a person's browser without JavaScript: cookies, forms, redirects.
// It follows redirects on the issuer's origin only, and stops where it is sent
// away from it, which is how an application gets its answer. What a person types
// is never sent anywhere else.
type Browser struct {
	c    *Case
	home *url.URL
	http *http.Client
	// Visited is every answer on the way, newest last: its headers and cookies can
	// be looked at.
	Visited []*Page
}

// Browser returns a new browser, without cookies.
func (c *Case) Browser() *Browser {
	jar, _ := cookiejar.New(nil) // only options can fail
	return &Browser{c: c, home: c.Server.origin, http: &http.Client{
		Transport: c.Target.Transport, Jar: jar,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Open goes to an address.
func (b *Browser) Open(ctx context.Context, address string) (*Page, error) {
	r, err := newRequest(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	return b.follow(ctx, r)
}

// Submit posts a form that a page of origin held.
func (b *Browser) Submit(ctx context.Context, origin, address string, fields url.Values) (*Page, error) {
	r, err := newRequest(ctx, http.MethodPost, address, fields)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Origin", origin)
	return b.follow(ctx, r)
}

// Cookies are those the browser would send to the issuer.
func (b *Browser) Cookies() []*http.Cookie { return b.http.Jar.Cookies(b.home) }

// Forget drops all cookies.
func (b *Browser) Forget() { b.http.Jar, _ = cookiejar.New(nil) }

func (b *Browser) follow(ctx context.Context, r *http.Request) (*Page, error) {
	for range 20 {
		p, err := b.load(r)
		if err != nil {
			return nil, err
		}
		b.Visited = append(b.Visited, p)
		location := p.Header.Get("Location")
		if p.Status < 300 || p.Status > 399 || location == "" {
			return p, nil
		}
		if p.Status == http.StatusTemporaryRedirect || p.Status == http.StatusPermanentRedirect {
			return nil, Brokef("RFC 9700 4.12", "%s answered %d, which makes a browser send what was typed on to where it goes", r.URL.Path, p.Status)
		}
		next, err := r.URL.Parse(location)
		if err != nil {
			return nil, Failf("%s redirects to what is no address", r.URL.Path)
		}
		if !sameOrigin(next, b.home) {
			p.Left = next
			return p, nil
		}
		if r, err = newRequest(ctx, http.MethodGet, next.String(), nil); err != nil {
			return nil, err
		}
	}
	return nil, Failf("%s redirects in circles", r.URL.Path)
}

func (b *Browser) load(r *http.Request) (*Page, error) {
	if !sameOrigin(r.URL, b.home) {
		return nil, Failf("the issuer's page leads to %s", plainURL(r.URL))
	}
	r.Header.Set("Accept", "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8")
	r.Header.Set("Accept-Language", "en")
	res, err := b.http.Do(r)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", r.Method, plainURL(r.URL), err)
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(res.Body, maxBody))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", plainURL(r.URL), err)
	}
	p := &Page{URL: r.URL, Status: res.StatusCode, Header: res.Header, Text: string(text)}
	p.doc, err = html.ParseWithOptions(strings.NewReader(p.Text), html.ParseOptionEnableScripting(false)) // what is for who has no script counts
	if err != nil {
		return nil, Failf("%s is no HTML", plainURL(r.URL))
	}
	return p, nil
}

func sameOrigin(a, b *url.URL) bool { return a.Scheme == b.Scheme && a.Host == b.Host }

// Press submits the form of the element with this id, after typing values into
// it, in pairs of name and value.
func (b *Browser) Press(ctx context.Context, p *Page, id string, typed ...string) (*Page, error) {
	f, err := p.form(id)
	if err != nil {
		return nil, err
	}
	for i := 0; i+1 < len(typed); i += 2 {
		f.fields.Set(typed[i], typed[i+1])
	}
	if f.method != http.MethodPost {
		f.action.RawQuery = f.fields.Encode()
		return b.Open(ctx, f.action.String())
	}
	return b.Submit(ctx, p.URL.Scheme+"://"+p.URL.Host, f.action.String(), f.fields)
}

// The pages a person can be shown on the way, by what is on them.
const (
	LoginPage   = "login"
	ConsentPage = "consent"
	AccountPage = "account chooser"
	LogoutPage  = "logout"
	OtherPage   = "other"
)

// A Page is where the browser is.
type Page struct {
	URL    *url.URL
	Status int
	Header http.Header
	Text   string
	Left   *url.URL // where a redirect led away from the issuer to; nil on a page

	doc *html.Node
}

// Kind says which page it is.
func (p *Page) Kind() string {
	switch {
	case p.Has("password") && p.Has("login") && p.Has("submit"):
		return LoginPage
	case p.Has("consent-accept"):
		return ConsentPage
	case p.Has("logout-confirm"):
		return LogoutPage
	case p.Has("submit"):
		return AccountPage
	default:
		return OtherPage
	}
}

// Has reports whether the page has an element with this id.
func (p *Page) Has(id string) bool { return p.element(id) != nil }

// Heading is the page's first heading.
func (p *Page) Heading() string {
	for n := range p.doc.Descendants() {
		if n.Type == html.ElementNode && n.Data == "h1" {
			return strings.Join(strings.Fields(textOf(n)), " ")
		}
	}
	return ""
}

// Says reports whether the page shows text to a person.
func (p *Page) Says(text string) bool {
	return strings.Contains(strings.ToLower(textOf(p.doc)), strings.ToLower(text))
}

// Links returns where attribute attr of the elements named tag leads, absolute.
func (p *Page) Links(tag, attr string) []string {
	var all []string
	for n := range p.doc.Descendants() {
		if n.Type != html.ElementNode || n.Data != tag || attrOf(n, attr) == "" {
			continue
		}
		if u, err := p.URL.Parse(attrOf(n, attr)); err == nil {
			all = append(all, u.String())
		}
	}
	return all
}

// Meta returns the content of the page's meta elements with this http-equiv.
func (p *Page) Meta(equiv string) []string {
	var all []string
	for n := range p.doc.Descendants() {
		if n.Type == html.ElementNode && n.Data == "meta" && strings.EqualFold(attrOf(n, "http-equiv"), equiv) {
			all = append(all, attrOf(n, "content"))
		}
	}
	return all
}

// String tells where the browser is, without what could be secret.
func (p *Page) String() string {
	if p.Left != nil {
		return "a redirect to " + plainURL(p.Left)
	}
	if h := p.Heading(); h != "" {
		return fmt.Sprintf("a page %q (status %d)", h, p.Status)
	}
	return fmt.Sprintf("an answer with status %d at %s", p.Status, p.URL.Path)
}

// A form is the state of one form of a page, as a person could change it.
type form struct {
	method string
	action *url.URL
	fields url.Values
}

func (p *Page) form(id string) (form, error) {
	el := p.element(id)
	if el == nil {
		return form{}, Failf("there is no element with the id %s on %s", id, p)
	}
	for n := el; n != nil; n = n.Parent {
		if n.Type == html.ElementNode && n.Data == "form" {
			return p.read(n, el)
		}
	}
	return form{}, Failf("the element with the id %s is in no form on %s", id, p)
}

func (p *Page) read(node, pressed *html.Node) (form, error) {
	action, err := p.URL.Parse(attrOf(node, "action"))
	if err != nil {
		return form{}, Failf("a form on %s has no address", p)
	}
	f := form{method: strings.ToUpper(attrOf(node, "method")), action: action, fields: url.Values{}}
	for n := range node.Descendants() {
		name, kind := attrOf(n, "name"), attrOf(n, "type")
		switch {
		case n.Type != html.ElementNode || name == "":
		case n.Data == "input" && slices.Contains([]string{"checkbox", "radio"}, kind) && !hasAttr(n, "checked"):
		case n.Data == "input" && kind != "submit" || n == pressed:
			f.fields.Add(name, attrOf(n, "value"))
		}
	}
	return f, nil
}

// Action is where the form of the element with this id is sent: to the page itself
// if there is none.
func (p *Page) Action(id string) *url.URL {
	f, err := p.form(id)
	if err != nil {
		return p.URL
	}
	return f.action
}

// posted returns the form by which a page sends an answer to an application: one
// that leads away from the issuer (Form Post 2).
func (p *Page) posted(home *url.URL) (form, bool) {
	for n := range p.doc.Descendants() {
		if n.Type != html.ElementNode || n.Data != "form" {
			continue
		}
		f, err := p.read(n, nil)
		if err == nil && f.method == http.MethodPost && !sameOrigin(f.action, home) {
			return f, true
		}
	}
	return form{}, false
}

func (p *Page) element(id string) *html.Node {
	for n := range p.doc.Descendants() {
		if n.Type == html.ElementNode && attrOf(n, "id") == id {
			return n
		}
	}
	return nil
}

func textOf(n *html.Node) string {
	var b strings.Builder
	for d := range n.Descendants() {
		if d.Type == html.TextNode && (d.Parent == nil || d.Parent.Data != "script" && d.Parent.Data != "style") {
			b.WriteString(d.Data + " ")
		}
	}
	return b.String()
}

func attrOf(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

func hasAttr(n *html.Node, name string) bool {
	return slices.ContainsFunc(n.Attr, func(a html.Attribute) bool { return a.Key == name })
}
