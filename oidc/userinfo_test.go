package oidc

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatekeeper-oidc/gatekeeper/identity"
)

func TestUserinfo(t *testing.T) {
	t.Parallel()
	k := newWorld()
	h := k.road(t, k.config(t))
	w := get(t, h, issuer+"/oidc/userinfo", "Authorization", "Bearer all")
	if w.Code != http.StatusOK || w.Header().Get("Content-Type") != "application/json" || w.Header().Get("Cache-Control") != "no-store" {
		t.Fatalf("%d %v %s", w.Code, w.Header(), w.Body)
	}
	var b bytes.Buffer
	if err := json.Indent(&b, w.Body.Bytes(), "", "  "); err != nil {
		t.Fatal(err)
	}
	golden(t, "userinfo.golden.json", b.Bytes())
}

func TestUserinfoMethods(t *testing.T) {
	t.Parallel()
	k := newWorld()
	h := k.road(t, k.config(t))
	for _, tt := range []struct {
		name, method, query, form, auth string
		status                          int
		code                            string
	}{
		{"header", "GET", "", "", "Bearer openid", 200, ""},
		{"scheme in lower case", "GET", "", "", "bearer openid", 200, ""},
		{"header of a POST", "POST", "", "", "Bearer openid", 200, ""},
		{"header of a POST with a form", "POST", "", "x=y", "Bearer openid", 200, ""},
		{"form", "POST", "", "access_token=openid", "", 200, ""},
		{"header and form", "POST", "", "access_token=openid", "Bearer openid", 400, "invalid_request"},
		{"form twice", "POST", "", "access_token=openid&access_token=openid", "", 400, "invalid_request"},
		{"query", "GET", "?access_token=openid", "", "", 400, "invalid_request"},
		{"query with a header", "GET", "?access_token=x", "", "Bearer openid", 400, "invalid_request"},
		{"query with an escaped name", "GET", "?access%5Ftoken=openid", "", "", 400, "invalid_request"},
		{"nothing", "GET", "", "", "", 401, "invalid_token"},
		{"other scheme", "GET", "", "", "Basic b3BlbmlkOg==", 400, "invalid_request"},
		{"two tokens in the header", "GET", "", "", "Bearer openid openid", 400, "invalid_request"},
		{"dead token", "GET", "", "", "Bearer nonsense", 401, "invalid_token"},
		{"refresh token", "GET", "", "", "Bearer refresh", 401, "invalid_token"},
		{"a machine's token", "GET", "", "", "Bearer machine", 401, "invalid_token"},
		{"no openid", "GET", "", "", "Bearer scopeless", 403, "insufficient_scope"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var header []string
			if tt.auth != "" {
				header = []string{"Authorization", tt.auth}
			}
			w := send(t, h, tt.method, issuer+"/oidc/userinfo"+tt.query, tt.form, header...)
			if w.Code != tt.status || tt.code != "" && !strings.Contains(w.Body.String(), `"error":"`+tt.code+`"`) {
				t.Errorf("got %d %s", w.Code, w.Body)
			}
			challenge := w.Header().Get("WWW-Authenticate")
			if tt.status == 401 && !strings.HasPrefix(challenge, "Bearer") || tt.status == 403 && !strings.Contains(challenge, `error="insufficient_scope"`) {
				t.Errorf("challenge %q", challenge)
			}
		})
	}
}

func TestUserinfoWhileTheStoreIsDown(t *testing.T) {
	t.Parallel()
	k := newWorld()
	k.down = true
	w := get(t, k.road(t, k.config(t)), issuer+"/oidc/userinfo", "Authorization", "Bearer all")
	if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" {
		t.Errorf("got %d %v", w.Code, w.Header())
	}
}

func TestUserinfoOrigins(t *testing.T) {
	t.Parallel()
	k := newWorld()
	h := k.road(t, k.config(t))
	for origin, want := range map[string]string{"https://shop.example": "https://shop.example", "https://evil.example": "", "null": ""} {
		w := get(t, h, issuer+"/oidc/userinfo", "Authorization", "Bearer all", "Origin", origin)
		if got := w.Header().Get("Access-Control-Allow-Origin"); got != want {
			t.Errorf("%s: %q, want %q", origin, got, want)
		}
	}
}

func TestClaimsByScope(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		u      *identity.User
		scopes []string
		want   map[string]any
	}{
		{"openid alone", ana(), []string{"openid"}, map[string]any{"sub": "u1"}},
		{"email", ana(), []string{"openid", "email"}, map[string]any{"sub": "u1", "email": "ana@example.org", "email_verified": true}},
		{"email not verified is said", &identity.User{ID: "u", Email: "a@b"}, []string{"email"}, map[string]any{"sub": "u", "email": "a@b", "email_verified": false}},
		{"phone", ana(), []string{"phone"}, map[string]any{"sub": "u1", "phone_number": "+385 1 2345", "phone_number_verified": true}},
		{"no phone says nothing of its verification", &identity.User{ID: "u"}, []string{"phone"}, map[string]any{"sub": "u"}},
		{"nobody's profile", &identity.User{ID: "u"}, everyScope(), map[string]any{"sub": "u"}},
		{"an empty address", &identity.User{ID: "u", Profile: identity.Profile{Address: &identity.Address{}}}, everyScope(), map[string]any{"sub": "u"}},
		{
			"address", &identity.User{ID: "u", Profile: identity.Profile{Address: &identity.Address{Country: "HR"}}},
			[]string{"address"},
			map[string]any{"sub": "u", "address": &identity.Address{Country: "HR"}},
		},
		{"the time of a change is a number", &identity.User{ID: "u", UpdatedAt: noon}, []string{"profile"}, map[string]any{"sub": "u", "updated_at": noon.Unix()}},
	} {
		if d := cmp.Diff(tt.want, claims(tt.u, tt.scopes)); d != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, d)
		}
	}
}

// claims are what userinfo says of u.
func claims(u *identity.User, scopes []string) map[string]any {
	out := ClaimTable{}.Claims(u, scopes, nil)
	out["sub"] = u.ID
	return out
}

// TestEveryStandardClaim: the standard claims of OpenID Connect Core section 5.1,
// each once, under the scope of section 5.4.
func TestEveryStandardClaim(t *testing.T) {
	t.Parallel()
	want := map[string][]string{
		"profile": {
			"name", "given_name", "family_name", "middle_name", "nickname", "preferred_username", "profile", "picture", "website", "gender",
			"birthdate", "zoneinfo", "locale", "updated_at",
		},
		"email": {"email", "email_verified"}, "phone": {"phone_number", "phone_number_verified"}, "address": {"address"},
	}
	got := map[string][]string{}
	for _, c := range userClaims {
		got[c.scope] = append(got[c.scope], c.name)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	all := claims(ana(), everyScope())
	for scope, names := range want {
		for _, n := range names {
			if all[n] == nil {
				t.Errorf("%s of %s is not told", n, scope)
			}
		}
	}
}
