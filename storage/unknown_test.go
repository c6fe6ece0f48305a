package storage_test

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/gatekeeper-oidc/gatekeeper/audit"
	"github.com/gatekeeper-oidc/gatekeeper/conformance"
	"github.com/gatekeeper-oidc/gatekeeper/consent"
	"github.com/gatekeeper-oidc/gatekeeper/identity"
	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
	"github.com/gatekeeper-oidc/gatekeeper/oauth2"
	"github.com/gatekeeper-oidc/gatekeeper/storage"
)

// commit is the request that ends a transaction; its beginning says "committed".
const commit = "commit\x00"

// recorded counts what the trail has of a kind.
func recorded(t *testing.T, db *storage.DB, kind audit.Kind) (n int) {
	t.Helper()
	for {
		moved, err := db.SequenceEvents(t.Context(), 100, func(string, audit.Event) string { return "h" })
		must(t, err)
		if moved == 0 {
			break
		}
	}
	all, err := db.Events(t.Context(), audit.Filter{Kind: kind, Limit: 1000})
	must(t, err)
	return len(all)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func event(kind audit.Kind) audit.Event { return audit.Event{Kind: kind, At: time.Now()} }

// A lostWork is something done once, and the mark by which its request is known.
type lostWork struct {
	mark string
	do   func(ctx context.Context) (done bool, err error)
	kind audit.Kind // what it records, once; "" for nothing
}

// lostWorks are what is done through db. Each makes itself ready first.
func lostWorks(t *testing.T, db *storage.DB) map[string]func(id string) lostWork {
	t.Helper()
	now, err := db.Now(t.Context())
	must(t, err)
	must(t, db.InsertUser(t.Context(), identity.User{ID: "alice", Email: "alice@example.com", Status: identity.Active}))
	must(t, db.InsertClient(t.Context(), oauth2.Client{ID: "shop"}))
	grant := func(id string) oauth2.Grant {
		return oauth2.Grant{ID: id, ClientID: "shop", Subject: "alice", SecretHash: []byte(id), ExpiresAt: now.Add(time.Hour)}
	}
	in := func(id string) oauth2.Interaction { return oauth2.Interaction{ID: id, ExpiresAt: now.Add(time.Hour)} }
	return map[string]func(id string) lostWork{
		"a code": func(id string) lostWork {
			return lostWork{id, func(ctx context.Context) (bool, error) {
				return db.RedeemGrant(ctx, grant(id), true, event(audit.GrantIssued))
			}, audit.GrantIssued}
		},
		"a refresh": func(id string) lostWork {
			_, err := db.RedeemGrant(t.Context(), grant(id), true, event(audit.CodeReplayed))
			must(t, err)
			return lostWork{id, func(ctx context.Context) (bool, error) {
				got, err := db.RotateRefresh(ctx, oauth2.RotateRequest{Grant: id, Generation: 1, Event: event(audit.GrantRefreshed), Replay: event(audit.RefreshReplayed)})
				return got == oauth2.Rotated, err
			}, audit.GrantRefreshed}
		},
		"a device's answer": func(id string) lostWork {
			d := oauth2.DeviceRequest{Grant: grant(id), Status: oauth2.DevicePending, CodeHash: []byte(id), UserHash: []byte(id)}
			_, err := db.PutDevice(t.Context(), d, oauth2.DeviceTimes{TTL: time.Hour, Interval: time.Second}, event(audit.DeviceRequested))
			must(t, err)
			d.Status = oauth2.DeviceApproved
			return lostWork{id, func(ctx context.Context) (bool, error) { return db.AnswerDevice(ctx, d, event(audit.DeviceApproved)) }, audit.DeviceApproved}
		},
		"a revocation": func(id string) lostWork {
			_, err := db.RedeemGrant(t.Context(), grant(id), true, event(audit.CodeReplayed))
			must(t, err)
			return lostWork{id, func(ctx context.Context) (bool, error) { return db.RevokeGrant(ctx, id, event(audit.GrantRevoked)) }, audit.GrantRevoked}
		},
		"an interaction": func(id string) lostWork {
			must(t, db.PutInteraction(t.Context(), in(id)))
			return lostWork{id, func(ctx context.Context) (bool, error) { return db.ConsumeInteraction(ctx, id) }, ""}
		},
		"a pushed request": func(id string) lostWork {
			return lostWork{id, func(ctx context.Context) (bool, error) { return db.UseAssertion(ctx, "shop", id, now.Add(time.Hour)) }, ""}
		},
		"a consent": func(string) lostWork {
			return lostWork{commit, func(ctx context.Context) (bool, error) {
				err := db.InTx(ctx, func(ctx context.Context) error {
					if err := db.PutConsent(ctx, consent.Consent{UserID: "alice", ClientID: "shop"}); err != nil {
						return err
					}
					return db.AppendEvents(ctx, event(audit.ConsentGranted))
				})
				return err == nil, err
			}, audit.ConsentGranted}
		},
		"a sign-in": func(id string) lostWork {
			return lostWork{commit, func(ctx context.Context) (bool, error) {
				err := db.InTx(ctx, func(ctx context.Context) error {
					if err := db.PutSession(ctx, identity.Session{ID: id, TokenHash: []byte(id), UserID: "alice", ExpiresAt: now.Add(time.Hour)}); err != nil {
						return err
					}
					return db.AppendEvents(ctx, event(audit.SessionStarted))
				})
				return err == nil, err
			}, audit.SessionStarted}
		},
		"a sign-out": func(id string) lostWork {
			must(t, db.PutSession(t.Context(), identity.Session{ID: id, TokenHash: []byte(id), UserID: "alice", ExpiresAt: now.Add(time.Hour)}))
			return lostWork{commit, func(ctx context.Context) (done bool, err error) {
				err = db.InTx(ctx, func(ctx context.Context) error {
					ended, err := db.EndSessions(ctx, "alice", id)
					if done = len(ended) == 1; err != nil {
						return err
					}
					return db.AppendEvents(ctx, event(audit.SessionEnded))
				})
				return done, err
			}, audit.SessionEnded}
		},
	}
}

// TestALostAnswerIsReadBack: the connection is cut between COMMIT and reply, and who
// waits is told what was done, once; who comes second is told that it was.
func TestALostAnswerIsReadBack(t *testing.T) {
	t.Parallel()
	for _, others := range []bool{false, true} {
		t.Run(fmt.Sprintf("others break too: %t", others), func(t *testing.T) {
			t.Parallel()
			direct := conformance.Postgres(t, os.Getenv)
			cut, wire := conformance.Through(t, direct)
			db, beside := open(t, cut), open(t, direct)
			for name, ready := range lostWorks(t, db) {
				w := ready("lost " + name)
				before := 0
				if w.kind != "" {
					before = recorded(t, beside, w.kind)
				}
				lost := wire.LoseAnswer(w.mark, others)
				done, err := w.do(t.Context())
				select {
				case <-lost:
				default:
					t.Errorf("%s: no answer was lost", name)
				}
				if !done || err != nil {
					t.Errorf("%s: done %t, %v", name, done, err)
				}
				if w.kind != "" {
					if n := recorded(t, beside, w.kind) - before; n != 1 {
						t.Errorf("%s: recorded %d times", name, n)
					}
				}
				if w.mark == commit {
					continue // it may be said twice
				}
				if done, err := w.do(t.Context()); done || err != nil {
					t.Errorf("%s, a second time: done %t, %v", name, done, err)
				}
			}
		})
	}
}

// TestALostRequestDoesNothing: a request that never arrived is made again where that
// is safe, and is no success where it is not.
func TestALostRequestDoesNothing(t *testing.T) {
	t.Parallel()
	direct := conformance.Postgres(t, os.Getenv)
	cut, wire := conformance.Through(t, direct)
	db, beside := open(t, cut), open(t, direct)
	for name, ready := range lostWorks(t, db) {
		w := ready("lost " + name)
		before := 0
		if w.kind != "" {
			before = recorded(t, beside, w.kind)
		}
		lost := wire.LoseRequest(w.mark)
		done, err := w.do(t.Context())
		<-lost
		want := 1
		if w.mark == commit {
			want = 0
			if !fault.Is(err, fault.Unavailable) {
				t.Errorf("%s: %v, want Unavailable", name, err)
			}
		} else if !done || err != nil {
			t.Errorf("%s: done %t, %v", name, done, err)
		}
		if w.kind != "" {
			if n := recorded(t, beside, w.kind) - before; n != want {
				t.Errorf("%s: recorded %d times, want %d", name, n, want)
			}
		}
	}
}
