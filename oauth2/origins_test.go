package oauth2_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/gatekeeper-oidc/gatekeeper/identity"
	"github.com/gatekeeper-oidc/gatekeeper/oauth2"
)

// counted counts what is read of clients.
type counted struct {
	oauth2.Store

	pages, single atomic.Int64
}

func (c *counted) Clients(ctx context.Context, p identity.Page) ([]oauth2.Client, string, error) {
	c.pages.Add(1)
	return c.Store.Clients(ctx, p)
}

func (c *counted) Client(ctx context.Context, id string) (oauth2.Client, error) {
	c.single.Add(1)
	return c.Store.Client(ctx, id)
}

// TestOriginsAreReadOnce: a change of one client is one row to read, not all of
// them, whoever asks at once.
func TestOriginsAreReadOnce(t *testing.T) {
	t.Parallel()
	var store *counted
	f := newFixture(t, databases["sqlite"](t), func(c *oauth2.Config) {
		store = &counted{Store: c.Store}
		c.Store = store
	})
	shop := f.app("shop")
	f.app("other")
	ask := func(origin string) bool { return f.p.AllowOrigin(t.Context(), origin) }
	race(32, func(int) {
		if !ask("https://shop.example") {
			t.Error("a registered origin is refused while all are read")
		}
	})
	pages, single := store.pages.Load(), store.single.Load()
	for i := range 10 {
		shop.RedirectURIs = []string{fmt.Sprintf("https://new%d.example/cb", i)}
		must(t, f.db.UpdateClient(t.Context(), shop.Client))
		f.p.Forget("client:shop")
		f.p.Forget("grant:of somebody")
		race(8, func(int) {
			if !ask(fmt.Sprintf("https://new%d.example", i)) || i > 0 && ask(fmt.Sprintf("https://new%d.example", i-1)) {
				t.Error("origins after a change")
			}
		})
	}
	if p, s := store.pages.Load()-pages, store.single.Load()-single; p != 0 || s > 20 {
		t.Errorf("after 10 changes %d pages and %d clients were read", p, s)
	}
	f.p.Forget("*")
	if !ask("https://new9.example") || store.pages.Load() != pages+1 {
		t.Errorf("after a change of everything %d pages were read", store.pages.Load()-pages)
	}
}
