//go:build openssl

package keys

import (
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"strings"
	"testing"
)

func TestOpenSSLSignsWhatGoVerifies(t *testing.T) {
	t.Parallel()
	if !strings.HasPrefix(SourceName(), "openssl ") {
		t.Errorf("name: %s", SourceName())
	}
	r := loaded(t, newWorld().ringWith(t, func(c *RingConfig) { c.Source, c.Policy.Algs = DefaultSource(), allAlgs }))
	for _, alg := range allAlgs {
		_, inC := r.snap.Load().chain[alg][0].signer.(*opensslSigner)
		if want := alg == RS256 || alg == PS256; inC != want {
			t.Errorf("%s: signs in libcrypto: %v, want %v", alg, inC, want)
		}
		if _, err := r.Verify(signed(t, r, alg), "at+jwt"); err != nil {
			t.Errorf("%s: %v", alg, err)
		}
	}
}

func TestOpenSSLRefusesWhatItWasNotOpenedFor(t *testing.T) {
	t.Parallel()
	s, _, err := DefaultSource().Generate(t.Context(), RS256)
	if err != nil {
		t.Fatal(err)
	}
	ps, _ := algorithmOf(PS256)
	digest := sha256.Sum256(nil)
	for name, c := range map[string]struct {
		digest []byte
		opts   crypto.SignerOpts
	}{
		"other padding": {digest[:], ps.pss()},
		"other hash":    {make([]byte, 64), crypto.SHA512},
		"short digest":  {digest[:31], crypto.SHA256},
		"no digest":     {nil, crypto.SHA256},
	} {
		if _, err := s.Sign(rand.Reader, c.digest, c.opts); err == nil {
			t.Errorf("%s: signed", name)
		}
	}
}
