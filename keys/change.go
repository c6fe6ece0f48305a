package keys

import (
	"cmp"
	"context"
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
)

const (
	sealPurpose = "jwk"
	sealPlace   = "signing_keys|private|" // + kid

	reloadEvery = 30 * time.Second // a missed bell costs no more than this
	reloadGap   = 2 * time.Second  // between two loads that strangers' tokens caused
)

// Load reads the keys, creates missing ones, rotates those that are due, and
// swaps the snapshot. It is safe on any number of nodes at once. After an error
// the ring goes on with what it had.
func (r *Ring) Load(ctx context.Context) error {
	select {
	case r.loading <- struct{}{}:
		defer func() { <-r.loading }()
	case <-ctx.Done():
		return fmt.Errorf("load signing keys: %w", context.Cause(ctx))
	}
	return r.load(ctx)
}

// load is Load for the holder of r.loading.
func (r *Ring) load(ctx context.Context) error {
	s, err := r.read(ctx)
	if err != nil {
		return fmt.Errorf("load signing keys: %w", err)
	}
	// The keys have opened: a wrong root secret did not look like no keys at all.
	changed, err := r.change(ctx, (*plan).settle)
	if err != nil {
		return fmt.Errorf("load signing keys: %w", err)
	}
	// With nothing to change, another node may have made between the two readings
	// what was missing in the first.
	if changed || !s.ready(r.cfg.Policy) {
		if s, err = r.read(ctx); err != nil {
			return fmt.Errorf("load signing keys: %w", err)
		}
	}
	r.snap.Store(s)
	return nil
}

// read returns a snapshot of the store. The database's clock is paired with ours
// from after the answer, so this node may be behind by a round trip, never ahead.
func (r *Ring) read(ctx context.Context) (*snapshot, error) {
	have, now, err := r.cfg.Store.Keys(ctx)
	if err != nil {
		return nil, fmt.Errorf("read signing keys: %w", err)
	}
	return r.snapshot(ctx, have, now, r.cfg.Now())
}

// change lets decide work on a plan under the store's lock, writes what became
// different together with its events, and reports whether anything did. decide
// runs first without the lock, to see which keys will be needed: making an RSA
// key takes too long to hold a lock.
func (r *Ring) change(ctx context.Context, decide func(*plan) error) (bool, error) {
	have, now, err := r.cfg.Store.Keys(ctx)
	if err != nil {
		return false, fmt.Errorf("read signing keys: %w", err)
	}
	var algs []string
	dry := newPlan(r.cfg.Policy, have, now, func(alg string) (Key, error) {
		algs = append(algs, alg)
		return Key{ID: fmt.Sprintf("to be made %d", len(algs)), Alg: alg}, nil
	})
	if err := decide(dry); err != nil || len(dry.changed()) == 0 {
		return false, err
	}
	made, err := r.make(ctx, algs)
	if err != nil {
		return false, err
	}
	err = r.cfg.Store.ChangeKeys(ctx, func(ctx context.Context, have []Key, now time.Time) ([]Key, error) {
		return r.decided(ctx, newPlan(r.cfg.Policy, have, now, r.minter(ctx, slices.Clone(made))), decide)
	})
	if err != nil {
		return false, fmt.Errorf("change signing keys: %w", err)
	}
	return true, nil
}

// decided returns the rows that decide wants written, their events recorded.
func (r *Ring) decided(ctx context.Context, p *plan, decide func(*plan) error) ([]Key, error) {
	if err := decide(p); err != nil {
		return nil, err
	}
	for _, e := range p.events() {
		if err := r.cfg.Record(ctx, e); err != nil {
			return nil, fmt.Errorf("record key %s %s: %w", e.Key.ID, e.Kind, err)
		}
	}
	return p.changed(), nil
}

// minter hands out made, and makes more only where another node's change came
// between the dry run and the lock.
func (r *Ring) minter(ctx context.Context, made []Key) func(alg string) (Key, error) {
	return func(alg string) (Key, error) {
		i := slices.IndexFunc(made, func(k Key) bool { return k.Alg == alg })
		if i < 0 {
			return r.makeOne(ctx, alg)
		}
		k := made[i]
		made = slices.Delete(made, i, i+1)
		return k, nil
	}
}

// make makes a key for each of algs, side by side.
func (r *Ring) make(ctx context.Context, algs []string) ([]Key, error) {
	made, errs := make([]Key, len(algs)), make([]error, len(algs))
	var all sync.WaitGroup
	for i, alg := range algs {
		all.Go(func() { made[i], errs[i] = r.makeOne(ctx, alg) })
	}
	all.Wait()
	return made, errors.Join(errs...)
}

// makeOne makes a key for alg; its dates are the plan's to set.
func (r *Ring) makeOne(ctx context.Context, alg string) (Key, error) {
	signer, private, err := r.cfg.Source.Generate(ctx, alg)
	if err != nil {
		return Key{}, err
	}
	defer clear(private)
	return r.seal(alg, signer, private)
}

func (r *Ring) seal(alg string, signer crypto.Signer, private []byte) (Key, error) {
	id, err := thumbprint(signer.Public())
	if err != nil {
		return Key{}, err
	}
	public, err := json.Marshal(publicJWK(signer.Public(), id, alg))
	if err != nil {
		return Key{}, fmt.Errorf("write public key %s: %w", id, err)
	}
	return Key{ID: id, Alg: alg, Public: public, Private: r.cfg.Vault.Seal(sealPurpose, sealPlace+id, private)}, nil
}

// Run calls Load when a key is due, at least every 30 seconds, and after Reload,
// until ctx ends, and returns nil then. A failed Load is logged and tried again.
func (r *Ring) Run(ctx context.Context) error {
	for {
		timer := time.NewTimer(r.wait())
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-r.nudge:
			timer.Stop()
		case <-timer.C:
		}
		if err := r.Load(ctx); err != nil && ctx.Err() == nil {
			r.cfg.Log.LogAttrs(ctx, slog.LevelError, "signing keys not loaded", slog.Any("error", err))
		}
		if !pause(ctx, reloadGap) {
			return nil
		}
	}
}

// wait is the time until the next change of a key's state, at most reloadEvery.
func (r *Ring) wait() time.Duration {
	s := r.snap.Load()
	now := s.clock(r.cfg.Now())
	d := reloadEvery
	for k := range s.all() {
		for _, at := range []time.Time{k.ActivateAt, k.RetireAt, k.RemoveAt} {
			if until := at.Sub(now); until > 0 {
				d = min(d, until)
			}
		}
	}
	return d
}

// pause waits for d and reports whether ctx is still alive.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// Reload makes Run load soon, and never waits. The bell calls it when another
// node changed a key.
func (r *Ring) Reload() {
	select {
	case r.nudge <- struct{}{}:
	default: // a load is coming already
	}
}

// look loads the keys unless seen is no longer the newest reading, or the last
// one is so young that strangers' tokens may not cause another.
func (r *Ring) look(ctx context.Context, seen *snapshot) error {
	select {
	case r.loading <- struct{}{}:
		defer func() { <-r.loading }()
	case <-ctx.Done():
		return fmt.Errorf("wait for signing keys: %w", context.Cause(ctx))
	}
	if r.snap.Load() != seen {
		return nil
	}
	began := r.cfg.Now()
	if !r.looked.at.IsZero() && began.Sub(r.looked.at) < reloadGap {
		return r.looked.err
	}
	err := r.load(ctx)
	if err == nil || ctx.Err() == nil { // a caller who left says nothing about the store
		r.looked = attempt{at: began, err: err}
	}
	return err
}

// List returns every key that is not gone with its state, by algorithm and then
// by activation.
func (r *Ring) List(ctx context.Context) ([]Listed, error) {
	have, now, err := r.cfg.Store.Keys(ctx)
	if err != nil {
		return nil, fmt.Errorf("list signing keys: %w", err)
	}
	list := []Listed{}
	for _, k := range have {
		if k.StateAt(now) != Gone {
			list = append(list, listed(k, now))
		}
	}
	slices.SortFunc(list, func(a, b Listed) int {
		return cmp.Or(cmp.Compare(a.Alg, b.Alg), a.ActivateAt.Compare(b.ActivateAt), cmp.Compare(a.ID, b.ID))
	})
	return list, nil
}

// Rotate publishes a successor for each algorithm (or only alg, if not ""), to
// become active after Policy.Publish, or at once if now is set (after a leak);
// then a successor that was already waiting is revoked. It returns the
// successors; one that was already waiting is not followed by a second.
func (r *Ring) Rotate(ctx context.Context, alg string, now bool) ([]Listed, error) {
	algs := r.cfg.Policy.all()
	if alg != "" {
		if !slices.Contains(algs, alg) {
			return nil, fault.Missing("algorithm", alg)
		}
		algs = []string{alg}
	}
	if _, err := r.read(ctx); err != nil {
		return nil, err // never add keys sealed with another root secret than those there
	}
	var successors []Listed
	_, err := r.change(ctx, func(p *plan) error {
		var err error
		successors, err = p.rotateAll(algs, now)
		return err
	})
	if err != nil {
		return nil, err
	}
	return successors, r.Load(ctx)
}

// Revoke takes a key out of the published set at once and makes sure another is
// active: every token it signed stops verifying. An unknown id is a NotFound
// fault. Keys whose root secret is lost can be revoked too; only when none of
// them is left does the ring make new ones.
func (r *Ring) Revoke(ctx context.Context, id string) error {
	have, now, err := r.cfg.Store.Keys(ctx)
	if err != nil {
		return fmt.Errorf("read signing keys: %w", err)
	}
	others := slices.DeleteFunc(have, func(k Key) bool { return k.ID == id })
	_, sealed := r.snapshot(ctx, others, now, r.cfg.Now())
	_, err = r.change(ctx, func(p *plan) error {
		if err := p.revoke(id); err != nil || sealed != nil {
			return err
		}
		return p.settle()
	})
	if err != nil {
		return err
	}
	if err := r.Load(ctx); err != nil {
		return fmt.Errorf("key %s is revoked, but: %w", id, err)
	}
	return nil
}
