package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"
)

// clockTick is how often the clocks are compared when nobody asks.
const clockTick = 30 * time.Second

// skewUnready is how far a node's clock may be from the database's: beyond it the
// times inside its tokens are wrong to everybody else.
const skewUnready = time.Minute

var errRedisAway = errors.New("redis does not answer; every node counts by itself")

// health asks what the program leans on.
func (p *program) health() *health {
	c := &clock{now: p.now, theirs: p.DB.Now, log: p.log}
	p.totals = append(p.totals, worker{"clock", c.run})
	p.meter.Gauge("gatekeeper_clock_offset_seconds", "How far the database's clock is ahead of this node's.", func() float64 { return time.Duration(c.offset.Load()).Seconds() })
	h := &health{Now: p.now, Checks: []healthCheck{
		{Name: "database", Required: true, Probe: p.DB.Writable},
		{Name: "clock", Required: true, Probe: c.check},
	}}
	if p.redis != nil {
		h.Checks = append(h.Checks, healthCheck{Name: "redis", Probe: p.askRedis})
	}
	return h
}

// run compares the clocks now and then, until ctx ends.
func (c *clock) run(ctx context.Context) error {
	tick := time.NewTicker(clockTick)
	defer tick.Stop()
	for {
		_ = c.check(ctx) // it was logged
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// askRedis asks Redis itself: limits that nobody touched since it died know nothing
// of it.
func (p *program) askRedis(ctx context.Context) error {
	if !p.redis.Healthy() || p.redis.Ping(ctx) != nil {
		return errRedisAway
	}
	return nil
}

// A clock compares this node's clock with the database's, which decides.
type clock struct {
	now    func() time.Time
	theirs func(context.Context) (time.Time, error)
	log    *slog.Logger
	offset atomic.Int64 // theirs ahead of ours, in nanoseconds
	off    atomic.Bool  // it was said
}

// measure returns how far the database's clock is ahead of this node's.
func (c *clock) measure(ctx context.Context) (time.Duration, error) {
	before := c.now()
	theirs, err := c.theirs(ctx)
	if err != nil {
		return 0, err
	}
	offset := theirs.Sub(before.Add(c.now().Sub(before) / 2))
	c.offset.Store(int64(offset))
	return offset, nil
}

// check fails while the clocks are too far apart, and says so when it begins.
func (c *clock) check(ctx context.Context) error {
	offset, err := c.measure(ctx)
	if err != nil {
		return nil //nolint:nilerr // that the database is away is told elsewhere
	}
	if offset.Abs() <= skewUnready {
		c.off.Store(false)
		return nil
	}
	err = fmt.Errorf("this node's clock is %s from the database's", offset.Abs().Round(time.Second))
	if !c.off.Swap(true) {
		c.log.LogAttrs(ctx, slog.LevelError, "the clock is wrong", slog.String("event", "clock_off"), slog.Duration("offset", offset), slog.Any("error", err))
	}
	return err
}
