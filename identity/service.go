package identity

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gatekeeper-oidc/gatekeeper/audit"
	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
	"github.com/gatekeeper-oidc/gatekeeper/internal/meter"
	"github.com/gatekeeper-oidc/gatekeeper/internal/ratelimit"
)

var errMarshalSecret = errors.New("identity: a credential is never marshalled")

// Recorder is the part of the audit trail this package writes to.
type Recorder interface {
	Record(ctx context.Context, e audit.Event) error
}

// Policy holds the limits that are the operator's to choose. A zero field means
// its default.
type Policy struct {
	SessionIdle     time.Duration // 1 h
	SessionAbsolute time.Duration // 24 h
	MinPassword     int           // characters (15; 8 once a second factor exists)
	MaxSessions     int           // per user (20); the oldest is ended
}

func (p Policy) orDefault() Policy {
	if p.SessionIdle <= 0 {
		p.SessionIdle = time.Hour
	}
	if p.SessionAbsolute <= 0 {
		p.SessionAbsolute = 24 * time.Hour
	}
	if p.MinPassword <= 0 {
		p.MinPassword = 15
	}
	if p.MaxSessions <= 0 {
		p.MaxSessions = 20
	}
	return p
}

// Service holds the rules about people. Every field but Meter, Policy and, in tests,
// Key is required. A Service must not be copied after first use.
type Service struct {
	Store  Store
	Trail  Recorder
	Hasher *Hasher
	Limits ratelimit.Source
	Meter  *meter.Meter
	Policy Policy
	Now    func() time.Time
	Key    [32]byte // names what limits and counters are kept under

	lanes lanes
}

// System is the actor of what the program does by itself.
const System = "system"

// Actor returns the actor string of a user, as the audit trail knows it.
func Actor(userID string) string { return "user:" + userID }

// notFound returns the NotFound of a user an administrator named.
func notFound(user string) error { return fault.Missing("user", user) }

// User returns the user with an id; fault.NotFound if there is none.
func (s *Service) User(ctx context.Context, id string) (User, error) {
	u, err := s.Store.User(ctx, id)
	if fault.Is(err, fault.NotFound) {
		return User{}, notFound(id)
	}
	return u, err
}

// Find returns the user with an id or an email address in any spelling;
// fault.NotFound if there is none.
func (s *Service) Find(ctx context.Context, idOrEmail string) (User, error) {
	if !strings.Contains(idOrEmail, "@") {
		return s.User(ctx, idOrEmail)
	}
	email, err := NormalizeEmail(idOrEmail)
	if err != nil {
		return User{}, err
	}
	u, err := s.Store.UserByEmail(ctx, email)
	if fault.Is(err, fault.NotFound) {
		return User{}, notFound(idOrEmail)
	}
	return u, err
}

// Users returns a page of users whose address or name contains query, and the
// cursor of the next page, "" if there is none. A page is 50 unless p.Limit says
// otherwise, 200 at most.
func (s *Service) Users(ctx context.Context, query string, p Page) (users []User, next string, err error) {
	if p.Limit <= 0 {
		p.Limit = 50
	}
	p.Limit = min(p.Limit, 200)
	return s.Store.Users(ctx, strings.ToLower(strings.TrimSpace(query)), p)
}

// Sessions returns the live sessions of a user, or of everybody if userID is "",
// newest first, without those that were idle for too long.
func (s *Service) Sessions(ctx context.Context, userID string) ([]Session, error) {
	live, err := s.Store.Sessions(ctx, userID)
	if err != nil {
		return nil, fmt.Errorf("list sessions: %w", err)
	}
	since := s.Now().Add(-s.Policy.orDefault().SessionIdle)
	return slices.DeleteFunc(live, func(l Session) bool { return !l.LastSeenAt.After(since) }), nil
}

// lanes bounds how many attempts on one account are under way in this process, so
// that attempts sent at once cannot all be judged by the count of misses before
// them. The zero value is ready.
type lanes struct {
	mu   sync.Mutex
	open map[string]*lane
}

type lane struct {
	slots chan struct{}
	users int
}

// enter waits for one of width places on the account's lane, two seconds at most.
// It returns how many are under way, this one included.
func (l *lanes) enter(ctx context.Context, account string, width int) (underWay int, leave func(), err error) {
	l.mu.Lock()
	if l.open == nil {
		l.open = make(map[string]*lane)
	}
	a := l.open[account]
	if a == nil {
		a = &lane{slots: make(chan struct{}, width)}
		l.open[account] = a
	}
	a.users++
	l.mu.Unlock()

	forget := func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if a.users--; a.users == 0 {
			delete(l.open, account)
		}
	}
	timer := time.NewTimer(maxWait)
	defer timer.Stop()
	select {
	case a.slots <- struct{}{}:
		return len(a.slots), func() { <-a.slots; forget() }, nil
	case <-timer.C:
		forget()
		return 0, nil, tooMany("login.lane", maxWait)
	case <-ctx.Done():
		forget()
		return 0, nil, fault.Down("login", ctx.Err())
	}
}
