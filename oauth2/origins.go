package oauth2

import (
	"context"
	"sync"
	"time"

	"github.com/gatekeeper-oidc/gatekeeper/identity"
	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
	"github.com/gatekeeper-oidc/gatekeeper/internal/flight"
)

const (
	originsAge = 5 * time.Minute // should a bell be missed
	maxRung    = 200             // clients read one by one; more are read with all the others
)

// origins are those of all clients, read once and then client by client, as the bell
// names them: a change of one client costs one row, however many there are. Of
// callers at once one reads.
type origins struct {
	flights *flight.Group[struct{}]

	mu      sync.Mutex
	rung    map[string]bool     // clients that changed since they were read
	lost    bool                // all may have changed
	reading bool                // what was rung is being read
	at      time.Time           // of the last reading of every client
	of      map[string][]string // by client
	clients map[string]int      // with this origin
}

func newOrigins() (*origins, error) {
	limits := flight.ForOthers()
	limits.PerKey, limits.PerCaller, limits.Total = 1024, 1024, 1024 // it is our own store that is waited for
	flights, err := flight.NewGroup[struct{}](limits)
	return &origins{flights: flights, rung: map[string]bool{}}, err
}

// ring notes what the bell said.
func (o *origins) ring(name string) {
	t := topicOf(name)
	if t.kind != "client" && name != "*" {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if name == "*" || len(o.rung) >= maxRung {
		o.lost = true
		return
	}
	o.rung[t.id] = true
}

// has reports whether some client has the origin, known false if something has to
// be read first.
func (o *origins) has(at string, now time.Time) (yes, known bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.clients[at] > 0, !o.reading && !o.lost && len(o.rung) == 0 && now.Sub(o.at) <= originsAge
}

// due returns which clients to read, or that it is all of them. What is rung from
// now on is due again.
func (o *origins) due(now time.Time) (some map[string]bool, all bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	some, all = o.rung, o.lost || now.Sub(o.at) > originsAge
	o.rung, o.lost, o.reading = map[string]bool{}, false, true
	return some, all
}

// read ends a reading; one that failed is due again, with everything else.
func (o *origins) read(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.reading = false
	if err != nil {
		o.lost = true
	}
}

// put replaces what is known of a client, nil if it is gone. The caller holds mu.
func (o *origins) put(id string, c *Client) {
	for _, was := range o.of[id] {
		if o.clients[was]--; o.clients[was] == 0 {
			delete(o.clients, was)
		}
	}
	delete(o.of, id)
	if c == nil || c.Disabled {
		return
	}
	all := map[string]bool{}
	for _, uri := range c.RedirectURIs {
		if at := origin(uri); at != "" && !all[at] {
			all[at] = true
			o.of[id] = append(o.of[id], at)
			o.clients[at]++
		}
	}
}

// AllowOrigin reports whether a browser origin belongs to a registered redirect
// URI of some client; it is the CORS rule of the token and userinfo endpoints.
// When it cannot tell, it says no.
func (p *Provider) AllowOrigin(ctx context.Context, at string) bool {
	o := p.origins
	for range 2 { // a reading under way may have begun before the last ring
		if yes, known := o.has(at, p.cfg.Now()); known {
			return yes
		}
		_, err := o.flights.Do(ctx, "", func(ctx context.Context) (struct{}, error) {
			err := p.readOrigins(ctx)
			o.read(err)
			return struct{}{}, err
		})
		if err != nil {
			return false
		}
	}
	yes, _ := o.has(at, p.cfg.Now())
	return yes
}

// readOrigins reads what is due.
func (p *Provider) readOrigins(ctx context.Context) error {
	now := p.cfg.Now()
	some, all := p.origins.due(now)
	if all {
		return p.readEveryOrigin(ctx, now)
	}
	for id := range some {
		c, err := p.cfg.Store.Client(ctx, id)
		if err != nil && !fault.Is(err, fault.NotFound) {
			return err
		}
		read := &c
		if err != nil {
			read = nil
		}
		p.origins.mu.Lock()
		p.origins.put(id, read)
		p.origins.mu.Unlock()
	}
	return nil
}

// readEveryOrigin reads those of every client.
func (p *Provider) readEveryOrigin(ctx context.Context, now time.Time) error {
	fresh := origins{of: map[string][]string{}, clients: map[string]int{}}
	for page := (identity.Page{Limit: 500}); ; {
		clients, next, err := p.cfg.Store.Clients(ctx, page)
		if err != nil {
			return err
		}
		for i := range clients {
			fresh.put(clients[i].ID, &clients[i])
		}
		if next == "" {
			break
		}
		page.After = next
	}
	p.origins.mu.Lock()
	defer p.origins.mu.Unlock()
	p.origins.of, p.origins.clients, p.origins.at = fresh.of, fresh.clients, now
	return nil
}
