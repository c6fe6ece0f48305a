package storage_test

import (
	"context"
	"testing"
	"time"

	"github.com/gatekeeper-oidc/gatekeeper/audit"
	"github.com/gatekeeper-oidc/gatekeeper/consent"
	"github.com/gatekeeper-oidc/gatekeeper/identity"
	"github.com/gatekeeper-oidc/gatekeeper/oauth2"
)

func TestTwoTabsAddToOneConsent(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, url string) {
		db := open(t, url)
		s := &consent.Service{Store: db, Trail: audit.NewTrail(audit.Config{Store: db, Now: time.Now})}
		if err := db.InsertClient(t.Context(), oauth2.Client{ID: "shop"}); err != nil {
			t.Fatal(err)
		}
		for _, id := range []string{"a", "b", "c", "d", "e", "f", "g", "h"} {
			if err := db.InsertUser(t.Context(), identity.User{ID: id, Email: id}); err != nil {
				t.Fatal(err)
			}
			scopes := []string{"one", "two", "three", "four"}
			err := together(len(scopes), func(i int) error {
				return s.Allow(t.Context(), consent.Answer{UserID: id, ClientID: "shop", Scopes: scopes[i : i+1], Then: func(context.Context) error { return nil }})
			})
			if err != nil {
				t.Fatal(err)
			}
			if got, _, err := s.Remembered(t.Context(), id, "shop"); err != nil || len(got) != len(scopes) {
				t.Errorf("%s allowed %q, and %q is remembered, %v", id, scopes, got, err)
			}
		}
	})
}
