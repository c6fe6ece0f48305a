package keys

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// HS256 is the one symmetric algorithm (RFC 7518 section 3.2): for a confidential
// client that registered it, under its own secret.
const HS256 = "HS256"

// MinSecret is how many bytes a secret that signs has at least: as many as its
// hash (RFC 7518 section 3.2).
const MinSecret = 32

// A Secret is a client's secret as a key. It is a type of its own and never a
// public key, and nothing that takes a public key takes it, so that no token can
// make the one pass for the other (RFC 8725 section 2.1). It prints as "[secret]".
type Secret struct{ key []byte }

// NewSecret makes a Secret of key, which has MinSecret bytes or more.
func NewSecret(key []byte) (Secret, error) {
	if len(key) < MinSecret {
		return Secret{}, fmt.Errorf("keys: a secret that signs has at least %d bytes", MinSecret)
	}
	return Secret{bytes.Clone(key)}, nil
}

// Format keeps the secret out of whatever is printed or logged.
func (Secret) Format(w fmt.State, _ rune) { _, _ = io.WriteString(w, "[secret]") }

// Sign returns payload as a compact JWS with HS256; an empty typ leaves typ out.
func (s Secret) Sign(typ string, payload []byte) (string, error) {
	if len(s.key) < MinSecret {
		return "", errors.New("keys: sign with no secret")
	}
	head, err := json.Marshal(struct {
		Alg string `json:"alg"`
		Typ string `json:"typ,omitempty"`
	}{HS256, typ})
	if err != nil {
		return "", fmt.Errorf("keys: header: %w", err)
	}
	b64 := base64.RawURLEncoding
	input := b64.EncodeToString(head) + "." + b64.EncodeToString(payload)
	return input + "." + b64.EncodeToString(s.mac(input)), nil
}

// Verify returns payload and header of a compact JWS of at most 16 KiB that this
// secret signed with HS256. Every error wraps ErrSignature.
func (s Secret) Verify(token string) (payload []byte, h Header, err error) {
	c, err := split(token)
	if err != nil {
		return nil, Header{}, err
	}
	if h, err = parseHeader(c.head); err != nil {
		return nil, Header{}, err
	}
	if h.Alg != HS256 {
		return nil, Header{}, fmt.Errorf("%w: alg %.20q is not %s", ErrSignature, h.Alg, HS256)
	}
	if len(s.key) < MinSecret || !hmac.Equal(c.sig, s.mac(c.input)) {
		return nil, Header{}, fmt.Errorf("%w: not the signature of the secret", ErrSignature)
	}
	return c.payload, h, nil
}

func (s Secret) mac(input string) []byte {
	m := hmac.New(sha256.New, s.key)
	_, _ = io.WriteString(m, input) // a hash takes everything
	return m.Sum(nil)
}
