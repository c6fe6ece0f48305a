package consent_test

import (
	"net/http"
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

func TestAllowIsRemembered(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	in := w.interaction("shop", nil, "openid", "email")
	if got := w.needed(in, ana); got != "consent_required" {
		t.Fatalf("before the answer: %q", got)
	}
	p := w.send("ana", http.MethodGet, "/consent?i="+in.ID, nil)
	for _, want := range []string{"The Shop", "shop.example", "ana@example.org", "See your email address", "https://shop.example/privacy"} {
		if !strings.Contains(p.Body.String(), want) {
			t.Errorf("the page does not say %q", want)
		}
	}
	a := w.press("ana", p, "consent-accept")
	if a.Code != http.StatusSeeOther || a.Header().Get("Location") != oauth2.ResumeURL(in.ID) {
		t.Fatalf("%d to %s", a.Code, a.Header().Get("Location"))
	}
	if got := w.needed(in, ana); got != "" {
		t.Errorf("after the answer: %q", got)
	}
	for name, c := range map[string]struct {
		in   oauth2.Interaction
		want string
	}{
		"the same again":           {w.interaction("shop", nil, "email", "openid"), ""},
		"less":                     {w.interaction("shop", nil, "openid"), ""},
		"more":                     {w.interaction("shop", nil, "openid", "email", "phone"), "consent_required"},
		"access while away":        {w.interaction("shop", nil, "openid", "offline_access"), "consent_required"},
		"asked anew":               {w.interaction("shop", []string{"consent"}, "email"), "consent_required"},
		"the house":                {w.interaction("house", nil, "openid", "email"), ""},
		"the house, asked anew":    {w.interaction("house", []string{"login", "consent"}, "openid"), "consent_required"},
		"nothing, never asked for": {w.interaction("shop", nil), ""},
	} {
		if got := w.needed(c.in, ana); got != c.want {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
	if got := w.needed(w.interaction("shop", nil, "openid", "email"), ben); got != "consent_required" {
		t.Errorf("another person's consent counted: %q", got)
	}
	if got := w.needed(w.interaction("shop", nil), ben); got != "consent_required" {
		t.Errorf("nobody asked, and yet: %q", got)
	}
	if d := cmp.Diff([]audit.Kind{audit.ConsentGranted}, w.kinds()); d != "" {
		t.Error(d)
	}
}

func TestOnlyWhatIsNewIsAskedAndNothingIsForgotten(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first := w.interaction("shop", nil, "openid", "email")
	w.press("ana", w.send("ana", http.MethodGet, "/consent?i="+first.ID, nil), "consent-accept")
	second := w.interaction("shop", nil, "openid", "phone")
	p := w.send("ana", http.MethodGet, "/consent?i="+second.ID, nil)
	asks, rest, _ := strings.Cut(p.Body.String(), "You have already allowed it to")
	if !strings.Contains(asks, "See your phone number") || strings.Contains(asks, "Recognise you") || !strings.Contains(rest, "Recognise you") {
		t.Errorf("new and known are mixed up:\n%s", p.Body)
	}
	w.press("ana", p, "consent-accept")
	scopes, found, err := w.service.Remembered(t.Context(), ana.ID, "shop")
	if d := cmp.Diff([]string{"openid", "email", "phone"}, scopes); d != "" || !found || err != nil {
		t.Errorf("%v %v %s", found, err, d)
	}
}

func TestDeny(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	in := w.interaction("shop", nil, "openid")
	a := w.press("ana", w.send("ana", http.MethodGet, "/consent?i="+in.ID, nil), "consent-deny")
	if a.Code != http.StatusSeeOther || a.Header().Get("Location") != oauth2.ResumeURL(in.ID) {
		t.Fatalf("%d to %s", a.Code, a.Header().Get("Location"))
	}
	stored, err := w.db.Interaction(t.Context(), in.ID)
	if err != nil || stored.Denied != "access_denied" || stored.Consented {
		t.Errorf("%+v %v", stored, err)
	}
	if _, found, _ := w.service.Remembered(t.Context(), ana.ID, "shop"); found {
		t.Error("a no was remembered as a yes")
	}
	if d := cmp.Diff([]audit.Kind{audit.ConsentDenied}, w.kinds()); d != "" {
		t.Error(d)
	}
}

func TestPromptConsentIsAnsweredOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	in := w.interaction("house", []string{"consent"}, "openid")
	w.press("ana", w.send("ana", http.MethodGet, "/consent?i="+in.ID, nil), "consent-accept")
	if got := w.needed(in, ana); got != "" {
		t.Errorf("asked again: %q", got)
	}
	if got := w.needed(in, ben); got != "consent_required" {
		t.Errorf("ana's yes was lent to ben: %q", got)
	}
	if a := w.send("ana", http.MethodGet, "/consent?i="+in.ID, nil); a.Code != http.StatusSeeOther {
		t.Errorf("the page is shown again: %d", a.Code)
	}
}

// TestTheAnswerIsOfWhoWasNamed: an account switched in another tab cannot say yes
// on a page that named somebody else.
func TestTheAnswerIsOfWhoWasNamed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	in := w.interaction("shop", nil, "openid")
	p := w.send("ana", http.MethodGet, "/consent?i="+in.ID, nil)
	for _, who := range []string{"ben", "nobody"} {
		if a := w.press(who, p, "consent-accept"); a.Code != http.StatusSeeOther {
			t.Errorf("%s: %d", who, a.Code)
		}
	}
	if _, found, _ := w.service.Remembered(t.Context(), ben.ID, "shop"); found || len(w.kinds()) > 0 {
		t.Error("ben said yes on ana's page")
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	in := w.interaction("shop", nil, "openid")
	stranger := in
	stranger.ID, stranger.Binding = "i-stranger", []byte("another browser")
	if err := w.db.PutInteraction(t.Context(), stranger); err != nil {
		t.Fatal(err)
	}
	p := w.send("ana", http.MethodGet, "/consent?i="+in.ID, nil)
	_, fields := p, map[string][]string{"i": {in.ID}, "session": {session(ana).ID}, "decision": {"allow"}}
	if a := w.send("ana", http.MethodPost, "/consent", fields); a.Code != http.StatusForbidden {
		t.Errorf("without the token of the form: %d", a.Code)
	}
	button := p.find("consent-accept")
	for n := range button.Parent.ChildNodes() {
		if attr(n, "name") == "csrf" {
			fields["csrf"] = []string{attr(n, "value")}
		}
	}
	for name, c := range map[string]struct {
		key, value string
		want       int
	}{
		"no answer":                     {"decision", "perhaps", http.StatusBadRequest},
		"another browser's interaction": {"i", stranger.ID, http.StatusNotFound},
		"no interaction":                {"i", "", http.StatusNotFound},
	} {
		before := fields[c.key]
		fields[c.key] = []string{c.value}
		if a := w.send("ana", http.MethodPost, "/consent", fields); a.Code != c.want {
			t.Errorf("%s: got %d, want %d", name, a.Code, c.want)
		}
		fields[c.key] = before
	}
	if a := w.send("ana", http.MethodGet, "/consent?i="+stranger.ID, nil); a.Code != http.StatusNotFound {
		t.Errorf("another browser's page: %d", a.Code)
	}
	if len(w.kinds()) > 0 {
		t.Errorf("a refused answer left %v", w.kinds())
	}
}

// TestOneChange: if the interaction cannot be stored, nothing is remembered and
// the trail says nothing.
func TestOneChange(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	in := w.interaction("shop", nil, "openid")
	p := w.send("ana", http.MethodGet, "/consent?i="+in.ID, nil)
	w.stuck = true
	if a := w.press("ana", p, "consent-accept"); a.Code != http.StatusServiceUnavailable {
		t.Errorf("%d", a.Code)
	}
	if _, found, _ := w.service.Remembered(t.Context(), ana.ID, "shop"); found || len(w.kinds()) > 0 {
		t.Error("half a change was kept")
	}
}

func TestHostileNames(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	in := w.interaction("shop", nil, "openid", "profile", `<b>"x"`)
	p := w.send("ana", http.MethodGet, "/consent?i="+in.ID, nil)
	text := p.Body.String()
	for _, bad := range []string{"<script>alert", "\u202e", "javascript:", "<b>"} {
		if strings.Contains(text, bad) {
			t.Errorf("%q reached the page:\n%s", bad, text)
		}
	}
	if !strings.Contains(text, "&lt;script&gt;") {
		t.Error("the name is not shown as it is")
	}
}

func TestRevoke(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	in := w.interaction("shop", nil, "openid")
	w.press("ana", w.send("ana", http.MethodGet, "/consent?i="+in.ID, nil), "consent-accept")
	grant := oauth2.Grant{ID: "0b9f6f2e-0000-4000-8000-00000000000a", ClientID: "shop", Subject: ana.ID, CreatedAt: time.Now(), ExpiresAt: time.Now().Add(time.Hour)}
	if ok, err := w.db.RedeemGrant(t.Context(), grant, false, w.trail.Fill(t.Context(), audit.Event{Kind: audit.GrantIssued})); !ok || err != nil {
		t.Fatal(ok, err)
	}
	if err := w.service.Revoke(t.Context(), "user:"+ana.ID, ana.ID, "shop"); err != nil {
		t.Fatal(err)
	}
	if got := w.needed(w.interaction("shop", nil, "openid", "email"), ana); got != "consent_required" {
		t.Errorf("after revoking: %q", got)
	}
	if live, err := w.db.Grants(t.Context(), ana.ID); err != nil || len(live) > 0 {
		t.Errorf("grants live on: %v %v", live, err)
	}
	if !slices.Contains(w.kinds(), audit.ConsentRevoked) {
		t.Errorf("the trail has %v", w.kinds())
	}
	if err := w.service.Revoke(t.Context(), "user:"+ana.ID, ana.ID, "shop"); !fault.Is(err, fault.NotFound) {
		t.Errorf("revoking nothing: %v", err)
	}
	if err := w.service.Revoke(t.Context(), "user:"+ana.ID, ana.ID, ""); err == nil {
		t.Error("revoking from nobody in particular would be from everybody")
	}
}

// TestWhateverLivesIsShown: a grant that nobody was asked for is shown beside what
// was, and can be taken back like it.
func TestWhateverLivesIsShown(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	in := w.interaction("shop", nil, "openid")
	w.press("ana", w.send("ana", http.MethodGet, "/consent?i="+in.ID, nil), "consent-accept")
	for i, g := range []oauth2.Grant{{ClientID: "house", Scopes: []string{"openid"}}, {ClientID: "house", Scopes: []string{"email"}}, {ClientID: "shop", Scopes: []string{"openid"}}} {
		g.ID, g.Subject, g.ExpiresAt = "0b9f6f2e-0000-4000-8000-00000000001"+string(rune('0'+i)), ana.ID, time.Now().Add(time.Hour)
		g.CreatedAt = time.Now().Add(-time.Duration(i) * time.Minute)
		if ok, err := w.db.RedeemGrant(t.Context(), g, false, w.trail.Fill(t.Context(), audit.Event{Kind: audit.GrantIssued})); !ok || err != nil {
			t.Fatal(ok, err)
		}
	}
	shown := func() (clients []string) {
		all, _, err := w.service.Consents(t.Context(), ana.ID, identity.Page{})
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range all {
			clients = append(clients, c.ClientID+": "+strings.Join(c.Scopes, " "))
		}
		return clients
	}
	if d := cmp.Diff([]string{"shop: openid", "house: openid email"}, shown()); d != "" {
		t.Error(d)
	}
	if err := w.service.Revoke(t.Context(), "user:"+ana.ID, ana.ID, "house"); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"shop: openid"}, shown()); d != "" {
		t.Error(d)
	}
}
