package oidc

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatekeeper-oidc/gatekeeper/audit"
	"github.com/gatekeeper-oidc/gatekeeper/internal/fetch"
	"github.com/gatekeeper-oidc/gatekeeper/internal/web"
	"github.com/gatekeeper-oidc/gatekeeper/keys"
	"github.com/gatekeeper-oidc/gatekeeper/oauth2"
	"github.com/gatekeeper-oidc/gatekeeper/storage"
	"github.com/gatekeeper-oidc/gatekeeper/storage/state"
)

// shelf is what other people publish, by address, and how often each was asked for.
type shelf struct {
	mu    sync.Mutex
	docs  map[string]fetch.Document
	asked map[string]int
}

func (s *shelf) put(address, kind, body string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.docs[address] = fetch.Document{Body: []byte(body), ContentType: kind}
}

func (s *shelf) times(address string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked[address]
}

func (s *shelf) Get(_ context.Context, address string, want fetch.Want) (fetch.Document, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked[address]++
	doc, ok := s.docs[address]
	switch {
	case !ok:
		return fetch.Document{}, fetch.ErrUnreachable
	case !contains(want.Accept, doc.ContentType), want.MaxBytes > 0 && int64(len(doc.Body)) > want.MaxBytes:
		return fetch.Document{}, fetch.ErrRefused
	}
	return doc, nil
}

// Check and Reach refuse what a name says is inside.
func (s *shelf) Check(address string) error {
	if strings.Contains(address, "inside") {
		return fetch.ErrRefused
	}
	return nil
}

func (s *shelf) Reach(_ context.Context, address string) error { return s.Check(address) }

func (s *shelf) FetchJWKS(ctx context.Context, address string) ([]byte, time.Duration, error) {
	doc, err := s.Get(ctx, address, fetch.Want{Accept: []string{"application/json"}})
	return doc.Body, time.Minute, err
}

func contains(list []string, s string) bool {
	for _, v := range list {
		if v == s {
			return true
		}
	}
	return false
}

// registry is a Registrar over the real rules and a real store, behind the real
// road.
type registry struct {
	*Registrar

	t        *testing.T
	db       *storage.DB
	provider *oauth2.Provider
	trail    *audit.Trail
	shelf    *shelf
	mux      *web.Mux
}

func newRegistry(t *testing.T, change ...func(c *RegistrarConfig)) *registry {
	t.Helper()
	ctx := t.Context()
	db, err := storage.Open(ctx, storage.Config{URL: "sqlite:" + filepath.Join(t.TempDir(), "gatekeeper.db"), Migrate: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	clock := func() time.Time {
		now, err := db.Now(ctx)
		if err != nil && ctx.Err() == nil {
			t.Error(err)
		}
		return now
	}
	r := &registry{t: t, db: db, shelf: &shelf{docs: map[string]fetch.Document{}, asked: map[string]int{}}}
	r.trail = audit.NewTrail(audit.Config{Store: db, Now: clock})
	r.provider = newProvider(t, r, clock)
	cfg := RegistrarConfig{
		Issuer: issuer, Mode: RegistrationOpen, Engine: r.provider, Store: db, Trail: r.trail, Limits: state.NewMemory(clock, 0), Now: clock, Scopes: everyScope(),
	}
	for _, f := range change {
		f(&cfg)
	}
	if r.Registrar, err = NewRegistrar(cfg); err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(issuer)
	if err != nil {
		t.Fatal(err)
	}
	if r.mux, err = web.New(web.Config{Issuer: u, Internal: true, AllowedHosts: []string{"id.example.org"}, Log: slog.New(slog.DiscardHandler), Now: clock}); err != nil {
		t.Fatal(err)
	}
	r.Routes(r.mux)
	return r
}

func newProvider(t *testing.T, r *registry, clock func() time.Time) *oauth2.Provider {
	t.Helper()
	vault, err := keys.NewVault(bytes.Repeat([]byte{7}, 32))
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	ring, err := keys.NewRing(keys.RingConfig{
		Store: r.db, Vault: vault, Source: keys.Software{}, Log: log, Now: clock, Policy: keys.Policy{Algs: []string{keys.ES256, keys.RS256}},
		Record: func(context.Context, keys.Change) error { return nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := ring.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	sets, err := keys.NewClientSets(keys.ClientSetsConfig{Fetcher: r.shelf, Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	p, err := oauth2.NewProvider(oauth2.Config{
		Issuer: issuer, Store: r.db, Keys: ring, ClientKeys: sets, Vault: vault, Trail: r.trail, Limits: state.NewMemory(clock, 0), Log: log, Now: clock,
		Scopes: everyScope(), Claims: ClaimTable{}, Fetch: r.shelf, ResponseTypes: []string{"code", "id_token", "code id_token"},
		Lifetimes: oauth2.Lifetimes{
			Code: time.Minute, Access: 15 * time.Minute, IDToken: 15 * time.Minute, Refresh: time.Hour, RefreshIdle: time.Hour, Interaction: time.Hour,
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// object is a JSON object.
type object = map[string]any

// ask sends a request with a token ("" for none) and a body (nil for none).
func (r *registry) ask(method, path, token string, body any) (status int, out object, header http.Header) {
	r.t.Helper()
	text, ok := body.(string)
	if !ok && body != nil {
		raw, err := json.Marshal(body)
		if err != nil {
			r.t.Fatal(err)
		}
		text = string(raw)
	}
	q := httptest.NewRequestWithContext(r.t.Context(), method, issuer+path, strings.NewReader(text))
	if body != nil {
		q.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		q.Header.Set("Authorization", "Bearer "+token)
	}
	w := httptest.NewRecorder()
	r.mux.ServeHTTP(w, q)
	if w.Body.Len() > 0 {
		if err := json.Unmarshal(w.Body.Bytes(), &out); err != nil {
			r.t.Fatalf("%s %s: %v in %s", method, path, err, w.Body)
		}
	}
	return w.Code, out, w.Header()
}

// made is what an application was told.
type made struct {
	id, token, secret, path string
	all                     object
}

// registers an application that must be accepted.
func (r *registry) registers(body object) made {
	r.t.Helper()
	status, out, _ := r.ask(http.MethodPost, pathRegister, "", body)
	if status != http.StatusCreated {
		r.t.Fatalf("registering answered %d %v", status, out)
	}
	word := func(name string) string { s, _ := out[name].(string); return s }
	return made{word("client_id"), word("registration_access_token"), word("client_secret"), pathRegister + "/" + word("client_id"), out}
}

// refuses wants status and code.
func (r *registry) refuses(what string, status int, code string, got int, out object) {
	r.t.Helper()
	if got != status || out["error"] != code {
		r.t.Errorf("%s: got %d %v, want %d %s", what, got, out, status, code)
	}
}

// initial makes an initial access token.
func (r *registry) initial(uses int, life time.Duration) string {
	r.t.Helper()
	token, id := oauth2.NewInitialToken()
	now, err := r.db.Now(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	if err := r.db.InsertInitialToken(r.t.Context(), oauth2.InitialToken{
		ID: id, Hash: oauth2.HashOf(token), MaxUses: uses, CreatedAt: now, ExpiresAt: now.Add(life),
	}); err != nil {
		r.t.Fatal(err)
	}
	return token
}

// stored is the client as the store has it.
func (r *registry) stored(id string) oauth2.Client {
	r.t.Helper()
	c, err := r.db.Client(r.t.Context(), id)
	if err != nil {
		r.t.Fatal(err)
	}
	return c
}

// events are the kinds and actors of what the trail has of an application.
func (r *registry) events(id string) []string {
	r.t.Helper()
	if err := r.trail.Sequence(r.t.Context()); err != nil {
		r.t.Fatal(err)
	}
	all, err := r.trail.Events(r.t.Context(), audit.Filter{ClientID: id})
	if err != nil {
		r.t.Fatal(err)
	}
	var out []string
	for _, e := range all {
		out = append(out, strings.TrimSpace(fmt.Sprintf("%s by %s %s", e.Kind, strings.ReplaceAll(e.Actor, id, "ID"), e.Detail["changed"])))
	}
	return out
}

// shop is the least a web application says of itself.
func shop(more ...object) object {
	body := object{"redirect_uris": []string{"https://shop.example/cb"}}
	for _, m := range more {
		for k, v := range m {
			body[k] = v
		}
	}
	return body
}

// An issuerKey signs as somebody else would.
type issuerKey struct{ private *rsa.PrivateKey }

func newIssuerKey(t *testing.T) issuerKey {
	t.Helper()
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return issuerKey{private}
}

func (k issuerKey) jwks() json.RawMessage {
	b64 := base64.RawURLEncoding.EncodeToString
	return json.RawMessage(fmt.Sprintf(`{"keys":[{"kty":"RSA","use":"sig","kid":"k1","n":%q,"e":%q}]}`,
		b64(k.private.N.Bytes()), b64(big.NewInt(int64(k.private.E)).Bytes())))
}

func (k issuerKey) sign(t *testing.T, claims object) string {
	t.Helper()
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	b64 := base64.RawURLEncoding.EncodeToString
	input := b64([]byte(`{"alg":"RS256","kid":"k1"}`)) + "." + b64(payload)
	sum := sha256.Sum256([]byte(input))
	sig, err := rsa.SignPKCS1v15(rand.Reader, k.private, crypto.SHA256, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	return input + "." + b64(sig)
}
