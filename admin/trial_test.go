package admin

import (
	"testing"

	"github.com/gatekeeper-oidc/gatekeeper/audit"
	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
	"github.com/gatekeeper-oidc/gatekeeper/oauth2"
)

// TestATrialRefusesWhatTheDeedRefuses: the same calls, tried and then made, have the
// same faults; and the trial leaves nothing behind.
func TestATrialRefusesWhatTheDeedRefuses(t *testing.T) {
	t.Parallel()
	for name, open := range ways() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, api, w := open(t)
			if _, err := api.CreateClient(ctx, ClientInput{Client: shop("there")}); err != nil {
				t.Fatal(err)
			}
			bad, other := shop("bad"), shop("there")
			bad.RedirectURIs = []string{"http://shop.example/cb"}
			other.Name = "Other"
			secretive := shop("hs")
			secretive.IDTokenAlg = oauth2.HS256
			secretive.ID = "there"
			trials := WithTrial(ctx)
			for what, call := range map[string]func(trial bool) error{
				"taken": func(trial bool) error {
					_, err := api.CreateClient(pick(trial, trials, ctx), ClientInput{Client: shop("there")})
					return err
				},
				"bad": func(trial bool) error {
					_, err := api.CreateClient(pick(trial, trials, ctx), ClientInput{Client: bad})
					return err
				},
				"a short secret": func(trial bool) error {
					_, err := api.CreateClient(pick(trial, trials, ctx), ClientInput{Client: shop("short"), Secret: "x"})
					return err
				},
				"update nobody": func(trial bool) error {
					_, err := api.UpdateClient(pick(trial, trials, ctx), shop("nobody"))
					return err
				},
				"update a stranger": func(trial bool) error {
					_, err := api.UpdateClient(pick(trial, trials, ctx), other, `"seen long ago"`)
					return err
				},
				"share a secret that is lost": func(trial bool) error {
					_, err := api.UpdateClient(pick(trial, trials, ctx), secretive)
					return err
				},
				"delete nobody": func(trial bool) error { return api.DeleteClient(pick(trial, trials, ctx), "nobody") },
			} {
				tried, done := fault.Of(call(true)), fault.Of(call(false))
				if tried.Code != done.Code || tried.Rule != done.Rule || tried.Kind != done.Kind || done.Kind == fault.Internal {
					t.Errorf("%s: tried %v, done %v", what, tried, done)
				}
			}
			made, err := api.CreateClient(trials, ClientInput{Client: shop("fresh")})
			if err != nil || made.Secret != "" || made.AuthMethod == "" {
				t.Errorf("create: %+v, %v; want no secret, for nobody has it", made, err)
			}
			if _, err := api.UpdateClient(trials, other); err != nil {
				t.Error(err)
			}
			if err := api.DeleteClient(trials, "there"); err != nil {
				t.Error(err)
			}
			_, err = api.Client(ctx, "fresh")
			wantFault(t, "what was only tried", err, fault.NotFound, "client_not_found")
			if c, err := api.Client(ctx, "there"); err != nil || c.Name != "Shop" {
				t.Errorf("what was only tried: %+v, %v", c, err)
			}
			events, err := w.Events(ctx, audit.Filter{ClientID: "there"})
			if more, _ := w.Events(ctx, audit.Filter{ClientID: "fresh"}); err != nil || len(events) != 1 || len(more) != 0 {
				t.Errorf("%+v, %v; want that of the one deed", events, err)
			}
		})
	}
}

func pick[T any](first bool, a, b T) T {
	if first {
		return a
	}
	return b
}
