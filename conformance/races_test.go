package conformance

import (
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"testing"
)

// racers is how many callers race for one thing.
const racers = 32

// race runs f racers times at once.
func race[T any](f func(i int) T) []T {
	out := make([]T, racers)
	start := make(chan struct{})
	var wg sync.WaitGroup
	for i := range racers {
		wg.Go(func() {
			<-start
			out[i] = f(i)
		})
	}
	close(start)
	wg.Wait()
	return out
}

func shop(t *testing.T, d *deployment) *app {
	t.Helper()
	secret := d.client(t, "shop", "--type", "web", "--redirect-uri", callback, "--first-party")
	d.user(t, ana, anaPassword)
	return newApp(t, d, "shop", secret, callback)
}

func (a *app) exchange(code, verifier string) reply {
	return a.call("token_endpoint", url.Values{
		"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {a.config.RedirectURL}, "code_verifier": {verifier},
	})
}

func TestOneCodeIsRedeemedOnce(t *testing.T) {
	everywhere(t, func(t *testing.T, d *deployment) {
		a := shop(t, d)
		tr := a.begin()
		code := a.login(newBrowser(t, d.issuer), tr, ana, anaPassword)
		var ok int
		for _, r := range race(func(int) reply { return a.exchange(code, tr.pkce) }) {
			switch {
			case r.status == http.StatusOK:
				ok++
			case r.status != http.StatusBadRequest || r.json["error"] != "invalid_grant":
				t.Errorf("a loser was told %d %s", r.status, r.text)
			}
		}
		if ok != 1 {
			t.Errorf("%d of %d redemptions succeeded, want exactly 1", ok, racers)
		}
	})
}

func TestConcurrentRefreshesShareOneSuccessor(t *testing.T) {
	everywhere(t, func(t *testing.T, d *deployment) {
		a := shop(t, d)
		tok, _ := a.tokens(newBrowser(t, d.issuer), ana, anaPassword)
		successors := map[string]int{}
		for _, r := range race(func(int) reply {
			return a.call("token_endpoint", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {tok.RefreshToken}})
		}) {
			if r.status != http.StatusOK {
				t.Errorf("a refresh answered %d %s", r.status, r.text)
				continue
			}
			successors[fmt.Sprint(r.json["refresh_token"])]++
		}
		if len(successors) != 1 {
			t.Errorf("%d successors, want one: %v", len(successors), successors)
		}
	})
}

func TestReplayedRefreshTokenEndsTheFamily(t *testing.T) {
	everywhere(t, func(t *testing.T, d *deployment) {
		a := shop(t, d)
		first, _ := a.tokens(newBrowser(t, d.issuer), ana, anaPassword)
		second, err := a.refresh(first.RefreshToken)
		if err != nil {
			t.Fatal(err)
		}
		third, err := a.refresh(second.RefreshToken)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := a.refresh(first.RefreshToken); err == nil {
			t.Fatal("a token two generations old was accepted")
		}
		if _, err := a.refresh(third.RefreshToken); err == nil {
			t.Error("the newest token outlived the replay of an old one")
		}
		poll(t, "the access token is dead on every node", func() bool { return a.dead(third.AccessToken) })
	})
}
