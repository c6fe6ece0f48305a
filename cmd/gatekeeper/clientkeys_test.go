package main

import (
	"context"
	"crypto/x509"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"testing"
	"time"

	"github.com/gatekeeper-oidc/gatekeeper/internal/fetch"
	"github.com/gatekeeper-oidc/gatekeeper/keys"
	"github.com/gatekeeper-oidc/gatekeeper/storage"
)

var _ keys.Fetcher = (*fetch.Client)(nil)

// A client whose keys are at an address: fetched by the one client that may,
// read by the one package that knows keys.
func TestClientKeysAreFetched(t *testing.T) {
	t.Parallel()
	ring := clientRing(t)
	app := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/jwk-set+json")
		body, _, _ := ring.JWKS()
		_, _ = w.Write(body)
	}))
	t.Cleanup(app.Close)
	token, err := ring.Sign(t.Context(), keys.PS256, "oauth-authz-req+jwt", []byte("{}"))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		allow []netip.Prefix
		want  error
	}{
		"an address we may ask":  {[]netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}, nil},
		"one inside the network": {nil, fetch.ErrRefused},
	} {
		get, err := fetch.New(fetch.Config{Allow: c.allow, Roots: []*x509.Certificate{app.Certificate()}, Now: time.Now})
		if err != nil {
			t.Fatal(err)
		}
		sets, err := keys.NewClientSets(keys.ClientSetsConfig{Fetcher: get, Now: time.Now})
		if err != nil {
			t.Fatal(err)
		}
		_, h, err := sets.Verify(t.Context(), keys.ClientKeys{URI: app.URL}, token, keys.VerifyAlgs())
		if !errors.Is(err, c.want) || c.want == nil && !h.IsType("oauth-authz-req+jwt") || c.want != nil && !errors.Is(err, keys.ErrKeySet) {
			t.Errorf("%s: %+v, %v", name, h, err)
		}
	}
}

// clientRing is a client's own keys; that they live as ours do saves a library.
func clientRing(t *testing.T) *keys.Ring {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	db, err := storage.Open(t.Context(), storage.Config{URL: "sqlite:" + filepath.Join(t.TempDir(), "client.db"), Migrate: true, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	vault, err := keys.NewVault([]byte("a secret of the client, 32 bytes long"))
	if err != nil {
		t.Fatal(err)
	}
	ring, err := keys.NewRing(keys.RingConfig{
		Store: db, Vault: vault, Source: keys.DefaultSource(), Log: log, Now: time.Now,
		Policy: keys.Policy{Algs: []string{keys.PS256}, Encrypt: []string{keys.ECDHES}},
		Record: func(context.Context, keys.Change) error { return nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := ring.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	return ring
}
