package keys

import (
	"context"
	"crypto/elliptic"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/gatekeeper-oidc/gatekeeper/internal/flight"
)

// A shelf is where clients publish their keys: a Fetcher with what it answers.
type shelf struct {
	mu    sync.Mutex
	sets  map[string]json.RawMessage
	age   time.Duration
	down  error
	asked int
	wait  chan struct{} // answers are held until it closes
}

func (s *shelf) FetchJWKS(ctx context.Context, uri string) ([]byte, time.Duration, error) {
	s.mu.Lock()
	s.asked++
	wait := s.wait
	s.mu.Unlock()
	if wait != nil {
		select {
		case <-wait:
		case <-ctx.Done():
			return nil, 0, ctx.Err()
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sets[uri], s.age, s.down
}

func (s *shelf) put(change func(*shelf)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(s)
}

func (s *shelf) times() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked
}

const shop = "https://shop.example/jwks.json"

var shopKeys = ClientKeys{URI: shop}

// shopping is a client that publishes its keys, and us who fetch them.
func shopping(tb testing.TB, age time.Duration) (*world, *shelf, *ClientSets) {
	tb.Helper()
	w, s := newWorld(), &shelf{sets: map[string]json.RawMessage{}, age: age}
	c, err := NewClientSets(ClientSetsConfig{Fetcher: s, Now: w.clock})
	if err != nil {
		tb.Fatal(err)
	}
	return w, s, c
}

// pair returns a published set and a token one of its keys signed.
func pair(tb testing.TB, kid string) (set json.RawMessage, token string) {
	tb.Helper()
	k := newEC(tb, elliptic.P256())
	return setOf(tb, jose.JSONWebKey{Key: k.Public(), KeyID: kid}), assertion(tb, ES256, k, kid)
}

func (s *shelf) publish(set json.RawMessage) { s.put(func(s *shelf) { s.sets[shop] = set }) }

func verify(tb testing.TB, c *ClientSets, token string) error {
	tb.Helper()
	_, _, err := c.Verify(tb.Context(), shopKeys, token, []string{ES256})
	return err
}

func TestFetchedKeysAreKeptAsLongAsTheirAddressSays(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ says, kept time.Duration }{
		"nothing":    {-1, 15 * time.Minute},
		"no-store":   {0, time.Minute},
		"a second":   {time.Second, time.Minute},
		"ten":        {10 * time.Minute, 10 * time.Minute},
		"for a year": {8760 * time.Hour, time.Hour},
	} {
		w, s, sets := shopping(t, c.says)
		set, token := pair(t, "a")
		s.publish(set)
		for _, step := range []struct {
			pass  time.Duration
			asked int
		}{{0, 1}, {0, 1}, {c.kept - 1, 1}, {1, 2}} {
			w.advance(step.pass)
			if err := verify(t, sets, token); err != nil || s.times() != step.asked {
				t.Errorf("%s: after %s: asked %d times, want %d: %v", name, step.pass, s.times(), step.asked, err)
			}
		}
	}
}

func TestNewKeysAreBelievedSoon(t *testing.T) {
	t.Parallel()
	for name, kid := range map[string]string{"a new kid": "b", "the same kid": "a", "no kid": ""} {
		w, s, sets := shopping(t, time.Hour)
		set, token := pair(t, strings.Repeat("a", len(kid)))
		s.publish(set)
		if err := verify(t, sets, token); err != nil {
			t.Fatal(err)
		}
		newSet, newToken := pair(t, kid)
		s.publish(newSet)
		if err := verify(t, sets, newToken); !errors.Is(err, ErrSignature) || s.times() != 1 {
			t.Errorf("%s: at once: asked %d times: %v", name, s.times(), err)
		}
		w.advance(setGap)
		if err := verify(t, sets, newToken); err != nil || s.times() != 2 {
			t.Errorf("%s: after a moment: asked %d times: %v", name, s.times(), err)
		}
		if err := verify(t, sets, token); !errors.Is(err, ErrSignature) {
			t.Errorf("%s: the old key still counts: %v", name, err)
		}
	}
}

func TestBadTokensDoNotMakeUsAskOften(t *testing.T) {
	t.Parallel()
	w, s, sets := shopping(t, time.Hour)
	set, _ := pair(t, "a")
	_, stranger := pair(t, "evil")
	s.publish(set)
	for range 600 { // ten minutes
		if err := verify(t, sets, stranger); !errors.Is(err, ErrSignature) {
			t.Fatal(err)
		}
		w.advance(time.Second)
	}
	if got := s.times(); got != 60 {
		t.Errorf("asked %d times in ten minutes, want 60", got)
	}
	before := s.times()
	w.advance(setGap)
	for name, token := range map[string]string{
		"alg not allowed": assertion(t, "PS256", newRSA(t, 2048), "a"), "no token": "x", "symmetric": macOf(t, jose.HS256, strings.Repeat("k", 32)),
	} {
		if err := verify(t, sets, token); !errors.Is(err, ErrSignature) || s.times() != before {
			t.Errorf("%s: asked, though no key could help: %v", name, err)
		}
	}
}

func TestAddressesThatDoNotAnswer(t *testing.T) {
	t.Parallel()
	w, s, sets := shopping(t, 10*time.Minute)
	set, token := pair(t, "a")
	_, stranger := pair(t, "b")
	s.put(func(s *shelf) { s.down = errDown })
	for _, step := range []struct {
		pass  time.Duration
		asked int
	}{{0, 1}, {setRetry - 1, 1}, {1, 2}} {
		w.advance(step.pass)
		if err := verify(t, sets, token); !errors.Is(err, ErrKeySet) || errors.Is(err, ErrSignature) || s.times() != step.asked {
			t.Errorf("asked %d times, want %d: %v", s.times(), step.asked, err)
		}
	}
	w.advance(setRetry)
	s.publish(set)
	s.put(func(s *shelf) { s.down = nil })
	if err := verify(t, sets, token); err != nil {
		t.Errorf("it answers again: %v", err)
	}
	s.put(func(s *shelf) { s.down = errDown })
	w.advance(10*time.Minute + setStale - 1)
	if err := verify(t, sets, token); err != nil {
		t.Errorf("stale keys, while it does not answer: %v", err)
	}
	if err := verify(t, sets, stranger); !errors.Is(err, ErrKeySet) {
		t.Errorf("whether there is a newer key cannot be told: %v", err)
	}
	w.advance(1)
	if err := verify(t, sets, token); !errors.Is(err, ErrKeySet) {
		t.Errorf("too stale: %v", err)
	}
}

func TestAnswersThatAreNoKeySet(t *testing.T) {
	t.Parallel()
	private := setOf(t, jose.JSONWebKey{Key: newEC(t, elliptic.P256())})
	for name, body := range map[string]string{
		"nothing": "", "a page": "<html>", "no keys": `{"keys":[]}`, "private": string(private), "symmetric": `{"keys":[{"kty":"oct","k":"AAAA"}]}`,
		"endless": `{"keys":[` + strings.Repeat(" ", maxSetLen),
	} {
		_, s, sets := shopping(t, -1)
		_, token := pair(t, "a")
		s.publish(json.RawMessage(body))
		if err := verify(t, sets, token); !errors.Is(err, ErrKeySet) {
			t.Errorf("%s: %v", name, err)
		}
		if err := sets.Check(t.Context(), shopKeys); !errors.Is(err, ErrKeySet) {
			t.Errorf("%s: checked: %v", name, err)
		}
		if err := sets.Check(t.Context(), ClientKeys{JWKS: json.RawMessage(body)}); !errors.Is(err, ErrKeySet) {
			t.Errorf("%s: checked by value: %v", name, err)
		}
	}
}

func TestManyCallersAskOnce(t *testing.T) {
	t.Parallel()
	set, token := pair(t, "a")
	synctest.Test(t, func(t *testing.T) {
		_, s, sets := shopping(t, -1)
		s.publish(set)
		s.wait = make(chan struct{})
		impatient, leave := context.WithCancel(t.Context())
		var all sync.WaitGroup
		var verified, left atomic.Int32
		for i := range 50 {
			all.Go(func() {
				ctx := t.Context()
				if i%2 == 0 {
					ctx = impatient
				}
				switch _, _, err := sets.Verify(ctx, shopKeys, token, []string{ES256}); {
				case err == nil:
					verified.Add(1)
				case errors.Is(err, context.Canceled) && errors.Is(err, ErrKeySet):
					left.Add(1)
				default:
					t.Error(err)
				}
			})
		}
		synctest.Wait() // one asks, the others wait for it
		if s.times() != 1 {
			t.Errorf("asked %d times at once", s.times())
		}
		leave() // whoever leaves does not spoil it for the others
		synctest.Wait()
		close(s.wait)
		all.Wait()
		if verified.Load() != 25 || left.Load() != 25 || s.times() > 2 {
			t.Errorf("%d verified, %d left, asked %d times", verified.Load(), left.Load(), s.times())
		}
	})
}

func TestSetsMakeRoom(t *testing.T) {
	t.Parallel()
	w, s := newWorld(), &shelf{sets: map[string]json.RawMessage{}, age: time.Hour}
	sets, err := NewClientSets(ClientSetsConfig{Fetcher: s, Now: w.clock, Max: 2})
	if err != nil {
		t.Fatal(err)
	}
	set, _ := pair(t, "a")
	for i, step := range []struct {
		uri   string
		asked int
	}{{"a", 1}, {"b", 2}, {"a", 2}, {"c", 3}, {"a", 3}, {"b", 4}} { // c took the place of b
		s.put(func(s *shelf) { s.sets[step.uri] = set })
		w.advance(time.Second)
		if err := sets.Check(t.Context(), ClientKeys{URI: step.uri}); err != nil || s.times() != step.asked || len(sets.sets) > 2 {
			t.Errorf("step %d: asked %d times, want %d, %d kept: %v", i, s.times(), step.asked, len(sets.sets), err)
		}
	}
	for name, cfg := range map[string]ClientSetsConfig{"nothing": {}, "no clock": {Fetcher: s}, "negative": {Fetcher: s, Now: w.clock, Max: -1}} {
		if _, err := NewClientSets(cfg); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestRegisteredKeysNeedNoAddress(t *testing.T) {
	t.Parallel()
	_, s, sets := shopping(t, -1)
	k := newRSA(t, 2048)
	from := ClientKeys{JWKS: setOf(t, jose.JSONWebKey{Key: k.Public()})}
	if _, h, err := sets.Verify(t.Context(), from, assertion(t, RS256, k, ""), []string{RS256}); err != nil || h.Alg != RS256 {
		t.Errorf("%+v, %v", h, err)
	}
	if _, err := sets.Encrypt(t.Context(), from, Encryption{Alg: RSAOAEP256}, "JWT", []byte("x")); err != nil {
		t.Error(err)
	}
	if err := sets.Check(t.Context(), from); err != nil {
		t.Error(err)
	}
	if _, _, err := sets.Verify(t.Context(), ClientKeys{}, assertion(t, RS256, k, ""), []string{RS256}); !errors.Is(err, ErrSignature) {
		t.Errorf("a client without keys: %v", err)
	}
	if s.times() != 0 {
		t.Error("somebody was asked")
	}
}

func TestEncryptToFetchedKeys(t *testing.T) {
	t.Parallel()
	w, s, sets := shopping(t, time.Hour)
	k := newRSA(t, 2048)
	signing, _ := pair(t, "a")
	s.publish(signing)
	if _, err := sets.Encrypt(t.Context(), shopKeys, Encryption{Alg: RSAOAEP}, "JWT", []byte("x")); !errors.Is(err, ErrKeySet) {
		t.Errorf("no key for it: %v", err)
	}
	s.publish(setOf(t, jose.JSONWebKey{Key: k.Public(), Use: "enc"}))
	w.advance(setGap)
	token, err := sets.Encrypt(t.Context(), shopKeys, Encryption{Alg: RSAOAEP}, "JWT", []byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	jwe, err := jose.ParseEncryptedCompact(token, joseAlgs(), joseEncs())
	if err != nil {
		t.Fatal(err)
	}
	if got, err := jwe.Decrypt(k); err != nil || string(got) != "x" {
		t.Errorf("%s, %v", got, err)
	}
}

func TestFewKeysAreTried(t *testing.T) {
	t.Parallel()
	keys := make([]jose.JSONWebKey, maxTries)
	for i := range keys {
		keys[i] = jose.JSONWebKey{Key: newEC(t, elliptic.P256()).Public()}
	}
	k := newEC(t, elliptic.P256())
	mine := jose.JSONWebKey{Key: k.Public()}
	token := assertion(t, ES256, k, "")
	if _, _, err := VerifyWith(setOf(t, append(keys[:maxTries-1:maxTries-1], mine)...), token, []string{ES256}); err != nil {
		t.Errorf("the tenth: %v", err)
	}
	if _, _, err := VerifyWith(setOf(t, append(keys, mine)...), token, []string{ES256}); !errors.Is(err, ErrSignature) {
		t.Errorf("the eleventh: %v", err)
	}
}

// TestAddressesThatHang: whoever waits for one leaves after a moment, is served
// from stale keys if there are any, and the address is known as one that hangs.
func TestAddressesThatHang(t *testing.T) {
	t.Parallel()
	set, token := pair(t, "a")
	synctest.Test(t, func(t *testing.T) {
		w, s, sets := shopping(t, time.Hour)
		s.publish(set)
		s.wait = make(chan struct{})
		for range 3 {
			if err := verify(t, sets, token); !errors.Is(err, ErrKeySet) || s.times() != 1 {
				t.Errorf("first contact: asked %d times: %v", s.times(), err)
			}
		}
		close(s.wait) // it answers late, and that is not lost
		sets.Wait()
		if err := verify(t, sets, token); err != nil || s.times() != 1 {
			t.Errorf("asked %d times: %v", s.times(), err)
		}
		w.advance(time.Hour)
		s.put(func(s *shelf) { s.wait = make(chan struct{}) })
		began := time.Now()
		for range 3 {
			if err := verify(t, sets, token); err != nil || s.times() != 2 {
				t.Errorf("stale: asked %d times: %v", s.times(), err)
			}
		}
		if waited := time.Since(began); waited != 3*setBriefly {
			t.Errorf("waited %s with keys at hand", waited)
		}
		s.put(func(s *shelf) { s.down = errDown })
		close(s.wait)
		sets.Wait()
		if err := verify(t, sets, token); err != nil || s.times() != 2 {
			t.Errorf("asked %d times: %v", s.times(), err)
		}
		s.put(func(s *shelf) { s.down = flight.ErrFull })
		w.advance(setRetry)
		for i := range 3 {
			if err := verify(t, sets, token); err != nil || s.times() != 3+i {
				t.Errorf("not asked now is no answer: asked %d times: %v", s.times(), err)
			}
		}
	})
}
