package storage

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"

	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
)

// Backup writes a consistent copy of a SQLite database to a new file, readable by
// its owner alone, while the server runs. Postgres has pg_dump for that.
func (d *DB) Backup(ctx context.Context, file string) error {
	s, ok := d.driver.(*sqliteDB)
	if !ok {
		return &fault.Error{Kind: fault.Invalid, Code: "backup_unsupported", Detail: "A Postgres database is backed up with pg_dump.", Rule: "backup_dialect"}
	}
	f, err := os.OpenFile(file, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600) //nolint:gosec // the operator's own path
	if err != nil {
		return fmt.Errorf("create the backup: %w", err)
	}
	if err := errors.Join(s.copyTo(ctx, file), f.Sync(), f.Close()); err != nil {
		return errors.Join(fmt.Errorf("write the backup: %w", err), os.Remove(file))
	}
	return nil
}

// copyTo fills an empty file from a connection of its own, so that neither the
// writer nor the readers wait.
func (s *sqliteDB) copyTo(ctx context.Context, file string) error {
	db, err := sql.Open("sqlite", sqliteDSN(s.path))
	if err != nil {
		return err
	}
	_, err = db.ExecContext(ctx, "VACUUM INTO ?", file)
	return errors.Join(err, db.Close())
}
