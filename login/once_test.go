package login_test

import (
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"
)

// cookie returns what the browser has under name.
func (b *browser) cookie(name string) string {
	b.t.Helper()
	u, err := url.Parse(b.w.URL)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, c := range b.Jar.Cookies(u) {
		if c.Name == name {
			return c.Value
		}
	}
	return ""
}

// TestOneFormIsOneSession: a form that was sent ten times at once signs in once, and
// every answer leads on with the same session.
func TestOneFormIsOneSession(t *testing.T) {
	t.Parallel()
	w := newWorld(t, false)
	b := w.browser(t)
	p := b.asks(request{})
	action, f := p.form("submit")
	f.Set("login", ana)
	f.Set("password", password)
	tx := b.cookie("gk_tx")
	var mu sync.Mutex
	values := map[string]int{}
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() {
			r, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, w.URL+action, strings.NewReader(f.Encode()))
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			r.AddCookie(&http.Cookie{Name: "gk_tx", Value: tx})
			answer, err := http.DefaultTransport.RoundTrip(r)
			if err != nil {
				t.Error(err)
				return
			}
			_ = answer.Body.Close()
			mu.Lock()
			defer mu.Unlock()
			for _, c := range answer.Cookies() {
				if c.Name == "gk_session" {
					values[c.Value]++
				}
			}
		})
	}
	wg.Wait()
	if len(values) != 1 {
		t.Errorf("got sessions %v, want one in ten answers", values)
	}
	u, err := w.people.Find(t.Context(), ana)
	if err != nil {
		t.Fatal(err)
	}
	live, err := w.people.Sessions(t.Context(), u.ID)
	if err != nil || len(live) != 1 {
		t.Fatalf("got %d sessions, %v; want one", len(live), err)
	}
	if err := w.people.End(t.Context(), "test", u.ID, "session.revoked", live[0].ID); err != nil {
		t.Fatal(err)
	}
	// The same form once more, after the end: that session does not come back.
	r, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, w.URL+action, strings.NewReader(f.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.AddCookie(&http.Cookie{Name: "gk_tx", Value: tx})
	answer, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close()
	for _, c := range answer.Cookies() {
		if c.Name == "gk_session" && values[c.Value] > 0 {
			t.Error("an ended session came back to life")
		}
	}
}

func TestFormsOfTheOneBeforeAreWorthless(t *testing.T) {
	t.Parallel()
	w := newWorld(t, false)
	b := w.browser(t)
	old := b.get("/login")
	before := b.cookie("gk_tx") + b.cookie("gk_fx")
	p := b.asks(request{})
	b.signIn(p, ana, password).wants(http.StatusOK, "finished as "+ana)
	after := b.cookie("gk_tx") + b.cookie("gk_fx")
	if before == after || before == "" {
		t.Error("what binds forms survives a sign-in")
	}
	action, f := old.form("submit")
	f.Set("login", ben)
	f.Set("password", password)
	b.post(action, f).wants(http.StatusForbidden, "out of date")
}

func TestAResetPasswordIsChangedBeforeTheSignIn(t *testing.T) {
	t.Parallel()
	w := newWorld(t, false)
	u, err := w.people.Find(t.Context(), ana)
	if err != nil {
		t.Fatal(err)
	}
	given, own := "a password of the operator", "five orange umbrellas"
	if err := w.people.SetPassword(t.Context(), "operator", u.ID, given); err != nil {
		t.Fatal(err)
	}
	b := w.browser(t)
	p := b.signIn(b.asks(request{}), ana, given)
	if p.find("id", "current") == nil || b.session() != "" {
		t.Fatalf("the operator's password signed in: %d", p.status)
	}
	action, f := p.form("submit")
	f.Set("current", given)
	f.Set("password", "short")
	p = b.post(action, f)
	p.wants(http.StatusUnprocessableEntity, "too short")
	if b.session() != "" {
		t.Error("signed in without a change")
	}
	b.get("/login/password").wants(http.StatusOK, "Sign in")
	action, f = p.form("submit")
	f.Set("current", given)
	f.Set("password", own)
	b.post(action, f).wants(http.StatusOK, "finished as "+ana)
	w.ahead.Add(int64(time.Minute))
	other := w.browser(t)
	other.signIn(other.get("/login"), ana, own).wants(http.StatusOK, "account of "+ana)
}

func TestAKnownBrowserSignsInWhileOthersGuess(t *testing.T) {
	t.Parallel()
	w := newWorld(t, false)
	b, stranger := w.browser(t), w.browser(t)
	b.signIn(b.get("/login"), ana, password)
	if b.cookie("gk_device") == "" {
		t.Fatal("the browser was given nothing to be known by")
	}
	for range 6 {
		stranger.signIn(stranger.get("/login"), ana, "wrong")
	}
	if p := stranger.signIn(stranger.get("/login"), ana, password); p.status != http.StatusTooManyRequests {
		t.Errorf("a stranger: got %d, want 429", p.status)
	}
	b.signIn(b.get("/login?as=other"), ana, password).wants(http.StatusOK, "account of "+ana)
}
