package storage

import (
	"context"
	"fmt"
	"strings"

	"github.com/gatekeeper-oidc/gatekeeper/audit"
)

// A change is a statement that returns one row if it changed something and none
// if it did not, and that happens together with its event:
//
//	Postgres   WITH c AS (change), f AS (follow), e AS (INSERT event FROM c) SELECT 1 FROM c
//	SQLite     BEGIN IMMEDIATE; change; follow; INSERT event; COMMIT
//
// On Postgres that is one trip and one commit, on SQLite, which has no network, a
// short transaction. follow, if any, is a second statement for when the first
// changed something; on SQLite it is given the first's arguments.
type change struct {
	whole  query // Postgres
	first  query // SQLite
	follow query // SQLite
	two    bool
}

var queryAppend = both(`INSERT INTO outbox (id, reference, data) VALUES ($1, $2, $3)`)

// newChange makes a change of a text with n arguments.
func newChange(n int, text string) change {
	return newChangeThen(n, text, "", "")
}

// newChangeThen makes a change with a follow-up, which differs per dialect: on
// Postgres it selects from c.
func newChangeThen(n int, text, follow, liteFollow string) change {
	if follow == "" {
		return newChangeWith(n, text, liteFollow)
	}
	return newChangeWith(n, text, liteFollow, "f AS ("+follow+")")
}

// newChangeWith makes a change whose follow-ups on Postgres are ctes, each of which
// may select from c and from those before it.
func newChangeWith(n int, text, liteFollow string, ctes ...string) change {
	var b strings.Builder
	fmt.Fprintf(&b, "WITH c AS (%s)", text)
	for _, cte := range ctes {
		b.WriteString(", " + cte)
	}
	fmt.Fprintf(&b, ", e AS (INSERT INTO outbox (id, reference, data) SELECT $%d, $%d, $%d FROM c) SELECT 1 FROM c", n+1, n+2, n+3)
	whole := each(b.String(), text)
	whole.write = true
	return change{whole: whole, first: both(text), follow: both(liteFollow), two: liteFollow != ""}
}

// A step of a change, ready to send.
type act struct {
	args   []any
	follow []any // arguments of the follow-up on SQLite
	event  audit.Event
}

// apply makes the change and records its event, or does neither, and reports
// which.
func (d *DB) apply(ctx context.Context, c change, a act) (bool, error) {
	event, err := outboxRow(a.event)
	if err != nil {
		return false, err
	}
	d.wrote(ctx, event)
	if d.dialect == postgres {
		return d.whole(ctx, c.whole, append(a.args[:len(a.args):len(a.args)], event...), event[0].(string))
	}
	done := false
	err = d.InTx(ctx, func(ctx context.Context) error {
		var key string
		if err := d.one(ctx, c.first, a.args, &key); err != nil {
			if isNone(err) {
				return nil
			}
			return err
		}
		if c.two {
			if _, err := d.exec(ctx, c.follow, a.follow...); err != nil {
				return err
			}
		}
		if _, err := d.exec(ctx, queryAppend, event...); err != nil {
			return err
		}
		done = true
		return nil
	})
	return done && err == nil, err
}
