package keys

import (
	"context"
	"crypto"
	"encoding/json"
	"time"
)

// The signature algorithms a Ring can sign with (RFC 7518 section 3.1, RFC 8037).
const (
	RS256 = "RS256"
	PS256 = "PS256"
	ES256 = "ES256"
	EdDSA = "EdDSA"
)

// What others may encrypt to a Ring with (RFC 7518 section 4.1).
const (
	RSAOAEP    = "RSA-OAEP"
	RSAOAEP256 = "RSA-OAEP-256"
	ECDHES     = "ECDH-ES"
)

// A State is where a key is in its life. It is a function of the key's dates
// and the database's clock, so every node agrees without a message.
type State string

// A key is published as next, signs while active, is only verified with while
// retiring, and is gone when the last token it signed is dead or it is revoked.
// A key that others encrypt to is published while active, and decrypts in all
// three states.
const (
	Next     State = "next"
	Active   State = "active"
	Retiring State = "retiring"
	Gone     State = "gone"
)

// A Key is one key as it is stored: its Alg says whether it signs or decrypts. Private is sealed; ID is the RFC 7638
// thumbprint of the public key.
type Key struct {
	ID         string
	Alg        string
	Public     json.RawMessage // public JWK with kid, alg and use
	Private    []byte          // PKCS #8, sealed with purpose "jwk" and the row as associated data
	CreatedAt  time.Time
	ActivateAt time.Time // signs from here
	RetireAt   time.Time // stops signing here
	RemoveAt   time.Time // leaves the published set here
	RevokedAt  time.Time // zero unless revoked; a revoked key is gone at once
}

// StateAt returns the state of k at now, read from the database's clock.
func (k Key) StateAt(now time.Time) State {
	switch {
	case !k.RevokedAt.IsZero() || !now.Before(k.RemoveAt):
		return Gone
	case now.Before(k.ActivateAt):
		return Next
	case now.Before(k.RetireAt):
		return Active
	default:
		return Retiring
	}
}

// Store keeps keys. Times it returns are the database's.
type Store interface {
	// Keys returns every key that is not gone, and the database's clock.
	Keys(ctx context.Context) (keys []Key, now time.Time, err error)
	// ChangeKeys calls plan with every key that is not gone, under a lock no other
	// node can hold, and upserts what it returns, in one transaction that the
	// context given to plan carries. The lock makes first-start key creation
	// race-free (peers.md, the thirty-two-keys bug).
	ChangeKeys(ctx context.Context, plan func(ctx context.Context, have []Key, now time.Time) ([]Key, error)) error
}

// A Source makes and opens private keys: in software by default, in libcrypto
// under the build tag openssl, in a KMS or HSM in another program. Any
// crypto.Signer can sit behind a key.
type Source interface {
	// Generate makes a key for alg and returns what to keep of it.
	Generate(ctx context.Context, alg string) (signer crypto.Signer, private []byte, err error)
	// Open returns the signer that private stands for.
	Open(ctx context.Context, alg string, private []byte) (crypto.Signer, error)
}

// A Change is what happened to a key; the trail records it.
type Change struct {
	Kind string // "created", "revoked"
	Key  Key
}
