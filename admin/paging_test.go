package admin

import (
	"fmt"
	"testing"

	"github.com/gatekeeper-oidc/gatekeeper/consent"
	"github.com/gatekeeper-oidc/gatekeeper/identity"
	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
)

// TestConsentsArePaged: no answer has more than a page, whatever limit is asked for.
func TestConsentsArePaged(t *testing.T) {
	t.Parallel()
	for name, open := range ways() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, api, w := open(t)
			ana, err := api.CreateUser(ctx, UserInput{Email: "ana@example.org"})
			if err != nil {
				t.Fatal(err)
			}
			const all = 230
			for i := range all {
				c := shop(fmt.Sprintf("app%03d", i))
				if err := w.db.InsertClient(ctx, c); err != nil {
					t.Fatal(err)
				}
				if err := w.db.PutConsent(ctx, consent.Consent{UserID: ana.ID, ClientID: c.ID, Scopes: []string{"openid"}}); err != nil {
					t.Fatal(err)
				}
			}
			first, next, err := api.Consents(ctx, ana.Email, identity.Page{Limit: 100_000})
			if err != nil || len(first) != 200 || next == "" {
				t.Fatalf("the first page has %d, next %q: %v", len(first), next, err)
			}
			rest, end, err := api.Consents(ctx, ana.Email, identity.Page{After: next})
			if err != nil || len(rest) != 30 || end != "" || rest[0].ClientID != "app200" {
				t.Errorf("the second page has %d, next %q: %v", len(rest), end, err)
			}
			_, _, err = api.Consents(ctx, ana.Email, identity.Page{After: "no cursor!"})
			wantFault(t, "a cursor of nobody", err, fault.Invalid, "invalid_cursor")
		})
	}
}
