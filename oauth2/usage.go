package oauth2

import (
	"context"
	"log/slog"
	"time"

	"github.com/maypok86/otter/v2"
)

const (
	// usageEvery is how often at most the use of one application is written down.
	usageEvery = time.Hour
	usageQueue = 1024
	usageBatch = 64
	usageDrain = 2 * time.Second // for what waits when the program stops
)

// A UsageStore keeps when applications that registered themselves were last used.
type UsageStore interface {
	// TouchClients writes now as the last use of those of ids whose last use is
	// older than every.
	TouchClients(ctx context.Context, ids []string, every time.Duration) error
}

// A Usage takes note of which applications are in use, so that those that are not
// can be forgotten: at most one write for each in an hour, never in the way of a
// request. Note never blocks; what finds no room, or is lost with the process, is
// noted again at the next use.
type Usage struct {
	store UsageStore
	log   *slog.Logger
	noted *otter.Cache[string, struct{}]
	queue chan string
}

// NewUsage returns a Usage; Run does its writing.
func NewUsage(store UsageStore, log *slog.Logger) *Usage {
	if store == nil || log == nil {
		panic("oauth2: a usage needs a store and a log")
	}
	return &Usage{
		store: store, log: log, noted: newCache[string, struct{}](50_000, usageEvery), queue: make(chan string, usageQueue),
	}
}

// Note says that the application called id is in use.
func (u *Usage) Note(id string) {
	if _, ok := u.noted.GetIfPresent(id); ok {
		return
	}
	select {
	case u.queue <- id:
		u.noted.Set(id, struct{}{})
	default: // full: the next use says it again
	}
}

// Run writes down what was noted until ctx ends, and then what is left.
func (u *Usage) Run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), usageDrain)
			defer cancel()
			for len(u.queue) > 0 && last.Err() == nil {
				u.write(last, u.gather())
			}
			return ctx.Err()
		case id := <-u.queue:
			u.write(ctx, u.gather(id))
		}
	}
}

// gather adds what waits to ids, up to a batch.
func (u *Usage) gather(ids ...string) []string {
	for len(ids) < usageBatch {
		select {
		case id := <-u.queue:
			ids = append(ids, id)
		default:
			return ids
		}
	}
	return ids
}

// write tells the store. What it did not take may be noted again at once.
func (u *Usage) write(ctx context.Context, ids []string) {
	err := u.store.TouchClients(ctx, ids, usageEvery)
	if err == nil {
		return
	}
	for _, id := range ids {
		u.noted.Invalidate(id)
	}
	if ctx.Err() == nil {
		u.log.LogAttrs(ctx, slog.LevelWarn, "the use of applications was not written down",
			slog.String("event", "usage"), slog.Int("clients", len(ids)), slog.Any("error", err))
	}
}

// used says that c is in use, where anybody wants to know it.
func (p *Provider) used(c *Client) {
	if c.Dynamic && p.cfg.Used != nil {
		p.cfg.Used(c.ID)
	}
}
