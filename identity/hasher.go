package identity

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"fmt"
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/text/unicode/norm"

	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
	"github.com/gatekeeper-oidc/gatekeeper/internal/flight"
	"github.com/gatekeeper-oidc/gatekeeper/internal/meter"
)

const (
	maxPassword = 1024     // bytes
	saltSize    = 16       // bytes
	tagSize     = 32       // bytes
	queuePerRun = 32       // waiting hashings for each that runs: a burst of people is no attack
	collectFrom = 16 << 20 // bytes of garbage below which the collector is not bothered
	maxWait     = 2 * time.Second
)

// HasherConfig is what a Hasher needs. Now is required.
type HasherConfig struct {
	Params Params // zero: 19 MiB, 2 passes, 1 lane (OWASP Password Storage)
	Slots  int    // hashings at once; zero: one less than there are processors, and one at least
	Meter  *meter.Meter
	Now    func() time.Time // measures how long a hashing took
}

// A Hasher hashes passwords with a bounded number at once, so that a storm of
// sign-ins takes neither all memory nor all processors of the other endpoints: one
// is left to them. What the hashings used is collected before as much again is
// asked for, so that they hold 2 × Slots × Params.Memory at most, 38 MiB on two
// processors. Who would wait behind 32 × Slots others, or waits two seconds, is sent
// away with Unavailable and RetryAfter; who waits or is hashed for holds no place on
// the road. There is one Hasher, and every password goes through it.
type Hasher struct {
	cfg     HasherConfig
	slots   chan struct{}
	waiting atomic.Int64
	used    atomic.Int64 // bytes since the last collection
	collect func()
	decoy   argonHash                                 // nobody's password
	derive  func(h argonHash, password []byte) []byte // Argon2id
}

// NewHasher returns a Hasher. It panics without a clock.
func NewHasher(cfg HasherConfig) *Hasher {
	if cfg.Now == nil {
		panic("identity: a hasher needs a clock")
	}
	if cfg.Params == (Params{}) {
		cfg.Params = Params{Memory: 19456, Time: 2, Threads: 1}
	}
	if cfg.Slots <= 0 {
		cfg.Slots = max(1, runtime.GOMAXPROCS(0)-1)
	}
	h := &Hasher{cfg: cfg, slots: make(chan struct{}, cfg.Slots), derive: argonHash.derive, collect: runtime.GC}
	h.decoy = argonHash{cfg.Params, random(saltSize), random(tagSize)}
	return h
}

// Hash returns the PHC string of password under the current parameters and a new
// salt. Fault: Unavailable when too many hashings wait.
func (h *Hasher) Hash(ctx context.Context, password string) (string, error) {
	made := argonHash{h.cfg.Params, random(saltSize), make([]byte, tagSize)}
	err := h.run(ctx, func() { made.tag = h.derive(made, normalize(password)) })
	if err != nil {
		return "", err
	}
	return made.String(), nil
}

// Verify reports whether password is the one behind phc. Whatever phc is, one
// Argon2id of the current cost is spent at least: phc "" stands for nobody and
// matches nothing, a hash of another program is verified besides. Argon2id sees
// the password in Unicode NFKC (NIST SP 800-63B-4 section 3.1.1.2), a hash of
// another program sees it as received. Faults: Unavailable when too many hashings
// wait; an error that is none when phc cannot be read.
func (h *Hasher) Verify(ctx context.Context, phc, password string) (bool, error) {
	own, other := &h.decoy, foreign(nil)
	if phc != "" && len(password) <= maxPassword {
		parsed, f, err := parsePHC(phc)
		if err != nil {
			return false, fmt.Errorf("read password hash: %w", err)
		}
		if other = f; parsed != nil {
			own = parsed
		}
	}
	if len(password) > maxPassword {
		password = "" // for the decoy
	}
	var match bool
	err := h.run(ctx, func() {
		if own != &h.decoy && h.cheaper(own.Params) {
			h.derive(h.decoy, normalize(password))
		}
		match = subtle.ConstantTimeCompare(h.derive(*own, normalize(password)), own.tag) == 1 && own != &h.decoy
		if other != nil {
			match = other([]byte(password))
		}
	})
	return match, err
}

// cheaper reports whether an Argon2id of cost p is less work than a current one.
func (h *Hasher) cheaper(p Params) bool {
	return uint64(p.Memory)*uint64(p.Time) < uint64(h.cfg.Params.Memory)*uint64(h.cfg.Params.Time)
}

// NeedsRehash reports whether phc was made by another algorithm or with other
// parameters than the current ones.
func (h *Hasher) NeedsRehash(phc string) bool {
	own, _, err := parsePHC(phc)
	return err != nil || own == nil || own.Params != h.cfg.Params || len(own.salt) < saltSize || len(own.tag) != tagSize
}

// run runs f in a slot.
func (h *Hasher) run(ctx context.Context, f func()) error {
	if c, ok := ctx.Value(flight.CallerKey{}).(flight.Caller); ok {
		defer c.Aside()()
	}
	leave, err := h.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	start := h.cfg.Now()
	f()
	h.cfg.Meter.PasswordHash(h.cfg.Now().Sub(start))
	h.tidy()
	return nil
}

// tidy has the memory of past hashings collected when it is as much as those that
// may run need: the collector's own pace, which follows all of the heap, would let
// several times that pile up.
func (h *Hasher) tidy() {
	run := int64(h.cfg.Params.Memory) << 10
	used := h.used.Add(run)
	if used >= max(collectFrom, run*int64(h.cfg.Slots)) && h.used.CompareAndSwap(used, 0) {
		h.collect()
	}
}

func (h *Hasher) enter(ctx context.Context) (leave func(), err error) {
	leave = func() { <-h.slots }
	select {
	case h.slots <- struct{}{}:
		return leave, nil
	default:
	}
	defer func() { h.cfg.Meter.PasswordWaiting(int(h.waiting.Add(-1))) }()
	n := int(h.waiting.Add(1))
	h.cfg.Meter.PasswordWaiting(n)
	if n > queuePerRun*h.cfg.Slots {
		return nil, busy("password_queue_room", nil)
	}
	timer := time.NewTimer(maxWait)
	defer timer.Stop()
	select {
	case h.slots <- struct{}{}:
		return leave, nil
	case <-timer.C:
		return nil, busy("password_queue_wait", nil)
	case <-ctx.Done():
		return nil, busy("password_queue_wait", ctx.Err())
	}
}

func busy(rule string, err error) error {
	return &fault.Error{
		Kind: fault.Unavailable, Code: "too_busy", Rule: rule, RetryAfter: maxWait, Err: err,
		Detail: "Too many people are signing in at this moment; try again in a few seconds.",
	}
}

// normalize returns the bytes of a password that are hashed.
func normalize(password string) []byte { return norm.NFKC.Bytes([]byte(password)) }

// random returns n bytes of crypto/rand, which never fails.
func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b)
	return b
}
