package conformance

import (
	"os"
	"testing"
	"time"

	"github.com/gatekeeper-oidc/gatekeeper/audit"
	"github.com/gatekeeper-oidc/gatekeeper/identity"
	"github.com/gatekeeper-oidc/gatekeeper/oauth2"
	"github.com/gatekeeper-oidc/gatekeeper/storage"
)

// A statement is a round trip. These are the numbers the speed of the server is
// built on (house.md, decision 6).
func TestStorageTrips(t *testing.T) {
	t.Parallel()
	db := openStorage(t, Postgres(t, os.Getenv))
	b := &bench{t, db}
	b.must(b.InsertClient(t.Context(), sampleClient("shop")))
	u := b.user("alice")
	s := b.session(u, "s1")
	b.redeem(b.grant("g1"), true)
	g, e := b.grant("g2"), sampleEvent(audit.GrantIssued, "g2")
	hearing := b.grant("g3")
	hearing.Hears = true
	for _, c := range []struct {
		name string
		want uint64
		f    func() error
	}{
		{"Client", 1, func() error { _, err := db.Client(t.Context(), "shop"); return err }},
		{"SessionByToken", 1, func() error { _, _, err := db.SessionByToken(t.Context(), s.TokenHash); return err }},
		{"UserForLogin", 1, func() error { _, _, _, err := db.UserForLogin(t.Context(), u.Email, identity.Counter{}); return err }},
		{"RedeemGrant", 1, func() error { _, err := db.RedeemGrant(t.Context(), g, true, e); return err }},
		{"RedeemGrant a second time", 1, func() error { _, err := db.RedeemGrant(t.Context(), g, true, e); return err }},
		{"RedeemGrant of an application that hears of sign-outs", 1, func() error { _, err := db.RedeemGrant(t.Context(), hearing, true, e); return err }},
		{"GrantWithStanding", 1, func() error { _, _, _, err := db.GrantWithStanding(t.Context(), "g1"); return err }},
		{"RotateRefresh won", 1, func() error { _, err := db.RotateRefresh(t.Context(), presented("g1", 1, time.Minute)); return err }},
		{"RotateRefresh lost", 2, func() error { _, err := db.RotateRefresh(t.Context(), presented("g1", 1, time.Minute)); return err }},
		{"RotateRefresh replayed", 3, func() error { _, err := db.RotateRefresh(t.Context(), presented("g1", 1, 0)); return err }},
		{"Standing", 1, func() error {
			_, err := db.Standing(t.Context(), oauth2.StandingQuery{Grant: "g1", Session: "s1", Subject: u.ID, JTI: "t"})
			return err
		}},
		{"RevokeGrant", 1, func() error { _, err := db.RevokeGrant(t.Context(), "g2", e); return err }},
		{"RevokeToken", 1, func() error { return db.RevokeToken(t.Context(), "t", g.ExpiresAt, e) }},
		{"UseAssertion", 1, func() error { _, err := db.UseAssertion(t.Context(), "shop", "j", g.ExpiresAt); return err }},
		{"PutDevice", 1, func() error { _, err := db.PutDevice(t.Context(), b.device("d1"), often, e); return err }},
		{"AnswerDevice", 1, func() error { _, err := db.AnswerDevice(t.Context(), approved(b.device("d1")), e); return err }},
		{"PollDevice", 1, func() error { _, err := db.PollDevice(t.Context(), "shop", b.device("d1").CodeHash); return err }},
		{"AppendEvents", 1, func() error { return db.AppendEvents(t.Context(), e, e) }},
	} {
		before := db.Trips()
		if err := c.f(); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		if got := db.Trips() - before; got != c.want {
			t.Errorf("%s took %d trips, want %d", c.name, got, c.want)
		}
	}
}

// benchStorage runs f on each kind of database.
func benchStorage(b *testing.B, f func(b *testing.B, db *storage.DB)) {
	b.Helper()
	for name, fresh := range storageDatabases {
		b.Run(name, func(b *testing.B) {
			db := openStorage(b, fresh(b))
			b.ReportAllocs()
			before := db.Trips()
			f(b, db)
			b.ReportMetric(float64(db.Trips()-before)/float64(b.N), "trips/op")
		})
	}
}

func benchGrant(id string) oauth2.Grant {
	return oauth2.Grant{
		ID: id, ClientID: "shop", Subject: "alice", Session: "s1", Scopes: []string{"openid", "email"}, Offline: true,
		SecretHash: make([]byte, 32), CreatedAt: time.Now(), ExpiresAt: time.Now().Add(time.Hour),
	}
}

func BenchmarkStorageStanding(b *testing.B) {
	benchStorage(b, func(b *testing.B, db *storage.DB) {
		b.Helper()
		if _, err := db.RedeemGrant(b.Context(), benchGrant("g"), true, sampleEvent(audit.GrantIssued, "g")); err != nil {
			b.Fatal(err)
		}
		for b.Loop() {
			if _, err := db.Standing(b.Context(), oauth2.StandingQuery{Grant: "g", Session: "s1", Subject: "alice", JTI: "t"}); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkStorageRedeem(b *testing.B) {
	benchStorage(b, func(b *testing.B, db *storage.DB) {
		b.Helper()
		for i := 0; b.Loop(); i++ {
			id := "g" + time.Now().String()
			if _, err := db.RedeemGrant(b.Context(), benchGrant(id), true, sampleEvent(audit.GrantIssued, id)); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkStorageRotate(b *testing.B) {
	benchStorage(b, func(b *testing.B, db *storage.DB) {
		b.Helper()
		if _, err := db.RedeemGrant(b.Context(), benchGrant("g"), true, sampleEvent(audit.GrantIssued, "g")); err != nil {
			b.Fatal(err)
		}
		for i := 1; b.Loop(); i++ {
			if got, err := db.RotateRefresh(b.Context(), presented("g", i, time.Minute)); err != nil || got != oauth2.Rotated {
				b.Fatal(got, err)
			}
		}
	})
}
