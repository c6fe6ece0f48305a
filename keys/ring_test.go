package keys

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
)

var update = flag.Bool("update", false, "rewrite golden files")

func kidOf(tb testing.TB, token string) string {
	tb.Helper()
	c, err := split(token)
	if err != nil {
		tb.Fatal(err)
	}
	h, err := parseHeader(c.head)
	if err != nil {
		tb.Fatal(err)
	}
	return h.KeyID
}

func signed(tb testing.TB, r *Ring, alg string) string {
	tb.Helper()
	token, err := r.Sign(tb.Context(), alg, "at+jwt", []byte(`{"sub":"ana"}`))
	if err != nil {
		tb.Fatal(err)
	}
	return token
}

func published(tb testing.TB, r *Ring) []string {
	tb.Helper()
	body, _, _ := r.JWKS()
	var set struct{ Keys []struct{ Kid string } }
	if err := json.Unmarshal(body, &set); err != nil {
		tb.Fatal(err)
	}
	var kids []string
	for _, k := range set.Keys {
		kids = append(kids, k.Kid)
	}
	return kids
}

func TestFirstStartMakesOneKeyPerAlgorithm(t *testing.T) {
	t.Parallel()
	w := newWorld()
	r := loaded(t, w.ring(t, RS256, ES256, PS256, EdDSA))
	if got := len(published(t, r)); got != 4 {
		t.Errorf("published: got %d keys, want 4", got)
	}
	for _, alg := range r.Algs() {
		if kid := kidOf(t, signed(t, r, alg)); !slices.Equal(w.store.inState(alg, Active), []string{kid}) {
			t.Errorf("%s: signs with %s, active %v", alg, kid, w.store.inState(alg, Active))
		}
	}
	if got := len(w.store.events); got != 4 {
		t.Errorf("events: got %d, want 4", got)
	}
	loaded(t, r)
	if got := len(w.store.keys); got != 4 {
		t.Errorf("after a second load: got %d keys, want 4", got)
	}
}

func TestNodesRacingTheFirstStartShareOneKey(t *testing.T) {
	t.Parallel()
	w := newWorld()
	var all sync.WaitGroup
	rings := make([]*Ring, 16)
	for i := range rings {
		rings[i] = w.ring(t, ES256)
		all.Go(func() {
			if err := rings[i].Load(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if got := len(w.store.keys); got != 1 {
		t.Fatalf("got %d keys, want 1", got)
	}
	token := signed(t, rings[0], ES256)
	for i, r := range rings {
		if _, err := r.Verify(token, "at+jwt"); err != nil {
			t.Errorf("node %d: %v", i, err)
		}
	}
}

func TestRotationIsPublishedFirstAndKeptAfter(t *testing.T) {
	t.Parallel()
	w := newWorld()
	r := loaded(t, w.ring(t, ES256))
	first := signed(t, r, ES256)

	w.advance(29*day - time.Minute)
	loaded(t, r)
	if got := w.store.inState(ES256, Next); len(got) != 0 {
		t.Fatalf("successor made too soon: %v", got)
	}
	w.advance(time.Minute)
	loaded(t, r)
	next := w.store.inState(ES256, Next)
	if len(next) != 1 || !slices.Contains(published(t, r), next[0]) {
		t.Fatalf("successor %v, published %v", next, published(t, r))
	}
	w.advance(day - time.Second)
	if got, want := kidOf(t, signed(t, r, ES256)), kidOf(t, first); got != want {
		t.Errorf("a second before the switch: signs with %s, want %s", got, want)
	}
	w.advance(time.Second) // no load in between: the clock alone switches
	if got := kidOf(t, signed(t, r, ES256)); got != next[0] {
		t.Errorf("at the switch: signs with %s, want %s", got, next[0])
	}
	w.advance(2*day - time.Second)
	loaded(t, r)
	if _, err := r.Verify(first, "at+jwt"); err != nil {
		t.Errorf("a retiring key must verify: %v", err)
	}
	w.advance(time.Second)
	if _, err := r.Verify(first, "at+jwt"); !errors.Is(err, ErrSignature) {
		t.Errorf("a key that is gone must not verify: %v", err)
	}
	loaded(t, r)
	if slices.Contains(published(t, r), kidOf(t, first)) {
		t.Error("a key that is gone is still published")
	}
}

func TestLateRotationLetsTheOldKeyGoOn(t *testing.T) {
	t.Parallel()
	w := newWorld()
	r := loaded(t, w.ring(t, ES256))
	first := kidOf(t, signed(t, r, ES256))
	w.advance(31 * day) // every node was off when a successor was due
	if _, err := r.Sign(t.Context(), ES256, "", nil); !fault.Is(err, fault.Unavailable) {
		t.Errorf("a retired key must not sign: %v", err)
	}
	loaded(t, r)
	if got := kidOf(t, signed(t, r, ES256)); got != first {
		t.Errorf("signs with %s, which nobody has seen, want %s", got, first)
	}
	w.advance(day)
	if got := kidOf(t, signed(t, r, ES256)); got == first {
		t.Error("the successor does not take over")
	}
}

func TestRotate(t *testing.T) {
	t.Parallel()
	w := newWorld()
	r := loaded(t, w.ring(t, ES256, EdDSA))
	old := signed(t, r, ES256)
	got, err := r.Rotate(t.Context(), ES256, false)
	if err != nil || len(got) != 1 || got[0].State != Next || !got[0].ActivateAt.Equal(epoch.Add(day)) {
		t.Fatalf("got %+v, %v", got, err)
	}
	again, err := r.Rotate(t.Context(), ES256, false)
	if err != nil || !cmp.Equal(got, again) {
		t.Errorf("a second rotation must find the waiting successor: %+v, %v", again, err)
	}
	if kidOf(t, signed(t, r, ES256)) != kidOf(t, old) {
		t.Error("signs with a key published just now")
	}
	at, err := r.Rotate(t.Context(), "", true)
	if err != nil || len(at) != 2 || at[0].State != Active || at[1].State != Active {
		t.Fatalf("at once: got %+v, %v", at, err)
	}
	if got := kidOf(t, signed(t, r, ES256)); got != at[0].ID {
		t.Errorf("signs with %s, want %s", got, at[0].ID)
	}
	if slices.Contains(published(t, r), got[0].ID) {
		t.Error("the successor that may have leaked too is still published")
	}
	if _, err := r.Verify(old, "at+jwt"); err != nil {
		t.Errorf("the old key must verify still: %v", err)
	}
	if _, err := r.Rotate(t.Context(), "HS256", false); !fault.Is(err, fault.NotFound) {
		t.Errorf("unknown algorithm: %v", err)
	}
}

func TestRevoke(t *testing.T) {
	t.Parallel()
	w := newWorld()
	r := loaded(t, w.ring(t, ES256))
	token := signed(t, r, ES256)
	if err := r.Revoke(t.Context(), kidOf(t, token)); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Verify(token, "at+jwt"); !errors.Is(err, ErrSignature) {
		t.Errorf("verifies under a revoked key: %v", err)
	}
	other := kidOf(t, signed(t, r, ES256))
	waiting, err := r.Rotate(t.Context(), ES256, false)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Revoke(t.Context(), other); err != nil {
		t.Fatal(err)
	}
	if got := kidOf(t, signed(t, r, ES256)); got != waiting[0].ID {
		t.Errorf("signs with %s; the published successor %s must take over", got, waiting[0].ID)
	}
	if err := r.Revoke(t.Context(), other); !fault.Is(err, fault.NotFound) {
		t.Errorf("revoked twice: %v", err)
	}
	var kinds []string
	for _, e := range w.store.events {
		kinds = append(kinds, e.Kind)
	}
	if want := []string{"created", "revoked", "created", "created", "revoked"}; !slices.Equal(kinds, want) {
		t.Errorf("events: got %v, want %v", kinds, want)
	}
}

func TestWrongRootSecretMakesNoNewKeys(t *testing.T) {
	t.Parallel()
	w := newWorld()
	loaded(t, w.ring(t, ES256))
	w.advance(29 * day) // a rotation is due, and must not happen
	wrong := w.ringWith(t, func(c *RingConfig) { c.Vault, c.Policy.Algs = mustVault(t, rootOf(9)), []string{ES256} })
	if err := wrong.Load(t.Context()); !errors.Is(err, ErrSeal) {
		t.Errorf("load: %v", err)
	}
	if _, err := wrong.Rotate(t.Context(), "", true); !errors.Is(err, ErrSeal) {
		t.Errorf("rotate: %v", err)
	}
	if got := len(w.store.keys); got != 1 {
		t.Fatalf("got %d keys, want 1", got)
	}
	id := w.store.inState(ES256, Active)[0]
	if err := wrong.Revoke(t.Context(), id); err != nil {
		t.Fatalf("an operator may give the lost key up: %v", err)
	}
	if got := w.store.inState(ES256, Active); len(got) != 1 || got[0] == id {
		t.Errorf("active after that: %v", got)
	}
}

func TestChangedRowsAreNoticed(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(k, other Key) Key{
		"another public half":  func(k, other Key) Key { k.Public = other.Public; return k },
		"another private half": func(k, other Key) Key { k.Private = other.Private; return k },
		"another algorithm":    func(k, _ Key) Key { k.Alg = RS256; return k },
		"a stranger's key":     func(k, _ Key) Key { k.Private = []byte("not sealed by us"); return k },
		"a retired stranger":   func(k, _ Key) Key { k.Private, k.RetireAt = nil, k.CreatedAt; return k },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld()
			loaded(t, w.ring(t, ES256, EdDSA))
			k := w.store.keys[w.store.inState(ES256, Active)[0]]
			w.store.keys[k.ID] = change(k, w.store.keys[w.store.inState(EdDSA, Active)[0]])
			if err := w.ring(t, ES256, EdDSA).Load(t.Context()); err == nil {
				t.Error("loaded")
			}
		})
	}
}

func TestNewRingRefuses(t *testing.T) {
	t.Parallel()
	for name, p := range map[string]Policy{
		"symmetric":                 {Algs: []string{"HS256"}},
		"twice":                     {Algs: []string{ES256, ES256}},
		"encryption that signs":     {Algs: []string{ES256, ECDHES}},
		"signature that encrypts":   {Encrypt: []string{ES256}},
		"encryption we do not do":   {Encrypt: []string{"RSA1_5"}},
		"encryption twice":          {Encrypt: []string{ECDHES, ECDHES}},
		"lives shorter than a lead": {Lifetime: day},
		"negative":                  {Retain: -1},
	} {
		full := newWorld().ring(t).cfg
		full.Policy = p
		if _, err := NewRing(full); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := NewRing(RingConfig{}); err == nil {
		t.Error("empty: accepted")
	}
}

func TestJWKSShape(t *testing.T) { // not parallel: it counts allocations
	r := loaded(t, newWorld().ringWith(t, func(cfg *RingConfig) {
		cfg.Policy = Policy{Algs: []string{RS256, ES256, PS256, EdDSA}, Encrypt: ringAlgs}
	}))
	body, etag, maxAge := r.JWKS()
	if maxAge != 15*time.Minute || len(etag) < 16 || strings.HasPrefix(etag, "W/") {
		t.Errorf("etag %s, max-age %s", etag, maxAge)
	}
	var set struct {
		Keys []map[string]string `json:"keys"`
	}
	if err := json.Unmarshal(body, &set); err != nil {
		t.Fatal(err)
	}
	kids := map[string]bool{}
	for _, k := range set.Keys {
		kids[k["kid"]] = true
	}
	if len(kids) != 7 {
		t.Errorf("%d kids, want 7 of their own", len(kids))
	}
	for _, k := range set.Keys {
		for name, v := range k { // what differs from run to run keeps its length
			if slices.Contains([]string{"kid", "n", "x", "y"}, name) {
				k[name] = fmt.Sprintf("%d characters", len(v))
			}
		}
	}
	got, _ := json.MarshalIndent(set, "", "  ")
	golden := filepath.Join("testdata", "jwks.golden.json")
	if *update {
		if err := os.WriteFile(golden, append(got, '\n'), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)+"\n"); diff != "" {
		t.Error(diff)
	}
	if _, again, _ := r.JWKS(); again != etag {
		t.Error("the ETag changes though the set does not")
	}
	if _, err := r.Rotate(t.Context(), ES256, false); err != nil {
		t.Fatal(err)
	}
	if _, changed, _ := r.JWKS(); changed == etag {
		t.Error("the ETag stays though the set changed")
	}
	if n := testing.AllocsPerRun(100, func() { r.JWKS() }); n != 0 {
		t.Errorf("JWKS: %v allocations", n)
	}
}
