package storage

import (
	"context"
	"database/sql"
	"errors"
)

// liteReader runs each statement on a connection that only reads.
type liteReader struct{ s *sqliteDB }

func (r liteReader) exec(ctx context.Context, text string, args []any) (int64, error) {
	return 0, r.all(ctx, text, args, func(row) error { return nil })
}

func (r liteReader) one(ctx context.Context, text string, args, dest []any) error {
	st, err := r.s.prepared(ctx, text)
	if err != nil {
		return err
	}
	return scanOne(ctx, st, args, dest)
}

func (r liteReader) all(ctx context.Context, text string, args []any, scan func(row) error) error {
	st, err := r.s.prepared(ctx, text)
	if err != nil {
		return err
	}
	return scanAll(ctx, st, args, scan)
}

func (r liteReader) batch(context.Context, string, [][]any) error {
	return errors.New("storage: a batch writes")
}

// liteWriter takes the writer's turn for one statement, which commits by itself.
type liteWriter struct{ w *writer }

func (l liteWriter) with(ctx context.Context, f func(u *liteUnit) error) error {
	if err := l.w.take(ctx); err != nil {
		return err
	}
	defer l.w.give()
	return f(&liteUnit{w: l.w})
}

func (l liteWriter) exec(ctx context.Context, text string, args []any) (n int64, err error) {
	err = l.with(ctx, func(u *liteUnit) error {
		n, err = u.exec(ctx, text, args)
		return err
	})
	return n, err
}

func (l liteWriter) one(ctx context.Context, text string, args, dest []any) error {
	return l.with(ctx, func(u *liteUnit) error { return u.one(ctx, text, args, dest) })
}

func (l liteWriter) all(ctx context.Context, text string, args []any, scan func(row) error) error {
	return l.with(ctx, func(u *liteUnit) error { return u.all(ctx, text, args, scan) })
}

func (l liteWriter) batch(ctx context.Context, text string, rows [][]any) error {
	return l.with(ctx, func(u *liteUnit) error {
		if _, err := u.exec(ctx, "BEGIN IMMEDIATE", nil); err != nil {
			return err
		}
		if err := u.batch(ctx, text, rows); err != nil {
			_, undo := u.exec(ctx, "ROLLBACK", nil)
			return errors.Join(err, undo)
		}
		_, err := u.exec(ctx, "COMMIT", nil)
		return err
	})
}

// liteUnit runs statements on the writer, whose turn its owner has. A statement
// that has begun is not interrupted: it takes microseconds, and an interrupted
// one could not be told from one that was committed.
type liteUnit struct{ w *writer }

func (u *liteUnit) commit(ctx context.Context) error {
	if _, err := u.exec(context.WithoutCancel(ctx), "COMMIT", nil); err != nil {
		return err // rollback follows and gives the turn back
	}
	u.w.give()
	return nil
}

func (u *liteUnit) rollback(ctx context.Context) {
	_, _ = u.exec(context.WithoutCancel(ctx), "ROLLBACK", nil) // fails where SQLite has done it already
	u.w.give()
}

func (u *liteUnit) stmt(ctx context.Context, text string) (*sql.Stmt, context.Context, error) {
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	ctx = context.WithoutCancel(ctx)
	st, err := u.w.prepared(ctx, text)
	return st, ctx, err
}

func (u *liteUnit) exec(ctx context.Context, text string, args []any) (int64, error) {
	st, ctx, err := u.stmt(ctx, text) //nolint:sqlclosecheck // the writer keeps it
	if err != nil {
		return 0, err
	}
	res, err := st.ExecContext(ctx, args...)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

func (u *liteUnit) one(ctx context.Context, text string, args, dest []any) error {
	st, ctx, err := u.stmt(ctx, text)
	if err != nil {
		return err
	}
	return scanOne(ctx, st, args, dest)
}

func (u *liteUnit) all(ctx context.Context, text string, args []any, scan func(row) error) error {
	st, ctx, err := u.stmt(ctx, text)
	if err != nil {
		return err
	}
	return scanAll(ctx, st, args, scan)
}

func (u *liteUnit) batch(ctx context.Context, text string, rows [][]any) error {
	for _, args := range rows {
		if _, err := u.exec(ctx, text, args); err != nil {
			return err
		}
	}
	return nil
}

// scanOne reads the first row, and then to the end: a statement with RETURNING
// commits only when it is done.
func scanOne(ctx context.Context, st *sql.Stmt, args, dest []any) error {
	found := false
	err := scanAll(ctx, st, args, func(r row) error {
		if found {
			return nil
		}
		found = true
		if err := r.Scan(dest...); err != nil {
			return rowError{err}
		}
		return nil
	})
	if err == nil && !found {
		return errNone
	}
	return err
}

func scanAll(ctx context.Context, st *sql.Stmt, args []any, scan func(row) error) error {
	rows, err := st.QueryContext(ctx, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	if err := rows.Err(); err != nil {
		return err
	}
	return rows.Close()
}
