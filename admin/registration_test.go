package admin

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
	"github.com/gatekeeper-oidc/gatekeeper/oauth2"
)

func TestInitialTokens(t *testing.T) {
	t.Parallel()
	for name, open := range ways() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, api, w := open(t)
			none, err := api.InitialTokens(ctx)
			if err != nil || len(none) != 0 {
				t.Fatalf("at first: %+v, %v", none, err)
			}
			made, err := api.CreateInitialToken(ctx, InitialTokenInput{Name: "plug-ins", Uses: 3, Life: time.Hour})
			if err != nil || made.Token == "" || made.MaxUses != 3 || !made.ExpiresAt.Equal(made.CreatedAt.Add(time.Hour)) {
				t.Fatalf("create: %+v, %v", made, err)
			}
			if live, err := w.db.PeekInitialToken(ctx, oauth2.HashOf(made.Token)); err != nil || !live {
				t.Errorf("the token is not live: %v", err)
			}
			usual, err := api.CreateInitialToken(ctx, InitialTokenInput{})
			if err != nil || usual.MaxUses != 1 || !usual.ExpiresAt.Equal(usual.CreatedAt.Add(24*time.Hour)) || usual.Token == made.Token {
				t.Errorf("with nothing said: %+v, %v", usual, err)
			}
			for what, in := range map[string]InitialTokenInput{
				"less than one use": {Uses: -1}, "too many uses": {Uses: 20_000}, "a second": {Life: time.Second}, "a decade": {Life: 87_600 * time.Hour}, "a name with a line": {Name: "a\nb"},
			} {
				_, err := api.CreateInitialToken(ctx, in)
				wantFault(t, what, err, fault.Invalid, "invalid_request")
			}
			all, err := api.InitialTokens(ctx)
			named := func(id, name string) func(oauth2.InitialToken) bool {
				return func(i oauth2.InitialToken) bool { return i.ID == id && i.Name == name }
			}
			if err != nil || len(all) != 2 || !slices.ContainsFunc(all, named(made.ID, "plug-ins")) || !slices.ContainsFunc(all, named(usual.ID, "")) {
				t.Errorf("list: %+v, %v", all, err)
			}
			if err := api.RevokeInitialToken(ctx, made.ID); err != nil {
				t.Error(err)
			}
			wantFault(t, "revoke it again", api.RevokeInitialToken(ctx, made.ID), fault.NotFound, "registration_token_not_found")
			if live, err := w.db.PeekInitialToken(ctx, oauth2.HashOf(made.Token)); err != nil || live {
				t.Errorf("a revoked token is live: %v", err)
			}
			w.wantActor(t, "registration_token.revoked", "client:ops")
		})
	}
}

// TestSectorDocument: an administrator's sector document is fetched as an
// application's own would be, where the change is about it.
func TestSectorDocument(t *testing.T) {
	t.Parallel()
	ctx, api, _ := ways()["on the store"](t)
	asked := 0
	var site *httptest.Server
	site = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		asked++
		rw.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprintf(rw, `["%s/cb"]`, site.URL)
	}))
	t.Cleanup(site.Close)
	c := oauth2.Client{ID: "app", RedirectURIs: []string{site.URL + "/cb"}, SubjectType: oauth2.SubjectPairwise, SectorIdentifierURI: site.URL + "/sector"}
	bad := c
	bad.RedirectURIs = []string{site.URL + "/cb", site.URL + "/other"}
	_, err := api.CreateClient(ctx, ClientInput{Client: bad})
	wantFault(t, "create with a URI that is not in it", err, fault.Invalid, "invalid_client_metadata")
	made, err := api.CreateClient(ctx, ClientInput{Client: c})
	if err != nil || asked != 2 {
		t.Fatalf("create: %v, asked %d times", err, asked)
	}
	made.Name = "Renamed"
	if _, err := api.UpdateClient(ctx, made.Client); err != nil || asked != 2 {
		t.Errorf("rename: %v, asked %d times", err, asked)
	}
	bad = made.Client
	bad.RedirectURIs = append(bad.RedirectURIs, site.URL+"/other")
	_, err = api.UpdateClient(ctx, bad)
	wantFault(t, "add a URI that is not in it", err, fault.Invalid, "invalid_client_metadata")
	bad.ID = "nobody"
	_, err = api.UpdateClient(ctx, bad)
	wantFault(t, "update nobody", err, fault.NotFound, "client_not_found")
}

// TestNobodyElseMakesItDynamic: whether an application registered itself is not
// for an administrator to say.
func TestNobodyElseMakesItDynamic(t *testing.T) {
	t.Parallel()
	for name, open := range ways() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, api, w := open(t)
			c := shop("shop")
			c.Dynamic = true
			made, err := api.CreateClient(ctx, ClientInput{Client: c})
			if err != nil || made.Dynamic {
				t.Fatalf("create: %+v, %v", made, err)
			}
			own := shop("dyn")
			own.Dynamic = true
			if err := w.provider.CheckClient(&own); err != nil {
				t.Fatal(err)
			}
			if err := w.db.InsertClient(ctx, own); err != nil {
				t.Fatal(err)
			}
			own.Dynamic, own.FirstParty = false, true
			changed, err := api.UpdateClient(ctx, own)
			if err != nil || !changed.Dynamic || !changed.FirstParty {
				t.Errorf("update: %+v, %v", changed, err)
			}
		})
	}
}
