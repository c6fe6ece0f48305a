package oauth2_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gatekeeper-oidc/gatekeeper/oauth2"
)

// push sends a request to the pushed authorization request endpoint.
func (a *app) push(v url.Values) reply {
	a.f.tb.Helper()
	var pairs []string
	for name := range v {
		pairs = append(pairs, name, v.Get(name))
	}
	return a.post("/oauth2/par", pairs...)
}

// brought are the parameters of a browser that brings a pushed request.
func (a *app) brought(uri string) url.Values {
	return url.Values{"client_id": {a.ID}, "request_uri": {uri}}
}

func (a *app) pushed(pairs ...string) string {
	a.f.tb.Helper()
	r := a.push(a.request(pairs...))
	if r.Status != http.StatusCreated {
		a.f.tb.Fatalf("pushing answered %d %s", r.Status, r.Body)
	}
	m := r.json()
	if m["expires_in"] != 60.0 || r.Header.Get("Cache-Control") != "no-store" {
		a.f.tb.Errorf("pushing answered %v %v", m, r.Header)
	}
	return m["request_uri"].(string)
}

func TestPushedRequests(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, f *fixture) {
		shop, other := f.app("shop", func(c *oauth2.Client) { c.RequirePAR = true }), f.app("other")
		uri := shop.pushed()
		if !strings.HasPrefix(uri, "urn:ietf:params:oauth:request_uri:") || strings.Contains(uri, "shop") {
			t.Errorf("request_uri %s", uri)
		}
		isPage(t, "another client's", f.authorize("alice", other.brought(uri)))
		// Reloading before the end is no reuse (RFC 9126 section 7.3).
		f.steps.consent.Store(true)
		for range 2 {
			if r := f.authorize("alice", shop.brought(uri)); r.Status != http.StatusSeeOther || !strings.HasPrefix(r.Header.Get("Location"), "/") {
				t.Fatalf("a visit that is not completed: %d %s", r.Status, r.Header.Get("Location"))
			}
		}
		f.steps.consent.Store(false)
		extra := shop.brought(uri)
		extra.Set("state", "from outside")
		extra.Set("scope", "openid phone")
		_, q := f.authorize("alice", extra).location()
		if q.Get("code") == "" || q.Get("state") != "a state" {
			t.Fatalf("told %v", q)
		}
		if got := shop.redeem(q.Get("code")).ok(); got["scope"] != "openid email offline_access" {
			t.Errorf("what came with the browser changed the request: %v", got["scope"])
		}
		for _, step := range []bool{false, true} {
			f.steps.consent.Store(step)
			isPage(t, "a second use", f.authorize("alice", shop.brought(uri)))
		}
		f.steps.consent.Store(false)
		late := shop.pushed()
		f.later(61 * time.Second)
		isPage(t, "too late", f.authorize("alice", shop.brought(late)))
		isPage(t, "garbage", f.authorize("alice", shop.brought("urn:ietf:params:oauth:request_uri:AAAA")))
	})
}

func TestPushedRequestsAreChecked(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, f *fixture) {
		shop, pub := f.app("shop"), f.app("pub", public)
		for name, c := range map[string]struct {
			edit []string
			code string
		}{
			"a request_uri inside":     {[]string{"request_uri", "https://shop.example/r"}, "invalid_request"},
			"another redirect URI":     {[]string{"redirect_uri", "https://evil.example"}, "invalid_request"},
			"no challenge":             {[]string{"code_challenge", "", "code_challenge_method", ""}, "invalid_request"},
			"plain":                    {[]string{"code_challenge_method", "plain"}, "invalid_request"},
			"a scope nobody knows":     {[]string{"scope", "gold"}, "invalid_scope"},
			"an unknown response type": {[]string{"response_type", "token"}, "unsupported_response_type"},
			"another client":           {[]string{"client_id", "pub"}, "invalid_request"},
		} {
			r := shop.push(shop.request(c.edit...))
			if m := r.refused(http.StatusBadRequest, c.code); m["request_uri"] != nil {
				t.Errorf("%s: %v", name, m)
			}
		}
		if uri := pub.pushed(); uri == "" {
			t.Error("a public client cannot push")
		}
		shop.secret = "wrong"
		shop.push(shop.request()).refused(http.StatusUnauthorized, "invalid_client")
		for _, method := range []string{http.MethodGet, http.MethodPut} {
			if r := f.do(method, "/oauth2/par", nil); r.Status != http.StatusMethodNotAllowed {
				t.Errorf("%s answered %d", method, r.Status)
			}
		}
	})
}

// TestPushedTrips: pushing writes nothing, and completing a pushed request writes
// once more than completing a plain one.
func TestPushedTrips(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, f *fixture) {
		shop := f.app("shop")
		plain := f.fewest(func() { shop.code() })
		pushing := f.fewest(func() { shop.pushed() })
		whole := f.fewest(func() { f.authorize("alice", shop.brought(shop.pushed())).location() })
		if pushing != 0 || whole != plain+1 {
			t.Errorf("plain %d trips, pushing %d, pushed and completed %d", plain, pushing, whole)
		}
	})
}

// TestPushedRaces: of two browsers that complete one pushed request, one gets an
// answer.
func TestPushedRaces(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, f *fixture) {
		shop := f.app("shop")
		uri := shop.pushed()
		results := make(chan bool, 32)
		for range cap(results) {
			go func() { results <- f.authorize("alice", shop.brought(uri)).Status == http.StatusSeeOther }()
		}
		won := 0
		for range cap(results) {
			if <-results {
				won++
			}
		}
		if won != 1 {
			t.Errorf("%d of 32 were answered, want 1", won)
		}
	})
}
