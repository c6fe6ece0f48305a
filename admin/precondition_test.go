package admin

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/gatekeeper-oidc/gatekeeper/audit"
	"github.com/gatekeeper-oidc/gatekeeper/identity"
	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
)

// TestALostRaceIsTold: of those who change what they all saw, one does, and the
// others are told.
func TestALostRaceIsTold(t *testing.T) {
	t.Parallel()
	for name, open := range ways() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, api, _ := open(t)
			made, err := api.CreateClient(ctx, ClientInput{Client: shop("shop")})
			if err != nil {
				t.Fatal(err)
			}
			ana, err := api.CreateUser(ctx, UserInput{Email: "ana@example.org"})
			if err != nil {
				t.Fatal(err)
			}
			for what, change := range map[string]func(ctx context.Context, i int) error{
				"application": func(ctx context.Context, i int) error {
					c := made.Client
					c.Name = strings.Repeat("x", i+1)
					_, err := api.UpdateClient(ctx, c, ClientTag(made.Client))
					return err
				},
				"person": func(ctx context.Context, i int) error {
					u := ana
					u.Profile.Name = strings.Repeat("x", i+1)
					_, err := api.UpdateUser(ctx, u, UserTag(ana))
					return err
				},
			} {
				var done atomic.Int64
				var wg sync.WaitGroup
				for i := range 8 {
					wg.Go(func() {
						switch err := change(ctx, i); {
						case err == nil:
							done.Add(1)
						case fault.Of(err).Code != "changed_meanwhile":
							t.Errorf("%s: %v", what, err)
						}
					})
				}
				wg.Wait()
				if done.Load() != 1 {
					t.Errorf("%s: %d changed what they all saw, want 1", what, done.Load())
				}
			}
			wantFault(t, "delete what has changed", api.DeleteClient(ctx, "shop", ClientTag(made.Client)), fault.Stale, "changed_meanwhile")
			wantFault(t, "delete who has changed", api.DeleteUser(ctx, ana.ID, UserTag(ana)), fault.Stale, "changed_meanwhile")
			now, err := api.Client(ctx, "shop")
			if err != nil {
				t.Fatal(err)
			}
			if err := api.DeleteClient(ctx, "shop", ClientTag(now)); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestIfMatch is what a program that is not ours sees of it.
func TestIfMatch(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if _, err := w.CreateClient(NewContext(t.Context(), "cli:root"), ClientInput{Client: shop("shop")}); err != nil {
		t.Fatal(err)
	}
	send := func(method, path, body, match string) *http.Response {
		r := httptest.NewRequestWithContext(t.Context(), method, "http://127.0.0.1"+base+path, strings.NewReader(body))
		r.Header.Set("Authorization", "Bearer root")
		if body != "" {
			r.Header.Set("Content-Type", "application/json")
		}
		if match != "" {
			r.Header.Set("If-Match", match)
		}
		rec := httptest.NewRecorder()
		w.server.Config.Handler.ServeHTTP(rec, r)
		return rec.Result()
	}
	tag := send("GET", "/clients/shop", "", "").Header.Get("ETag")
	if !strings.HasPrefix(tag, `"`) {
		t.Fatalf("the ETag is %q", tag)
	}
	body := `{"id":"shop","type":"web","redirect_uris":["https://shop.example/cb"],"name":"%"}`
	for i, tt := range []struct {
		match  string
		status int
	}{
		{`"other"`, 412}, {"W/" + tag, 412}, {`nonsense`, 400}, {`"other", ` + tag, 200}, {tag, 412}, {"*", 200}, {"", 200},
	} {
		if got := send("PUT", "/clients/shop", strings.ReplaceAll(body, "%", strings.Repeat("y", i+1)), tt.match); got.StatusCode != tt.status {
			t.Errorf("If-Match %s: %d, want %d", tt.match, got.StatusCode, tt.status)
		}
	}
	if got := send("DELETE", "/clients/shop", "", tag); got.StatusCode != 412 {
		t.Errorf("delete: %d, want 412", got.StatusCode)
	}
	if got := send("POST", "/keys/rotate", `{}`, tag); got.StatusCode != 400 {
		t.Errorf("a precondition nobody reads: %d, want 400", got.StatusCode)
	}
	if got := send("PUT", "/clients/nobody", strings.Replace(body, "shop", "nobody", 1), "*"); got.StatusCode != 404 {
		t.Errorf("nobody: %d, want 404", got.StatusCode)
	}
}

// TestAPersonIsReplacedWholeOrNotAtAll: what a replacement cannot change is refused
// by its name.
func TestAPersonIsReplacedWholeOrNotAtAll(t *testing.T) {
	t.Parallel()
	for name, open := range ways() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, api, w := open(t)
			ana, err := api.CreateUser(ctx, UserInput{Email: "ana@example.org"})
			if err != nil {
				t.Fatal(err)
			}
			locked := ana
			locked.Status = identity.Locked
			_, err = api.UpdateUser(ctx, locked)
			wantFault(t, "lock by replacing", err, fault.Invalid, "invalid_request")
			if !strings.Contains(fault.Of(err).Detail, "status") {
				t.Errorf("it does not name the member: %v", err)
			}
			older := ana
			older.CreatedAt = older.CreatedAt.AddDate(-1, 0, 0)
			_, err = api.UpdateUser(ctx, older)
			wantFault(t, "another birth", err, fault.Invalid, "invalid_request")
			if _, err := api.UpdateUser(ctx, ana); err != nil {
				t.Errorf("as it was read: %v", err)
			}
			ana.Roles = []string{identity.RoleAdmin}
			if _, err := api.UpdateUser(ctx, ana); err != nil {
				t.Fatal(err)
			}
			wantFault(t, "lock the last", api.LockUser(ctx, ana.ID, ""), fault.Conflict, "last_administrator")
			wantFault(t, "delete the last", api.DeleteUser(ctx, ana.ID), fault.Conflict, "last_administrator")
			ana.Roles = nil
			_, err = api.UpdateUser(ctx, ana)
			wantFault(t, "demote the last", err, fault.Conflict, "last_administrator")

			made, err := api.CreateClient(ctx, ClientInput{Client: shop("shop")})
			if err != nil {
				t.Fatal(err)
			}
			made.Name, made.Scopes, made.FirstParty = "Store", []string{"openid"}, true
			if _, err := api.UpdateClient(ctx, made.Client); err != nil {
				t.Fatal(err)
			}
			events, err := w.Events(ctx, audit.Filter{Kind: audit.ClientUpdated})
			if err != nil || len(events) != 1 {
				t.Fatalf("%v, %v", events, err)
			}
			for k, want := range map[string]string{
				"changed": "name scopes first_party", "was.name": "Shop", "now.name": "Store", "now.first_party": "true", "now.scopes": "openid",
				"was.scopes": "address email offline_access openid phone profile",
			} {
				if got := events[0].Detail[k]; got != want {
					t.Errorf("%s: %q, want %q", k, got, want)
				}
			}
		})
	}
}
