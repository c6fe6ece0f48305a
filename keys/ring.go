package keys

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"sync/atomic"
	"time"

	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
)

// ErrSignature means a token was not signed by a published key, is not the type
// asked for, or is malformed.
var ErrSignature = errors.New("keys: signature not valid")

// errUnknownKey is the ErrSignature of a key this node has not heard of.
var errUnknownKey = errors.New("no published key has its kid")

// RingConfig is what a Ring needs.
type RingConfig struct {
	Store  Store
	Vault  *Vault
	Source Source
	Policy Policy
	Record func(ctx context.Context, c Change) error // joins the transaction of ctx
	Log    *slog.Logger
	Now    func() time.Time // this node's clock, with its monotonic reading; only its differences count
	Slots  int              // RSA signatures made at one time; 0 is one per processor
}

// A Ring signs with the active key of an algorithm, verifies with every published
// one, and decrypts what was encrypted to one of its encryption keys. Reads are lock-free on an immutable snapshot.
type Ring struct {
	cfg     RingConfig
	snap    atomic.Pointer[snapshot]
	slots   chan struct{} // held while signing with RSA
	opening chan struct{} // held while decrypting; strangers' tokens, so not the signers' slots
	nudge   chan struct{} // Reload
	loading chan struct{} // held while loading; guards looked
	looked  attempt       // the last load that a stranger's token caused
}

// An attempt is one try to load the keys.
type attempt struct {
	at  time.Time
	err error
}

// NewRing returns a Ring; call Load before use.
func NewRing(cfg RingConfig) (*Ring, error) {
	if cfg.Store == nil || cfg.Vault == nil || cfg.Source == nil || cfg.Log == nil || cfg.Now == nil {
		return nil, errors.New("keys: a ring needs Store, Vault, Source, Log and Now")
	}
	if cfg.Record == nil {
		return nil, errors.New("keys: a ring needs Record: no key changes without its event")
	}
	cfg.Policy = cfg.Policy.withDefaults()
	if err := cfg.Policy.check(); err != nil {
		return nil, err
	}
	if cfg.Slots <= 0 {
		cfg.Slots = runtime.GOMAXPROCS(0)
	}
	r := &Ring{
		cfg:     cfg,
		slots:   make(chan struct{}, cfg.Slots),
		opening: make(chan struct{}, max(1, cfg.Slots/2)),
		nudge:   make(chan struct{}, 1),
		loading: make(chan struct{}, 1),
	}
	r.snap.Store(emptySnapshot(cfg.Now()))
	return r, nil
}

// Sign returns payload as a compact JWS with kid, alg and typ in its header. An
// empty alg is the policy's first; an empty typ leaves typ out; typ is a constant
// of the caller. RSA signatures wait for one of a few slots, so that a storm of
// them does not slow everything else; the wait honours ctx. Any error is an
// Unavailable fault: the token was not made and the caller may try again.
func (r *Ring) Sign(ctx context.Context, alg, typ string, payload []byte) (string, error) {
	if alg == "" {
		alg = r.cfg.Policy.Algs[0]
	}
	s := r.snap.Load()
	k := s.signing(alg, s.clock(r.cfg.Now()))
	if k == nil {
		return "", fault.Down("signing_key", fmt.Errorf("keys: no active %s key", alg))
	}
	if k.slow() {
		select {
		case r.slots <- struct{}{}:
			defer func() { <-r.slots }()
		case <-ctx.Done():
			return "", fault.Down("signing_slot", fmt.Errorf("keys: wait to sign: %w", context.Cause(ctx)))
		}
	}
	token, err := k.sign(typ, payload)
	if err != nil {
		return "", fault.Down("signer", fmt.Errorf("keys: sign with %s: %w", k.ID, err))
	}
	return token, nil
}

// Verify returns the payload of a compact JWS whose typ is exactly typ, signed
// by any published key with that key's own algorithm (RFC 8725 section 3.1).
// Every error wraps ErrSignature. It takes no lock and reads no store; a kid it
// does not know makes Run look for new keys soon. See VerifyContext.
func (r *Ring) Verify(token, typ string) ([]byte, error) {
	s := r.snap.Load()
	payload, err := s.verify(token, typ, s.clock(r.cfg.Now()))
	if errors.Is(err, errUnknownKey) {
		r.Reload()
	}
	return payload, err
}

// VerifyContext is Verify for callers who can wait: a kid this node does not know
// may be of a key another node made a moment ago, so the keys are read from the
// store once, at most every two seconds, before the answer is no. An error that
// does not wrap ErrSignature means the store did not answer: "cannot tell".
func (r *Ring) VerifyContext(ctx context.Context, token, typ string) ([]byte, error) {
	s := r.snap.Load()
	payload, err := s.verify(token, typ, s.clock(r.cfg.Now()))
	if !errors.Is(err, errUnknownKey) {
		return payload, err
	}
	if lookErr := r.look(ctx, s); lookErr != nil {
		return nil, fault.Down("keys", lookErr)
	}
	s = r.snap.Load()
	return s.verify(token, typ, s.clock(r.cfg.Now()))
}

// Algs returns the algorithms this ring can sign with, sorted.
func (r *Ring) Algs() []string { return slices.Sorted(slices.Values(r.cfg.Policy.Algs)) }

// EncryptionAlgs returns what others may encrypt to this ring with, sorted.
func (r *Ring) EncryptionAlgs() []string {
	return slices.Sorted(slices.Values(r.cfg.Policy.Encrypt))
}

// JWKS returns the published set, its ETag and its Cache-Control max-age, from
// memory. body is shared and must not be changed.
func (r *Ring) JWKS() (body []byte, etag string, maxAge time.Duration) {
	s := r.snap.Load()
	return s.jwks, s.etag, r.cfg.Policy.MaxAge
}

// Age returns how long the default algorithm's active key has been signing, or
// zero if there is none.
func (r *Ring) Age() time.Duration {
	s := r.snap.Load()
	now := s.clock(r.cfg.Now())
	if k := s.signing(r.cfg.Policy.Algs[0], now); k != nil {
		return now.Sub(k.ActivateAt)
	}
	return 0
}

// Listed is a key as an operator sees it.
type Listed struct {
	ID         string    `json:"id"`
	Alg        string    `json:"alg"`
	State      State     `json:"state"`
	CreatedAt  time.Time `json:"created_at"`
	ActivateAt time.Time `json:"activate_at"`
	RetireAt   time.Time `json:"retire_at"`
	RemoveAt   time.Time `json:"remove_at"`
}

func listed(k Key, now time.Time) Listed {
	return Listed{
		ID: k.ID, Alg: k.Alg, State: k.StateAt(now),
		CreatedAt: k.CreatedAt, ActivateAt: k.ActivateAt, RetireAt: k.RetireAt, RemoveAt: k.RemoveAt,
	}
}
