package oauth2

import (
	"context"
	"strings"
	"sync/atomic"
	"time"

	"github.com/maypok86/otter/v2"

	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
)

const (
	standingAge = 5 * time.Second  // an answer about liveness is never older
	clientAge   = 30 * time.Second // should the bell be missed
	missAge     = 3 * time.Second  // how long an unknown client stays unknown
)

// A seen is something read from the store, and when the reading began.
type seen[V any] struct {
	value V
	err   error // fault.NotFound, or nil
	at    time.Time
}

// A memory caches readings of the store. The bell names what has changed; a
// reading that began before a change it depends on is not used. Should a bell be
// missed, maxAge bounds how wrong the memory can be.
type memory struct {
	now     func() time.Time
	rung    *otter.Cache[topic, time.Time] // when it was rung
	cleared atomic.Int64                   // when everything was rung, in nanoseconds
}

// A topic names one thing of the store, "KIND:ID" on the bell.
type topic struct{ kind, id string }

func topicOf(name string) topic {
	kind, id, _ := strings.Cut(name, ":")
	return topic{kind, id}
}

func newMemory(now func() time.Time) *memory {
	m := &memory{now: now}
	m.rung = newCache[topic, time.Time](50_000, clientAge+standingAge)
	return m
}

func newCache[K comparable, V any](size int, ttl time.Duration) *otter.Cache[K, V] {
	return otter.Must(&otter.Options[K, V]{MaximumSize: size, ExpiryCalculator: otter.ExpiryWriting[K, V](ttl)})
}

// forget marks what name names as changed now; "*" stands for everything.
func (m *memory) forget(name string) {
	if name == "*" {
		m.cleared.Store(m.now().UnixNano())
		return
	}
	m.rung.Set(topicOf(name), m.now())
}

// fresh reports whether a reading begun at, of topics, may still be used. A topic
// without an id is of nothing, and never changes.
func (m *memory) fresh(at time.Time, maxAge time.Duration, topics ...topic) bool {
	if m.now().Sub(at) > maxAge || at.UnixNano() <= m.cleared.Load() {
		return false
	}
	for _, t := range topics {
		if t.id == "" {
			continue
		}
		if rung, ok := m.rung.GetIfPresent(t); ok && !at.After(rung) {
			return false
		}
	}
	return true
}

// Forget drops cached knowledge under a topic: "client:ID", "grant:ID",
// "session:ID", "user:ID", "token:JTI", or "*" for everything. Keys are the Ring's
// to know: what was verified counts only under the keys it was verified with.
func (p *Provider) Forget(name string) {
	p.memory.forget(name)
	p.origins.ring(name)
}

// Client returns a registered, enabled client from the cache; fault.NotFound if
// there is none, fault.Unavailable if it cannot tell.
func (p *Provider) Client(ctx context.Context, id string) (Client, error) {
	maxAge := clientAge
	if s, ok := p.clients.GetIfPresent(id); ok {
		if s.err != nil {
			maxAge = missAge
		}
		if p.memory.fresh(s.at, maxAge, topic{"client", id}) {
			return s.value, s.err
		}
	}
	if !clientID.MatchString(id) {
		return Client{}, fault.Missing("client", clip(id, 100)) // and remembers nothing of it
	}
	at := p.cfg.Now()
	c, err := p.cfg.Store.Client(ctx, id)
	if err == nil && c.Disabled {
		err = fault.Missing("client", id)
	}
	if err != nil && !fault.Is(err, fault.NotFound) {
		return Client{}, err
	}
	p.clients.Set(id, seen[Client]{c, err, at})
	return c, err
}

// standing answers q from the cache, or with one reading of the store.
func (p *Provider) standing(ctx context.Context, q StandingQuery) (Standing, error) {
	if s, ok := p.standings.GetIfPresent(q); ok && p.memory.fresh(s.at, standingAge, q.topics()...) {
		return s.value, nil
	}
	at := p.cfg.Now()
	s, err := p.cfg.Store.Standing(ctx, q)
	if err != nil {
		return Standing{}, err
	}
	p.standings.Set(q, seen[Standing]{s, nil, at})
	return s, nil
}

func (q StandingQuery) topics() []topic {
	return []topic{{"grant", q.Grant}, {"session", q.Session}, {"user", q.Subject}, {"token", q.JTI}}
}

// remember puts what an authorization has just read into the cache, so that the
// exchange that follows a moment later need not read it again. at is when the
// reading began.
func (p *Provider) remember(q StandingQuery, s Standing, at time.Time) {
	p.standings.Set(q, seen[Standing]{s, nil, at})
}
