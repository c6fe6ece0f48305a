package conformance

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatekeeper-oidc/gatekeeper/audit"
	"github.com/gatekeeper-oidc/gatekeeper/consent"
	"github.com/gatekeeper-oidc/gatekeeper/identity"
	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
	"github.com/gatekeeper-oidc/gatekeeper/oauth2"
)

func clientContracts() []contract {
	return []contract{
		{"a client comes back as stored", clientComesBack},
		{"a client id is taken once", clientTakenOnce},
		{"an update keeps the creation date", clientUpdate},
		{"deleting revokes grants and forgets consents", clientDelete},
		{"pages hold every client once in order", clientPages},
		{"an interaction comes back as stored", interactionComesBack},
		{"an interaction past its end is not found", interactionExpires},
		{"of racing callers one consumes an interaction", interactionRace},
		{"a late answer does not bring an interaction back", interactionStaysConsumed},
		{"of racing callers one uses an assertion", assertionRace},
		{"assertions of different clients do not meet", assertionsApart},
		{"a used assertion can be looked up", assertionSeen},
		{"thirty-two callers get one server secret", serverSecretRace},
	}
}

// sampleClient is a client with every field set.
func sampleClient(id string) oauth2.Client {
	age := 300
	return oauth2.Client{
		ID: id, Name: "Shop", Type: oauth2.Web, RedirectURIs: []string{"https://shop.example.com/cb"}, PostLogoutRedirectURIs: []string{"https://shop.example.com/"},
		Grants: []string{oauth2.GrantCode, oauth2.GrantRefresh}, Scopes: []string{"openid", "email"}, Audience: []string{"https://api.example.com"},
		AuthMethod: oauth2.AuthBasic, JWKS: json.RawMessage(`{"keys":[]}`), AccessToken: "opaque", AccessTokenAlg: "ES256", IDTokenAlg: "RS256",
		AccessTokenTTL: 60, RefreshTokenTTL: 3600, FirstParty: true, InsecureNoPKCE: true, IntrospectAny: true, DefaultMaxAge: &age,
		ClientURI: "https://shop.example.com", LogoURI: "https://shop.example.com/logo.svg", PolicyURI: "https://shop.example.com/p", TOSURI: "https://shop.example.com/t",
		Contacts: []string{"ops@shop.example.com"}, Disabled: true,
		Exchange: &oauth2.Exchange{Audiences: []string{"https://reports.example.com"}, Clients: []string{"app"}, Impersonate: true},
		TrustedIssuers: []oauth2.TrustedIssuer{
			{Issuer: "https://ci.example.com", JWKS: json.RawMessage(`{"keys":[]}`), Subjects: []string{"alice@example.com"}},
			{Issuer: "https://cd.example.com", JWKSURI: "https://cd.example.com/jwks", Subjects: []string{"shop"}},
		},
		Secrets: []oauth2.SecretHash{{Hash: []byte{1, 2}, ExpiresAt: time.Unix(2_000_000_000, 0).UTC()}, {Hash: []byte{3}}},
	}
}

func clientComesBack(b *bench) {
	c := sampleClient("shop")
	b.must(b.InsertClient(b.Context(), c))
	got, err := b.Client(b.Context(), c.ID)
	b.must(err)
	if got.CreatedAt.IsZero() || got.UpdatedAt.IsZero() {
		b.Errorf("dates = %v %v, want the database's clock", got.CreatedAt, got.UpdatedAt)
	}
	if got.Registration == "" {
		b.Error("the registration has no identity")
	}
	c.Registration, c.CreatedAt, c.UpdatedAt = got.Registration, got.CreatedAt, got.UpdatedAt
	if diff := cmp.Diff(c, got); diff != "" {
		b.Errorf("client (-want +got):\n%s", diff)
	}
}

func clientTakenOnce(b *bench) {
	b.must(b.InsertClient(b.Context(), sampleClient("shop")))
	b.kind(b.InsertClient(b.Context(), sampleClient("shop")), fault.Conflict)
}

func clientUpdate(b *bench) {
	ctx := b.Context()
	b.kind(b.UpdateClient(ctx, sampleClient("shop")), fault.NotFound)
	b.must(b.InsertClient(ctx, sampleClient("shop")))
	before, err := b.Client(ctx, "shop")
	b.must(err)
	c := oauth2.Client{ID: "shop", Type: oauth2.Machine, Grants: []string{oauth2.GrantClientCredentials}, Scopes: []string{"read"}, AuthMethod: oauth2.AuthPost}
	b.must(b.UpdateClient(ctx, c))
	got, err := b.Client(ctx, "shop")
	b.must(err)
	if !got.UpdatedAt.After(before.UpdatedAt) {
		b.Errorf("an update has the version of before, %v", got.UpdatedAt)
	}
	c.Registration, c.CreatedAt, c.UpdatedAt = before.Registration, before.CreatedAt, got.UpdatedAt
	if diff := cmp.Diff(c, got); diff != "" {
		b.Errorf("client (-want +got):\n%s", diff)
	}
}

func clientDelete(b *bench) {
	ctx := b.Context()
	b.kind(b.DeleteClient(ctx, "shop"), fault.NotFound)
	b.must(b.InsertClient(ctx, sampleClient("shop")))
	u := b.user("alice")
	b.must(b.PutConsent(ctx, consent.Consent{UserID: u.ID, ClientID: "shop"}))
	b.redeem(b.grant("g1"), true)
	b.must(b.DeleteClient(ctx, "shop"))
	_, err := b.Client(ctx, "shop")
	b.kind(err, fault.NotFound)
	_, err = b.Consent(ctx, u.ID, "shop")
	b.kind(err, fault.NotFound)
	g, _, err := b.Grant(ctx, "g1")
	b.must(err)
	if g.RevokedAt.IsZero() {
		b.Error("the grant of a deleted client is not revoked")
	}
}

func clientPages(b *bench) {
	var want, got []string
	for _, id := range []string{"B", "a", "c,d", "e%f", "ü"} { // in order of bytes, on every database
		b.must(b.InsertClient(b.Context(), sampleClient(id)))
		want = append(want, id)
	}
	page := identity.Page{Limit: 2}
	for range 3 {
		clients, next, err := b.Clients(b.Context(), page)
		b.must(err)
		for _, c := range clients {
			got = append(got, c.ID)
		}
		page.After = next
	}
	same(b, "cursor after the last page", page.After, "")
	if !slices.Equal(got, want) {
		b.Errorf("ids = %q, want %q", got, want)
	}
}

// interaction is one that lives for an hour.
func (b *bench) interaction(id string) oauth2.Interaction {
	b.Helper()
	age := int64(0)
	now := b.now()
	return oauth2.Interaction{
		ID: id, Binding: []byte{7}, CreatedAt: now, ExpiresAt: now.Add(time.Hour),
		Request: oauth2.AuthorizeRequest{ClientID: "shop", RedirectURI: "https://shop.example.com/cb", Scopes: []string{"openid"}, MaxAge: &age, State: "s"},
	}
}

func interactionComesBack(b *bench) {
	ctx := b.Context()
	in := b.interaction("i1")
	b.must(b.PutInteraction(ctx, in))
	in.Selected, in.Authenticated, in.Consented, in.Denied = "s1", "s2", true, "access_denied"
	b.must(b.PutInteraction(ctx, in))
	got, err := b.Interaction(ctx, in.ID)
	b.must(err)
	if diff := cmp.Diff(in, got); diff != "" {
		b.Errorf("interaction (-want +got):\n%s", diff)
	}
}

func interactionExpires(b *bench) {
	ctx := b.Context()
	in := b.interaction("i1")
	in.ExpiresAt = b.now().Add(-time.Second)
	b.must(b.PutInteraction(ctx, in))
	_, err := b.Interaction(ctx, in.ID)
	b.kind(err, fault.NotFound)
	done, err := b.ConsumeInteraction(ctx, in.ID)
	b.must(err)
	same(b, "an expired one is consumed", done, false)
	in.ExpiresAt = b.now().Add(time.Hour)
	b.kind(b.PutInteraction(ctx, in), fault.NotFound)
}

func interactionRace(b *bench) {
	b.must(b.PutInteraction(b.Context(), b.interaction("i1")))
	oneWinner(b, func(ctx context.Context) (bool, error) { return b.ConsumeInteraction(ctx, "i1") })
}

func interactionStaysConsumed(b *bench) {
	ctx := b.Context()
	in := b.interaction("i1")
	b.must(b.PutInteraction(ctx, in))
	_, err := b.ConsumeInteraction(ctx, in.ID)
	b.must(err)
	b.kind(b.PutInteraction(ctx, in), fault.NotFound)
	_, err = b.Interaction(ctx, in.ID)
	b.kind(err, fault.NotFound)
}

func assertionRace(b *bench) {
	end := b.now().Add(time.Minute)
	oneWinner(b, func(ctx context.Context) (bool, error) { return b.UseAssertion(ctx, "shop", "jti", end) })
}

func assertionsApart(b *bench) {
	ctx := b.Context()
	for _, c := range []struct {
		client, jti string
		end         time.Duration
		want        bool
	}{
		{"shop", "x", time.Minute, true},
		{"shop", "x", time.Minute, false},
		{"app", "x", time.Minute, true},
		{"shop", "y", -time.Minute, true},
		{"shop", "y", time.Minute, true}, // the first had expired
		{"shop", "y", time.Minute, false},
	} {
		got, err := b.UseAssertion(ctx, c.client, c.jti, b.now().Add(c.end))
		b.must(err)
		same(b, fmt.Sprintf("%s %s unused", c.client, c.jti), got, c.want)
	}
}

func assertionSeen(b *bench) {
	ctx := b.Context()
	used := func(client, jti string, want bool) {
		got, err := b.UsedAssertion(ctx, client, jti)
		b.must(err)
		same(b, client+" "+jti+" used", got, want)
	}
	used("shop", "x", false)
	for jti, end := range map[string]time.Duration{"x": time.Minute, "y": -time.Minute} {
		_, err := b.UseAssertion(ctx, "shop", jti, b.now().Add(end))
		b.must(err)
	}
	used("shop", "x", true)
	used("app", "x", false)
	used("shop", "y", false) // expired
}

// serverSecretRace: whoever asks first decides, and everybody hears the same.
func serverSecretRace(b *bench) {
	answers := make(chan string, contenders)
	for i := range contenders {
		go func() {
			got, err := b.ServerSecret(b.Context(), "pairwise", []byte(fmt.Sprint(i)))
			if err != nil {
				b.Error(err)
			}
			answers <- string(got)
		}()
	}
	first := <-answers
	for range contenders - 1 {
		same(b, "secret", <-answers, first)
	}
	other, err := b.ServerSecret(b.Context(), "other", []byte("another"))
	b.must(err)
	same(b, "another name's secret", string(other), "another")
	for _, c := range []struct{ old, want string }{{"not what is there", first}, {first, "sealed anew"}} {
		b.must(b.ReplaceServerSecret(b.Context(), "pairwise", []byte(c.old), []byte("sealed anew")))
		got, err := b.ServerSecret(b.Context(), "pairwise", []byte("fresh"))
		b.must(err)
		same(b, "secret after replacing "+c.old, string(got), c.want)
	}
}

func standingContracts() []contract {
	return []contract{
		{"everything stands", standingWhole},
		{"each thing that falls is told", standingFalls},
		{"a token without grant session or user", standingNothing},
		{"a grant and its standing are read together", grantWithStanding},
		{"revoking a token twice records it once", tokenRevokedOnce},
	}
}

func standingWhole(b *bench) {
	u := b.user("alice")
	b.session(u, "s1")
	g := b.grant("g1")
	g.Subject = u.ID
	b.redeem(g, true)
	got, err := b.Standing(b.Context(), oauth2.StandingQuery{Grant: "g1", Session: "s1", Subject: u.ID, JTI: "t1"})
	b.must(err)
	same(b, "email of the user", got.User.Email, u.Email)
	got.User = identity.User{}
	if diff := cmp.Diff(oauth2.Standing{GrantFound: true, UserFound: true, Client: g.ClientID, Claims: g.Claims}, got); diff != "" {
		b.Errorf("standing (-want +got):\n%s", diff)
	}
}

func standingFalls(b *bench) {
	ctx := b.Context()
	u := b.user("alice")
	b.session(u, "s1")
	b.redeem(b.grant("g1"), true)
	over := b.grant("over")
	over.ExpiresAt = b.now().Add(-time.Second)
	b.redeem(over, true)
	_, err := b.EndSessions(ctx, u.ID)
	b.must(err)
	_, err = b.RevokeGrant(ctx, "g1", sampleEvent(audit.GrantRevoked, "g1"))
	b.must(err)
	b.must(b.RevokeToken(ctx, "t1", b.now().Add(time.Hour), sampleEvent(audit.TokenRevoked, "")))
	u.Status = identity.Locked
	b.must(b.UpdateUser(ctx, u))
	got, err := b.Standing(ctx, oauth2.StandingQuery{Grant: "g1", Session: "s1", Subject: u.ID, JTI: "t1"})
	b.must(err)
	same(b, "status of the user", got.User.Status, identity.Locked)
	got.User = identity.User{}
	if diff := cmp.Diff(oauth2.Standing{GrantFound: true, GrantRevoked: true, SessionEnded: true, UserFound: true, TokenRevoked: true, Client: over.ClientID, Claims: over.Claims}, got); diff != "" {
		b.Errorf("standing (-want +got):\n%s", diff)
	}
	got, err = b.Standing(ctx, oauth2.StandingQuery{Grant: "over", Session: "unknown", Subject: "unknown"})
	b.must(err)
	if diff := cmp.Diff(oauth2.Standing{GrantFound: true, GrantRevoked: true, SessionEnded: true, Client: over.ClientID, Claims: over.Claims}, got); diff != "" {
		b.Errorf("standing past the end (-want +got):\n%s", diff)
	}
}

func standingNothing(b *bench) {
	got, err := b.Standing(b.Context(), oauth2.StandingQuery{JTI: "t1"})
	b.must(err)
	if diff := cmp.Diff(oauth2.Standing{}, got); diff != "" {
		b.Errorf("standing (-want +got):\n%s", diff)
	}
}

func grantWithStanding(b *bench) {
	ctx := b.Context()
	u := b.user("alice")
	b.session(u, "s1")
	g := b.grant("g1")
	g.Subject = u.ID
	b.redeem(g, true)
	got, state, standing, err := b.GrantWithStanding(ctx, "g1")
	b.must(err)
	if diff := cmp.Diff(g, got); diff != "" {
		b.Errorf("grant (-want +got):\n%s", diff)
	}
	same(b, "generation", state.Generation, 1)
	if !standing.GrantFound || standing.GrantRevoked || standing.SessionEnded || !standing.UserFound || standing.User.Email != u.Email {
		b.Errorf("standing = %+v", standing)
	}
	_, err = b.EndSessions(ctx, u.ID)
	b.must(err)
	_, _, standing, err = b.GrantWithStanding(ctx, "g1")
	b.must(err)
	same(b, "session ended", standing.SessionEnded, true)
	_, _, _, err = b.GrantWithStanding(ctx, "nothing")
	b.kind(err, fault.NotFound)
}

func tokenRevokedOnce(b *bench) {
	end := b.now().Add(time.Hour)
	for range 2 {
		b.must(b.RevokeToken(b.Context(), "t1", end, sampleEvent(audit.TokenRevoked, "")))
	}
	same(b, "events", b.kinds()[audit.TokenRevoked], 1)
}
