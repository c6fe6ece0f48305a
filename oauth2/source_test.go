package oauth2_test

import (
	"context"
	"crypto"
	"errors"
	"io"
)

var errBroken = errors.New("the HSM does not answer")

// Generate makes a key that fails while the source is broken.
func (s *moodySource) Generate(ctx context.Context, alg string) (crypto.Signer, []byte, error) {
	k, private, err := s.Software.Generate(ctx, alg)
	return moodySigner{k, s}, private, err
}

// Open opens a key that fails while the source is broken.
func (s *moodySource) Open(ctx context.Context, alg string, private []byte) (crypto.Signer, error) {
	k, err := s.Software.Open(ctx, alg, private)
	return moodySigner{k, s}, err
}

type moodySigner struct {
	crypto.Signer

	source *moodySource
}

func (s moodySigner) Sign(rand io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if s.source.broken.Load() {
		return nil, errBroken
	}
	return s.Signer.Sign(rand, digest, opts)
}
