package consent_test

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatekeeper-oidc/gatekeeper/audit"
	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
	"github.com/gatekeeper-oidc/gatekeeper/oauth2"
)

// device is an interaction that speaks for a device of client.
func (w *world) device(client string, scopes ...string) oauth2.Interaction {
	w.t.Helper()
	const id = "0b9f6f2e-0000-4000-8000-00000000000d"
	kept, err := w.db.PutDevice(w.t.Context(), oauth2.DeviceRequest{
		Grant: oauth2.Grant{ID: id, ClientID: client}, CodeHash: []byte{1}, UserHash: []byte{2}, Status: oauth2.DevicePending,
		Address: "203.0.113.7", UserAgent: "Mozilla/5.0 (Web0S; Linux/SmartTV) Chrome/108.0 Safari/537.36 <b>",
	}, oauth2.DeviceTimes{TTL: time.Minute}, audit.Event{Kind: audit.DeviceRequested, At: time.Now()})
	if err != nil || !kept {
		w.t.Fatal(kept, err)
	}
	in := w.interaction(client, nil, scopes...)
	in.ID += "-device"
	in.Request.RedirectURI, in.Request.Device = "", &oauth2.DeviceVisit{ID: id, Code: "WDJB-MJHT"}
	if err := w.db.PutInteraction(w.t.Context(), in); err != nil {
		w.t.Fatal(err)
	}
	return in
}

func TestCodePage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for query, want := range map[string]string{
		"":                        "",
		"?user_code=wdjb+mjht":    "WDJB-MJHT",
		"?user_code=<b>":          "",
		"?user_code=AAAA-AAAA":    "",
		"?user_code=WDJBMJHT&x=y": "WDJB-MJHT",
	} {
		p := w.send("nobody", http.MethodGet, "/device"+query, nil)
		if p.Code != http.StatusOK || attr(p.find("code"), "value") != want {
			t.Errorf("%s: %d prefilled %q, want %q", query, p.Code, attr(p.find("code"), "value"), want)
		}
	}
	for done, id := range map[string]string{"approved": "done-approved", "denied": "done-denied", "expired": "done-expired", "<b>": "code"} {
		if p := w.send("nobody", http.MethodGet, "/device?"+url.Values{"done": {done}}.Encode(), nil); p.find(id) == nil {
			t.Errorf("done=%s shows no #%s:\n%s", done, id, p.Body)
		}
	}
}

func TestCodeIsEntered(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.send("nobody", http.MethodGet, "/device?user_code=WDJB-MJHT", nil)
	fields := func(code string) url.Values {
		v := url.Values{"user_code": {code}}
		for n := range p.find("submit").Parent.ChildNodes() {
			if attr(n, "name") == "csrf" {
				v.Set("csrf", attr(n, "value"))
			}
		}
		return v
	}
	if a := w.send("nobody", http.MethodPost, "/device", fields("WDJB-MJHT")); a.Code != http.StatusSeeOther || a.Header().Get("Location") != oauth2.ResumeURL("i-device") {
		t.Errorf("%d to %s", a.Code, a.Header().Get("Location"))
	}
	for name, c := range map[string]struct {
		wrong  error
		status int
		says   string
	}{
		"a wrong code": {&fault.Error{Kind: fault.Invalid, Code: "invalid_user_code"}, http.StatusUnprocessableEntity, "There is no device with this code"},
		"too many":     {&fault.Error{Kind: fault.TooMany, Code: "too_many_attempts", RetryAfter: 40 * time.Second}, http.StatusTooManyRequests, "Try again in 40 seconds"},
		"no store":     {fault.Down("store", errors.New("away")), http.StatusServiceUnavailable, "Try again shortly"},
	} {
		w.wrong = c.wrong
		a := w.send("nobody", http.MethodPost, "/device", fields(`"><script>`))
		if a.Code != c.status || !strings.Contains(a.Body.String(), c.says) || strings.Contains(a.Body.String(), `"><script>`) {
			t.Errorf("%s: %d\n%s", name, a.Code, a.Body)
		}
	}
	if a := w.send("nobody", http.MethodPost, "/device", url.Values{"user_code": {"WDJB-MJHT"}}); a.Code != http.StatusForbidden {
		t.Errorf("without the token of the form: %d", a.Code)
	}
}

// TestDeviceIsAlwaysAskedAbout: neither a remembered consent nor a house of its own
// spares anybody the look at the device.
func TestDeviceIsAlwaysAskedAbout(t *testing.T) {
	t.Parallel()
	for _, client := range []string{"shop", "house"} {
		w := newWorld(t)
		known := w.interaction(client, []string{"consent"}, "openid")
		w.press("ana", w.send("ana", http.MethodGet, "/consent?i="+known.ID, nil), "consent-accept")
		in := w.device(client, "openid", "email")
		if got := w.needed(in, ana); got != "consent_required" {
			t.Fatalf("%s: needed %q", client, got)
		}
		p := w.send("ana", http.MethodGet, "/consent?i="+in.ID, nil)
		for _, want := range []string{"WDJB-MJHT", "Chrome on LG TV", "203.0.113.7", "Did somebody send you this code", "Recognise you", "See your email address"} {
			if !strings.Contains(p.Body.String(), want) {
				t.Errorf("%s: the page does not say %q:\n%s", client, want, p.Body)
			}
		}
		if strings.Contains(p.Body.String(), "already allowed") {
			t.Errorf("%s: the page hides what was allowed before", client)
		}
		if a := w.press("ana", p, "consent-accept"); a.Header().Get("Location") != oauth2.ResumeURL(in.ID) {
			t.Errorf("%s: to %q", client, a.Header().Get("Location"))
		}
		if got := w.needed(in, ana); got != "" {
			t.Errorf("%s: after the answer: %q", client, got)
		}
		if got := w.needed(in, ben); got != "consent_required" {
			t.Errorf("%s: ana's yes was lent to ben: %q", client, got)
		}
	}
}

// TestDeviceIsGone: a code that was cleaned away while its page was open has no page.
func TestDeviceIsGone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	in := w.device("shop", "openid")
	in.Request.Device.ID = "another"
	if err := w.db.PutInteraction(context.WithoutCancel(t.Context()), in); err != nil {
		t.Fatal(err)
	}
	if a := w.send("ana", http.MethodGet, "/consent?i="+in.ID, nil); a.Code != http.StatusNotFound {
		t.Errorf("%d", a.Code)
	}
	if d := cmp.Diff([]audit.Kind{audit.DeviceRequested}, w.kinds()); d != "" {
		t.Error(d)
	}
}
