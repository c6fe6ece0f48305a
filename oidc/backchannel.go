package oidc

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"sync"
	"time"

	"github.com/gatekeeper-oidc/gatekeeper/audit"
	"github.com/gatekeeper-oidc/gatekeeper/identity"
	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
	"github.com/gatekeeper-oidc/gatekeeper/internal/flight"
	"github.com/gatekeeper-oidc/gatekeeper/internal/meter"
	"github.com/gatekeeper-oidc/gatekeeper/oauth2"
)

// Sessions ends the sessions of a person; identity.Service is one.
type Sessions interface {
	End(ctx context.Context, actor, userID string, kind audit.Kind, ids ...string) error
}

// LogoutTokens makes the token that tells an application; oauth2.Provider does.
type LogoutTokens interface {
	LogoutToken(ctx context.Context, c *oauth2.Client, l oauth2.Logout) (string, error)
}

// A Poster sends a form to an address that an application registered, and returns
// the status of the answer; fetch.Client is one. An error wraps fetch.ErrRefused
// or fetch.ErrUnreachable, and comes within seconds.
type Poster interface {
	PostForm(ctx context.Context, address string, form url.Values) (status int, err error)
}

// Recorder is the part of the audit trail this package writes to.
type Recorder interface {
	Fill(ctx context.Context, e audit.Event) audit.Event
}

// BackchannelConfig is what a Backchannel needs. Meter may be nil.
type BackchannelConfig struct {
	Sessions Sessions
	Store    oauth2.LogoutStore
	Tokens   LogoutTokens
	Post     Poster
	Trail    Recorder
	Meter    *meter.Meter
	Log      *slog.Logger
}

const (
	lease     = 20 * time.Second       // longer than an attempt: Poster, the store, and some
	attemptIn = 15 * time.Second       // an attempt that takes longer is as good as failed
	patrol    = 2 * time.Second        // between looks at the outbox while nobody rings
	briefly   = 4 * time.Second        // an attempt at one that registered itself
	courtesy  = 800 * time.Millisecond // how long a person's sign-out waits for the applications
	perLogout = 50                     // applications told before a person goes on; the rest follows
)

// A Backchannel tells applications that a session ended (OpenID Connect
// Back-Channel Logout 1.0), whatever ended it. The end of a session leaves a row
// for each application in the outbox, in its own transaction. A row is one
// attempt's at a time, by a lease:
//
//	            ┌── SignOut: with the end of the session, before the browser goes on
//	outbox ─────┤                                    2xx         settled: logout.delivered
//	            └── Run: rung, or on patrol ─► POST ─► later     back into the outbox, with a delay
//	                 of whichever node is there       └ never    settled: logout.abandoned
//
// An application that answers wakes its other rows, so that one that was down hears
// of everything soon. Turns says who gets how many of the attempts at once.
//
// A node that dies takes nothing with it: its leases run out, and another node
// tries. An application may so be told twice, never not at all, and the trail says
// once that it was.
type Backchannel struct {
	cfg   BackchannelConfig
	rung  chan struct{} // something may be due; holds one
	turns turns

	mu      sync.Mutex
	stopped bool
	running sync.WaitGroup // attempts; grows only while not stopped
}

// NewBackchannel returns a Backchannel, or says which field of cfg is missing. Run
// drives it.
func NewBackchannel(cfg BackchannelConfig) (*Backchannel, error) {
	if cfg.Sessions == nil || cfg.Store == nil || cfg.Tokens == nil || cfg.Post == nil || cfg.Trail == nil || cfg.Log == nil {
		return nil, errors.New("oidc: Sessions, Store, Tokens, Post, Trail and Log are required")
	}
	return &Backchannel{cfg: cfg, rung: make(chan struct{}, 1)}, nil
}

// Ring says that a session ended. It never blocks.
func (b *Backchannel) Ring() {
	select {
	case b.rung <- struct{}{}:
	default:
	}
}

// SignOut ends the session of a person who wants to leave, and tells the
// applications it reached, all at once and for less than a second: whoever has not
// answered then hears of it all the same, and the person need not wait for it. It returns the ids of the
// applications reached.
func (b *Backchannel) SignOut(ctx context.Context, userID, session string) (reached []string, err error) {
	var mine []oauth2.Logout
	err = b.cfg.Store.InTx(ctx, func(ctx context.Context) error {
		if err := b.cfg.Sessions.End(ctx, identity.Actor(userID), userID, audit.LogoutRequested, session); err != nil {
			return err
		}
		if mine, err = b.cfg.Store.ClaimLogoutsOf(ctx, session, lease, perLogout); err != nil {
			return fmt.Errorf("claim the logouts of session %s: %w", session, err)
		}
		clients, err := b.cfg.Store.SessionClients(ctx, session)
		reached = clients[session]
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("sign out %s: %w", userID, err)
	}
	if len(mine) > 0 {
		b.tell(ctx, mine)
	}
	return reached, nil
}

// tell attempts each of mine and waits for them, as long as a person may.
func (b *Backchannel) tell(ctx context.Context, mine []oauth2.Logout) {
	var all sync.WaitGroup
	for _, l := range mine {
		all.Add(1)
		if !b.start(ctx, l, all.Done) {
			all.Done()
		}
	}
	done := make(chan struct{})
	go func() { all.Wait(); close(done) }() // ends with the attempts, which Run waits for
	if c, ok := ctx.Value(flight.CallerKey{}).(flight.Caller); ok {
		defer c.Aside()()
	}
	patience := time.NewTimer(courtesy)
	defer patience.Stop()
	select {
	case <-done:
	case <-patience.C:
	case <-ctx.Done():
	}
}

// start makes an attempt of its own, which outlives ctx, and calls then at its
// end. It reports false when the node stops: the lease will run out.
func (b *Backchannel) start(ctx context.Context, l oauth2.Logout, then func()) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.stopped {
		return false
	}
	b.running.Go(func() {
		defer then()
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), attemptIn)
		defer cancel()
		if err := b.attempt(ctx, l); err != nil {
			b.cfg.Log.LogAttrs(ctx, slog.LevelWarn, "an application was not told of a sign-out; it will be", slog.String("event", "backchannel_logout"),
				slog.String("client_id", l.ClientID), slog.String("sid", l.Session), slog.Any("error", err))
		}
	})
	return true
}

// Run attempts what is due until ctx ends, and waits for the attempts under way. A
// store that does not answer is asked again.
func (b *Backchannel) Run(ctx context.Context) error {
	tick := time.NewTicker(patrol)
	defer tick.Stop()
	defer b.stop()
	for {
		if err := b.round(ctx); err != nil && ctx.Err() == nil {
			b.cfg.Log.LogAttrs(ctx, slog.LevelWarn, "the outbox of sign-outs was not read", slog.String("event", "backchannel_logout"), slog.Any("error", err))
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-b.rung:
		case <-tick.C:
		}
	}
}

func (b *Backchannel) stop() {
	b.mu.Lock()
	b.stopped = true
	b.mu.Unlock()
	b.running.Wait()
}

// round starts an attempt for each row that is due, as far as there are slots: first
// of the applications that operators registered.
func (b *Backchannel) round(ctx context.Context) error {
	for _, of := range [...]oauth2.Vouched{oauth2.OfOperators, oauth2.OfStrangers} {
		q := b.turns.query(of)
		if q.Limit == 0 {
			continue
		}
		due, err := b.cfg.Store.ClaimLogouts(ctx, lease, q)
		if err != nil {
			return fmt.Errorf("claim logouts: %w", err)
		}
		b.turns.take(q, due)
		for _, l := range due {
			leave := func() {
				if b.turns.leave(of, l.ClientID) {
					b.Ring()
				}
			}
			if !b.start(ctx, l, leave) {
				leave()
			}
		}
	}
	return nil
}

// attempt tells one application and writes down what came of it. An error means
// that it could not be written: the lease runs out, and the row is due again.
func (b *Backchannel) attempt(ctx context.Context, l oauth2.Logout) error {
	c, err := b.cfg.Store.Client(ctx, l.ClientID)
	if err != nil && !fault.Is(err, fault.NotFound) {
		return fmt.Errorf("client of a logout: %w", err)
	}
	if err != nil || c.BackchannelLogoutURI == "" {
		return b.cfg.Store.DropLogout(ctx, l) // nobody to tell, or by the front channel alone
	}
	o := b.post(ctx, &c, l)
	if o.verdict == later && l.Age < giveUpAfter {
		b.cfg.Meter.BackchannelLogout("retried")
		return b.cfg.Store.PostponeLogout(ctx, l, backoff(l.Attempt, l.Age))
	}
	kind, result := audit.LogoutDelivered, "delivered"
	if o.verdict != told {
		kind, result = audit.LogoutAbandoned, "abandoned"
	}
	mine, err := b.cfg.Store.SettleLogout(ctx, l, b.cfg.Trail.Fill(ctx, o.event(kind, l)))
	if err != nil {
		return fmt.Errorf("settle a logout: %w", err)
	}
	if !mine {
		return nil
	}
	b.cfg.Meter.BackchannelLogout(result)
	if o.verdict != told {
		b.cfg.Log.LogAttrs(ctx, slog.LevelWarn, "an application will not be told of a sign-out", slog.String("event", "backchannel_logout"),
			slog.String("client_id", l.ClientID), slog.String("sid", l.Session), slog.String("reason", o.reason), slog.Any("error", o.cause))
		return nil
	}
	return b.wake(ctx, l.ClientID)
}

// wake makes due what waits for an application that has just answered.
func (b *Backchannel) wake(ctx context.Context, clientID string) error {
	n, err := b.cfg.Store.WakeLogouts(ctx, clientID)
	if err != nil {
		return fmt.Errorf("wake the logouts of %s: %w", clientID, err)
	}
	if n > 0 {
		b.Ring()
	}
	return nil
}

// post sends the token to c and judges the answer.
func (b *Backchannel) post(ctx context.Context, c *oauth2.Client, l oauth2.Logout) outcome {
	token, err := b.cfg.Tokens.LogoutToken(ctx, c, l)
	if err != nil {
		b.cfg.Log.LogAttrs(ctx, slog.LevelWarn, "no logout token could be made", slog.String("event", "backchannel_logout"),
			slog.String("client_id", c.ID), slog.Any("error", err))
		return outcome{verdict: later, reason: "no_token"}
	}
	if c.Dynamic { // who chose to be told may hang, and has few of the slots
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, briefly)
		defer cancel()
	}
	status, err := b.cfg.Post.PostForm(ctx, c.BackchannelLogoutURI, url.Values{"logout_token": {token}})
	return judge(status, err)
}
