package oidc

import (
	"net/http"
	"testing"
)

// discard is a ResponseWriter that costs nothing.
type discard struct{ h http.Header }

func (d discard) Header() http.Header         { return d.h }
func (d discard) Write(b []byte) (int, error) { return len(b), nil }
func (d discard) WriteHeader(int)             {}

func benchmark(b *testing.B, path string) {
	b.Helper()
	k := newWorld()
	h, err := New(k.config(b))
	if err != nil {
		b.Fatal(err)
	}
	r, err := http.NewRequestWithContext(b.Context(), http.MethodGet, issuer+path, nil)
	if err != nil {
		b.Fatal(err)
	}
	w := discard{http.Header{}}
	serve := h.discovery.Serve
	if path == pathJWKS {
		serve = h.jwks.serve
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := serve(w, r); err != nil {
			b.Fatal(err)
		}
	}
}
