package oauth2

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"hash"
	"strings"
)

// A session id that every application of a person is told lets applications that
// were given different subjects find out that they speak of one person. So a
// pairwise client is told the id encrypted for its sector: the same in ID tokens,
// access tokens, introspection and the notices of sign-out, and to nobody else.
//
// The encryption is deterministic and tells of every change, like RFC 5297: the
// first block is a MAC over the id, and what the id is encrypted with.

// sectorSession marks an encrypted session id; session ids have no such letters.
const sectorSession = "s-"

// SessionFor returns what c calls the session.
func (p *Provider) SessionFor(ctx context.Context, c *Client, session string) (string, error) {
	if !c.Pairwise() || session == "" {
		return session, nil
	}
	block, mac, err := p.sessionKeys(ctx, c)
	if err != nil {
		return "", err
	}
	mac.Write([]byte(session))
	out := append(mac.Sum(nil)[:aes.BlockSize], session...)
	cipher.NewCTR(block, out[:aes.BlockSize]).XORKeyStream(out[aes.BlockSize:], out[aes.BlockSize:])
	return sectorSession + base64.RawURLEncoding.EncodeToString(out), nil
}

// SessionOf reverses SessionFor; "-", which is no session, for what is none of c's.
// An id as it is comes from before sectors had their own.
func (p *Provider) SessionOf(ctx context.Context, c *Client, told string) (string, error) {
	sealed, encrypted := strings.CutPrefix(told, sectorSession)
	if !encrypted {
		return told, nil
	}
	const none = "-"
	raw, err := base64.RawURLEncoding.Strict().DecodeString(sealed)
	if err != nil || len(raw) <= aes.BlockSize || !c.Pairwise() {
		return none, nil //nolint:nilerr // what nobody made is nobody's session
	}
	block, mac, err := p.sessionKeys(ctx, c)
	if err != nil {
		return "", err
	}
	session := make([]byte, len(raw)-aes.BlockSize)
	cipher.NewCTR(block, raw[:aes.BlockSize]).XORKeyStream(session, raw[aes.BlockSize:])
	mac.Write(session)
	if !hmac.Equal(mac.Sum(nil)[:aes.BlockSize], raw[:aes.BlockSize]) {
		return none, nil
	}
	return string(session), nil
}

func (p *Provider) sessionKeys(ctx context.Context, c *Client) (cipher.Block, hash.Hash, error) {
	root, err := p.pairwiseRoot(ctx)
	if err != nil {
		return nil, nil, err
	}
	keys, err := hkdf.Expand(sha256.New, root, "gatekeeper/1/session/"+c.Sector(), 64)
	if err != nil {
		return nil, nil, fmt.Errorf("sector key: %w", err)
	}
	block, err := aes.NewCipher(keys[:32])
	if err != nil {
		return nil, nil, fmt.Errorf("sector cipher: %w", err)
	}
	return block, hmac.New(sha256.New, keys[32:]), nil
}
