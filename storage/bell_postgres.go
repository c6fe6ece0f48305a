package storage

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	channel    = "gatekeeper"
	maxPayload = 7800             // bytes; Postgres takes 8000
	pulse      = 15 * time.Second // between proofs that the listening connection lives
	minBackoff = 100 * time.Millisecond
	maxBackoff = 5 * time.Second
)

// notify is one statement. The notification writes no row of ours, so its commit
// need not wait for the disk.
const notify = `SELECT set_config('synchronous_commit', 'off', true), pg_notify($1, $2)`

// ring sends topics, comma-joined behind the name of this node, in as few
// notifications as hold them.
func (p *postgresDB) ring(ctx context.Context, topics []string) error {
	for _, payload := range payloads(p.node, topics) {
		if _, err := p.writer().exec(ctx, notify, []any{channel, payload}); err != nil {
			return err
		}
	}
	return nil
}

// escapes keep a topic apart from the comma that ends it.
var (
	escapeTopic   = strings.NewReplacer("%", "%25", ",", "%2C")
	unescapeTopic = strings.NewReplacer("%2C", ",", "%25", "%")
)

func payloads(node string, topics []string) []string {
	var all []string
	text := node
	for _, t := range topics {
		t = escapeTopic.Replace(t)
		if len(node)+1+len(t) > maxPayload {
			t = everything
		}
		if len(text)+1+len(t) > maxPayload {
			all = append(all, text)
			text = node
		}
		text += "," + t
	}
	return append(all, text)
}

// listen hears other nodes until ctx ends. Whatever was said while it was not
// listening is lost, so every connection begins with "*".
func (p *postgresDB) listen(ctx context.Context, deliver func(topic string)) error {
	backoff := minBackoff
	for {
		started, err := p.hear(ctx, deliver)
		if errors.Is(err, errDeaf) {
			p.log.WarnContext(ctx, "a pooler in front of the database carries no notifications; changes of other nodes are looked for every second", "event", "bell_polls")
			started = p.watch(ctx, deliver)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if started {
			backoff = minBackoff
		}
		select { // the pool reports a database that is away; here it only delays
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(backoff):
		}
		backoff = min(2*backoff, maxBackoff)
	}
}

// hear listens on one dedicated connection until it breaks.
func (p *postgresDB) hear(ctx context.Context, deliver func(topic string)) (started bool, err error) {
	conn, err := p.dedicated(ctx)
	if err != nil {
		return false, err
	}
	defer func() {
		wait, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = conn.Close(wait)
	}()
	if err := p.carries(ctx, conn); err != nil {
		return false, err
	}
	deliver(everything)
	for {
		payload, err := next(ctx, conn)
		if err != nil {
			return true, err
		}
		from, topics, _ := strings.Cut(payload, ",")
		if topics == "" || from == p.node {
			continue // a pulse, or our own voice
		}
		for t := range strings.SplitSeq(topics, ",") {
			deliver(unescapeTopic.Replace(t))
		}
	}
}

// dedicated is a connection to listen on: one more than the pool's, or one of the
// pool's where the server has no more.
func (p *postgresDB) dedicated(ctx context.Context) (*pgx.Conn, error) {
	c := p.pool.Config().ConnConfig
	c.Tracer, c.OnNotification = nil, nil
	c.DefaultQueryExecMode = pgx.QueryExecModeExec
	wait, cancel := context.WithTimeout(ctx, acquireTimeout)
	defer cancel()
	conn, err := pgx.ConnectConfig(wait, c)
	if err == nil || ctx.Err() != nil || !crowded(err) {
		return conn, err
	}
	taken, short := p.acquire(ctx)
	if short != nil {
		return nil, err
	}
	_ = taken.Hijack().Close(ctx) // to make room
	p.room.shut()
	wait, cancel = context.WithTimeout(ctx, acquireTimeout)
	defer cancel()
	return pgx.ConnectConfig(wait, c)
}

// next waits for a notification, and proves now and then that the connection
// still has another end. It returns "" after such a proof.
func next(ctx context.Context, conn *pgx.Conn) (string, error) {
	wait, cancel := context.WithTimeout(ctx, pulse)
	n, err := conn.WaitForNotification(wait)
	cancel()
	if err == nil {
		return n.Payload, nil
	}
	if ctx.Err() != nil || !errors.Is(err, context.DeadlineExceeded) {
		return "", err
	}
	ping, cancel := context.WithTimeout(ctx, acquireTimeout)
	defer cancel()
	return "", conn.Ping(ping)
}
