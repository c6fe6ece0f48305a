package keys

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gatekeeper-oidc/gatekeeper/internal/flight"
)

// How long a key set from an address is kept. A client that changes its keys is
// believed with the new ones within setGap of the first token that needs them,
// within setRetry if its address did not answer just before that.
const (
	setMinAge  = time.Minute      // whatever the address says
	setMaxAge  = time.Hour        // whatever the address says
	setAge     = 15 * time.Minute // where it says nothing
	setStale   = time.Hour        // longer while the address does not answer
	setGap     = 10 * time.Second // between two questions to one address
	setRetry   = 30 * time.Second // after one that had no good answer
	setBriefly = time.Second      // how long whoever has stale keys waits for fresh ones
	setDefault = 1000             // sets kept
)

// ClientKeys is where a client's public keys are: registered themselves, or at
// an address. At most one is set; the zero value is a client without keys.
type ClientKeys struct {
	JWKS json.RawMessage // jwks
	URI  string          // jwks_uri
}

// A Fetcher gets a JWK Set from an address that a client chose, and how long it
// may be kept, negative if that is not said. It bounds time and size and refuses
// addresses inside the network. flight.ErrFull means that it did not ask now.
type Fetcher interface {
	FetchJWKS(ctx context.Context, uri string) (body []byte, maxAge time.Duration, err error)
}

// ClientSetsConfig is what ClientSets need.
type ClientSetsConfig struct {
	Fetcher Fetcher
	Now     func() time.Time
	Max     int // sets kept; 0 is 1000
}

// ClientSets verify with the keys of clients and encrypt to them, wherever those
// are, and keep what they fetched for a while. They are safe for concurrent use.
//
//	           Cache-Control, 1 min to 1 h; else 15 min        1 h
//	fetched ──────────────────── fresh ────────────────── stale ────► gone
//	                               │                        │
//	a token fits no key: fetched   │                        └ used only while the address
//	again at once, every 10 s      └ used as it is            does not answer, asked every 30 s
//
// An address is asked by one flight at a time, which goes on when nobody waits for
// it any more, so that an address that hangs is known as one.
type ClientSets struct {
	cfg     ClientSetsConfig
	flights *flight.Group[*fetchedSet]

	mu   sync.Mutex
	sets map[string]*remoteSet // by address
}

// A remoteSet is what is known of one address.
type remoteSet struct {
	got   atomic.Pointer[fetchedSet]
	asked atomic.Pointer[attempt]
	used  atomic.Int64 // when, for whom must make room
}

// A fetchedSet is a good answer. It never changes.
type fetchedSet struct {
	keys  []clientKey
	fresh time.Time // until then
}

// NewClientSets returns ClientSets that hold nothing yet.
func NewClientSets(cfg ClientSetsConfig) (*ClientSets, error) {
	if cfg.Fetcher == nil || cfg.Now == nil || cfg.Max < 0 {
		return nil, errors.New("keys: client sets need Fetcher and Now, and Max is positive")
	}
	if cfg.Max == 0 {
		cfg.Max = setDefault
	}
	flights, err := flight.NewGroup[*fetchedSet](flight.ForOthers())
	if err != nil {
		return nil, err
	}
	return &ClientSets{cfg: cfg, flights: flights, sets: map[string]*remoteSet{}}, nil
}

// Wait waits for the questions under way.
func (s *ClientSets) Wait() { s.flights.Wait() }

// Verify is VerifyWith for keys that may be at an address. An error wraps
// ErrSignature, or ErrKeySet: the keys could not be had, so it cannot be told.
func (s *ClientSets) Verify(ctx context.Context, from ClientKeys, token string, algs []string) (payload []byte, h Header, err error) {
	if from.URI == "" {
		return VerifyWith(from.JWKS, token, algs)
	}
	t, err := readToken(token, algs)
	if err != nil {
		return nil, Header{}, err
	}
	if err := s.with(ctx, from.URI, t.signedBy); err != nil {
		return nil, Header{}, err
	}
	return t.payload, t.head, nil
}

// Encrypt is EncryptWith for keys that may be at an address.
func (s *ClientSets) Encrypt(ctx context.Context, from ClientKeys, e Encryption, cty string, payload []byte) (token string, err error) {
	if from.URI == "" {
		return EncryptWith(from.JWKS, e, cty, payload)
	}
	var k clientKey
	err = s.with(ctx, from.URI, func(set []clientKey) error {
		k, err = recipient(set, e.Alg)
		return err
	})
	if err != nil {
		return "", err
	}
	return e.to(k, cty, payload)
}

// Check says whether a client's keys can be had and are a usable JWK Set, as
// CheckJWKS does but for what they are used for. The error wraps ErrKeySet; for a
// registered set its cause is a sentence for people, for an address it is for
// the log alone.
func (s *ClientSets) Check(ctx context.Context, from ClientKeys) error {
	if from.URI != "" {
		return s.with(ctx, from.URI, func([]clientKey) error { return nil })
	}
	if _, err := readSet(from.JWKS); err != nil {
		return fmt.Errorf("%w: %w", ErrKeySet, err)
	}
	return nil
}

// with lets try use the keys at uri, and once more with newer ones, if there are
// any, where try finds that none fits.
func (s *ClientSets) with(ctx context.Context, uri string, try func([]clientKey) error) error {
	r := s.remote(uri)
	set, err := s.current(ctx, uri, r)
	if err != nil {
		return err
	}
	err = try(set.keys)
	if !errors.Is(err, errOtherKey) && !errors.Is(err, ErrKeySet) {
		return err
	}
	newer, askErr := s.ask(ctx, uri, r, set)
	if askErr != nil {
		return fmt.Errorf("%w: none of the keys fits, and newer ones are not to be had: %w", ErrKeySet, askErr)
	}
	if newer == set {
		return err
	}
	return try(newer.keys)
}

// remote returns what is known of uri, forgetting what was not used for longest
// where there are too many.
func (s *ClientSets) remote(uri string) *remoteSet {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.sets[uri]
	if r == nil {
		if len(s.sets) >= s.cfg.Max {
			s.forget()
		}
		r = &remoteSet{}
		s.sets[uri] = r
	}
	r.used.Store(s.cfg.Now().UnixNano())
	return r
}

// forget drops the set that was not used for longest, of those that never came if
// there are any: whoever makes up addresses does not push out what works.
func (s *ClientSets) forget() {
	oldest, at, empty := "", int64(0), false
	for uri, r := range s.sets {
		used, none := r.used.Load(), r.got.Load() == nil
		if oldest == "" || none && !empty || none == empty && used < at {
			oldest, at, empty = uri, used, none
		}
	}
	delete(s.sets, oldest)
}

// current returns the keys at uri: fresh ones, or stale ones while the address
// does not answer.
func (s *ClientSets) current(ctx context.Context, uri string, r *remoteSet) (*fetchedSet, error) {
	set := r.got.Load()
	if set != nil && s.cfg.Now().Before(set.fresh) {
		return set, nil
	}
	stale := set != nil && s.cfg.Now().Before(set.fresh.Add(setStale))
	if stale {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, setBriefly)
		defer cancel()
	}
	newer, err := s.ask(ctx, uri, r, set)
	switch {
	case err == nil:
		return newer, nil
	case stale:
		return set, nil
	default:
		return nil, fmt.Errorf("%w: %w", ErrKeySet, err)
	}
}

// ask gets the keys at uri again, unless somebody did so since seen was read, or
// the address was asked so short a time ago that the last answer still counts.
func (s *ClientSets) ask(ctx context.Context, uri string, r *remoteSet, seen *fetchedSet) (*fetchedSet, error) {
	if set, err, known := s.known(r, seen); known {
		return set, err
	}
	return s.flights.Do(ctx, uri, func(ctx context.Context) (*fetchedSet, error) {
		if set, err, known := s.known(r, seen); known { // another flight has just ended
			return set, err
		}
		began := s.cfg.Now()
		set, err := s.fetch(ctx, uri, began)
		if errors.Is(err, flight.ErrFull) {
			return nil, err // it was not asked, so this says nothing about the address
		}
		if err == nil {
			r.got.Store(set)
		}
		r.asked.Store(&attempt{at: began, err: err})
		return set, err
	})
}

// known answers without asking, where that is possible.
func (s *ClientSets) known(r *remoteSet, seen *fetchedSet) (set *fetchedSet, err error, known bool) { //nolint:revive // known says whether there is an answer, which may be an error
	if now := r.got.Load(); now != seen {
		return now, nil, true
	}
	last := r.asked.Load()
	if last == nil {
		return nil, nil, false
	}
	since := s.cfg.Now().Sub(last.at)
	if since < setGap || last.err != nil && since < setRetry {
		return seen, last.err, true
	}
	return nil, nil, false
}

func (s *ClientSets) fetch(ctx context.Context, uri string, began time.Time) (*fetchedSet, error) {
	body, age, err := s.cfg.Fetcher.FetchJWKS(ctx, uri)
	if err != nil {
		return nil, fmt.Errorf("fetch the keys: %w", err)
	}
	set, err := readSet(body)
	if err != nil {
		return nil, fmt.Errorf("the fetched keys: %w", err)
	}
	if age < 0 {
		age = setAge
	}
	return &fetchedSet{keys: set, fresh: began.Add(min(max(age, setMinAge), setMaxAge))}, nil
}
