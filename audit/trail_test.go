package audit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
	"github.com/gatekeeper-oidc/gatekeeper/internal/web"
)

// memory is a Store in memory that keeps events as JSON, as a database would.
type memory struct {
	mu      sync.Mutex
	outbox  []string
	trail   []Event
	batches []int
	fail    func(batch int) error
}

func (m *memory) AppendEvents(_ context.Context, events ...Event) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail != nil {
		if err := m.fail(len(m.batches)); err != nil {
			return err
		}
	}
	m.batches = append(m.batches, len(events))
	for _, e := range events {
		raw, err := json.Marshal(e)
		if err != nil {
			return err
		}
		m.outbox = append(m.outbox, string(raw))
	}
	return nil
}

func (m *memory) Head(context.Context) (int64, string, error) { return 0, "", nil }

func (m *memory) SequenceEvents(_ context.Context, limit int, link func(string, Event) string) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := min(limit, len(m.outbox))
	for _, raw := range m.outbox[:n] {
		var e Event
		if err := json.Unmarshal([]byte(raw), &e); err != nil {
			return 0, err
		}
		previous := ""
		if len(m.trail) > 0 {
			previous = m.trail[len(m.trail)-1].Hash
		}
		e.Position = int64(len(m.trail) + 1)
		e.Hash = link(previous, e)
		m.trail = append(m.trail, e)
	}
	m.outbox = m.outbox[n:]
	return n, nil
}

func (m *memory) Events(_ context.Context, f Filter) ([]Event, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.trail[:min(len(m.trail), f.Limit)]), nil
}

func request(ctx context.Context) context.Context {
	return web.NewContext(ctx, web.Info{CorrelationID: "c-1", Address: netip.MustParseAddr("::ffff:192.0.2.1"), UserAgent: "Test/1.0"})
}

func TestFillCompletesAnEvent(t *testing.T) {
	t.Parallel()
	at := time.Date(2030, 1, 2, 3, 4, 5, 678_901_234, time.FixedZone("", 3600))
	trail := NewTrail(Config{Store: &memory{}, Now: func() time.Time { return at }})
	got := trail.Fill(request(t.Context()), Event{
		Kind: LoginFailed, Subject: "u\x00\x1b[31m", UserAgent: strings.Repeat("ü", 1000),
		Detail: map[string]string{"a": "x\ny", "empty": "", "bad": "\xff"},
		Trace:  slices.Repeat([]fault.Fact{{Name: "n", Value: "v\r\n"}}, 100),
	})
	id, err := uuid.Parse(got.ID)
	if err != nil || id.Version() != 7 || id.Variant() != uuid.RFC4122 {
		t.Errorf("got id %s, %v; want a UUIDv7", got.ID, err)
	}
	if sec, nsec := id.Time().UnixTime(); time.Unix(sec, nsec).UnixMilli() != at.UnixMilli() {
		t.Errorf("got id of %v, want of %v", time.Unix(sec, nsec), at)
	}
	want := Event{
		ID: got.ID, Kind: LoginFailed, At: at.UTC().Truncate(time.Microsecond), Subject: "u[31m", CorrelationID: "c-1",
		Address: "192.0.2.1", UserAgent: strings.Repeat("ü", 512),
		Detail: map[string]string{"a": "xy"}, Trace: slices.Repeat([]fault.Fact{{Name: "n", Value: "v"}}, 32),
	}
	if diff := cmp.Diff(want, got, cmp.FilterPath(func(p cmp.Path) bool { return p.String() == "Detail" }, cmp.Comparer(func(a, b map[string]string) bool {
		return a["a"] == b["a"] && b["empty"] == ""
	}))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got.At.Location() != time.UTC {
		t.Errorf("got %v, want UTC", got.At)
	}
}

func TestIDsRiseWhateverTheClockDoes(t *testing.T) {
	t.Parallel()
	at := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	trail := NewTrail(Config{Store: &memory{}, Now: func() time.Time { return at }})
	var ids []string
	for i := range 20_000 {
		if i == 10_000 {
			at = at.Add(-time.Hour)
		}
		ids = append(ids, trail.Fill(t.Context(), Event{Kind: UserCreated}).ID)
	}
	if !slices.IsSorted(ids) || len(slices.Compact(ids)) != 20_000 {
		t.Error("ids do not rise")
	}
}

func TestRefusalsAreWrittenInBatchesAndChained(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := &memory{}
		trail := NewTrail(Config{Store: store, Now: time.Now})
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- trail.Run(ctx) }()
		for i := range 150 {
			trail.Refuse(request(ctx), web.Refusal{
				Reference: fmt.Sprintf("REF-%04d", i), Route: "POST /oauth2/token", ClientID: "shop",
				Fault: &fault.Error{
					Kind: fault.Invalid, Code: "invalid_grant", Rule: "code_known", Detail: "The code is not known.",
					Facts: []fault.Fact{{Name: "client", Value: "shop"}}, Err: errors.New("the cause, for the log"),
				},
			})
		}
		if err := trail.Record(request(ctx), Event{Kind: UserLocked, Subject: "u"}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if diff := cmp.Diff([]int{1, 64, 64, 22}, store.batches); diff != "" {
			t.Errorf("batches (-want +got):\n%s", diff)
		}
		if got := len(store.trail); got != 151 {
			t.Errorf("got %d events with a position, want 151", got)
		}
		if last, err := Verify("", store.trail...); err != nil || last != store.trail[150].Hash {
			t.Errorf("got %s, %v", last, err)
		}
		got := store.trail[1]
		want := Event{
			ID: got.ID, Position: 2, Hash: got.Hash, At: got.At, Kind: RequestRefused, Reference: "REF-0000", ClientID: "shop", CorrelationID: "c-1",
			Address: "192.0.2.1", UserAgent: "Test/1.0", Trace: []fault.Fact{{Name: "client", Value: "shop"}},
			Detail: map[string]string{"route": "POST /oauth2/token", "code": "invalid_grant", "rule": "code_known", "detail": "The code is not known."},
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("the refusal (-want +got):\n%s", diff)
		}
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestAFloodOfRefusalsIsCountedNotWritten(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := &memory{}
		trail := NewTrail(Config{Store: store, Now: time.Now})
		for range queueSize + 500 {
			trail.Refuse(t.Context(), web.Refusal{Reference: "x"}) // nobody drains: it must not block
		}
		ctx, stop := context.WithCancel(t.Context())
		stop()
		if err := trail.Run(ctx); err != nil { // what is left is drained although ctx is over
			t.Fatal(err)
		}
		if got := len(store.trail); got != queueSize+1 {
			t.Fatalf("got %d events, want %d", got, queueSize+1)
		}
		if got := store.trail[queueSize].Detail["dropped"]; got != "500" {
			t.Errorf("got %s dropped, want 500", got)
		}
	})
}

func TestAFloodCannotFillTheDisk(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := &memory{}
		trail := NewTrail(Config{Store: store, Now: time.Now})
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- trail.Run(ctx) }()
		for range 10_000 {
			trail.Refuse(ctx, web.Refusal{Reference: "x"})
			time.Sleep(time.Millisecond)
		}
		synctest.Wait()
		store.mu.Lock()
		got := len(store.trail)
		store.mu.Unlock()
		rounds := int(10*time.Second/gather) + int(10*time.Second/idle)
		if most := rounds * (batchSize + 1); got > most || got < most/2 {
			t.Errorf("got %d events in ten seconds, want nearly %d", got, most)
		}
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestAStoreThatIsAwayLosesNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		away := true
		store := &memory{fail: func(int) error {
			if away {
				return fault.Down("store", errors.New("gone"))
			}
			return nil
		}}
		trail := NewTrail(Config{Store: store, Now: time.Now})
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- trail.Run(ctx) }()
		for range 100 {
			trail.Refuse(ctx, web.Refusal{Reference: "x"})
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		store.mu.Lock()
		away = false
		store.mu.Unlock()
		time.Sleep(2 * idle)
		synctest.Wait()
		if got := len(store.trail); got != 100 {
			t.Errorf("got %d events, want 100", got)
		}
		if err := trail.Record(ctx, Event{Kind: UserCreated}); err != nil {
			t.Error(err)
		}
		stop()
		if err := <-done; err != nil || len(store.outbox) != 0 {
			t.Errorf("got %v and %d events without position", err, len(store.outbox))
		}
	})
}

func TestOneBadBatchDoesNotStopTheTrail(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		bad := true
		store := &memory{fail: func(int) error {
			if bad {
				bad = false
				return errors.New("no such column")
			}
			return nil
		}}
		trail := NewTrail(Config{Store: store, Now: time.Now})
		for range 100 {
			trail.Refuse(t.Context(), web.Refusal{Reference: "x"})
		}
		ctx, stop := context.WithCancel(t.Context())
		stop()
		if err := trail.Run(ctx); err != nil {
			t.Fatal(err)
		}
		if n := len(store.trail); n != 37 || store.trail[n-1].Detail["dropped"] != "64" {
			t.Errorf("got %d events, the last %+v; want the second batch and one that confesses the first", n, store.trail[n-1])
		}
	})
}

func TestRecordFailsWithItsStore(t *testing.T) {
	t.Parallel()
	store := &memory{fail: func(int) error { return fault.Down("store", errors.New("gone")) }}
	trail := NewTrail(Config{Store: store, Now: time.Now})
	if err := trail.Record(t.Context(), Event{Kind: UserCreated}); !fault.Is(err, fault.Unavailable) {
		t.Errorf("got %v, want Unavailable", err)
	}
}

func TestEventsBoundsWhatItReads(t *testing.T) {
	t.Parallel()
	store := &memory{trail: make([]Event, 2000)}
	trail := NewTrail(Config{Store: store, Now: time.Now})
	for limit, want := range map[int]int{0: 100, -1: 100, 7: 7, 5000: 1000} {
		if got, err := trail.Events(t.Context(), Filter{Limit: limit}); err != nil || len(got) != want {
			t.Errorf("limit %d: got %d, %v; want %d", limit, len(got), err, want)
		}
	}
}

func BenchmarkFill(b *testing.B) {
	trail := NewTrail(Config{Store: &memory{}, Now: time.Now})
	ctx := request(b.Context())
	b.ReportAllocs()
	for b.Loop() {
		trail.Fill(ctx, Event{Kind: GrantRefreshed, Subject: "u", Grant: "g"})
	}
}
