package oauth2

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"

	"github.com/gatekeeper-oidc/gatekeeper/keys"
)

func (p *Provider) provesSecret(c *Client, secret string) error {
	now, match := p.cfg.Now(), false
	for _, s := range c.Secrets {
		live := s.ExpiresAt.IsZero() || now.Before(s.ExpiresAt)
		if p.cfg.Vault.CheckMAC(secretPurpose, s.Hash, []byte(secret)) && live {
			match = true
		}
	}
	if !match {
		return errUnproved
	}
	return nil
}

// HasSecret reports whether secret is one of c's that is valid now.
func (p *Provider) HasSecret(c *Client, secret string) bool { return p.provesSecret(c, secret) == nil }

// NewSecret returns a generated secret for c (shown once) and what to keep of it.
func (p *Provider) NewSecret(c *Client) (plain string, keep SecretHash) {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	plain = secretPrefix + base64.RawURLEncoding.EncodeToString(b[:])
	return plain, p.keep(c, plain)
}

// KeepSecret returns what to keep of a secret the administrator brought; it must
// have at least 32 characters, because it is not stretched.
func (p *Provider) KeepSecret(c *Client, plain string) (SecretHash, error) {
	if len(plain) < 32 || len(plain) > 512 {
		return SecretHash{}, ruled("client_secret_length", invalid("invalid_client_metadata", "A client secret has 32 to 512 characters."))
	}
	return p.keep(c, plain), nil
}

// keep hashes a secret, and seals it too where the server itself must use it.
func (p *Provider) keep(c *Client, plain string) SecretHash {
	h := SecretHash{Hash: p.cfg.Vault.MAC(secretPurpose, []byte(plain))}
	if c.SharesSecret() {
		h.Sealed = p.cfg.Vault.Seal(secretPurpose, secretPlace(c), []byte(plain))
	}
	return h
}

const secretPurpose = "client-secret"

// secretPlace binds a sealed secret to its client.
func secretPlace(c *Client) string { return "clients|secrets|" + c.ID }

// sharedSecrets returns the secrets of c that are valid now, newest first.
func (p *Provider) sharedSecrets(c *Client) ([]keys.Secret, error) {
	var out []keys.Secret
	for _, s := range c.Secrets {
		if s.Sealed == nil || !s.ExpiresAt.IsZero() && !p.cfg.Now().Before(s.ExpiresAt) {
			continue
		}
		plain, err := p.cfg.Vault.Open(secretPurpose, secretPlace(c), s.Sealed)
		if err != nil {
			return nil, fmt.Errorf("open the secret of client %s: %w", c.ID, err)
		}
		secret, err := keys.NewSecret(plain)
		if err != nil {
			return nil, fmt.Errorf("secret of client %s: %w", c.ID, err)
		}
		out = append(out, secret)
	}
	return out, nil
}
