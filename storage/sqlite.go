package storage

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// turnTimeout bounds the wait for the writer, busyTimeout (milliseconds) the wait
// for another process.
const (
	turnTimeout = 10 * time.Second
	busyTimeout = "5000"
)

// sqliteDB is the driver for SQLite: one connection writes, several read. In WAL
// mode readers never wait for the writer.
type sqliteDB struct {
	path  string
	write *sql.DB
	turn  *writer
	read  *sql.DB
	stmts sync.Map // text → *sql.Stmt of read
}

// writer is the one connection that writes and the right to use it.
type writer struct {
	slot  chan struct{} // holds one token while the writer is free
	conn  *sql.Conn
	stmts map[string]*sql.Stmt
}

func openSQLite(ctx context.Context, cfg Config) (*sqliteDB, error) {
	path, err := sqlitePath(cfg.URL)
	if err != nil {
		return nil, err
	}
	if err := private(path); err != nil {
		return nil, err
	}
	s := &sqliteDB{path: path}
	if s.write, err = sql.Open("sqlite", sqliteDSN(path)); err != nil {
		return nil, err
	}
	s.write.SetMaxOpenConns(1)
	conn, err := s.write.Conn(ctx)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open %s: %w", path, err), s.write.Close())
	}
	s.turn = &writer{slot: make(chan struct{}, 1), conn: conn, stmts: map[string]*sql.Stmt{}}
	s.turn.slot <- struct{}{}
	if s.read, err = sql.Open("sqlite", sqliteDSN(path, "query_only(1)")); err != nil {
		return nil, errors.Join(err, s.close())
	}
	readers := 4
	if cfg.MaxConns > 0 {
		readers = cfg.MaxConns
	}
	s.read.SetMaxOpenConns(readers)
	s.read.SetMaxIdleConns(readers)
	return s, nil
}

// sqlitePath returns the absolute path of a "sqlite:" URL.
func sqlitePath(raw string) (string, error) {
	path, ok := strings.CutPrefix(raw, "sqlite:")
	path = strings.TrimPrefix(path, "//")
	if !ok || path == "" || strings.HasPrefix(path, ":memory:") {
		return "", errors.New(`a SQLite URL is "sqlite:" and the path of a file`)
	}
	return filepath.Abs(path)
}

// private creates the file, and its directory, for its owner alone. SQLite gives
// its side files the mode of the main one.
func private(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("create the data directory: %w", err)
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600) //nolint:gosec // the operator's own path
	if err != nil {
		return fmt.Errorf("open the database file: %w", err)
	}
	info, err := f.Stat()
	if err == nil && info.Mode().Perm()&0o077 != 0 {
		err = f.Chmod(info.Mode().Perm() & fs.FileMode(0o700))
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("keep the database file private: %w", err)
	}
	return nil
}

// sqliteDSN names the file and the pragmas of every connection to it. FULL: a
// token revoked must stay revoked after the power has gone.
func sqliteDSN(path string, pragmas ...string) string {
	q := url.Values{"_txlock": {"immediate"}, "_pragma": append([]string{
		"busy_timeout(" + busyTimeout + ")", "journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(1)", "temp_store(MEMORY)",
	}, pragmas...)}
	return "file:" + (&url.URL{Path: path}).EscapedPath() + "?" + q.Encode()
}

func (s *sqliteDB) reader() executor { return liteReader{s} }
func (s *sqliteDB) writer() executor { return liteWriter{s.turn} }

func (s *sqliteDB) renew() {}

func (s *sqliteDB) close() error {
	var errs []error
	if s.read != nil {
		s.stmts.Range(func(_, st any) bool {
			errs = append(errs, st.(*sql.Stmt).Close())
			return true
		})
		errs = append(errs, s.read.Close())
	}
	if _, open := <-s.turn.slot; open {
		close(s.turn.slot) // nobody writes from here on
	}
	for _, st := range s.turn.stmts {
		errs = append(errs, st.Close())
	}
	return errors.Join(append(errs, s.turn.conn.Close(), s.write.Close())...)
}

func (s *sqliteDB) begin(ctx context.Context) (transaction, error) {
	if err := s.turn.take(ctx); err != nil {
		return nil, err
	}
	u := &liteUnit{w: s.turn}
	if _, err := u.exec(ctx, "BEGIN IMMEDIATE", nil); err != nil {
		s.turn.give()
		return nil, err
	}
	return u, nil
}

// take waits for the writer; give hands it on.
func (w *writer) take(ctx context.Context) error {
	select {
	case _, open := <-w.slot:
		return closedUnless(open)
	default:
	}
	wait, cancel := context.WithTimeout(ctx, turnTimeout)
	defer cancel()
	select {
	case _, open := <-w.slot:
		return closedUnless(open)
	case <-wait.Done():
		return fmt.Errorf("wait for the writer: %w", wait.Err())
	}
}

func closedUnless(open bool) error {
	if !open {
		return sql.ErrConnDone
	}
	return nil
}

func (w *writer) give() { w.slot <- struct{}{} }

// prepared returns the statement of text, compiled once. The caller has the turn.
func (w *writer) prepared(ctx context.Context, text string) (*sql.Stmt, error) {
	if st := w.stmts[text]; st != nil {
		return st, nil
	}
	st, err := w.conn.PrepareContext(ctx, text)
	if err != nil {
		return nil, err
	}
	w.stmts[text] = st
	return st, nil
}

// prepared returns the reading statement of text, compiled once per connection.
func (s *sqliteDB) prepared(ctx context.Context, text string) (*sql.Stmt, error) {
	if st, ok := s.stmts.Load(text); ok {
		return st.(*sql.Stmt), nil
	}
	st, err := s.read.PrepareContext(ctx, text)
	if err != nil {
		return nil, err
	}
	if old, loaded := s.stmts.LoadOrStore(text, st); loaded {
		return old.(*sql.Stmt), st.Close() //nolint:sqlclosecheck // the other one lives as long as the pool
	}
	return st, nil
}
