package storage

import (
	"cmp"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	dialPatience = acquireTimeout / 4     // for one more connection, when there are others
	roomClosed   = 15 * time.Second       // before a connection that was not to be had is asked for again
	firstPause   = 20 * time.Millisecond  // between attempts while the server restarts
	longestPause = 200 * time.Millisecond // the same, in the end
)

// room is how many connections may be wanted at once. A place the server had no
// connection for is closed for a while: whoever wants one waits for one there is.
type room struct {
	places chan struct{}

	mu    sync.Mutex
	timer *time.Timer // runs while the database is away
	spent bool        // it has been away for longer than anybody waits
}

func newRoom(n int) *room {
	r := &room{places: make(chan struct{}, n)}
	for range n {
		r.places <- struct{}{}
	}
	return r
}

func (r *room) take(ctx context.Context) error {
	select {
	case <-r.places:
		return nil
	default:
	}
	select {
	case <-r.places:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (r *room) give() { r.places <- struct{}{} }

// shut closes the caller's place for a while.
func (r *room) shut() { time.AfterFunc(roomClosed, r.give) }

// patient reports whether an outage is short so far: then it is waited for. One that
// lasts is told at once.
func (r *room) patient() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.timer == nil {
		r.timer = time.AfterFunc(acquireTimeout, func() {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.spent = r.timer != nil
		})
	}
	return !r.spent
}

// well ends the outage.
func (r *room) well() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.timer != nil {
		r.timer.Stop()
		r.timer, r.spent = nil, false
	}
}

// A lease is a connection and the place it was given.
type lease struct {
	*pgxpool.Conn
	room *room
}

// Release gives both back.
func (l lease) Release() {
	l.Conn.Release()
	l.room.give()
}

// unconnected is errNoConnection with the reason there is none.
type unconnected struct{ err error }

func (e unconnected) Error() string        { return errNoConnection.Error() + ": " + e.err.Error() }
func (e unconnected) Unwrap() error        { return e.err }
func (e unconnected) Is(target error) bool { return target == errNoConnection }

// acquire takes a connection; it waits, but not for long.
func (p *postgresDB) acquire(ctx context.Context) (lease, error) {
	wait, cancel := context.WithTimeout(ctx, acquireTimeout)
	defer cancel()
	var first error
	for pause := firstPause; ; {
		if err := p.room.take(wait); err != nil {
			return lease{}, unconnected{cmp.Or(first, err)}
		}
		conn, err := p.dial(wait)
		if err == nil {
			p.room.well()
			return lease{conn, p.room}, nil
		}
		if first == nil || wait.Err() == nil {
			first = err
		}
		switch {
		case wait.Err() != nil:
			p.room.give()
			return lease{}, unconnected{first}
		case errors.Is(err, errPooler):
			p.room.give()
		case crowded(err) && p.connected():
			p.room.shut()
		case passing(err) && p.room.patient():
			p.room.give()
			rest(wait, pause)
			pause = min(2*pause, longestPause)
		default:
			p.room.give()
			return lease{}, unconnected{first}
		}
	}
}

// dial takes a connection of the pool, or makes one more: while there are others that
// will be free again, not for long.
func (p *postgresDB) dial(ctx context.Context) (*pgxpool.Conn, error) {
	if p.connected() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, dialPatience)
		defer cancel()
	}
	conn, err := p.pool.Acquire(ctx)
	if err != nil {
		return nil, told(err)
	}
	return conn, nil
}

// connected reports whether the pool has a connection.
func (p *postgresDB) connected() bool {
	s := p.pool.Stat()
	return s.AcquiredConns()+s.IdleConns() > 0
}

// rest waits for d, or until ctx ends.
func rest(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// crowded reports whether a connection was not to be had because others have them all:
// the server says so, or a pooler lets us wait.
func crowded(err error) bool {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Code == "53300" || strings.Contains(pg.Message, "no more connections allowed")
	}
	return errors.Is(err, context.DeadlineExceeded)
}

// passing reports whether a connection was refused as by a server that restarts, or
// that is full for the moment.
func passing(err error) bool {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		switch pg.Code {
		case "57P01", "57P02", "57P03", "53300": // shutdown, crash, starting up, too many connections
			return true
		case "08P01": // whatever PgBouncer says
			return !strings.Contains(pg.Message, "startup parameter")
		}
		return false
	}
	var netErr *net.OpError
	return errors.As(err, &netErr) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}

// sound is asked before each use of a connection: one that the server has ended, or
// has something to say on, is not used, so that nothing is sent into the void.
func sound(_ context.Context, conn *pgx.Conn) (bool, error) {
	return quiet(conn.PgConn().Conn()), nil
}
