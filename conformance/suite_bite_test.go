package conformance

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/gatekeeper-oidc/gatekeeper/conformance/suite"
	"github.com/gatekeeper-oidc/gatekeeper/conformance/suite/profiles"
)

// TestModulesBite puts a spoiler between the suite and a server that is right: a
// module that passes all the same looks at nothing.
func TestModulesBite(t *testing.T) {
	t.Parallel()
	p := public(t, func(*testing.T) []string { return nil }, 1)
	target := p.target(t)
	for _, b := range bites() {
		spoil := b.spoil()
		p.spoil.Store(&spoil)
		for _, name := range strings.Fields(b.modules) {
			profile, module, _ := strings.Cut(name, "/")
			runner := suite.Runner{Target: target, Workers: 1}
			report, err := runner.Run(t.Context(), only(t, profile, module))
			if err != nil {
				t.Fatalf("%s: %v", b.name, err)
			}
			r := report.Results[0]
			t.Logf("%s: %s is %s %v", b.name, name, r.Outcome, r.Reasons)
			for _, why := range r.Reasons {
				for _, secret := range []string{"eyJ", "gk_cs_", "gk_rt_", "gk_at_", "gk_ac_", target.Password} {
					if strings.Contains(why.Text, secret) {
						t.Errorf("%s: %s tells a secret: %s", b.name, name, why.Text)
					}
				}
			}
			if r.Outcome != suite.Failed && r.Outcome != suite.Warned {
				t.Errorf("%s: %s is %s %v", b.name, name, r.Outcome, r.Reasons)
			}
		}
	}
}

// only is one module of one profile.
func only(t *testing.T, profile, module string) []suite.Profile {
	t.Helper()
	chosen, unknown := profiles.Named(profile)
	if unknown != "" {
		t.Fatalf("no profile %s", unknown)
	}
	p := &chosen[0]
	p.Modules = slices.DeleteFunc(slices.Clone(p.Modules), func(m suite.Module) bool { return m.Name != module })
	if len(p.Modules) != 1 {
		t.Fatalf("%s has %d modules %s", profile, len(p.Modules), module)
	}
	p.Variants = p.Variants[:1]
	return chosen
}

// A bite is something wrong and the modules that must notice.
type bite struct {
	name    string
	modules string // profile/module
	spoil   func() spoiler
}

func bites() []bite {
	return slices.Concat(metadataBites(), answerBites(), frontBites(), tokenBites(), browserBites(), registrationBites())
}

const (
	wellKnown = "/.well-known/openid-configuration"
	jwksPath  = "/oidc/jwks"
	authorize = "/oauth2/authorize"
	tokenPath = "/oauth2/token"
	infoPath  = "/oidc/userinfo"
)

func metadataBites() []bite {
	const config = "config/discovery-endpoint-verification"
	document := func(change func(m map[string]any)) func() spoiler { return inJSON(wellKnown, change) }
	key := func(change func(k map[string]any)) func() spoiler {
		return inJSON(jwksPath, func(m map[string]any) { change(m["keys"].([]any)[0].(map[string]any)) })
	}
	return []bite{
		{"an unknown member", config, document(func(m map[string]any) { m["gatekeeper_extension"] = true })},
		{"an empty list", config, document(func(m map[string]any) { m["acr_values_supported"] = []string{} })},
		{"a null", config, document(func(m map[string]any) { m["service_documentation"] = nil })},
		{"plain http", config, document(func(m map[string]any) { m["userinfo_endpoint"] = "http://id.example/userinfo" })},
		{"no RS256", config, document(func(m map[string]any) { m["id_token_signing_alg_values_supported"] = []string{"ES256"} })},
		{"no openid", config, document(func(m map[string]any) { m["scopes_supported"] = []string{"email"} })},
		{"an unknown subject type", config, document(func(m map[string]any) { m["subject_types_supported"] = []string{"secret"} })},
		{"a language in capitals", config, document(func(m map[string]any) { m["ui_locales_supported"] = []string{"EN"} })},
		{"no second name", "config/discovery-rfc8414", status("/.well-known/oauth-authorization-server", http.StatusNotFound)},
		{"a private key", "config/jwks", key(func(k map[string]any) { k["d"] = "AQAB" })},
		{"a key without a name", "config/jwks", key(func(k map[string]any) { delete(k, "kid") })},
		{"a short key", "config/jwks", key(func(k map[string]any) { k["n"] = k["n"].(string)[:100] })},
		{"a padded key", "config/jwks", key(func(k map[string]any) { k["e"] = k["e"].(string) + "==" })},
		{"keys never cached", "deployment/jwks-caching", header(jwksPath, "Cache-Control", "no-store")},
		{"discovery for a year", "deployment/discovery-caching", header(wellKnown, "Cache-Control", "max-age=31536000")},
		{"nodes that differ", "deployment/nodes-agree", func() spoiler {
			var n atomic.Int64
			return inJSON(jwksPath, func(m map[string]any) { m["turn"] = n.Add(1) })()
		}},
		{"a believed header", "deployment/forged-host", func() spoiler {
			return spoiler{answer: func(r *http.Response) error {
				if host := r.Request.Header.Get("X-Original-Host"); host != "" {
					return rewrite(r, func(b []byte) []byte { return bytes.ReplaceAll(b, []byte("localhost"), []byte(host)) })
				}
				return nil
			}}
		}},
		{"an old clock", "deployment/clock", header(wellKnown, "Date", "Mon, 02 Jan 2006 15:04:05 GMT")},
		{"cookies for scripts of others", "deployment/cross-origin", header(wellKnown, "Access-Control-Allow-Credentials", "true")},
	}
}

func answerBites() []bite {
	return []bite{
		{"another state", "basic/server basic/prompt-none-not-logged-in", inAnswer(func(q url.Values) { q.Set("state", "another") })},
		{"another issuer", "basic/server", inAnswer(func(q url.Values) { q.Set("iss", "https://elsewhere.example") })},
		{"no issuer", "basic/server", inAnswer(func(q url.Values) { q.Del("iss") })},
		{"something more", "basic/server", inAnswer(func(q url.Values) { q.Set("debug", "1") })},
		{"a code to guess", "basic/server", inAnswer(func(q url.Values) { q.Set("code", "12345678") })},
		{"an error in quotes", "deployment/error-texts", inAnswer(func(q url.Values) { q.Set("error_description", `no "way"`) })},
		{"another error", "basic/prompt-none-not-logged-in", inAnswer(func(q url.Values) { q.Set("error", "server_error") })},
		{"prompt ignored", "basic/prompt-login basic/prompt-none-not-logged-in deployment/access-denied", without("prompt")},
		{"max_age ignored", "basic/max-age-1", without("max_age")},
		{"nonce ignored", "basic/server", without("nonce")},
		{"request objects ignored", "basic/request-object-forged basic/unsigned-request-object-supported-correctly-or-rejected-as-unsupported", without("request")},
		{"references ignored", "basic/request-uri-unsigned-supported-correctly-or-rejected-as-unsupported", without("request_uri")},
		{"claims ignored", "basic/claims-essential", without("claims")},
		{"an open redirect", "basic/ensure-registered-redirect-uri deployment/redirect-variations", func() spoiler {
			return spoiler{answer: func(r *http.Response) error {
				if to := r.Request.URL.Query().Get("redirect_uri"); r.Request.URL.Path == authorize && r.StatusCode == http.StatusBadRequest {
					r.StatusCode = http.StatusSeeOther
					r.Header.Set("Location", to+"?error=invalid_request")
				}
				return nil
			}}
		}},
		{"a redirect that resends", "basic/server", func() spoiler {
			return spoiler{answer: func(r *http.Response) error {
				if r.StatusCode == http.StatusSeeOther {
					r.StatusCode = http.StatusTemporaryRedirect
				}
				return nil
			}}
		}},
	}
}

// frontBites are about answers in a fragment or a form.
func frontBites() []bite {
	claim := func(name string, value any) func() spoiler {
		return inFragment(func(q url.Values) { q.Set("id_token", reclaimed(q.Get("id_token"), name, value)) })
	}
	return []bite{
		{"another state", "implicit/server hybrid/server", inFragment(func(q url.Values) { q.Set("state", "another") })},
		{"another nonce", "implicit/server", claim("nonce", "another")},
		{"another code's hash", "hybrid/server", claim("c_hash", "AAAAAAAAAAAAAAAAAAAAAA")},
		{"no code's hash", "hybrid/server", claim("c_hash", nil)},
		{"an unsigned change", "implicit/idtoken-signature", claim("acr", "urn:example:changed")},
		{"a missing code", "hybrid/server", inFragment(func(q url.Values) { q.Del("code") })},
		{"a code nobody asked for", "implicit/server", inFragment(func(q url.Values) { q.Set("code", strings.Repeat("0123456789abcdef", 3)) })},
		{"tokens in the query", "implicit/server hybrid/server", at(authorize, func(r *http.Response) error {
			r.Header.Set("Location", strings.Replace(r.Header.Get("Location"), "#", "?", 1))
			return nil
		})},
		{"a nonce made up", "implicit/ensure-request-without-nonce-fails hybrid/ensure-request-without-nonce-fails", func() spoiler {
			return spoiler{request: func(_ http.ResponseWriter, r *http.Request) bool {
				if q := r.URL.Query(); r.URL.Path == authorize && q.Has("client_id") && !q.Has("nonce") {
					r.URL.RawQuery += "&nonce=made-up"
				}
				return false
			}}
		}},
		{"no form", "formpost-basic/server formpost-implicit/server formpost-hybrid/prompt-none-not-logged-in", without("response_mode")},
		{"a form for somebody else", "formpost-basic/server", at(authorize, func(r *http.Response) error {
			return rewrite(r, func(b []byte) []byte {
				return bytes.ReplaceAll(b, []byte("https://suite.example"), []byte("https://elsewhere.example"))
			})
		})},
		{"claims left out", "implicit/scope-profile implicit/scope-all", func() spoiler {
			return spoiler{request: func(_ http.ResponseWriter, r *http.Request) bool {
				if q := r.URL.Query(); r.URL.Path == authorize && q.Has("scope") {
					q.Set("scope", "openid")
					r.URL.RawQuery = q.Encode()
				}
				return false
			}}
		}},
	}
}

// registrationBites are about applications that register themselves.
func registrationBites() []bite {
	const register = "/oidc/register"
	answer := func(change func(m map[string]any)) func() spoiler { return inJSON(register, change) }
	return []bite{
		{"a forgotten member", "3rdparty-init-login/3rd-party-init-login", answer(func(m map[string]any) { delete(m, "initiate_login_uri") })},
		{"a changed member", "3rdparty-init-login/3rd-party-init-login", answer(func(m map[string]any) { m["redirect_uris"] = []string{"https://elsewhere.example"} })},
		{"a token without an address", "dynamic/server", answer(func(m map[string]any) { delete(m, "registration_client_uri") })},
		{"registration to be cached", "dynamic/server", header(register, "Cache-Control", "max-age=60")},
		{
			"everything registered", "3rdparty-init-login/3rd-party-init-login-nonhttps dynamic/redirect-uri-regfrag dynamic/registration-sector-bad dynamic/idtoken-unsigned",
			status(register, http.StatusCreated),
		},
		{"a page without links", "dynamic/registration-policy-uri dynamic/registration-tos-uri", at("/login", func(r *http.Response) error {
			return rewrite(r, func(b []byte) []byte {
				return bytes.ReplaceAll(b, []byte("conformance.invalid"), []byte("elsewhere.example"))
			})
		})},
		{"a page without pictures", "dynamic/registration-logo-uri", at("/login", func(r *http.Response) error {
			return rewrite(r, func(b []byte) []byte { return bytes.ReplaceAll(b, []byte("<img"), []byte("<b")) })
		})},
		{"references ignored", "dynamic/request-uri-signed-rs256", without("request_uri")},
		{"no state of the session", "session-management/session-management-session-state", inAnswer(func(q url.Values) { q.Del("session_state") })},
	}
}

func tokenBites() []bite {
	token := func(change func(m map[string]any)) func() spoiler { return inJSON(tokenPath, change) }
	info := func(change func(m map[string]any)) func() spoiler { return inJSON(infoPath, change) }
	claim := func(name string, value any) func() spoiler {
		return token(func(m map[string]any) {
			if raw, ok := m["id_token"].(string); ok {
				m["id_token"] = reclaimed(raw, name, value)
			}
		})
	}
	return []bite{
		{"tokens to be cached", "basic/server deployment/token-refusals", header(tokenPath, "Cache-Control", "max-age=60")},
		{"another token type", "basic/server", token(func(m map[string]any) { m["token_type"] = "mac" })},
		{"expires_in in words", "basic/server", token(func(m map[string]any) { m["expires_in"] = "900" })},
		{"no ID token", "basic/server", token(func(m map[string]any) { delete(m, "id_token") })},
		{"a changed claim", "basic/idtoken-signature", claim("locale", "pt")},
		{"another audience", "basic/server", claim("aud", "another")},
		{"another issuer", "basic/server", claim("iss", "https://elsewhere.example")},
		{"a token of yesterday", "basic/server", claim("iat", 1)},
		{"another nonce", "basic/server", claim("nonce", "another")},
		{"another token's hash", "basic/server", claim("at_hash", "AAAAAAAAAAAAAAAAAAAAAA")},
		{"a code that works twice", "basic/codereuse basic/codereuse-30seconds deployment/code-replay", remembered()},
		{"a verifier nobody checks", "deployment/pkce-wrong-verifier deployment/pkce-missing-verifier", forgiving()},
		{"a refresh token that never dies", "deployment/refresh-reuse deployment/revocation", remembered()},
		{"somebody else", "basic/userinfo-get basic/userinfo-post-header basic/userinfo-post-body", info(func(m map[string]any) { m["sub"] = "somebody" })},
		{"truth in words", "basic/scope-email basic/scope-all", info(func(m map[string]any) { m["email_verified"] = "true" })},
		{"a blank name", "basic/scope-profile", info(func(m map[string]any) { m["nickname"] = " " })},
		{"a missing claim", "basic/scope-phone basic/scope-address", info(func(m map[string]any) { delete(m, "phone_number"); delete(m, "address") })},
		{"a userinfo without a door", "deployment/userinfo-refusals", status(infoPath, http.StatusOK)},
		{"introspection of everything", "deployment/introspection", inJSON("/oauth2/introspect", func(m map[string]any) { m["active"] = true })},
		{"revocation that says no", "deployment/revocation", status("/oauth2/revoke", http.StatusBadRequest)},
	}
}

func browserBites() []bite {
	return []bite{
		{"a page to be framed", "deployment/page-headers", header("/login", "Content-Security-Policy", "default-src 'self'", "X-Frame-Options", "")},
		{"scripts of anybody", "deployment/page-headers", header("/login", "Content-Security-Policy", "script-src 'unsafe-inline'; frame-ancestors 'none'")},
		{"a page without nosniff", "deployment/page-headers", header("/login", "X-Content-Type-Options", "")},
		{"cookies for scripts", "deployment/cookies", func() spoiler {
			return spoiler{answer: func(r *http.Response) error {
				for i, c := range r.Header["Set-Cookie"] {
					r.Header["Set-Cookie"][i] = strings.ReplaceAll(c, "; HttpOnly", "")
				}
				return nil
			}}
		}},
		{"a form from anywhere", "deployment/foreign-form", func() spoiler {
			return spoiler{answer: func(r *http.Response) error {
				if r.Request.URL.Path == "/login" && r.StatusCode == http.StatusForbidden {
					r.StatusCode = http.StatusOK
				}
				return nil
			}}
		}},
		{
			"a logout that only says so", "deployment/logout-ends-session rp-initiated-logout/rp-initiated-logout rp-initiated-logout/rp-initiated-logout-no-params",
			func() spoiler {
				return spoiler{request: func(w http.ResponseWriter, r *http.Request) bool {
					if r.URL.Path != "/oidc/logout" {
						return false
					}
					w.Header().Set("Content-Type", "text/html")
					_, _ = io.WriteString(w, "<h1>Signed out</h1>")
					return true
				}}
			},
		},
		{
			"a logout that leads anywhere", "rp-initiated-logout/rp-initiated-logout-bad-post-logout-redirect-uri " +
				"rp-initiated-logout/rp-initiated-logout-query-added-to-post-logout-redirect-uri rp-initiated-logout/rp-initiated-logout-no-id-token-hint " +
				"rp-initiated-logout/rp-initiated-logout-modified-id-token-hint rp-initiated-logout/rp-initiated-logout-bad-id-token-hint", func() spoiler {
				return spoiler{request: func(w http.ResponseWriter, r *http.Request) bool {
					to := r.URL.Query().Get("post_logout_redirect_uri")
					if r.URL.Path == "/oidc/logout" && to != "" {
						http.Redirect(w, r, to, http.StatusSeeOther)
						return true
					}
					return false
				}}
			},
		},
	}
}

// rewrite changes the body of an answer.
func rewrite(r *http.Response, change func(b []byte) []byte) error {
	b, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	b = change(b)
	r.Body = io.NopCloser(bytes.NewReader(b))
	r.ContentLength = int64(len(b))
	r.Header.Set("Content-Length", strconv.Itoa(len(b)))
	return nil
}

func at(path string, answer func(r *http.Response) error) func() spoiler {
	return func() spoiler {
		return spoiler{answer: func(r *http.Response) error {
			if r.Request.URL.Path != path {
				return nil
			}
			return answer(r)
		}}
	}
}

// inJSON changes the JSON that path answers with success.
func inJSON(path string, change func(m map[string]any)) func() spoiler {
	return at(path, func(r *http.Response) error {
		if r.StatusCode != http.StatusOK && r.StatusCode != http.StatusCreated {
			return nil
		}
		return rewrite(r, func(b []byte) []byte {
			var m map[string]any
			if json.Unmarshal(b, &m) != nil {
				return b
			}
			change(m)
			changed, err := json.Marshal(m)
			if err != nil {
				return b
			}
			return changed
		})
	})
}

// header sets headers of what path answers, in pairs; "" takes one away.
func header(path string, pairs ...string) func() spoiler {
	return at(path, func(r *http.Response) error {
		for i := 0; i+1 < len(pairs); i += 2 {
			if r.Header.Set(pairs[i], pairs[i+1]); pairs[i+1] == "" {
				r.Header.Del(pairs[i])
			}
		}
		return nil
	})
}

func status(path string, code int) func() spoiler {
	return at(path, func(r *http.Response) error {
		r.StatusCode = code
		return nil
	})
}

// inAnswer changes an authorization response.
func inAnswer(change func(q url.Values)) func() spoiler {
	return at(authorize, func(r *http.Response) error {
		to, err := url.Parse(r.Header.Get("Location"))
		if err != nil || to.Host != "suite.example" {
			return err
		}
		q := to.Query()
		change(q)
		to.RawQuery = q.Encode()
		r.Header.Set("Location", to.String())
		return nil
	})
}

// inFragment changes an authorization response that comes in a fragment.
func inFragment(change func(q url.Values)) func() spoiler {
	return at(authorize, func(r *http.Response) error {
		base, fragment, ok := strings.Cut(r.Header.Get("Location"), "#")
		q, err := url.ParseQuery(fragment)
		if !ok || err != nil || q.Get("error") != "" {
			return err
		}
		change(q)
		r.Header.Set("Location", base+"#"+q.Encode())
		return nil
	})
}

// without takes a parameter out of authorization requests.
func without(name string) func() spoiler {
	return func() spoiler {
		return spoiler{request: func(_ http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path == authorize {
				q := r.URL.Query()
				q.Del(name)
				r.URL.RawQuery = q.Encode()
			}
			return false
		}}
	}
}

// remembered answers a refusal of the token endpoint with what it gave last.
func remembered() func() spoiler {
	return func() spoiler {
		var last atomic.Pointer[[]byte]
		return at(tokenPath, func(r *http.Response) error {
			return rewrite(r, func(b []byte) []byte {
				if r.StatusCode == http.StatusOK {
					last.Store(&b)
					return b
				}
				if known := last.Load(); known != nil {
					r.StatusCode = http.StatusOK
					return *known
				}
				return b
			})
		})()
	}
}

// forgiving answers a refusal of the token endpoint with something.
func forgiving() func() spoiler { return status(tokenPath, http.StatusOK) }

// reclaimed changes a claim of a JWT and leaves its signature.
func reclaimed(raw, name string, value any) string {
	parts := strings.Split(raw, ".")
	b, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return raw
	}
	var claims map[string]any
	if json.Unmarshal(b, &claims) != nil {
		return raw
	}
	if claims[name] = value; value == nil {
		delete(claims, name)
	}
	if b, err = json.Marshal(claims); err != nil {
		return raw
	}
	parts[1] = base64.RawURLEncoding.EncodeToString(b)
	return strings.Join(parts, ".")
}
