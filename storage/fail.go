package storage

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	lite "modernc.org/sqlite"
	litecode "modernc.org/sqlite/lib"

	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
)

// errNone means a statement returned no row.
var errNone = errors.New("storage: no row")

// errText means an argument holds what no text column keeps.
var errText = &fault.Error{Kind: fault.Invalid, Code: "invalid_text", Detail: "A value holds a byte that is not text.", Rule: "text_keepable"}

// keepable reports whether both databases keep s as it is: UTF-8 without NUL.
func keepable(s string) bool { return utf8.ValidString(s) && strings.IndexByte(s, 0) < 0 }

func checkArgs(args []any) error {
	for _, a := range args {
		if s, ok := a.(string); ok && !keepable(s) {
			return errText
		}
	}
	return nil
}

// missing turns the absence of a row, or a name no row can have, into NotFound.
func missing(err error, noun, name string) error {
	if errors.Is(err, errNone) || errors.Is(err, error(errText)) {
		if !keepable(name) {
			name = strings.ToValidUTF8(strings.ReplaceAll(name, "\x00", ""), "")
		}
		return fault.Missing(noun, name)
	}
	return err
}

// taken gives a broken uniqueness the name of what exists already.
func taken(err error, noun string) error {
	var f *fault.Error
	if errors.As(err, &f) && f.Kind == fault.Conflict {
		return &fault.Error{Kind: fault.Conflict, Code: noun + "_exists", Detail: "There is already such a " + noun + ".", Rule: noun + "_unique", Err: f.Err}
	}
	return err
}

// fail turns what a driver said into what a caller can decide on.
func fail(err error) error {
	var known *fault.Error
	switch {
	case err == nil, errors.Is(err, errNone), errors.As(err, &known):
		return err
	case errors.Is(err, sql.ErrNoRows), errors.Is(err, pgx.ErrNoRows):
		return errNone
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return fault.Down("database", err)
	}
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return failPostgres(pg, err)
	}
	var li *lite.Error
	if errors.As(err, &li) {
		return failSQLite(li.Code(), err)
	}
	var unread rowError
	if errors.As(err, &unread) || errors.Is(err, pgx.ErrTxCommitRollback) {
		return fmt.Errorf("database: %w", err)
	}
	return fault.Down("database", err) // a connection that broke, or none to be had
}

func failPostgres(pg *pgconn.PgError, err error) error {
	switch pg.Code {
	case "23505", "23503": // unique_violation, foreign_key_violation
		return broken(err)
	case "40001", "40P01", "55P03", "57014", "25P03", "25006": // serialization, deadlock, lock and statement timeout, idle in transaction, standby
		return fault.Down("database", err)
	}
	switch pg.Code[:2] {
	case "08", "53", "57", "58": // connection, resources, operator intervention, system
		return fault.Down("database", err)
	}
	return fmt.Errorf("database: %w", err)
}

func failSQLite(code int, err error) error {
	switch code {
	case litecode.SQLITE_CONSTRAINT_UNIQUE, litecode.SQLITE_CONSTRAINT_PRIMARYKEY, litecode.SQLITE_CONSTRAINT_FOREIGNKEY:
		return broken(err)
	}
	switch code & 0xff {
	case litecode.SQLITE_BUSY, litecode.SQLITE_LOCKED, litecode.SQLITE_INTERRUPT, litecode.SQLITE_IOERR,
		litecode.SQLITE_FULL, litecode.SQLITE_CANTOPEN, litecode.SQLITE_READONLY, litecode.SQLITE_NOMEM:
		return fault.Down("database", err)
	}
	return fmt.Errorf("database: %w", err)
}

// rowError is a row that came but could not be understood: a mistake of ours, or
// of whoever wrote it, and no reason to try again.
type rowError struct{ err error }

func (e rowError) Error() string { return "row: " + e.err.Error() }
func (e rowError) Unwrap() error { return e.err }

// halfRead is a reading that ended after rows of it were handed out.
type halfRead struct{ err error }

func (e halfRead) Error() string { return e.err.Error() }
func (e halfRead) Unwrap() error { return e.err }

func broken(err error) error {
	return &fault.Error{Kind: fault.Conflict, Code: "conflict", Detail: "It clashes with what is already stored.", Rule: "unique", Err: err}
}

// orphan turns a row whose user is gone into the user's NotFound.
func orphan(err error, userID string) error {
	if fault.Is(err, fault.Conflict) {
		return fault.Missing("user", userID)
	}
	return err
}
