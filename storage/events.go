package storage

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/gatekeeper-oidc/gatekeeper/audit"
)

const trailLock = 0x67617465_7472616c // "gatetral", of the advisory lock

var (
	queryWaiting   = both(`SELECT 1 FROM outbox ORDER BY id LIMIT 1`) // by the index, which steps over what was carried away
	queryLockTrail = both(`SELECT pg_try_advisory_xact_lock($1)`)
	queryLast      = both(`SELECT position, hash FROM events ORDER BY position DESC LIMIT 1`)
	queryOutbox    = both(`SELECT id, data FROM outbox ORDER BY id LIMIT $1`)
	queryReference = both(`SELECT 0, '', id, '', 0, '', '', reference, data FROM outbox WHERE reference = $1 ORDER BY id`)
	// The head moves only from an event that is there: one that was cut off holds it.
	queryPutHead = both(`INSERT INTO trail_head (id, position, hash) VALUES (1, $1, $2)
		ON CONFLICT (id) DO UPDATE SET position = excluded.position, hash = excluded.hash
		WHERE EXISTS (SELECT 1 FROM events e WHERE e.position = trail_head.position AND e.hash = trail_head.hash)`)
	queryHead = both(`SELECT position, hash FROM trail_head WHERE id = 1`)

	// On Postgres a whole gathering is carried in one statement, on SQLite row by row.
	queryCarry = both(`WITH carried AS (DELETE FROM outbox WHERE id = ANY($2::text[]) RETURNING id, reference, data)
		INSERT INTO events (position, id, hash, kind, at, subject, client_id, reference, data)
		SELECT p.position, p.id, p.hash, p.kind, p.at, p.subject, p.client_id, c.reference, c.data
		FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::text[], $7::text[])
			AS p(position, id, hash, kind, at, subject, client_id) JOIN carried c ON c.id = p.id`)
	queryPlace = both(`INSERT INTO events (position, id, hash, kind, at, subject, client_id, reference, data)
		SELECT $1, id, $3, $4, $5, $6, $7, reference, data FROM outbox WHERE id = $2`)
	queryPlaced = both(`DELETE FROM outbox WHERE id IN (SELECT value FROM json_each($1))`)
)

// outboxRow is e as the outbox keeps it.
func outboxRow(e audit.Event) ([]any, error) {
	if e.ID == "" {
		id, err := newID()
		if err != nil {
			return nil, err
		}
		e.ID = id
	}
	e.Position, e.Hash, e.Altered = 0, "", ""
	data, err := document(e)
	if err != nil {
		return nil, fmt.Errorf("event %s: %w", e.ID, err)
	}
	return []any{e.ID, e.Reference, data}, nil
}

// AppendEvents implements audit.Store.
func (d *DB) AppendEvents(ctx context.Context, events ...audit.Event) error {
	rows := make([][]any, len(events))
	for i, e := range events {
		r, err := outboxRow(e)
		if err != nil {
			return err
		}
		rows[i] = r
	}
	if len(rows) == 0 {
		return nil
	}
	d.wrote(ctx, rows[0])
	switch len(rows) {
	case 1:
		_, err := d.exec(ctx, queryAppend, rows[0]...)
		return err
	default:
		return d.batch(ctx, queryAppend, rows)
	}
}

// SequenceEvents implements audit.Store: it moves committed events from the
// outbox to the trail. It reads under the lock, so what it sees was committed
// after everything that has a position.
func (d *DB) SequenceEvents(ctx context.Context, limit int, link func(previous string, e audit.Event) string) (n int, err error) {
	if waiting, err := d.found(ctx, queryWaiting); err != nil || !waiting {
		return 0, err
	}
	err = d.InTx(ctx, func(ctx context.Context) error {
		if d.dialect == postgres {
			var locked bool
			if err := d.one(ctx, queryLockTrail, []any{int64(trailLock)}, &locked); err != nil || !locked {
				return err
			}
		}
		n, err = d.sequence(ctx, pageSize(limit), link)
		return err
	})
	if err != nil {
		return 0, err
	}
	return n, nil
}

// A gathering is events that have got their places, column by column.
type gathering struct {
	positions, times                      []int64
	ids, hashes, kinds, subjects, clients []string
}

func (g *gathering) add(e audit.Event) {
	g.positions, g.times = append(g.positions, e.Position), append(g.times, micros(e.At))
	g.ids, g.hashes, g.kinds = append(g.ids, e.ID), append(g.hashes, e.Hash), append(g.kinds, string(e.Kind))
	g.subjects, g.clients = append(g.subjects, e.Subject), append(g.clients, e.ClientID)
}

// rows is g as the arguments of queryPlace.
func (g *gathering) rows() [][]any {
	rows := make([][]any, len(g.ids))
	for i := range rows {
		rows[i] = []any{g.positions[i], g.ids[i], g.hashes[i], g.kinds[i], g.times[i], g.subjects[i], g.clients[i]}
	}
	return rows
}

func (d *DB) sequence(ctx context.Context, limit int, link func(previous string, e audit.Event) string) (int, error) {
	var position int64
	var hash string
	if err := d.one(ctx, queryLast, nil, &position, &hash); err != nil && !isNone(err) {
		return 0, err
	}
	var g gathering
	err := d.all(ctx, queryOutbox, []any{limit}, func(r row) error {
		var id, data string
		if err := r.Scan(&id, &data); err != nil {
			return err
		}
		var e audit.Event
		if err := json.Unmarshal([]byte(data), &e); err != nil {
			return fmt.Errorf("decode event %s: %w", id, err)
		}
		position++
		e.ID, e.Position = id, position
		hash = link(hash, e)
		e.Hash = hash
		g.add(e)
		return nil
	})
	if err != nil || len(g.ids) == 0 {
		return 0, err
	}
	if err := d.carry(ctx, &g); err != nil {
		return 0, err
	}
	_, err = d.exec(ctx, queryPutHead, position, hash)
	return len(g.ids), err
}

// Head implements audit.Store. A node of a release without one leaves it where it is.
func (d *DB) Head(ctx context.Context) (position int64, hash string, err error) {
	err = d.one(ctx, queryHead, nil, &position, &hash)
	if isNone(err) {
		return 0, "", nil
	}
	return position, hash, err
}

// carry moves g from the outbox into the trail.
func (d *DB) carry(ctx context.Context, g *gathering) error {
	if d.dialect == postgres {
		_, err := d.exec(ctx, queryCarry, g.positions, g.ids, g.hashes, g.kinds, g.times, g.subjects, g.clients)
		return err
	}
	if err := d.batch(ctx, queryPlace, g.rows()); err != nil {
		return err
	}
	_, err := d.exec(ctx, queryPlaced, list(g.ids))
	return err
}

// Events implements audit.Store.
func (d *DB) Events(ctx context.Context, f audit.Filter) ([]audit.Event, error) {
	q, args := eventsQuery(f)
	events, err := d.events(ctx, q, args)
	if err != nil || f.Reference == "" {
		return events, err
	}
	waiting, err := d.events(ctx, queryReference, []any{f.Reference})
	if err != nil {
		return nil, err
	}
	waiting = slices.DeleteFunc(waiting, func(e audit.Event) bool { return !matches(f, e) })
	if f.Newest {
		slices.Reverse(waiting)
		events = append(waiting, events...)
	} else {
		events = append(events, waiting...)
	}
	return events[:min(len(events), pageSize(f.Limit))], nil
}

func (d *DB) events(ctx context.Context, q query, args []any) (events []audit.Event, err error) {
	err = d.all(ctx, q, args, func(r row) error {
		var beside eventRow
		if err := r.Scan(beside.dest()...); err != nil {
			return err
		}
		e, err := beside.event()
		events = append(events, e)
		return err
	})
	return events, err
}

// An eventRow is an event as the trail keeps it: its document, and beside it what
// filters look for.
type eventRow struct {
	position, at                                     int64
	hash, id, kind, subject, client, reference, data string
}

const eventColumns = `position, hash, id, kind, at, subject, client_id, reference, data`

func (r *eventRow) dest() []any {
	return []any{&r.position, &r.hash, &r.id, &r.kind, &r.at, &r.subject, &r.client, &r.reference, &r.data}
}

// event returns the event, and says in it where the row is not what was written: a
// document that was not written by us, or a column that says something else.
func (r *eventRow) event() (audit.Event, error) {
	var e audit.Event
	if err := json.Unmarshal([]byte(r.data), &e); err != nil {
		if r.position == 0 {
			return e, fmt.Errorf("decode event %s: %w", r.id, err)
		}
		return audit.Event{ID: r.id, Position: r.position, Hash: r.hash, Altered: "document"}, nil
	}
	e.Altered = r.altered(e)
	e.Position, e.Hash = r.position, r.hash
	return e, nil
}

// altered names the parts of the row that disagree with e, its document.
func (r *eventRow) altered(e audit.Event) string {
	parts := []struct {
		name string
		same bool
	}{
		{"document", r.written(e)},
		{"id", r.id == e.ID},
		{"reference", r.reference == e.Reference},
	}
	if r.position != 0 { // in the outbox nothing else stands beside it
		parts = append(parts, []struct {
			name string
			same bool
		}{
			{"kind", r.kind == string(e.Kind)},
			{"at", r.at == micros(e.At)},
			{"subject", r.subject == e.Subject},
			{"client_id", r.client == e.ClientID},
		}...)
	}
	var names []string
	for _, p := range parts {
		if !p.same {
			names = append(names, p.name)
		}
	}
	return strings.Join(names, " ")
}

// written reports whether the document is e as outboxRow writes it: what reads the
// same, such as a member that is there twice, is not the same.
func (r *eventRow) written(e audit.Event) bool {
	e.Position, e.Hash, e.Altered = 0, "", ""
	text, err := document(e)
	return err == nil && text == r.data
}

// eventsQuery writes the reading of the trail that f asks for.
func eventsQuery(f audit.Filter) (query, []any) {
	where := []string{"position > $1"}
	args := []any{f.After}
	add := func(condition string, arg any) {
		args = append(args, arg)
		where = append(where, condition+" $"+strconv.Itoa(len(args)))
	}
	if !f.Since.IsZero() {
		add("at >=", micros(f.Since))
	}
	if f.Kind != "" {
		add("kind =", string(f.Kind))
	}
	if f.Subject != "" {
		add("subject =", f.Subject)
	}
	if f.ClientID != "" {
		add("client_id =", f.ClientID)
	}
	if f.Reference != "" {
		add("reference =", f.Reference)
	}
	order := "position"
	if f.Newest {
		order = "position DESC"
	}
	args = append(args, pageSize(f.Limit))
	return both("SELECT " + eventColumns + " FROM events WHERE " + strings.Join(where, " AND ") +
		" ORDER BY " + order + " LIMIT $" + strconv.Itoa(len(args))), args
}

// matches applies to an event of the outbox what eventsQuery asks of the trail.
func matches(f audit.Filter, e audit.Event) bool {
	return (f.Kind == "" || e.Kind == f.Kind) && (f.Subject == "" || e.Subject == f.Subject) &&
		(f.ClientID == "" || e.ClientID == f.ClientID) && (f.Since.IsZero() || !e.At.Before(f.Since))
}
