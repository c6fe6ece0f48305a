package login_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/html"

	"github.com/gatekeeper-oidc/gatekeeper/audit"
	"github.com/gatekeeper-oidc/gatekeeper/identity"
	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
	"github.com/gatekeeper-oidc/gatekeeper/internal/web"
	"github.com/gatekeeper-oidc/gatekeeper/login"
	"github.com/gatekeeper-oidc/gatekeeper/oauth2"
	"github.com/gatekeeper-oidc/gatekeeper/storage"
	"github.com/gatekeeper-oidc/gatekeeper/storage/state"
	"github.com/gatekeeper-oidc/gatekeeper/templates"
)

const (
	ana      = "ana@example.org"
	ben      = "ben@example.org"
	password = "three green bicycles"
)

// world is the door on a real store, with a dispatcher that does what
// oauth2.Handler does about steps, and nothing else.
type world struct {
	*httptest.Server
	db     *storage.DB
	people *identity.Service
	mux    *web.Mux
	steps  []oauth2.Step
	ahead  atomic.Int64              // nanoseconds the clock is ahead of the wall
	begin  func() request            // what the next /begin asks for
	down   atomic.Bool               // the store does not answer about sessions
	frozen atomic.Pointer[time.Time] // what the wall clock says, if it has stopped
}

type request = oauth2.AuthorizeRequest

func (w *world) now() time.Time {
	wall := time.Now()
	if stopped := w.frozen.Load(); stopped != nil {
		wall = *stopped
	}
	return wall.Add(time.Duration(w.ahead.Load()))
}

func newWorld(t *testing.T, signUp bool) *world {
	t.Helper()
	db, err := storage.Open(t.Context(), storage.Config{URL: "sqlite:" + filepath.Join(t.TempDir(), "door.db"), Migrate: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	pages, err := templates.New()
	if err != nil {
		t.Fatal(err)
	}
	w := &world{db: db, begin: func() request { return request{} }}
	trail := audit.NewTrail(audit.Config{Store: db, Now: w.now})
	limits := state.NewMemory(w.now, 0)
	w.people = &identity.Service{
		Store: db, Trail: trail, Limits: limits, Now: w.now,
		Hasher: identity.NewHasher(identity.HasherConfig{Params: identity.Params{Memory: 64, Time: 1, Threads: 1}, Now: w.now, Slots: 8}),
	}
	door, err := login.New(login.Config{Flow: w, People: w.people, Pages: pages, Limits: limits, Now: w.now, MinPassword: 15, SignUp: signUp})
	if err != nil {
		t.Fatal(err)
	}
	w.steps = door.Steps()
	w.Server = httptest.NewUnstartedServer(nil)
	issuer, _ := url.Parse("http://" + w.Listener.Addr().String())
	w.mux, err = web.New(web.Config{
		Issuer: issuer, FormKey: [32]byte{1}, Pages: pages, Log: slog.New(slog.DiscardHandler), Now: w.now, Refused: trail.Refuse,
		Session: login.Session(w, func(r *http.Request, name string) string { return w.mux.Cookie(r, name) }),
	})
	if err != nil {
		t.Fatal(err)
	}
	door.Routes(w.mux)
	w.mux.Page("GET /begin", w.start)
	w.mux.Page("GET /oauth2/authorize", w.dispatch)
	w.mux.Page("GET /account", func(rw http.ResponseWriter, r *http.Request) error {
		_, u, _ := identity.FromContext(r.Context())
		_, err := fmt.Fprintf(rw, "account of %s", u.Email)
		return err
	})
	w.Config.Handler = w.mux
	w.Start()
	t.Cleanup(w.Close)
	for _, email := range []string{ana, ben} {
		w.person(t, email)
	}
	if err := db.InsertClient(t.Context(), oauth2.Client{ID: "shop", Name: "The Shop", Type: oauth2.Web}); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) person(t *testing.T, email string) identity.User {
	t.Helper()
	u, err := w.people.CreateUser(t.Context(), "test", identity.NewUser{Email: email, Password: password, Profile: identity.Profile{Name: "Someone"}})
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// start begins an interaction, dispatch goes on with it.
func (w *world) start(rw http.ResponseWriter, r *http.Request) error {
	now := w.now()
	in := oauth2.Interaction{ID: rand.Text(), Binding: w.mux.Binding(rw, r), Request: w.begin(), CreatedAt: now, ExpiresAt: now.Add(time.Hour)}
	in.Request.ClientID, in.Request.RedirectURI = "shop", "https://shop.example/callback"
	if err := w.db.PutInteraction(r.Context(), in); err != nil {
		return err
	}
	http.Redirect(rw, r, oauth2.ResumeURL(in.ID), http.StatusSeeOther)
	return nil
}

func (w *world) dispatch(rw http.ResponseWriter, r *http.Request) error {
	in, err := w.Interaction(r.Context(), r.URL.Query().Get("i"), w.mux.Binding(rw, r))
	if err != nil {
		return err
	}
	if in.Denied != "" {
		_, err := fmt.Fprint(rw, "denied "+in.Denied)
		return err
	}
	for _, s := range w.steps {
		reason, err := s.Needed(r.Context(), in)
		if err != nil {
			return err
		}
		if reason != "" {
			http.Redirect(rw, r, s.Path()+"?i="+in.ID, http.StatusSeeOther)
			return nil
		}
	}
	_, u, _ := identity.FromContext(r.Context())
	_, err = fmt.Fprintf(rw, "finished as %s", u.Email)
	return err
}

// Interaction, Advance and Client are the flow; Resume is the session's, for as
// long as the store is up.
func (w *world) Interaction(ctx context.Context, id string, binding []byte) (oauth2.Interaction, error) {
	in, err := w.db.Interaction(ctx, id)
	if err == nil && !bytes.Equal(in.Binding, binding) {
		err = fault.Missing("interaction", id)
	}
	return in, err
}

func (w *world) Advance(ctx context.Context, in oauth2.Interaction) error {
	return w.db.PutInteraction(ctx, in)
}

func (w *world) Client(ctx context.Context, id string) (oauth2.Client, error) {
	return w.db.Client(ctx, id)
}

func (w *world) Resume(ctx context.Context, token string) (identity.Session, identity.User, error) {
	if w.down.Load() {
		return identity.Session{}, identity.User{}, fault.Down("sessions", nil)
	}
	return w.people.Resume(ctx, token)
}

// A browser is a person's browser without script.
type browser struct {
	t *testing.T
	w *world
	*http.Client
}

func (w *world) browser(t *testing.T) *browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &browser{t: t, w: w, Client: &http.Client{Jar: jar}}
}

func (b *browser) session() string {
	u, _ := url.Parse(b.w.URL)
	for _, c := range b.Jar.Cookies(u) {
		if c.Name == login.Cookie {
			return c.Value
		}
	}
	return ""
}

type page struct {
	t      *testing.T
	url    *url.URL
	status int
	header http.Header
	text   string
	doc    *html.Node
}

func (b *browser) do(r *http.Request, err error) *page {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
	res, err := b.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	defer res.Body.Close()
	var text bytes.Buffer
	if _, err := text.ReadFrom(res.Body); err != nil {
		b.t.Fatal(err)
	}
	doc, err := html.Parse(strings.NewReader(text.String()))
	if err != nil {
		b.t.Fatal(err)
	}
	return &page{b.t, res.Request.URL, res.StatusCode, res.Header, text.String(), doc}
}

func (b *browser) get(path string) *page {
	b.t.Helper()
	return b.do(http.NewRequestWithContext(b.t.Context(), http.MethodGet, b.w.URL+path, nil))
}

func (b *browser) post(path string, fields url.Values) *page {
	b.t.Helper()
	r, err := http.NewRequestWithContext(b.t.Context(), http.MethodPost, b.w.URL+path, strings.NewReader(fields.Encode()))
	if err == nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	return b.do(r, err)
}

// asks begins a request and goes as far as the first page of a person.
func (b *browser) asks(req request) *page {
	b.t.Helper()
	b.w.begin = func() request { return req }
	return b.get("/begin")
}

// form returns the fields of the form that holds the element called id.
func (p *page) form(id string) (action string, fields url.Values) {
	p.t.Helper()
	n := p.find("id", id)
	for n != nil && n.Data != "form" {
		n = n.Parent
	}
	if n == nil {
		p.t.Fatalf("no form around #%s at %s:\n%s", id, p.url, p.text)
	}
	fields = url.Values{}
	for c := range n.Descendants() {
		if c.Data == "input" {
			fields.Set(attr(c, "name"), attr(c, "value"))
		}
	}
	return attr(n, "action"), fields
}

func (p *page) find(key, value string) *html.Node {
	for n := range p.doc.Descendants() {
		if n.Type == html.ElementNode && attr(n, key) == value {
			return n
		}
	}
	return nil
}

func attr(n *html.Node, key string) string {
	for _, a := range n.Attr {
		if a.Key == key {
			return a.Val
		}
	}
	return ""
}

// signIn fills in the page.
func (b *browser) signIn(p *page, email, secret string) *page {
	b.t.Helper()
	action, f := p.form("submit")
	f.Set("login", email)
	f.Set("password", secret)
	return b.post(action, f)
}

func (p *page) wants(status int, text string) {
	p.t.Helper()
	if p.status != status || !strings.Contains(p.text, text) {
		p.t.Errorf("at %s got %d, want %d with %q:\n%s", p.url, p.status, status, text, p.text)
	}
}
