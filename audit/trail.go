package audit

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/gatekeeper-oidc/gatekeeper/internal/meter"
	"github.com/gatekeeper-oidc/gatekeeper/internal/web"
)

const (
	queueSize     = 1024                   // refusals that may wait
	batchSize     = 64                     // refusals in one insert, and in one gathering
	sequenceBatch = 256                    // events given their position in one transaction
	gather        = 200 * time.Millisecond // how long a wake waits for company: bounds the commits per second
	idle          = 5 * time.Second        // events of other nodes and of the CLI are sequenced this late at most
	drainTime     = 5 * time.Second        // for what is left when the program stops

	defaultEvents = 100
	maxEvents     = 1000
)

// Config is what a Trail needs.
type Config struct {
	Store Store
	Now   func() time.Time
	Log   *slog.Logger
	Meter *meter.Meter
}

// Trail records events, takes in refusals, and gives events their positions.
type Trail struct {
	cfg     Config
	wake    chan struct{} // something is new; holds one
	refused chan Event
	dropped atomic.Int64  // refusals without room since the last event that said so
	clock   atomic.Uint64 // time part of the last id
	pending []Event       // a batch the store did not take; Run's own
}

// NewTrail returns a Trail; Run drives its background work. Store and Now are
// required.
func NewTrail(cfg Config) *Trail {
	if cfg.Store == nil || cfg.Now == nil {
		panic("audit: a trail needs a store and a clock")
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Trail{cfg: cfg, wake: make(chan struct{}, 1), refused: make(chan Event, queueSize)}
}

// Origin returns where the request of ctx came from, as the trail records it: the
// address behind trusted proxies (zero if there is no request, as in the CLI) and
// the user agent. It spares the floors above the trail a look at the road.
func Origin(ctx context.Context) (address netip.Addr, userAgent string) {
	info := web.InfoFrom(ctx)
	return info.Address, info.UserAgent
}

// Fill completes e with its id, time, and the correlation id, address and user
// agent of ctx; stores that write an event inside their own statement get it so.
// It also makes e fit every store: text is valid UTF-8 without control characters
// and bounded, the time is UTC in whole microseconds.
func (t *Trail) Fill(ctx context.Context, e Event) Event {
	at := t.cfg.Now()
	if e.ID == "" {
		e.ID = t.id(at)
	}
	if e.At.IsZero() {
		e.At = at
	}
	e.At = e.At.UTC().Truncate(time.Microsecond)
	info := web.InfoFrom(ctx)
	if e.CorrelationID == "" {
		e.CorrelationID = info.CorrelationID
	}
	if e.Address == "" && info.Address.IsValid() {
		e.Address = info.Address.Unmap().String()
	}
	if e.UserAgent == "" {
		e.UserAgent = info.UserAgent
	}
	t.ring()
	return clean(e)
}

// id returns a UUIDv7 (RFC 9562 section 5.7) of time at, with the sub-millisecond
// fraction in rand_a (section 6.2, method 3), and always after the one before.
func (t *Trail) id(at time.Time) string {
	ticks := uint64(at.UnixMilli())<<12 | uint64(at.Nanosecond()%1e6)<<12/1e6 //nolint:gosec // no clock is before 1970
	for {
		last := t.clock.Load()
		ticks = max(ticks, last+1)
		if t.clock.CompareAndSwap(last, ticks) {
			break
		}
	}
	u := uuid.New()
	binary.BigEndian.PutUint64(u[:8], ticks>>12<<16|7<<12|ticks&0xfff)
	return u.String()
}

// Record fills and appends e within the transaction in ctx.
func (t *Trail) Record(ctx context.Context, e Event) error {
	if err := t.cfg.Store.AppendEvents(ctx, t.Fill(ctx, e)); err != nil {
		return fmt.Errorf("record %s: %w", e.Kind, err)
	}
	return nil
}

// Sequence gives every committed event its position now.
func (t *Trail) Sequence(ctx context.Context) error {
	for {
		n, err := t.cfg.Store.SequenceEvents(ctx, sequenceBatch, Link)
		if err != nil {
			return fmt.Errorf("sequence events: %w", err)
		}
		if n < sequenceBatch {
			return nil
		}
	}
}

// Events reads the trail: 100 events unless f.Limit says otherwise, 1000 at most.
func (t *Trail) Events(ctx context.Context, f Filter) ([]Event, error) {
	if f.Limit <= 0 {
		f.Limit = defaultEvents
	}
	f.Limit = min(f.Limit, maxEvents)
	events, err := t.cfg.Store.Events(ctx, f)
	if err != nil {
		return nil, fmt.Errorf("read events: %w", err)
	}
	return events, nil
}

// Head returns the last position that was given and the hash at it.
func (t *Trail) Head(ctx context.Context) (position int64, hash string, err error) {
	position, hash, err = t.cfg.Store.Head(ctx)
	if err != nil {
		return 0, "", fmt.Errorf("head of the trail: %w", err)
	}
	return position, hash, nil
}

// Run writes refusals and sequences events until ctx ends, then drains both
// within five seconds of its own. A store that does not answer is tried again;
// Run returns an error only if the last drain failed.
func (t *Trail) Run(ctx context.Context) error {
	tick := time.NewTicker(idle)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return t.drain(ctx)
		case <-t.wake:
			if !pause(ctx, gather) {
				return t.drain(ctx)
			}
		case <-tick.C:
			t.confess(ctx)
		}
		if err := t.work(ctx); err != nil && ctx.Err() == nil {
			t.cfg.Log.LogAttrs(ctx, slog.LevelError, "audit trail is behind", slog.Any("error", err))
		}
	}
}

// work writes one batch of refusals, which with the gathering bounds what a flood
// can write, and sequences.
func (t *Trail) work(ctx context.Context) error {
	if _, err := t.flush(ctx); err != nil {
		return err
	}
	if len(t.refused) > 0 {
		t.ring()
	}
	return t.Sequence(ctx)
}

func (t *Trail) drain(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
	defer cancel()
	for {
		n, err := t.flush(ctx)
		if err != nil {
			return errors.Join(err, t.Sequence(ctx))
		}
		if n == 0 {
			break
		}
	}
	t.confess(ctx)
	return t.Sequence(ctx)
}

// ring wakes Run. It never blocks, and a wake that finds another waiting joins it.
func (t *Trail) ring() {
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// pause waits for d and reports whether ctx is still alive.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
