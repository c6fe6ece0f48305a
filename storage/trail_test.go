package storage_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gatekeeper-oidc/gatekeeper/audit"
	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
)

// TestTamperingIsFound: whatever somebody changes in the tables of the trail, a
// reading of the whole finds it, in columns as in documents, at the end as before.
func TestTamperingIsFound(t *testing.T) {
	t.Parallel()
	insert := `INSERT INTO events (position, id, hash, kind, at, subject, client_id, reference, data)
		SELECT 9, 'x' || id, hash, kind, at, subject, client_id, reference, data FROM events WHERE position = 8`
	for name, text := range map[string]string{
		"untouched":                           "",
		"the kind beside it":                  `UPDATE events SET kind = 'login.succeeded' WHERE position = 3`,
		"the subject beside it":               `UPDATE events SET subject = 'somebody' WHERE position = 3`,
		"no subject beside it":                `UPDATE events SET subject = '' WHERE position = 3`,
		"the client beside it":                `UPDATE events SET client_id = 'other' WHERE position = 3`,
		"the reference beside it":             `UPDATE events SET reference = '' WHERE position = 3`,
		"the time beside it":                  `UPDATE events SET at = at - 1 WHERE position = 3`,
		"the id beside it":                    `UPDATE events SET id = 'other' WHERE position = 3`,
		"the last one's kind":                 `UPDATE events SET kind = 'login.succeeded' WHERE position = 8`,
		"the document":                        `UPDATE events SET data = replace(data, 'user.locked', 'user.unlocked') WHERE position = 3`,
		"both alike":                          `UPDATE events SET kind = 'user.unlocked', data = replace(data, 'user.locked', 'user.unlocked') WHERE position = 3`,
		"a member nobody knows":               `UPDATE events SET data = replace(data, '{"id"', '{"note":"x","id"') WHERE position = 3`,
		"a member twice, the last one counts": `UPDATE events SET data = replace(data, '{"id"', '{"kind":"login.succeeded","id"') WHERE position = 3`,
		"another spelling":                    `UPDATE events SET data = replace(data, '"subject"', '"SUBJECT"') WHERE position = 3`,
		"space":                               `UPDATE events SET data = data || ' ' WHERE position = 3`,
		"no document":                         `UPDATE events SET data = 'x' WHERE position = 3`,
		"one says it was not altered":         `UPDATE events SET kind = 'x', data = replace(data, '{"id"', '{"altered":"","id"') WHERE position = 3`,
		"the hash":                            `UPDATE events SET hash = '00' WHERE position = 3`,
		"one removed":                         `DELETE FROM events WHERE position = 3`,
		"the first removed":                   `DELETE FROM events WHERE position = 1`,
		"one removed and renumbered":          `DELETE FROM events WHERE position = 3; UPDATE events SET position = position - 1 WHERE position = 4; UPDATE events SET position = 4 WHERE position = 5`,
		"two swapped":                         `UPDATE events SET position = -1 WHERE position = 3; UPDATE events SET position = 3 WHERE position = 4; UPDATE events SET position = 4 WHERE position = -1`,
		"one put in at the end":               insert,
		"the end removed":                     `DELETE FROM events WHERE position > 6`,
		"everything removed":                  `DELETE FROM events`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			onEach(t, func(t *testing.T, url string) {
				t.Helper()
				db := open(t, url)
				trail := audit.NewTrail(audit.Config{Store: db, Now: func() time.Time { return time.Unix(1_900_000_000, 0) }})
				write := func(n int) {
					for i := range n {
						e := audit.Event{Kind: audit.UserLocked, Actor: "cli:test", Subject: fmt.Sprintf("u%d", i), ClientID: "shop", Reference: "AAAA-BBBB", Detail: map[string]string{"reason": "<x> \u2028"}}
						if err := trail.Record(t.Context(), e); err != nil {
							t.Fatal(err)
						}
					}
					if err := trail.Sequence(t.Context()); err != nil {
						t.Fatal(err)
					}
				}
				write(8)
				beside := raw(t, url)
				for s := range strings.SplitSeq(text, ";") {
					if strings.TrimSpace(s) != "" {
						exec(t, beside, s)
					}
				}
				if err := verify(t.Context(), trail); (err != nil) != (text != "") {
					t.Errorf("got %v", err)
				}
				if name == "no document" {
					return // nothing more is to be said of it
				}
				write(8) // what comes after it hides nothing
				if err := verify(t.Context(), trail); (err != nil) != (text != "") {
					t.Errorf("after more events: got %v", err)
				}
			})
		})
	}
}

// TestAHeadLeftBehindIsNoTampering: a node of an earlier release moves the trail on
// and knows no head.
func TestAHeadLeftBehindIsNoTampering(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, url string) {
		t.Helper()
		db := open(t, url)
		trail := audit.NewTrail(audit.Config{Store: db, Now: func() time.Time { return time.Unix(1_900_000_000, 0) }})
		for _, text := range []string{
			"", `UPDATE trail_head SET position = 1, hash = (SELECT hash FROM events WHERE position = 1)`, `DELETE FROM trail_head`, "",
		} {
			if text != "" {
				exec(t, raw(t, url), text)
			}
			for range 2 {
				if err := trail.Record(t.Context(), audit.Event{Kind: audit.UserLocked}); err != nil {
					t.Fatal(err)
				}
				if err := trail.Sequence(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			if err := verify(t.Context(), trail); err != nil {
				t.Errorf("%q: %v", text, err)
			}
		}
		position, _, err := trail.Head(t.Context())
		if err != nil || position != 8 {
			t.Errorf("the head is at %d, %v; want 8", position, err)
		}
	})
}

// verify reads the whole trail as `gatekeeper audit verify` does.
func verify(ctx context.Context, trail *audit.Trail) error {
	position, hash, err := trail.Head(ctx)
	if err != nil {
		return err
	}
	events, err := trail.Events(ctx, audit.Filter{Limit: 1000})
	if err != nil {
		return err
	}
	if _, err := audit.Verify("", events...); err != nil {
		return err
	}
	for _, e := range events {
		if e.Position == position && e.Hash == hash {
			return nil
		}
	}
	return &fault.Error{Kind: fault.Conflict, Code: "cut_off"}
}
