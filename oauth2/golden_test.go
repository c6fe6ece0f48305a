package oauth2_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatekeeper-oidc/gatekeeper/keys"
	"github.com/gatekeeper-oidc/gatekeeper/oauth2"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// TestTokenClaims holds every token to what it was the last time somebody looked
// at it: a claim more is a promise, or a leak; a claim less breaks an application.
func TestTokenClaims(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, f *fixture) {
		shop := f.app("shop", func(c *oauth2.Client) { c.Audience = []string{"https://orders.example"} })
		spare := f.app("spare", func(c *oauth2.Client) { c.AccessTokenAlg, c.IDTokenAlg = keys.ES256, keys.EdDSA })
		first := shop.login()
		again := tokensOf(shop.refresh(first.Refresh).ok())
		bare := spare.login("scope", "openid", "nonce", "")
		job := tokensOf(f.app("job", machine).token("grant_type", "client_credentials").ok())
		for name, jwt := range map[string]string{
			"access":          first.Access,
			"access_renewed":  again.Access,
			"access_openid":   bare.Access,
			"access_machine":  job.Access,
			"id":              first.ID,
			"id_renewed":      again.ID,
			"id_openid_eddsa": bare.ID,
		} {
			f.golden(t, name, jwt)
		}
	})
}

// golden compares a token with testdata/NAME.golden.json. What differs from run to
// run is named, and times are told from the moment of issue.
func (f *fixture) golden(t *testing.T, name, jwt string) {
	t.Helper()
	body := claims(t, jwt)
	names := map[string]string{f.user.ID: "THE USER", f.session.ID: "THE SESSION"}
	iat, _ := body["iat"].(float64)
	for claim, v := range body {
		switch v := v.(type) {
		case float64:
			body[claim] = fmt.Sprintf("iat %+g", v-iat)
		case string:
			if known, ok := names[v]; ok {
				body[claim] = known
			}
		}
	}
	if _, ok := body["auth_time"]; ok {
		body["auth_time"] = "WHEN THE USER SIGNED IN"
		if got := claims(t, jwt)["auth_time"]; got != float64(f.session.AuthTime.Unix()) {
			t.Errorf("%s: auth_time %v, want %d", name, got, f.session.AuthTime.Unix())
		}
	}
	for _, random := range []string{"jti", "gid", "reg", "at_hash"} {
		if s, ok := body[random].(string); ok {
			body[random] = fmt.Sprintf("%d characters", len(s))
		}
	}
	head := segment(t, jwt, 0)
	head["kid"] = fmt.Sprintf("%d characters", len(fmt.Sprint(head["kid"])))
	got, err := json.MarshalIndent(map[string]any{"header": head, "claims": body}, "", "  ")
	must(t, err)
	got = append(got, '\n')
	file := filepath.Join("testdata", name+".golden.json")
	if *update {
		must(t, os.MkdirAll("testdata", 0o755))
		must(t, os.WriteFile(file, got, 0o644))
	}
	want, err := os.ReadFile(file)
	must(t, err)
	if d := cmp.Diff(string(want), string(got)); d != "" {
		t.Errorf("%s changed (-want +got); run with -update if it should:\n%s", name, d)
	}
}
