package oauth2

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"strings"

	"github.com/google/uuid"
)

// A refreshToken is, on the wire, gk_rt_ and the base64url of
//
//	grant id (16) | generation (4, big endian) | secret (16) | MAC (16)
//
// so the successor of a token is a function of it: whoever loses the race for a
// rotation computes the same one the winner was given. The secret's hash is in
// the grant; the MAC keeps garbage away from the store.
type refreshToken struct {
	grant      uuid.UUID
	generation uint32
	secret     [16]byte
}

const refreshBody, refreshMAC = 16 + 4 + 16, 16

func newRefreshToken(grant uuid.UUID) refreshToken {
	t := refreshToken{grant: grant, generation: 1}
	_, _ = rand.Read(t.secret[:]) // never fails (crypto/rand)
	return t
}

func (t refreshToken) next() refreshToken {
	t.generation++
	return t
}

func (t refreshToken) secretHash() []byte {
	sum := sha256.Sum256(t.secret[:])
	return sum[:]
}

func (t refreshToken) body() []byte {
	b := make([]byte, 0, refreshBody+refreshMAC)
	b = append(b, t.grant[:]...)
	b = binary.BigEndian.AppendUint32(b, t.generation)
	return append(b, t.secret[:]...)
}

func (p *Provider) writeRefresh(t refreshToken) string {
	b := t.body()
	b = append(b, p.cfg.Vault.MAC("rt", b)[:refreshMAC]...)
	return refreshPrefix + base64.RawURLEncoding.EncodeToString(b)
}

// readRefresh reports whether token was made by this server.
func (p *Provider) readRefresh(token string) (t refreshToken, ok bool) {
	body, ok := strings.CutPrefix(token, refreshPrefix)
	if !ok || len(body) != base64.RawURLEncoding.EncodedLen(refreshBody+refreshMAC) {
		return t, false
	}
	raw, ok := unbase64(body)
	if !ok || !p.cfg.Vault.CheckMAC("rt", raw[refreshBody:], raw[:refreshBody]) {
		return t, false
	}
	copy(t.grant[:], raw)
	t.generation = binary.BigEndian.Uint32(raw[16:])
	copy(t.secret[:], raw[20:])
	return t, t.generation > 0
}
