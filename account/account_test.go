package account_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/html"

	"github.com/gatekeeper-oidc/gatekeeper/account"
	"github.com/gatekeeper-oidc/gatekeeper/audit"
	"github.com/gatekeeper-oidc/gatekeeper/consent"
	"github.com/gatekeeper-oidc/gatekeeper/identity"
	"github.com/gatekeeper-oidc/gatekeeper/internal/web"
	"github.com/gatekeeper-oidc/gatekeeper/login"
	"github.com/gatekeeper-oidc/gatekeeper/oauth2"
	"github.com/gatekeeper-oidc/gatekeeper/storage"
	"github.com/gatekeeper-oidc/gatekeeper/storage/state"
	"github.com/gatekeeper-oidc/gatekeeper/templates"
)

const (
	firefox  = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
	safari   = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Mobile/15E148 Safari/604.1"
	password = "three green bicycles"
	next     = "seven purple umbrellas"
)

// world is the account page on a real store.
type world struct {
	t      *testing.T
	db     *storage.DB
	people *identity.Service
	trail  *audit.Trail
	mux    *web.Mux
	ana    identity.User
}

func newWorld(t *testing.T) *world {
	t.Helper()
	db, err := storage.Open(t.Context(), storage.Config{URL: "sqlite:" + filepath.Join(t.TempDir(), "account.db"), Migrate: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	pages, err := templates.New()
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, db: db, trail: audit.NewTrail(audit.Config{Store: db, Now: time.Now})}
	w.people = &identity.Service{
		Store: db, Trail: w.trail, Limits: state.NewMemory(time.Now, 0), Now: time.Now,
		Hasher: identity.NewHasher(identity.HasherConfig{Params: identity.Params{Memory: 64, Time: 1, Threads: 1}, Now: time.Now, Slots: 8}),
	}
	h, err := account.New(account.Config{
		People: w.people, Consents: &consent.Service{Store: db, Trail: w.trail}, Clients: db, Pages: pages, MinPassword: 15,
	})
	if err != nil {
		t.Fatal(err)
	}
	w.mux, err = web.New(web.Config{
		Issuer: &url.URL{Scheme: "http", Host: "localhost"}, FormKey: [32]byte{1}, Pages: pages, Log: slog.New(slog.DiscardHandler), Now: time.Now,
		Session: login.Session(w.people, func(r *http.Request, name string) string { return w.mux.Cookie(r, name) }),
	})
	if err != nil {
		t.Fatal(err)
	}
	h.Routes(w.mux)
	w.ana = w.person("ana@example.org")
	return w
}

func (w *world) person(email string) identity.User {
	w.t.Helper()
	u, err := w.people.CreateUser(w.t.Context(), "test", identity.NewUser{
		Email: email, Password: password, Profile: identity.Profile{Name: "Ana Example", Address: &identity.Address{Locality: "Vienna", Country: "AT"}},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return u
}

// A browser is signed in and has both cookies.
type browser struct {
	w       *world
	session identity.Session
	cookies map[string]string
}

func (w *world) browser(u identity.User, agent string) *browser {
	w.t.Helper()
	ctx := web.NewContext(w.t.Context(), web.Info{UserAgent: agent})
	s, token, err := w.people.Begin(ctx, u, nil, "pwd")
	if err != nil {
		w.t.Fatal(err)
	}
	return &browser{w, s, map[string]string{login.Cookie: token}}
}

func (b *browser) send(method, target string, fields url.Values) *httptest.ResponseRecorder {
	b.w.t.Helper()
	r := httptest.NewRequestWithContext(b.w.t.Context(), method, "http://localhost"+target, strings.NewReader(fields.Encode()))
	for k, v := range b.cookies {
		r.AddCookie(&http.Cookie{Name: k, Value: v})
	}
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	rec := httptest.NewRecorder()
	b.w.mux.ServeHTTP(rec, r)
	for _, c := range rec.Result().Cookies() {
		b.cookies[c.Name] = c.Value
	}
	return rec
}

// post sends a form with the token of the page.
func (b *browser) post(target string, fields url.Values) *httptest.ResponseRecorder {
	b.w.t.Helper()
	doc, err := html.Parse(b.send(http.MethodGet, "/account", nil).Body)
	if err != nil {
		b.w.t.Fatal(err)
	}
	for n := range doc.Descendants() {
		if n.Data == "input" && attr(n, "name") == "csrf" {
			fields.Set("csrf", attr(n, "value"))
		}
	}
	return b.send(http.MethodPost, target, fields)
}

func attr(n *html.Node, key string) string {
	for _, a := range n.Attr {
		if a.Key == key {
			return a.Val
		}
	}
	return ""
}

func (b *browser) alive() bool {
	_, _, err := b.w.people.Resume(context.WithoutCancel(b.w.t.Context()), b.cookies[login.Cookie])
	return err == nil
}

func (b *browser) wants(rec *httptest.ResponseRecorder, status int, text string) {
	b.w.t.Helper()
	if rec.Code != status || !strings.Contains(rec.Body.String()+rec.Header().Get("Location"), text) {
		b.w.t.Errorf("got %d %s, want %d with %q:\n%s", rec.Code, rec.Header().Get("Location"), status, text, rec.Body)
	}
}

func TestThePageShowsThePerson(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.browser(w.ana, firefox)
	w.browser(w.ana, safari)
	w.browser(w.person("ben@example.org"), "curl/8")
	if err := w.db.InsertClient(t.Context(), oauth2.Client{ID: "shop", Name: "The Shop", Type: oauth2.Web, RedirectURIs: []string{"https://shop.example/cb"}}); err != nil {
		t.Fatal(err)
	}
	for _, client := range []string{"shop", "gone"} {
		if err := w.db.PutConsent(t.Context(), consent.Consent{UserID: w.ana.ID, ClientID: client, Scopes: []string{"openid", "offline_access"}}); err != nil {
			t.Logf("consent to %s: %v", client, err)
		}
	}
	rec := b.send(http.MethodGet, "/account", nil)
	for _, want := range []string{
		"Ana Example", "ana@example.org", "not verified", "Vienna, AT", w.ana.ID, "Firefox on Linux", "Safari on iPhone", "This browser",
		"The Shop", "shop.example", "Keep access while you are away",
	} {
		if !strings.Contains(rec.Body.String(), want) {
			t.Errorf("the page does not say %q", want)
		}
	}
	for _, not := range []string{"curl", b.cookies[login.Cookie]} {
		if strings.Contains(rec.Body.String(), not) {
			t.Errorf("the page says %q", not)
		}
	}
	if !strings.Contains(rec.Header().Get("Content-Security-Policy"), "form-action 'self'") {
		t.Error("forms may be sent elsewhere")
	}
}

func TestNobodyIsSentToTheDoor(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := &browser{w: w, cookies: map[string]string{}}
	b.wants(b.send(http.MethodGet, "/account", nil), http.StatusSeeOther, "/login")
	b.wants(b.send(http.MethodGet, "/", nil), http.StatusSeeOther, "/account")
	b.wants(b.send(http.MethodPost, "/account/password", url.Values{}), http.StatusForbidden, "no longer valid")
}

func TestEndSessions(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b, phone, tablet := w.browser(w.ana, firefox), w.browser(w.ana, safari), w.browser(w.ana, safari)
	ben := w.browser(w.person("ben@example.org"), firefox)
	b.wants(b.post("/account/sessions/end", url.Values{"session": {phone.session.ID}}), http.StatusSeeOther, "/account?done=session")
	if phone.alive() || !tablet.alive() || !b.alive() {
		t.Error("the wrong browser was signed out")
	}
	b.wants(b.send(http.MethodGet, "/account?done=session", nil), http.StatusOK, "That browser is signed out.")
	b.wants(b.post("/account/sessions/end", url.Values{"session": {ben.session.ID}}), http.StatusSeeOther, "/account")
	if !ben.alive() {
		t.Error("somebody else's session was ended")
	}
	for _, bad := range []string{"", b.session.ID} {
		if rec := b.post("/account/sessions/end", url.Values{"session": {bad}}); rec.Code != http.StatusBadRequest {
			t.Errorf("%q: %d", bad, rec.Code)
		}
	}
	for range 2 { // the second time there are no others, which must not mean all
		b.wants(b.post("/account/sessions/end", url.Values{"session": {"others"}}), http.StatusSeeOther, "/account?done=others")
	}
	if tablet.alive() || !b.alive() || !ben.alive() {
		t.Error("not exactly the others were signed out")
	}
}

func TestRevokeApplication(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.browser(w.ana, firefox)
	if err := w.db.InsertClient(t.Context(), oauth2.Client{ID: "shop", Type: oauth2.Web}); err != nil {
		t.Fatal(err)
	}
	if err := w.db.PutConsent(t.Context(), consent.Consent{UserID: w.ana.ID, ClientID: "shop", Scopes: []string{"openid"}}); err != nil {
		t.Fatal(err)
	}
	for range 2 { // a double click is one
		b.wants(b.post("/account/apps/revoke", url.Values{"client": {"shop"}}), http.StatusSeeOther, "/account?done=app")
	}
	if all, _, err := w.db.Consents(t.Context(), w.ana.ID, identity.Page{}); err != nil || len(all) > 0 {
		t.Errorf("%v %v", all, err)
	}
	if rec := b.post("/account/apps/revoke", url.Values{}); rec.Code != http.StatusBadRequest {
		t.Errorf("no application: %d", rec.Code)
	}
}

func TestChangePassword(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b, phone := w.browser(w.ana, firefox), w.browser(w.ana, safari)
	b.wants(b.post("/account/password", url.Values{"current": {"wrong"}, "password": {next}}), http.StatusUnprocessableEntity, "The current password is not right.")
	b.wants(b.post("/account/password", url.Values{"current": {password}, "password": {"short"}}), http.StatusUnprocessableEntity, "at least 15 characters")
	b.wants(b.post("/account/password", url.Values{"current": {password}}), http.StatusUnprocessableEntity, "at least 15 characters")
	before := b.cookies[login.Cookie]
	b.wants(b.post("/account/password", url.Values{"current": {password}, "password": {next}}), http.StatusSeeOther, "/account?done=password")
	if !b.alive() || phone.alive() {
		t.Error("exactly the other browsers should be signed out")
	}
	if _, _, err := w.people.Resume(t.Context(), before); err == nil || before == b.cookies[login.Cookie] {
		t.Error("the cookie did not change with the password")
	}
	if _, err := w.people.Authenticate(t.Context(), "ana@example.org", next); err != nil {
		t.Error(err)
	}
	if err := w.trail.Sequence(t.Context()); err != nil {
		t.Fatal(err)
	}
	events, err := w.trail.Events(t.Context(), audit.Filter{Kind: audit.PasswordChanged})
	if err != nil || len(events) != 1 || events[0].Actor != "user:"+w.ana.ID {
		t.Errorf("%+v %v", events, err)
	}
}

func TestTheAnswerOfAPageIsOneOfOurs(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.browser(w.ana, firefox)
	if rec := b.send(http.MethodGet, "/account?done="+url.QueryEscape("<script>"), nil); rec.Code != http.StatusOK || strings.Contains(rec.Body.String(), "role=\"status\"") {
		t.Errorf("%d", rec.Code)
	}
}

func TestLine(t *testing.T) {
	t.Parallel()
	got := []string{
		(*identity.Address)(nil).Line(), (&identity.Address{}).Line(),
		(&identity.Address{Formatted: "1 Road\r\nTown", Country: "AT"}).Line(), (&identity.Address{Locality: "Town", Country: "AT"}).Line(),
	}
	if d := cmp.Diff([]string{"", "", "1 Road Town", "Town, AT"}, got); d != "" {
		t.Error(d)
	}
}
