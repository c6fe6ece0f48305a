package keys

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
)

// A plan works out what must change about the keys at one moment of the
// database's clock. It is pure but for mint, which makes a key.
type plan struct {
	policy Policy
	now    time.Time
	mint   func(alg string) (Key, error)

	chains map[string][]*Key // by algorithm, in the order of activation
	was    map[string]Key    // by ID, as the store has them
	fresh  []*Key            // minted by this plan
	broken []*Key            // revoked by this plan
}

func newPlan(policy Policy, have []Key, now time.Time, mint func(string) (Key, error)) *plan {
	p := &plan{policy: policy, now: now, mint: mint, chains: map[string][]*Key{}, was: map[string]Key{}}
	for _, k := range have {
		if k.StateAt(now) == Gone {
			continue
		}
		p.was[k.ID] = k
		p.chains[k.Alg] = append(p.chains[k.Alg], &k)
	}
	for alg := range p.chains {
		p.sort(alg)
	}
	return p
}

// sort orders a chain by activation. Of two keys activated in one moment the one
// that gave way retired in that moment, or is the older and came first.
func (p *plan) sort(alg string) {
	slices.SortStableFunc(p.chains[alg], func(a, b *Key) int {
		return cmp.Or(a.ActivateAt.Compare(b.ActivateAt), a.RetireAt.Compare(b.RetireAt))
	})
}

// settle makes every algorithm of the policy have an active key, and a successor
// where that one's end is near.
func (p *plan) settle() error {
	for _, alg := range p.policy.all() {
		for _, step := range []func(string) error{p.activate, p.succeed} {
			if err := step(alg); err != nil {
				return fmt.Errorf("plan %s keys: %w", alg, err)
			}
		}
		p.link(alg)
	}
	return nil
}

// activate makes sure a key of alg can sign now: on the first start, after every
// key is gone, and after the database's clock went back before all activations.
func (p *plan) activate(alg string) error {
	if p.find(alg, Active) != nil || p.promote(alg) {
		return nil
	}
	if len(p.chains[alg]) > 0 {
		return nil // one that retired without a successor; succeed lets it go on
	}
	_, err := p.create(alg, p.now)
	return err
}

// succeed makes a successor for the last key of alg when that one retires sooner
// than a new key can be published long enough.
func (p *plan) succeed(alg string) error {
	chain := p.chains[alg]
	last := chain[len(chain)-1]
	ready := p.now.Add(p.policy.lead())
	if last.RetireAt.After(ready) {
		return nil
	}
	last.RetireAt = later(last.RetireAt, ready)
	_, err := p.create(alg, last.RetireAt)
	return err
}

// link lets each key of alg retire in the moment its successor becomes active,
// and keeps it published long enough after that.
func (p *plan) link(alg string) {
	chain := p.chains[alg]
	for i, k := range chain {
		if !k.RetireAt.After(p.now) {
			continue // over already; its tokens are what they are
		}
		if i+1 < len(chain) {
			p.close(k, chain[i+1])
		}
		p.retain(k)
	}
}

// close leaves neither gap nor overlap between k and its successor. A gap comes
// from a clock that was ahead when the successor was made.
func (p *plan) close(k, successor *Key) {
	soonest := later(k.RetireAt, p.now.Add(p.policy.lead()))
	if successor.ActivateAt.After(soonest) {
		successor.ActivateAt = soonest
		successor.RetireAt = soonest.Add(p.policy.Lifetime)
	}
	k.RetireAt = successor.ActivateAt
}

// retain sets RemoveAt after a new RetireAt; else it only ever moves it later, so
// that nodes of two versions with two policies do not undo each other's work.
func (p *plan) retain(k *Key) {
	until := k.RetireAt.Add(p.policy.Retain)
	if !k.RetireAt.Equal(p.was[k.ID].RetireAt) || until.After(k.RemoveAt) {
		k.RemoveAt = until
	}
}

// rotate makes a successor for alg: active after it was published long enough,
// or at once, and then a waiting successor is discarded, for a leak that made a
// rotation urgent may have taken that one too.
func (p *plan) rotate(alg string, atOnce bool) (*Key, error) {
	if atOnce {
		for next := p.find(alg, Next); next != nil; next = p.find(alg, Next) {
			p.withdraw(next)
		}
		return p.create(alg, p.now)
	}
	if next := p.find(alg, Next); next != nil {
		return next, nil
	}
	return p.create(alg, p.now.Add(p.policy.lead()))
}

// rotateAll rotates algs, settles everything, and lists the successors.
func (p *plan) rotateAll(algs []string, atOnce bool) ([]Listed, error) {
	var successors []*Key
	for _, alg := range algs {
		k, err := p.rotate(alg, atOnce)
		if err != nil {
			return nil, fmt.Errorf("rotate %s: %w", alg, err)
		}
		successors = append(successors, k)
	}
	if err := p.settle(); err != nil {
		return nil, err
	}
	list := make([]Listed, len(successors))
	for i, k := range successors {
		list[i] = listed(*k, p.now)
	}
	return list, nil
}

// revoke takes the key called id out, and lets its successor sign at once if it
// was the one that signed.
func (p *plan) revoke(id string) error {
	for _, chain := range p.chains {
		for _, k := range chain {
			if k.ID == id {
				p.withdraw(k)
				return nil
			}
		}
	}
	return fault.Missing("key", id)
}

func (p *plan) withdraw(k *Key) {
	k.RevokedAt = p.now
	p.broken = append(p.broken, k)
	p.chains[k.Alg] = slices.DeleteFunc(p.chains[k.Alg], func(other *Key) bool { return other == k })
}

// promote makes the first waiting key of alg active now, if there is one.
func (p *plan) promote(alg string) bool {
	k := p.find(alg, Next)
	if k == nil {
		return false
	}
	k.ActivateAt = p.now
	return true
}

func (p *plan) create(alg string, at time.Time) (*Key, error) {
	k, err := p.mint(alg)
	if err != nil {
		return nil, err
	}
	k.CreatedAt, k.ActivateAt, k.RetireAt = p.now, at, at.Add(p.policy.Lifetime)
	k.RemoveAt = k.RetireAt.Add(p.policy.Retain)
	p.fresh = append(p.fresh, &k)
	p.chains[alg] = append(p.chains[alg], &k)
	p.sort(alg)
	return &k, nil
}

// find returns the earliest key of alg in state s.
func (p *plan) find(alg string, s State) *Key {
	for _, k := range p.chains[alg] {
		if k.StateAt(p.now) == s {
			return k
		}
	}
	return nil
}

// changed returns the rows to write.
func (p *plan) changed() []Key {
	var rows []Key
	for _, chain := range p.chains {
		for _, k := range chain {
			if was, had := p.was[k.ID]; !had || !sameDates(was, *k) {
				rows = append(rows, *k)
			}
		}
	}
	for _, k := range p.broken {
		rows = append(rows, *k)
	}
	slices.SortFunc(rows, func(a, b Key) int { return cmp.Compare(a.ID, b.ID) })
	return rows
}

// events returns what the trail must know: keys that came and keys that were
// revoked. Dates that pass are no event.
func (p *plan) events() []Change {
	var events []Change
	for _, k := range p.broken {
		events = append(events, Change{Kind: "revoked", Key: *k})
	}
	for _, k := range p.fresh {
		events = append(events, Change{Kind: "created", Key: *k})
	}
	return events
}

func sameDates(a, b Key) bool {
	return a.ActivateAt.Equal(b.ActivateAt) && a.RetireAt.Equal(b.RetireAt) && a.RemoveAt.Equal(b.RemoveAt)
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
