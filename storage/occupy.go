package storage

import (
	"fmt"
	"os"

	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
)

// Occupy says that a server works on the database at url. A SQLite file has one at a
// time, since what a server remembers of the file another must not change: a second is
// refused. The claim ends with the process, however that ends, or with leave. Commands
// beside the server make none, and Postgres may have many servers.
func Occupy(url string) (leave func(), err error) {
	if dia, err := dialectOf(url); err != nil || dia == postgres {
		return func() {}, err
	}
	path, err := sqlitePath(url)
	if err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path+".serving", os.O_RDWR|os.O_CREATE, 0o600) //nolint:gosec // the operator's own path
	if err != nil {
		return nil, fmt.Errorf("claim the database file: %w", err)
	}
	if err := lockFile(f); err != nil {
		_ = f.Close() // nothing was written
		return nil, &fault.Error{
			Kind: fault.Conflict, Code: "database_served", Rule: "one_server",
			Detail: "Another gatekeeper serves " + path + " already. Stop it first, give this one a --data-dir of its own, or use Postgres for several.", Err: err,
		}
	}
	return func() { _ = f.Close() }, nil // which frees it
}
