package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gatekeeper-oidc/gatekeeper/admin"
	"github.com/gatekeeper-oidc/gatekeeper/oauth2"
)

// requestOperations are the ways to send a request besides the plain one. Their
// bar is one write and one signature check above it: a silent authorize reads the
// session, and completing a pushed request spends it.
func requestOperations() []operation {
	return []operation{
		{"push a request", 0, repeat(func(r *rig) { r.push(r.authorizeQuery()) })},
		{"authorize a pushed request", 2, func(r *rig) action {
			var uri string
			return action{
				func() { uri = r.push(r.authorizeQuery()) },
				func() {
					r.codeAt("/oauth2/authorize?" + url.Values{"client_id": {"web"}, "request_uri": {uri}}.Encode())
				},
			}
		}},
		{"authorize a signed request", 1, func(r *rig) action {
			s := r.signer()
			return action{do: func() { r.codeAt(s.authorizeURL()) }}
		}},
	}
}

func (r *rig) authorizeQuery() url.Values {
	_, query, _ := strings.Cut(r.authorizeURL(), "?")
	v, err := url.ParseQuery(query)
	if err != nil {
		r.tb.Fatal(err)
	}
	return v
}

func (r *rig) push(v url.Values) string {
	r.tb.Helper()
	w := r.post("/oauth2/par", "web", v)
	var pushed struct {
		RequestURI string `json:"request_uri"`
	}
	if err := json.Unmarshal(w.Body.Bytes(), &pushed); err != nil || w.Code != http.StatusCreated {
		r.tb.Fatalf("pushing answered %d %s", w.Code, w.Body)
	}
	return pushed.RequestURI
}

func (r *rig) codeAt(target string) {
	r.tb.Helper()
	w := r.get(target)
	if !strings.Contains(w.Header().Get("Location"), "code=") {
		r.tb.Fatalf("authorize answered %d %s %s", w.Code, w.Header().Get("Location"), w.Body)
	}
}

// A requestSigner is an application that signs its requests with ES256.
type requestSigner struct {
	tb     testing.TB
	key    *ecdsa.PrivateKey
	params url.Values
}

// signer registers one, called signer.
func (r *rig) signer() requestSigner {
	r.tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		r.tb.Fatal(err)
	}
	raw, err := key.PublicKey.Bytes()
	if err != nil {
		r.tb.Fatal(err)
	}
	b64 := base64.RawURLEncoding.EncodeToString
	jwks, err := json.Marshal(map[string]any{"keys": []any{map[string]any{"kty": "EC", "crv": "P-256", "x": b64(raw[1:33]), "y": b64(raw[33:])}}})
	if err != nil {
		r.tb.Fatal(err)
	}
	ctx := admin.NewContext(r.tb.Context(), "test")
	_, err = r.p.API.CreateClient(ctx, admin.ClientInput{Client: oauth2.Client{
		ID: "signer", Type: oauth2.Web, RedirectURIs: []string{benchRedirect}, FirstParty: true, JWKS: jwks, RequireSignedRequest: true,
	}})
	if err != nil {
		r.tb.Fatal(err)
	}
	params := r.authorizeQuery()
	params.Set("client_id", "signer")
	return requestSigner{r.tb, key, params}
}

func (s requestSigner) authorizeURL() string {
	s.tb.Helper()
	claims := map[string]any{"iss": "signer", "aud": "http://localhost:8080", "exp": time.Now().Add(time.Minute).Unix()}
	for name := range s.params {
		claims[name] = s.params.Get(name)
	}
	body, err := json.Marshal(claims)
	if err != nil {
		s.tb.Fatal(err)
	}
	b64 := base64.RawURLEncoding.EncodeToString
	input := b64([]byte(`{"alg":"ES256","typ":"oauth-authz-req+jwt"}`)) + "." + b64(body)
	digest := sha256.Sum256([]byte(input))
	sr, ss, err := ecdsa.Sign(rand.Reader, s.key, digest[:])
	if err != nil {
		s.tb.Fatal(err)
	}
	sig := make([]byte, 64)
	sr.FillBytes(sig[:32])
	ss.FillBytes(sig[32:])
	return "/oauth2/authorize?" + url.Values{"client_id": {"signer"}, "request": {input + "." + b64(sig)}}.Encode()
}
