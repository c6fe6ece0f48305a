package conformance

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// TestChromium walks login, consent and the redirect to the application in a real
// browser, under the Content-Security-Policy as it is served: what the policy
// forbids, a script that fails or a file that is missing is an error here even
// where the page still does its work.
func TestChromium(t *testing.T) {
	t.Parallel()
	exe := service(t, "GATEKEEPER_TEST_CHROMIUM")
	answers := make(chan string, 8)
	application := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/callback" {
			_ = r.ParseForm()
			answers <- r.Method + " " + r.Form.Get("code") + " " + r.Form.Get("state")
		}
		_, _ = w.Write([]byte("<h1 id=\"welcome\">Welcome to the application</h1>"))
	}))
	t.Cleanup(application.Close)
	_, port, _ := net.SplitHostPort(application.Listener.Addr().String())
	redirect := "http://127.0.0.1:" + port + "/callback"

	d := embedded(t)
	secret := d.client(t, "shop", "--type", "web", "--name", "The Shop", "--redirect-uri", redirect)
	d.user(t, ana, anaPassword)
	a := newApp(t, d, "shop", secret, redirect)

	opts := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(exe), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.UserDataDir(t.TempDir()))
	alloc, cancel := chromedp.NewExecAllocator(t.Context(), opts...)
	t.Cleanup(cancel)
	tab, cancel := chromedp.NewContext(alloc)
	t.Cleanup(cancel)
	tab, cancel = context.WithTimeout(tab, 2*time.Minute)
	t.Cleanup(cancel)

	complaints := listen(t, tab)

	walk := func(tr trip, steps ...chromedp.Action[chromedp.Void]) string {
		t.Helper()
		steps = append([]chromedp.Action[chromedp.Void]{chromedp.Navigate(tr.url)}, steps...)
		if err := chromedp.Do(tab, append(steps, chromedp.WaitVisible("#welcome"))...); err != nil {
			page, _ := chromedp.Run(tab, chromedp.OuterHTML("html"))
			t.Fatalf("%v\n%s", err, page)
		}
		return <-answers
	}
	tr := a.begin()
	if err := chromedp.Do(tab, chromedp.Navigate(tr.url), chromedp.WaitVisible(".peek")); err != nil { // the page's script did its part
		t.Fatal(err)
	}
	got := walk(tr,
		chromedp.SendKeys("#login", ana),
		chromedp.SendKeys("#password", anaPassword),
		chromedp.Click("#submit"),
		chromedp.WaitVisible("#consent-accept"),
		chromedp.Click("#consent-accept"))
	if parts := strings.Fields(got); len(parts) != 3 || parts[0] != http.MethodGet || parts[2] != tr.state {
		t.Errorf("the application was told %q", got)
	} else {
		a.redeem(tr, parts[1])
	}
	tr = a.begin("response_mode", "form_post")
	if parts := strings.Fields(walk(tr)); len(parts) != 3 || parts[0] != http.MethodPost || parts[2] != tr.state {
		t.Errorf("form_post: the application was told %q", parts)
	}
	for _, c := range complaints() {
		t.Errorf("the browser says: %s", c)
	}
}

// listen returns what the browser found wrong with our pages from now on.
func listen(t *testing.T, tab context.Context) (complaints func() []string) {
	t.Helper()
	var mu sync.Mutex
	var heard []string
	err := chromedp.Listen(tab, func(ev any) {
		mu.Lock()
		defer mu.Unlock()
		switch ev := ev.(type) {
		case *log.EventEntryAdded:
			if ev.Entry.Level == log.EntryLevelError || ev.Entry.Source == log.EntrySourceSecurity {
				heard = append(heard, fmt.Sprintf("%s: %s (%s)", ev.Entry.Source, ev.Entry.Text, ev.Entry.URL))
			}
		case *runtime.EventExceptionThrown:
			heard = append(heard, "script: "+ev.ExceptionDetails.Text)
		}
	})
	if err == nil {
		_, err = chromedp.Call(tab, log.Enable, cdp.Empty{})
	}
	if err != nil {
		t.Fatal(err)
	}
	return func() []string {
		mu.Lock()
		defer mu.Unlock()
		return slices.DeleteFunc(slices.Clone(heard), func(s string) bool { return strings.Contains(s, "/favicon.ico") }) // the application has none
	}
}

// TestLogoInChromium: a real browser shows the logo that we fetched, and the
// initial where there was none to fetch, without asking anybody but us.
func TestLogoInChromium(t *testing.T) {
	t.Parallel()
	exe := service(t, "GATEKEEPER_TEST_CHROMIUM")
	d, s := embedded(t), newSite(t)
	logo := s.publish("/logo.png", "image/png", picture(t))
	opts := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(exe), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.UserDataDir(t.TempDir()))
	alloc, cancel := chromedp.NewExecAllocator(t.Context(), opts...)
	t.Cleanup(cancel)
	tab, cancel := chromedp.NewContext(alloc)
	t.Cleanup(cancel)
	tab, cancel = context.WithTimeout(tab, 2*time.Minute)
	t.Cleanup(cancel)
	for id, tt := range map[string]struct {
		address string
		width   int // of the picture itself
	}{"shown": {logo, 2}, "missing": {s.URL + "/nothing.png", 56}} {
		secret := d.client(t, id, "--name", "The Shop", "--redirect-uri", callback, "--logo-uri", tt.address)
		if err := chromedp.Do(tab, chromedp.Navigate(newApp(t, d, id, secret, callback).begin().url), chromedp.WaitVisible("#client-logo")); err != nil {
			t.Fatal(err)
		}
		const loaded = `(async () => { const i = document.getElementById("client-logo"); await i.decode(); return i.naturalWidth })()`
		width, err := chromedp.Run(tab, chromedp.Evaluate[int](loaded, chromedp.EvalAwaitPromise))
		if err != nil || width != tt.width {
			t.Errorf("%s: a picture %d wide, %v; want %d", id, width, err, tt.width)
		}
		elsewhere, err := chromedp.Run(tab, chromedp.Evaluate[int](`performance.getEntriesByType("resource").filter(e => !e.name.startsWith(location.origin + "/")).length`))
		if err != nil || elsewhere != 0 {
			t.Errorf("%s: the page asked %d others, %v", id, elsewhere, err)
		}
	}
}
