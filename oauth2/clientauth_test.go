package oauth2_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatekeeper-oidc/gatekeeper/oauth2"
)

const clientAssertion = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// F9: exactly one method, the registered one, and one client id.
func TestClientAuthentication(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, f *fixture) {
		b := f.app("basic", machine)
		p := f.app("post", machine, func(c *oauth2.Client) { c.AuthMethod = oauth2.AuthPost })
		e := f.app("exact", machine, func(c *oauth2.Client) { c.AuthMethod, c.ExactAuthMethod = oauth2.AuthPost, true })
		f.app("off", machine, func(c *oauth2.Client) { c.Disabled = true })
		f.app("pub", public)
		type form = map[string]string
		for _, c := range []struct {
			name, header string
			form         form
			status       int
			code         string
		}{
			{"basic", basic("basic", b.secret), nil, 200, ""},
			{"basic with its own id in the body", basic("basic", b.secret), form{"client_id": "basic"}, 200, ""},
			{"basic in another case", "bAsIc" + basic("basic", b.secret)[5:], nil, 200, ""},
			{"post", "", form{"client_id": "post", "client_secret": p.secret}, 200, ""},
			{"basic and post", basic("basic", b.secret), form{"client_id": "basic", "client_secret": b.secret}, 400, "invalid_request"},
			{"an empty basic and post", basic("post", ""), form{"client_id": "post", "client_secret": p.secret}, 400, "invalid_request"},
			{"basic and an assertion", basic("basic", b.secret), form{"client_assertion_type": clientAssertion, "client_assertion": "a.b.c"}, 400, "invalid_request"},
			{"post and an assertion", "", form{"client_id": "post", "client_secret": p.secret, "client_assertion_type": clientAssertion, "client_assertion": "a.b.c"}, 400, "invalid_request"},
			{"an assertion type alone", "", form{"client_id": "post", "client_assertion_type": "x"}, 400, "invalid_request"},
			{"an assertion without its type", "", form{"client_id": "post", "client_assertion": "a.b.c"}, 400, "invalid_request"},
			{"another id in the body", basic("basic", b.secret), form{"client_id": "post"}, 400, "invalid_request"},
			{"basic of a client for post", basic("post", p.secret), nil, 200, ""},
			{"post of a client for basic", "", form{"client_id": "basic", "client_secret": b.secret}, 200, ""},
			{"basic of a client for post alone", basic("exact", e.secret), nil, 401, "invalid_client"},
			{"post of a client for post alone", "", form{"client_id": "exact", "client_secret": e.secret}, 200, ""},
			{"a wrong secret", basic("basic", p.secret), nil, 401, "invalid_client"},
			{"an empty secret", basic("basic", ""), nil, 401, "invalid_client"},
			{"a confidential client without one", "", form{"client_id": "basic"}, 401, "invalid_client"},
			{"nobody", "", nil, 401, "invalid_client"},
			{"an unknown client", basic("nobody", "x"), nil, 401, "invalid_client"},
			{"a disabled client", basic("off", "x"), nil, 401, "invalid_client"},
			{"an id no client can have", basic("a\x00b\xff", "x"), nil, 401, "invalid_client"},
			{"a public client with a secret", basic("pub", "x"), nil, 401, "invalid_client"},
			{"a public client for client credentials", "", form{"client_id": "pub"}, 400, "unauthorized_client"},
			{"a header that is no base64", "Basic !!!", nil, 400, "invalid_request"},
			{"a header without a colon", "Basic " + base64.StdEncoding.EncodeToString([]byte("basic")), nil, 400, "invalid_request"},
			{"a header that does not unescape", "Basic " + base64.StdEncoding.EncodeToString([]byte("basic:%zz")), nil, 400, "invalid_request"},
			{"a bearer token", "Bearer x", nil, 400, "invalid_request"},
		} {
			v := url.Values{"grant_type": {"client_credentials"}}
			for k, s := range c.form {
				v.Set(k, s)
			}
			var headers []string
			if c.header != "" {
				headers = []string{"Authorization", c.header}
			}
			r := f.do(http.MethodPost, "/oauth2/token", strings.NewReader(v.Encode()), headers...)
			got, _ := r.json()["error"].(string)
			if r.Status != c.status || got != c.code {
				t.Errorf("%s: %d %s, want %d %s", c.name, r.Status, r.Body, c.status, c.code)
			}
			if challenge := strings.HasPrefix(r.Header.Get("WWW-Authenticate"), "Basic "); challenge != (r.Status == 401) {
				t.Errorf("%s: WWW-Authenticate %q", c.name, r.Header.Get("WWW-Authenticate"))
			}
		}
	})
}

// x/oauth2 first tries "Basic id:" for a client without a secret.
func TestPublicClientMayRepeatItsID(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, f *fixture) {
		pub := f.app("pub", public)
		for name, body := range map[string]string{"id in both": "pub", "id in the header alone": ""} {
			v := with(url.Values{}, "grant_type", "authorization_code", "code", pub.code(), "redirect_uri", callback, "code_verifier", verifier, "client_id", body)
			r := f.do(http.MethodPost, "/oauth2/token", strings.NewReader(v.Encode()), "Authorization", basic("pub", ""))
			if r.Status != http.StatusOK {
				t.Errorf("%s: %d %s", name, r.Status, r.Body)
			}
		}
	})
}

func TestSecretsRotate(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, f *fixture) {
		job := f.app("job", machine)
		old := job.secret
		plain, keep := f.p.NewSecret(&job.Client)
		job.Secrets[0].ExpiresAt = f.now().Add(time.Hour)
		job.Secrets = append(job.Secrets, keep)
		must(t, f.db.UpdateClient(t.Context(), job.Client))
		for _, secret := range []string{old, plain} {
			job.secret = secret
			job.token("grant_type", "client_credentials").ok()
		}
		f.later(time.Hour)
		job.secret = old
		job.token("grant_type", "client_credentials").refused(http.StatusUnauthorized, "invalid_client")
		job.secret = plain
		job.token("grant_type", "client_credentials").ok()
	})
}

func TestGuessingSecretsIsSlow(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, f *fixture) {
		job := f.app("job", machine)
		job.secret = "wrong"
		for range 1000 {
			r := job.token("grant_type", "client_credentials")
			if r.Status == http.StatusTooManyRequests {
				if r.Header.Get("Retry-After") == "" {
					t.Error("no Retry-After")
				}
				return
			}
		}
		t.Error("a thousand guesses were answered")
	})
}

// signer makes the app one for private_key_jwt.
func (f *fixture) signer(id string) *app { f.tb.Helper(); return f.signerWith(id) }

func (f *fixture) signerWith(id string, edit ...func(*oauth2.Client)) *app {
	f.tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(f.tb, err)
	a := f.app(id, append(edit, machine, func(c *oauth2.Client) { c.AuthMethod, c.JWKS = oauth2.AuthPrivateKey, jwks(f.tb, key) })...)
	a.sign = func(edit map[string]any) string { return f.assertion(key, "ES256", id, edit) }
	return a
}

func jwks(tb testing.TB, key *ecdsa.PrivateKey) json.RawMessage {
	tb.Helper()
	raw, err := key.PublicKey.Bytes()
	must(tb, err)
	b64 := base64.RawURLEncoding.EncodeToString
	set, err := json.Marshal(map[string]any{"keys": []any{map[string]any{
		"kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": "k1", "x": b64(raw[1:33]), "y": b64(raw[33:]),
	}}})
	must(tb, err)
	return set
}

func (f *fixture) assertion(key *ecdsa.PrivateKey, alg, id string, edit map[string]any) string {
	f.tb.Helper()
	c := map[string]any{"iss": id, "sub": id, "aud": issuer, "jti": rand.Text(), "iat": f.now().Unix(), "exp": f.now().Add(time.Minute).Unix()}
	for k, v := range edit {
		if c[k] = v; v == nil {
			delete(c, k)
		}
	}
	part := func(v any) string {
		b, err := json.Marshal(v)
		must(f.tb, err)
		return base64.RawURLEncoding.EncodeToString(b)
	}
	input := part(map[string]any{"alg": alg, "kid": "k1"}) + "." + part(c)
	if alg == "none" {
		return input + "."
	}
	return input + "." + es256(f.tb, key, input)
}

// es256 is the signature part of a JWS.
func es256(tb testing.TB, key *ecdsa.PrivateKey, input string) string {
	tb.Helper()
	r, s, err := ecdsa.Sign(rand.Reader, key, hash(input))
	must(tb, err)
	sig := make([]byte, 64)
	r.FillBytes(sig[:32])
	s.FillBytes(sig[32:])
	return base64.RawURLEncoding.EncodeToString(sig)
}

func TestPrivateKeyJWT(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, f *fixture) {
		a, b := f.signer("robot"), f.signer("other")
		foreign, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		must(t, err)
		in := func(d time.Duration) int64 { return f.now().Add(d).Unix() }
		send := func(assertion string, pairs ...string) reply {
			v := with(url.Values{}, append([]string{"grant_type", "client_credentials", "client_assertion_type", clientAssertion, "client_assertion", assertion}, pairs...)...)
			return f.do(http.MethodPost, "/oauth2/token", strings.NewReader(v.Encode()))
		}
		used := a.sign(nil)
		send(used, "client_id", "robot").ok()
		for name, assertion := range map[string]string{
			"for the issuer": a.sign(nil), "for the token endpoint": a.sign(map[string]any{"aud": issuer + "/oauth2/token"}),
			"audience in an array": a.sign(map[string]any{"aud": []string{issuer}}), "from a clock ahead": a.sign(map[string]any{"iat": in(4 * time.Second)}),
		} {
			if r := send(assertion); r.Status != http.StatusOK {
				t.Errorf("%s: %d %s", name, r.Status, r.Body)
			}
		}
		for name, assertion := range map[string]string{
			"used before": used, "two audiences": a.sign(map[string]any{"aud": []string{issuer, "https://bank.example"}}),
			"another audience": a.sign(map[string]any{"aud": "https://bank.example"}), "no audience": a.sign(map[string]any{"aud": nil}),
			"another issuer": a.sign(map[string]any{"iss": "other"}), "about another client": a.sign(map[string]any{"sub": "other"}),
			"expired": a.sign(map[string]any{"exp": in(-time.Minute)}), "without an end": a.sign(map[string]any{"exp": nil}),
			"for too long": a.sign(map[string]any{"exp": in(time.Hour)}), "not yet": a.sign(map[string]any{"nbf": in(time.Minute)}),
			"from tomorrow": a.sign(map[string]any{"iat": in(24 * time.Hour)}), "without an id": a.sign(map[string]any{"jti": nil}),
			"with a huge id":   a.sign(map[string]any{"jti": strings.Repeat("j", 300)}),
			"by a foreign key": f.assertion(foreign, "ES256", "robot", nil), "by nobody": f.assertion(foreign, "none", "robot", nil),
			"with another key's alg": f.assertion(foreign, "RS256", "robot", nil), "an HMAC": f.assertion(foreign, "HS256", "robot", nil),
			"garbage": "a.b.c", "nothing": "", "not even three parts": strings.Repeat("a", 100), "claims of another shape": a.sign(map[string]any{"exp": "soon"}),
		} {
			r := send(assertion)
			if r.Status != http.StatusUnauthorized && r.Status != http.StatusTooManyRequests || r.json()["error"] != "invalid_client" {
				t.Errorf("%s: %d %s", name, r.Status, r.Body)
			}
			f.later(time.Second) // the limit on failures is another test's
		}
		send(a.sign(nil), "client_id", "other").refused(http.StatusBadRequest, "invalid_request")
		jti := map[string]any{"jti": "the same"}
		send(b.sign(jti)).ok()
		send(a.sign(jti)).ok() // another client's jti is another
		f.store.fail("UseAssertion", 1)
		if r := send(a.sign(nil)); r.Status != http.StatusServiceUnavailable {
			t.Errorf("a store that is down: %d %s", r.Status, r.Body)
		}
	})
}

// Of racing callers one may use an assertion (CVE-2020-15222).
func TestAssertionIsUsedOnce(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, f *fixture) {
		a := f.signer("robot")
		one := a.sign(nil)
		a.sign = func(map[string]any) string { return one }
		var won atomic.Int32
		race(32, func(int) {
			if a.token("grant_type", "client_credentials").Status == http.StatusOK {
				won.Add(1)
			}
		})
		if won.Load() != 1 {
			t.Errorf("%d of 32 succeeded, want 1", won.Load())
		}
	})
}

// race runs n calls as nearly at once as it can.
func race(n int, f func(i int)) {
	start := make(chan struct{})
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			<-start
			f(i)
		})
	}
	close(start)
	all.Wait()
}

func TestClientStoreDown(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, f *fixture) {
		job := f.app("job", machine)
		f.store.fail("Client", 1)
		r := job.token("grant_type", "client_credentials")
		if r.Status != http.StatusServiceUnavailable || r.Header.Get("Retry-After") == "" {
			t.Errorf("%d %s", r.Status, r.Body)
		}
		job.token("grant_type", "client_credentials").ok()
		if r := f.authorize("alice", job.request()); r.Status == http.StatusSeeOther {
			t.Errorf("a machine was sent to %s", r.Header.Get("Location"))
		}
	})
}
