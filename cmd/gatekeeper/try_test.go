package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"
)

const tryPassword = "correct horse battery staple"

// A household is a running server and the commands beside it, in one folder.
type household struct {
	dir        string
	issuer     string
	management string // base URL of the management listener
}

// command runs the program in this household and returns its exit status.
func (h *household) command(t *testing.T, stdin string, more func(w *world), args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	w := world{
		Args: args, Dir: h.dir, User: "tester", Now: time.Now, Stdin: strings.NewReader(stdin), Stdout: &out, Stderr: &errs,
		Environ: []string{"HOME=" + h.dir, "GATEKEEPER_DATA_DIR=" + h.dir, "GATEKEEPER_ALGS=RS256"},
	}
	if h.issuer != "" {
		w.Environ = append(w.Environ, "GATEKEEPER_ISSUER="+h.issuer)
	}
	if more != nil {
		more(&w)
	}
	return run(t.Context(), w), out.String(), errs.String()
}

// openHouse starts a server on free ports and stops it with the test.
func openHouse(t *testing.T, flags ...string) *household {
	t.Helper()
	h := &household{dir: t.TempDir()}
	ctx, stop := context.WithCancel(t.Context())
	read, write := io.Pipe()
	ended := make(chan int, 1)
	go func() {
		ended <- run(ctx, world{
			Args: append([]string{"serve", "--listen", "localhost:0", "--management-listen", "127.0.0.1:0"}, flags...),
			Dir:  h.dir, Environ: []string{"HOME=" + h.dir, "GATEKEEPER_DATA_DIR=" + h.dir, "GATEKEEPER_ALGS=RS256", "GATEKEEPER_LOG_FORMAT=json"},
			Stdin: strings.NewReader(""), Stdout: io.Discard, Stderr: write, Now: time.Now,
		})
		_ = write.Close()
	}()
	t.Cleanup(func() {
		stop()
		if status := <-ended; status != exitDone {
			t.Errorf("serve ended with %d", status)
		}
	})
	lines := bufio.NewScanner(read)
	for lines.Scan() {
		var line struct{ Event, Issuer, Metrics string }
		if json.Unmarshal(lines.Bytes(), &line) == nil && line.Event == "started" {
			h.issuer, h.management = line.Issuer, strings.TrimSuffix(line.Metrics, "/metrics")
			go func() { _, _ = io.Copy(io.Discard, read) }() // nobody reads the rest
			return h
		}
		t.Log(lines.Text())
	}
	t.Fatal("the server did not start")
	return nil
}

var hiddenInput = regexp.MustCompile(`type="hidden" name="([a-z]+)" value="([^"]*)"`)

// person signs in and consents as somebody at a browser would, and follows the
// answer back to the application.
func person(ctx context.Context, h *http.Client, address, decision string) error {
	page, at, err := browsePage(h.Do(mustGet(ctx, address)))
	if err != nil {
		return err
	}
	for range 3 {
		form := url.Values{"login": {"ana@example.org"}, "password": {tryPassword}}
		path := "/login"
		if strings.Contains(page, "consent-accept") {
			form, path = url.Values{"decision": {decision}}, "/consent"
		}
		for _, m := range hiddenInput.FindAllStringSubmatch(page, -1) {
			form.Set(m[1], m[2])
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, at.ResolveReference(&url.URL{Path: path}).String(), strings.NewReader(form.Encode()))
		if err != nil {
			return err
		}
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		if page, at, err = browsePage(h.Do(req)); err != nil {
			return err
		}
		if at.Path == "/callback" {
			return nil
		}
	}
	return fmt.Errorf("still at %s: %s", at, page)
}

func mustGet(ctx context.Context, address string) *http.Request {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		panic(err)
	}
	return req
}

func browsePage(res *http.Response, err error) (string, *url.URL, error) {
	if err != nil {
		return "", nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return string(body), res.Request.URL, err
}

// atBrowser lets somebody sit at the browser that try opens.
func atBrowser(t *testing.T, decision string) func(w *world) {
	t.Helper()
	return func(w *world) {
		w.Browse = func(ctx context.Context, address string) error {
			jar, err := cookiejar.New(nil)
			if err != nil {
				return err
			}
			go func() {
				if err := person(ctx, &http.Client{Jar: jar}, address, decision); err != nil && !errors.Is(err, context.Canceled) {
					t.Errorf("at the browser: %v", err)
				}
			}()
			return nil
		}
	}
}

func TestTry(t *testing.T) { //nolint:tparallel // one person, one client list: in order
	t.Parallel()
	h := openHouse(t)
	if status, _, errs := h.command(t, tryPassword, nil, "user", "create", "ana@example.org", "--password-stdin", "--email-verified"); status != exitDone {
		t.Fatalf("user create: %d %s", status, errs)
	}

	t.Run("a whole login with a borrowed client", func(t *testing.T) {
		status, out, errs := h.command(t, "", atBrowser(t, "allow"), "try", "--timeout", "30s")
		if status != exitDone {
			t.Fatalf("exit status %d\n%s\n%s", status, out, errs)
		}
		for _, want := range []string{
			"✓ code received", "RFC 9207 iss", "✓ tokens", "RS256 kid", "verified with the JWKS", "amr [\"pwd\"] expires in 15 min",
			"JWT at+jwt", "✓ userinfo", "same sub email ana@example.org claims email email_verified", "✓ refresh", "same successor", "✓ revoke", "✓ introspect",
		} {
			if !strings.Contains(out, want) {
				t.Errorf("%q is missing in\n%s", want, out)
			}
		}
		if strings.Contains(out+errs, "gk_rt_") || strings.Contains(out, "eyJ") {
			t.Error("a token was shown")
		}
		if _, left, _ := h.command(t, "", nil, "client", "list", "-o", "name"); strings.Contains(left, tryPrefix) {
			t.Errorf("the borrowed client is still there: %s", left)
		}
	})

	t.Run("a client of one's own, told as JSON", func(t *testing.T) {
		if status, _, errs := h.command(t, "", nil, "client", "create", "mine", "--type", "native", "--redirect-uri", "http://127.0.0.1/callback", "--access-token", "opaque"); status != exitDone {
			t.Fatal(errs)
		}
		status, out, errs := h.command(t, "", atBrowser(t, "allow"), "try", "--client", "mine", "--issuer", h.issuer, "-o", "json", "--scope", "openid,email", "--timeout", "30s")
		var got tryResult
		if err := json.Unmarshal([]byte(out), &got); status != exitDone || err != nil {
			t.Fatalf("exit status %d, %v\n%s\n%s", status, err, out, errs)
		}
		if got.ClientID != "mine" || got.Userinfo["email"] != "ana@example.org" || got.IDToken.text("sub") == "" || got.Access != nil {
			t.Errorf("got %+v", got)
		}
	})

	t.Run("somebody who says no", func(t *testing.T) {
		status, out, errs := h.command(t, "", atBrowser(t, "deny"), "try", "--timeout", "30s")
		if status != exitFailed || !strings.Contains(errs, "access_denied") {
			t.Errorf("exit status %d\n%s\n%s", status, out, errs)
		}
	})

	t.Run("nobody at the browser", func(t *testing.T) {
		status, _, errs := h.command(t, "", nil, "try", "--no-open", "--timeout", "300ms")
		if status != exitFailed || !strings.Contains(errs, "in time") || !strings.Contains(errs, h.issuer+"/oauth2/authorize?") {
			t.Errorf("exit status %d\n%s", status, errs)
		}
	})
}

func TestTryWhereThereIsNoServer(t *testing.T) {
	t.Parallel()
	h := &household{dir: t.TempDir(), issuer: "http://localhost:1"}
	status, _, errs := h.command(t, "", nil, "try", "--no-open")
	if status != exitUnreachable || !strings.Contains(errs, "gatekeeper serve") {
		t.Errorf("exit status %d\n%s", status, errs)
	}
}

func TestTryLendsNothingInProduction(t *testing.T) {
	t.Parallel()
	h := &household{dir: t.TempDir(), issuer: "https://id.example.org"}
	status, _, errs := h.command(t, "", nil, "try", "--no-open")
	if status != exitUsage || !strings.Contains(errs, "--client") {
		t.Errorf("exit status %d\n%s", status, errs)
	}
}

func TestTryAnswers(t *testing.T) {
	t.Parallel()
	q := newTryRequest("https://id.example.org")
	good := url.Values{"state": {q.state}, "iss": {q.issuer}, "code": {"c"}}
	change := func(name, value string) url.Values {
		v := url.Values{}
		for k := range good {
			v[k] = good[k]
		}
		v.Set(name, value)
		return v
	}
	for name, tt := range map[string]struct {
		answer url.Values
		want   string // of the error; "" for a code
	}{
		"the answer":                  {good, ""},
		"an answer of another server": {change("iss", "https://evil.example"), "iss is"},
		"an answer without a code":    {change("code", ""), "no code"},
		"an error":                    {change("error", "access_denied"), "access_denied"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := q.read(tt.answer)
			if tt.want == "" && (got.err != nil || got.code != "c") || tt.want != "" && (got.err == nil || !strings.Contains(got.err.Error(), tt.want)) {
				t.Errorf("got %+v, want %q", got, tt.want)
			}
		})
	}
}

func TestTryWaitsOnWhenTheStateIsWrong(t *testing.T) {
	t.Parallel()
	q := newTryRequest("https://id.example.org")
	for _, target := range []string{"/callback?state=guess&code=evil&iss=https://id.example.org", "/?state=" + q.state, "/callback"} {
		w := &answerWriter{header: http.Header{}}
		req := mustGet(t.Context(), "http://127.0.0.1"+target)
		q.ServeHTTP(w, req)
		if w.status != http.StatusNotFound {
			t.Errorf("%s answered %d", target, w.status)
		}
	}
	select {
	case got := <-q.answers:
		t.Errorf("took %+v for the answer", got)
	default:
	}
}

type answerWriter struct {
	header http.Header
	status int
}

func (w *answerWriter) Header() http.Header         { return w.header }
func (w *answerWriter) WriteHeader(status int)      { w.status = status }
func (w *answerWriter) Write(b []byte) (int, error) { return len(b), nil }
