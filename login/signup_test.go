package login_test

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestSignUpSaysTheSameAboutEveryAddress(t *testing.T) {
	t.Parallel()
	w := newWorld(t, true)
	var pages []string
	for _, email := range []string{"new@example.org", ana} {
		b := w.browser(t)
		p := b.get("/signup")
		if attr(p.find("id", "password"), "autocomplete") != "new-password" {
			t.Error("password managers are not told that this is a new password")
		}
		p = b.signIn(p, email, "seven purple umbrellas")
		p.wants(http.StatusOK, "If this address was new, your account is ready.")
		if p.url.Path != "/login" || strings.Contains(p.text, email) || b.session() != "" {
			t.Errorf("%s ended at %s", email, p.url)
		}
		_, f := p.form("submit")
		pages = append(pages, strings.ReplaceAll(p.text, f.Get("csrf"), ""))
	}
	if pages[0] != pages[1] {
		t.Errorf("answers differ:\n%s\n\n%s", pages[0], pages[1])
	}
	b := w.browser(t)
	b.signIn(b.get("/login"), "new@example.org", "seven purple umbrellas").wants(http.StatusOK, "account of new@example.org")
	b = w.browser(t)
	b.signIn(b.get("/login"), ana, password).wants(http.StatusOK, "account of "+ana)
}

func TestSignUpIsPartOfTheRequest(t *testing.T) {
	t.Parallel()
	w := newWorld(t, true)
	b := w.browser(t)
	p := b.asks(request{Prompt: []string{"create"}, LoginHint: "new@example.org"})
	if p.url.Path != "/signup" || attr(p.find("id", "login"), "value") != "new@example.org" {
		t.Fatalf("prompt=create led to %s", p.url)
	}
	p = b.signIn(p, "new@example.org", "seven purple umbrellas")
	b.signIn(p, "new@example.org", "seven purple umbrellas").wants(http.StatusOK, "finished as new@example.org")
	p = b.asks(request{Prompt: []string{"create"}})
	for n := range p.doc.Descendants() {
		if n.Data == "a" && strings.Contains(attr(n, "href"), "as=known") {
			p = b.get(attr(n, "href"))
			break
		}
	}
	b.signIn(p, ana, password).wants(http.StatusOK, "finished as "+ana)
}

func TestSignUpExplainsWhatIsWrong(t *testing.T) {
	t.Parallel()
	w := newWorld(t, true)
	for name, c := range map[string]struct{ email, secret, want string }{
		"short":      {"x@example.org", "short", "it needs at least 15 characters"},
		"none":       {"x@example.org", "", "Please choose a password."},
		"common":     {"x@example.org", "password1234567", "one of the most common"},
		"no address": {"nobody", "seven purple umbrellas", "not a complete email address"},
	} {
		w.ahead.Add(int64(13 * time.Minute))
		b := w.browser(t)
		p := b.signIn(b.get("/signup"), c.email, c.secret)
		if p.status != http.StatusUnprocessableEntity || !strings.Contains(p.text, c.want) || attr(p.find("id", "login"), "value") != c.email {
			t.Errorf("%s: %d %s", name, p.status, p.text)
		}
	}
}

func TestSignUpIsLimited(t *testing.T) {
	t.Parallel()
	w := newWorld(t, true)
	b := w.browser(t)
	p := b.get("/signup")
	for range 7 {
		if p = b.signIn(b.get("/signup"), "x@example.org", "short"); p.status == http.StatusTooManyRequests {
			break
		}
	}
	p.wants(http.StatusTooManyRequests, "There were too many attempts.")
}

func TestSignUpClosed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, false)
	b := w.browser(t)
	b.get("/signup").wants(http.StatusNotFound, "New accounts are made by an administrator here.")
	p := b.asks(request{Prompt: []string{"create"}})
	p.wants(http.StatusOK, "New accounts are made by an administrator here.")
	action, f := p.form("submit")
	if action != "/login" {
		t.Fatalf("the form goes to %s", action)
	}
	f.Set("login", "x@example.org")
	f.Set("password", "seven purple umbrellas")
	if q := b.post("/signup", f); q.status != http.StatusNotFound {
		t.Errorf("POST /signup answered %d", q.status)
	}
}

func TestSetupOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, false)
	token, err := w.people.NewSetup(t.Context(), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	b := w.browser(t)
	for range 2 { // looking spends nothing
		b.get("/setup/"+token).wants(http.StatusOK, "Create the first administrator.")
	}
	p := b.get("/setup/" + token)
	if !strings.Contains(p.header.Get("Content-Security-Policy"), "form-action 'self'") {
		t.Error("the set-up form may be sent elsewhere")
	}
	p = b.signIn(p, "root@example.org", "short")
	p.wants(http.StatusUnprocessableEntity, "it needs at least 15 characters")
	b.signIn(p, "root@example.org", "seven purple umbrellas").wants(http.StatusOK, "account of root@example.org")
	b.get("/setup/"+token).wants(http.StatusNotFound, "This set-up link was used")
	b.get("/setup/nonsense").wants(http.StatusNotFound, "This set-up link was used")
	u, err := w.people.Find(t.Context(), "root@example.org")
	if err != nil || len(u.Roles) != 1 || u.Roles[0] != "admin" {
		t.Errorf("%+v %v", u, err)
	}
}

func TestSetupLinksCannotBeGuessedAt(t *testing.T) {
	t.Parallel()
	w := newWorld(t, false)
	b := w.browser(t)
	for range 11 {
		if p := b.get("/setup/" + strings.Repeat("A", 43)); p.status == http.StatusTooManyRequests {
			return
		}
	}
	t.Error("eleven guesses in a row were answered")
}
