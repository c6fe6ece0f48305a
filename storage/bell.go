package storage

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// everything is the topic that means: something changed, nobody knows what.
const everything = "*"

const (
	ringRetry  = 250 * time.Millisecond // between tries while the database is away
	ringBudget = 2 * time.Second        // for the last ring, in close
	maxPending = 2000                   // topics waiting; more become one "*"
)

// bell tells those who cache what is stored that it changed.
//
//	commit ──► listeners of this process, before the change returns
//	       └─► pending ──(one goroutine, as many topics at once as there are)──► other processes
//
// Other processes are told outside the change's transaction, so that commits do
// not queue for the notification lock of Postgres.
type bell struct {
	driver driver
	log    *slog.Logger

	mu        sync.Mutex
	listeners map[int]func(topic string)
	next      int
	pending   map[string]bool
	closed    bool

	wake    chan struct{}
	quit    chan struct{}
	stopped chan struct{}
}

func newBell(ctx context.Context, d driver, log *slog.Logger) *bell {
	b := &bell{
		driver: d, log: log,
		listeners: map[int]func(string){}, pending: map[string]bool{},
		wake: make(chan struct{}, 1), quit: make(chan struct{}), stopped: make(chan struct{}),
	}
	go b.run(ctx)
	return b
}

// ring delivers here at once and leaves the rest to run.
func (b *bell) ring(topics []string) {
	if len(topics) == 0 {
		return
	}
	b.deliver(topics...)
	b.mu.Lock()
	for _, t := range topics {
		b.pending[t] = true
	}
	if len(b.pending) > maxPending {
		b.pending = map[string]bool{everything: true}
	}
	b.mu.Unlock()
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

func (b *bell) deliver(topics ...string) {
	b.mu.Lock()
	fs := make([]func(string), 0, len(b.listeners))
	for _, f := range b.listeners {
		fs = append(fs, f)
	}
	b.mu.Unlock()
	for _, f := range fs {
		for _, t := range topics {
			f(t)
		}
	}
}

// subscribe calls f for every topic until the returned function is called.
func (b *bell) subscribe(f func(topic string)) func() {
	b.mu.Lock()
	defer b.mu.Unlock()
	id := b.next
	b.next++
	b.listeners[id] = f
	return func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		delete(b.listeners, id)
	}
}

// run carries pending topics to other processes until close.
func (b *bell) run(ctx context.Context) {
	defer close(b.stopped)
	for {
		select {
		case <-b.wake:
		case <-b.quit:
			ctx, cancel := context.WithTimeout(ctx, ringBudget)
			defer cancel()
			b.flush(ctx)
			return
		}
		if b.flush(ctx) {
			continue
		}
		select {
		case <-time.After(ringRetry):
			select {
			case b.wake <- struct{}{}:
			default:
			}
		case <-b.quit:
			return // the database is away; whoever reconnects starts afresh
		}
	}
}

// flush sends what is pending and keeps it if that fails.
func (b *bell) flush(ctx context.Context) bool {
	b.mu.Lock()
	topics := make([]string, 0, len(b.pending))
	for t := range b.pending {
		topics = append(topics, t)
	}
	clear(b.pending)
	b.mu.Unlock()
	if len(topics) == 0 {
		return true
	}
	err := b.driver.ring(ctx, topics)
	if err == nil {
		return true
	}
	b.log.WarnContext(ctx, "bell not rung; it will be", "topics", len(topics), "error", err)
	b.mu.Lock()
	for _, t := range topics {
		b.pending[t] = true
	}
	b.mu.Unlock()
	return false
}

func (b *bell) close() {
	b.mu.Lock()
	if !b.closed {
		b.closed = true
		close(b.quit)
	}
	b.mu.Unlock()
	<-b.stopped
}

// Listen calls f for every change that somebody may cache, until ctx ends, and
// returns the reason. Topics are "client:ID", "grant:ID", "session:ID",
// "user:ID", "token:JTI", "key:", or "*" when anything may have changed: after
// the connection was lost, or when another process wrote to the SQLite file.
//
// A change made by this process is delivered before the call that made it
// returns; f must therefore be quick and safe for concurrent use.
func (d *DB) Listen(ctx context.Context, f func(topic string)) error {
	defer d.bell.subscribe(f)()
	return d.driver.listen(ctx, f)
}
