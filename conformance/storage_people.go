package conformance

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatekeeper-oidc/gatekeeper/consent"
	"github.com/gatekeeper-oidc/gatekeeper/identity"
	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
)

func userContracts() []contract {
	return []contract{
		{"a user comes back as stored", userComesBack},
		{"an email is taken once", emailTakenOnce},
		{"what is not there is not found", usersNotFound},
		{"an update changes everything but id and creation", userUpdate},
		{"deleting takes credentials sessions and consents along", userDelete},
		{"pages hold everybody once in order", userPages},
		{"a search finds the beginnings of words and nothing by wildcard", userSearch},
		{"roles are counted exactly", rolesCounted},
		{"login reads user password and clock at once", userForLogin},
		{"misses are counted apart where they are to be", userCounters},
		{"racing misses are all counted", racingMisses},
		{"bytes that are not text are not found", notText},
		{"a consent is replaced and keeps its first date", consents},
	}
}

func userComesBack(b *bench) {
	u := b.user("alice")
	got, err := b.User(b.Context(), u.ID)
	b.must(err)
	if got.CreatedAt.IsZero() || got.UpdatedAt.IsZero() || !got.LastLoginAt.IsZero() {
		b.Errorf("dates = %v %v %v, want two by the database's clock and none", got.CreatedAt, got.UpdatedAt, got.LastLoginAt)
	}
	u.CreatedAt, u.UpdatedAt = got.CreatedAt, got.UpdatedAt
	if diff := cmp.Diff(u, got); diff != "" {
		b.Errorf("by id (-want +got):\n%s", diff)
	}
	got, err = b.UserByEmail(b.Context(), u.Email)
	b.must(err)
	if diff := cmp.Diff(u, got); diff != "" {
		b.Errorf("by email (-want +got):\n%s", diff)
	}
}

func emailTakenOnce(b *bench) {
	u := b.user("alice")
	u.ID = "another"
	b.kind(b.InsertUser(b.Context(), u), fault.Conflict)
	bob := b.user("bob")
	bob.Email = u.Email
	b.kind(b.UpdateUser(b.Context(), bob), fault.Conflict)
}

func usersNotFound(b *bench) {
	ctx := b.Context()
	_, err := b.User(ctx, "nobody")
	b.kind(err, fault.NotFound)
	_, err = b.UserByEmail(ctx, "nobody@example.com")
	b.kind(err, fault.NotFound)
	nobody, _, _, err := b.UserForLogin(ctx, "nobody@example.com", identity.Counter{})
	b.must(err)
	same(b, "nobody", nobody.ID, "")
	b.kind(b.UpdateUser(ctx, identity.User{ID: "nobody", Email: "x"}), fault.NotFound)
	b.kind(b.DeleteUser(ctx, "nobody"), fault.NotFound)
	b.kind(b.SetPassword(ctx, "nobody", "hash"), fault.NotFound)
	_, err = b.MissPassword(ctx, "nobody")
	b.kind(err, fault.NotFound)
	b.kind(b.ClearFailures(ctx, "nobody"), fault.NotFound)
	_, _, err = b.SessionByToken(ctx, []byte("nothing"))
	b.kind(err, fault.NotFound)
	b.kind(b.PutSession(ctx, identity.Session{ID: "s", TokenHash: []byte{1}, UserID: "nobody", ExpiresAt: b.now().Add(time.Hour)}), fault.NotFound)
	_, err = b.Consent(ctx, "nobody", "shop")
	b.kind(err, fault.NotFound)
	b.kind(b.DeleteConsent(ctx, "nobody", "shop"), fault.NotFound)
	b.kind(b.PutConsent(ctx, consent.Consent{UserID: "nobody", ClientID: "shop"}), fault.NotFound)
}

func userUpdate(b *bench) {
	u := b.user("alice")
	stored, err := b.User(b.Context(), u.ID)
	b.must(err)
	u.Email, u.EmailVerified, u.Status, u.Roles, u.Profile = "new@example.com", false, identity.Locked, nil, identity.Profile{GivenName: "Al"}
	u.LastLoginAt = b.now()
	b.must(b.UpdateUser(b.Context(), u))
	got, err := b.User(b.Context(), u.ID)
	b.must(err)
	if got.UpdatedAt.Before(stored.UpdatedAt) {
		b.Errorf("UpdatedAt went back from %v to %v", stored.UpdatedAt, got.UpdatedAt)
	}
	u.CreatedAt, u.UpdatedAt = stored.CreatedAt, got.UpdatedAt
	if diff := cmp.Diff(u, got); diff != "" {
		b.Errorf("user (-want +got):\n%s", diff)
	}
	u.LastLoginAt = time.Time{} // as read by somebody before the login
	b.must(b.UpdateUser(b.Context(), u))
	got, err = b.User(b.Context(), u.ID)
	b.must(err)
	if got.LastLoginAt.IsZero() {
		b.Error("an older copy undid the last login")
	}
}

func userDelete(b *bench) {
	ctx := b.Context()
	u := b.user("alice")
	s := b.session(u, "s1")
	b.must(b.InsertClient(ctx, sampleClient("shop")))
	b.must(b.SetPassword(ctx, u.ID, "hash"))
	b.must(b.PutConsent(ctx, consent.Consent{UserID: u.ID, ClientID: "shop", Scopes: []string{"openid"}}))
	g := b.grant("g1")
	g.Subject = u.ID
	b.redeem(g, true)
	b.must(b.DeleteUser(ctx, u.ID))
	_, _, err := b.SessionByToken(ctx, s.TokenHash)
	b.kind(err, fault.NotFound)
	_, err = b.Consent(ctx, u.ID, "shop")
	b.kind(err, fault.NotFound)
	got, _, err := b.Grant(ctx, g.ID)
	b.must(err)
	if got.RevokedAt.IsZero() {
		b.Error("the grant of a deleted user is not revoked")
	}
}

func userPages(b *bench) {
	var want []string
	for i := range 7 {
		want = append(want, b.user(fmt.Sprintf("user%d", i)).Email)
	}
	var got []string
	page := identity.Page{Limit: 3}
	for sizes := []int{3, 3, 1}; len(sizes) > 0; sizes = sizes[1:] {
		users, next, err := b.Users(b.Context(), "", page)
		b.must(err)
		same(b, "size of the page", len(users), sizes[0])
		same(b, "there is a next page", next != "", len(sizes) > 1)
		for _, u := range users {
			got = append(got, u.Email)
		}
		page.After = next
	}
	if diff := cmp.Diff(want, got); diff != "" {
		b.Errorf("emails (-want +got):\n%s", diff)
	}
	_, _, err := b.Users(b.Context(), "", identity.Page{After: "not a cursor!"})
	b.kind(err, fault.Invalid)
}

func userSearch(b *bench) {
	b.user("alice")
	b.user("bob")
	for query, want := range map[string]int{"": 2, "ALIC": 1, "Doe": 2, "example.com": 2, "nobody": 0, "%": 0, "_": 0, `\`: 0, "b_b": 0} {
		users, _, err := b.Users(b.Context(), query, identity.Page{})
		b.must(err)
		same(b, "users found by "+query, len(users), want)
	}
}

func rolesCounted(b *bench) {
	ctx := b.Context()
	for i, roles := range [][]string{nil, {"admin"}, {"staff", "admin"}, {"administrator"}, {`x"admin`}, {"ADMIN"}} {
		name := fmt.Sprintf("u%d", i)
		b.must(b.InsertUser(ctx, identity.User{ID: name, Email: name, Status: identity.Active, Roles: roles}))
	}
	n, err := b.CountUsersWithRole(ctx, identity.RoleAdmin)
	b.must(err)
	same(b, "admins", n, 2)
	b.must(b.InsertUser(ctx, identity.User{ID: "u9", Email: "u9", Status: identity.Locked, Roles: []string{"admin"}}))
	active, err := b.ActiveWithRole(ctx, identity.RoleAdmin)
	b.must(err)
	same(b, "active admins", fmt.Sprint(active), "[u1 u2]")
}

func userForLogin(b *bench) {
	ctx := b.Context()
	u := b.user("alice")
	_, p, now, err := b.UserForLogin(ctx, u.Email, identity.Counter{})
	b.must(err)
	same(b, "password of a user without one", p, identity.Password{})
	if now.IsZero() {
		b.Error("no clock")
	}
	b.must(b.SetPassword(ctx, u.ID, "hash"))
	for want := range 3 {
		n, err := b.MissPassword(ctx, u.ID)
		b.must(err)
		same(b, "failures", n, want+1)
	}
	_, p, now, err = b.UserForLogin(ctx, u.Email, identity.Counter{})
	b.must(err)
	if p.Hash != "hash" || p.Failures != 3 || p.LastFailure.IsZero() || p.LastFailure.After(now) || p.ChangedAt.IsZero() {
		b.Errorf("password = %+v at %v", p, now)
	}
	b.must(b.ClearFailures(ctx, u.ID))
	got, p, _, err := b.UserForLogin(ctx, u.Email, identity.Counter{})
	b.must(err)
	same(b, "failures after success", p.Failures, 0)
	if got.LastLoginAt.IsZero() {
		b.Error("LastLoginAt is not set")
	}
	_, err = b.MissPassword(ctx, u.ID)
	b.must(err)
	b.must(b.SetPassword(ctx, u.ID, "other"))
	_, p, _, err = b.UserForLogin(ctx, u.Email, identity.Counter{})
	b.must(err)
	same(b, "failures after a new password", p.Failures, 0)
}

func notText(b *bench) {
	ctx := b.Context()
	for _, name := range []string{"a\x00b", "a\xffb"} {
		_, err := b.User(ctx, name)
		b.kind(err, fault.NotFound)
		_, err = b.UserByEmail(ctx, name)
		b.kind(err, fault.NotFound)
		_, err = b.Client(ctx, name)
		b.kind(err, fault.NotFound)
		_, err = b.Interaction(ctx, name)
		b.kind(err, fault.NotFound)
		_, _, _, err = b.GrantWithStanding(ctx, name)
		b.kind(err, fault.NotFound)
		b.kind(b.InsertUser(ctx, identity.User{ID: "u", Email: name}), fault.Invalid)
	}
}

func consents(b *bench) {
	ctx := b.Context()
	u := b.user("alice")
	b.must(b.InsertClient(ctx, sampleClient("shop")))
	b.must(b.InsertClient(ctx, sampleClient("app")))
	b.kind(b.PutConsent(ctx, consent.Consent{UserID: u.ID, ClientID: "nothing"}), fault.NotFound)
	b.must(b.PutConsent(ctx, consent.Consent{UserID: u.ID, ClientID: "shop", Scopes: []string{"openid"}}))
	first, err := b.Consent(ctx, u.ID, "shop")
	b.must(err)
	b.must(b.PutConsent(ctx, consent.Consent{UserID: u.ID, ClientID: "shop", Scopes: []string{"openid", "email"}, GrantedAt: b.now().Add(time.Hour)}))
	second, err := b.Consent(ctx, u.ID, "shop")
	b.must(err)
	if !second.GrantedAt.Equal(first.GrantedAt) || !slices.Equal(second.Scopes, []string{"openid", "email"}) {
		b.Errorf("consent = %+v after %+v", second, first)
	}
	b.must(b.PutConsent(ctx, consent.Consent{UserID: u.ID, ClientID: "app", Scopes: []string{"openid"}}))
	all, next, err := b.Consents(ctx, u.ID, identity.Page{Limit: 1})
	b.must(err)
	same(b, "consents of the first page", len(all), 1)
	same(b, "the first consent", all[0].ClientID, "app")
	all, next, err = b.Consents(ctx, u.ID, identity.Page{After: next, Limit: 1})
	b.must(err)
	same(b, "the second consent", all[0].ClientID, "shop")
	same(b, "what follows the last page", next, "")
	_, _, err = b.Consents(ctx, u.ID, identity.Page{After: "no cursor!"})
	b.kind(err, fault.Invalid)
	b.must(b.DeleteConsent(ctx, u.ID, "shop"))
	_, err = b.Consent(ctx, u.ID, "shop")
	b.kind(err, fault.NotFound)
}

func sessionContracts() []contract {
	return []contract{
		{"a session comes back with its user", sessionComesBack},
		{"a session past its end is not found", sessionExpires},
		{"an ended session stays ended", sessionStaysEnded},
		{"a renewed session has a new token only", sessionRenewed},
		{"ending picks the right ones and says which", endSessions},
		{"of racing callers one ends a session", endSessionsRace},
		{"a setup chainLink works once before its end", setupTokens},
		{"of racing callers one spends the setup chainLink", setupRace},
	}
}

func sessionComesBack(b *bench) {
	u := b.user("alice")
	s := b.session(u, "s1")
	got, user, err := b.SessionByToken(b.Context(), s.TokenHash)
	b.must(err)
	if diff := cmp.Diff(s, got); diff != "" {
		b.Errorf("session (-want +got):\n%s", diff)
	}
	same(b, "user", user.Email, u.Email)
	b.must(b.TouchSession(b.Context(), s.ID))
	got, _, err = b.SessionByToken(b.Context(), s.TokenHash)
	b.must(err)
	if got.LastSeenAt.Before(s.LastSeenAt) {
		b.Errorf("LastSeenAt went back to %v", got.LastSeenAt)
	}
}

func sessionExpires(b *bench) {
	s := b.session(b.user("alice"), "s1")
	s.ExpiresAt = b.now().Add(-time.Second)
	b.must(b.PutSession(b.Context(), s))
	_, _, err := b.SessionByToken(b.Context(), s.TokenHash)
	b.kind(err, fault.NotFound)
	live, err := b.Sessions(b.Context(), "")
	b.must(err)
	same(b, "live sessions", len(live), 0)
}

func sessionStaysEnded(b *bench) {
	ctx := b.Context()
	s := b.session(b.user("alice"), "s1")
	ended, err := b.EndSessions(ctx, "", s.ID)
	b.must(err)
	same(b, "ended", len(ended), 1)
	b.kind(b.PutSession(ctx, s), fault.NotFound)
	b.must(b.TouchSession(ctx, s.ID))
	_, _, err = b.SessionByToken(ctx, s.TokenHash)
	b.kind(err, fault.NotFound)
}

func sessionRenewed(b *bench) {
	ctx := b.Context()
	s := b.session(b.user("alice"), "s1")
	old := s.TokenHash
	s.TokenHash = []byte("another")
	b.must(b.PutSession(ctx, s))
	_, _, err := b.SessionByToken(ctx, old)
	b.kind(err, fault.NotFound)
	got, _, err := b.SessionByToken(ctx, s.TokenHash)
	b.must(err)
	same(b, "id", got.ID, s.ID)
}

func endSessions(b *bench) {
	ctx := b.Context()
	alice, bob := b.user("alice"), b.user("bob")
	for _, id := range []string{"a1", "a2", "a3"} {
		b.session(alice, id)
	}
	b.session(bob, "b1")
	for _, c := range []struct {
		name string
		user string
		ids  []string
		want []string
	}{
		{"of another user", alice.ID, []string{"b1"}, nil},
		{"one of hers", alice.ID, []string{"a1", "unknown"}, []string{"a1"}},
		{"the same again", alice.ID, []string{"a1"}, nil},
		{"the rest of hers", alice.ID, nil, []string{"a2", "a3"}},
		{"nobody's", "", nil, nil},
		{"by id alone", "", []string{"b1"}, []string{"b1"}},
	} {
		got, err := b.EndSessions(ctx, c.user, c.ids...)
		b.must(err)
		slices.Sort(got)
		if !slices.Equal(got, c.want) {
			b.Errorf("ending %s ended %v, want %v", c.name, got, c.want)
		}
	}
}

func endSessionsRace(b *bench) {
	s := b.session(b.user("alice"), "s1")
	oneWinner(b, func(ctx context.Context) (bool, error) {
		ended, err := b.EndSessions(ctx, "", s.ID)
		return len(ended) == 1, err
	})
}

func setupTokens(b *bench) {
	ctx := b.Context()
	check := func(what string, f func(context.Context, []byte) (bool, error), hash string, want bool) {
		b.Helper()
		got, err := f(ctx, []byte(hash))
		b.must(err)
		same(b, what, got, want)
	}
	check("peek before there is one", b.PeekSetupToken, "one", false)
	b.must(b.PutSetupToken(ctx, []byte("one"), time.Hour))
	b.must(b.PutSetupToken(ctx, []byte("two"), time.Hour))
	check("peek at the replaced one", b.PeekSetupToken, "one", false)
	check("consume the replaced one", b.ConsumeSetupToken, "one", false)
	check("peek", b.PeekSetupToken, "two", true)
	check("consume", b.ConsumeSetupToken, "two", true)
	check("consume again", b.ConsumeSetupToken, "two", false)
	b.must(b.PutSetupToken(ctx, []byte("three"), -time.Second))
	check("peek at an expired one", b.PeekSetupToken, "three", false)
	check("consume an expired one", b.ConsumeSetupToken, "three", false)
}

func setupRace(b *bench) {
	b.must(b.PutSetupToken(b.Context(), []byte("one"), time.Hour))
	oneWinner(b, func(ctx context.Context) (bool, error) { return b.ConsumeSetupToken(ctx, []byte("one")) })
}
