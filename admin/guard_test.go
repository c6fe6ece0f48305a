package admin

import (
	"testing"

	"github.com/gatekeeper-oidc/gatekeeper/identity"
	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
	"github.com/gatekeeper-oidc/gatekeeper/oauth2"
)

// TestNarrowScopesDoNotGrow: a token that may manage people or applications may
// not use that to become an administrator.
func TestNarrowScopesDoNotGrow(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.tokens["users"], w.tokens["clients"] = machine(ScopeUsers), machine(ScopeClients)
	root, users, clients := w.client(t, "root"), w.client(t, "users"), w.client(t, "clients")
	ctx := t.Context()
	admin, err := root.CreateUser(ctx, UserInput{Email: "root@example.org", Roles: []string{identity.RoleAdmin}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := root.CreateClient(ctx, ClientInput{Client: machineClient("ops", ScopeAll)}); err != nil {
		t.Fatal(err)
	}
	ana, err := users.CreateUser(ctx, UserInput{Email: "ana@example.org"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := clients.CreateClient(ctx, ClientInput{Client: machineClient("sync", ScopeClients)}); err != nil {
		t.Fatalf("hand on what one has: %v", err)
	}
	promoted, demoted := ana, admin
	promoted.Roles, demoted.Roles = []string{identity.RoleAdmin}, nil
	for name, try := range map[string]func() error{
		"create an administrator": func() error {
			_, err := users.CreateUser(ctx, UserInput{Email: "x@example.org", Roles: []string{"buyer", identity.RoleAdmin}})
			return err
		},
		"promote somebody":                func() error { _, err := users.UpdateUser(ctx, promoted); return err },
		"demote an administrator":         func() error { _, err := users.UpdateUser(ctx, demoted); return err },
		"set an administrator's password": func() error { return users.SetPassword(ctx, admin.ID, "a fine long password") },
		"lock an administrator":           func() error { return users.LockUser(ctx, admin.Email, "") },
		"delete an administrator":         func() error { return users.DeleteUser(ctx, admin.ID) },
		"create an application with more": func() error {
			_, err := clients.CreateClient(ctx, ClientInput{Client: machineClient("y", ScopeAll)})
			return err
		},
		"create an application with another": func() error {
			_, err := clients.CreateClient(ctx, ClientInput{Client: machineClient("y", ScopeUsers)})
			return err
		},
		"give an application more": func() error {
			_, err := clients.UpdateClient(ctx, machineClient("sync", ScopeKeys))
			return err
		},
		"take the secret of one that has more": func() error { _, err := clients.RotateSecret(ctx, "ops", RotateInput{}); return err },
		"take over one that has more": func() error {
			_, err := clients.UpdateClient(ctx, machineClient("ops", "openid"))
			return err
		},
		"make one that speaks for people": func() error {
			c := machineClient("speaker", "api")
			c.Grants, c.Exchange = append(c.Grants, oauth2.GrantExchange), &oauth2.Exchange{Audiences: []string{"https://api.example"}}
			_, err := clients.CreateClient(ctx, ClientInput{Client: c})
			return err
		},
		"delete one that has more": func() error { return clients.DeleteClient(ctx, "ops") },
	} {
		if err := try(); fault.Of(err).Code != "insufficient_scope" {
			t.Errorf("%s: got %v, want insufficient_scope", name, err)
		}
	}
	if err := users.LockUser(ctx, ana.ID, ""); err != nil {
		t.Errorf("what the scope is for: %v", err)
	}
	if got, err := root.User(ctx, admin.ID); err != nil || got.Status != identity.Active || len(got.Roles) != 1 {
		t.Errorf("the administrator was changed: %+v, %v", got, err)
	}
}

func TestActorIsTheSystemUntilSomebodySays(t *testing.T) {
	t.Parallel()
	if got := Actor(t.Context()); got != identity.System {
		t.Errorf("got %q", got)
	}
	if got := Actor(NewContext(t.Context(), "cli:ana")); got != "cli:ana" {
		t.Errorf("got %q", got)
	}
}

func machineClient(id string, scopes ...string) oauth2.Client {
	return oauth2.Client{ID: id, Type: oauth2.Machine, Scopes: scopes}
}

// TestWithARealToken: a machine gets its token where every application does, and
// uses the API for what its scope allows until it is disabled.
func TestWithARealToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := NewContext(t.Context(), "cli:ana")
	sync, err := w.CreateClient(ctx, ClientInput{Client: machineClient("sync", ScopeUsers)})
	if err != nil {
		t.Fatal(err)
	}
	ana, err := w.CreateUser(ctx, UserInput{Email: "ana@example.org"})
	if err != nil {
		t.Fatal(err)
	}
	token := w.clientCredentials(t, sync)
	c := w.client(t, token)
	if err := c.LockUser(ctx, ana.ID, "nightly sync"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Keys(ctx); fault.Of(err).Code != "insufficient_scope" {
		t.Errorf("keys: %v", err)
	}
	info, err := w.InspectToken(ctx, token)
	if err != nil || !info.Active || info.Subject != "sync" {
		t.Errorf("inspect: %+v, %v", info, err)
	}
	sync.Disabled = true
	if _, err := w.UpdateClient(ctx, sync.Client); err != nil {
		t.Fatal(err)
	}
	w.provider.Forget("client:sync") // as the bell of the store does
	if err := c.UnlockUser(ctx, ana.ID); fault.Of(err).Kind != fault.Unauthenticated {
		t.Errorf("a disabled client still acts: %v", err)
	}
	w.wantActor(t, "user.locked", "client:sync")
}
