package conformance

import (
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"golang.org/x/oauth2"
)

// watchPage is an application's page that watches the session as Session
// Management 1.0 section 3.1 says: it asks the frame whenever somebody asks it.
const watchPage = `<!doctype html><title>watch</title><h1 id="welcome">watch</h1><script>
"use strict";
const query = new URLSearchParams(location.search);
const frame = document.createElement("iframe");
const loaded = new Promise((resolve) => frame.addEventListener("load", resolve));
frame.src = query.get("frame");
document.body.append(frame);
window.ask = async (what) => {
  await loaded;
  const answer = new Promise((resolve) => addEventListener("message", (event) => {
    if (event.origin === new URL(frame.src).origin) resolve(event.data);
  }, { once: true }));
  frame.contentWindow.postMessage(what || query.get("client") + " " + query.get("state"), new URL(frame.src).origin);
  return answer;
};
</script>`

// newTab opens a tab of a real browser with these preferences, "" for its own.
func newTab(t *testing.T, preferences string, more ...chromedp.ExecAllocatorOption) context.Context {
	t.Helper()
	profile := t.TempDir()
	if preferences != "" {
		file := filepath.Join(profile, "Default", "Preferences")
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o700), os.WriteFile(file, []byte(preferences), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	exe := service(t, "GATEKEEPER_TEST_CHROMIUM")
	opts := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(exe), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.UserDataDir(profile))
	opts = append(opts, more...)
	alloc, cancel := chromedp.NewExecAllocator(t.Context(), opts...)
	t.Cleanup(cancel)
	tab, cancel := chromedp.NewContext(alloc)
	t.Cleanup(cancel)
	tab, cancel = context.WithTimeout(tab, 2*time.Minute)
	t.Cleanup(cancel)
	return tab
}

// A visitor is ana in a real browser.
type visitor struct {
	t   *testing.T
	tab context.Context
	d   *deployment
}

func (v visitor) do(steps ...chromedp.Action[chromedp.Void]) {
	v.t.Helper()
	if err := chromedp.Do(v.tab, steps...); err != nil {
		text, _ := chromedp.Run(v.tab, chromedp.OuterHTML("html"))
		v.t.Fatalf("%v\n%s", err, text)
	}
}

// enter signs in at f, as far as there is something to do, and returns the
// session_state and the ID token.
func (v visitor) enter(a *app, f *front, signIn bool) (state, hint string) {
	v.t.Helper()
	tr := a.begin()
	v.do(chromedp.Navigate(tr.url))
	if signIn {
		v.do(chromedp.SendKeys("#login", ana), chromedp.SendKeys("#password", anaPassword), chromedp.Click("#submit"))
	}
	v.do(chromedp.WaitVisible("#welcome"))
	visits := f.seen("/callback")
	if len(visits) == 0 || visits[len(visits)-1].Get("state") != tr.state {
		v.t.Fatalf("no answer came to the application: %v", visits)
	}
	answer := visits[len(visits)-1]
	tok, _ := a.redeem(tr, answer.Get("code"))
	hint, _ = tok.Extra("id_token").(string)
	return answer.Get("session_state"), hint
}

// leave signs out, waits until the browser is back at f, and returns what moved it
// on from the signed-out page.
func (v visitor) leave(a *app, f *front, hint string) (reason cdppage.ClientNavigationReason) {
	v.t.Helper()
	tab, stop := context.WithCancel(v.tab)
	defer stop()
	reasons := make(chan cdppage.ClientNavigationReason, 16)
	err := chromedp.Listen(tab, func(ev any) {
		if ev, ok := ev.(*cdppage.EventFrameRequestedNavigation); ok && strings.HasPrefix(ev.URL, f.origin+"/bye") {
			reasons <- ev.Reason
		}
	})
	if err != nil {
		v.t.Fatal(err)
	}
	state := rand.Text()
	q := url.Values{"id_token_hint": {hint}, "post_logout_redirect_uri": {f.origin + "/bye"}, "state": {state}}
	v.do(chromedp.Navigate(a.endpoint(leave) + "?" + q.Encode()))
	poll(v.t, "the browser is back at the application", func() bool {
		byes := f.seen("/bye")
		return len(byes) > 0 && byes[len(byes)-1].Get("state") == state
	})
	v.do(chromedp.WaitVisible("#welcome"))
	return <-reasons
}

// watching opens the page that watches and returns how to ask it; "" is what an
// application asks.
func (v visitor) watching(f *front, client, state string) func(what string) string {
	v.t.Helper()
	q := url.Values{"frame": {v.d.issuer + "/oidc/session"}, "client": {client}, "state": {state}}
	v.do(chromedp.Navigate(f.origin+"/watch?"+q.Encode()), chromedp.WaitVisible("#welcome"))
	return func(what string) string {
		v.t.Helper()
		answer, err := chromedp.Run(v.tab, chromedp.Evaluate[string](`ask("`+what+`")`, chromedp.EvalAwaitPromise))
		if err != nil {
			v.t.Fatal(err)
		}
		return answer
	}
}

// TestChromiumSignOut: what only a real browser can tell. The frames of the
// signed-out page load under its policy and the page goes on by script; the
// session frame answers an application's page under its own.
func TestChromiumSignOut(t *testing.T) {
	t.Parallel()
	v := visitor{t: t, tab: newTab(t, ""), d: embedded(t)}
	first, second := newFront(t), newFront(t)
	// localhost and 127.0.0.1 are different sites, and the frame of an http issuer
	// has its cookie in its own site only.
	first.origin = strings.Replace(first.origin, "127.0.0.1", "localhost", 1)
	a, b := first.client(t, v.d, "shop"), second.client(t, v.d, "tool")
	v.d.user(t, ana, anaPassword)

	// oidcc-session-management-rp-initiated-logout, and
	// oidcc-frontchannel-rp-initiated-logout with script.
	state, hint := v.enter(a, first, true)
	v.enter(b, second, false)
	v.watches(first, state)
	if reason := v.leave(a, first, hint); reason != cdppage.ClientNavigationReasonScriptInitiated {
		t.Errorf("all frames loaded, and the page went on by %s", reason)
	}
	for _, f := range []*front{first, second} {
		framed := f.seen("/front")
		if len(framed) != 1 || framed[0].Get("iss") != v.d.issuer || framed[0].Get("sid") != sidOf(t, hint) || framed[0].Get("kept") != "1" {
			t.Errorf("%s was framed with %v", f.origin, framed)
		}
	}
	if got := v.watching(first, "shop", state)(""); got != "changed" {
		t.Errorf("after the sign-out the frame answers %q", got)
	}

	second.hold(t) // a frame that does not load holds nobody
	_, hint = v.enter(a, first, true)
	v.enter(b, second, false)
	v.leave(a, first, hint)

	_, hint = v.enter(a, first, true)
	if _, err := chromedp.Call(v.tab, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true}); err != nil {
		t.Fatal(err)
	}
	if reason := v.leave(a, first, hint); reason != cdppage.ClientNavigationReasonMetaTagRefresh {
		t.Errorf("without script the page went on by %s", reason)
	}
}

// watches asks the session frame, in the signed-in browser, everything there is to ask.
func (v visitor) watches(f *front, state string) {
	v.t.Helper()
	ask := v.watching(f, "shop", state)
	for what, want := range map[string]string{
		"": "unchanged", "shop " + state: "unchanged", "tool " + state: "changed", "shop " + state + "x": "changed",
		"shop": "error", "shop a.b": "error", "shop " + state + " ": "error",
	} {
		if got := ask(what); got != want {
			v.t.Errorf("the frame answers %q to %q, want %q", got, what, want)
		}
	}
}

// TestChromiumSessionFrameElsewhere: an https issuer, and an application on another
// site. The frame has its cookie there if the browser lets any site have one in a
// frame; in a browser that does not it cannot tell, and says so.
func TestChromiumSessionFrameElsewhere(t *testing.T) {
	t.Parallel()
	service(t, "GATEKEEPER_TEST_CHROMIUM")
	listen := "127.0.0.1:" + freePort(t)
	tls := httptest.NewTLSServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(&url.URL{Scheme: "http", Host: listen})
		r.Out.Host = r.In.Host
		r.SetXForwarded()
	}})
	t.Cleanup(tls.Close)
	d := &deployment{name: "https", issuer: strings.Replace(tls.URL, "127.0.0.1", "localhost", 1)}
	d.env = []string{
		"GATEKEEPER_ISSUER=" + d.issuer, "GATEKEEPER_DATA_DIR=" + t.TempDir(), "GATEKEEPER_TRUSTED_PROXIES=127.0.0.1/32",
		"GATEKEEPER_SECRET=a-root-secret-for-tests-that-is-long-enough",
	}
	d.start(t, listen)
	shop := &front{}
	pages := httptest.NewTLSServer(http.HandlerFunc(shop.serve))
	t.Cleanup(pages.Close)
	shop.origin = pages.URL
	d.client(t, "shop", "--type", "spa", "--first-party", "--redirect-uri", shop.origin+"/callback")
	d.user(t, ana, anaPassword)
	for _, b := range []struct{ name, preferences, before, after string }{
		{"third-party cookies", `{"profile":{"cookie_controls_mode":0}}`, "unchanged", "changed"},
		{"no third-party cookies", `{"profile":{"cookie_controls_mode":1}}`, "error", "error"},
	} {
		a := &app{t: t, issuer: d.issuer, config: &oauth2.Config{
			ClientID: "shop", RedirectURL: shop.origin + "/callback", Scopes: []string{"openid"},
			Endpoint: oauth2.Endpoint{AuthURL: d.issuer + "/oauth2/authorize"},
		}}
		v := visitor{t: t, tab: newTab(t, b.preferences, chromedp.IgnoreCertErrors), d: d}
		v.do(chromedp.Navigate(a.begin().url), chromedp.SendKeys("#login", ana), chromedp.SendKeys("#password", anaPassword),
			chromedp.Click("#submit"), chromedp.WaitVisible("#welcome"))
		visits := shop.seen("/callback")
		state := visits[len(visits)-1].Get("session_state")
		if got := v.watching(shop, "shop", state)(""); got != b.before {
			t.Errorf("%s: the frame answers %q, want %q", b.name, got, b.before)
		}
		v.do(chromedp.Navigate(d.issuer+"/oidc/logout"), chromedp.Click("#logout-confirm"), chromedp.WaitVisible("a[href='/login']"))
		if got := v.watching(shop, "shop", state)(""); got != b.after {
			t.Errorf("%s: after the sign-out the frame answers %q, want %q", b.name, got, b.after)
		}
	}
}
