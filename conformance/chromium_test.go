package conformance

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// TestChromium walks login, consent and the redirect to the application in a real
// browser, under the Content-Security-Policy as it is served.
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
}
