package oauth2_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

// Whatever a client signs, a redirect goes to a registered address alone, and
// nothing is a server error.
func FuzzRequestObject(f *testing.F) {
	fx := anywhere(f)
	a, _ := fx.signing("signer")
	for _, seed := range []string{
		`{"iss":"signer","aud":"https://id.example","redirect_uri":"` + callback + `","response_type":"code","scope":"openid"}`,
		`{"client_id":"signer","resource":["a","b"],"max_age":1e9,"claims":{"id_token":null},"state":"\u0000"}`,
		`{"client_id":"signer","redirect_uri":"javascript:alert(1)","exp":"soon"}`, `[]`, `null`, `{"client_id":"signer"}}`, `{"state":"a","state":"b"}`, `{"request":"a.b.c"}`, `{"exp":1e400}`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, payload string) {
		w := fuzzed(t, fx, url.Values{"client_id": {"signer"}, "redirect_uri": {callback}, "request": {signRaw(t, a, payload)}})
		safe(t, w)
	})
}

func FuzzClaimsParameter(f *testing.F) {
	fx := anywhere(f)
	shop := fx.app("shop")
	for _, seed := range []string{
		`{"userinfo":{"name":null},"id_token":{"acr":{"essential":true,"values":["1","2"]}}}`, `{"id_token":{"sub":{"value":"x"}}}`,
		`{"userinfo":{"":null,"sub":{"value":{}}}}`, `{"userinfo":[]}`, `{}{}`, `{"id_token":{"acr":{"value":1}}}`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) { safe(t, fuzzed(t, fx, with(shop.request(), "claims", raw))) })
}

func fuzzed(t *testing.T, f *fixture, v url.Values) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, issuer+"/oauth2/authorize?"+v.Encode(), nil)
	r.Header.Set("Cookie", "who=alice")
	w := httptest.NewRecorder()
	f.mux.ServeHTTP(w, r)
	return w
}

// safe holds an answer of the authorization endpoint to what no request may change.
func safe(t *testing.T, w *httptest.ResponseRecorder) {
	t.Helper()
	to := w.Header().Get("Location")
	switch {
	case w.Code >= 500:
		t.Errorf("status %d", w.Code)
	case to != "" && !strings.HasPrefix(to, callback+"?") && !strings.HasPrefix(to, callback+"#") && !strings.HasPrefix(to, "/login?i="):
		t.Errorf("Location %q", to)
	case strings.ContainsAny(to, "\r\n"):
		t.Errorf("Location %q", to)
	}
}
