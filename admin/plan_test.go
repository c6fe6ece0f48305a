package admin

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatekeeper-oidc/gatekeeper/oauth2"
)

var noon = time.Date(2030, 5, 17, 12, 0, 0, 0, time.UTC)

func TestPlan(t *testing.T) {
	t.Parallel()
	shop := oauth2.Client{
		ID: "shop", Type: oauth2.Web, Name: "Shop", RedirectURIs: []string{"https://a/cb", "https://b/cb"},
		Grants: []string{"authorization_code", "refresh_token"}, Scopes: []string{"openid", "email"}, AuthMethod: oauth2.AuthBasic,
		CreatedAt: noon, UpdatedAt: noon,
	}
	with := func(f func(c *oauth2.Client)) oauth2.Client { c := shop; f(&c); return c }
	short := oauth2.Client{ID: "shop", Type: oauth2.Web, Name: "Shop", RedirectURIs: []string{"https://b/cb", "https://a/cb"}}
	for _, tt := range []struct {
		name       string
		have, want []oauth2.Client
		prune      bool
		changes    map[string][]string // action and id to the fields
	}{
		{"nothing on both sides", nil, nil, true, nil},
		{"the same", []oauth2.Client{shop}, []oauth2.Client{shop}, true, nil},
		{"presets left out and lists in another order", []oauth2.Client{shop}, []oauth2.Client{short}, true, nil},
		{"times are the server's", []oauth2.Client{shop}, []oauth2.Client{with(func(c *oauth2.Client) { c.CreatedAt = time.Time{} })}, false, nil},
		{"a new one", nil, []oauth2.Client{short}, false, map[string][]string{"create shop": {"name", "type", "redirect_uris"}}},
		{"a name", []oauth2.Client{shop}, []oauth2.Client{with(func(c *oauth2.Client) { c.Name = "Store" })}, false, map[string][]string{"update shop": {"name"}}},
		{"a list emptied", []oauth2.Client{shop}, []oauth2.Client{with(func(c *oauth2.Client) { c.RedirectURIs = nil })}, false, map[string][]string{"update shop": {"redirect_uris"}}},
		{
			"another type brings its presets",
			[]oauth2.Client{shop},
			[]oauth2.Client{{ID: "shop", Type: oauth2.SPA, Name: "Shop", RedirectURIs: shop.RedirectURIs}},
			false,
			map[string][]string{"update shop": {"type", "grants", "scopes", "auth_method"}},
		},
		{"one too many is left alone", []oauth2.Client{shop}, nil, false, nil},
		{"one too many is pruned", []oauth2.Client{shop}, nil, true, map[string][]string{"delete shop": nil}},
		{
			"keys in another order are the same",
			[]oauth2.Client{with(func(c *oauth2.Client) { c.JWKS = json.RawMessage(`{"keys":[{"a":1,"b":2}]}`) })},
			[]oauth2.Client{with(func(c *oauth2.Client) { c.JWKS = json.RawMessage(`{ "keys": [{"b":2,"a":1}] }`) })},
			false, nil,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var got map[string][]string
			for _, c := range Plan(tt.have, tt.want, tt.prune) {
				if got == nil {
					got = map[string][]string{}
				}
				var fields []string
				for _, f := range c.Fields {
					fields = append(fields, f.Name)
				}
				got[string(c.Action)+" "+c.ID] = fields
			}
			if d := cmp.Diff(tt.changes, got); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

// TestPlanCarriesTheWholeClient: what a plan applies is what it showed.
func TestPlanCarriesTheWholeClient(t *testing.T) {
	t.Parallel()
	have := oauth2.Client{ID: "shop", Type: oauth2.Web, Grants: []string{"authorization_code"}, Scopes: []string{"openid"}, AuthMethod: oauth2.AuthPost}
	want := oauth2.Client{ID: "shop", Type: oauth2.Web, Name: "Shop"}
	changes := Plan([]oauth2.Client{have}, []oauth2.Client{want}, false)
	if len(changes) != 1 || changes[0].Client.AuthMethod != oauth2.AuthPost || changes[0].Client.Name != "Shop" {
		t.Fatalf("got %+v", changes)
	}
	f := changes[0].Fields[0]
	if f.Name != "name" || string(f.Have) != "null" || string(f.Want) != `"Shop"` {
		t.Errorf("got %s: %s → %s", f.Name, f.Have, f.Want)
	}
}

// TestPlanSettles: applying a plan leaves nothing to plan.
func TestPlanSettles(t *testing.T) {
	t.Parallel()
	have := []oauth2.Client{{ID: "a", Type: oauth2.Web, Name: "A"}, {ID: "b", Type: oauth2.SPA}}
	want := []oauth2.Client{{ID: "c", Type: oauth2.Machine}, {ID: "a", Type: oauth2.Web}}
	state := map[string]oauth2.Client{"a": have[0], "b": have[1]}
	for _, c := range Plan(have, want, true) {
		if c.Action == Delete {
			delete(state, c.ID)
			continue
		}
		state[c.ID] = c.Client
	}
	var now []oauth2.Client
	for _, c := range state {
		now = append(now, c)
	}
	if again := Plan(now, want, true); len(again) != 0 {
		t.Errorf("still to do: %+v", again)
	}
}
