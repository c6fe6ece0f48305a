package storage

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
)

// A dialect is a kind of database.
type dialect int

const (
	postgres dialect = iota
	sqlite
)

func (d dialect) String() string { return [...]string{"postgres", "sqlite"}[d] }

// The database's clock in microseconds. Both are constant within a statement, so
// an index can be searched with them.
const (
	postgresNow = `(extract(epoch FROM statement_timestamp()) * 1000000)::bigint`
	sqliteNow   = `CAST(unixepoch('subsec') * 1000000 AS INTEGER)`
)

// A query is a statement in the words of each dialect. {now} stands for the
// database's clock.
type query struct {
	text  [2]string
	write bool
}

// both makes a query from one text that both dialects understand.
func both(text string) query { return each(text, text) }

// each makes a query with a text of its own for each dialect.
func each(pg, lite string) query {
	return query{
		text: [2]string{
			postgres: strings.ReplaceAll(pg, "{now}", postgresNow),
			sqlite:   strings.ReplaceAll(lite, "{now}", sqliteNow),
		},
		write: !strings.HasPrefix(strings.TrimSpace(lite), "SELECT"),
	}
}

// micros is t as it is stored.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// instant is the opposite of micros.
func instant(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}

// blob is b as a value that is never NULL.
func blob(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

// document is v as JSON text.
func document(v any) (string, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return "", fmt.Errorf("encode column: %w", err)
	}
	return string(b), nil
}

// list is a JSON array of strings, "[]" when empty.
func list(v []string) string {
	if len(v) == 0 {
		return "[]"
	}
	b, _ := json.Marshal(v) // strings always marshal
	return string(b)
}

// unlist is the opposite of list.
func unlist(text string) ([]string, error) {
	if text == "[]" || text == "" {
		return nil, nil
	}
	var v []string
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		return nil, fmt.Errorf("decode column: %w", err)
	}
	return v, nil
}

// set is ids as the argument of a query that uses inSet.
func (d dialect) set(ids []string) any {
	if d == postgres {
		return ids
	}
	return list(ids)
}

// inSet makes a query whose {set} is a list of ids in argument $1.
func inSet(text string) query {
	return each(
		strings.ReplaceAll(text, "{set}", "= ANY($1::text[])"),
		strings.ReplaceAll(text, "{set}", "IN (SELECT value FROM json_each($1))"))
}

const (
	defaultPage = 50
	maxPage     = 1000
)

// pageSize bounds a caller's wish.
func pageSize(limit int) int {
	switch {
	case limit <= 0:
		return defaultPage
	case limit > maxPage:
		return maxPage
	default:
		return limit
	}
}

// cursor is the key of the last row of a page as callers carry it.
func cursor(key string) string { return base64.RawURLEncoding.EncodeToString([]byte(key)) }

// uncursor is the opposite of cursor.
func uncursor(c string) (string, error) {
	key, err := base64.RawURLEncoding.DecodeString(c)
	if err != nil || !keepable(string(key)) {
		return "", &fault.Error{Kind: fault.Invalid, Code: "invalid_cursor", Detail: "The cursor is not one this server gave.", Rule: "cursor_known", Err: err}
	}
	return string(key), nil
}

// cut returns at most limit rows of a reading of limit+1, and the cursor of the
// next page if there is one.
func cut[T any](rows []T, limit int, key func(T) string) ([]T, string) {
	if len(rows) <= limit {
		return rows, ""
	}
	return rows[:limit], cursor(key(rows[limit-1]))
}
