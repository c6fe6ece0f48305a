package oauth2_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/gatekeeper-oidc/gatekeeper/oauth2"
)

// anywhere is a fixture for one fuzzed parser.
func anywhere(f *testing.F) *fixture {
	f.Helper()
	return newFixture(f, databases["sqlite"](f))
}

// Whatever comes, a redirect goes to the registered address alone, a refusal has
// its words, and nothing is a server error.
func FuzzAuthorizeRequest(f *testing.F) {
	fx := anywhere(f)
	shop := fx.app("shop")
	f.Add(shop.request().Encode())
	f.Add(shop.request("prompt", "none login", "max_age", "-1").Encode())
	f.Add(shop.request("redirect_uri", "https://evil.example").Encode())
	f.Add("client_id=shop&client_id=shop&state=%0d%0aSet-Cookie:x")
	f.Add("i=x&r=y")
	f.Fuzz(func(t *testing.T, query string) {
		r := httptest.NewRequestWithContext(t.Context(), "GET", issuer+"/oauth2/authorize", nil)
		r.URL.RawQuery = query
		r.Header.Set("Cookie", "who=alice")
		w := httptest.NewRecorder()
		fx.mux.ServeHTTP(w, r)
		to := w.Header().Get("Location")
		switch {
		case w.Code >= 500:
			t.Errorf("status %d", w.Code)
		case to == "" && w.Code == http.StatusSeeOther, to != "" && w.Code != http.StatusSeeOther:
			t.Errorf("status %d, Location %q", w.Code, to)
		case to != "" && !strings.HasPrefix(to, callback+"?") && !strings.HasPrefix(to, "/login?i=") && !strings.HasPrefix(to, "/consent?i="):
			t.Errorf("Location %q", to)
		}
		u, err := url.Parse(to)
		if err != nil {
			t.Fatal(err)
		}
		q := u.Query()
		if d := q.Get("error_description"); d != "" && !plain(d) || q.Has("code") && q.Has("error") || strings.ContainsAny(to, "\r\n") {
			t.Errorf("told %v", q)
		}
	})
}

func FuzzRedirectURI(f *testing.F) {
	for _, s := range []string{
		callback, "http://127.0.0.1:1/cb", "http://[::1]/cb", "http://evil@127.0.0.1/cb", "com.example:/cb", "https://a/../b", "javascript:x", "http://127.0.0.1:1/c%62",
	} {
		f.Add(s, s)
	}
	f.Fuzz(func(t *testing.T, registered, got string) {
		for _, kind := range []oauth2.ClientType{oauth2.Web, oauth2.Native} {
			if oauth2.AddressFits(kind, registered) != "" {
				continue
			}
			if strings.ContainsAny(registered, " \r\n\"<>\\#*") {
				t.Errorf("registered %q", registered)
			}
			a, errA := url.Parse(registered)
			b, errB := url.Parse(got)
			if !oauth2.RedirectAllowed(&oauth2.Client{Type: kind, RedirectURIs: []string{registered}}, got) {
				continue
			}
			if errA != nil || errB != nil || a.Scheme != b.Scheme || a.Hostname() != b.Hostname() || a.EscapedPath() != b.EscapedPath() ||
				a.RawQuery != b.RawQuery || b.User != nil || b.Fragment != "" || a.Host != b.Host && kind != oauth2.Native {
				t.Errorf("%q was allowed for %q", got, registered)
			}
		}
	})
}

func FuzzScope(f *testing.F) {
	for _, s := range []string{"openid email", "", " a  b ", "a\"b", "a\r\nb", "é", strings.Repeat("a ", 60)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := oauth2.ParseScope(s)
		if err != nil {
			return
		}
		again, err := oauth2.ParseScope(strings.Join(got, " "))
		if err != nil || !slices.Equal(got, again) || len(got) > 50 {
			t.Errorf("%q gave %q and then %q, %v", s, got, again, err)
		}
		for i, word := range got {
			if slices.Contains(got[:i], word) || !plain(word) || strings.Contains(word, " ") {
				t.Errorf("%q gave %q", s, got)
			}
		}
	})
}

func FuzzClientAssertion(f *testing.F) {
	fx := anywhere(f)
	a := fx.signer("robot")
	f.Add(a.sign(nil))
	f.Add(a.sign(map[string]any{"exp": "x", "aud": []any{1}}))
	f.Add("eyJhbGciOiJub25lIn0.eyJzdWIiOiJyb2JvdCJ9.")
	f.Add("..")
	used := map[string]bool{}
	f.Fuzz(func(t *testing.T, assertion string) {
		_ = oauth2.AssertionIssuer(assertion)
		v := url.Values{"grant_type": {"client_credentials"}, "client_assertion_type": {clientAssertion}, "client_assertion": {assertion}}
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, issuer+"/oauth2/token", strings.NewReader(v.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		w := httptest.NewRecorder()
		fx.mux.ServeHTTP(w, r)
		if w.Code >= 500 || w.Code == http.StatusOK && (used[assertion] || strings.Count(assertion, ".") != 2) {
			t.Errorf("status %d %s", w.Code, w.Body)
		}
		used[assertion] = used[assertion] || w.Code == http.StatusOK
	})
}

func FuzzBasicHeader(f *testing.F) {
	for _, s := range []string{basic("a", "b"), "Basic ", "Basic !", "basic YTpi", "Bearer x", basic("a%zz", "b"), basic("", "b"), "Basic YTpi "} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, header string) {
		id, secret, err := oauth2.BasicCredential(header)
		if err != nil {
			return
		}
		gotID, gotSecret, err := oauth2.BasicCredential(basic(id, secret))
		if err != nil || gotID != id || gotSecret != secret || id == "" {
			t.Errorf("%q gave %q %q, and again %q %q, %v", header, id, secret, gotID, gotSecret, err)
		}
	})
}

func FuzzRefreshToken(f *testing.F) {
	fx := anywhere(f)
	genuine := fx.p.WriteRefresh([16]byte{1}, 7, [16]byte{2})
	f.Add(genuine)
	f.Add(genuine + "=")
	f.Add("gk_rt_")
	f.Add("gk_rt_" + strings.Repeat("A", 70))
	f.Add("gk_rt_" + strings.Repeat("\n", 70))
	f.Fuzz(func(t *testing.T, token string) {
		again, generation, ok := fx.p.ReadRefresh(token)
		if ok && (again != token || generation == 0 || token != genuine) {
			t.Errorf("%q was read as generation %d, and is %q", token, generation, again)
		}
	})
}

func FuzzCode(f *testing.F) {
	fx := anywhere(f)
	code := fx.app("shop").code()
	f.Add(code + "A")
	f.Add(code[:len(code)-4] + "AAAA")
	f.Add("gk_ac_")
	f.Add(code + "\n")
	f.Add("gk_at_" + code[6:])
	f.Fuzz(func(t *testing.T, code string) {
		if _, subject, err := fx.p.ReadCode(code); err == nil {
			t.Errorf("%q, which nobody sealed, was opened as a code of %s", code, subject)
		}
	})
}
