package suite

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// A browser that is shown a form of another site does not send what a person types
// there, and one that is redirected away does not follow.
func TestBrowserStaysHome(t *testing.T) {
	t.Parallel()
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("the browser went to %s", r.URL)
	}))
	t.Cleanup(elsewhere.Close)
	home := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/away" {
			http.Redirect(w, r, elsewhere.URL+"/cb?code=x", http.StatusSeeOther)
			return
		}
		_, _ = fmt.Fprintf(w, `<form method="post" action="%s/steal"><input id="login" name="login"><input id="password" name="password"><button id="submit">x</button></form>`, elsewhere.URL)
	}))
	t.Cleanup(home.Close)
	c := caseAt(t, home.URL)
	b := c.Browser()
	p, err := b.Open(t.Context(), home.URL+"/login")
	if err != nil || p.Kind() != LoginPage {
		t.Fatalf("%v at %v", err, p)
	}
	if _, err := b.Press(t.Context(), p, "submit", "login", "ana", "password", "secret"); err == nil {
		t.Error("the form was sent")
	}
	p, err = b.Open(t.Context(), home.URL+"/away")
	if err != nil || p.Left == nil || p.Left.Query().Get("code") != "x" {
		t.Errorf("%v at %v", err, p)
	}
	if strings.Contains(p.String(), "code") {
		t.Errorf("the page tells its query: %s", p)
	}
}

func caseAt(t *testing.T, issuer string) *Case {
	t.Helper()
	origin, err := url.Parse(issuer)
	if err != nil {
		t.Fatal(err)
	}
	return &Case{
		Target: &Target{Issuer: issuer, Transport: http.DefaultTransport, Now: time.Now},
		Server: &Server{Metadata: &Metadata{Issuer: issuer}, origin: origin},
	}
}

func TestOfficialRoundTrip(t *testing.T) {
	t.Parallel()
	want := Official{
		Issuer: "https://id.example.org", Alias: "acme", Redirect: "https://suite.example/test/a/acme/callback", Login: "ana@example.org", Password: `a "pass" word`,
		Clients: [3]Client{{ID: "a", Secret: "1", AuthMethod: "client_secret_basic"}, {ID: "b", Secret: "2", AuthMethod: "client_secret_basic"}, {ID: "c", Secret: "3", AuthMethod: "client_secret_post"}},
	}
	for i := range want.Told {
		want.Told[i] = Client{ID: "told", Secret: "4", AuthMethod: "client_secret_basic", RedirectURIs: []string{want.Redirect}, AfterLogout: []string{"https://suite.example/test/a/acme/post_logout_redirect"}}
	}
	text, err := json.Marshal(want.Configuration())
	if err != nil {
		t.Fatal(err)
	}
	got, _, err := ReadOfficial(text)
	if err != nil {
		t.Fatal(err)
	}
	for i := range want.Clients {
		want.Clients[i].RedirectURIs, want.Clients[i].AfterLogout = []string{want.Redirect}, []string{"https://suite.example/test/a/acme/post_logout_redirect"}
	}
	if d := cmp.Diff(want, got, cmp.AllowUnexported(Client{})); d != "" {
		t.Error(d)
	}
	if _, _, err := ReadOfficial([]byte(`{"alias":"x"}`)); err == nil {
		t.Error("half a configuration was read")
	}
}

func TestReportPage(t *testing.T) {
	t.Parallel()
	r := Report{Issuer: "https://<id>.example", Results: []Result{
		{Profile: "basic", Variant: Variant{ResponseType: "code"}, Module: "server", Spec: "Core 3", Outcome: Passed},
		{Profile: "basic", Variant: Variant{ResponseType: "code"}, Module: "codereuse", Outcome: Failed, Reasons: []Reason{{Text: `<script>alert("x")</script>`, Spec: "RFC 6749 4.1.2"}}},
		{Profile: "hybrid", Module: "*", Outcome: Skipped, Reasons: []Reason{{Text: "not advertised"}}},
	}}
	var b strings.Builder
	if err := r.HTML(&b); err != nil {
		t.Fatal(err)
	}
	page := b.String()
	if strings.Contains(page, "<script") || strings.Contains(page, "<id>") {
		t.Errorf("the page holds what a server said as it is:\n%s", page)
	}
	for _, want := range []string{"To be looked at", "basic (code) codereuse", "RFC 6749 4.1.2", "color-scheme", "not advertised"} {
		if !strings.Contains(page, want) {
			t.Errorf("%q is missing", want)
		}
	}
}

func TestReasons(t *testing.T) {
	t.Parallel()
	got := reasonsOf(errors.Join(Failf("one"), fmt.Errorf("two: %w", Brokef("RFC 1", "deep"))))
	if d := cmp.Diff([]Reason{{Text: "one"}, {Text: "two: deep", Spec: "RFC 1"}}, got); d != "" {
		t.Error(d)
	}
}

func TestWeakSecrets(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]bool{
		"": true, "12345678": true, strings.Repeat("a", 200): true, "0123456789abcdef0123456789abcdef": false, "gk_ac_VgWzY2m8Qp0r7TnLx4KdEs": false,
	} {
		if got := weak("code", value) != ""; got != want {
			t.Errorf("%q is weak: %t", value, got)
		}
	}
}

func TestIllegal(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{"": false, "It's fine!": false, `a "b"`: true, `a\b`: true, "a\nb": true, "é": true} {
		if got := Illegal("error", text) != ""; got != want {
			t.Errorf("%q is illegal: %t", text, got)
		}
	}
}

// TestAutomatonStumbles: what the official suite's browser cannot do, ours does not do
// either.
func TestAutomatonStumbles(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprint(w, `<h1>Sign in</h1><form method="post" action="/in"><input id="login" name="login" readonly value="ana"><input id="password" name="password"><button id="submit">x</button></form>`)
	}))
	t.Cleanup(server.Close)
	home, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, want string
		task       Task
	}{
		{"types into what is read-only", "cannot be changed", Task{Commands: [][]any{{"text", "id", "login", "ana"}}}},
		{"looks for what is not there", "is not on", Task{Commands: [][]any{{"click", "id", "consent-accept"}}}},
		{"waits for what is not said", "does not say", Task{Commands: [][]any{{"wait", "xpath", "//h1", 10, "Signed out"}}}},
		{"is on another page", "the browser is on", Task{Match: server.URL + "/consent*"}},
		{"leaves out what may be missing", "", Task{Commands: [][]any{{"click", "id", "consent-accept", "optional"}, {"wait", "xpath", "//h1", 10, ".*"}}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			pages := &Configuration{Browser: []Automation{{Match: server.URL + "/*", Limit: 1, Tasks: []Task{tt.task}}}}
			c := &Case{Target: &Target{Transport: http.DefaultTransport, Pages: pages}, Server: &Server{origin: home}}
			b := c.Browser()
			p, err := b.Open(t.Context(), server.URL+"/login")
			if err != nil {
				t.Fatal(err)
			}
			_, _, err = c.walk(t.Context(), b, server.URL+"/login", p)
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
			if _, _, err := c.walk(t.Context(), b, server.URL+"/login", p); err == nil {
				t.Error("an automation for once was used twice")
			}
		})
	}
}
