package oauth2

import (
	"context"
	"crypto/aes"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/url"

	"github.com/google/uuid"
)

// A pairwise subject is the user's id, which is one AES block, encrypted under a
// key of the sector (OpenID Connect Core section 8.1). Two sectors cannot tell
// that they speak of one person; the server gets the id back without asking the
// store.
//
// The key does not come from the root secret, which may be changed, but from a
// random one kept in the store, sealed: subjects never change.

// Sector is the host that pairwise subjects of c are made for, "" if there is none
// or more than one. What follows a scheme of one's own names no host: anybody's
// application could write there whose sector it likes.
func (c *Client) Sector() string {
	if c.SectorIdentifierURI != "" {
		return hostOf(c.SectorIdentifierURI)
	}
	sector := ""
	for _, uri := range c.RedirectURIs {
		switch host := hostOf(uri); {
		case host == "", origin(uri) == "", sector != "" && sector != host:
			return ""
		default:
			sector = host
		}
	}
	return sector
}

func hostOf(uri string) string {
	u, err := url.Parse(uri)
	if err != nil {
		return ""
	}
	return u.Hostname()
}

// SubjectFor returns what c calls the user: the user's id, or the pairwise value
// of c's sector.
func (p *Provider) SubjectFor(ctx context.Context, c *Client, userID string) (string, error) {
	if !c.Pairwise() {
		return userID, nil
	}
	id, err := uuid.Parse(userID)
	if err != nil {
		return "", fmt.Errorf("pairwise subject of user %s: %w", userID, err)
	}
	var out [aes.BlockSize]byte
	if err := p.crypt(ctx, c, id[:], out[:], true); err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(out[:]), nil
}

// UserOf reverses SubjectFor; "" for a subject that is none of c's.
func (p *Provider) UserOf(ctx context.Context, c *Client, subject string) (string, error) {
	if !c.Pairwise() {
		return subject, nil
	}
	sealed, ok := pairwiseBlock(subject)
	if !ok {
		return "", nil
	}
	var id uuid.UUID
	if err := p.crypt(ctx, c, sealed, id[:], false); err != nil {
		return "", err
	}
	return id.String(), nil
}

// pairwiseBlock decodes a pairwise subject; ok is false for what is none.
func pairwiseBlock(subject string) (sealed []byte, ok bool) {
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(subject)
	return sealed, err == nil && len(sealed) == aes.BlockSize
}

func (p *Provider) crypt(ctx context.Context, c *Client, from, to []byte, encrypt bool) error {
	root, err := p.pairwiseRoot(ctx)
	if err != nil {
		return err
	}
	key, err := hkdf.Expand(sha256.New, root, "gatekeeper/1/sector/"+c.Sector(), 32)
	if err != nil {
		return fmt.Errorf("sector key: %w", err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return fmt.Errorf("sector cipher: %w", err)
	}
	if encrypt {
		block.Encrypt(to, from)
	} else {
		block.Decrypt(to, from)
	}
	return nil
}

// pairwiseName is what the root of sector keys is kept and sealed under.
const pairwiseName = "pairwise"

// pairwiseRoot returns the root of all sector keys, made by whichever node needed
// it first.
func (p *Provider) pairwiseRoot(ctx context.Context) ([]byte, error) {
	if root := p.pairwise.Load(); root != nil {
		return *root, nil
	}
	var fresh [32]byte
	_, _ = rand.Read(fresh[:]) // never fails (crypto/rand)
	sealed, err := p.cfg.Store.ServerSecret(ctx, pairwiseName, p.cfg.Vault.Seal(pairwiseName, pairwiseName, fresh[:]))
	if err != nil {
		return nil, fmt.Errorf("read the root of pairwise subjects: %w", err)
	}
	root, err := p.cfg.Vault.Open(pairwiseName, pairwiseName, sealed)
	if err != nil {
		return nil, fmt.Errorf("open the root of pairwise subjects: %w", err)
	}
	if p.cfg.Vault.Stale(sealed) { // so that the old root secret can be given up one day
		again := p.cfg.Vault.Seal(pairwiseName, pairwiseName, root)
		if err := p.cfg.Store.ReplaceServerSecret(ctx, pairwiseName, sealed, again); err != nil {
			return nil, fmt.Errorf("seal the root of pairwise subjects anew: %w", err)
		}
	}
	p.pairwise.Store(&root)
	return root, nil
}
