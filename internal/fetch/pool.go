package fetch

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/maypok86/otter/v2"

	"github.com/gatekeeper-oidc/gatekeeper/internal/flight"
)

const (
	missAge  = 10 * time.Second // how long an address that failed is not asked again
	seatTime = 4 * time.Second  // how long a fetch waits for a seat
	memory   = 16 << 20         // bytes of documents kept
)

// PoolConfig is what a Pool needs. Charge may be nil.
type PoolConfig struct {
	Client *Client
	Now    func() time.Time
	// Charge counts a fetch against who causes it, before it begins: the network
	// of a guest, "" where no request is behind it, and the application whose
	// address it is, "" where there is none yet. false refuses it.
	Charge func(ctx context.Context, guest, client string) bool
}

// A Pool asks addresses for requests that wait for the answer. It is the lane of
// their own that such fetches have: whoever may choose an address may choose one
// that hangs.
//
//	Get ──► kept? ──► flight of this address ──► charge ──► seat ──► Client
//	         answer    one at a time, the          who       few, fair
//	         or miss   request steps aside         caused it
//
// It is safe for concurrent use.
type Pool struct {
	cfg     PoolConfig
	seats   seats
	flights *flight.Group[Document]
	kept    *otter.Cache[string, keptDocument]
}

// A keptDocument is what an address gave, or why it gave nothing.
type keptDocument struct {
	doc   Document
	err   error
	until time.Time
}

// NewPool returns a Pool that keeps nothing yet.
func NewPool(cfg PoolConfig) (*Pool, error) {
	if cfg.Client == nil || cfg.Now == nil {
		return nil, errors.New("fetch: a pool needs Client and Now")
	}
	flights, err := flight.NewGroup[Document](flight.ForOthers())
	if err != nil {
		return nil, err
	}
	kept, err := otter.New(&otter.Options[string, keptDocument]{
		MaximumWeight: memory,
		Weigher:       func(k string, v keptDocument) uint32 { return uint32(512 + len(k) + len(v.doc.Body)) }, //nolint:gosec // bounded by Want
	})
	if err != nil {
		return nil, err
	}
	return &Pool{cfg: cfg, flights: flights, kept: kept}, nil
}

type clientKey struct{}

// an account is the application a fetch is for.
type account struct {
	client   string
	stranger bool
}

// For returns a context whose fetches are for an application, to be counted
// against it. stranger says that nobody vouches for it.
func For(ctx context.Context, client string, stranger bool) context.Context {
	return context.WithValue(ctx, clientKey{}, account{client, stranger})
}

// Get is Client.Get, once for all who ask at the same time, and from memory where
// want says how long an answer is good. An address that failed is not asked again
// for a moment. ErrBusy and flight.ErrLate say nothing about the address; every
// error wraps ErrRefused or ErrUnreachable.
func (p *Pool) Get(ctx context.Context, address string, want Want) (Document, error) {
	if err := p.cfg.Client.Check(address); err != nil {
		return Document{}, err
	}
	key := strings.Join(want.Accept, ",") + " " + address
	if k, ok := p.kept.GetIfPresent(key); ok && p.cfg.Now().Before(k.until) {
		return k.doc, k.err
	}
	doc, err := p.flights.Do(ctx, key, func(ctx context.Context) (Document, error) {
		doc, err := p.ask(ctx, address, want)
		p.keep(key, doc, err, want)
		return doc, err
	})
	if err != nil && !errors.Is(err, ErrRefused) && !errors.Is(err, ErrUnreachable) {
		err = fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	return doc, err
}

// keep remembers an answer as long as want says, and a miss for a moment.
func (p *Pool) keep(key string, doc Document, err error, want Want) {
	age := missAge
	switch {
	case errors.Is(err, ErrBusy):
		return
	case err == nil && want.Keep == nil:
		return
	case err == nil:
		age = want.Keep(doc)
	}
	if age > 0 {
		p.kept.Set(key, keptDocument{doc, err, p.cfg.Now().Add(age)})
	}
}

// FetchJWKS is Client.FetchJWKS in a seat of the Pool's. Whoever calls it sees to
// it that one address is asked once at a time.
func (p *Pool) FetchJWKS(ctx context.Context, address string) (body []byte, maxAge time.Duration, err error) {
	doc, err := p.ask(ctx, address, jwksWant)
	return doc.Body, doc.MaxAge, err
}

// Check is Client.Check.
func (p *Pool) Check(address string) error { return p.cfg.Client.Check(address) }

// Reach is Client.Reach.
func (p *Pool) Reach(ctx context.Context, address string) error {
	return p.cfg.Client.Reach(ctx, address)
}

// Load returns how many fetches are under way, and how many wait for a seat.
func (p *Pool) Load() (underWay, waiting int) { return p.seats.load() }

// Wait waits for the fetches under way.
func (p *Pool) Wait() { p.flights.Wait() }

// ask charges for a fetch, waits for a seat and does it.
func (p *Pool) ask(ctx context.Context, address string, want Want) (Document, error) {
	u, err := url.Parse(address)
	if err != nil {
		return Document{}, refuse("the address does not parse")
	}
	of, _ := ctx.Value(clientKey{}).(account)
	guest := flight.Who(ctx)
	if p.cfg.Charge != nil && !p.cfg.Charge(ctx, guest, of.client) {
		return Document{}, ErrBusy
	}
	patient, cancel := context.WithTimeout(ctx, seatTime)
	defer cancel()
	leave, err := p.seats.take(patient, asker{guest: guest, client: of.client, host: strings.ToLower(u.Hostname()), stranger: of.stranger})
	if err != nil {
		return Document{}, err
	}
	defer leave()
	return p.cfg.Client.Get(ctx, address, want)
}
