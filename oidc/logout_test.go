package oidc

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/gatekeeper-oidc/gatekeeper/identity"
)

const live = "__Host-gk_session=live"

func signedIn() *world {
	k := newWorld()
	k.signed = &identity.Session{ID: "s1", UserID: "u1"}
	return k
}

const byAna = "u1 s1"

func TestLogout(t *testing.T) {
	t.Parallel()
	const bye = "https://shop.example/bye"
	for _, tt := range []struct {
		name, query string
		status      int
		to          string // Location
		ended       bool
	}{
		{"hint of this session", "id_token_hint=this-session&post_logout_redirect_uri=" + bye + "&state=s%26t", 303, bye + "?state=s%26t", true},
		{"hint of this person's older session", "id_token_hint=older-session&post_logout_redirect_uri=" + bye, 303, bye, true},
		{"hint and its client", "id_token_hint=this-session&client_id=shop&post_logout_redirect_uri=" + bye, 303, bye, true},
		{"a registered query stays", "id_token_hint=this-session&state=x&post_logout_redirect_uri=" + url.QueryEscape(bye+"?a=b"), 303, bye + "?a=b&state=x", true},
		{"hint without an address", "id_token_hint=this-session&state=x", 303, "/oidc/logout/done?client_id=shop", true},
		{"nothing asks first", "", 200, "", false},
		{"only a state asks first", "state=x", 200, "", false},
		{"a client alone asks first", "client_id=shop&post_logout_redirect_uri=" + bye, 200, "", false},
		{"hint of another person asks first", "id_token_hint=other-person&post_logout_redirect_uri=" + bye, 200, "", false},
		{"a hint nobody can check asks, and leads nowhere", "id_token_hint=forged&post_logout_redirect_uri=" + bye, 200, "", false},
		{"a hint nobody can check, with a client, asks", "id_token_hint=forged&client_id=shop&post_logout_redirect_uri=" + bye, 200, "", false},
		{"hint of another client asks", "id_token_hint=this-session&client_id=ours", 200, "", false},
		{"hint of a client that is gone", "id_token_hint=gone-client", 400, "", false},
		{"unknown client", "client_id=nobody", 400, "", false},
		{"address without a client asks first", "post_logout_redirect_uri=" + bye, 200, "", false},
		{"address of nobody", "id_token_hint=this-session&post_logout_redirect_uri=https://evil.example/", 400, "", false},
		{"address with a query added", "id_token_hint=this-session&post_logout_redirect_uri=" + bye + "%3Fx=y", 400, "", false},
		{"address with a slash added", "id_token_hint=this-session&post_logout_redirect_uri=" + bye + "/", 400, "", false},
		{"address in another case", "id_token_hint=this-session&post_logout_redirect_uri=https://shop.example/Bye", 400, "", false},
		{"address of a client that has none", "client_id=ours&post_logout_redirect_uri=" + bye, 400, "", false},
		{"parameter twice", "client_id=shop&client_id=shop", 400, "", false},
		{"huge state", "id_token_hint=this-session&post_logout_redirect_uri=" + bye + "&state=" + strings.Repeat("x", 6<<10), 303, bye + "?state=" + strings.Repeat("x", 6<<10), true},
	} {
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			t.Run(tt.name+" by "+method, func(t *testing.T) {
				t.Parallel()
				k := signedIn()
				target, form := issuer+"/oidc/logout?"+tt.query, ""
				if method == http.MethodPost {
					target, form = issuer+"/oidc/logout", tt.query+"&"
				}
				w := send(t, k.road(t, k.config(t)), method, target, form, "Cookie", live)
				if w.Code != tt.status || w.Header().Get("Location") != tt.to {
					t.Fatalf("got %d to %q, want %d to %q: %s", w.Code, w.Header().Get("Location"), tt.status, tt.to, w.Body)
				}
				if tt.ended != slices.Equal(k.ended, []string{byAna}) || !tt.ended && len(k.ended) > 0 {
					t.Errorf("ended %q", k.ended)
				}
				dropped := strings.Contains(strings.Join(w.Header().Values("Set-Cookie"), "\n"), "__Host-gk_session=; ")
				if dropped != tt.ended || (w.Header().Get("Clear-Site-Data") == `"storage"`) != tt.ended {
					t.Errorf("cookies %q, Clear-Site-Data %q", w.Header().Values("Set-Cookie"), w.Header().Get("Clear-Site-Data"))
				}
			})
		}
	}
}

// TestPostFromAnotherSite: its cookie stays at home, so the browser comes again
// with a GET, which carries it.
func TestPostFromAnotherSite(t *testing.T) {
	t.Parallel()
	k := signedIn()
	h := k.road(t, k.config(t))
	form := "id_token_hint=this-session&post_logout_redirect_uri=https%3A%2F%2Fshop.example%2Fbye&state=a%2Bb&unknown=1"
	w := send(t, h, http.MethodPost, issuer+"/oidc/logout", form, "Origin", "https://shop.example", "Sec-Fetch-Site", "cross-site")
	if w.Code != http.StatusSeeOther || len(k.ended) != 0 {
		t.Fatalf("got %d, ended %q: %s", w.Code, k.ended, w.Body)
	}
	w = get(t, h, issuer+w.Header().Get("Location"), "Cookie", live)
	if w.Header().Get("Location") != "https://shop.example/bye?state=a%2Bb" || !slices.Equal(k.ended, []string{byAna}) {
		t.Errorf("got %d to %s, ended %q", w.Code, w.Header().Get("Location"), k.ended)
	}
}

func TestNobodySignedIn(t *testing.T) {
	t.Parallel()
	k := newWorld()
	h := k.road(t, k.config(t))
	for query, to := range map[string]string{
		"":                "/oidc/logout/done",
		"?client_id=shop": "/oidc/logout/done?client_id=shop",
		"?id_token_hint=this-session&post_logout_redirect_uri=https://shop.example/bye": "https://shop.example/bye",
	} {
		if w := get(t, h, issuer+"/oidc/logout"+query); w.Code != http.StatusSeeOther || w.Header().Get("Location") != to {
			t.Errorf("%q: %d to %q", query, w.Code, w.Header().Get("Location"))
		}
	}
	if len(k.ended) != 0 {
		t.Errorf("ended %q: a hint alone ends nothing", k.ended)
	}
}

func TestLogoutWhileTheStoreIsDown(t *testing.T) {
	t.Parallel()
	k := signedIn()
	k.down = true
	w := get(t, k.road(t, k.config(t)), issuer+"/oidc/logout?id_token_hint=this-session", "Cookie", live)
	if w.Code != http.StatusServiceUnavailable || strings.Contains(strings.Join(w.Header().Values("Set-Cookie"), "\n"), "gk_session") {
		t.Errorf("got %d %v: nobody may believe they are signed out", w.Code, w.Header())
	}
}

var input = regexp.MustCompile(`<input[^>]*type="hidden"[^>]*>`)

// fields reads the hidden inputs of a page.
func fields(page string) url.Values {
	attribute := func(tag, name string) string {
		m := regexp.MustCompile(name + `="([^"]*)"`).FindStringSubmatch(tag)
		if m == nil {
			return ""
		}
		return strings.ReplaceAll(m[1], "&amp;", "&")
	}
	v := url.Values{}
	for _, tag := range input.FindAllString(page, -1) {
		v.Set(attribute(tag, "name"), attribute(tag, "value"))
	}
	return v
}

// question opens the confirmation page and returns its form and its cookie.
func question(t *testing.T, h http.Handler, query string) (form url.Values, tx string) {
	t.Helper()
	w := get(t, h, issuer+"/oidc/logout?"+query, "Cookie", live)
	if w.Code != http.StatusOK {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	for _, want := range []string{`id="logout-confirm"`, `id="logout-cancel"`, "ana@example.org"} {
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("the page lacks %s:\n%s", want, w.Body)
		}
	}
	return fields(w.Body.String()), cookieOf(w)
}

func cookieOf(w *httptest.ResponseRecorder) string {
	for _, c := range w.Result().Cookies() {
		if c.Name == "__Host-gk_tx" {
			return c.Name + "=" + c.Value
		}
	}
	return ""
}

func TestConfirm(t *testing.T) {
	t.Parallel()
	const bye = "https://shop.example/bye"
	for _, tt := range []struct {
		name, query string
		change      func(v url.Values)
		status      int
		to          string
	}{
		{"yes", "", nil, 303, "/oidc/logout/done"},
		{"yes, and back", "client_id=shop&state=x&post_logout_redirect_uri=" + bye, nil, 303, bye + "?state=x"},
		{"hint of another person, and back", "id_token_hint=other-person&post_logout_redirect_uri=" + bye, nil, 303, bye},
		{"no form token", "", func(v url.Values) { v.Del("csrf") }, 403, ""},
		{"form token of another browser", "", func(v url.Values) { v.Set("csrf", "AAAA") }, 403, ""},
		{"address changed in the form", "client_id=shop&post_logout_redirect_uri=" + bye, func(v url.Values) { v.Set("post_logout_redirect_uri", "https://evil.example/") }, 400, ""},
		{"client dropped from the form", "client_id=shop&post_logout_redirect_uri=" + bye, func(v url.Values) { v.Del("client_id") }, 303, "/oidc/logout/done"},
		{"address without a client is forgotten", "state=x&post_logout_redirect_uri=https://evil.example/", nil, 303, "/oidc/logout/done"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			k := signedIn()
			h := k.road(t, k.config(t))
			form, tx := question(t, h, tt.query)
			if tt.change != nil {
				tt.change(form)
			}
			w := send(t, h, http.MethodPost, issuer+"/oidc/logout/confirm", form.Encode()+"&", "Cookie", live+"; "+tx, "Sec-Fetch-Site", "same-origin")
			if w.Code != tt.status || w.Header().Get("Location") != tt.to {
				t.Fatalf("got %d to %q: %s", w.Code, w.Header().Get("Location"), w.Body)
			}
			if (len(k.ended) == 1) != (tt.status == 303) {
				t.Errorf("ended %q", k.ended)
			}
		})
	}
	t.Run("from another site", func(t *testing.T) {
		t.Parallel()
		k := signedIn()
		h := k.road(t, k.config(t))
		form, tx := question(t, h, "")
		w := send(t, h, http.MethodPost, issuer+"/oidc/logout/confirm", form.Encode(), "Cookie", live+"; "+tx, "Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example")
		if w.Code != http.StatusForbidden || len(k.ended) != 0 {
			t.Errorf("got %d, ended %q", w.Code, k.ended)
		}
	})
}

func TestSignedOutPage(t *testing.T) {
	t.Parallel()
	k := newWorld()
	h := k.road(t, k.config(t))
	w := get(t, h, issuer+"/oidc/logout/done?client_id=shop")
	if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), `href="https://shop.example/"`) || !strings.Contains(w.Body.String(), "The Shop") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	for _, id := range []string{"", "?client_id=nobody", "?client_id=ours"} {
		if w := get(t, h, issuer+"/oidc/logout/done"+id); w.Code != http.StatusOK {
			t.Errorf("%q: %d", id, w.Code)
		}
	}
	for _, query := range []string{"?client_id=shop;x", "?client_id=%zz", "?client_id=shop&client_id=ours", "?ui_locales=%FF"} {
		if w := get(t, h, issuer+"/oidc/logout/done"+query); w.Code != http.StatusBadRequest {
			t.Errorf("%q: %d, want 400: a query that cannot be read is refused", query, w.Code)
		}
	}
	k = signedIn()
	if w := get(t, k.road(t, k.config(t)), issuer+"/oidc/logout/done", "Cookie", live); w.Header().Get("Location") != "/oidc/logout" {
		t.Errorf("somebody signed in is told they are not: %d", w.Code)
	}
}

func FuzzBack(f *testing.F) {
	f.Add("https://shop.example/bye", "s")
	f.Add("https://shop.example/bye?a=b", "a&b=c#d")
	f.Add("com.example.app:/bye", "\r\nX: y")
	f.Add("https://shop.example/bye#f", "ä")
	f.Fuzz(func(t *testing.T, uri, state string) {
		before, err := url.Parse(uri)
		if err != nil || state == "" || strings.ContainsAny(uri, ";") {
			t.Skip()
		}
		after, err := url.Parse(back(uri, state))
		if err != nil {
			t.Fatalf("%q is no URI: %v", back(uri, state), err)
		}
		if after.Host != before.Host || after.Path != before.Path || after.Scheme != before.Scheme || after.EscapedFragment() != before.EscapedFragment() {
			t.Errorf("%q leads elsewhere than %q", after, before)
		}
		if q := after.Query()["state"]; len(q) == 0 || q[len(q)-1] != state {
			t.Errorf("state %q came back as %q", state, q)
		}
	})
}
