package oauth2

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"strings"
	"time"
)

// A Registration is what is kept, beside the Client, of an application that
// registered itself (RFC 7591).
type Registration struct {
	ClientID     string
	TokenHash    []byte    // HashOf the registration access token (RFC 7592 section 3)
	InitialToken string    // id of the initial access token it registered with, "" without
	Statement    string    // its software statement, as it came (RFC 7591 section 3.2.1)
	UsedAt       time.Time // when it was last used, within an hour; the store's to set
}

// Proves reports whether token is the registration access token.
func (r *Registration) Proves(token string) bool {
	return subtle.ConstantTimeCompare(r.TokenHash, HashOf(token)) == 1
}

// An InitialToken lets whoever holds it register applications (RFC 7591 section
// 3, initial access token), a number of times and for a while. Its JSON is the
// admin API's; Hash never leaves through it.
type InitialToken struct {
	ID        string    `json:"id"`
	Name      string    `json:"name,omitempty"` // for whom or what it was made
	Hash      []byte    `json:"-"`
	Uses      int       `json:"uses"`
	MaxUses   int       `json:"max_uses"`
	CreatedAt time.Time `json:"created_at,omitzero"`
	ExpiresAt time.Time `json:"expires_at"`
}

// The prefixes of the secrets of registration, by which a leaked one is known.
const (
	registrationPrefix = "gk_rat_"
	initialPrefix      = "gk_iat_"
)

// NewRegistrationToken returns a registration access token: 256 random bits.
func NewRegistrationToken() string { return registrationPrefix + random() }

// NewInitialToken returns an initial access token (256 random bits), shown once,
// and an id for it that may be shown.
func NewInitialToken() (token, id string) {
	return initialPrefix + random(), "reg-" + strings.ToLower(rand.Text()[:10])
}

// NewDynamicID returns the id of an application that registers itself. It is
// apart from those that an operator would choose.
func NewDynamicID() string { return "dyn-" + strings.ToLower(rand.Text()) }

func random() string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// HashOf is how a token of registration is kept: it has 256 random bits, so one
// hash without salt is enough to make the row useless to who reads it.
func HashOf(token string) []byte {
	h := sha256.Sum256([]byte(token))
	return h[:]
}
