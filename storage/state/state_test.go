package state_test

import (
	"net"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/gatekeeper-oidc/gatekeeper/internal/ratelimit"
	"github.com/gatekeeper-oidc/gatekeeper/storage/state"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// redisURL returns where the tests' Redis is. CI must have one.
func redisURL(t *testing.T) string {
	t.Helper()
	url := os.Getenv("GATEKEEPER_TEST_REDIS")
	if url == "" && os.Getenv("CI") == "true" {
		t.Fatal("GATEKEEPER_TEST_REDIS is not set")
	}
	if url == "" {
		t.Skip("GATEKEEPER_TEST_REDIS is not set: no Redis to test with")
	}
	return url
}

// prefix is one no other run uses.
func prefix(t *testing.T) string {
	t.Helper()
	return "gatekeeper:test:" + t.Name() + ":" + strconv.FormatInt(time.Now().UnixNano(), 36) + ":"
}

func openRedis(t *testing.T, cfg state.RedisConfig) *state.Redis {
	t.Helper()
	cfg.Now = time.Now
	r, err := state.NewRedis(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

// sources runs f against each Source.
func sources(t *testing.T, f func(t *testing.T, s ratelimit.Source)) {
	t.Helper()
	t.Run("memory", func(t *testing.T) {
		t.Parallel()
		f(t, state.NewMemory(time.Now, 0))
	})
	t.Run("redis", func(t *testing.T) {
		t.Parallel()
		// A busy machine is no outage: what is told here is of a Redis that answers.
		f(t, openRedis(t, state.RedisConfig{URL: redisURL(t), Prefix: prefix(t), Patience: time.Minute}))
	})
}

func advance(t *testing.T, s ratelimit.Source, bucket string, r ratelimit.Rule) time.Duration {
	t.Helper()
	wait, err := s.Advance(t.Context(), bucket, r)
	if err != nil {
		t.Fatal(err)
	}
	return wait
}

func TestBurstThenWait(t *testing.T) {
	t.Parallel()
	sources(t, func(t *testing.T, s ratelimit.Source) {
		t.Helper()
		r := ratelimit.Rule{Name: "x", Burst: 3, Period: time.Hour}
		for i := range 3 {
			if wait := advance(t, s, "a", r); wait != 0 {
				t.Fatalf("attempt %d waits %v", i+1, wait)
			}
		}
		if wait := advance(t, s, "a", r); wait < 59*time.Minute || wait > time.Hour {
			t.Errorf("above the burst: wait = %v, want about 1h", wait)
		}
		if wait := advance(t, s, "b", r); wait != 0 {
			t.Errorf("another bucket waits %v", wait)
		}
		r.Name = "y"
		if wait := advance(t, s, "a", r); wait != 0 {
			t.Errorf("the same bucket under another rule waits %v", wait)
		}
	})
}

func TestRacingCallersShareTheBurst(t *testing.T) {
	t.Parallel()
	sources(t, func(t *testing.T, s ratelimit.Source) {
		t.Helper()
		var passed atomic.Int32
		var all sync.WaitGroup
		for range 64 {
			all.Go(func() {
				if wait, err := s.Advance(t.Context(), "a", ratelimit.Rule{Name: "x", Burst: 10, Period: time.Hour}); err == nil && wait == 0 {
					passed.Add(1)
				}
			})
		}
		all.Wait()
		if got := passed.Load(); got != 10 {
			t.Errorf("%d of 64 passed, want 10", got)
		}
	})
}

func TestARuleThatIsNoneStopsTheAttempt(t *testing.T) {
	t.Parallel()
	sources(t, func(t *testing.T, s ratelimit.Source) {
		t.Helper()
		if _, err := s.Advance(t.Context(), "a", ratelimit.Rule{Name: "x"}); err == nil {
			t.Error("a rule without burst was applied")
		}
	})
}

func TestTwoNodesShareALimitThroughRedis(t *testing.T) {
	t.Parallel()
	cfg := state.RedisConfig{URL: redisURL(t), Prefix: prefix(t), Nodes: 2, Patience: time.Minute}
	one, two := openRedis(t, cfg), openRedis(t, cfg)
	r := ratelimit.Rule{Name: "x", Burst: 1, Period: time.Hour}
	if wait := advance(t, one, "a", r); wait != 0 {
		t.Fatalf("the first waits %v", wait)
	}
	if wait := advance(t, two, "a", r); wait == 0 {
		t.Error("the other node let a second one through")
	}
}

func TestMemoryIsBoundedAndKeepsWhoIsLimited(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_000_000, 0)
	m := state.NewMemory(func() time.Time { return now }, 64*32)
	long := ratelimit.Rule{Name: "long", Burst: 1, Period: 24 * time.Hour}
	short := ratelimit.Rule{Name: "short", Burst: 5, Period: time.Second}
	advance(t, m, "victim", long)
	for i := range 20_000 {
		advance(t, m, strconv.Itoa(i), short)
	}
	if got := m.Len(); got > 64*32 {
		t.Errorf("%d buckets are held, want at most %d", got, 64*32)
	}
	if wait := advance(t, m, "victim", long); wait == 0 {
		t.Error("a flood of other names freed the limited one")
	}
	now = now.Add(time.Hour)
	for i := range 20_000 {
		advance(t, m, "later"+strconv.Itoa(i), short)
	}
	if got := m.Len(); got > 64*32 {
		t.Errorf("%d buckets are held, want at most %d", got, 64*32)
	}
}

// relay stands between the program and Redis and can be cut.
type relay struct {
	addr     string
	mu       sync.Mutex
	listener net.Listener
	conns    []net.Conn
	to       string
	all      sync.WaitGroup
}

func (p *relay) start(t *testing.T) {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", p.addr)
	if err != nil {
		t.Fatal(err)
	}
	p.mu.Lock()
	p.listener, p.addr = l, l.Addr().String()
	p.mu.Unlock()
	p.all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			up, err := net.Dial("tcp", p.to)
			if err != nil {
				_ = c.Close()
				continue
			}
			p.mu.Lock()
			p.conns = append(p.conns, c, up)
			p.mu.Unlock()
			p.all.Go(func() { pipe(c, up) })
			p.all.Go(func() { pipe(up, c) })
		}
	})
}

func pipe(to, from net.Conn) {
	buf := make([]byte, 4096)
	for {
		n, err := from.Read(buf)
		if err != nil {
			_ = to.Close()
			return
		}
		if _, err := to.Write(buf[:n]); err != nil {
			return
		}
	}
}

func (p *relay) cut() {
	p.mu.Lock()
	_ = p.listener.Close()
	for _, c := range p.conns {
		_ = c.Close()
	}
	p.conns = nil
	p.mu.Unlock()
	p.all.Wait()
}

func TestWithoutRedisEachNodeAllowsItsShareAndComesBack(t *testing.T) {
	t.Parallel()
	host := redisURL(t)[len("redis://"):]
	if i := len(host) - len("/0"); i > 0 && host[i:] == "/0" {
		host = host[:i]
	}
	p := &relay{addr: "127.0.0.1:0", to: host}
	p.start(t)
	r := openRedis(t, state.RedisConfig{URL: "redis://" + p.addr, Prefix: prefix(t), Nodes: 2})
	rule := ratelimit.Rule{Name: "x", Burst: 6, Period: time.Hour}
	if wait := advance(t, r, "a", rule); wait != 0 {
		t.Fatalf("the first waits %v", wait)
	}
	if !r.Healthy() {
		t.Fatal("not healthy although Redis answers")
	}
	p.cut()
	passed := 0
	for range 10 {
		if advance(t, r, "a", rule) == 0 {
			passed++
		}
	}
	if passed != 3 {
		t.Errorf("without Redis %d passed on one of two nodes, want 3 of 6", passed)
	}
	if r.Healthy() {
		t.Error("healthy although Redis is away")
	}
	p.start(t)
	for !r.Healthy() {
		if t.Context().Err() != nil {
			t.Fatal("Redis was not found again")
		}
		time.Sleep(10 * time.Millisecond) // the probe runs on the real clock
	}
	if wait := advance(t, r, "a", rule); wait != 0 {
		t.Errorf("back on Redis, the second of six waits %v", wait)
	}
	p.cut()
}

func TestADeadRedisCostsNothingAfterTheFirstAttempt(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0") // accepts and never answers
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	r := openRedis(t, state.RedisConfig{URL: "redis://" + l.Addr().String()})
	rule := ratelimit.Rule{Name: "x", Burst: 1 << 20, Period: time.Second}
	advance(t, r, "a", rule)
	start := time.Now()
	for range 1000 {
		advance(t, r, "a", rule)
	}
	if took := time.Since(start); took > 100*time.Millisecond {
		t.Errorf("1000 attempts took %v", took)
	}
}

func BenchmarkMemory(b *testing.B) {
	m := state.NewMemory(time.Now, 0)
	r := ratelimit.Rule{Name: "x", Burst: 10, Period: time.Microsecond}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := m.Advance(b.Context(), "203.0.113.7", r); err != nil {
			b.Fatal(err)
		}
	}
}
