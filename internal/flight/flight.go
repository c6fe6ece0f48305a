package flight

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// ErrFull means that as many are waiting, or under way, as may.
var ErrFull = errors.New("flight: too many are waiting")

// ErrLate means that the flight is still under way when the caller's patience
// ends. What it brings is there for whoever asks later.
var ErrLate = errors.New("flight: still under way")

// errEnded is what passengers of a flight get that panicked.
var errEnded = errors.New("flight: ended without a result")

// A Caller is on whose behalf somebody waits. Who names them for what is counted
// by them, "" if they are unknown. Aside gives up the place they hold, and the
// function it returns takes it again.
type Caller interface {
	Who() string
	Aside() (back func())
}

// CallerKey is the key under which a context carries a Caller.
type CallerKey struct{}

// Who returns the name of ctx's Caller, or "".
func Who(ctx context.Context) string {
	if c, ok := ctx.Value(CallerKey{}).(Caller); ok {
		return c.Who()
	}
	return ""
}

// away is the Caller inside a flight: it still says who asked, and holds no place.
type away string

func (a away) Who() string { return string(a) }

// Aside does nothing.
func (away) Aside() (back func()) { return func() {} }

// Limits bound the waiting. All are required.
type Limits struct {
	Patience  time.Duration // of one passenger
	PerKey    int           // passengers of one flight
	PerCaller int           // passengers of one name
	Total     int           // passengers
}

// ForOthers returns the limits of waiting for servers that are not ours: less than
// any request may take.
func ForOthers() Limits {
	return Limits{Patience: 3 * time.Second, PerKey: 64, PerCaller: 64, Total: 512}
}

// A Group is the flights of one kind. It is safe for concurrent use.
type Group[V any] struct {
	limits Limits

	mu      sync.Mutex
	flights map[string]*flying[V]
	callers map[string]int // passengers, by name
	waiting int
	running sync.WaitGroup
}

type flying[V any] struct {
	done    chan struct{}
	waiting int // guarded by Group.mu
	value   V   // these two are read after done
	err     error
}

// NewGroup returns a Group without flights.
func NewGroup[V any](limits Limits) (*Group[V], error) {
	if limits.Patience <= 0 || limits.PerKey <= 0 || limits.PerCaller <= 0 || limits.Total <= 0 {
		return nil, errors.New("flight: the limits are positive")
	}
	return &Group[V]{limits: limits, flights: map[string]*flying[V]{}, callers: map[string]int{}}, nil
}

// Do returns what the flight of key brings: the one under way, or a new one, which
// is run. That has the values of ctx and not its end, so it must end by itself. The
// error is that of run, ErrFull, ErrLate, or why the caller left.
func (g *Group[V]) Do(ctx context.Context, key string, run func(ctx context.Context) (V, error)) (V, error) {
	var none V
	who := Who(ctx)
	f, err := g.board(ctx, who, key, run)
	if err != nil {
		return none, err
	}
	defer g.leave(who, f)
	if c, ok := ctx.Value(CallerKey{}).(Caller); ok {
		defer c.Aside()()
	}
	patience := time.NewTimer(g.limits.Patience)
	defer patience.Stop()
	select {
	case <-f.done:
		return f.value, f.err
	case <-patience.C:
		return none, ErrLate
	case <-ctx.Done():
		return none, fmt.Errorf("flight: the caller left: %w", context.Cause(ctx))
	}
}

// Wait waits for the flights under way; nobody begins another meanwhile.
func (g *Group[V]) Wait() { g.running.Wait() }

// board takes a place in the flight of key, which begins if there is none.
func (g *Group[V]) board(ctx context.Context, who, key string, run func(context.Context) (V, error)) (*flying[V], error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	f := g.flights[key]
	if g.waiting >= g.limits.Total || g.callers[who] >= g.limits.PerCaller || f != nil && f.waiting >= g.limits.PerKey {
		return nil, ErrFull
	}
	if f == nil {
		f = &flying[V]{done: make(chan struct{})}
		g.flights[key] = f
		alone := context.WithValue(context.WithoutCancel(ctx), CallerKey{}, away(who))
		g.running.Go(func() { g.fly(alone, key, f, run) })
	}
	f.waiting++
	g.waiting++
	g.callers[who]++
	return f, nil
}

func (g *Group[V]) leave(who string, f *flying[V]) {
	g.mu.Lock()
	defer g.mu.Unlock()
	f.waiting--
	g.waiting--
	if g.callers[who]--; g.callers[who] == 0 {
		delete(g.callers, who)
	}
}

// fly runs one flight. Whoever asks after its end begins another.
func (g *Group[V]) fly(ctx context.Context, key string, f *flying[V], run func(context.Context) (V, error)) {
	defer func() {
		g.mu.Lock()
		delete(g.flights, key)
		g.mu.Unlock()
		close(f.done)
	}()
	f.err = errEnded
	f.value, f.err = run(ctx)
}
