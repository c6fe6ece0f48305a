// Package migrations holds the numbered SQL files of the schema, one folder per
// dialect with the same numbers in each, and nothing that runs them.
//
// A file that shipped is never edited. Code at any commit works before and after
// its own migration, so nodes of two versions can share one database while they
// are replaced one by one.
//
// Both dialects end with the same tables and columns (tested in package storage).
// A time is a BIGINT of microseconds since 1970 and 0 where there is none; a list
// or document nobody searches in is JSON in a TEXT column.
package migrations

import (
	"embed"
	"fmt"
	"io/fs"
)

//go:embed postgres/*.sql sqlite/*.sql
var files embed.FS

// FS returns the files of dialect, which is "postgres" or "sqlite".
func FS(dialect string) (fs.FS, error) {
	if dialect != "postgres" && dialect != "sqlite" {
		return nil, fmt.Errorf("migrations: no dialect %q", dialect)
	}
	return fs.Sub(files, dialect)
}
