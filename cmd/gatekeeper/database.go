package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/gatekeeper-oidc/gatekeeper/internal/config"
	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
	"github.com/gatekeeper-oidc/gatekeeper/storage"
)

func (a *app) migrateCommand() *cobra.Command {
	c := group("migrate", "The schema of the database", a.migrateUp(), a.migrateStatus())
	c.Example = "  gatekeeper migrate status\n  gatekeeper migrate up"
	return c
}

func (a *app) migrateUp() *cobra.Command {
	var dry bool
	c := &cobra.Command{
		Use: "up", Short: "Bring the schema up to date",
		Long: "Bring the schema up to date. Servers of the version before keep working meanwhile, and nodes\n" +
			"that start together wait for each other. The embedded database does this by itself.",
		Example: "  gatekeeper migrate up --dry-run\n  gatekeeper migrate up --database-url postgres://gatekeeper@db/gatekeeper",
		Args:    between(0),
	}
	c.Flags().BoolVar(&dry, "dry-run", false, "only say what would be done")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, err := a.loadGlobal()
		if err != nil {
			return err
		}
		if !dry {
			if err := beginDatabase(cfg); err != nil {
				return err
			}
			if err := storage.Migrate(cmd.Context(), cfg.DatabaseURL.Reveal()); err != nil {
				return databaseRefused(cfg, err)
			}
		}
		return a.showSchema(cmd.Context(), cfg)
	}
	return c
}

func (a *app) migrateStatus() *cobra.Command {
	return &cobra.Command{
		Use: "status", Short: "Say how far the schema is",
		Example: "  gatekeeper migrate status -o json",
		Args:    between(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := a.loadGlobal()
			if err != nil {
				return err
			}
			return a.showSchema(cmd.Context(), cfg)
		},
	}
}

// makeDatabaseDir makes the folder of the embedded database, for its owner only.
func makeDatabaseDir(cfg *config.Config) error {
	file := cfg.DatabaseFile()
	if file == "" {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return databaseRefused(cfg, err)
	}
	return nil
}

// beginDatabase makes the folder of an embedded database that was never made, and
// the secret that will seal it: one without its secret looks like one that lost it.
func beginDatabase(cfg *config.Config) error {
	if cfg.Postgres() || !noDatabase(cfg) {
		return nil
	}
	if err := makeDatabaseDir(cfg); err != nil {
		return err
	}
	if _, _, err := config.RootSecret(cfg); err != nil {
		return badConfig(err)
	}
	return nil
}

// noDatabase reports whether the embedded database was never made: looking at it
// must not make it.
func noDatabase(cfg *config.Config) bool {
	file := cfg.DatabaseFile()
	_, err := os.Stat(file)
	return file != "" && errors.Is(err, fs.ErrNotExist)
}

// databaseRefused names the key that led to a database that did not open, and the
// line it is from. A schema of another version is nobody's mistake there.
func databaseRefused(cfg *config.Config, err error) error {
	if err == nil || fault.Is(err, fault.Conflict) {
		return err
	}
	return &exitError{status(err), cfg.Blame(cfg.DatabaseKey(), "leads to no database: %s", reasonOf(err))}
}

func (a *app) showSchema(ctx context.Context, cfg *config.Config) error {
	if noDatabase(cfg) {
		a.say("There is no database at %s yet; the first `gatekeeper serve` makes it.", cfg.DatabaseFile())
		return a.print(schemaView(storage.Schema{Pending: []string{}}))
	}
	s, err := storage.MigrationStatus(ctx, cfg.DatabaseURL.Reveal())
	if err != nil {
		return databaseRefused(cfg, err)
	}
	if s.Pending == nil {
		s.Pending = []string{}
	}
	return a.print(schemaView(s))
}

func schemaView(s storage.Schema) view {
	return view{value: s, names: s.Pending, table: func(t *table) {
		t.field("SCHEMA", fmt.Sprint(s.Current))
		t.field("NEEDED", fmt.Sprint(s.Latest))
		switch {
		case s.Current > s.Latest:
			t.field("PENDING", "none: the database belongs to a newer gatekeeper")
		case len(s.Pending) == 0:
			t.field("PENDING", "none")
		default:
			t.each("PENDING", s.Pending)
		}
	}}
}

func (a *app) backupCommand() *cobra.Command {
	return &cobra.Command{
		Use: "backup FILE", Short: "Copy the embedded database while the server runs",
		Long: "Copy the embedded database to a new file, whole and consistent, while the server runs.\n" +
			"The root secret is not in it: keep that apart, for without it the keys in the copy cannot\n" +
			"be opened. Postgres is backed up with pg_dump.",
		Example: "  gatekeeper backup /backups/gatekeeper-$(date +%F).db",
		Args:    exactly("a file"),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			cfg, err := a.loadGlobal()
			if err != nil {
				return err
			}
			if noDatabase(cfg) {
				return &exitError{exitNotFound, fmt.Errorf("there is no database at %s", cfg.DatabaseFile())}
			}
			db, err := storage.Open(cmd.Context(), storage.Config{URL: cfg.DatabaseURL.Reveal()})
			if err != nil {
				return databaseRefused(cfg, err)
			}
			defer func() { err = errors.Join(err, db.Close()) }()
			if err := db.Backup(cmd.Context(), a.path(args[0])); err != nil {
				if errors.Is(err, fs.ErrExist) {
					return &exitError{exitConflict, fmt.Errorf("%s exists already; a backup never overwrites a file", args[0])}
				}
				return err
			}
			a.say("The database is in %s. Keep the root secret as well, and elsewhere.", args[0])
			return nil
		},
	}
}
