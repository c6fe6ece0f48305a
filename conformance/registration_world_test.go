package conformance

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"image"
	"image/png"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"
)

// object is a JSON object.
type object = map[string]any

// A site is what an application publishes about itself, on this computer.
type site struct {
	*httptest.Server

	mu   sync.Mutex
	docs map[string]document
}

type document struct{ kind, body string }

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{docs: map[string]document{}}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		doc, ok := s.docs[r.URL.Path]
		s.mu.Unlock()
		if !ok {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		w.Header().Set("Content-Type", doc.kind)
		_, _ = w.Write([]byte(doc.body))
	}))
	t.Cleanup(s.Close)
	return s
}

// publish puts a document at path and returns its address.
func (s *site) publish(path, kind, body string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.docs[path] = document{kind, body}
	return s.URL + path
}

// picture is a small image.
func picture(t *testing.T) string {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, image.NewGray(image.Rect(0, 0, 2, 2))); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// A signer is somebody else's key.
type signer struct{ private *rsa.PrivateKey }

func newSigner(t *testing.T) signer {
	t.Helper()
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return signer{private}
}

// jwks is the signer's public key as a set, without kid, as the suite has it.
func (s signer) jwks() object {
	b64 := base64.RawURLEncoding.EncodeToString
	return object{"keys": []any{object{
		"kty": "RSA", "use": "sig", "alg": "RS256", "n": b64(s.private.N.Bytes()), "e": b64(big.NewInt(int64(s.private.E)).Bytes()),
	}}}
}

func (s signer) sign(t *testing.T, claims object) string {
	t.Helper()
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	return s.signText(t, string(payload), "JWT")
}

// signText is sign for claims as they are written, and a type of their own.
func (s signer) signText(t *testing.T, payload, typ string) string {
	t.Helper()
	b64 := base64.RawURLEncoding.EncodeToString
	head := `{"alg":"RS256"}`
	if typ != "" {
		head = `{"alg":"RS256","typ":"` + typ + `"}`
	}
	input := b64([]byte(head)) + "." + b64([]byte(payload))
	sum := sha256.Sum256([]byte(input))
	sig, err := rsa.SignPKCS1v15(rand.Reader, s.private, crypto.SHA256, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	return input + "." + b64(sig)
}

// A registrant registers applications as a program nobody here wrote would.
type registrant struct {
	*testing.T

	d        *deployment
	endpoint string // from discovery
	site     *site
}

func newRegistrant(t *testing.T, d *deployment) *registrant {
	t.Helper()
	endpoint, _ := discovery(t, d)["registration_endpoint"].(string)
	if endpoint == "" {
		t.Fatal("discovery has no registration_endpoint")
	}
	return &registrant{T: t, d: d, endpoint: endpoint, site: newSite(t)}
}

// in is r for a test below its own.
func (r *registrant) in(t *testing.T) *registrant {
	t.Helper()
	return &registrant{T: t, d: r.d, endpoint: r.endpoint, site: r.site}
}

func discovery(t *testing.T, d *deployment) object {
	t.Helper()
	q, err := http.NewRequestWithContext(t.Context(), http.MethodGet, d.issuer+"/.well-known/openid-configuration", nil)
	if err != nil {
		t.Fatal(err)
	}
	return send(t, q).json
}

// ask sends JSON with a bearer token; "" and nil leave them out.
func (r *registrant) ask(method, target, token string, body any) reply {
	r.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		r.Fatal(err)
	}
	q, err := http.NewRequestWithContext(r.Context(), method, target, bytes.NewReader(text))
	if err != nil {
		r.Fatal(err)
	}
	if body == nil {
		q.Body, q.ContentLength = http.NoBody, 0
	} else {
		q.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		q.Header.Set("Authorization", "Bearer "+token)
	}
	return send(r.T, q)
}

// A registration is what an application was told when it registered.
type registration struct {
	id, secret, token, uri string
	all                    object
}

// register registers what base says and more, and wants everything sent back.
func (r *registrant) register(more object) registration {
	r.Helper()
	body := base()
	for k, v := range more {
		body[k] = v
	}
	got := r.ask(http.MethodPost, r.endpoint, "", body)
	if got.status != http.StatusCreated || got.header.Get("Content-Type") != "application/json" || got.header.Get("Cache-Control") != "no-store" {
		r.Fatalf("registration answered %d %v %s", got.status, got.header, got.text)
	}
	r.echoes(body, got.json)
	word := func(name string) string { s, _ := got.json[name].(string); return s }
	out := registration{word("client_id"), word("client_secret"), word("registration_access_token"), word("registration_client_uri"), got.json}
	if out.id == "" || len(out.token) < 43 || !strings.HasPrefix(out.uri, r.d.issuer+"/") {
		r.Fatalf("registration answered %s", got.text)
	}
	if _, expires := got.json["client_secret_expires_at"]; expires != (out.secret != "") {
		r.Errorf("client_secret and client_secret_expires_at do not go together: %s", got.text)
	}
	return out
}

// base is the least the suite sends.
func base() object {
	return object{
		"client_name": "Somebody's app", "grant_types": []any{"authorization_code"}, "response_types": []any{"code"}, "redirect_uris": []any{callback},
		"token_endpoint_auth_method": "client_secret_basic", "contacts": []any{"ops@app.example"},
	}
}

// echoes wants every member of sent in got.
func (r *registrant) echoes(sent, got object) {
	r.Helper()
	for name, want := range sent {
		x, _ := json.Marshal(want)
		y, _ := json.Marshal(got[name])
		if string(x) != string(y) {
			r.Errorf("%s was sent as %s and came back as %s", name, x, y)
		}
	}
}

// refused wants a registration to be refused with one of codes.
func (r *registrant) refused(more object, codes ...string) {
	r.Helper()
	body := base()
	for k, v := range more {
		body[k] = v
	}
	got := r.ask(http.MethodPost, r.endpoint, "", body)
	code, _ := got.json["error"].(string)
	if got.status != http.StatusBadRequest || !strings.Contains(strings.Join(codes, " "), code) || code == "" {
		r.Errorf("got %d %s, want %v", got.status, got.text, codes)
	}
	description, _ := got.json["error_description"].(string)
	if !legal.MatchString(description) {
		r.Errorf("illegal characters in %q", description)
	}
}

// jwtPart decodes the head (0) or the claims (1) of a JWT, believing nothing.
func jwtPart(t *testing.T, token string, n int) (out object) {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("not a JWT: %s", token)
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[n])
	if err == nil {
		err = json.Unmarshal(raw, &out)
	}
	if err != nil {
		t.Fatalf("%v in %s", err, token)
	}
	return out
}

// app is the registered application at work.
func (r *registrant) app(c registration, redirect string) *app {
	r.Helper()
	return newApp(r.T, r.d, c.id, c.secret, redirect, "openid", "email")
}

// flow signs ana in to the application and returns its tokens' claims.
func (r *registrant) flow(a *app) (access string, subject string) {
	r.Helper()
	tok, id := a.tokens(newBrowser(r.T, r.d.issuer), ana, anaPassword)
	return tok.AccessToken, id.Subject
}

// assertion is a private_key_jwt of the application (RFC 7523 section 3).
func (r *registrant) assertion(s signer, id, audience string) url.Values {
	r.Helper()
	now := time.Now().Unix()
	return url.Values{
		"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
		"client_assertion": {s.sign(r.T, object{
			"iss": id, "sub": id, "aud": audience, "exp": now + 60, "iat": now, "jti": fmt.Sprint(rand.Text()),
		})},
	}
}
