package conformance

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestKilledInTheMiddleOfRefreshes kills a node in the middle of 1,000 refreshes.
// Every family must go on from the last token its application was given, none
// may be forked, and no token two generations old may be accepted.
func TestKilledInTheMiddleOfRefreshes(t *testing.T) {
	everywhere(t, func(t *testing.T, d *deployment) {
		a := shop(t, d)
		b := newBrowser(t, d.issuer)
		const families, rounds = 20, 50
		chains := make([][]string, families)
		for i := range chains {
			tok, _ := a.tokens(b, ana, anaPassword)
			chains[i] = []string{tok.RefreshToken}
		}
		var done atomic.Int64
		half := make(chan struct{})
		var wg sync.WaitGroup
		for i := range chains {
			wg.Go(func() {
				for range rounds {
					next := refreshUntilAnswered(t, a, chains[i][len(chains[i])-1])
					if next == "" {
						return
					}
					chains[i] = append(chains[i], next)
					if done.Add(1) == families*rounds/2 {
						close(half)
					}
				}
			})
		}
		all := make(chan struct{})
		go func() { wg.Wait(); close(all) }()
		select {
		case <-half:
			d.nodes[0].kill(t)
			d.nodes[0].run(t)
			<-all
		case <-all:
		}
		if n := done.Load(); n != families*rounds {
			t.Fatalf("%d refreshes were answered, want %d", n, families*rounds)
		}
		for i, chain := range chains {
			checkChain(t, a, i, chain)
		}
	})
}

// refreshUntilAnswered retries as a patient application does: the same token,
// until somebody answers. A refusal is final.
func refreshUntilAnswered(t *testing.T, a *app, token string) string {
	t.Helper()
	form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}}.Encode()
	patience := time.NewTicker(10 * time.Millisecond)
	defer patience.Stop()
	for range 3000 {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, a.config.Endpoint.TokenURL, strings.NewReader(form))
		if err != nil {
			t.Error(err)
			return ""
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.SetBasicAuth(a.config.ClientID, a.config.ClientSecret)
		res, err := http.DefaultClient.Do(r)
		if err != nil || res.StatusCode >= http.StatusInternalServerError {
			if err == nil {
				_ = res.Body.Close()
			}
			<-patience.C
			continue
		}
		text := body(t, res)
		if res.StatusCode != http.StatusOK {
			t.Errorf("an honest refresh was refused: %d %s", res.StatusCode, text)
			return ""
		}
		return field(text, "refresh_token")
	}
	t.Error("nobody answered")
	return ""
}

func checkChain(t *testing.T, a *app, i int, chain []string) {
	t.Helper()
	seen := map[string]bool{}
	for _, tok := range chain {
		if seen[tok] {
			t.Errorf("family %d: a token came twice", i)
		}
		seen[tok] = true
	}
	last, err := a.refresh(chain[len(chain)-1])
	if err != nil {
		t.Errorf("family %d was lost: %v", i, err)
		return
	}
	if _, err := a.refresh(chain[len(chain)-3]); err == nil {
		t.Errorf("family %d: a token three generations old was accepted", i)
	}
	if _, err := a.refresh(last.RefreshToken); err == nil {
		t.Errorf("family %d: outlived a replay", i)
	}
}

// TestAcknowledgedAnswersSurviveAKill kills the only node after an answer and
// finds everything it said still true.
func TestAcknowledgedAnswersSurviveAKill(t *testing.T) {
	everywhere(t, func(t *testing.T, d *deployment) {
		a := shop(t, d)
		b := newBrowser(t, d.issuer)
		kept, _ := a.tokens(b, ana, anaPassword)
		dead, _ := a.tokens(b, ana, anaPassword)
		if r := a.call("revocation_endpoint", url.Values{"token": {dead.RefreshToken}}); r.status != http.StatusOK {
			t.Fatalf("revocation: %d", r.status)
		}
		for _, n := range d.nodes {
			n.kill(t)
		}
		for _, n := range d.nodes {
			n.run(t)
		}
		if !a.active(kept.AccessToken) {
			t.Error("an access token died with the node")
		}
		if a.active(dead.AccessToken) {
			t.Error("a revocation was lost with the node")
		}
		if _, err := a.refresh(kept.RefreshToken); err != nil {
			t.Errorf("a refresh token died with the node: %v", err)
		}
		tr := a.begin("prompt", "none")
		a.code(tr, b.get(tr.url)) // the session lives too
	})
}

func field(jsonText, name string) string {
	var v map[string]any
	if err := unmarshal(jsonText, &v); err != nil {
		return ""
	}
	return fmt.Sprint(v[name])
}
