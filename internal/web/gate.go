package web

import (
	"context"
	"runtime"
	"slices"
	"sync"
	"time"
)

// The rank of a lane: who is let in first when not everybody can be.
const (
	ranksPrograms = iota // tokens, introspection, userinfo: what applications stand on
	ranksOperators
	ranksPages // a person can try again
	ranks
)

const (
	patience  = 100 * time.Millisecond // of who waits while the queue empties now and then
	impatient = 25 * time.Millisecond  // of who waits while it does not
	tooSlow   = 250 * time.Millisecond // an answer that took longer: fewer at once
	quick     = 100 * time.Millisecond // an answer that took less: more at once
	adjust    = 100 * time.Millisecond // between two steps down
	maxQueue  = 128                    // who may wait, of one lane
	atFirst   = 128                    // at work at once, before anything is known
)

// A gate decides who is at work now, who waits a moment, and who is sent away
// before anything was done for them.
//
//	room in the lane, and in all ──► at work
//	else ──► wait, newest first, programs before pages
//	              └─ 100 ms (25 while the queue stands) are over, or 128 newer wait ──► sent away
//
// How many may be at work at once follows how long they take: work that queues for
// the processor inside the program makes every answer late, and none sooner. What
// waits for somebody else's server, or for a password to be hashed, steps aside.
type gate struct {
	now func() time.Time

	mu      sync.Mutex
	limit   float64 // at work at once, of all lanes
	floor   float64
	ceiling float64
	busy    int
	lanes   [ranks]lane
	stands  time.Time // since when somebody waits; zero if nobody does
	lowered time.Time
}

// A lane is one rank's part of the gate.
type lane struct {
	max     int // at work at once, whatever the gate has room for
	share   float64
	busy    int
	waiting []*waiter // oldest first
}

type waiter struct {
	let chan bool // holds the answer
}

// newGate returns a gate for the given limits.
func newGate(now func() time.Time, l Limits) *gate {
	or := func(n, otherwise int64) int {
		if n <= 0 {
			n = otherwise
		}
		return int(n)
	}
	g := &gate{now: now, limit: atFirst, floor: float64(max(32, 16*runtime.GOMAXPROCS(0)))}
	g.lanes[ranksPrograms] = lane{max: or(l.OAuth, 512), share: 1}
	g.lanes[ranksOperators] = lane{max: or(l.API, 128), share: 0.5}
	g.lanes[ranksPages] = lane{max: or(l.Pages, 256), share: 0.5}
	for i := range g.lanes {
		g.ceiling += float64(g.lanes[i].max)
	}
	return g
}

// room reports whether one more of this rank may be at work.
func (g *gate) room(rank int) bool {
	l := &g.lanes[rank]
	return l.busy < l.max && float64(g.busy) < g.limit && float64(l.busy) < max(1, g.limit*l.share)
}

// enter waits for a place and reports whether there is one; who has one leaves.
func (g *gate) enter(ctx context.Context, rank int) bool {
	g.mu.Lock()
	if g.room(rank) {
		g.take(rank)
		g.mu.Unlock()
		return true
	}
	l, now := &g.lanes[rank], g.now()
	if len(l.waiting) >= maxQueue { // the oldest has the least left of its patience
		l.waiting[0].let <- false
		l.waiting = slices.Delete(l.waiting, 0, 1)
	}
	if g.stands.IsZero() {
		g.stands = now
	}
	wait := patience
	if now.Sub(g.stands) > patience {
		wait = impatient
	}
	w := &waiter{let: make(chan bool, 1)}
	l.waiting = append(l.waiting, w)
	g.mu.Unlock()

	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case in := <-w.let:
		return in
	case <-timer.C:
	case <-ctx.Done():
	}
	return g.giveUp(rank, w)
}

// giveUp takes w out of the queue, unless it was answered meanwhile.
func (g *gate) giveUp(rank int, w *waiter) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	l := &g.lanes[rank]
	i := slices.Index(l.waiting, w)
	if i < 0 {
		return <-w.let
	}
	l.waiting = slices.Delete(l.waiting, i, i+1)
	g.rest()
	return false
}

func (g *gate) take(rank int) {
	g.busy++
	g.lanes[rank].busy++
}

// release gives a place up and lets in whom there is room for now: the highest
// rank first, and of one rank the newest, whose caller is the likeliest to be there.
func (g *gate) release(rank int) {
	g.busy--
	g.lanes[rank].busy--
	for rank := range g.lanes {
		l := &g.lanes[rank]
		for n := len(l.waiting); n > 0 && g.room(rank); n-- {
			w := l.waiting[n-1]
			l.waiting = l.waiting[:n-1]
			g.take(rank)
			w.let <- true
		}
	}
	g.rest()
}

// rest notes that nobody waits.
func (g *gate) rest() {
	for i := range g.lanes {
		if len(g.lanes[i].waiting) > 0 {
			return
		}
	}
	g.stands = time.Time{}
}

// leave ends the work of one request. took is how long it was at work; answered,
// whether that says how fast the program is: a store that hangs does not.
func (g *gate) leave(rank int, took time.Duration, answered bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if answered && rank == ranksPrograms {
		g.learn(took)
	}
	g.release(rank)
}

// learn moves the limit: a fifth down where answers are late, some eight up for
// every round of answers that were quick though all places were taken.
func (g *gate) learn(took time.Duration) {
	switch {
	case took > tooSlow:
		if now := g.now(); now.Sub(g.lowered) > adjust {
			g.limit, g.lowered = max(g.floor, g.limit*0.8), now
		}
	case took < quick && float64(g.busy) >= g.limit-1:
		g.limit = min(g.ceiling, g.limit+8/g.limit)
	}
}

// aside gives a place up for a while, and back takes it again without asking: who
// was let in is not sent away.
func (g *gate) aside(rank int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.release(rank)
}

func (g *gate) back(rank int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.take(rank)
}
