package suite

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"strings"
	"time"
)

// A Key signs what an application says of itself: request objects and client
// assertions, with RS256.
type Key struct {
	ID      string // kid; "" leaves it out
	private *rsa.PrivateKey
}

// NewKey makes a key.
func NewKey(id string) (*Key, error) {
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, fmt.Errorf("make a key: %w", err)
	}
	return &Key{ID: id, private: k}, nil
}

// JWKS is the public keys of keys as a JWK Set (RFC 7517 5).
func JWKS(keys ...*Key) json.RawMessage {
	set := []map[string]string{}
	for _, k := range keys {
		jwk := map[string]string{
			"kty": "RSA", "use": "sig", "alg": "RS256",
			"n": encode(k.private.N.Bytes()), "e": encode(big.NewInt(int64(k.private.E)).Bytes()),
		}
		if k.ID != "" {
			jwk["kid"] = k.ID
		}
		set = append(set, jwk)
	}
	b, _ := json.Marshal(map[string]any{"keys": set}) // text only: never fails
	return b
}

// Sign makes a JWT of claims; more are further header members, in pairs.
func (k *Key) Sign(claims map[string]any, more ...string) (string, error) {
	head := map[string]string{"alg": "RS256"}
	if k.ID != "" {
		head["kid"] = k.ID
	}
	for i := 0; i+1 < len(more); i += 2 {
		head[more[i]] = more[i+1]
	}
	input, err := signingInput(head, claims)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256([]byte(input))
	sig, err := rsa.SignPKCS1v15(nil, k.private, crypto.SHA256, sum[:])
	if err != nil {
		return "", fmt.Errorf("sign: %w", err)
	}
	return input + "." + encode(sig), nil
}

// Unsigned makes a JWT of claims that claims to need no signature.
func Unsigned(claims map[string]any) (string, error) {
	input, err := signingInput(map[string]string{"alg": "none"}, claims)
	return input + ".", err
}

func signingInput(head map[string]string, claims map[string]any) (string, error) {
	h, err := json.Marshal(head)
	if err != nil {
		return "", fmt.Errorf("encode header: %w", err)
	}
	p, err := json.Marshal(claims)
	if err != nil {
		return "", fmt.Errorf("encode claims: %w", err)
	}
	return encode(h) + "." + encode(p), nil
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// Assertion makes a client assertion (RFC 7523 3) of cl for aud.
func (c *Case) Assertion(cl *Client, aud any) (string, error) {
	if cl.Key == nil {
		return "", Skipf("the run has no key of the client %s", cl.ID)
	}
	now := c.Target.Now()
	return cl.Key.Sign(map[string]any{
		"iss": cl.ID, "sub": cl.ID, "aud": aud, "jti": rand.Text(), "iat": now.Unix(), "exp": now.Add(time.Minute).Unix(),
	})
}

// A JWT is one taken apart; whether to believe it is for Verify to say.
type JWT struct {
	Raw    string
	Header map[string]any
	Claims map[string]any
}

// ParseJWT takes a JWT apart.
func ParseJWT(raw string) (*JWT, error) {
	parts := strings.Split(raw, ".")
	if len(parts) != 3 {
		return nil, Failf("it is no signed JWT: it has %d parts", len(parts))
	}
	t := &JWT{Raw: raw}
	for i, to := range []*map[string]any{&t.Header, &t.Claims} {
		b, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err != nil {
			return nil, Brokef("RFC 7515 2", "part %d of the JWT is not base64url without padding", i+1)
		}
		if err := json.Unmarshal(b, to); err != nil {
			return nil, Brokef("RFC 7519 7.2", "part %d of the JWT is no JSON object", i+1)
		}
	}
	return t, nil
}

// Text is a claim that is text; "" for any other.
func (t *JWT) Text(claim string) string {
	s, _ := t.Claims[claim].(string)
	return s
}

// Time is a claim that is a time in seconds; 0 for any other.
func (t *JWT) Time(claim string) int64 {
	f, _ := t.Claims[claim].(float64)
	return int64(f)
}

// Alg is the algorithm the header names.
func (t *JWT) Alg() string {
	s, _ := t.Header["alg"].(string)
	return s
}

// Verify holds the signature to the keys the provider publishes.
func (c *Case) Verify(ctx context.Context, t *JWT) error {
	if kid, _ := t.Header["kid"].(string); kid == "" {
		return Brokef("OpenID Connect Core 10.1", "the JWT does not say which key signed it (kid)")
	}
	if _, err := c.Server.keys.VerifySignature(ctx, t.Raw); err != nil {
		return Brokef("OpenID Connect Core 3.1.3.7", "the signature is not by a key of the jwks_uri: %v", err)
	}
	return nil
}

// halfHash is what at_hash, c_hash and s_hash must be of value, by the algorithm
// that signs the ID token (OpenID Connect Core 3.1.3.6).
func halfHash(alg, value string) string {
	switch {
	case strings.HasSuffix(alg, "384"):
		sum := sha512.Sum384([]byte(value))
		return encode(sum[:24])
	case strings.HasSuffix(alg, "512"), alg == "EdDSA":
		sum := sha512.Sum512([]byte(value))
		return encode(sum[:32])
	default:
		sum := sha256.Sum256([]byte(value))
		return encode(sum[:16])
	}
}
