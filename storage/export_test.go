package storage

// SearchSQL is the statement that finds people by terms, and its arguments, in the
// words of a dialect.
func (d *DB) SearchSQL(terms ...string) (string, []any) {
	q, args := searchQuery(terms, place{}, 51)
	return q.text[d.dialect], args
}
