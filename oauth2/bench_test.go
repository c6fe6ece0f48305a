package oauth2_test

import (
	"strings"
	"testing"

	"github.com/gatekeeper-oidc/gatekeeper/keys"
)

// A measured is an operation and what has to be there before each run of it.
type measured struct{ prepare, op func() }

// benchEach runs f over each kind of database and reports its round trips.
func benchEach(b *testing.B, f func(f *fixture) measured) {
	b.Helper()
	for name, fresh := range databases {
		b.Run(name, func(b *testing.B) {
			fx := newFixture(b, fresh(b))
			m := f(fx)
			b.ReportAllocs()
			trips := uint64(0)
			for b.Loop() {
				if m.prepare != nil {
					b.StopTimer()
					m.prepare()
					b.StartTimer()
				}
				before := fx.db.Trips()
				m.op()
				trips += fx.db.Trips() - before
			}
			b.ReportMetric(float64(trips)/float64(b.N), "trips/op")
		})
	}
}

func BenchmarkSilentAuthorize(b *testing.B) {
	benchEach(b, func(f *fixture) measured {
		shop := f.app("shop")
		return measured{op: func() { shop.code() }}
	})
}

func BenchmarkExchange(b *testing.B) {
	benchEach(b, func(f *fixture) measured {
		shop, code := f.app("shop"), ""
		return measured{func() { code = shop.code() }, func() { shop.redeem(code).ok() }}
	})
}

func BenchmarkRefresh(b *testing.B) {
	benchEach(b, func(f *fixture) measured {
		shop := f.app("shop")
		rt := shop.login().Refresh
		return measured{op: func() { rt = tokensOf(shop.refresh(rt).ok()).Refresh }}
	})
}

func BenchmarkClientCredentials(b *testing.B) {
	benchEach(b, func(f *fixture) measured {
		job := f.app("job", machine)
		return measured{op: func() { job.token("grant_type", "client_credentials").ok() }}
	})
}

// BenchmarkBareSignature is what client credentials by RS256 cannot go below.
func BenchmarkBareSignature(b *testing.B) {
	f := newFixture(b, databases["sqlite"](b))
	payload := []byte(strings.Repeat("p", 300))
	b.ReportAllocs()
	for b.Loop() {
		_, err := f.ring.Sign(b.Context(), keys.RS256, "at+jwt", payload)
		must(b, err)
	}
}

func BenchmarkInspect(b *testing.B) {
	for name, c := range map[string]struct {
		forget bool
		token  func(tk tokens) string
	}{
		"active":          {false, func(tk tokens) string { return tk.Access }},
		"active uncached": {true, func(tk tokens) string { return tk.Access }},
		"inactive":        {false, func(tokens) string { return "garbage" }},
		"refresh token":   {false, func(tk tokens) string { return tk.Refresh }},
	} {
		b.Run(name, func(b *testing.B) {
			benchEach(b, func(f *fixture) measured {
				token := c.token(f.app("shop").login())
				return measured{op: func() {
					if c.forget {
						f.p.Forget("user:" + f.user.ID)
					}
					f.alive(token)
				}}
			})
		})
	}
}

func BenchmarkRevoke(b *testing.B) {
	benchEach(b, func(f *fixture) measured {
		shop, token := f.app("shop"), ""
		return measured{
			func() { token = shop.login("scope", "openid").Access },
			func() { shop.post("/oauth2/revoke", "token", token) },
		}
	})
}

// The round trips the server's speed is built on. A SQLite transaction counts each
// of its statements, which cost no trip there.
func TestRoundTrips(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, f *fixture) {
		shop, job, sealed := f.app("shop"), f.app("job", machine), f.app("sealed", opaque)
		lite := strings.HasSuffix(t.Name(), "sqlite")
		shop.login()
		sealed.login()
		job.token("grant_type", "client_credentials").ok()
		var code string
		var tk tokens
		player := f.app("player", tv)
		waiting, _ := player.ask("scope", "openid")
		ready, user := player.ask("scope", "openid offline_access")
		f.decided("alice", user, "")
		for _, c := range []struct {
			name       string
			pg, sqlite uint64
			op         func()
		}{
			{"silent authorize, the session's own read", 1, 1, func() { code = shop.code() }},
			{"exchange", 1, 3, func() { tk = tokensOf(shop.redeem(code).ok()) }},
			{"refresh", 2, 3, func() { tk = tokensOf(shop.refresh(tk.Refresh).ok()) }},
			{"client credentials", 0, 0, func() { job.token("grant_type", "client_credentials").ok() }},
			{"inspect uncached", 1, 1, func() { f.alive(tk.Access) }},
			{"inspect cached", 0, 0, func() { f.alive(tk.Access) }},
			{"inspect garbage", 0, 0, func() { f.alive("garbage"); f.alive("gk_rt_x"); f.alive("gk_at_x") }},
			{"garbage for a refresh token", 0, 0, func() { shop.refresh("gk_rt_" + strings.Repeat("A", 70)) }},
			{"a client id no client can have", 0, 0, func() { f.authorize("", shop.request("client_id", "a b")) }},
			{"a device's request", 1, 1, func() { player.ask("scope", "openid offline_access") }},
			{"a poll of a device that waits", 1, 1, func() { player.poll(waiting).refused(400, "authorization_pending") }},
			{"a device's tokens", 3, 3, func() { player.poll(ready).ok() }},
			{"garbage for a device code", 0, 0, func() { player.poll("gk_dc_" + strings.Repeat("A", 64)) }},
			{"revoke an access token", 1, 2, func() { shop.post("/oauth2/revoke", "token", tk.Access) }},
			{"revoke a refresh token", 2, 3, func() { shop.post("/oauth2/revoke", "token", tk.Refresh) }},
		} {
			most := c.pg
			if lite {
				most = c.sqlite
			}
			f.settle()
			before := f.db.Trips()
			c.op()
			if got := f.db.Trips() - before; got > most {
				t.Errorf("%s took %d trips, want at most %d", c.name, got, most)
			}
		}
	})
}
