package account_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"github.com/gatekeeper-oidc/gatekeeper/consent"
	"github.com/gatekeeper-oidc/gatekeeper/oauth2"
)

// TestManyApplicationsArePages: however much somebody allowed, a page shows a part of
// it and leads to the rest.
func TestManyApplicationsArePages(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.browser(w.ana, firefox)
	const many = 120
	for i := range many {
		id := fmt.Sprintf("app%03d", i)
		if err := w.db.InsertClient(t.Context(), oauth2.Client{ID: id, Type: oauth2.Web}); err != nil {
			t.Fatal(err)
		}
		if err := w.db.PutConsent(t.Context(), consent.Consent{UserID: w.ana.ID, ClientID: id, Scopes: []string{"openid"}}); err != nil {
			t.Fatal(err)
		}
	}
	seen, sizes := map[string]bool{}, []int{}
	for path := "/account"; path != "" && len(sizes) < 4; {
		shown, more := appsOn(t, b.send(http.MethodGet, path, nil).Body.String())
		for _, id := range shown {
			seen[id] = true
		}
		sizes, path = append(sizes, len(shown)), more
	}
	if fmt.Sprint(sizes) != "[50 50 20]" || len(seen) != many {
		t.Errorf("the pages have %v applications, %d of %d in all", sizes, len(seen), many)
	}
	if rec := b.send(http.MethodGet, "/account?apps=no%20cursor!", nil); rec.Code != http.StatusBadRequest {
		t.Errorf("no cursor: %d", rec.Code)
	}
}

// appsOn returns the applications a page shows and where it leads on.
func appsOn(t *testing.T, page string) (ids []string, more string) {
	t.Helper()
	doc, err := html.Parse(strings.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}
	for n := range doc.Descendants() {
		switch {
		case attr(n, "name") == "client":
			ids = append(ids, attr(n, "value"))
		case attr(n, "id") == "more-apps":
			more, _, _ = strings.Cut(attr(n, "href"), "#")
		}
	}
	return ids, more
}
