package fetch

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/gatekeeper-oidc/gatekeeper/internal/flight"
)

// How many fetches are under way at once, and how many wait to be. What strangers
// registered never takes the last seats, so that an application an operator vouches
// for is still asked when every seat that strangers may have hangs.
const (
	maxSeats     = 32
	maxStrangers = 24
	maxOfGuest   = 4 // that one guest's requests caused
	maxOfClient  = 2 // for one application
	maxOfHost    = 4
	maxQueue     = 256
	maxQueued    = 32 // of one guest
)

// An asker is on whose account a fetch goes.
type asker struct {
	guest, client, host string
	stranger            bool // nobody vouches for the application
}

// ErrBusy means that a fetch did not begin, because too many are under way or too
// many were caused by the same guest. It says nothing about the address.
var ErrBusy = fmt.Errorf("%w: not asked now: %w", ErrUnreachable, flight.ErrFull)

// seats are the places of fetches under way. Who finds none waits in line, and is
// passed by those behind whose guest, application and host have fewer.
type seats struct {
	mu    sync.Mutex
	taken []asker
	line  []*waiting
}

type waiting struct {
	asker
	seated chan struct{} // closed when there is a seat
}

// take waits for a seat as long as ctx lasts, and returns how to give it back.
func (s *seats) take(ctx context.Context, a asker) (leave func(), err error) {
	w := &waiting{a, make(chan struct{})}
	if !s.queue(w) {
		return nil, ErrBusy
	}
	select {
	case <-w.seated:
	case <-ctx.Done():
		if s.quit(w) {
			return nil, ErrBusy
		}
	}
	return func() { s.leave(a) }, nil
}

// queue puts w into the line, or into a seat at once.
func (s *seats) queue(w *waiting) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	same := 0
	for _, other := range s.line {
		if other.guest == w.guest {
			same++
		}
	}
	if len(s.line) >= maxQueue || same >= maxQueued {
		return false
	}
	s.line = append(s.line, w)
	s.fill()
	return true
}

// quit takes w out of the line; false if it was seated in the meantime.
func (s *seats) quit(w *waiting) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.Index(s.line, w)
	if i < 0 {
		return false
	}
	s.line = slices.Delete(s.line, i, i+1)
	return true
}

func (s *seats) load() (taken, waiting int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.taken), len(s.line)
}

func (s *seats) leave(a asker) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := slices.Index(s.taken, a); i >= 0 {
		s.taken = slices.Delete(s.taken, i, i+1)
	}
	s.fill()
}

// fill seats whom it can, in the order of the line. The caller holds mu.
func (s *seats) fill() {
	s.line = slices.DeleteFunc(s.line, func(w *waiting) bool {
		if !s.room(w.asker) {
			return false
		}
		s.taken = append(s.taken, w.asker)
		close(w.seated)
		return true
	})
}

// room reports whether a may have a seat now.
func (s *seats) room(a asker) bool {
	var strangers, guest, client, host int
	for _, t := range s.taken {
		strangers += one(t.stranger)
		guest += one(t.guest == a.guest)
		client += one(a.client != "" && t.client == a.client)
		host += one(t.host == a.host)
	}
	return len(s.taken) < maxSeats && (!a.stranger || strangers < maxStrangers) &&
		guest < maxOfGuest && client < maxOfClient && host < maxOfHost
}

func one(b bool) int {
	if b {
		return 1
	}
	return 0
}
