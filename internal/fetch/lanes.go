package fetch

import (
	"context"
	"sync"
)

// lanes let at most width requests be under way to one host, so that one slow
// application does not hold every request of ours, nor we flood it.
type lanes struct {
	width int

	mu    sync.Mutex
	hosts map[string]*lane // of hosts somebody asks or waits for
}

type lane struct {
	slots chan struct{}
	users int // guarded by lanes.mu
}

// enter waits for a place in host's lane and returns how to leave it.
func (l *lanes) enter(ctx context.Context, host string) (leave func(), err error) {
	q := l.join(host)
	select {
	case q.slots <- struct{}{}:
		return func() { <-q.slots; l.part(host, q) }, nil
	case <-ctx.Done():
		l.part(host, q)
		return nil, context.Cause(ctx)
	}
}

func (l *lanes) join(host string) *lane {
	l.mu.Lock()
	defer l.mu.Unlock()
	q := l.hosts[host]
	if q == nil {
		if l.hosts == nil {
			l.hosts = map[string]*lane{}
		}
		q = &lane{slots: make(chan struct{}, l.width)}
		l.hosts[host] = q
	}
	q.users++
	return q
}

func (l *lanes) part(host string, q *lane) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if q.users--; q.users == 0 {
		delete(l.hosts, host)
	}
}
