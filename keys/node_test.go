package keys

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
)

func TestStoreDownKeepsTheRingGoing(t *testing.T) {
	t.Parallel()
	w := newWorld()
	r := loaded(t, w.ring(t, ES256))
	token := signed(t, r, ES256)
	w.store.set(func(s *memStore) { s.down = errDown })
	if err := r.Load(t.Context()); !errors.Is(err, errDown) {
		t.Errorf("load: %v", err)
	}
	signed(t, r, ES256)
	if _, err := r.VerifyContext(t.Context(), token, "at+jwt"); err != nil {
		t.Errorf("verify: %v", err)
	}
	stranger := signed(t, loaded(t, newWorld().ring(t, ES256)), ES256)
	_, err := r.VerifyContext(t.Context(), stranger, "at+jwt")
	if errors.Is(err, ErrSignature) || !fault.Is(err, fault.Unavailable) {
		t.Errorf("an unknown kid while the store is down is not a no: %v", err)
	}
}

func TestUnknownKidReadsTheStoreOnceInAWhile(t *testing.T) {
	t.Parallel()
	w := newWorld()
	a, b := loaded(t, w.ring(t, ES256)), loaded(t, w.ring(t, ES256))
	if _, err := a.Rotate(t.Context(), "", true); err != nil {
		t.Fatal(err)
	}
	token := signed(t, a, ES256)
	if _, err := b.Verify(token, "at+jwt"); !errors.Is(err, ErrSignature) {
		t.Errorf("Verify reads no store: %v", err)
	}
	if _, err := b.VerifyContext(t.Context(), token, "at+jwt"); err != nil {
		t.Errorf("a key made by the other node a moment ago: %v", err)
	}
	stranger := signed(t, loaded(t, newWorld().ring(t, ES256)), ES256)
	w.store.set(func(s *memStore) { s.reads = 0 })
	for range 100 {
		if _, err := b.VerifyContext(t.Context(), stranger, "at+jwt"); !errors.Is(err, ErrSignature) {
			t.Fatal(err)
		}
	}
	if w.store.reads != 0 {
		t.Errorf("strangers' tokens caused %d reads within two seconds", w.store.reads)
	}
	w.advance(reloadGap)
	if _, err := b.VerifyContext(t.Context(), stranger, "at+jwt"); !errors.Is(err, ErrSignature) || w.store.reads == 0 {
		t.Errorf("after two seconds: %v, %d reads", err, w.store.reads)
	}
}

func TestRunFollowsTheBellAndTheClock(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := &syncStore{memStore: memStore{keys: map[string]Key{}}}
		node := func() *Ring {
			r, err := NewRing(RingConfig{
				Store: store, Vault: mustVault(t, rootOf(1)), Source: Software{}, Record: store.record,
				Policy: Policy{Algs: []string{ES256}}, Log: quiet,
				Now: time.Now, // the bubble's clock
			})
			if err != nil {
				t.Fatal(err)
			}
			return loaded(t, r)
		}
		a, b := node(), node()
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- b.Run(ctx) }()

		if _, err := a.Rotate(ctx, "", true); err != nil {
			t.Fatal(err)
		}
		token := signed(t, a, ES256)
		b.Reload()
		synctest.Wait()
		if _, err := b.Verify(token, "at+jwt"); err != nil {
			t.Errorf("after the bell: %v", err)
		}
		if _, err := a.Rotate(ctx, "", true); err != nil {
			t.Fatal(err)
		}
		time.Sleep(reloadEvery + reloadGap) // the bubble's clock: the bell was missed
		synctest.Wait()
		if _, err := b.Verify(signed(t, a, ES256), "at+jwt"); err != nil {
			t.Errorf("after half a minute without a bell: %v", err)
		}
		stop()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
	})
}

func TestSignWaitsForASlotAsLongAsItsContext(t *testing.T) {
	t.Parallel()
	r := loaded(t, newWorld().ringWith(t, func(c *RingConfig) { c.Slots, c.Policy.Algs = 1, []string{RS256, ES256} }))
	r.slots <- struct{}{}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.Sign(ctx, RS256, "", nil); !fault.Is(err, fault.Unavailable) {
		t.Errorf("got %v", err)
	}
	if _, err := r.Sign(ctx, ES256, "", nil); err != nil {
		t.Errorf("a cheap signature waits for nobody: %v", err)
	}
	<-r.slots
	if _, err := r.Sign(t.Context(), RS256, "", nil); err != nil {
		t.Error(err)
	}
}

// A syncStore's database clock is the bubble's.
type syncStore struct{ memStore }

func (s *syncStore) Keys(ctx context.Context) ([]Key, time.Time, error) {
	s.set(func(m *memStore) { m.now = time.Now() }) // the bubble's clock
	return s.memStore.Keys(ctx)
}
