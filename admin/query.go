package admin

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gatekeeper-oidc/gatekeeper/audit"
	"github.com/gatekeeper-oidc/gatekeeper/identity"
	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
	"github.com/gatekeeper-oidc/gatekeeper/internal/web"
)

// A request is one to a route of the table, with its query read and checked: no
// work looks at the query in another way.
type request struct {
	*http.Request

	query url.Values
}

// queryOf reads the query of a request to rt. One that cannot be read, names what
// the route does not have, says something twice or gives an empty value is refused:
// a filter that selects must never be taken for none.
func queryOf(r *http.Request, rt route) (url.Values, error) {
	values, err := web.Query(r)
	if err != nil {
		return nil, err
	}
	for name, v := range values {
		i := slices.IndexFunc(rt.query, func(p parameter) bool { return p.name == name })
		if i < 0 {
			return nil, invalid("query_known", "There is no such query parameter here.").With("parameter", name)
		}
		if v[0] == "" {
			return nil, invalid("query_value", "The query parameter "+name+" is empty; give it a value or leave it out.")
		}
		if err := (request{r, values}).is(rt.query[i]); err != nil { // before any work, and any body
			return nil, err
		}
	}
	return values, nil
}

// is holds a parameter to its kind.
func (r request) is(p parameter) (err error) {
	switch p.kind {
	case "integer":
		_, err = r.number(p.name)
	case "boolean":
		_, err = r.flag(p.name)
	case "date-time":
		_, err = r.instant(p.name)
	}
	return err
}

// ids reads a list separated by commas; nil if it is absent. An entry that is empty
// or there twice is a mistake.
func (r request) ids(name string) ([]string, error) {
	if !r.query.Has(name) {
		return nil, nil
	}
	list := strings.Split(r.query.Get(name), ",")
	for i, id := range list {
		if strings.TrimSpace(id) == "" || strings.TrimSpace(id) != id || slices.Contains(list[:i], id) {
			return nil, invalid("query_list", "The query parameter "+name+" is a list of ids separated by commas, each of them once.")
		}
	}
	return list, nil
}

// number reads a count, 0 if it is absent.
func (r request) number(name string) (int64, error) {
	v := r.query.Get(name)
	if v == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(v, 10, 64)
	if err != nil || n < 0 || strconv.FormatInt(n, 10) != v {
		return 0, invalid("query_number", "The query parameter "+name+" is a number.")
	}
	return n, nil
}

// limit reads how many a page shall hold, 0 if that is left open.
func (r request) limit() (int, error) {
	n, err := r.number("limit")
	if err != nil {
		return 0, err
	}
	if n > maxAsked || n == 0 && r.query.Has("limit") {
		return 0, invalid("query_limit", "The query parameter limit is a number of 1 at least.").With("most", strconv.Itoa(maxAsked))
	}
	return int(n), nil
}

// maxAsked is the greatest limit that is still a number of rows; more than a page
// may hold gives a full page.
const maxAsked = 1_000_000

// instant reads a time, zero if it is absent.
func (r request) instant(name string) (time.Time, error) {
	v := r.query.Get(name)
	if v == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339, v)
	if err != nil {
		return time.Time{}, invalid("query_time", "The query parameter "+name+" is a time such as 2026-01-02T15:04:05Z.")
	}
	return t, nil
}

// flag reads true or false, false if it is absent.
func (r request) flag(name string) (bool, error) {
	switch r.query.Get(name) {
	case "true":
		return true, nil
	case "false", "":
		return false, nil
	}
	return false, invalid("query_boolean", "The query parameter "+name+" is true or false.")
}

func paging() []parameter {
	return []parameter{
		{"after", "string", "The next of the last page."},
		{"limit", "integer", "At most this many; 50 if it is left out, and never more than 200."},
	}
}

func (r request) page() (identity.Page, error) {
	limit, err := r.limit()
	return identity.Page{After: r.query.Get("after"), Limit: limit}, err
}

func filters() []parameter {
	return []parameter{
		{"after", "integer", "Only events behind this position."},
		{"since", "date-time", "Only events since then (RFC 3339)."},
		{"kind", "string", "Only events of this kind."},
		{"sub", "string", "Only events that happened to this person."},
		{"client_id", "string", "Only events of this application."},
		{"reference", "string", "Only refusals shown with this reference."},
		{"newest", "boolean", "Newest first."},
		{"limit", "integer", "At most this many; 100 if it is left out, and never more than 1000."},
	}
}

func (r request) filter() (f audit.Filter, err error) {
	q := r.query
	f = audit.Filter{
		Kind: audit.Kind(q.Get("kind")), Subject: q.Get("sub"), ClientID: q.Get("client_id"), Reference: q.Get("reference"),
	}
	if f.After, err = r.number("after"); err != nil {
		return f, err
	}
	if f.Limit, err = r.limit(); err != nil {
		return f, err
	}
	if f.Since, err = r.instant("since"); err != nil {
		return f, err
	}
	f.Newest, err = r.flag("newest")
	return f, err
}

func invalid(rule, detail string) *fault.Error {
	return &fault.Error{Kind: fault.Invalid, Code: "invalid_request", Rule: rule, Detail: detail}
}
