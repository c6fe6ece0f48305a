package state

import (
	"context"
	"hash/maphash"
	"sync"
	"time"

	"github.com/gatekeeper-oidc/gatekeeper/internal/ratelimit"
)

var (
	_ ratelimit.Source = (*Memory)(nil)
	_ ratelimit.Source = (*Redis)(nil)
)

const (
	shards = 64
	// MaxBuckets is how many buckets a Memory holds at most, some 20 MiB of them.
	MaxBuckets = 1 << 17
	sample     = 16 // buckets looked at to find one to forget
)

// Memory is a ratelimit.Source for one process. It is bounded: when it is full the
// bucket nearest to being empty is forgotten, of a few looked at, so that a flood
// of names does not free the names that are limited.
type Memory struct {
	now    func() time.Time
	seed   maphash.Seed
	max    int // per shard
	shards [shards]shard
}

type shard struct {
	mu       sync.Mutex
	arrivals map[string]int64 // microseconds
}

// NewMemory returns an empty Memory of at most max buckets (MaxBuckets if 0).
func NewMemory(now func() time.Time, max int) *Memory {
	if max <= 0 {
		max = MaxBuckets
	}
	m := &Memory{now: now, seed: maphash.MakeSeed(), max: (max + shards - 1) / shards}
	for i := range m.shards {
		m.shards[i].arrivals = map[string]int64{}
	}
	return m
}

// Advance implements ratelimit.Source.
func (m *Memory) Advance(_ context.Context, bucket string, r ratelimit.Rule) (time.Duration, error) {
	if err := r.Check(); err != nil {
		return 0, err
	}
	key := r.Key(bucket)
	now := m.now().UnixMicro()
	s := &m.shards[maphash.String(m.seed, key)%shards]
	s.mu.Lock()
	defer s.mu.Unlock()
	arrival, known := s.arrivals[key]
	next, wait := r.Next(arrival, now)
	if wait > 0 {
		return wait, nil
	}
	if !known && len(s.arrivals) >= m.max {
		s.forget(now)
	}
	s.arrivals[key] = next
	return 0, nil
}

// forget drops the empty buckets among a sample, or the one nearest to empty.
func (s *shard) forget(now int64) {
	victim, least, seen, dropped := "", int64(0), 0, false
	for key, arrival := range s.arrivals { // in an order nobody outside can foresee
		if arrival <= now {
			delete(s.arrivals, key)
			dropped = true
		} else if victim == "" || arrival < least {
			victim, least = key, arrival
		}
		if seen++; seen == sample {
			break
		}
	}
	if !dropped {
		delete(s.arrivals, victim)
	}
}

// Len returns how many buckets are held.
func (m *Memory) Len() int {
	n := 0
	for i := range m.shards {
		m.shards[i].mu.Lock()
		n += len(m.shards[i].arrivals)
		m.shards[i].mu.Unlock()
	}
	return n
}
