package oauth2_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/gatekeeper-oidc/gatekeeper/keys"
	"github.com/gatekeeper-oidc/gatekeeper/oauth2"
)

// TestPairwiseSubjects: one sector, one name; another sector, another; and none of
// them tells the user's id (OpenID Connect Core section 8.1).
func TestPairwiseSubjects(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, f *fixture) {
		pairwise := func(host string) func(c *oauth2.Client) {
			return func(c *oauth2.Client) {
				c.SubjectType, c.SectorIdentifierURI = oauth2.SubjectPairwise, "https://"+host+"/sector.json"
			}
		}
		a, b, c := f.app("a", pairwise("one.example")), f.app("b", pairwise("one.example")), f.app("c", pairwise("two.example"))
		subject := func(a *app) string {
			got := a.login()
			id, access := claims(t, got.ID), claims(t, got.Access)
			if id["sub"] != access["sub"] || access["uid"] != id["sub"] {
				t.Errorf("%s: ID token %v, access token %v %v", a.ID, id["sub"], access["sub"], access["uid"])
			}
			if strings.Contains(got.Access+got.ID, f.user.ID) || id["sub"] == f.user.ID {
				t.Errorf("%s learns the user's id", a.ID)
			}
			token, err := f.p.Inspect(t.Context(), got.Access)
			must(t, err)
			if token.Subject != f.user.ID || token.Sub != id["sub"] {
				t.Errorf("%s: the server sees %s called %s", a.ID, token.Subject, token.Sub)
			}
			again := tokensOf(a.refresh(got.Refresh).ok())
			if claims(t, again.ID)["sub"] != id["sub"] {
				t.Errorf("%s: refreshed as %v", a.ID, claims(t, again.ID)["sub"])
			}
			_, q := f.authorize("alice", a.request("prompt", "none", "id_token_hint", got.ID)).location()
			if q.Get("code") == "" {
				t.Errorf("%s: its own hint told %v", a.ID, q)
			}
			return id["sub"].(string)
		}
		one, same, two := subject(a), subject(b), subject(c)
		if one != same || one == two {
			t.Errorf("subjects %s %s %s", one, same, two)
		}
		for _, foreign := range []string{"", "x", strings.Repeat("A", 22), f.user.ID} {
			user, err := f.p.UserOf(t.Context(), &a.Client, foreign)
			if err != nil || user == f.user.ID {
				t.Errorf("%q is %s, %v", foreign, user, err)
			}
		}
	})
}

// TestPairwiseSubjectsOutliveTheRootSecret: the stored secret is sealed anew under a
// new root, and then the old one can go.
func TestPairwiseSubjectsOutliveTheRootSecret(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, f *fixture) {
		c := f.app("pairwise", func(c *oauth2.Client) { c.SubjectType = oauth2.SubjectPairwise }).Client
		before, err := f.p.SubjectFor(t.Context(), &c, f.user.ID)
		must(t, err)
		old, next := []byte("0123456789abcdef0123456789abcdef"), []byte("another root secret of thirty-two bytes or more")
		for _, roots := range [][][]byte{{next, old}, {next}} {
			vault, err := keys.NewVault(roots...)
			must(t, err)
			after, err := f.provider(func(cfg *oauth2.Config) { cfg.Vault = vault }).SubjectFor(t.Context(), &c, f.user.ID)
			if err != nil || after != before {
				t.Errorf("with %d roots the subject is %s, %v; before it was %s", len(roots), after, err, before)
			}
		}
	})
}

// TestSharedSecrets: a client that registered HS256 gets its ID tokens signed with
// its secret, may authenticate with it (client_secret_jwt), and no public key ever
// passes for it.
func TestSharedSecrets(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, f *fixture) {
		a := f.app("shared", func(c *oauth2.Client) { c.IDTokenAlg = oauth2.HS256 })
		got := a.login()
		if segment(t, got.ID, 0)["alg"] != "HS256" || !signedWith(a.secret, got.ID) || signedWith("another secret", got.ID) {
			t.Error("the ID token is not signed with the secret")
		}
		if segment(t, got.Access, 0)["alg"] != keys.RS256 {
			t.Error("an access token is signed with a secret")
		}
		if _, q := f.authorize("alice", a.request("prompt", "none", "id_token_hint", got.ID)).location(); q.Get("code") == "" {
			t.Errorf("its own hint told %v", q)
		}
		set, _, _ := f.ring.JWKS()
		forged := hs256(string(set), map[string]any{"iss": issuer, "sub": f.user.ID, "aud": "shared", "iat": f.now().Unix()})
		if _, q := f.authorize("alice", a.request("prompt", "none", "id_token_hint", forged)).location(); q.Get("code") == "" { // it says nothing, and stands in nobody's way
			t.Errorf("a hint signed with the public key set told %v", q)
		}
		plain := f.app("plain")
		own := hs256(plain.secret, map[string]any{"iss": issuer, "sub": f.user.ID, "aud": "plain", "iat": f.now().Unix()})
		if _, q := f.authorize("alice", plain.request("prompt", "none", "id_token_hint", own)).location(); q.Get("code") == "" {
			t.Errorf("a hint a client signed itself told %v", q)
		}
	})
}

// Signed userinfo is made by the same keys and of the same typ, and is no ID token.
func TestUserinfoIsNoHint(t *testing.T) {
	t.Parallel()
	f := newFixture(t, databases["sqlite"](t))
	a := f.app("signed", func(c *oauth2.Client) { c.UserinfoAlg = keys.RS256 })
	token, ok, err := f.p.UserinfoFor(t.Context(), &a.Client, map[string]any{"sub": f.user.ID})
	must(t, err)
	if hint, err := f.p.VerifyHint(t.Context(), token); !ok || !errors.Is(err, oauth2.ErrInactive) {
		t.Errorf("%v, %v", hint, err)
	}
}

// A hint from before the application had pairwise subjects is about nobody it knows
// now: whoever is signed in must not be taken for them.
func TestHintOfAnotherSubjectType(t *testing.T) {
	t.Parallel()
	f := newFixture(t, databases["sqlite"](t))
	a := f.app("changed")
	hint := a.login().ID
	c, err := f.db.Client(t.Context(), "changed")
	must(t, err)
	c.SubjectType, c.SectorIdentifierURI = oauth2.SubjectPairwise, "https://one.example/sector.json"
	must(t, f.db.UpdateClient(t.Context(), c))
	f.p.Forget("*")
	if _, q := f.authorize("alice", a.request("prompt", "none", "id_token_hint", hint)).location(); q.Get("error") != "login_required" {
		t.Errorf("told %v", q)
	}
}

func TestClientSecretJWT(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, f *fixture) {
		a := f.app("robot", machine, func(c *oauth2.Client) { c.AuthMethod = oauth2.AuthSecretJWT })
		send := func(secret string, edit map[string]any) reply {
			c := map[string]any{"iss": "robot", "sub": "robot", "aud": issuer, "jti": "j1", "exp": f.now().Unix() + 60}
			for k, v := range edit {
				c[k] = v
			}
			body := with(url.Values{}, "grant_type", "client_credentials", "client_assertion_type",
				"urn:ietf:params:oauth:client-assertion-type:jwt-bearer", "client_assertion", hs256(secret, c)).Encode()
			return f.do(http.MethodPost, "/oauth2/token", strings.NewReader(body))
		}
		send(a.secret, nil).ok()
		send(a.secret, nil).refused(http.StatusUnauthorized, "invalid_client") // jti used
		send(a.secret, map[string]any{"jti": "j2", "aud": "https://bank.example"}).refused(http.StatusUnauthorized, "invalid_client")
		send(strings.Repeat("w", 43), map[string]any{"jti": "j3"}).refused(http.StatusUnauthorized, "invalid_client")
	})
}

func hs256(secret string, claims map[string]any) string {
	b64 := base64.RawURLEncoding.EncodeToString
	body, _ := json.Marshal(claims) // maps of plain values always marshal
	input := b64([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." + b64(body)
	return input + "." + b64(hmacOf(secret, input))
}

func hmacOf(secret, input string) []byte {
	m := hmac.New(sha256.New, []byte(secret))
	_, _ = m.Write([]byte(input))
	return m.Sum(nil)
}

func signedWith(secret, jwt string) bool {
	i := strings.LastIndexByte(jwt, '.')
	sig, err := base64.RawURLEncoding.DecodeString(jwt[i+1:])
	return err == nil && hmac.Equal(sig, hmacOf(secret, jwt[:i]))
}
