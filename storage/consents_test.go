package storage_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/gatekeeper-oidc/gatekeeper/identity"
)

// TestConsentsArePaged: ten thousand of one person come in pages, each once, and no
// page is longer than asked for.
func TestConsentsArePaged(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, url string) {
		t.Helper()
		db := open(t, url)
		many(t, url, 2)
		const all = 10_000
		series := fmt.Sprintf(`SELECT i FROM generate_series(1, %d) AS s(i)`, all)
		if strings.HasPrefix(url, "sqlite:") {
			series = fmt.Sprintf(`SELECT i FROM (WITH RECURSIVE s(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM s WHERE i < %d) SELECT i FROM s)`, all)
		}
		exec(t, raw(t, url), `INSERT INTO consents (user_id, client_id, scopes, granted_at, updated_at)
			SELECT 'id1', 'app' || i, '["openid"]', 1, 1 FROM (`+series+`) AS n`)
		seen := map[string]bool{}
		for p := (identity.Page{Limit: 200}); ; {
			page, next, err := db.Consents(t.Context(), "id1", p)
			if err != nil || len(page) != 200 {
				t.Fatalf("a page of %d, %v", len(page), err)
			}
			for _, c := range page {
				if c.UserID != "id1" || seen[c.ClientID] {
					t.Fatalf("%s of %s a second time or of somebody else", c.ClientID, c.UserID)
				}
				seen[c.ClientID] = true
			}
			if next == "" {
				break
			}
			p.After = next
		}
		if len(seen) != all {
			t.Errorf("%d of %d came", len(seen), all)
		}
		if none, err := db.Unasked(t.Context(), "id1"); err != nil || len(none) > 0 {
			t.Errorf("unasked: %d, %v", len(none), err)
		}
		if none, next, err := db.Consents(t.Context(), "id2", identity.Page{}); err != nil || len(none) > 0 || next != "" {
			t.Errorf("of somebody else: %d, %q, %v", len(none), next, err)
		}
	})
}
