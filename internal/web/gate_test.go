package web

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
)

// narrow returns a gate with one place, taken.
func narrow(t *testing.T) *gate {
	t.Helper()
	g := newGate(time.Now, Limits{})
	g.limit, g.floor, g.ceiling = 1, 1, 1
	if !g.enter(t.Context(), ranksPrograms) {
		t.Fatal("an empty gate has no place")
	}
	return g
}

func TestTheGateLetsProgramsInFirstAndTheNewestOfThem(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := narrow(t)
		var mu sync.Mutex
		var order []string
		come := func(name string, rank int) {
			go func() {
				if !g.enter(context.Background(), rank) {
					name = "-" + name
				}
				mu.Lock()
				order = append(order, name)
				mu.Unlock()
				if !strings.HasPrefix(name, "-") {
					g.leave(rank, 0, false)
				}
			}()
			synctest.Wait()
		}
		come("page", ranksPages)
		come("operator", ranksOperators)
		come("old token", ranksPrograms)
		come("new token", ranksPrograms)
		g.leave(ranksPrograms, 0, false)
		synctest.Wait()
		if want := []string{"new token", "old token", "operator", "page"}; !slices.Equal(order, want) {
			t.Errorf("got %v, want %v", order, want)
		}
		if g.busy != 0 || !g.stands.IsZero() {
			t.Errorf("%d places are held, somebody waits since %v", g.busy, g.stands)
		}
	})
}

// TestNobodyWaitsLongAtTheGate: a hundred milliseconds, and a quarter of it while
// the queue does not empty; of too many the oldest goes.
func TestNobodyWaitsLongAtTheGate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := narrow(t)
		began := time.Now()
		if g.enter(t.Context(), ranksPages) || time.Since(began) != patience {
			t.Errorf("waited %v, want %v", time.Since(began), patience)
		}
		for range 3 { // somebody always waits
			go g.enter(context.Background(), ranksPages)
			time.Sleep(patience / 2)
		}
		began = time.Now()
		if g.enter(t.Context(), ranksPrograms) || time.Since(began) != impatient {
			t.Errorf("behind a standing queue: waited %v, want %v", time.Since(began), impatient)
		}
		time.Sleep(time.Second)

		var gone atomic.Int64
		for range maxQueue {
			go func() {
				if !g.enter(context.Background(), ranksPrograms) {
					gone.Add(1)
				}
			}()
		}
		synctest.Wait()
		go g.enter(context.Background(), ranksPrograms)
		synctest.Wait()
		g.mu.Lock()
		waiting := len(g.lanes[ranksPrograms].waiting)
		g.mu.Unlock()
		if gone.Load() != 1 || waiting != maxQueue {
			t.Errorf("%d went, %d wait; want 1 and %d", gone.Load(), waiting, maxQueue)
		}
		time.Sleep(time.Second)
		left, leave := context.WithCancel(context.Background())
		leave()
		in := g.enter(left, ranksPrograms)
		g.mu.Lock()
		defer g.mu.Unlock()
		if in || g.busy != 1 {
			t.Errorf("who hung up was let in, or %d are at work", g.busy)
		}
	})
}

func TestPagesNeverTakeMoreThanHalf(t *testing.T) {
	t.Parallel()
	g := newGate(time.Now, Limits{})
	g.limit = 10
	for range 5 {
		if !g.enter(t.Context(), ranksPages) {
			t.Fatal("there is room for five")
		}
	}
	if g.room(ranksPages) || !g.room(ranksPrograms) {
		t.Errorf("pages %v, programs %v; want no room and some", g.room(ranksPages), g.room(ranksPrograms))
	}
}

// TestTheGateNarrowsWhereAnswersAreLate: and widens again, within its bounds.
func TestTheGateNarrowsWhereAnswersAreLate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newGate(time.Now, Limits{})
		cycle := func(took time.Duration, answered bool, rank int) {
			g.mu.Lock()
			g.take(rank)
			g.mu.Unlock()
			g.leave(rank, took, answered)
		}
		for range 100 {
			cycle(time.Second, true, ranksPages) // a password is hashed on purpose
			cycle(5*time.Second, false, ranksPrograms)
		}
		if g.limit != atFirst {
			t.Errorf("pages and failures moved the limit to %v", g.limit)
		}
		for range 100 {
			cycle(time.Second, true, ranksPrograms)
		}
		if g.limit != atFirst*0.8 {
			t.Errorf("within one moment: %v, want one step", g.limit)
		}
		for range 100 {
			time.Sleep(2 * adjust)
			cycle(time.Second, true, ranksPrograms)
		}
		if g.limit != g.floor {
			t.Errorf("limit %v, want the floor %v", g.limit, g.floor)
		}
		for range 100 {
			cycle(time.Millisecond, true, ranksPrograms)
		}
		if g.limit != g.floor {
			t.Errorf("quick answers in an empty house moved the limit to %v", g.limit)
		}
		for range 100_000 {
			g.mu.Lock()
			for float64(g.busy) < g.limit-1 {
				g.take(ranksPrograms)
			}
			g.mu.Unlock()
			g.leave(ranksPrograms, time.Millisecond, true)
		}
		if g.limit < 512 || g.limit > g.ceiling {
			t.Errorf("limit %v, want between 512 and %v", g.limit, g.ceiling)
		}
	})
}

// TestASideStepIsNoWork: the time in which others are waited for makes nobody late.
func TestASideStepIsNoWork(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, func(c *Config) { c.Now = time.Now })
		b.OAuth("GET /waits", func(w http.ResponseWriter, r *http.Request) error {
			back := recordFrom(r.Context()).Aside()
			time.Sleep(3 * time.Second)
			back()
			return fine(w, r)
		}, nil)
		b.OAuth("GET /slow", func(w http.ResponseWriter, r *http.Request) error {
			time.Sleep(3 * time.Second)
			return fine(w, r)
		}, nil)
		if b.get("/waits"); b.gate.limit != atFirst {
			t.Errorf("limit %v", b.gate.limit)
		}
		if b.get("/slow"); b.gate.limit == atFirst {
			t.Error("three seconds of work moved nothing")
		}
	})
}

// TestWhoIsSentAwayCostsNothing: no handler, no reference, no row, one line and a
// total; each audience in its words.
func TestWhoIsSentAwayCostsNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, func(c *Config) { c.Now = time.Now })
		full := func(http.ResponseWriter, *http.Request) error {
			t.Error("a request that was sent away reached its handler")
			return nil
		}
		b.OAuth("POST /token", full, nil)
		b.Resource("GET /userinfo", full, nil)
		b.API("GET /api", full)
		b.Page("GET /login", full)
		b.Published("GET /keys", fine, AnyOrigin)
		b.Probe("GET /healthz", fine)
		b.gate.limit, b.gate.floor = 0, 0
		for _, tt := range []struct{ method, path, contentType, says string }{
			{"POST", "/token", "application/json", `"error":"temporarily_unavailable"`},
			{"GET", "/userinfo", "application/json", `"error":"temporarily_unavailable"`},
			{"GET", "/api", "application/problem+json", `"code":"temporarily_unavailable"`},
			{"GET", "/login", "text/html; charset=utf-8", "<title>"},
		} {
			for range 500 {
				w := b.do(request(tt.method, tt.path, ""))
				if w.Code != 503 || w.Header().Get("Retry-After") != "1" || w.Header().Get("Content-Type") != tt.contentType ||
					!strings.Contains(w.Body.String(), tt.says) || w.Header().Get("Cache-Control") != "no-store" {
					t.Fatalf("%s: %d %v %s", tt.path, w.Code, w.Header(), w.Body)
				}
			}
		}
		for _, path := range []string{"/keys", "/healthz"} {
			if got := b.get(path).Code; got != http.StatusOK {
				t.Errorf("%s: %d", path, got)
			}
		}
		b.tell(t.Context(), true)
		told := map[string]float64{}
		for _, l := range b.log.lines(t) {
			if l["event"] == "request" && l["status"] == 503.0 && l["level"] != "DEBUG" {
				t.Fatalf("a line of its own: %v", l)
			}
			if l["event"] == "overload" {
				told[l["class"].(string)] += l["refused"].(float64)
			}
		}
		if len(b.refused) != 0 || len(told) != 3 || told["applications"] < 1001 || told["pages"] < 501 || told["operators"] < 501 {
			t.Errorf("%d in the trail; told %v", len(b.refused), told)
		}
	})
}

// TestAFloodOfRefusalsIsAFewLines: the first ones of a kind each have a reference of
// their own, the rest show the last of those, and a total tells how many they were.
func TestAFloodOfRefusalsIsAFewLines(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		fault *fault.Error
		first int
		trail bool
	}{
		"a limit":     {&fault.Error{Kind: fault.TooMany, Code: "too_many", Rule: "signup"}, 1, true},
		"a client":    {&fault.Error{Kind: fault.Unauthenticated, Code: "invalid_client", Rule: "client_authenticates"}, 10, true},
		"an address":  {&fault.Error{Kind: fault.Invalid, Code: "invalid_request", Rule: "redirect_uri_registered"}, 10, true},
		"nothing":     {&fault.Error{Kind: fault.NotFound, Code: "not_found", Rule: "route_known"}, 10, false},
		"an outage":   {fault.Down("store", nil), 10, false},
		"our mistake": {&fault.Error{Kind: fault.Internal, Code: "internal", Rule: "x"}, 300, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.OAuth("GET /refused", func(http.ResponseWriter, *http.Request) error { return tt.fault }, nil)
			b.OAuth("GET /other", func(http.ResponseWriter, *http.Request) error { return tt.fault }, nil)
			refs := map[string]int{}
			for range 300 {
				_, ref, _ := strings.Cut(b.get("/refused").Body.String(), "(ref ")
				refs[ref[:9]]++
			}
			lines := 0
			for _, l := range b.log.lines(t) {
				if l["level"] != "DEBUG" {
					lines++
				}
			}
			rows := len(b.refused)
			if want := map[bool]int{true: tt.first}[tt.trail]; len(refs) != tt.first || lines != tt.first || rows != want {
				t.Fatalf("%d references, %d lines, %d rows; want %d, and %d rows", len(refs), lines, rows, tt.first, want)
			}
			b.get("/other") // another route is another kind
			b.tell(t.Context(), true)
			if tt.first == 300 || !tt.trail {
				return
			}
			total := b.refused[len(b.refused)-1]
			if len(b.refused) != rows+2 || total.Count != 300 || total.Reference != b.refused[rows-1].Reference || !b.refused[rows-1].Repeats ||
				refs[total.Reference] != 300-tt.first+1 || total.Network != "192.0.2.1" {
				t.Errorf("%d rows, total %+v, stands for %d", len(b.refused), total, refs[total.Reference])
			}
		})
	}
}

// TestManyNetworksAreStillAFewLines: what is counted is bounded whoever comes.
func TestManyNetworksAreStillAFewLines(t *testing.T) {
	t.Parallel()
	b := newTally(time.Minute)
	written := 0
	for i := range 50_000 {
		k := kind{"/x", "rule", string(rune('a'+i%26)) + time.Duration(i).String()}
		if _, ok := b.add(k, noon(), 1, Refusal{Fault: &fault.Error{Kind: fault.TooMany}}); ok {
			written++
		}
	}
	if written > refusalKinds+1 || len(b.open) > refusalKinds+1 {
		t.Errorf("%d written, %d kinds", written, len(b.open))
	}
	if over := b.end(noon().Add(time.Second), false); len(over) != 0 {
		t.Errorf("%d windows ended early", len(over))
	}
	if over := b.end(noon().Add(time.Minute), false); len(over) != refusalKinds+1 || over[kind{}].seen != 50_000-refusalKinds || len(b.open) != 0 {
		t.Errorf("%d ended, the rest saw %d", len(over), over[kind{}].seen)
	}
}

func TestRunTellsTheTotals(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, func(c *Config) { c.Now = time.Now })
		b.OAuth("GET /refused", func(http.ResponseWriter, *http.Request) error {
			return &fault.Error{Kind: fault.TooMany, Code: "too_many", Rule: "signup"}
		}, nil)
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); _ = b.Run(ctx) }()
		b.get("/refused")
		b.get("/refused")
		time.Sleep(refusalWindow + 2*sweepEvery)
		synctest.Wait()
		if n := len(b.refused); n != 2 || b.refused[1].Count != 2 {
			t.Errorf("after a window: %d", n)
		}
		b.get("/refused")
		b.get("/refused")
		b.get("/refused")
		stop()
		<-done
		if n := len(b.refused); n != 4 || b.refused[3].Count != 3 {
			t.Errorf("after the end: %d", n)
		}
	})
}
