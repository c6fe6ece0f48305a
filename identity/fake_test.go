package identity

import (
	"bytes"
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gatekeeper-oidc/gatekeeper/audit"
	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
	"github.com/gatekeeper-oidc/gatekeeper/internal/ratelimit"
)

// fakeStore is a Store in memory: one transaction at a time, undone on error.
type fakeStore struct {
	clock func() time.Time
	tx    sync.Mutex
	mu    sync.Mutex
	data  tables
	calls map[string]int
	down  error // every call fails with it
}

type tables struct {
	users    map[string]User
	pass     map[string]Password
	misses   map[string]Password // by counter
	sessions map[string]Session
	grants   map[string][]string // live ones, by user
	setup    []byte
	setupEnd time.Time
	events   []audit.Event
}

type txKey struct{}

func newFakeStore(clock func() time.Time) *fakeStore {
	return &fakeStore{clock: clock, calls: map[string]int{}, data: tables{
		users: map[string]User{}, pass: map[string]Password{}, misses: map[string]Password{}, sessions: map[string]Session{}, grants: map[string][]string{},
	}}
}

var _ Store = (*fakeStore)(nil)

func (f *fakeStore) InTx(ctx context.Context, run func(ctx context.Context) error) error {
	f.tx.Lock()
	defer f.tx.Unlock()
	saved := f.snapshot()
	err := run(context.WithValue(ctx, txKey{}, true))
	if err != nil {
		f.mu.Lock()
		f.data = saved
		f.mu.Unlock()
	}
	return err
}

func (f *fakeStore) snapshot() tables {
	f.mu.Lock()
	defer f.mu.Unlock()
	saved := f.data
	saved.users, saved.pass, saved.sessions = maps.Clone(saved.users), maps.Clone(saved.pass), maps.Clone(saved.sessions)
	saved.grants, saved.misses = maps.Clone(saved.grants), maps.Clone(saved.misses)
	return saved
}

// call counts name, and holds off other transactions unless ctx is in one.
func (f *fakeStore) call(ctx context.Context, name string) (unlock func(), err error) {
	inTx := ctx.Value(txKey{}) != nil
	if !inTx {
		f.tx.Lock()
	}
	f.mu.Lock()
	f.calls[name]++
	return func() {
		f.mu.Unlock()
		if !inTx {
			f.tx.Unlock()
		}
	}, f.down
}

func (f *fakeStore) InsertUser(ctx context.Context, u User) error {
	unlock, err := f.call(ctx, "InsertUser")
	defer unlock()
	if err != nil {
		return err
	}
	for _, o := range f.data.users {
		if o.Email == u.Email {
			return &fault.Error{Kind: fault.Conflict, Code: "conflict"}
		}
	}
	f.data.users[u.ID] = u
	return nil
}

func (f *fakeStore) UpdateUser(ctx context.Context, u User) error {
	unlock, err := f.call(ctx, "UpdateUser")
	defer unlock()
	if err != nil {
		return err
	}
	for _, o := range f.data.users {
		if o.Email == u.Email && o.ID != u.ID {
			return &fault.Error{Kind: fault.Conflict, Code: "conflict"}
		}
	}
	f.data.users[u.ID] = u
	return nil
}

func (f *fakeStore) DeleteUser(ctx context.Context, id string) error {
	unlock, err := f.call(ctx, "DeleteUser")
	defer unlock()
	delete(f.data.users, id)
	delete(f.data.pass, id)
	return err
}

func (f *fakeStore) User(ctx context.Context, id string) (User, error) {
	unlock, err := f.call(ctx, "User")
	defer unlock()
	if u, ok := f.data.users[id]; ok || err != nil {
		return u, err
	}
	return User{}, fault.Missing("user", id)
}

func (f *fakeStore) UserByEmail(ctx context.Context, email string) (User, error) {
	unlock, err := f.call(ctx, "UserByEmail")
	defer unlock()
	for _, u := range f.data.users {
		if u.Email == email || u.Email == OldSpelling(email) {
			return u, err
		}
	}
	return User{}, fault.Missing("user", email)
}

func (f *fakeStore) Users(ctx context.Context, query string, p Page) ([]User, string, error) {
	unlock, err := f.call(ctx, "Users")
	defer unlock()
	var found []User
	for _, u := range f.data.users {
		if strings.Contains(u.Email, query) && len(found) < p.Limit {
			found = append(found, u)
		}
	}
	return found, "", err
}

func (f *fakeStore) CountUsersWithRole(ctx context.Context, role string) (int, error) {
	unlock, err := f.call(ctx, "CountUsersWithRole")
	defer unlock()
	n := 0
	for _, u := range f.data.users {
		if slices.Contains(u.Roles, role) {
			n++
		}
	}
	return n, err
}

func (f *fakeStore) ActiveWithRole(ctx context.Context, role string) (ids []string, err error) {
	unlock, err := f.call(ctx, "ActiveWithRole")
	defer unlock()
	for _, u := range f.data.users {
		if slices.Contains(u.Roles, role) && u.Status == Active {
			ids = append(ids, u.ID)
		}
	}
	slices.Sort(ids)
	return ids, err
}

func (f *fakeStore) UserForLogin(ctx context.Context, email string, c Counter) (User, Password, time.Time, error) {
	u, err := f.UserByEmail(ctx, email)
	if err != nil && !fault.Is(err, fault.NotFound) {
		return User{}, Password{}, time.Time{}, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	p := f.data.pass[u.ID]
	if m := f.data.misses[c.Name]; c.Apart || u.ID == "" {
		p.Failures, p.LastFailure = m.Failures, m.LastFailure
	}
	return u, p, f.clock(), nil
}

func (f *fakeStore) RehashPassword(ctx context.Context, userID, hash string) error {
	unlock, err := f.call(ctx, "RehashPassword")
	defer unlock()
	p := f.data.pass[userID]
	p.Hash = hash
	f.data.pass[userID] = p
	return err
}

func (f *fakeStore) MustChangePassword(ctx context.Context, userID string) error {
	unlock, err := f.call(ctx, "MustChangePassword")
	defer unlock()
	p := f.data.pass[userID]
	p.MustChange = true
	f.data.pass[userID] = p
	return err
}

func (f *fakeStore) MissCounter(ctx context.Context, counter string) (int, error) {
	unlock, err := f.call(ctx, "MissCounter")
	defer unlock()
	p := f.data.misses[counter]
	p.Failures, p.LastFailure = f.next(p), f.clock()
	f.data.misses[counter] = p
	return p.Failures, err
}

func (f *fakeStore) next(p Password) int {
	if f.clock().Sub(p.LastFailure) > MissMemory {
		return 1
	}
	return p.Failures + 1
}

func (f *fakeStore) ClearCounter(ctx context.Context, counter string) error {
	unlock, err := f.call(ctx, "ClearCounter")
	defer unlock()
	delete(f.data.misses, counter)
	return err
}

func (f *fakeStore) SetPassword(ctx context.Context, userID, hash string) error {
	unlock, err := f.call(ctx, "SetPassword")
	defer unlock()
	f.data.pass[userID] = Password{Hash: hash, ChangedAt: f.clock()}
	return err
}

func (f *fakeStore) MissPassword(ctx context.Context, userID string) (int, error) {
	unlock, err := f.call(ctx, "MissPassword")
	defer unlock()
	if _, ok := f.data.users[userID]; !ok || err != nil {
		return 0, cmpErr(err, fault.Missing("user", userID))
	}
	p := f.data.pass[userID]
	p.Failures, p.LastFailure = f.next(p), f.clock()
	f.data.pass[userID] = p
	return p.Failures, nil
}

func cmpErr(a, b error) error {
	if a != nil {
		return a
	}
	return b
}

func (f *fakeStore) ClearFailures(ctx context.Context, userID string) error {
	unlock, err := f.call(ctx, "ClearFailures")
	defer unlock()
	p, u := f.data.pass[userID], f.data.users[userID]
	p.Failures, p.LastFailure, u.LastLoginAt = 0, time.Time{}, f.clock()
	f.data.pass[userID], f.data.users[userID] = p, u
	return err
}

func (f *fakeStore) PutSession(ctx context.Context, s Session) error {
	unlock, err := f.call(ctx, "PutSession")
	defer unlock()
	for _, o := range f.data.sessions {
		if o.ID != s.ID && bytes.Equal(o.TokenHash, s.TokenHash) {
			return &fault.Error{Kind: fault.Conflict, Code: "conflict"}
		}
	}
	f.data.sessions[s.ID] = s
	return err
}

func (f *fakeStore) live(s Session) bool {
	return s.EndedAt.IsZero() && f.clock().Before(s.ExpiresAt)
}

func (f *fakeStore) SessionByToken(ctx context.Context, hash []byte) (Session, User, error) {
	unlock, err := f.call(ctx, "SessionByToken")
	defer unlock()
	for _, s := range f.data.sessions {
		if bytes.Equal(s.TokenHash, hash) && f.live(s) {
			return s, f.data.users[s.UserID], err
		}
	}
	return Session{}, User{}, cmpErr(err, fault.Missing("session", ""))
}

func (f *fakeStore) TouchSession(ctx context.Context, id string) error {
	unlock, err := f.call(ctx, "TouchSession")
	defer unlock()
	s := f.data.sessions[id]
	s.LastSeenAt = f.clock()
	f.data.sessions[id] = s
	return err
}

func (f *fakeStore) Sessions(ctx context.Context, userID string) ([]Session, error) {
	unlock, err := f.call(ctx, "Sessions")
	defer unlock()
	var found []Session
	for _, s := range f.data.sessions {
		if (userID == "" || s.UserID == userID) && f.live(s) {
			found = append(found, s)
		}
	}
	slices.SortFunc(found, func(a, b Session) int { return b.CreatedAt.Compare(a.CreatedAt) })
	return found, err
}

func (f *fakeStore) EndSessions(ctx context.Context, userID string, ids ...string) ([]string, error) {
	unlock, err := f.call(ctx, "EndSessions")
	defer unlock()
	var ended []string
	for id, s := range f.data.sessions {
		if s.UserID == userID && f.live(s) && (len(ids) == 0 || slices.Contains(ids, id)) {
			s.EndedAt = f.clock()
			f.data.sessions[id] = s
			ended = append(ended, id)
		}
	}
	slices.Sort(ended)
	return ended, err
}

func (f *fakeStore) RevokeGrants(ctx context.Context, userID, _ string) ([]string, error) {
	unlock, err := f.call(ctx, "RevokeGrants")
	defer unlock()
	revoked := f.data.grants[userID]
	delete(f.data.grants, userID)
	return revoked, err
}

func (f *fakeStore) PutSetupToken(ctx context.Context, hash []byte, ttl time.Duration) error {
	unlock, err := f.call(ctx, "PutSetupToken")
	defer unlock()
	f.data.setup, f.data.setupEnd = hash, f.clock().Add(ttl)
	return err
}

func (f *fakeStore) ConsumeSetupToken(ctx context.Context, hash []byte) (bool, error) {
	open, err := f.PeekSetupToken(ctx, hash)
	if open && err == nil {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.data.setup = nil
	}
	return open, err
}

func (f *fakeStore) PeekSetupToken(ctx context.Context, hash []byte) (bool, error) {
	unlock, err := f.call(ctx, "PeekSetupToken")
	defer unlock()
	return f.data.setup != nil && bytes.Equal(f.data.setup, hash) && f.clock().Before(f.data.setupEnd), err
}

// AppendEvents makes the store an audit store too, so that events are undone with
// their change.
func (f *fakeStore) AppendEvents(ctx context.Context, events ...audit.Event) error {
	unlock, err := f.call(ctx, "AppendEvents")
	defer unlock()
	f.data.events = append(slices.Clone(f.data.events), events...)
	return err
}

func (f *fakeStore) Head(context.Context) (int64, string, error) { return 0, "", nil }

func (f *fakeStore) SequenceEvents(context.Context, int, func(string, audit.Event) string) (int, error) {
	return 0, nil
}

func (f *fakeStore) Events(context.Context, audit.Filter) ([]audit.Event, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.data.events), nil
}

func (f *fakeStore) kinds() []audit.Kind {
	events, _ := f.Events(context.Background(), audit.Filter{})
	kinds := make([]audit.Kind, 0, len(events))
	for _, e := range events {
		kinds = append(kinds, e.Kind)
	}
	return kinds
}

func (f *fakeStore) last() audit.Event {
	events, _ := f.Events(context.Background(), audit.Filter{})
	if len(events) == 0 {
		return audit.Event{}
	}
	return events[len(events)-1]
}

// fakeLimits is a ratelimit.Source in memory.
type fakeLimits struct {
	clock    func() time.Time
	mu       sync.Mutex
	arrivals map[string]int64
	down     error
}

func (l *fakeLimits) Advance(_ context.Context, name string, r ratelimit.Rule) (time.Duration, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := cmpErr(l.down, r.Check()); err != nil {
		return 0, err
	}
	next, wait := r.Next(l.arrivals[r.Key(name)], l.clock().UnixMicro())
	l.arrivals[r.Key(name)] = next
	return wait, nil
}
