package oauth2_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatekeeper-oidc/gatekeeper/keys"
	"github.com/gatekeeper-oidc/gatekeeper/oauth2"
)

// signing makes a web client that signs request objects.
func (f *fixture) signing(id string, edit ...func(*oauth2.Client)) (*app, func(claims map[string]any) string) {
	f.tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(f.tb, err)
	a := f.app(id, append([]func(*oauth2.Client){func(c *oauth2.Client) { c.JWKS = jwks(f.tb, key) }}, edit...)...)
	a.key = key
	return a, func(edit map[string]any) string {
		c := map[string]any{"aud": issuer, "client_id": id, "sub": nil}
		for name := range a.request() {
			c[name] = a.request().Get(name)
		}
		for name, v := range edit {
			c[name] = v
		}
		return f.assertion(key, "ES256", id, c)
	}
}

// signRaw signs bytes that may be no JSON with the key of a.
func signRaw(tb testing.TB, a *app, payload string) string {
	tb.Helper()
	input := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"ES256"}`)) + "." + base64.RawURLEncoding.EncodeToString([]byte(payload))
	return input + "." + es256(tb, a.key, input)
}

func (a *app) withObject(object string, pairs ...string) url.Values {
	return with(url.Values{"client_id": {a.ID}, "response_type": {"code"}, "scope": {"openid"}, "request": {object}}, pairs...)
}

func TestRequestObjects(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, f *fixture) {
		a, object := f.signing("signer", func(c *oauth2.Client) { c.RequireSignedRequest = true })
		v := a.withObject(object(map[string]any{"max_age": 10000, "claims": map[string]any{"id_token": map[string]any{"email": nil}}}),
			"state", "outside", "redirect_uri", "https://evil.example")
		_, q := f.authorize("alice", v).location()
		if q.Get("code") == "" || q.Get("state") != "a state" {
			t.Fatalf("told %v", q)
		}
		got := tokensOf(a.redeem(q.Get("code")).ok())
		if claims(t, got.ID)["email"] != f.user.Email {
			t.Error("the claims inside were not read")
		}
		in := func(d time.Duration) int64 { return f.now().Add(d).Unix() }
		_, foreign := f.signing("other")
		for name, bad := range map[string]string{
			"another's signature":    foreign(map[string]any{"client_id": "signer", "iss": "signer"}),
			"another's client_id":    object(map[string]any{"client_id": "other"}),
			"another issuer":         object(map[string]any{"iss": "other"}),
			"another audience":       object(map[string]any{"aud": "https://bank.example"}),
			"expired":                object(map[string]any{"exp": in(-time.Minute)}),
			"not yet":                object(map[string]any{"nbf": in(time.Minute)}),
			"an assertion":           object(map[string]any{"sub": "signer"}),
			"an object in an object": object(map[string]any{"request": "a.b.c"}),
			"a list":                 object(map[string]any{"scope": []string{"openid"}}),
			"none":                   "eyJhbGciOiJub25lIn0.eyJjbGllbnRfaWQiOiJzaWduZXIifQ.",
			"garbage":                "a.b.c",
			"a state given twice":    signRaw(t, a, `{"client_id":"signer","state":"a","state":"b"}`),
			"a brace too many":       signRaw(t, a, `{"client_id":"signer"}}`),
			"a bracket behind":       signRaw(t, a, `{"client_id":"signer"}]`),
		} {
			r := f.authorize("alice", a.withObject(bad, "redirect_uri", callback))
			if _, q := r.location(); q.Get("error") != "invalid_request_object" || q.Has("code") {
				t.Errorf("%s: told %v", name, q)
			}
			isPage(t, name+" without a redirect URI", f.authorize("alice", a.withObject(bad)))
		}
		inside := object(map[string]any{"redirect_uri": "https://evil.example"})
		isPage(t, "an unregistered redirect URI inside", f.authorize("alice", a.withObject(inside, "redirect_uri", callback)))
		if _, q := f.authorize("alice", a.request()).location(); q.Get("error") != "invalid_request" {
			t.Errorf("without the object: %v", q)
		}
		// The clocks of applications are forgiven eight seconds.
		if _, q := f.authorize("alice", a.withObject(object(map[string]any{"nbf": in(8 * time.Second)}))).location(); q.Get("code") == "" {
			t.Errorf("eight seconds ahead: %v", q)
		}
	})
}

func TestRequestObjectAlgorithms(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, f *fixture) {
		a, object := f.signing("signer", func(c *oauth2.Client) { c.RequestObjectAlg = keys.PS256 })
		if _, q := f.authorize("alice", a.withObject(object(nil), "redirect_uri", callback)).location(); q.Get("error") != "invalid_request_object" {
			t.Errorf("ES256 where PS256 is registered: %v", q)
		}
		enc, sealed := f.signing("sealer", func(c *oauth2.Client) { c.RequestObjectEncAlg = keys.ECDHES })
		if _, q := f.authorize("alice", enc.withObject(sealed(nil), "redirect_uri", callback)).location(); q.Get("error") != "invalid_request_object" {
			t.Errorf("plain where encrypted is registered: %v", q)
		}
		set, _, _ := f.ring.JWKS()
		jwe, err := keys.EncryptWith(set, keys.Encryption{Alg: keys.ECDHES, Enc: "A256GCM"}, "JWT", []byte(sealed(nil)))
		must(t, err)
		if _, q := f.authorize("alice", enc.withObject(jwe)).location(); q.Get("code") == "" {
			t.Errorf("encrypted to us: %v", q)
		}
		rsa, err := keys.EncryptWith(set, keys.Encryption{Alg: keys.RSAOAEP256}, "JWT", []byte(sealed(nil)))
		must(t, err)
		if _, q := f.authorize("alice", enc.withObject(rsa, "redirect_uri", callback)).location(); q.Get("error") != "invalid_request_object" {
			t.Errorf("encrypted otherwise than registered: %v", q)
		}
	})
}

func TestRequestURIs(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, f *fixture) {
		var object atomic.Value
		object.Store("")
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/moved" {
				http.Redirect(w, r, "/object", http.StatusFound)
				return
			}
			w.Header().Set("Content-Type", "application/oauth-authz-req+jwt")
			_, _ = fmt.Fprint(w, object.Load())
		}))
		defer server.Close()
		a, sign := f.signing("signer", func(c *oauth2.Client) {
			c.RequestURIs = []string{server.URL + "/object#version-one", server.URL + "/moved"}
		})
		object.Store(sign(nil))
		by := func(uri string) url.Values {
			return url.Values{"client_id": {a.ID}, "response_type": {"code"}, "scope": {"openid"}, "request_uri": {uri}, "redirect_uri": {callback}}
		}
		for _, uri := range []string{server.URL + "/object", server.URL + "/object#version-one", server.URL + "/object#version-two"} {
			if _, q := f.authorize("alice", by(uri)).location(); q.Get("code") == "" {
				t.Errorf("%s: told %v", uri, q)
			}
		}
		for name, uri := range map[string]string{"unregistered": server.URL + "/other", "redirecting": server.URL + "/moved", "local": "http://127.0.0.1:1/object"} {
			if _, q := f.authorize("alice", by(uri)).location(); q.Get("error") != "invalid_request_uri" {
				t.Errorf("%s: told %v", name, q)
			}
		}
		object.Store("not a JWT")
		if _, q := f.authorize("alice", by(server.URL+"/object")).location(); q.Get("error") != "invalid_request_object" {
			t.Errorf("no JWT there: %v", q)
		}
	})
}

// TestPushedObjects: a request object can be pushed, and is one signature more.
func TestPushedObjects(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, f *fixture) {
		a, object := f.signing("signer", func(c *oauth2.Client) { c.RequireSignedRequest, c.RequirePAR = true, true })
		r := a.push(url.Values{"request": {object(nil)}})
		if r.Status != http.StatusCreated {
			t.Fatalf("pushing answered %d %s", r.Status, r.Body)
		}
		uri := r.json()["request_uri"].(string)
		if _, q := f.authorize("alice", a.brought(uri)).location(); q.Get("code") == "" {
			t.Errorf("told %v", q)
		}
		a.push(a.request()).refused(http.StatusBadRequest, "invalid_request")
		a.push(url.Values{"request": {object(map[string]any{"aud": "https://bank.example"})}}).refused(http.StatusBadRequest, "invalid_request_object")
	})
}
