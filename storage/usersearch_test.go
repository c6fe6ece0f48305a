package storage_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatekeeper-oidc/gatekeeper/identity"
	"github.com/gatekeeper-oidc/gatekeeper/storage"
)

// many is how a database is given people, as a release that knows nothing of words
// gives them: the rows alone.
func many(t *testing.T, url string, n int) {
	t.Helper()
	series := fmt.Sprintf(`SELECT i FROM generate_series(1, %d) AS s(i)`, n)
	if strings.HasPrefix(url, "sqlite:") {
		series = fmt.Sprintf(`SELECT i FROM (WITH RECURSIVE s(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM s WHERE i < %d) SELECT i FROM s)`, n)
	}
	db := raw(t, url)
	exec(t, db, `INSERT INTO users (id, email, email_verified, status, roles, profile, search, created_at, updated_at, last_login_at)
		SELECT 'id' || i, 'user' || i || '@example.org', TRUE, 'active', '[]', '{}',
			'id' || i || '
user' || i || '@example.org
person ' || (i % 100) || ' name' || i, 1, 1, 0 FROM (`+series+`) AS n`)
	exec(t, db, `ANALYZE`)
}

// TestASearchReadsAnIndex: however many people there are, a search goes where the
// words are, and reads nobody else.
func TestASearchReadsAnIndex(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, url string) {
		t.Helper()
		db := open(t, url)
		many(t, url, 20_000)
		for _, terms := range [][]string{{"user1999"}, {"person"}, {"user1", "name19"}} {
			whole := planOf(t, db, url, terms)
			never := []string{"Seq Scan", "SCAN "}
			if len(terms) == 1 { // of several, the rarest may be read first, and its few sorted
				never = append(never, "Sort", "TEMP B-TREE")
			}
			for _, bad := range never {
				if strings.Contains(whole, bad) {
					t.Errorf("%v: the plan has %q:\n%s", terms, bad, whole)
				}
			}
		}
		if found, _, err := db.Users(t.Context(), "USER1999", identity.Page{Limit: 20}); err != nil || len(found) != 11 {
			t.Errorf("found %d, %v; want user1999 and user19990 to user19999", len(found), err)
		}
	})
}

// planOf is how the database would find terms.
func planOf(t *testing.T, db *storage.DB, url string, terms []string) string {
	t.Helper()
	text, args := db.SearchSQL(terms...)
	explain := "EXPLAIN "
	if strings.HasPrefix(url, "sqlite:") {
		explain = "EXPLAIN QUERY PLAN "
	}
	rows, err := raw(t, url).QueryContext(t.Context(), explain+text, args...)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	columns, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	var plan []string
	for rows.Next() {
		cells := make([]any, len(columns))
		for i := range cells {
			cells[i] = new(any)
		}
		if err := rows.Scan(cells...); err != nil {
			t.Fatal(err)
		}
		plan = append(plan, fmt.Sprint(*cells[len(cells)-1].(*any)))
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return strings.Join(plan, "\n")
}

// TestASearchIsPagedAndEveryoneComesOnce: also those with several words that begin
// alike, and while an address changes between two pages.
func TestASearchIsPagedAndEveryoneComesOnce(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, url string) {
		t.Helper()
		db := open(t, url)
		for i, name := range []string{"Ana Anabel", "Anatol Smith", "Bob Anarchy", "Ana", "Zoë Ana-Maria", "Bob"} {
			u := identity.User{ID: fmt.Sprintf("u%d", i), Email: fmt.Sprintf("ana%d@example.org", i), Status: identity.Active, Profile: identity.Profile{Name: name}}
			if name == "Bob" {
				u.Email = `b"o\b@example.com`
			}
			if err := db.InsertUser(t.Context(), u); err != nil {
				t.Fatal(err)
			}
		}
		seen := map[string]int{}
		page := identity.Page{Limit: 2}
		for {
			users, next, err := db.Users(t.Context(), "ana", page)
			if err != nil {
				t.Fatal(err)
			}
			for _, u := range users {
				seen[u.ID]++
			}
			if next == "" {
				break
			}
			page.After = next
		}
		if d := cmp.Diff(map[string]int{"u0": 1, "u1": 1, "u2": 1, "u3": 1, "u4": 1}, seen); d != "" {
			t.Errorf("(-want +got):\n%s", d)
		}
		for query, want := range map[string]int{
			"ana smith": 1, "smith ana": 1, "ana4@example.org": 1, "zoë": 1, "ZOË": 1, "example.com": 1, "bob": 2, `b"o`: 1, "u3": 1, "  ": 6, "nabel": 0, "ana nobody": 0,
		} {
			if users, _, err := db.Users(t.Context(), query, identity.Page{}); err != nil || len(users) != want {
				t.Errorf("%q: %d, %v; want %d", query, len(users), err, want)
			}
		}
		u, err := db.User(t.Context(), "u5")
		if err != nil {
			t.Fatal(err)
		}
		u.Email, u.Profile.Name = "carol@example.net", "Carol"
		if err := db.UpdateUser(t.Context(), u); err != nil {
			t.Fatal(err)
		}
		if err := db.DeleteUser(t.Context(), "u0"); err != nil {
			t.Fatal(err)
		}
		for query, want := range map[string]int{"bob": 1, "carol": 1, "example.net": 1, "anabel": 0} {
			if users, _, err := db.Users(t.Context(), query, identity.Page{}); err != nil || len(users) != want {
				t.Errorf("after the change, %q: %d, %v; want %d", query, len(users), err, want)
			}
		}
		if _, _, err := db.Users(t.Context(), "ana", identity.Page{After: "bm90IGEgcGxhY2U"}); err == nil {
			t.Error("a cursor of another list is taken")
		}
	})
}

// BenchmarkUserSearch is a search among a hundred thousand, on SQLite: for a word
// everybody has, and for one that few have.
func BenchmarkUserSearch(b *testing.B) {
	dir := b.TempDir()
	db, err := storage.Open(b.Context(), storage.Config{URL: "sqlite:" + dir + "/test.db", Migrate: true})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	err = db.InTx(b.Context(), func(ctx context.Context) error {
		for i := range 100_000 {
			u := identity.User{ID: fmt.Sprintf("id%d", i), Email: fmt.Sprintf("user%d@example.org", i), Status: identity.Active, Profile: identity.Profile{Name: fmt.Sprintf("Person %d", i)}}
			if err := db.InsertUser(ctx, u); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	for _, query := range []string{"person", "example.org", "user99", "nobody"} {
		b.Run(query, func(b *testing.B) {
			for b.Loop() {
				if _, _, err := db.Users(b.Context(), query, identity.Page{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
