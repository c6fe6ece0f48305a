package storage

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
)

// A pooler that gives each transaction another connection takes LISTEN and delivers
// nothing. Then this node asks whether any transaction ended since it asked before,
// and if one did, looks at everything again.
const (
	echoTimeout = 2 * time.Second // for our own notification to come back through a pooler
	pollEvery   = time.Second
	pollFor     = 10 * time.Minute // before listening is tried again
)

// errDeaf means that LISTEN was taken and nothing is delivered.
var errDeaf = errors.New("notifications do not come through")

// queryMoment names the state of all transactions: it changes when one that writes
// begins or ends.
var queryMoment = both(`SELECT CAST(txid_current_snapshot() AS TEXT)`)

// carries listens on conn and proves that what is said is heard, where a pooler is
// between.
func (p *postgresDB) carries(ctx context.Context, conn *pgx.Conn) error {
	between, err := throughPooler(ctx, conn)
	if err != nil {
		return err
	}
	if _, err := conn.Exec(ctx, "LISTEN "+channel); err != nil || !between {
		return err
	}
	if _, err := p.writer().exec(ctx, notify, []any{channel, p.node}); err != nil {
		return err
	}
	wait, cancel := context.WithTimeout(ctx, echoTimeout)
	defer cancel()
	for {
		n, err := conn.WaitForNotification(wait)
		switch {
		case err == nil && n.Payload == p.node:
			return nil
		case err == nil:
		case ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded):
			p.unlisten(ctx)
			return errDeaf
		default:
			return err
		}
	}
}

// unlisten takes back what the pooler may have left on a connection that others use.
func (p *postgresDB) unlisten(ctx context.Context) {
	_, _ = p.writer().exec(ctx, "UNLISTEN *", nil) // of no harm where it stays
}

// watch looks for changes until ctx ends, or until it is time to try to listen again.
func (p *postgresDB) watch(ctx context.Context, deliver func(topic string)) (started bool) {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	seen := ""
	for range pollFor / pollEvery {
		var moment string
		if err := p.reader().one(ctx, queryMoment.text[postgres], nil, []any{&moment}); err != nil {
			moment = "" // whatever comes next is a change
		}
		if moment != seen {
			seen, started = moment, started || moment != ""
			deliver(everything)
		}
		select {
		case <-ctx.Done():
			return started
		case <-tick.C:
		}
	}
	return started
}

// Hears reports whether changes of other nodes are told to this one at once. It is
// false behind a pooler that gives each transaction another connection.
func (d *DB) Hears(ctx context.Context) (bool, error) {
	p, ok := d.driver.(*postgresDB)
	if !ok {
		return true, nil
	}
	conn, err := p.dedicated(ctx)
	if err != nil {
		return false, fail(err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }() // only asked
	if err := p.carries(ctx, conn); err != nil && !errors.Is(err, errDeaf) {
		return false, fail(err)
	} else if err != nil {
		return false, nil
	}
	return true, nil
}
