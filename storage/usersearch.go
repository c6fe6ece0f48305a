package storage

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/gatekeeper-oidc/gatekeeper/identity"
	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
)

// maxTerms is how many words of a search count; who gives more means the first.
const maxTerms = 8

// beyond is behind every word that begins with a prefix: the last code point.
const beyond = "\U0010FFFF"

// Users implements identity.Store: in order of email, or, with a query, those who
// have for each word of it a word that begins with it: in their id, their address,
// either half of it, or their names. The order is then that of the words found.
// Both read the next page where the index has it, and count nothing.
func (d *DB) Users(ctx context.Context, query string, p identity.Page) (users []identity.User, next string, err error) {
	after, err := uncursor(p.After)
	if err != nil {
		return nil, "", err
	}
	limit := pageSize(p.Limit)
	terms := strings.Fields(strings.ToLower(query))
	if len(terms) == 0 {
		users, err = d.users(ctx, queryUsers, []any{after, limit + 1})
		users, next = cut(users, limit, func(u identity.User) string { return u.Email })
		return users, next, err
	}
	if !keepable(query) {
		return nil, "", nil
	}
	from, err := placeOf(after)
	if err != nil {
		return nil, "", err
	}
	q, args := searchQuery(terms[:min(len(terms), maxTerms)], from, limit+1)
	var places []place
	err = d.all(ctx, q, args, func(row row) error {
		var r userRow
		var at place
		if err := row.Scan(append(r.dest(), &at.Word)...); err != nil {
			return err
		}
		u, err := r.user()
		at.Email, at.User = u.Email, u.ID
		users, places = append(users, u), append(places, at)
		return err
	})
	if err != nil || len(users) <= limit {
		return users, "", err
	}
	last, err := document(places[limit-1])
	return users[:limit], cursor(last), err
}

func (d *DB) users(ctx context.Context, q query, args []any) (users []identity.User, err error) {
	err = d.all(ctx, q, args, func(row row) error {
		var r userRow
		if err := row.Scan(r.dest()...); err != nil {
			return err
		}
		u, err := r.user()
		users = append(users, u)
		return err
	})
	return users, err
}

// A place is where a search goes on: behind this row of user_words.
type place struct {
	Word  string `json:"w"`
	Email string `json:"e"`
	User  string `json:"u"`
}

func placeOf(after string) (p place, err error) {
	if after == "" {
		return p, nil
	}
	if err := json.Unmarshal([]byte(after), &p); err != nil {
		return p, &fault.Error{Kind: fault.Invalid, Code: "invalid_cursor", Detail: "The cursor is not one of this search.", Rule: "cursor_known", Err: err}
	}
	return p, nil
}

// searchQuery reads user_words from a place on, by the first term; of somebody who
// has several words that begin with it only the first counts.
func searchQuery(terms []string, from place, limit int) (query, []any) {
	args := []any{terms[0], terms[0] + beyond, from.Word, from.Email, from.User}
	var b strings.Builder
	b.WriteString(`SELECT ` + userColumns + `, w.word FROM user_words w JOIN users u ON u.id = w.user_id
		WHERE w.word >= $1 AND w.word < $2 AND (w.word, w.email, w.user_id) > ($3, $4, $5)
		AND NOT EXISTS (SELECT 1 FROM user_words e WHERE e.user_id = w.user_id AND e.word >= $1 AND e.word < w.word)`)
	for _, term := range terms[1:] {
		args = append(args, term, term+beyond)
		fmt.Fprintf(&b, ` AND EXISTS (SELECT 1 FROM user_words o WHERE o.user_id = w.user_id AND o.word >= $%d AND o.word < $%d)`, len(args)-1, len(args))
	}
	args = append(args, limit)
	b.WriteString(` ORDER BY w.word, w.email, w.user_id LIMIT $` + strconv.Itoa(len(args)))
	return both(b.String()), args
}
