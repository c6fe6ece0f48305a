package storage

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// line is what is known of the way to Postgres. A pooler, such as PgBouncer, shows
// itself by naming another backend than the one that answers. It may give each
// transaction another connection, so behind one nothing is left on a connection:
//
//	directly   statements are prepared once and named; timeouts are set once
//	a pooler   statements have no names; timeouts are set in each transaction
type line struct {
	pooled  atomic.Bool
	chosen  bool // the URL says how statements are sent
	timeout map[string]string
}

// errPooler ends a connection that was made before the pooler was noticed.
var errPooler = errors.New("there is a pooler in front of the database")

// newLine takes out of c what a pooler would refuse at the start of a connection.
func newLine(c *pgx.ConnConfig, url string) *line {
	l := &line{timeout: map[string]string{}, chosen: strings.Contains(url, "default_query_exec_mode")}
	for name, d := range serverTimeouts {
		l.timeout[name] = strconv.FormatInt(d.Milliseconds(), 10)
		if own, ok := c.RuntimeParams[name]; ok {
			l.timeout[name] = own
			delete(c.RuntimeParams, name)
		}
	}
	if _, ok := c.RuntimeParams["application_name"]; !ok {
		c.RuntimeParams["application_name"] = "gatekeeper"
	}
	return l
}

// choose is asked before each connection of the pool is made.
func (l *line) choose(_ context.Context, c *pgx.ConnConfig) error {
	if l.pooled.Load() && !l.chosen {
		c.DefaultQueryExecMode = pgx.QueryExecModeCacheDescribe
	}
	return nil
}

// greet sets the timeouts of a new connection, if it is one of Postgres itself.
func (l *line) greet(ctx context.Context, conn *pgx.Conn) error {
	said := conn.PgConn().PID()
	b := &strings.Builder{}
	b.WriteString("SELECT pg_backend_pid()")
	for _, name := range slices.Sorted(maps.Keys(l.timeout)) {
		fmt.Fprintf(b, ", CASE WHEN pg_backend_pid() = %d THEN set_config('%s', %s, false) END", said, name, literal(l.timeout[name]))
	}
	values, err := conn.Query(ctx, b.String(), pgx.QueryExecModeSimpleProtocol)
	if err != nil {
		return err
	}
	defer values.Close()
	var pid int64
	if values.Next() {
		all, err := values.Values()
		if err != nil {
			return err
		}
		n, _ := all[0].(int32)
		pid = int64(n)
	}
	values.Close()
	if err := values.Err(); err != nil {
		return err
	}
	if pid != int64(said) && !l.pooled.Swap(true) && !l.chosen {
		return errPooler
	}
	return nil
}

// txOptions begin a transaction, within the timeouts where no connection has them.
func (l *line) txOptions() pgx.TxOptions {
	if !l.pooled.Load() {
		return pgx.TxOptions{IsoLevel: pgx.ReadCommitted}
	}
	b := &strings.Builder{}
	b.WriteString("begin isolation level read committed")
	for _, name := range slices.Sorted(maps.Keys(l.timeout)) {
		fmt.Fprintf(b, "; set local %s = %s", name, literal(l.timeout[name]))
	}
	return pgx.TxOptions{BeginQuery: b.String()}
}

// literal is a value of the URL as a text of SQL.
func literal(v string) string { return "'" + strings.ReplaceAll(v, "'", "''") + "'" }

// throughPooler reports whether another than Postgres answered conn's greeting.
func throughPooler(ctx context.Context, conn *pgx.Conn) (bool, error) {
	var pid int64
	if err := conn.QueryRow(ctx, "SELECT CAST(pg_backend_pid() AS BIGINT)").Scan(&pid); err != nil {
		return false, err
	}
	return pid != int64(conn.PgConn().PID()), nil
}

// refusedTLS is what the library says of a server without TLS before it tries without.
const refusedTLS = "server refused TLS connection"

// told is the error of a connection attempt that says most: the first, unless that is
// only that the server has no TLS and there was another try.
func told(err error) error {
	var attempt *pgconn.ConnectError
	if !errors.As(err, &attempt) {
		return err
	}
	many, ok := errors.Unwrap(attempt).(interface{ Unwrap() []error })
	if !ok {
		return err
	}
	for _, e := range many.Unwrap() {
		if !strings.Contains(e.Error(), refusedTLS) {
			return fmt.Errorf("connect to the database: %w", e)
		}
	}
	return err
}
