package login_test

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/gatekeeper-oidc/gatekeeper/audit"
	"github.com/gatekeeper-oidc/gatekeeper/identity"
	"github.com/gatekeeper-oidc/gatekeeper/oauth2"
)

func TestSignInGoesBackToTheRequest(t *testing.T) {
	t.Parallel()
	w := newWorld(t, false)
	b := w.browser(t)
	p := b.asks(request{LoginHint: ana})
	p.wants(http.StatusOK, "The Shop")
	if got := attr(p.find("id", "login"), "value"); got != ana {
		t.Errorf("login_hint was not filled in: %q", got)
	}
	b.signIn(p, "  ANA@example.org ", password).wants(http.StatusOK, "finished as "+ana)
	if b.session() == "" {
		t.Error("no session cookie")
	}
	b.asks(request{}).wants(http.StatusOK, "finished as "+ana)
}

func TestSignInWithoutARequestLeadsToTheAccount(t *testing.T) {
	t.Parallel()
	w := newWorld(t, false)
	b := w.browser(t)
	b.signIn(b.get("/login"), ana, password).wants(http.StatusOK, "account of "+ana)
	b.get("/login").wants(http.StatusOK, "account of "+ana)
}

// TestOneAnswer: an unknown person, a wrong password and a locked person look the
// same but for the reference and what was typed.
func TestOneAnswer(t *testing.T) {
	t.Parallel()
	w := newWorld(t, false)
	locked := w.person(t, "cleo@example.org")
	if err := w.people.Lock(t.Context(), "test", locked.ID, ""); err != nil {
		t.Fatal(err)
	}
	scrub := regexp.MustCompile(`(?:<code>[^<]*|value="[^"]*")`)
	var pages []string
	for _, c := range [][2]string{{ana, "not the password"}, {"nobody@example.org", "not the password"}, {locked.Email, password}, {"no address", password}} {
		b := w.browser(t)
		p := b.signIn(b.asks(request{}), c[0], c[1])
		p.wants(http.StatusUnprocessableEntity, "The email address or the password is not right.")
		if b.session() != "" {
			t.Errorf("%s was given a session", c[0])
		}
		if got := attr(p.find("id", "login"), "value"); got != c[0] {
			t.Errorf("the address typed is gone: %q", got)
		}
		if p.header.Get("WWW-Authenticate") != "" || attr(p.find("id", "password"), "value") != "" {
			t.Error("a challenge, or the password came back")
		}
		alert := p.find("id", "problem")
		if alert == nil || attr(alert, "role") != "alert" || attr(p.find("id", "login"), "aria-describedby") != "problem" {
			t.Error("the error is not tied to its field")
		}
		pages = append(pages, scrub.ReplaceAllString(p.text, ""))
	}
	for _, p := range pages[1:] {
		if p != pages[0] {
			t.Errorf("answers differ:\n%s\n\n%s", pages[0], p)
		}
	}
}

func TestTooManyAttemptsSayHowLongToWait(t *testing.T) {
	t.Parallel()
	w := newWorld(t, false)
	b := w.browser(t)
	p := b.asks(request{})
	for range 12 {
		if p = b.signIn(p, ana, "not the password"); p.status == http.StatusTooManyRequests {
			break
		}
	}
	p.wants(http.StatusTooManyRequests, "There were too many attempts. Try again in ")
	if p.header.Get("Retry-After") == "" || attr(p.find("id", "login"), "value") != ana {
		t.Error("no Retry-After, or the address is gone")
	}
	if p := b.signIn(p, ana, password); p.status != http.StatusTooManyRequests {
		t.Errorf("the right password passed the limit: %d", p.status)
	}
}

func TestPrompts(t *testing.T) {
	t.Parallel()
	zero, hour, day := int64(0), int64(3600), int64(86400)
	for name, c := range map[string]struct {
		req     request
		age     time.Duration // of the session
		asksFor string        // id of what the page must have, "" for none
	}{
		"nothing special":               {request{}, time.Minute, ""},
		"login":                         {request{Prompt: []string{"login"}}, time.Minute, "password"},
		"login in the same second":      {request{Prompt: []string{"login"}}, 0, "password"},
		"max_age zero":                  {request{MaxAge: &zero}, 0, "password"},
		"max_age exceeded":              {request{MaxAge: &hour}, 2 * time.Hour, "password"},
		"max_age kept":                  {request{MaxAge: &day}, 2 * time.Hour, ""},
		"create while sign-up is shut":  {request{Prompt: []string{"create"}}, time.Minute, "password"},
		"somebody else asked for":       {request{HintSubject: "another"}, time.Minute, "password"},
		"select_account":                {request{Prompt: []string{"select_account"}}, 0, "submit"},
		"select_account with a new one": {request{Prompt: []string{"login", "select_account"}}, time.Minute, "password"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, false)
			w.people.Policy.SessionIdle = 24 * time.Hour
			b := w.browser(t)
			b.signIn(b.get("/login"), ana, password)
			w.ahead.Add(int64(c.age))
			p := b.asks(c.req)
			switch {
			case c.asksFor == "":
				p.wants(http.StatusOK, "finished as "+ana)
				return
			case p.find("id", c.asksFor) == nil:
				t.Fatalf("the person was not asked:\n%s", p.text)
			case c.req.HintSubject != "":
				p.wants(http.StatusOK, "different account")
				return
			case c.asksFor == "submit":
				action, f := p.form("submit")
				p = b.post(action, f)
			default:
				p = b.signIn(p, ana, password)
			}
			p.wants(http.StatusOK, "finished as "+ana)
		})
	}
}

// TestTooLongAgo: who signed in too long ago for the application is asked for no
// more than the password.
func TestTooLongAgo(t *testing.T) {
	t.Parallel()
	w := newWorld(t, false)
	minute := int64(60)
	b := w.browser(t)
	b.signIn(b.get("/login"), ana, password)
	b.asks(request{MaxAge: &minute}).wants(http.StatusOK, "finished as "+ana)
	w.ahead.Add(int64(2 * time.Minute))
	p := b.asks(request{MaxAge: &minute})
	p.wants(http.StatusOK, "Please confirm that it is you.")
	if attr(p.find("id", "login"), "value") != ana {
		t.Error("the person has to type their address again")
	}
	b.signIn(p, ana, password).wants(http.StatusOK, "finished as "+ana)
}

// TestThePageSpeaksTheLanguageAskedFor: ui_locales is the application's wish and
// goes before the browser's (OpenID Connect Core section 3.1.2.1); a language
// there is none of is passed over.
func TestThePageSpeaksTheLanguageAskedFor(t *testing.T) {
	t.Parallel()
	w := newWorld(t, false)
	for name, c := range map[string]struct {
		asked []string
		title string
	}{
		"nothing":            {nil, "Sign in"},
		"German":             {[]string{"de"}, "Anmelden"},
		"Austrian German":    {[]string{"de-AT"}, "Anmelden"},
		"German before ours": {[]string{"tlh", "de", "en"}, "Anmelden"},
		"none of ours":       {[]string{"tlh"}, "Sign in"},
	} {
		p := w.browser(t).asks(request{UILocales: c.asked})
		if p.wants(http.StatusOK, c.title); t.Failed() {
			t.Fatalf("%s", name)
		}
	}
}

func TestAnotherAccount(t *testing.T) {
	t.Parallel()
	w := newWorld(t, false)
	b := w.browser(t)
	b.signIn(b.get("/login"), ana, password)
	before := b.session()
	p := b.asks(request{Prompt: []string{"select_account"}})
	p.wants(http.StatusOK, ana)
	other := p.find("class", "choice other")
	p = b.get(attr(other, "href"))
	if got := attr(p.find("id", "login"), "value"); got != "" {
		t.Errorf("another account was asked for and %q shown", got)
	}
	if p = b.signIn(p, ben, "not the password"); p.status != http.StatusUnprocessableEntity || p.find("name", "as") == nil {
		t.Errorf("after a mistake the page is for somebody else: %d", p.status)
	}
	b.signIn(p, ben, password).wants(http.StatusOK, "finished as "+ben)
	if _, _, err := w.people.Resume(t.Context(), before); err == nil {
		t.Error("the session of the one before lives on")
	}
}

func TestTheChoiceIsOfTheAccountShown(t *testing.T) {
	t.Parallel()
	w := newWorld(t, false)
	b := w.browser(t)
	b.signIn(b.get("/login"), ana, password)
	p := b.asks(request{Prompt: []string{"select_account"}})
	b.signIn(b.get("/login?as=other"), ben, password) // in another tab
	action, f := p.form("submit")
	p = b.post(action, f)
	p.wants(http.StatusForbidden, "out of date")
	b.get(attr(p.find("id", "again"), "href")).wants(http.StatusOK, ben) // the page again, for who it is now
}

// TestAChoiceIsNoSignIn: whoever chooses an account has proved nothing, even in the
// second in which its session began.
func TestAChoiceIsNoSignIn(t *testing.T) {
	t.Parallel()
	w := newWorld(t, false)
	frozen := time.Now()
	w.frozen.Store(&frozen)
	b := w.browser(t)
	b.signIn(b.get("/login"), ana, password)
	p := b.asks(request{Prompt: []string{"login", "select_account"}})
	action, f := b.get("/login/select?" + p.url.RawQuery).form("submit") // past the page that was asked for
	if p = b.post(action, f); p.find("id", "password") == nil {
		t.Fatalf("prompt=login was satisfied by a choice:\n%s", p.text)
	}
	b.signIn(p, ana, password).wants(http.StatusOK, "finished as "+ana)
}

// TestAnswersAreNotLentToTheNext: what one person said in an interaction is not the
// word of the one who signs in after them, or is chosen.
func TestAnswersAreNotLentToTheNext(t *testing.T) {
	t.Parallel()
	for name, req := range map[string]request{"signed in": {Prompt: []string{"login"}}, "chosen": {Prompt: []string{"select_account"}}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, false)
			b := w.browser(t)
			b.signIn(b.get("/login"), ben, password)
			p := b.asks(req)
			id := p.url.Query().Get("i")
			in, err := w.db.Interaction(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			in.Selected, in.Authenticated, in.Consented = "session of ana", "session of ana", true
			if err := w.db.PutInteraction(t.Context(), in); err != nil {
				t.Fatal(err)
			}
			if name == "signed in" {
				b.signIn(p, ben, password)
			} else {
				b.post(p.form("submit"))
			}
			if in, err = w.db.Interaction(t.Context(), id); err != nil {
				t.Fatal(err)
			}
			if in.Consented || in.Authenticated == "session of ana" || in.Selected == "session of ana" {
				t.Errorf("ana's answers became ben's: %+v", in)
			}
		})
	}
}

func TestCancel(t *testing.T) {
	t.Parallel()
	w := newWorld(t, false)
	b := w.browser(t)
	p := b.asks(request{})
	_, f := p.form("submit")
	b.post("/login/cancel", url.Values{"csrf": {f.Get("csrf")}, "i": {f.Get("i")}}).wants(http.StatusOK, "denied access_denied")
}

// TestAnInteractionIsOfOneBrowser: an attacker's interaction, or their form, is
// worth nothing in the victim's browser.
func TestAnInteractionIsOfOneBrowser(t *testing.T) {
	t.Parallel()
	w := newWorld(t, false)
	attacker, victim := w.browser(t), w.browser(t)
	p := attacker.asks(request{})
	if q := victim.get(p.url.RequestURI()); q.status != http.StatusNotFound || q.find("id", "password") != nil {
		t.Errorf("the victim was shown the attacker's interaction: %d", q.status)
	}
	victim.asks(request{})
	action, f := p.form("submit")
	f.Set("login", ben)
	f.Set("password", password)
	if q := victim.post(action, f); q.status != http.StatusForbidden || victim.session() != "" {
		t.Errorf("the attacker's form signed the victim in: %d", q.status)
	}
	_, own := victim.get("/login").form("submit")
	f.Set("csrf", own.Get("csrf"))
	if q := victim.post(action, f); q.status != http.StatusNotFound || victim.session() != "" {
		t.Errorf("the attacker's interaction signed the victim in: %d", q.status)
	}
}

// TestSessionFixation: the value of the cookie changes with every sign-in, and a
// value that was planted, or known before, is worth nothing afterwards.
func TestSessionFixation(t *testing.T) {
	t.Parallel()
	w := newWorld(t, false)
	b := w.browser(t)
	home, _ := url.Parse(w.URL)
	planted := strings.Repeat("A", 43)
	b.Jar.SetCookies(home, []*http.Cookie{{Name: "gk_session", Value: planted, Path: "/"}})
	b.signIn(b.asks(request{}), ana, password).wants(http.StatusOK, "finished as "+ana)
	first := b.session()
	if first == planted || first == "" {
		t.Fatal("the planted value was kept")
	}
	b.signIn(b.asks(request{Prompt: []string{"login"}}), ana, password).wants(http.StatusOK, "finished as "+ana)
	if b.session() == first {
		t.Error("signing in again kept the value")
	}
	for _, old := range []string{planted, first} {
		if _, _, err := w.people.Resume(t.Context(), old); err == nil {
			t.Errorf("%s still opens the session", old)
		}
	}
}

func TestAStoreThatIsDownIsNotSignedOut(t *testing.T) {
	t.Parallel()
	w := newWorld(t, false)
	b := w.browser(t)
	b.signIn(b.get("/login"), ana, password)
	cookie := b.session()
	w.down.Store(true)
	if p := b.get("/login"); p.status != http.StatusServiceUnavailable || p.header.Get("Retry-After") == "" {
		t.Errorf("%d with Retry-After %q", p.status, p.header.Get("Retry-After"))
	}
	w.down.Store(false)
	b.get("/login").wants(http.StatusOK, "account of "+ana)
	if b.session() != cookie {
		t.Error("the cookie changed")
	}
}

func TestADeadSessionIsNobody(t *testing.T) {
	t.Parallel()
	w := newWorld(t, false)
	b := w.browser(t)
	b.signIn(b.get("/login"), ana, password)
	u, err := w.people.Find(t.Context(), ana)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.people.End(t.Context(), "test", u.ID, audit.SessionEnded); err != nil {
		t.Fatal(err)
	}
	p := b.asks(request{})
	if p.find("id", "password") == nil {
		t.Fatalf("a dead session was let in: %s", p.text)
	}
	b.signIn(p, ana, password).wants(http.StatusOK, "finished as "+ana)
}

// TestStepsDecideFromWhatIsStored walks the corners that pages cannot reach.
func TestStepsDecideFromWhatIsStored(t *testing.T) {
	t.Parallel()
	w := newWorld(t, false)
	at := time.Date(2026, 11, 24, 9, 0, 0, 500_000_000, time.UTC)
	session := identity.Session{ID: "s1", AuthTime: at.Truncate(time.Second)}
	again := request{ClientID: "shop", Prompt: []string{"login"}}
	for name, c := range map[string]struct {
		in   oauth2.Interaction
		want string
	}{
		"signed in within":                  {oauth2.Interaction{Request: again, CreatedAt: at, Selected: "s1", Authenticated: "s1"}, ""},
		"signed in within, other session":   {oauth2.Interaction{Request: again, CreatedAt: at, Selected: "s2", Authenticated: "s2"}, "login_required"},
		"chosen, signed in before":          {oauth2.Interaction{Request: again, CreatedAt: at.Add(time.Second), Selected: "s1"}, "login_required"},
		"chosen, signed in the same second": {oauth2.Interaction{Request: again, CreatedAt: at, Selected: "s1"}, "login_required"},
		"signed in, in the same second":     {oauth2.Interaction{Request: again, CreatedAt: at}, "login_required"},
		"signed in within, not whom asked": {
			oauth2.Interaction{Request: request{ClientID: "shop", HintSubject: "other"}, CreatedAt: at, Selected: "s1", Authenticated: "s1"}, "login_required",
		},
	} {
		got, err := w.steps[0].Needed(identity.NewContext(t.Context(), session, identity.User{ID: "u1"}), c.in)
		if err != nil || got != c.want {
			t.Errorf("%s: got %q (%v), want %q", name, got, err, c.want)
		}
	}
}
