package oauth2_test

import (
	"encoding/base64"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/gatekeeper-oidc/gatekeeper/oauth2"
)

// What an operator takes from an application is gone from its living tokens too.
func TestWhatIsTakenIsGoneFromLivingTokens(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, f *fixture) {
		shop := f.app("shop", func(c *oauth2.Client) { c.Audience = []string{"https://a.example", "https://b.example"} })
		tk := shop.login()
		shop.Scopes = slices.DeleteFunc(shop.Scopes, func(s string) bool { return s == "email" })
		shop.Audience = []string{"https://b.example"}
		must(t, f.db.UpdateClient(t.Context(), shop.Client))
		f.p.Forget("*")
		got, err := f.p.Inspect(t.Context(), tk.Access)
		must(t, err)
		if slices.Contains(got.Scopes, "email") || slices.Contains(got.Audience, "https://a.example") || !slices.Contains(got.Scopes, "openid") {
			t.Errorf("scopes %v, audience %v", got.Scopes, got.Audience)
		}
	})
}

// An id with a colon comes as most send it, without encoding.
func TestAnIDWithAColonInABasicHeader(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, f *fixture) {
		a := f.app("urn:app:1", machine)
		for _, header := range []string{
			"Basic " + base64.StdEncoding.EncodeToString([]byte("urn:app:1:"+a.secret)),
			"Basic " + base64.StdEncoding.EncodeToString([]byte("urn%3Aapp%3A1:"+a.secret)),
		} {
			r := f.do(http.MethodPost, "/oauth2/token", strings.NewReader("grant_type=client_credentials"), "Authorization", header)
			if r.Status != http.StatusOK {
				t.Errorf("%d %s", r.Status, r.Body)
			}
		}
	})
}
