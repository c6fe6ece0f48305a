package web

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
)

func TestForm(t *testing.T) {
	t.Parallel()
	const urlencoded = "application/x-www-form-urlencoded"
	tests := []struct {
		name, body  string
		contentType []string
		encoding    string
		repeatable  []string
		want        url.Values
		rule        string
	}{
		{name: "plain", body: "a=1&b=x+y%21&c=", want: url.Values{"a": {"1"}, "b": {"x y!"}, "c": {""}}},
		{name: "with a charset", body: "a=1", contentType: []string{urlencoded + "; charset=UTF-8"}, want: url.Values{"a": {"1"}}},
		{name: "empty pairs", body: "&a=1&&", want: url.Values{"a": {"1"}}},
		{name: "empty", body: "", want: url.Values{}},
		{name: "repeated", body: "a=1&a=1", rule: "no_repeated_parameters"},
		{name: "repeated under another spelling", body: "a=1&%61=2", rule: "no_repeated_parameters"},
		{name: "repeatable", body: "resource=a&resource=b", repeatable: []string{"resource"}, want: url.Values{"resource": {"a", "b"}}},
		{name: "65 parameters", body: many(65), rule: "parameter_count"},
		{name: "bad percent", body: "a=%zz", rule: "parameter_encoding"},
		{name: "a semicolon", body: "a=1;b=2", rule: "parameter_encoding"},
		{name: "NUL", body: "a=%00", rule: "parameter_encoding"},
		{name: "not UTF-8", body: "a=%ff", rule: "parameter_encoding"},
		{name: "too large", body: "a=" + strings.Repeat("x", 4096), rule: "body_size"},
		{name: "no content type", body: "a=1", contentType: []string{}, rule: "form_content_type"},
		{name: "two content types", body: "a=1", contentType: []string{urlencoded, urlencoded}, rule: "form_content_type"},
		{name: "JSON", body: "{}", contentType: []string{"application/json"}, rule: "form_content_type"},
		{name: "multipart", body: "x", contentType: []string{"multipart/form-data; boundary=x"}, rule: "form_content_type"},
		{name: "another charset", body: "a=1", contentType: []string{urlencoded + "; charset=utf-16"}, rule: "form_content_type"},
		{name: "another parameter", body: "a=1", contentType: []string{urlencoded + "; x=1"}, rule: "form_content_type"},
		{name: "compressed", body: "a=1", encoding: "gzip", rule: "no_content_encoding"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := httptest.NewRequest("POST", "/?query=1", strings.NewReader(tt.body))
			r.Header["Content-Type"] = []string{urlencoded}
			if tt.contentType != nil {
				r.Header["Content-Type"] = tt.contentType
			}
			if tt.encoding != "" {
				r.Header.Set("Content-Encoding", tt.encoding)
			}
			got, err := Form(httptest.NewRecorder(), r, 1024, tt.repeatable...)
			if tt.rule != "" {
				if err == nil || fault.Of(err).Rule != tt.rule || fault.Of(err).Code != "invalid_request" {
					t.Errorf("err %v, want rule %s", err, tt.rule)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func many(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString("&p" + strconv.Itoa(i) + "=1")
	}
	return b.String()
}

func TestTheHandlerReadsTheFormTheRoadRead(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	var got url.Values
	var tooSmall error
	b.Page("POST /form", func(w http.ResponseWriter, r *http.Request) error {
		_, tooSmall = Form(w, r, 4)
		var err error
		got, err = Form(w, r, MaxForm)
		return err
	})
	token, cookie := newBrowser(t, b)
	w := b.do(request("POST", "/form", "email=a&csrf="+token, "Cookie", cookie))
	if w.Code != 200 || got.Get("email") != "a" {
		t.Errorf("%d, form %v", w.Code, got)
	}
	if !fault.Is(tooSmall, fault.TooLarge) {
		t.Errorf("a smaller limit of the handler did not hold: %v", tooSmall)
	}
}

func TestQuery(t *testing.T) {
	t.Parallel()
	r := httptest.NewRequest("GET", "/?a=1&b=2", nil)
	if got, err := Query(r); err != nil || got.Get("b") != "2" {
		t.Errorf("%v %v", got, err)
	}
	for name, query := range map[string]string{
		"no_repeated_parameters": "a=1&a=2", "parameter_encoding": "a=%f", "query_size": "a=" + strings.Repeat("x", MaxQuery),
	} {
		r.URL.RawQuery = query
		if _, err := Query(r); err == nil || fault.Of(err).Rule != name {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzForm(f *testing.F) {
	for _, s := range []string{"a=1&b=2", "a=1&a=2", "%zz", "a=%00", "a;b", "=&=", "a=%e4%b8%ad", strings.Repeat("a&", 70), "%61=1&a=2"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, body string) {
		r := httptest.NewRequestWithContext(t.Context(), "POST", "/", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		got, err := Form(httptest.NewRecorder(), r, MaxForm)
		r.URL.RawQuery = body
		query, qerr := Query(r)
		if len(body) <= MaxQuery && ((err == nil) != (qerr == nil) || cmp.Diff(got, query) != "") {
			t.Fatalf("form %v %v, query %v %v", got, err, query, qerr)
		}
		if err != nil {
			if k := fault.Of(err).Kind; k != fault.Invalid && k != fault.TooLarge {
				t.Fatalf("kind %v of %v", k, err)
			}
			return
		}
		want, err := url.ParseQuery(body)
		if err != nil || cmp.Diff(want, got) != "" {
			t.Fatalf("got %v, the standard library says %v %v", got, want, err)
		}
		for name, all := range got {
			if len(all) != 1 {
				t.Fatalf("%q is repeated", name)
			}
		}
	})
}

// newBrowser returns the form token and the cookie header of a browser that read
// one page.
func newBrowser(t *testing.T, b *bench) (token, cookie string) {
	t.Helper()
	w := httptest.NewRecorder()
	r := request("GET", "/", "")
	rec := &record{Context: context.WithoutCancel(t.Context())}
	token = b.FormToken(w, r.WithContext(rec))
	for _, c := range w.Result().Cookies() {
		cookie = c.Name + "=" + c.Value
	}
	return token, cookie
}
