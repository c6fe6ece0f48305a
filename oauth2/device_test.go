package oauth2_test

import (
	"context"
	"encoding/base64"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatekeeper-oidc/gatekeeper/audit"
	"github.com/gatekeeper-oidc/gatekeeper/identity"
	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
	"github.com/gatekeeper-oidc/gatekeeper/internal/web"
	"github.com/gatekeeper-oidc/gatekeeper/oauth2"
)

func tv(c *oauth2.Client) { c.Type, c.RedirectURIs = oauth2.Device, nil }

// ask is a device's request: its device code and its user code.
func (a *app) ask(pairs ...string) (device, user string) {
	a.f.tb.Helper()
	m := a.post("/oauth2/device_authorization", pairs...).ok()
	device, _ = m["device_code"].(string)
	user, _ = m["user_code"].(string)
	return device, user
}

func (a *app) poll(device string) reply {
	a.f.tb.Helper()
	return a.token("grant_type", oauth2.GrantDevice, "device_code", device)
}

// tx is the transaction cookie of the one browser at the device page.
var tx = base64.RawURLEncoding.EncodeToString(make([]byte, 32))

// typed is what the device page does with a code: the interaction it begins.
func (f *fixture) typed(code string) string {
	f.tb.Helper()
	id, err := f.p.OpenDevice(f.tb.Context(), hash(tx), code)
	must(f.tb, err)
	return id
}

// decided is what the consent page does, and where the dispatcher goes from there.
func (f *fixture) decided(who, code, denied string) reply {
	f.tb.Helper()
	in, err := f.p.Interaction(f.tb.Context(), f.typed(code), hash(tx))
	must(f.tb, err)
	in.Denied = denied
	if denied == "" {
		_, s, err := f.signedIn(who)
		must(f.tb, err)
		in.Consented, in.Selected = true, s.ID
	}
	must(f.tb, f.p.Advance(f.tb.Context(), in))
	return f.visit(who, oauth2.ResumeURL(in.ID), "__Host-gk_tx="+tx)
}

func (f *fixture) signedIn(who string) (identity.User, identity.Session, error) {
	s, u, err := f.db.SessionByToken(f.tb.Context(), hash("cookie of "+who))
	return u, s, err
}

func TestDeviceAuthorization(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, f *fixture) {
		player := f.app("player", tv)
		r := player.post("/oauth2/device_authorization", "scope", "openid email offline_access", "nonsense", "x")
		m := r.ok()
		device, _ := m["device_code"].(string)
		user, _ := m["user_code"].(string)
		if !regexp.MustCompile(`^gk_dc_[A-Za-z0-9_-]{64}$`).MatchString(device) || !regexp.MustCompile(`^[B-Z]{4}-[B-Z]{4}$`).MatchString(user) {
			t.Errorf("codes %q and %q", device, user)
		}
		want := map[string]any{
			"device_code": device, "user_code": user, "verification_uri": issuer + "/device", "verification_uri_complete": issuer + "/device?user_code=" + user,
			"expires_in": 600., "interval": 5.,
		}
		if diff := cmp.Diff(want, m); diff != "" || r.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%v (-want +got):\n%s", r.Header, diff)
		}
		player.poll(device).refused(http.StatusBadRequest, "authorization_pending")
		if to, q := f.decided("alice", strings.ToLower(strings.ReplaceAll(user, "-", " ")), "").location(); to != "/device" || q.Get("done") != "approved" {
			t.Fatalf("to %s %v", to, q)
		}
		answer := player.poll(device).ok() // though the interval is not over
		tk := tokensOf(answer)
		if tk.Refresh == "" || tk.ID == "" || answer["scope"] != "openid email offline_access" || answer["token_type"] != "Bearer" {
			t.Errorf("answer %v", answer)
		}
		for name, token := range map[string]string{"access": tk.Access, "ID": tk.ID} {
			c := claims(t, token)
			got := map[string]any{"sub": c["sub"], "sid": c["sid"], "acr": c["acr"], "amr": c["amr"], "auth_time": c["auth_time"]}
			want := map[string]any{"sub": f.user.ID, "sid": f.session.ID, "acr": "1", "amr": []any{"pwd"}, "auth_time": float64(f.session.AuthTime.Unix())}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s token (-want +got):\n%s", name, diff)
			}
		}
		next := tokensOf(player.refresh(tk.Refresh).ok())
		if !f.alive(tk.Access) || !f.alive(next.Refresh) {
			t.Error("its tokens are not alive")
		}
		player.poll(device).refused(http.StatusBadRequest, "invalid_grant")
		if f.alive(tk.Access) || f.alive(next.Refresh) {
			t.Error("a device code that came again left its grant alive")
		}
		for kind, want := range map[audit.Kind]int{
			audit.DeviceRequested: 1, audit.DeviceApproved: 1, audit.DeviceDenied: 0, audit.GrantIssued: 1, audit.GrantRefreshed: 1, audit.CodeReplayed: 1,
		} {
			if got := f.events(kind, "player"); got != want {
				t.Errorf("%d events %s, want %d", got, kind, want)
			}
		}
	})
}

func TestDeviceAuthorizationRefuses(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, f *fixture) {
		player := f.app("player", tv, func(c *oauth2.Client) { c.Audience = []string{"https://a.example"} })
		shop := f.app("shop")
		for _, c := range []struct {
			name         string
			a            *app
			pairs        []string
			status       int
			code, decide string
		}{
			{"another grant", shop, nil, 400, "unauthorized_client", "client_may_use_grant"},
			{"no registered scope", player, []string{"scope", "nonsense"}, 400, "invalid_scope", "scope_grammar"},
			{"a scope of other letters", player, []string{"scope", "a\"b"}, 400, "invalid_scope", "scope_grammar"},
			{"a long scope", player, []string{"scope", strings.Repeat("a", 1100)}, 400, "invalid_request", "parameter_sizes"},
			{"a foreign resource", player, []string{"resource", "https://b.example"}, 400, "invalid_target", "resource_allowed"},
			{"a secret where there is none", player, []string{"client_secret", "x"}, 401, "invalid_client", "client_authenticates"},
		} {
			c.a.post("/oauth2/device_authorization", c.pairs...).refused(c.status, c.code)
			if rule := f.rule.Load(); rule != c.decide {
				t.Errorf("%s: decided by %v, want %s", c.name, rule, c.decide)
			}
		}
		r := f.do(http.MethodPost, "/oauth2/device_authorization", strings.NewReader("client_id=player&client_id=player"))
		r.refused(http.StatusBadRequest, "invalid_request")
		if r := f.do(http.MethodGet, "/oauth2/device_authorization", nil); r.Status != http.StatusMethodNotAllowed {
			t.Errorf("GET: %d", r.Status)
		}
		device, user := player.ask("scope", "openid nonsense", "resource", "https://a.example")
		f.decided("alice", user, "")
		got := player.poll(device).ok()
		if got["scope"] != "openid" || claims(t, tokensOf(got).Access)["aud"] != "https://a.example" {
			t.Errorf("answer %v", got)
		}
		if tokensOf(got).Refresh != "" {
			t.Error("a refresh token without offline_access")
		}
	})
}

func TestPollingRefuses(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, f *fixture) {
		player, other := f.app("player", tv), f.app("other", tv)
		f.app("shop")
		device, user := player.ask("scope", "openid")
		refused := func(name string, r reply, code, rule string) {
			t.Helper()
			r.refused(http.StatusBadRequest, code)
			if got := f.rule.Load(); got != rule {
				t.Errorf("%s: decided by %v, want %s", name, got, rule)
			}
		}
		refused("nothing", player.token("grant_type", oauth2.GrantDevice), "invalid_request", "parameters_present")
		refused("garbage", player.poll("x"), "invalid_grant", "device_code_ours")
		refused("another prefix", player.poll("gk_rt_"+device[6:]), "invalid_grant", "device_code_ours")
		refused("one nobody made", player.poll("gk_dc_"+strings.Repeat("A", 64)), "invalid_grant", "device_code_ours")
		refused("one nobody was given", player.poll(f.p.NewDeviceCode()), "invalid_grant", "device_code_ours")
		refused("another client's", other.poll(device), "invalid_grant", "device_code_ours")
		refused("the user code", player.poll("gk_dc_"+user), "invalid_grant", "device_code_ours")

		f.rule.Store("")
		player.poll(device).refused(http.StatusBadRequest, "authorization_pending")
		player.poll(device).refused(http.StatusBadRequest, "slow_down")
		player.poll(device).refused(http.StatusBadRequest, "slow_down")
		if got := f.rule.Load(); got != "" {
			t.Errorf("a device that waits was refused by %v", got)
		}
		if to, q := f.decided("alice", user, "access_denied").location(); to != "/device" || q.Get("done") != "denied" {
			t.Errorf("denied: to %s %v", to, q)
		}
		refused("denied", player.poll(device), "access_denied", "device_approved")
		if f.events(audit.DeviceDenied, "player") != 1 {
			t.Error("no event of the denial")
		}

		code := f.p.NewDeviceCode()
		over := oauth2.DeviceRequest{
			Grant:    oauth2.Grant{ID: "0b9f6f2e-0000-4000-8000-00000000000d", ClientID: "player"},
			CodeHash: hash(code), UserHash: []byte("u"), Status: oauth2.DevicePending,
		}
		_, err := f.db.PutDevice(t.Context(), over, oauth2.DeviceTimes{TTL: -time.Second}, audit.Event{Kind: audit.DeviceRequested, At: f.now()})
		must(t, err)
		refused("expired", player.poll(code), "expired_token", "device_code_fresh")
	})
}

// The person's standing is asked when the device comes for its tokens.
func TestDeviceStanding(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, f *fixture) {
		player := f.app("player", tv)
		bob, _ := f.person("bob")
		for _, c := range []struct {
			name, who string
			end       func()
		}{
			{"a session that ended", "alice", func() {
				_, err := f.db.EndSessions(t.Context(), f.user.ID)
				must(t, err)
			}},
			{"a user who was locked", "bob", func() {
				bob.Status = identity.Locked
				must(t, f.db.UpdateUser(t.Context(), bob))
			}},
		} {
			device, user := player.ask("scope", "openid")
			f.decided(c.who, user, "")
			c.end()
			player.poll(device).refused(http.StatusBadRequest, "invalid_grant")
			if got := f.rule.Load(); got != "authorization_stands" {
				t.Errorf("%s: decided by %v", c.name, got)
			}
		}
	})
}

// Nothing is lost when what can fail fails: the next poll gets the tokens.
func TestDeviceSurvivesFailures(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, f *fixture) {
		player := f.app("player", tv)
		device, user := player.ask("scope", "openid offline_access")
		f.decided("alice", user, "")
		for name, fails := range map[string]func(){
			"signing":           func() { f.source.broken.Store(true) },
			"the last store":    func() { f.store.fail("RedeemGrant", 1) },
			"the user's status": func() { f.p.Forget("*"); f.store.fail("Standing", 1) },
		} {
			fails()
			if r := player.poll(device); r.Status < 500 {
				t.Errorf("%s: %d %s", name, r.Status, r.Body)
			}
			f.source.broken.Store(false)
		}
		if tk := tokensOf(player.poll(device).ok()); !f.alive(tk.Access) || !f.alive(tk.Refresh) {
			t.Error("the tokens are not alive")
		}
	})
}

func TestDeviceCodeIsRedeemedOnce(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, f *fixture) {
		player := f.app("player", tv)
		device, user := player.ask("scope", "openid")
		f.decided("alice", user, "")
		var won atomic.Int32
		race(32, func(int) {
			switch r := player.poll(device); {
			case r.Status == http.StatusOK:
				won.Add(1)
			case r.Status != http.StatusBadRequest || !strings.Contains(r.Body, "invalid_grant"):
				t.Errorf("a loser was told %d %s", r.Status, r.Body)
			}
		})
		if won.Load() != 1 {
			t.Errorf("%d of 32 succeeded, want 1", won.Load())
		}
	})
}

// A yes is only ever said on a page: by the session that page was shown to, once,
// and for the device that still waits.
func TestDeviceAnswers(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, f *fixture) {
		player := f.app("player", tv)
		_, bobs := f.person("bob")
		device, user := player.ask("scope", "openid")
		first, second := f.typed(user), f.typed(user)
		cookie := "__Host-gk_tx=" + tx
		if r := f.visit("alice", oauth2.ResumeURL(first), cookie); r.Status != http.StatusForbidden {
			t.Errorf("nobody said yes: %d", r.Status)
		}
		if to, q := f.visit("", oauth2.ResumeURL(first), cookie).location(); to != "/login" || q.Get("i") != first {
			t.Errorf("nobody is signed in: to %s %v", to, q)
		}
		if r := f.visit("alice", oauth2.ResumeURL(first)); r.Status != http.StatusNotFound {
			t.Errorf("another browser: %d", r.Status)
		}
		for _, id := range []string{first, second} {
			in, err := f.p.Interaction(t.Context(), id, hash(tx))
			must(t, err)
			if in.Request.Device.Code != user || !in.ExpiresAt.Before(f.now().Add(11*time.Minute)) {
				t.Errorf("interaction %+v until %v", in.Request.Device, in.ExpiresAt)
			}
			in.Consented, in.Selected = true, bobs.ID
			must(t, f.p.Advance(t.Context(), in))
		}
		if r := f.visit("alice", oauth2.ResumeURL(first), cookie); r.Status != http.StatusForbidden {
			t.Errorf("bob said yes, not alice: %d", r.Status)
		}
		if _, q := f.visit("bob", oauth2.ResumeURL(first), cookie).location(); q.Get("done") != "approved" {
			t.Errorf("bob said yes: %v", q)
		}
		if r := f.visit("bob", oauth2.ResumeURL(first), cookie); r.Status != http.StatusNotFound {
			t.Errorf("a second time: %d", r.Status)
		}
		if _, q := f.visit("bob", oauth2.ResumeURL(second), cookie).location(); q.Get("done") != "expired" {
			t.Errorf("answered in another tab: %v", q)
		}
		if c := claims(t, tokensOf(player.poll(device).ok()).Access); c["sid"] != bobs.ID {
			t.Errorf("sid %v", c["sid"])
		}
		if _, err := f.p.OpenDevice(t.Context(), hash(tx), user); !fault.Is(err, fault.Invalid) {
			t.Errorf("typed after its answer: %v", err)
		}
	})
}

// Guessing is slow, per address and per session, whether right or wrong.
func TestUserCodesAreLimited(t *testing.T) {
	t.Parallel()
	f := newFixture(t, databases["sqlite"](t))
	player := f.app("player", tv)
	_, user := player.ask()
	from := func(address string) context.Context {
		return web.NewContext(t.Context(), web.Info{Address: netip.MustParseAddr(address)})
	}
	tries := func(ctx context.Context) int {
		for n := range 100 {
			if _, err := f.p.OpenDevice(ctx, hash(tx), "BBBB-BBBB"); fault.Is(err, fault.TooMany) {
				return n
			} else if f := fault.Of(err); f.Code != "invalid_user_code" {
				t.Fatalf("a guess: %v", err)
			}
		}
		return 100
	}
	if n := tries(from("192.0.2.1")); n != 20 {
		t.Errorf("an address may try %d codes, want 20", n)
	}
	if _, err := f.p.OpenDevice(from("192.0.2.1"), hash(tx), user); !fault.Is(err, fault.TooMany) {
		t.Errorf("the right code after too many: %v", err)
	}
	if n := tries(identity.NewContext(from("192.0.2.2"), f.session, f.user)); n != 10 {
		t.Errorf("a session may try %d codes, want 10", n)
	}
	if n := tries(identity.NewContext(from("192.0.2.3"), f.session, f.user)); n != 0 {
		t.Errorf("the same session at another address may try %d more", n)
	}
	if _, err := f.p.OpenDevice(from("192.0.2.4"), hash(tx), user); err != nil {
		t.Errorf("somebody else: %v", err)
	}
	requests := 0
	for ; requests < 200; requests++ {
		r := player.post("/oauth2/device_authorization")
		if r.Status == http.StatusTooManyRequests {
			r.refused(http.StatusTooManyRequests, "slow_down")
			break
		}
		r.ok()
	}
	if requests > 70 {
		t.Errorf("an address may ask for %d codes", requests)
	}
}

// A client that is switched off has no devices, and an essential default_max_age of
// its own asks for a sign-in.
func TestDevicesOfClients(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, f *fixture) {
		age := 0
		strict := f.app("strict", tv, func(c *oauth2.Client) { c.DefaultMaxAge = &age })
		_, user := strict.ask()
		in, err := f.p.Interaction(t.Context(), f.typed(user), hash(tx))
		must(t, err)
		if in.Request.MaxAge == nil || *in.Request.MaxAge != 0 {
			t.Errorf("max_age %v", in.Request.MaxAge)
		}
		off := strict.Client
		off.Disabled = true
		must(t, f.db.UpdateClient(t.Context(), off))
		f.p.Forget("client:strict")
		if _, err := f.p.OpenDevice(t.Context(), hash(tx), user); fault.Of(err).Code != "invalid_user_code" {
			t.Errorf("typed for a client that is off: %v", err)
		}
		if r := f.visit("alice", oauth2.ResumeURL(in.ID), "__Host-gk_tx="+tx); r.Status == http.StatusSeeOther {
			t.Errorf("gone on with for a client that is off: %v", r.Header)
		}
		confidential := f.app("box", tv, func(c *oauth2.Client) { c.AuthMethod = oauth2.AuthBasic })
		device, user := confidential.ask()
		f.decided("alice", user, "")
		v := url.Values{"grant_type": {oauth2.GrantDevice}, "device_code": {device}, "client_id": {"box"}}
		f.do(http.MethodPost, "/oauth2/token", strings.NewReader(v.Encode())).refused(http.StatusUnauthorized, "invalid_client")
		confidential.poll(device).ok()
	})
}

func TestUserCode(t *testing.T) {
	t.Parallel()
	for typed, want := range map[string]string{
		"WDJB-MJHT": "WDJBMJHT", "wdjbmjht": "WDJBMJHT", " wdjb mjht ": "WDJBMJHT", "WDJB–MJHT": "WDJBMJHT", "w.d_j-b m\tj h t": "WDJBMJHT",
		"0O00-1I25": "QQQQLLZS", "6785-UVUV": "GTBSVVVV",
		"WDJB-MJH": "", "WDJB-MJHTB": "", "WDJB-MJHA": "", "": "", "--------": "", "WDJB-MJHÉ": "", "WDJB+MJHT": "", strings.Repeat(" ", 100) + "WDJBMJHT": "",
	} {
		if got, ok := oauth2.ParseUserCode(typed); ok != (want != "") || ok && got != want {
			t.Errorf("%q is %q, %v, want %q", typed, got, ok, want)
		}
	}
	seen, letters := map[string]bool{}, map[rune]int{}
	for range 2000 {
		code := oauth2.NewUserCode()
		again, ok := oauth2.ParseUserCode(oauth2.FormatUserCode(code))
		if !ok || again != code || seen[code] {
			t.Fatalf("code %q", code)
		}
		seen[code] = true
		for _, r := range code {
			letters[r]++
		}
	}
	for r, n := range letters { // 800 of each expected; 640 is more than five sigma away
		if n < 640 || n > 960 {
			t.Errorf("%c came %d times in 16000", r, n)
		}
	}
	if len(letters) != 20 {
		t.Errorf("%d letters, want 20", len(letters))
	}
}

func FuzzUserCode(f *testing.F) {
	for _, s := range []string{"WDJB-MJHT", "0O00-1I25", " ", "wdjb\u2013mjht", "ſſſſſſſſ", "WDJBMJHT\x00", "ｗｄｊｂ"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, typed string) {
		code, ok := oauth2.ParseUserCode(typed)
		if !ok {
			return
		}
		for _, other := range []string{code, oauth2.FormatUserCode(code), strings.ToLower(code), " " + code + "-"} {
			if again, ok := oauth2.ParseUserCode(other); !ok || again != code {
				t.Errorf("%q is %q, but %q is %q, %v", typed, code, other, again, ok)
			}
		}
		if !regexp.MustCompile(`^[BCDFGHJKLMNPQRSTVWXZ]{8}$`).MatchString(code) {
			t.Errorf("%q is %q", typed, code)
		}
	})
}
