package web

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestCookies(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		edit func(*Config)
		want string
		drop string
	}{
		{"https", func(*Config) {}, "__Host-gk_session=v; Path=/; HttpOnly; Secure; SameSite=Lax", "__Host-gk_session=; Path=/; Max-Age=0; HttpOnly; Secure; SameSite=Lax"},
		{"http on loopback", plainIssuer, "gk_session=v; Path=/; HttpOnly; SameSite=Lax", "gk_session=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, tt.edit)
			w := httptest.NewRecorder()
			b.SetCookie(w, "gk_session", "v")
			b.DropCookie(w, "gk_session")
			if got := w.Header()["Set-Cookie"]; got[0] != tt.want || got[1] != tt.drop {
				t.Errorf("set %s\ndrop %s", got[0], got[1])
			}
			name := b.cookieName("gk_session")
			if got := b.Cookie(request("GET", "/", "", "Cookie", "other=1; "+name+"=v"), "gk_session"); got != "v" {
				t.Errorf("read %q", got)
			}
			if got := b.Cookie(request("GET", "/", "", "Cookie", name+"=planted; "+name+"=v"), "gk_session"); got != "" {
				t.Errorf("two cookies: %q, want none", got)
			}
		})
	}
	if got := newBench(t).Cookie(request("GET", "/", "", "Cookie", "gk_session=planted"), "gk_session"); got != "" {
		t.Errorf("a cookie without the prefix was read: %q", got)
	}
}

func TestFormToken(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.Page("/form", fine)
	b.CrossSitePage("/cross", fine)
	token, cookie := newBrowser(t, b)
	otherToken, otherCookie := newBrowser(t, b)
	tests := []struct {
		name, path, body, cookie string
		header                   []string
		want                     int
	}{
		{"right", "/form", "csrf=" + token, cookie, nil, 200},
		{"from our own page", "/form", "csrf=" + token, cookie, []string{"Sec-Fetch-Site", "same-origin"}, 200},
		{"no token", "/form", "a=b", cookie, nil, 403},
		{"no cookie", "/form", "csrf=" + token, "", nil, 403},
		{"another browser's token", "/form", "csrf=" + otherToken, cookie, nil, 403},
		{"another browser's cookie", "/form", "csrf=" + token, otherCookie, nil, 403},
		{"a token twice", "/form", "csrf=" + token + "&csrf=" + token, cookie, nil, 400},
		{"a planted second cookie", "/form", "csrf=" + token, cookie + "; " + otherCookie, nil, 403},
		{"an empty cookie and its token", "/form", "csrf=", "__Host-gk_tx=", nil, 403},
		{"from another site", "/form", "csrf=" + token, cookie, []string{"Sec-Fetch-Site", "cross-site"}, 403},
		{"from a sibling site", "/form", "csrf=" + token, cookie, []string{"Sec-Fetch-Site", "same-site"}, 403},
		{"from another origin in an old browser", "/form", "csrf=" + token, cookie, []string{"Origin", "https://evil.example"}, 403},
		{"from nowhere", "/form", "csrf=" + token, cookie, []string{"Origin", "null"}, 403},
		{"from the issuer", "/form", "csrf=" + token, cookie, []string{"Origin", "https://id.example"}, 200},
		{"cross-site page", "/cross", "a=b", "", []string{"Sec-Fetch-Site", "cross-site", "Origin", "https://app.example"}, 200},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := request("POST", tt.path, tt.body, tt.header...)
			if tt.cookie != "" {
				r.Header.Set("Cookie", tt.cookie)
			}
			if got := b.do(r); got.Code != tt.want {
				t.Errorf("%d, want %d: %s", got.Code, tt.want, got.Body)
			}
		})
	}
}

func TestOneTransactionCookiePerBrowser(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	var tokens [2]string
	var bindings [2][]byte
	b.Page("GET /form", func(w http.ResponseWriter, r *http.Request) error {
		tokens[0], bindings[0] = b.FormToken(w, r), b.Binding(w, r)
		tokens[1], bindings[1] = b.FormToken(w, r), b.Binding(w, r)
		return nil
	})
	w := b.get("/form")
	if set := w.Header()["Set-Cookie"]; len(set) != 1 || tokens[0] != tokens[1] || !bytes.Equal(bindings[0], bindings[1]) || len(bindings[0]) != 32 {
		t.Fatalf("set %v, tokens %v", set, tokens)
	}
	first := tokens[0]
	w = b.get("/form", "Cookie", strings.SplitN(w.Header().Get("Set-Cookie"), ";", 2)[0])
	if tokens[0] != first || w.Header().Get("Set-Cookie") != "" {
		t.Errorf("the second page changed the token or the cookie")
	}
}

func FuzzCookie(f *testing.F) {
	for _, s := range []string{"__Host-gk_tx=a", "__Host-gk_tx=a; __Host-gk_tx=b", "=", ";;", "__Host-gk_tx=\"a b\"", "\x00=\x7f", "__Host-gk_tx=" + strings.Repeat("A", 43)} {
		f.Add(s)
	}
	b := newBench(f)
	f.Fuzz(func(t *testing.T, header string) {
		r := &http.Request{Header: http.Header{"Cookie": {header}}}
		v := b.Cookie(r, txCookie)
		if strings.ContainsAny(v, "\x00\r\n;") || !strings.Contains(header, v) {
			t.Errorf("value %q of %q", v, header)
		}
		w := httptest.NewRecorder()
		tx := b.transaction(w, r)
		if !wellFormed(tx) || (w.Header().Get("Set-Cookie") == "") != (tx == v) {
			t.Errorf("transaction %q of cookie %q", tx, v)
		}
	})
}
