package conformance

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"golang.org/x/oauth2"
)

// TestKeysTurnWhileNodesRun walks a signing key through its life beside running
// nodes: published before it signs, signing on every node, believed after its
// time, and after a revocation believed by nobody.
func TestKeysTurnWhileNodesRun(t *testing.T) {
	everywhere(t, func(t *testing.T, d *deployment) {
		a := shop(t, d)
		b := newBrowser(t, d.issuer)
		old, _ := a.tokens(b, ana, anaPassword)
		first := kid(t, old)

		d.cli(t, "key", "rotate", "--alg", "RS256")
		next := inState(t, d, "next")
		poll(t, "every node publishes the next key", func() bool { return a.published(first, true) && a.published(next, true) })
		if tok := a.again(b); kid(t, tok) != first {
			t.Fatalf("%s signs, which is only published yet", kid(t, tok))
		}

		d.cli(t, "key", "rotate", "--alg", "RS256", "--now")
		active := inState(t, d, "active")
		var fresh *oauth2.Token
		poll(t, "the successor signs on every node", func() bool {
			fresh = a.again(b)
			return active != first && kid(t, fresh) == active && kid(t, a.again(b)) == active
		})
		if inState(t, d, "retiring") != first || !a.published(first, true) || !a.active(old.AccessToken) {
			t.Error("the key before is not believed to the end of its last token")
		}

		d.cli(t, "key", "revoke", first, "--yes")
		poll(t, "no node believes the revoked key", func() bool { return a.dead(old.AccessToken) && a.published(first, false) })
		if !a.active(fresh.AccessToken) {
			t.Error("the revocation of one key took the tokens of another with it")
		}
	})
}

// again signs the same person in once more, silently.
func (a *app) again(b *browser) *oauth2.Token {
	a.t.Helper()
	tr := a.begin("prompt", "none")
	tok, err := a.config.Exchange(a.t.Context(), a.code(tr, b.get(tr.url)), oauth2.VerifierOption(tr.pkce))
	if err != nil {
		a.t.Fatal(err)
	}
	return tok
}

// kid is the key an access token says it was signed with.
func kid(t *testing.T, tok *oauth2.Token) string {
	t.Helper()
	head, _, _ := strings.Cut(tok.AccessToken, ".")
	raw, err := base64.RawURLEncoding.DecodeString(head)
	if err != nil {
		t.Fatal(err)
	}
	var h struct{ Kid string }
	if err := json.Unmarshal(raw, &h); err != nil || h.Kid == "" {
		t.Fatalf("%v in %s", err, raw)
	}
	return h.Kid
}

// inState is the one RS256 key that is there in its life now.
func inState(t *testing.T, d *deployment, state string) string {
	t.Helper()
	all := decode[struct {
		Keys []struct {
			ID, Alg, State string
		}
	}](t, d, "key", "list")
	var found []string
	for _, k := range all.Keys {
		if k.Alg == "RS256" && k.State == state {
			found = append(found, k.ID)
		}
	}
	if len(found) != 1 {
		t.Fatalf("%d keys are %s, want one: %+v", len(found), state, all)
	}
	return found[0]
}

// published reports whether two answers running, which are of two nodes where
// there are two, agree that the key set has the key, or that it has not.
func (a *app) published(kid string, want bool) bool {
	a.t.Helper()
	for range 2 {
		if a.inSet(kid) != want {
			return false
		}
	}
	return true
}

func (a *app) inSet(kid string) bool {
	a.t.Helper()
	r, err := http.NewRequestWithContext(a.t.Context(), http.MethodGet, a.endpoint("jwks_uri"), nil)
	if err != nil {
		a.t.Fatal(err)
	}
	var set struct {
		Keys []struct{ Kid, Alg, Use string }
	}
	reply := send(a.t, r)
	if err := unmarshal(reply.text, &set); err != nil || reply.header.Get("ETag") == "" || !strings.Contains(reply.header.Get("Cache-Control"), "max-age=") {
		a.t.Fatalf("%v, headers %v", err, reply.header)
	}
	return slices.ContainsFunc(set.Keys, func(k struct{ Kid, Alg, Use string }) bool { return k.Kid == kid && k.Use == "sig" && k.Alg != "" })
}
