package oidc

import (
	"sync"

	"github.com/gatekeeper-oidc/gatekeeper/oauth2"
)

// How many attempts of one node are under way, beside those of sign-outs. What
// registered itself never has the last of them, and no application has many: slow
// ones hold their own up.
const (
	atOnce         = 64
	atOnceStrange  = 24 // of applications that registered themselves
	ofOneOperators = 8
	ofOneStrange   = 2
)

// turns share the attempts out.
type turns struct {
	mu      sync.Mutex
	running map[string]int // attempts, by application
	total   int
	strange int  // of those, of applications that registered themselves
	behind  bool // there may be more due than was claimed
}

// query says what to claim now; Limit 0 is nothing.
func (t *turns) query(of oauth2.Vouched) oauth2.LogoutQuery {
	t.mu.Lock()
	defer t.mu.Unlock()
	q := oauth2.LogoutQuery{Limit: atOnce - t.total, PerClient: ofOneOperators / 2, Of: of}
	if of == oauth2.OfStrangers {
		q.Limit, q.PerClient = min(q.Limit, atOnceStrange-t.strange), ofOneStrange
	}
	most := ofOneOperators - q.PerClient
	if of == oauth2.OfStrangers {
		most = 0
	}
	for client, n := range t.running {
		if n > most {
			q.Except = append(q.Except, client)
		}
	}
	if q.Limit == 0 || len(q.Except) > 0 {
		t.behind = true
	}
	return q
}

// take counts what was claimed by q.
func (t *turns) take(q oauth2.LogoutQuery, due []oauth2.Logout) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.running == nil {
		t.running = map[string]int{}
	}
	claimed := map[string]int{}
	for _, l := range due {
		t.running[l.ClientID]++
		claimed[l.ClientID]++
		if claimed[l.ClientID] == q.PerClient {
			t.behind = true
		}
	}
	t.total += len(due)
	if q.Of == oauth2.OfStrangers {
		t.strange += len(due)
	}
	if len(due) == q.Limit {
		t.behind = true
	}
}

// leave counts an attempt out, and reports whether somebody may wait for its slot.
func (t *turns) leave(of oauth2.Vouched, client string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.running[client]--; t.running[client] == 0 {
		delete(t.running, client)
	}
	t.total--
	if of == oauth2.OfStrangers {
		t.strange--
	}
	again := t.behind
	t.behind = false
	return again
}
