package admin

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatekeeper-oidc/gatekeeper/audit"
	"github.com/gatekeeper-oidc/gatekeeper/consent"
	"github.com/gatekeeper-oidc/gatekeeper/identity"
	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
	"github.com/gatekeeper-oidc/gatekeeper/keys"
	"github.com/gatekeeper-oidc/gatekeeper/oauth2"
)

// shop is a client that passes every check of its registration.
func shop(id string) oauth2.Client {
	return oauth2.Client{ID: id, Name: "Shop", RedirectURIs: []string{"https://shop.example/cb"}}
}

func public(id string) oauth2.Client {
	c := shop(id)
	c.Type = oauth2.SPA
	return c
}

func wantFault(t *testing.T, what string, err error, kind fault.Kind, code string) {
	t.Helper()
	if f := fault.Of(err); err == nil || f.Kind != kind || f.Code != code {
		t.Errorf("%s: got %v, want %s", what, err, code)
	}
}

func TestClients(t *testing.T) {
	t.Parallel()
	for name, open := range ways() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, api, w := open(t)
			made, err := api.CreateClient(ctx, ClientInput{Client: shop("shop")})
			if err != nil || made.Secret == "" || made.AuthMethod != oauth2.AuthBasic || made.CreatedAt.IsZero() {
				t.Fatalf("create: %+v, %v", made, err)
			}
			_, err = api.CreateClient(ctx, ClientInput{Client: shop("shop")})
			wantFault(t, "create it again", err, fault.Conflict, "client_exists")
			_, err = api.CreateClient(ctx, ClientInput{})
			wantFault(t, "create without an id", err, fault.Invalid, "invalid_client_metadata")
			_, err = api.CreateClient(ctx, ClientInput{Client: shop("x"), Secret: "short"})
			wantFault(t, "bring a short secret", err, fault.Invalid, "invalid_client_metadata")
			_, err = api.CreateClient(ctx, ClientInput{Client: public("x"), Secret: strings.Repeat("s", 40)})
			wantFault(t, "bring a secret for a public client", err, fault.Invalid, "invalid_request")
			spa, err := api.CreateClient(ctx, ClientInput{Client: public("board")})
			if err != nil || spa.Secret != "" {
				t.Fatalf("create a public client: %+v, %v", spa, err)
			}

			got, err := api.Client(ctx, "shop")
			if d := cmp.Diff(made.Client, got); err != nil || d != "" {
				t.Errorf("get: %v (-made +got):\n%s", err, d)
			}
			_, err = api.Client(ctx, "nobody")
			wantFault(t, "get nobody", err, fault.NotFound, "client_not_found")

			got.Name, got.Scopes = "Store", []string{"openid", "email"}
			changed, err := api.UpdateClient(ctx, got)
			if err != nil || changed.Name != "Store" || !changed.CreatedAt.Equal(made.CreatedAt) || changed.UpdatedAt.Before(made.UpdatedAt) {
				t.Errorf("update: %+v, %v", changed, err)
			}
			stored, err := w.db.Client(ctx, "shop")
			if err != nil || len(stored.Secrets) != 1 {
				t.Errorf("an update lost the secret: %+v, %v", stored.Secrets, err)
			}
			_, err = api.UpdateClient(ctx, shop("nobody"))
			wantFault(t, "update nobody", err, fault.NotFound, "client_not_found")

			first, next, err := api.Clients(ctx, identity.Page{Limit: 1})
			if err != nil || len(first) != 1 || first[0].ID != "board" || next == "" {
				t.Fatalf("first page: %+v, %q, %v", first, next, err)
			}
			second, next, err := api.Clients(ctx, identity.Page{Limit: 1, After: next})
			if err != nil || len(second) != 1 || second[0].ID != "shop" || next != "" {
				t.Errorf("second page: %+v, %q, %v", second, next, err)
			}

			if err := api.DeleteClient(ctx, "board"); err != nil {
				t.Error(err)
			}
			wantFault(t, "delete it again", api.DeleteClient(ctx, "board"), fault.NotFound, "client_not_found")
			w.wantTrail(t, "client.created shop", "client.created board", "client.updated shop name scopes", "client.deleted board")
		})
	}
}

func TestSecrets(t *testing.T) {
	t.Parallel()
	for name, open := range ways() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, api, w := open(t)
			if _, err := api.CreateClient(ctx, ClientInput{Client: shop("shop")}); err != nil {
				t.Fatal(err)
			}
			kept := func() []oauth2.SecretHash {
				c, err := w.db.Client(ctx, "shop")
				if err != nil {
					t.Fatal(err)
				}
				return c.Secrets
			}
			mine := strings.Repeat("s", 40)
			out, err := api.RotateSecret(ctx, "shop", RotateInput{Secret: mine, KeepOld: time.Hour})
			if s := kept(); err != nil || out.Secret != mine || len(s) != 2 || s[1].ExpiresAt.IsZero() {
				t.Fatalf("rotate and keep: %+v, %v", s, err)
			}
			end := kept()[1].ExpiresAt
			if _, err := api.RotateSecret(ctx, "shop", RotateInput{KeepOld: 24 * time.Hour}); err != nil {
				t.Fatal(err)
			}
			if s := kept(); len(s) != 3 || !s[2].ExpiresAt.Equal(end) {
				t.Errorf("a later rotation prolonged an old secret: %+v, it ended %s", s, end)
			}
			if _, err := api.RotateSecret(ctx, "shop", RotateInput{}); err != nil || len(kept()) != 1 {
				t.Errorf("rotate and keep none: %+v, %v", kept(), err)
			}
			_, err = api.RotateSecret(ctx, "shop", RotateInput{KeepOld: 31 * 24 * time.Hour})
			wantFault(t, "keep it for too long", err, fault.Invalid, "invalid_request")
			_, err = api.RotateSecret(ctx, "nobody", RotateInput{})
			wantFault(t, "nobody's secret", err, fault.NotFound, "client_not_found")
			if _, err := api.UpdateClient(ctx, public("shop")); err != nil || len(kept()) != 0 {
				t.Errorf("a public client keeps a secret: %+v, %v", kept(), err)
			}
			_, err = api.RotateSecret(ctx, "shop", RotateInput{})
			wantFault(t, "a public client's secret", err, fault.Invalid, "invalid_request")
		})
	}
}

func TestPeople(t *testing.T) {
	t.Parallel()
	const password = "a fine long password of hers"
	for name, open := range ways() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, api, w := open(t)
			ana, err := api.CreateUser(ctx, UserInput{Email: "Ana@Example.org", EmailVerified: true, Password: password, Roles: []string{"buyer"}, Profile: identity.Profile{Name: "Ana"}})
			if err != nil || ana.ID == "" || !ana.EmailVerified || ana.Profile.Name != "Ana" {
				t.Fatalf("create: %+v, %v", ana, err)
			}
			_, err = api.CreateUser(ctx, UserInput{Email: "ana@example.org", Password: password})
			wantFault(t, "create her again", err, fault.Conflict, "email_taken")
			for _, name := range []string{ana.ID, "ana@example.org", "ANA@example.org"} {
				got, err := api.User(ctx, name)
				if d := cmp.Diff(ana, got); err != nil || d != "" {
					t.Errorf("%s: %v (-made +got):\n%s", name, err, d)
				}
			}
			_, err = api.User(ctx, "bo@example.org")
			wantFault(t, "get nobody", err, fault.NotFound, "user_not_found")
			found, _, err := api.Users(ctx, "ana", identity.Page{})
			if err != nil || len(found) != 1 || found[0].ID != ana.ID {
				t.Errorf("search: %+v, %v", found, err)
			}

			ana.Profile.Name, ana.Roles = "Ana B", []string{"buyer", "editor"}
			if got, err := api.UpdateUser(ctx, ana); err != nil || got.Profile.Name != "Ana B" || !slices.Equal(got.Roles, ana.Roles) {
				t.Errorf("update: %+v, %v", got, err)
			}
			session := w.signIn(t, ana)
			if list, err := api.Sessions(ctx, "ana@example.org"); err != nil || len(list) != 1 || list[0].ID != session.ID {
				t.Errorf("her sessions: %+v, %v", list, err)
			}
			if list, err := api.Sessions(ctx, ""); err != nil || len(list) != 1 {
				t.Errorf("everybody's sessions: %+v, %v", list, err)
			}
			if err := api.EndSessions(ctx, ana.ID, session.ID); err != nil {
				t.Error(err)
			}
			w.signIn(t, ana)
			if err := api.LockUser(ctx, ana.ID, "left the company"); err != nil {
				t.Error(err)
			}
			if list, err := api.Sessions(ctx, ana.ID); err != nil || len(list) != 0 {
				t.Errorf("sessions of a locked person: %+v, %v", list, err)
			}
			if got, err := api.User(ctx, ana.ID); err != nil || got.Status != identity.Locked {
				t.Errorf("locked: %+v, %v", got, err)
			}
			if err := errors.Join(api.UnlockUser(ctx, ana.ID), api.SetPassword(ctx, ana.ID, password+" too")); err != nil {
				t.Error(err)
			}
			if fault.Of(api.SetPassword(ctx, ana.ID, "short")).Kind != fault.Invalid {
				t.Error("a weak password is taken")
			}
			wantFault(t, "end nobody's sessions", api.EndSessions(ctx, ""), fault.Invalid, "invalid_request")
			if err := api.DeleteUser(ctx, "ana@example.org"); err != nil {
				t.Error(err)
			}
			wantFault(t, "delete her again", api.DeleteUser(ctx, ana.ID), fault.NotFound, "user_not_found")
			w.wantTrail(t, "user.created", "user.updated", "session.ended", "user.locked", "user.unlocked", "password.changed", "user.deleted")
		})
	}
}

// signIn begins a session as the sign-in page would.
func (w *world) signIn(t *testing.T, u identity.User) identity.Session {
	t.Helper()
	s, _, err := w.People.Begin(t.Context(), u, nil, "pwd")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestConsents(t *testing.T) {
	t.Parallel()
	for name, open := range ways() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, api, w := open(t)
			ana, err := api.CreateUser(ctx, UserInput{Email: "ana@example.org"})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := api.CreateClient(ctx, ClientInput{Client: shop("shop")}); err != nil {
				t.Fatal(err)
			}
			if err := w.db.PutConsent(ctx, consent.Consent{UserID: ana.ID, ClientID: "shop", Scopes: []string{"openid"}}); err != nil {
				t.Fatal(err)
			}
			w.grant(t, "0198a2b4-0000-7000-8000-000000000001", ana)
			list, _, err := api.Consents(ctx, ana.Email, identity.Page{})
			if err != nil || len(list) != 1 || list[0].ClientID != "shop" {
				t.Fatalf("list: %+v, %v", list, err)
			}
			if err := api.RevokeConsent(ctx, ana.Email, "shop"); err != nil {
				t.Fatal(err)
			}
			if grants, err := w.db.Grants(ctx, ana.ID); err != nil || len(grants) != 0 {
				t.Errorf("grants outlive their consent: %+v, %v", grants, err)
			}
			wantFault(t, "revoke it again", api.RevokeConsent(ctx, ana.ID, "shop"), fault.NotFound, "consent_not_found")
			if list, _, err := api.Consents(ctx, ana.ID, identity.Page{}); err != nil || len(list) != 0 {
				t.Errorf("list: %+v, %v", list, err)
			}
			w.grant(t, "0198a2b4-0000-7000-8000-000000000002", ana) // as an application of the house gets it, unasked
			if err := api.RevokeConsent(ctx, ana.ID, "shop"); err != nil {
				t.Errorf("a grant that nobody was asked about cannot be taken back: %v", err)
			}
			w.grant(t, "0198a2b4-0000-7000-8000-000000000003", ana)
			if err := errors.Join(api.LockUser(ctx, ana.ID, ""), api.UnlockUser(ctx, ana.ID)); err != nil {
				t.Fatal(err)
			}
			if grants, err := w.db.Grants(ctx, ana.ID); err != nil || len(grants) != 0 {
				t.Errorf("grants that live again after a lock: %+v, %v", grants, err)
			}
			w.wantTrail(t, "consent.revoked shop", "user.locked")
		})
	}
}

// grant puts a grant of ana's to shop into the store, as a redemption would.
func (w *world) grant(t *testing.T, id string, u identity.User) {
	t.Helper()
	g := oauth2.Grant{
		ID: id, ClientID: "shop", Subject: u.ID, Session: w.signIn(t, u).ID, Scopes: []string{"openid"}, Offline: true,
		AuthTime: w.clock(), CreatedAt: w.clock(), ExpiresAt: w.clock().Add(time.Hour), SecretHash: []byte("h"),
	}
	ok, err := w.db.RedeemGrant(t.Context(), g, true, w.Trail.Fill(t.Context(), audit.Event{Kind: audit.GrantIssued, ClientID: "shop"}))
	if err != nil || !ok {
		t.Fatalf("redeem: %t, %v", ok, err)
	}
}

func TestTokens(t *testing.T) {
	t.Parallel()
	const grant = "0198a2b4-0000-7000-8000-000000000002"
	for name, open := range ways() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, api, w := open(t)
			ana, err := api.CreateUser(ctx, UserInput{Email: "ana@example.org"})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := api.CreateClient(ctx, ClientInput{Client: shop("shop")}); err != nil {
				t.Fatal(err)
			}
			w.grant(t, grant, ana)
			access := oauth2.Token{Kind: "access", JTI: "j1", ClientID: "shop", Subject: ana.ID, Grant: grant, Scopes: []string{"openid"}, IssuedAt: noon, ExpiresAt: w.clock().Add(time.Hour), User: &ana}
			refresh := access
			refresh.Kind, refresh.JTI = "refresh", ""
			w.tokens["access"], w.tokens["refresh"] = access, refresh

			info, err := api.InspectToken(ctx, "access")
			if err != nil || !info.Active || info.Kind != "access" || info.Grant != grant || !info.IssuedAt.Equal(noon) {
				t.Errorf("inspect: %+v, %v", info, err)
			}
			info, err = api.InspectToken(ctx, "nonsense")
			if d := cmp.Diff(TokenInfo{}, info); err != nil || d != "" {
				t.Errorf("inspect nonsense: %v\n%s", err, d)
			}
			_, err = api.InspectToken(ctx, "down")
			wantFault(t, "inspect while the store is down", err, fault.Unavailable, "temporarily_unavailable")

			if done, err := api.RevokeToken(ctx, "access"); err != nil || done.Kind != "access" || done.Already {
				t.Fatalf("%+v, %v", done, err)
			}
			st, err := w.db.Standing(ctx, oauth2.StandingQuery{Grant: grant, Subject: ana.ID, JTI: "j1"})
			if err != nil || !st.TokenRevoked || st.GrantRevoked {
				t.Errorf("an access token dies alone: %+v, %v", st, err)
			}
			for _, already := range []bool{false, true} {
				if done, err := api.RevokeToken(ctx, "refresh"); err != nil || done.Kind != "refresh" || done.Grant != grant || done.Already != already {
					t.Fatalf("%+v, %v", done, err)
				}
			}
			st, err = w.db.Standing(ctx, oauth2.StandingQuery{Grant: grant, Subject: ana.ID, JTI: "j2"})
			if err != nil || !st.GrantRevoked {
				t.Errorf("a refresh token dies with its grant: %+v, %v", st, err)
			}
			_, err = api.RevokeToken(ctx, "nonsense")
			wantFault(t, "revoke what is no token", err, fault.NotFound, "token_not_found")
			_, err = api.RevokeToken(ctx, "down")
			wantFault(t, "revoke while the store is down", err, fault.Unavailable, "temporarily_unavailable")
			w.wantTrail(t, "token.revoked shop", "grant.revoked shop")
		})
	}
}

func TestKeys(t *testing.T) {
	t.Parallel()
	for name, open := range ways() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, api, w := open(t)
			before, err := api.Keys(ctx)
			if err != nil || len(before) == 0 {
				t.Fatalf("list: %+v, %v", before, err)
			}
			made, err := api.RotateKeys(ctx, keys.ES256, true)
			if err != nil || len(made) != 1 || made[0].State != keys.Active || made[0].ID == before[0].ID {
				t.Fatalf("rotate: %+v, %v", made, err)
			}
			_, err = api.RotateKeys(ctx, "none", false)
			wantFault(t, "rotate keys there are none of", err, fault.NotFound, "algorithm_not_found")
			if err := api.RevokeKey(ctx, before[0].ID); err != nil {
				t.Fatal(err)
			}
			left, err := api.Keys(ctx)
			if err != nil || slices.ContainsFunc(left, func(k keys.Listed) bool { return k.ID == before[0].ID }) {
				t.Errorf("a revoked key is listed: %+v, %v", left, err)
			}
			if err := api.RevokeKey(ctx, "nobody"); fault.Of(err).Kind != fault.NotFound {
				t.Errorf("revoke no key: %v", err)
			}
			w.wantTrail(t, "key.revoked")
		})
	}
}

func TestTrail(t *testing.T) {
	t.Parallel()
	for name, open := range ways() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, api, w := open(t)
			refused := audit.Event{Kind: audit.RequestRefused, Reference: "7KQ2-M9XT", ClientID: "shop", Trace: []fault.Fact{{Name: "rule", Value: "redirect_uri_registered"}}}
			if err := w.Trail.Record(ctx, refused); err != nil {
				t.Fatal(err)
			}
			for _, id := range []string{"a", "b", "c"} {
				if _, err := api.CreateClient(ctx, ClientInput{Client: shop(id)}); err != nil {
					t.Fatal(err)
				}
			}
			e, err := api.Explain(ctx, " 7kq2-m9xt ")
			if err != nil || e.Reference != refused.Reference || len(e.Trace) != 1 {
				t.Errorf("explain: %+v, %v", e, err)
			}
			_, err = api.Explain(ctx, "AAAA-AAAA")
			wantFault(t, "explain what is not there", err, fault.NotFound, "reference_not_found")
			events, err := api.Events(ctx, audit.Filter{Kind: audit.ClientCreated, Newest: true, Limit: 2})
			if err != nil || len(events) != 2 || events[0].ClientID != "c" || events[0].Position == 0 || events[0].Actor != "client:ops" {
				t.Fatalf("events: %+v, %v", events, err)
			}
			events, err = api.Events(ctx, audit.Filter{After: events[1].Position, Since: noon.AddDate(-20, 0, 0), ClientID: "c"})
			if err != nil || len(events) != 1 {
				t.Errorf("events behind b: %+v, %v", events, err)
			}
		})
	}
}

func TestSetupLink(t *testing.T) {
	t.Parallel()
	for name, open := range ways() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, api, _ := open(t)
			link, err := api.SetupLink(ctx)
			if err != nil || !strings.HasPrefix(link, issuer+"/setup/") || len(link) < len(issuer)+30 {
				t.Fatalf("link: %q, %v", link, err)
			}
			if _, err := api.CreateUser(ctx, UserInput{Email: "root@example.org", Roles: []string{identity.RoleAdmin}}); err != nil {
				t.Fatal(err)
			}
			_, err = api.SetupLink(ctx)
			wantFault(t, "a link once there is an administrator", err, fault.Conflict, "already_set_up")
		})
	}
}

// wantTrail checks that the trail holds events, in order, done by the caller:
// kind, then the client if it has one, then what changed.
func (w *world) wantTrail(t *testing.T, want ...string) {
	t.Helper()
	events, err := w.Events(t.Context(), audit.Filter{Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	i := 0
	for _, e := range events {
		line := strings.TrimSpace(string(e.Kind) + " " + e.ClientID + " " + e.Detail["changed"])
		if i < len(want) && (line == want[i] || string(e.Kind) == want[i]) {
			if e.Actor != "client:ops" {
				t.Errorf("%s was done by %q", line, e.Actor)
			}
			i++
		}
	}
	if i < len(want) {
		t.Errorf("the trail has no %q where it should; it is %+v", want[i], events)
	}
}
