package storage

import (
	"context"
	"time"
)

// watchEvery is how soon the work of another process on the same file is noticed.
const watchEvery = 500 * time.Millisecond

// ring has nobody to tell: other processes watch the file.
func (s *sqliteDB) ring(context.Context, []string) error { return nil }

// listen notices other processes. SQLite counts, for the connection that asks,
// the commits of all others; asked on the writer, its own do not count, and the
// readers of this process never commit.
func (s *sqliteDB) listen(ctx context.Context, deliver func(topic string)) error {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	seen := int64(-1)
	for {
		var version int64
		err := s.writer().one(ctx, "PRAGMA data_version", nil, []any{&version})
		if err == nil && version != seen {
			if seen >= 0 {
				deliver(everything)
			}
			seen = version
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}
