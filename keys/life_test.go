package keys

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// A life is two nodes over one store, and what an outsider saw of them: since
// when each key has been published, and which tokens must still verify.
type life struct {
	w      *world
	rings  []*Ring
	seen   map[string]time.Time // kid → first published
	used   map[string]bool      // kid → has signed
	urgent bool                 // a key may be used unpublished: leak, revocation, leap
	tokens []issued
}

type issued struct {
	token, kid string
	until      time.Time // must verify until then, unless its key is revoked
}

// tokenLife is the longest life of a token, a day less than Policy.Retain.
const tokenLife = day

func (l *life) load(t *rapid.T, r *Ring) {
	if err := r.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, k := range r.snap.Load().keys {
		if _, ok := l.seen[k.ID]; !ok {
			l.seen[k.ID] = l.w.store.now
		}
	}
}

// pass lets time pass; when every key is gone after it, the next is used at once.
func (l *life) pass(d time.Duration) {
	l.w.advance(d)
	l.urgent = l.urgent || len(l.w.store.alive()) == 0
}

// check is what must hold after every step on a node that has loaded.
func (l *life) check(t *rapid.T, r *Ring) {
	now, policy := l.w.store.now, r.cfg.Policy
	active := l.w.store.inState(ES256, Active)
	if len(active) != 1 {
		t.Fatalf("%d active keys, want 1", len(active))
	}
	token, err := r.Sign(t.Context(), ES256, "at+jwt", []byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	c, _ := split(token)
	h, _ := parseHeader(c.head)
	since, ok := l.seen[h.KeyID]
	if !ok {
		t.Fatalf("signed with %s, which is not published", h.KeyID)
	}
	if !l.used[h.KeyID] && !l.urgent && now.Sub(since) < policy.lead() {
		t.Fatalf("signed with %s, published only %s before", h.KeyID, now.Sub(since))
	}
	l.used[h.KeyID], l.urgent = true, false
	if h.KeyID != active[0] {
		t.Fatalf("signed with %s, active is %s", h.KeyID, active[0])
	}
	for _, other := range l.rings {
		l.load(t, other)
		if _, err := other.Verify(token, "at+jwt"); err != nil {
			t.Fatal(err)
		}
	}
	l.tokens = append(l.tokens, issued{token, h.KeyID, now.Add(tokenLife)})
	l.tokens = slices.DeleteFunc(l.tokens, func(i issued) bool { return !now.Before(i.until) })
	for _, i := range l.tokens {
		if _, err := r.Verify(i.token, "at+jwt"); err != nil {
			t.Fatalf("a living token of %s: %v", i.kid, err)
		}
	}
}

func TestLifeOfKeys(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld()
		l := &life{w: w, seen: map[string]time.Time{}, used: map[string]bool{}, urgent: true}
		for range 2 {
			r, err := NewRing(RingConfig{
				Store: w.store, Vault: lifeVault, Source: Software{}, Record: w.store.record,
				Policy: Policy{Algs: []string{ES256}}, Log: quiet, Now: w.clock,
			})
			if err != nil {
				t.Fatal(err)
			}
			l.rings = append(l.rings, r)
			l.load(t, r)
		}
		pick := func() *Ring { return l.rings[rapid.IntRange(0, 1).Draw(t, "node")] }
		t.Repeat(map[string]func(*rapid.T){
			"time passes": func(t *rapid.T) {
				l.pass(time.Duration(rapid.Int64Range(0, int64(20*day)).Draw(t, "for")))
				l.load(t, pick())
			},
			"a long outage": func(t *rapid.T) {
				l.pass(time.Duration(rapid.Int64Range(int64(30*day), int64(100*day)).Draw(t, "for")))
				l.load(t, pick())
			},
			"the database's clock leaps": func(t *rapid.T) {
				w.store.leap(time.Duration(rapid.Int64Range(-int64(100*day), int64(100*day)).Draw(t, "by")))
				l.urgent, l.tokens = true, nil
				clear(l.seen) // dates before the leap mean nothing now
				l.load(t, pick())
			},
			"rotate": func(t *rapid.T) {
				if _, err := pick().Rotate(t.Context(), "", false); err != nil {
					t.Fatal(err)
				}
			},
			"rotate now": func(t *rapid.T) {
				if _, err := pick().Rotate(t.Context(), "", true); err != nil {
					t.Fatal(err)
				}
				l.urgent = true
			},
			"revoke": func(t *rapid.T) {
				r := pick()
				list, err := r.List(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				id := list[rapid.IntRange(0, len(list)-1).Draw(t, "key")].ID
				if err := r.Revoke(t.Context(), id); err != nil {
					t.Fatal(err)
				}
				l.urgent = true
				l.tokens = slices.DeleteFunc(l.tokens, func(i issued) bool { return i.kid == id })
			},
			"": func(t *rapid.T) {
				r := pick()
				l.load(t, r)
				l.check(t, r)
			},
		})
	})
}
