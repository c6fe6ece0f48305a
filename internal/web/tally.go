package web

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
)

const (
	shedWindow    = 10 * time.Second
	refusalWindow = time.Minute
	refusalKinds  = 1024
	firstRefusals = 10 // of one kind
	firstLimited  = 1  // by a rate limit: the next ones say nothing new
	sweepEvery    = time.Second
)

// A tally lets the first few of a kind in each window be written down, one by one,
// and counts the rest, so that what strangers can cause at will costs log and trail
// a few lines a minute. It is safe for concurrent use.
type tally struct {
	window time.Duration
	kinds  int // at once; what is more shares the zero kind

	mu   sync.Mutex
	open map[kind]*count
}

// A kind is what refusals have in common that are counted together.
type kind struct{ route, rule, network string }

// A count is what one window saw of a kind.
type count struct {
	began time.Time
	first int     // so many were written down
	seen  int     // all of them
	last  Refusal // the last one that was written down: it stands for the rest
	trail bool    // which is in the trail
}

// add counts one of kind k at now, of which the first few are written down: r then
// is one of them. Else it returns the one that stands for it.
func (t *tally) add(k kind, now time.Time, first int, r Refusal) (standsFor Refusal, written bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.open[k] == nil && len(t.open) >= t.kinds {
		k = kind{}
	}
	c := t.open[k]
	if c == nil {
		c = &count{began: now, first: first}
		t.open[k] = c
	}
	c.seen++
	if c.seen > c.first {
		return c.last, false
	}
	r.Repeats = c.seen == c.first
	c.last, c.trail = r, refused(r.Fault.Kind)
	return r, true
}

// end closes the windows that are over at now, or all of them, and returns them.
func (t *tally) end(now time.Time, all bool) map[kind]count {
	t.mu.Lock()
	defer t.mu.Unlock()
	over := map[kind]count{}
	for k, c := range t.open {
		if all || now.Sub(c.began) >= t.window {
			over[k] = *c
			delete(t.open, k)
		}
	}
	return over
}

func newTally(window time.Duration) *tally {
	return &tally{window: window, kinds: refusalKinds, open: map[kind]*count{}}
}

// sampled counts r and reports whether it is one of the few that are written down;
// the refusal it returns has the reference the answer shows.
func (m *Mux) sampled(network string, r Refusal) (Refusal, bool) {
	first := firstRefusals
	switch r.Fault.Kind {
	case fault.Internal:
		return r, true // each is a mistake of ours
	case fault.TooMany:
		first = firstLimited
	case fault.Unavailable:
		network = "" // what is down is down for everybody
	default:
	}
	r.Network = network
	return m.refusals.add(kind{r.Route, r.Fault.Rule, network}, m.cfg.Now(), first, r)
}

// Run tells the totals of what was counted and not written, each at the end of its
// window, and all of them when ctx ends.
func (m *Mux) Run(ctx context.Context) error {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			m.tell(context.WithoutCancel(ctx), true)
			return ctx.Err()
		case <-tick.C:
			m.tell(ctx, false)
		}
	}
}

// tell writes the totals of the windows that are over, or of all.
func (m *Mux) tell(ctx context.Context, all bool) {
	now := m.cfg.Now()
	for k, c := range m.shed.end(now, all) {
		if c.seen > 1 {
			m.logShed(ctx, k.rule, c.seen)
		}
	}
	for k, c := range m.refusals.end(now, all) {
		if c.seen <= c.first {
			continue
		}
		m.cfg.Log.LogAttrs(ctx, slog.LevelInfo, "requests refused", slog.String("event", "refusals"), slog.String("route", k.route),
			slog.String("rule", k.rule), slog.Int("count", c.seen), slog.String("reference", c.last.Reference))
		if c.trail && m.cfg.Refused != nil {
			r := c.last
			r.Count, r.Repeats = c.seen, false
			m.cfg.Refused(ctx, r)
		}
	}
}

// logShed tells how many of a class were sent away so far in this window.
func (m *Mux) logShed(ctx context.Context, class string, n int) {
	m.cfg.Log.LogAttrs(ctx, slog.LevelWarn, "more requests than can be answered", slog.String("event", "overload"),
		slog.String("class", class), slog.Int("refused", n))
}
