package oauth2_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatekeeper-oidc/gatekeeper/audit"
	"github.com/gatekeeper-oidc/gatekeeper/identity"
	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
	"github.com/gatekeeper-oidc/gatekeeper/oauth2"
)

const (
	accessType = "urn:ietf:params:oauth:token-type:access_token"
	idType     = "urn:ietf:params:oauth:token-type:id_token"
	gateway    = "https://gateway.example"
	reports    = "https://reports.example"
)

// exchanger is a service that may exchange the tokens of shop.
func exchanger(edit ...func(x *oauth2.Exchange)) func(c *oauth2.Client) {
	return func(c *oauth2.Client) {
		c.Type, c.Audience, c.Scopes = oauth2.Machine, []string{gateway}, []string{"email", "api:read", "openid"}
		c.Grants = []string{oauth2.GrantExchange, oauth2.GrantClientCredentials}
		c.Exchange = &oauth2.Exchange{Audiences: []string{reports, "https://mail.example"}, Clients: []string{"shop"}}
		for _, e := range edit {
			e(c.Exchange)
		}
	}
}

func impersonates(x *oauth2.Exchange) { x.Impersonate = true }

// forGateway is a shop whose tokens are for the gateway.
func forGateway(c *oauth2.Client) { c.Audience = []string{gateway} }

// own is a token of the client itself.
func (a *app) own() string {
	a.f.tb.Helper()
	return tokensOf(a.token("grant_type", "client_credentials").ok()).Access
}

// exchange brings a subject token, and the client's own as the actor's.
func (a *app) exchange(subject string, pairs ...string) reply {
	a.f.tb.Helper()
	form := []string{
		"grant_type", oauth2.GrantExchange, "subject_token", subject, "subject_token_type", accessType,
		"actor_token", a.own(), "actor_token_type", accessType,
	}
	return a.token(append(form, pairs...)...)
}

func TestExchange(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, f *fixture) {
		shop, svc := f.app("shop", forGateway), f.app("svc", exchanger())
		tk := shop.login()
		before := claims(t, tk.Access)
		r := svc.exchange(tk.Access, "scope", "email", "resource", reports)
		m := r.ok()
		if m["issued_token_type"] != accessType || m["token_type"] != "Bearer" || m["scope"] != "email" || m["refresh_token"] != nil || m["id_token"] != nil {
			t.Errorf("answer %v", m)
		}
		token := tokensOf(m).Access
		after := claims(t, token)
		want := map[string]any{
			"iss": issuer, "sub": before["sub"], "uid": before["uid"], "sid": before["sid"], "gid": before["gid"], "acr": before["acr"], "amr": before["amr"],
			"auth_time": before["auth_time"], "client_id": "svc", "aud": reports, "scope": "email", "email": f.user.Email, "roles": []any{"staff"},
			"act": map[string]any{"sub": "svc"}, "mfa_verified": false,
		}
		got := map[string]any{}
		for name := range want {
			got[name] = after[name]
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("claims (-want +got):\n%s", diff)
		}
		if after["exp"].(float64) > before["exp"].(float64) {
			t.Errorf("ends at %v, the subject's at %v", after["exp"], before["exp"])
		}
		in, err := f.p.Inspect(t.Context(), token)
		must(t, err)
		if in.Subject != f.user.ID || in.Actor == nil || in.Actor.Subject != "svc" || in.Actor.Actor != nil {
			t.Errorf("inspected %+v", in)
		}
		if n := f.events(audit.TokenExchanged, "svc"); n != 1 {
			t.Errorf("%d events", n)
		}
		if _, err := f.p.Revoke(t.Context(), oauth2.Token{Kind: "refresh", Grant: in.Grant, ClientID: "shop"}, "client:shop"); err != nil {
			t.Fatal(err)
		}
		if f.alive(token) {
			t.Error("it outlived the subject's grant")
		}
	})
}

// What is given without being asked for: the scopes both have, every allowed target.
func TestExchangeDefaults(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, f *fixture) {
		shop, svc := f.app("shop", forGateway), f.app("svc", exchanger())
		m := svc.exchange(shop.login().Access).ok()
		if c := claims(t, tokensOf(m).Access); m["scope"] != "openid email" || !cmp.Equal(c["aud"], []any{reports, "https://mail.example"}) {
			t.Errorf("scope %v, aud %v", m["scope"], c["aud"])
		}
		narrow := svc.exchange(shop.login("scope", "openid").Access, "audience", "https://mail.example").ok()
		if c := claims(t, tokensOf(narrow).Access); c["scope"] != "openid" || c["aud"] != "https://mail.example" {
			t.Errorf("scope %v, aud %v", c["scope"], c["aud"])
		}
	})
}

// The new token hangs on the session too, and on the person.
func TestExchangedTokensDie(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, f *fixture) {
		shop, svc := f.app("shop", forGateway), f.app("svc", exchanger())
		first := tokensOf(svc.exchange(shop.login("scope", "openid").Access).ok()).Access
		offline := shop.login()
		_, err := f.db.EndSessions(t.Context(), f.user.ID)
		must(t, err)
		if f.alive(first) {
			t.Error("it outlived the session")
		}
		if !f.alive(offline.Access) {
			t.Fatal("offline access ended with the session")
		}
		svc.exchange(offline.Access).refused(http.StatusBadRequest, "invalid_request")
		if rule := f.rule.Load(); rule != "session_stands" {
			t.Errorf("decided by %v", rule)
		}
		away := f.app("away", exchanger(), func(c *oauth2.Client) { c.Scopes = append(c.Scopes, "offline_access") })
		token := tokensOf(away.exchange(offline.Access).ok()).Access
		if !f.alive(token) {
			t.Error("dead at birth")
		}
		u := f.user
		u.Status = identity.Locked
		must(t, f.db.UpdateUser(t.Context(), u))
		if f.alive(token) {
			t.Error("it outlived the person")
		}
	})
}

func TestExchangeRefuses(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, f *fixture) {
		shop, svc := f.app("shop", forGateway), f.app("svc", exchanger())
		stranger := f.app("stranger", forGateway)
		elsewhere := f.app("elsewhere", exchanger(), func(c *oauth2.Client) { c.Audience = []string{"https://elsewhere.example"} })
		f.app("public", public)
		tk, foreign := shop.login(), stranger.login()
		dead := shop.login()
		if _, err := f.p.Revoke(t.Context(), inspected(t, f, dead.Access), "client:shop"); err != nil {
			t.Fatal(err)
		}
		acted := tokensOf(svc.exchange(tk.Access).ok()).Access
		for _, c := range []struct {
			name, rule, code string
			r                func() reply
		}{
			{"a client without the grant", "client_may_use_grant", "unauthorized_client", func() reply {
				return shop.token("grant_type", oauth2.GrantExchange, "subject_token", tk.Access, "subject_token_type", accessType)
			}},
			{"no subject token", "parameters_present", "invalid_request", func() reply { return svc.exchange("") }},
			{"no type", "subject_token_live", "invalid_request", func() reply { return svc.exchange(tk.Access, "subject_token_type", "") }},
			{"another type", "subject_token_live", "invalid_request", func() reply {
				return svc.exchange(tk.Refresh, "subject_token_type", "urn:ietf:params:oauth:token-type:refresh_token")
			}},
			{"a refresh token called an access token", "subject_token_live", "invalid_request", func() reply { return svc.exchange(tk.Refresh) }},
			{"an ID token called an access token", "subject_token_live", "invalid_request", func() reply { return svc.exchange(tk.ID) }},
			{"an access token called an ID token", "subject_token_live", "invalid_request", func() reply {
				return svc.exchange(tk.Access, "subject_token_type", idType)
			}},
			{"another client's ID token", "subject_token_live", "invalid_request", func() reply {
				return svc.exchange(tk.ID, "subject_token_type", idType)
			}},
			{"garbage", "subject_token_live", "invalid_request", func() reply { return svc.exchange("garbage") }},
			{"a revoked token", "subject_token_live", "invalid_request", func() reply { return svc.exchange(dead.Access) }},
			{"a client's own", "subject_token_of_person", "invalid_request", func() reply { return svc.exchange(svc.own()) }},
			{"of a client it may not act for", "subject_token_for_client", "invalid_request", func() reply { return svc.exchange(foreign.Access) }},
			{"meant for another service", "subject_token_for_client", "invalid_request", func() reply { return elsewhere.exchange(tk.Access) }},
			{"another token wanted", "requested_token_type", "invalid_request", func() reply {
				return svc.exchange(tk.Access, "requested_token_type", "urn:ietf:params:oauth:token-type:refresh_token")
			}},
			{"nobody acts", "delegated_or_impersonated", "unauthorized_client", func() reply {
				return svc.exchange(tk.Access, "actor_token", "", "actor_token_type", "")
			}},
			{"a type and no actor", "actor_token_live", "invalid_request", func() reply { return svc.exchange(tk.Access, "actor_token", "") }},
			{"an actor and no type", "actor_token_live", "invalid_request", func() reply { return svc.exchange(tk.Access, "actor_token_type", "") }},
			{"an actor that is garbage", "actor_token_live", "invalid_request", func() reply { return svc.exchange(tk.Access, "actor_token", "x") }},
			{"another client acts", "actor_token_own", "invalid_request", func() reply { return svc.exchange(tk.Access, "actor_token", elsewhere.own()) }},
			{"an actor that is acted for itself", "actor_token_own", "invalid_request", func() reply { return svc.exchange(tk.Access, "actor_token", acted) }},
			{"a scope the subject has not", "scope_not_widened", "invalid_scope", func() reply { return svc.exchange(tk.Access, "scope", "api:read") }},
			{"a scope the client has not", "scope_not_widened", "invalid_scope", func() reply { return svc.exchange(tk.Access, "scope", "offline_access") }},
			{"a scope of other letters", "scope_not_widened", "invalid_scope", func() reply { return svc.exchange(tk.Access, "scope", "a\"b") }},
			{"a target that is not allowed", "audience_allowed", "invalid_target", func() reply { return svc.exchange(tk.Access, "audience", gateway) }},
			{"a resource that is not allowed", "audience_allowed", "invalid_target", func() reply { return svc.exchange(tk.Access, "resource", issuer) }},
		} {
			c.r().refused(http.StatusBadRequest, c.code)
			if rule := f.rule.Load(); rule != c.rule {
				t.Errorf("%s: decided by %v, want %s", c.name, rule, c.rule)
			}
		}
		if n := f.events(audit.TokenExchanged, ""); n != 1 {
			t.Errorf("%d events of exchanges, want that of the one that succeeded", n)
		}
		f.p.Forget("*")
		f.store.fail("Standing", 1)
		if r := svc.exchange(tk.Access); r.Status != http.StatusServiceUnavailable {
			t.Errorf("a store that is down: %d %s", r.Status, r.Body)
		}
	})
}

func inspected(t *testing.T, f *fixture, token string) oauth2.Token {
	t.Helper()
	in, err := f.p.Inspect(t.Context(), token)
	must(t, err)
	return in
}

// Services call services: everyone who acted stays in the token, up to a bound.
func TestActorsAreChained(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, f *fixture) {
		shop := f.app("shop", forGateway)
		token, before := shop.login().Access, "shop"
		want := map[string]any(nil)
		for _, id := range []string{"s1", "s2", "s3", "s4", "s5"} {
			svc := f.app(id, exchanger(func(x *oauth2.Exchange) { x.Audiences, x.Clients = []string{gateway}, []string{before} }))
			token, before = tokensOf(svc.exchange(token).ok()).Access, id
			act := map[string]any{"sub": id}
			if want != nil {
				act["act"] = want
			}
			want = act
			if diff := cmp.Diff(want, claims(t, token)["act"]); diff != "" {
				t.Errorf("%s (-want +got):\n%s", id, diff)
			}
		}
		last := f.app("s6", exchanger(func(x *oauth2.Exchange) { x.Clients = []string{"s5"} }))
		last.exchange(token).refused(http.StatusBadRequest, "invalid_request")
		if rule := f.rule.Load(); rule != "actors_bounded" {
			t.Errorf("decided by %v", rule)
		}
		silent := f.app("silent", exchanger(impersonates, func(x *oauth2.Exchange) { x.Clients = []string{"s5"} }))
		got := claims(t, tokensOf(silent.exchange(token, "actor_token", "", "actor_token_type", "").ok()).Access)
		if diff := cmp.Diff(want, got["act"]); diff != "" {
			t.Errorf("who acted before is forgotten by impersonation (-want +got):\n%s", diff)
		}
		plain := f.app("plain", exchanger(impersonates))
		if got := claims(t, tokensOf(plain.exchange(shop.login().Access, "actor_token", "", "actor_token_type", "").ok()).Access); got["act"] != nil {
			t.Errorf("act %v", got["act"])
		}
	})
}

// What an application asked for by name, userinfo tells that application: it is not
// in the scopes of a token that was exchanged for its own.
func TestExchangeLeavesNamedClaims(t *testing.T) {
	t.Parallel()
	f := newFixture(t, databases["sqlite"](t))
	shop, svc := f.app("shop", forGateway), f.app("svc", exchanger())
	tk := shop.login("scope", "openid", "claims", `{"userinfo":{"email":null,"phone_number":null}}`)
	if in := inspected(t, f, tk.Access); len(in.Claims.Userinfo) != 2 {
		t.Fatalf("the application itself has %v", in.Claims)
	}
	if in := inspected(t, f, tokensOf(svc.exchange(tk.Access).ok()).Access); in.Claims.Userinfo != nil {
		t.Errorf("the exchanged token has %v", in.Claims)
	}
}

// An ID token that is signed with the client's secret proves nothing to us: the
// client could have written it itself, about anybody.
func TestExchangeOfForgedIDTokens(t *testing.T) {
	t.Parallel()
	f := newFixture(t, databases["sqlite"](t))
	svc := f.app("svc", func(c *oauth2.Client) {
		c.Grants, c.IDTokenAlg = []string{oauth2.GrantCode, oauth2.GrantExchange}, oauth2.HS256
		c.Exchange = &oauth2.Exchange{Audiences: []string{reports}, Impersonate: true}
	})
	now := f.now().Unix()
	forged := hs256(svc.secret, map[string]any{"iss": issuer, "sub": f.user.ID, "aud": "svc", "sid": f.session.ID, "iat": now, "exp": now + 60})
	for name, token := range map[string]string{"forged": forged, "ours": svc.login().ID} {
		r := svc.token("grant_type", oauth2.GrantExchange, "subject_token", token, "subject_token_type", idType)
		if r.Status != http.StatusBadRequest || f.rule.Load() != "subject_token_live" {
			t.Errorf("%s: %d %s, decided by %v", name, r.Status, r.Body, f.rule.Load())
		}
	}
}

// An ID token says who, and allows nothing; it gets a grant of its own, which hangs
// on its session.
func TestExchangeOfIDTokens(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, f *fixture) {
		both := f.app("both", func(c *oauth2.Client) {
			c.Grants = []string{oauth2.GrantCode, oauth2.GrantExchange}
			c.Exchange = &oauth2.Exchange{Audiences: []string{reports}, Impersonate: true}
		})
		id := both.login("scope", "openid email").ID
		m := both.token("grant_type", oauth2.GrantExchange, "subject_token", id, "subject_token_type", idType).ok()
		c := claims(t, tokensOf(m).Access)
		if m["scope"] != nil || c["scope"] != nil || c["sub"] != f.user.ID || c["sid"] != f.session.ID || c["gid"] == nil || c["aud"] != reports || c["email"] != nil {
			t.Errorf("answer %v, claims %v", m, c)
		}
		if c["exp"].(float64) > claims(t, id)["exp"].(float64) {
			t.Error("it outlives the ID token")
		}
		grant, _, err := f.db.Grant(t.Context(), c["gid"].(string))
		must(t, err)
		if grant.ClientID != "both" || grant.Subject != f.user.ID || f.events(audit.TokenExchanged, grant.ID) != 1 {
			t.Errorf("grant %+v", grant)
		}
		token := tokensOf(m).Access
		if !f.alive(token) {
			t.Error("not alive")
		}
		f.store.fail("RedeemGrant", 1)
		if r := both.token("grant_type", oauth2.GrantExchange, "subject_token", id, "subject_token_type", idType); r.Status != http.StatusServiceUnavailable {
			t.Errorf("a store that is down: %d", r.Status)
		}
		_, err = f.db.EndSessions(t.Context(), f.user.ID)
		must(t, err)
		if f.alive(token) {
			t.Error("it outlived the session")
		}
		both.token("grant_type", oauth2.GrantExchange, "subject_token", id, "subject_token_type", idType).refused(http.StatusBadRequest, "invalid_request")
		f.later(2 * time.Hour)
		both.token("grant_type", oauth2.GrantExchange, "subject_token", id, "subject_token_type", idType).refused(http.StatusBadRequest, "invalid_request")
	})
}

// A pairwise client calls people what only it calls them, whoever asks for it.
func TestExchangeIsPairwise(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, f *fixture) {
		sector := func(host string) func(c *oauth2.Client) {
			return func(c *oauth2.Client) {
				c.SubjectType, c.SectorIdentifierURI = oauth2.SubjectPairwise, "https://"+host+"/sector.json"
			}
		}
		shop, svc := f.app("shop", forGateway, sector("one.example")), f.app("svc", exchanger(), sector("two.example"))
		subject := shop.login().Access
		token := tokensOf(svc.exchange(subject).ok()).Access
		in := inspected(t, f, token)
		if in.Subject != f.user.ID || in.Sub == f.user.ID || in.Sub == claims(t, subject)["sub"] || in.Sub != claims(t, token)["uid"] {
			t.Errorf("called %s", in.Sub)
		}
	})
}

// An exchange costs its event; what it asks is remembered.
func TestExchangeTrips(t *testing.T) {
	t.Parallel()
	f := newFixture(t, databases["postgres"](t))
	shop, svc := f.app("shop", forGateway), f.app("svc", exchanger())
	tk, actor := shop.login().Access, svc.own()
	call := func() reply {
		return svc.token("grant_type", oauth2.GrantExchange, "subject_token", tk, "subject_token_type", accessType, "actor_token", actor, "actor_token_type", accessType)
	}
	call().ok()
	for name, want := range map[string]uint64{"remembered": 1, "asked anew": 3} {
		if name == "asked anew" {
			f.p.Forget("user:" + f.user.ID)
			f.p.Forget("token:" + inspected(t, f, actor).JTI)
		}
		f.settle()
		before := f.db.Trips()
		call().ok()
		if got := f.db.Trips() - before; got > want {
			t.Errorf("%s: %d trips, want at most %d", name, got, want)
		}
	}
}

// Whatever comes, the answer is a protocol error or a token that has no more than
// its subject's.
func FuzzExchange(f *testing.F) {
	fx := anywhere(f)
	shop, svc := fx.app("shop", forGateway), fx.app("svc", exchanger())
	tk, actor := shop.login(), svc.own()
	seed := func(pairs ...string) {
		v := url.Values{"subject_token": {"SUBJECT"}, "subject_token_type": {accessType}, "actor_token": {"ACTOR"}, "actor_token_type": {accessType}}
		f.Add(with(v, pairs...).Encode())
	}
	seed()
	seed("scope", "email", "resource", reports)
	seed("subject_token", "ID", "subject_token_type", idType)
	seed("requested_token_type", accessType, "audience", "https://evil.example")
	f.Add("subject_token=SUBJECT&subject_token=SUBJECT&scope=%00")
	allowed := strings.Fields(claims(f, tk.Access)["scope"].(string))
	f.Fuzz(func(t *testing.T, query string) {
		v, err := url.ParseQuery(query)
		if err != nil {
			return
		}
		for name, values := range v {
			for i, value := range values {
				v[name][i] = map[string]string{"SUBJECT": tk.Access, "ACTOR": actor, "ID": tk.ID, "REFRESH": tk.Refresh}[value]
				if v[name][i] == "" {
					v[name][i] = value
				}
			}
		}
		v.Set("grant_type", oauth2.GrantExchange)
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, issuer+"/oauth2/token", strings.NewReader(v.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Authorization", basic("svc", svc.secret))
		w := httptest.NewRecorder()
		fx.mux.ServeHTTP(w, r)
		if w.Code != http.StatusOK {
			if w.Code >= 500 || w.Code == http.StatusOK {
				t.Errorf("status %d %s", w.Code, w.Body)
			}
			return
		}
		c := claims(t, tokensOf(reply{t, w.Code, w.Header(), w.Body.String()}.json()).Access)
		for scope := range strings.FieldsSeq(str(c["scope"])) {
			if !slices.Contains(allowed, scope) || !slices.Contains(svc.Scopes, scope) {
				t.Errorf("scope %s", scope)
			}
		}
		if c["sub"] != fx.user.ID || c["client_id"] != "svc" || strings.Contains(w.Body.String(), "evil") || c["act"] == nil {
			t.Errorf("claims %v", c)
		}
	})
}

func str(v any) string { s, _ := v.(string); return s }

// The policies of these grants are an administrator's to give, whole or not at all.
func TestPoliciesAreWhole(t *testing.T) {
	t.Parallel()
	f := newFixture(t, databases["sqlite"](t))
	issuers := func(edit ...func(i *oauth2.TrustedIssuer)) []oauth2.TrustedIssuer {
		i := oauth2.TrustedIssuer{Issuer: ci, JWKSURI: "https://ci.example/jwks", Subjects: []string{"alice@example.com", "shop"}}
		for _, e := range edit {
			e(&i)
		}
		return []oauth2.TrustedIssuer{i}
	}
	bearer := func(c *oauth2.Client) { c.Grants, c.TrustedIssuers = []string{oauth2.GrantJWTBearer}, issuers() }
	for _, c := range []struct {
		name, rule string // "": it fits
		edit       func(c *oauth2.Client)
	}{
		{"exchange", "", exchanger()},
		{"exchange of its own tokens alone", "", exchanger(func(x *oauth2.Exchange) { x.Clients = nil })},
		{"exchange without a policy", "exchange", func(c *oauth2.Client) { exchanger()(c); c.Exchange = nil }},
		{"a policy without exchange", "exchange", func(c *oauth2.Client) { exchanger()(c); c.Grants = c.Grants[1:] }},
		{"exchange for nothing", "exchange", exchanger(func(x *oauth2.Exchange) { x.Audiences = nil })},
		{"exchange for no audience", "exchange", exchanger(func(x *oauth2.Exchange) { x.Audiences = []string{"https://a.example#b"} })},
		{"exchange from no client", "exchange", exchanger(func(x *oauth2.Exchange) { x.Clients = []string{"a b"} })},
		{"exchange that registered itself", "exchange", func(c *oauth2.Client) { exchanger()(c); c.Dynamic = true }},
		{"exchange by a public client", "grants_fit", func(c *oauth2.Client) { exchanger()(c); c.Type, c.AuthMethod = oauth2.Web, oauth2.AuthNone }},
		{"assertions", "", bearer},
		{"assertions of nobody", "trusted_issuers", func(c *oauth2.Client) { bearer(c); c.TrustedIssuers = nil }},
		{"issuers without their grant", "trusted_issuers", func(c *oauth2.Client) { bearer(c); c.Grants = []string{oauth2.GrantClientCredentials} }},
		{"one issuer twice", "trusted_issuers", func(c *oauth2.Client) { bearer(c); c.TrustedIssuers = append(issuers(), issuers()...) }},
		{"many issuers", "trusted_issuers", func(c *oauth2.Client) { bearer(c); c.TrustedIssuers = make([]oauth2.TrustedIssuer, 21) }},
		{"an issuer without a name", "trusted_issuers", func(c *oauth2.Client) {
			bearer(c)
			c.TrustedIssuers = issuers(func(i *oauth2.TrustedIssuer) { i.Issuer = "" })
		}},
		{"an issuer without keys", "trusted_issuers", func(c *oauth2.Client) {
			bearer(c)
			c.TrustedIssuers = issuers(func(i *oauth2.TrustedIssuer) { i.JWKSURI = "" })
		}},
		{"keys in two ways", "trusted_issuers", func(c *oauth2.Client) {
			bearer(c)
			c.TrustedIssuers = issuers(func(i *oauth2.TrustedIssuer) { i.JWKS = []byte(`{}`) })
		}},
		{"keys over http", "trusted_issuers", func(c *oauth2.Client) {
			bearer(c)
			c.TrustedIssuers = issuers(func(i *oauth2.TrustedIssuer) { i.JWKSURI = "http://ci.example/jwks" })
		}},
		{"keys for nothing", "trusted_issuers", func(c *oauth2.Client) {
			bearer(c)
			c.TrustedIssuers = issuers(func(i *oauth2.TrustedIssuer) { i.JWKSURI, i.JWKS = "", []byte(`{"keys":[]}`) })
		}},
		{"an issuer for nobody", "trusted_issuers", func(c *oauth2.Client) {
			bearer(c)
			c.TrustedIssuers = issuers(func(i *oauth2.TrustedIssuer) { i.Subjects = nil })
		}},
		{"an address in another spelling", "trusted_issuers", func(c *oauth2.Client) {
			bearer(c)
			c.TrustedIssuers = issuers(func(i *oauth2.TrustedIssuer) { i.Subjects = []string{"Alice@Example.com"} })
		}},
		{"assertions for who registered itself", "trusted_issuers", func(c *oauth2.Client) { bearer(c); c.Dynamic = true }},
		{"a device", "", tv},
	} {
		cl := oauth2.Client{ID: "shop", Type: oauth2.Machine}
		c.edit(&cl)
		err := f.p.CheckClient(&cl)
		if got := fault.Of(err); (err == nil) != (c.rule == "") || err != nil && got.Rule != c.rule {
			t.Errorf("%s: %v by rule %q, want %q", c.name, err, got.Rule, c.rule)
		}
	}
}
