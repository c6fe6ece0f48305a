package keys

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"
)

// epoch is when the tests' clocks start.
var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// A world is one database with its clock, and the nodes around it.
type world struct {
	store *memStore
	mu    sync.Mutex
	local time.Time // the nodes' clock, of which only differences count
}

func newWorld() *world {
	return &world{store: &memStore{keys: map[string]Key{}, now: epoch}, local: time.Unix(0, 0)}
}

// advance lets time pass everywhere.
func (w *world) advance(d time.Duration) {
	w.mu.Lock()
	w.local = w.local.Add(d)
	w.mu.Unlock()
	w.store.leap(d)
}

func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.local
}

// ring returns a new node's ring, not yet loaded.
func (w *world) ring(tb testing.TB, algs ...string) *Ring {
	tb.Helper()
	return w.ringWith(tb, func(cfg *RingConfig) { cfg.Policy.Algs = algs })
}

func (w *world) ringWith(tb testing.TB, set func(*RingConfig)) *Ring {
	tb.Helper()
	cfg := RingConfig{
		Store: w.store, Vault: mustVault(tb, rootOf(1)), Source: Software{}, Record: w.store.record,
		Log: slog.New(slog.DiscardHandler), Now: w.clock,
	}
	set(&cfg)
	r, err := NewRing(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	return r
}

func loaded(tb testing.TB, r *Ring) *Ring {
	tb.Helper()
	if err := r.Load(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	return r
}

// A memStore is a Store in memory: a lock, a clock, and events that are kept
// only if the change is.
type memStore struct {
	lock   sync.Mutex // held through ChangeKeys
	mu     sync.Mutex
	keys   map[string]Key
	now    time.Time
	down   error
	reads  int
	events []Change
}

var errDown = errors.New("the store is down")

type txKey struct{}

type tx struct{ events []Change }

func (s *memStore) leap(d time.Duration) {
	s.mu.Lock()
	s.now = s.now.Add(d)
	s.mu.Unlock()
}

func (s *memStore) Keys(context.Context) ([]Key, time.Time, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reads++
	return s.alive(), s.now, s.down
}

func (s *memStore) alive() []Key {
	var have []Key
	for _, k := range s.keys {
		if k.StateAt(s.now) != Gone {
			have = append(have, k)
		}
	}
	return have
}

func (s *memStore) ChangeKeys(ctx context.Context, plan func(context.Context, []Key, time.Time) ([]Key, error)) error {
	s.lock.Lock()
	defer s.lock.Unlock()
	s.mu.Lock()
	have, now, down := s.alive(), s.now, s.down
	s.mu.Unlock()
	if down != nil {
		return down
	}
	var work tx
	rows, err := plan(context.WithValue(ctx, txKey{}, &work), have, now)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range rows {
		s.keys[k.ID] = k
	}
	s.events = append(s.events, work.events...)
	return nil
}

func (s *memStore) record(ctx context.Context, c Change) error {
	work, ok := ctx.Value(txKey{}).(*tx)
	if !ok {
		return errors.New("recorded outside the change's transaction")
	}
	work.events = append(work.events, c)
	return nil
}

func (s *memStore) set(change func(*memStore)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(s)
}

// inState returns the ids of alg's keys in state st, sorted.
func (s *memStore) inState(alg string, st State) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var ids []string
	for _, k := range s.keys {
		if k.Alg == alg && k.StateAt(s.now) == st {
			ids = append(ids, k.ID)
		}
	}
	slices.Sort(ids)
	return ids
}

var (
	quiet        = slog.New(slog.DiscardHandler)
	lifeVault, _ = NewVault(rootOf(1))
)
