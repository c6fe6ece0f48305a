package state

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/gatekeeper-oidc/gatekeeper/internal/ratelimit"
)

const (
	dialTimeout = 100 * time.Millisecond
	patience    = 50 * time.Millisecond
	probeFirst  = 100 * time.Millisecond
	probeMost   = 5 * time.Second
)

// gcra is ratelimit.Rule.Next on the clock of Redis. Times are microseconds, which
// a Lua number holds exactly. The key lives until its bucket is empty.
const gcra = `
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local period, burst = tonumber(ARGV[1]), tonumber(ARGV[2])
local arrival = tonumber(redis.call('GET', KEYS[1]) or '0')
local next = math.max(arrival, now) + period
local wait = next - period * burst - now
if wait > 0 then return wait end
redis.call('SET', KEYS[1], string.format('%.0f', next), 'PX', math.ceil((next - now) / 1000))
return 0`

// silence stops the client from writing lines of its own to stderr: what matters
// of them is in the errors it returns.
var silence = sync.OnceFunc(func() { redis.SetLogger(silent{}) })

type silent struct{}

func (silent) Printf(context.Context, string, ...any) {}

// RedisConfig is what a Redis needs.
type RedisConfig struct {
	URL    string // redis:// or rediss://
	Prefix string // of every key ("gatekeeper:rate:" if empty)
	Nodes  int    // that share the limits; each allows its share when Redis is away
	// Patience is how long Redis may take to answer before it counts as away [50 ms].
	Patience time.Duration
	Now      func() time.Time
	Log      *slog.Logger
}

// Redis is a ratelimit.Source that nodes share.
type Redis struct {
	client *redis.Client
	script *redis.Script
	cfg    RedisConfig
	alone  *Memory // while Redis is away

	away   atomic.Bool
	lost   chan struct{}
	cancel context.CancelFunc
	done   chan struct{}
}

// NewRedis returns a Redis. It does not wait for the server, which may come later;
// ctx ends the background probe, and so does Close.
func NewRedis(ctx context.Context, cfg RedisConfig) (*Redis, error) {
	o, err := redis.ParseURL(cfg.URL)
	if err != nil {
		return nil, fmt.Errorf("read the Redis URL: %w", err)
	}
	if cfg.Now == nil {
		return nil, errors.New("state: Redis needs a clock")
	}
	if cfg.Prefix == "" {
		cfg.Prefix = "gatekeeper:rate:"
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Patience <= 0 {
		cfg.Patience = patience
	}
	cfg.Nodes = max(cfg.Nodes, 1)
	o.DialTimeout, o.ReadTimeout, o.WriteTimeout, o.PoolTimeout = dialTimeout+cfg.Patience, cfg.Patience, cfg.Patience, cfg.Patience
	o.MaxRetries, o.DialerRetries = -1, 1
	o.ContextTimeoutEnabled = true
	o.DisableIdentity = true
	o.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	silence()
	ctx, cancel := context.WithCancel(ctx)
	r := &Redis{
		client: redis.NewClient(o), script: redis.NewScript(gcra), cfg: cfg, alone: NewMemory(cfg.Now, 0),
		lost: make(chan struct{}, 1), cancel: cancel, done: make(chan struct{}),
	}
	go r.run(ctx)
	return r, nil
}

// Advance implements ratelimit.Source. It fails only for a rule that is none.
func (r *Redis) Advance(ctx context.Context, bucket string, rule ratelimit.Rule) (time.Duration, error) {
	if err := rule.Check(); err != nil {
		return 0, err
	}
	if r.away.Load() {
		return r.share(ctx, bucket, rule)
	}
	wait, cancel := context.WithTimeout(ctx, dialTimeout+r.cfg.Patience)
	defer cancel()
	us, err := r.script.Run(wait, r.client, []string{r.cfg.Prefix + rule.Key(bucket)}, rule.Period.Microseconds(), rule.Burst).Int64()
	if err == nil {
		return time.Duration(us) * time.Microsecond, nil
	}
	if ctx.Err() == nil { // not merely a caller that left
		r.lose(ctx, err)
	}
	return r.share(ctx, bucket, rule)
}

// share applies the part of rule that is this node's.
func (r *Redis) share(ctx context.Context, bucket string, rule ratelimit.Rule) (time.Duration, error) {
	rule.Burst = max(rule.Burst/r.cfg.Nodes, 1)
	rule.Period *= time.Duration(r.cfg.Nodes)
	return r.alone.Advance(ctx, bucket, rule)
}

// lose opens the breaker.
func (r *Redis) lose(ctx context.Context, err error) {
	if r.away.CompareAndSwap(false, true) {
		r.cfg.Log.WarnContext(ctx, "redis away; each node applies its share of the limits", "error", err)
		r.lost <- struct{}{} // has room: run took the last one before it closed the breaker
	}
}

// run closes the breaker whenever Redis answers again.
func (r *Redis) run(ctx context.Context) {
	defer close(r.done)
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.lost:
		}
		if !r.found(ctx) {
			return
		}
		r.away.Store(false)
		r.cfg.Log.InfoContext(ctx, "redis answers again")
	}
}

// found asks Redis until it answers, and reports false if ctx ends first.
func (r *Redis) found(ctx context.Context) bool {
	for pause := probeFirst; ; pause = min(2*pause, probeMost) {
		select {
		case <-ctx.Done():
			return false
		case <-time.After(pause):
		}
		if r.Ping(ctx) == nil {
			return true
		}
	}
}

// Healthy reports whether the limits are shared right now.
func (r *Redis) Healthy() bool { return !r.away.Load() }

// Ping asks Redis, for readiness and the doctor.
func (r *Redis) Ping(ctx context.Context) error {
	wait, cancel := context.WithTimeout(ctx, dialTimeout+r.cfg.Patience)
	defer cancel()
	if err := r.client.Ping(wait).Err(); err != nil {
		return fmt.Errorf("ping redis: %w", err)
	}
	return nil
}

// Close ends the probe and the connections.
func (r *Redis) Close() error {
	r.cancel()
	<-r.done
	return r.client.Close()
}
