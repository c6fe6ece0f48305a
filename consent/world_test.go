package consent_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"github.com/gatekeeper-oidc/gatekeeper/audit"
	"github.com/gatekeeper-oidc/gatekeeper/consent"
	"github.com/gatekeeper-oidc/gatekeeper/identity"
	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
	"github.com/gatekeeper-oidc/gatekeeper/internal/web"
	"github.com/gatekeeper-oidc/gatekeeper/oauth2"
	"github.com/gatekeeper-oidc/gatekeeper/storage"
	"github.com/gatekeeper-oidc/gatekeeper/templates"
)

// world is the consent page on a real store. Who is signed in is said by a header.
type world struct {
	t       *testing.T
	db      *storage.DB
	trail   *audit.Trail
	service *consent.Service
	handler *consent.Handler
	mux     *web.Mux
	stuck   bool  // the interaction cannot be stored
	wrong   error // what a wrong code is
}

var (
	ana = identity.User{ID: "0b9f6f2e-0000-4000-8000-000000000001", Email: "ana@example.org", Status: identity.Active, Profile: identity.Profile{Name: "Ana <script>alert(1)</script>"}}
	ben = identity.User{ID: "0b9f6f2e-0000-4000-8000-000000000002", Email: "ben@example.org", Status: identity.Active}
)

// cookie is the transaction cookie of the one browser here.
var cookie = base64.RawURLEncoding.EncodeToString(make([]byte, 32))

func newWorld(t *testing.T) *world {
	t.Helper()
	db, err := storage.Open(t.Context(), storage.Config{URL: "sqlite:" + filepath.Join(t.TempDir(), "consent.db"), Migrate: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	pages, err := templates.New()
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, db: db, trail: audit.NewTrail(audit.Config{Store: db, Now: time.Now})}
	w.service = &consent.Service{Store: db, Trail: w.trail}
	if w.handler, err = consent.NewHandler(w.service, w, pages); err != nil {
		t.Fatal(err)
	}
	w.mux, err = web.New(web.Config{
		Issuer: &url.URL{Scheme: "http", Host: "localhost"}, FormKey: [32]byte{1}, Pages: pages, Log: slog.New(slog.DiscardHandler), Now: time.Now,
		Session: func(_ http.ResponseWriter, r *http.Request) (context.Context, error) {
			switch r.Header.Get("X-Test-User") {
			case "ana":
				return as(r.Context(), ana), nil
			case "ben":
				return as(r.Context(), ben), nil
			}
			return r.Context(), nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	w.handler.Routes(w.mux)
	for _, u := range []identity.User{ana, ben} {
		if err := db.InsertUser(t.Context(), u); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []oauth2.Client{
		{ID: "shop", Name: "The \u202eShop", Type: oauth2.Web, PolicyURI: "https://shop.example/privacy", TOSURI: "javascript:alert(1)"},
		{ID: "house", Name: "Our own", Type: oauth2.Web, FirstParty: true},
	} {
		if err := db.InsertClient(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

func as(ctx context.Context, u identity.User) context.Context {
	return identity.NewContext(ctx, session(u), u)
}

func session(u identity.User) identity.Session {
	return identity.Session{ID: "session-of-" + u.Email, UserID: u.ID}
}

// Interaction, Advance and Client are the flow.
func (w *world) Interaction(ctx context.Context, id string, binding []byte) (oauth2.Interaction, error) {
	in, err := w.db.Interaction(ctx, id)
	if err == nil && string(in.Binding) != string(binding) {
		err = fault.Missing("interaction", id)
	}
	return in, err
}

func (w *world) Advance(ctx context.Context, in oauth2.Interaction) error {
	if w.stuck {
		return fault.Down("interactions", errors.New("stuck"))
	}
	return w.db.PutInteraction(ctx, in)
}

func (w *world) OpenDevice(_ context.Context, _ []byte, typed string) (string, error) {
	if typed == "WDJB-MJHT" {
		return "i-device", nil
	}
	return "", w.wrong
}

func (w *world) Device(ctx context.Context, in oauth2.Interaction) (oauth2.DeviceRequest, error) {
	return w.db.Device(ctx, in.Request.Device.ID)
}

func (w *world) Client(ctx context.Context, id string) (oauth2.Client, error) {
	return w.db.Client(ctx, id)
}

// interaction stores one of the browser.
func (w *world) interaction(client string, prompt []string, scopes ...string) oauth2.Interaction {
	w.t.Helper()
	sum := sha256.Sum256([]byte(cookie))
	in := oauth2.Interaction{
		ID: "i-" + client + strings.Join(scopes, ""), Binding: sum[:], CreatedAt: time.Now(), ExpiresAt: time.Now().Add(time.Hour),
		Request: oauth2.AuthorizeRequest{ClientID: client, RedirectURI: "https://shop.example/callback", Scopes: scopes, Prompt: prompt},
	}
	if err := w.db.PutInteraction(w.t.Context(), in); err != nil {
		w.t.Fatal(err)
	}
	return in
}

// needed asks the step about an interaction as it is stored.
func (w *world) needed(in oauth2.Interaction, u identity.User) string {
	w.t.Helper()
	stored, err := w.db.Interaction(w.t.Context(), in.ID)
	if err != nil {
		w.t.Fatal(err)
	}
	reason, err := w.handler.Step().Needed(as(w.t.Context(), u), stored)
	if err != nil {
		w.t.Fatal(err)
	}
	return reason
}

// kinds returns what the trail holds.
func (w *world) kinds() (kinds []audit.Kind) {
	w.t.Helper()
	if err := w.trail.Sequence(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	events, err := w.trail.Events(w.t.Context(), audit.Filter{})
	if err != nil {
		w.t.Fatal(err)
	}
	for _, e := range events {
		kinds = append(kinds, e.Kind)
	}
	return kinds
}

type answer struct {
	*httptest.ResponseRecorder
	doc *html.Node
}

func (w *world) send(who, method, target string, fields url.Values) answer {
	w.t.Helper()
	r := httptest.NewRequestWithContext(w.t.Context(), method, "http://localhost"+target, strings.NewReader(fields.Encode()))
	r.Header.Set("X-Test-User", who)
	r.AddCookie(&http.Cookie{Name: "gk_tx", Value: cookie})
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	rec := httptest.NewRecorder()
	w.mux.ServeHTTP(rec, r)
	doc, err := html.Parse(strings.NewReader(rec.Body.String()))
	if err != nil {
		w.t.Fatal(err)
	}
	return answer{rec, doc}
}

// press submits the page's form through the button called id.
func (w *world) press(who string, p answer, id string) answer {
	w.t.Helper()
	button := p.find(id)
	if button == nil {
		w.t.Fatalf("no #%s:\n%d %s", id, p.Code, p.Body)
	}
	fields := url.Values{attr(button, "name"): {attr(button, "value")}}
	for n := range button.Parent.ChildNodes() {
		if n.Data == "input" {
			fields.Set(attr(n, "name"), attr(n, "value"))
		}
	}
	return w.send(who, http.MethodPost, attr(button.Parent, "action"), fields)
}

func (a answer) find(id string) *html.Node {
	for n := range a.doc.Descendants() {
		if n.Type == html.ElementNode && attr(n, "id") == id {
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
