package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// atDevicePage lets login sit at the page of device codes and say yes.
func atDevicePage(t *testing.T, login string) func(w *world) {
	t.Helper()
	return func(w *world) {
		w.StderrTTY = true
		w.Browse = func(ctx context.Context, address string) error {
			jar, err := cookiejar.New(nil)
			if err != nil {
				return err
			}
			if err := approveDevice(ctx, &http.Client{Jar: jar}, address, login); err != nil && !errors.Is(err, context.Canceled) {
				t.Errorf("at the browser: %v", err)
			}
			return nil
		}
	}
}

func approveDevice(ctx context.Context, h *http.Client, address, login string) error {
	page, at, err := browsePage(h.Do(mustGet(ctx, address)))
	if err != nil {
		return err
	}
	code := at.Query().Get("user_code")
	for range 5 {
		form, path := url.Values{"login": {login}, "password": {tryPassword}}, "/login"
		switch {
		case strings.Contains(page, `id="done-approved"`):
			return nil
		case strings.Contains(page, `name="user_code"`):
			form, path = url.Values{"user_code": {code}}, "/device"
		case strings.Contains(page, "consent-accept"):
			form, path = url.Values{"decision": {"allow"}}, "/consent"
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
	}
	return fmt.Errorf("still at %s: %s", at, page)
}

// TestLogin signs in with a browser, works on the server with that, outlives the
// token, and leaves nothing behind.
func TestLogin(t *testing.T) {
	t.Parallel()
	h := openHouse(t)
	for login, role := range map[string]string{"ana@example.org": "admin", "bob@example.org": "guest"} {
		if status, _, errs := h.command(t, tryPassword, nil, "user", "create", login, "--password-stdin", "--email-verified", "--role", role); status != exitDone {
			t.Fatal(errs)
		}
	}
	login := []string{"login", h.issuer, "--server", h.management}
	if status, _, errs := h.command(t, "", nil, append(login, "--client", "nobody")...); status != exitNotAllowed || !strings.Contains(errs, "client create gatekeeper-cli") {
		t.Fatalf("without the application: %d %s", status, errs)
	}
	if status, _, errs := h.command(t, "", nil, "client", "create", loginClient, "--type", "device", "--scope", loginScopes); status != exitDone {
		t.Fatal(errs)
	}
	list := []string{"client", "list", "-o", "name", "--server", h.management}
	if status, _, errs := h.command(t, "", atDevicePage(t, "bob@example.org"), login...); status != exitDone {
		t.Fatalf("a guest: %d %s", status, errs)
	}
	if status, _, errs := h.command(t, "", nil, list...); status != exitNotAllowed {
		t.Errorf("a guest lists clients: %d %s", status, errs)
	}
	if status, _, errs := h.command(t, "", atDevicePage(t, "ana@example.org"), login...); status != exitDone {
		t.Fatalf("login: %d %s", status, errs)
	}
	if status, out, errs := h.command(t, "", nil, list...); status != exitDone || !strings.Contains(out, loginClient) {
		t.Fatalf("with the login: %d %s", status, errs)
	}
	file := filepath.Join(h.dir, ".config", "gatekeeper", "logins.json")
	before, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v %v", info.Mode(), err)
	}
	later := func(w *world) { w.Now = func() time.Time { return time.Now().Add(time.Hour) } }
	if status, _, errs := h.command(t, "", later, list...); status != exitDone {
		t.Fatalf("with an expired token: %d %s", status, errs)
	}
	if after, err := os.ReadFile(file); err != nil || string(after) == string(before) {
		t.Errorf("the token was not replaced: %v", err)
	}
	if status, _, errs := h.command(t, "", nil, "logout", h.management+"/"); status != exitDone || !strings.Contains(errs, "Signed out of") {
		t.Errorf("logout: %d %s", status, errs)
	}
	if status, _, errs := h.command(t, "", nil, list...); status != exitUsage || !strings.Contains(errs, "gatekeeper login") {
		t.Errorf("after logout: %d %s", status, errs)
	}
	if err := os.WriteFile(file, before, 0o600); err != nil {
		t.Fatal(err)
	}
	if status, _, errs := h.command(t, "", later, list...); status != exitNotAllowed || !strings.Contains(errs, "sign in again") {
		t.Errorf("with tokens that were given back: %d %s", status, errs)
	}
}

// TestLoginSendsNoTokenInTheClear, nor believes a folder that others can read.
func TestLoginSendsNoTokenInTheClear(t *testing.T) {
	t.Parallel()
	for _, issuer := range []string{"http://id.example.org", "ftp://id.example.org", "id.example.org", "https://a:b@id.example.org"} {
		if err := safeIssuer(issuer); status(err) != exitUsage {
			t.Errorf("%s: %v", issuer, err)
		}
	}
	for _, issuer := range []string{"https://id.example.org", "http://localhost:8080", "http://127.0.0.1:1", "http://[::1]:1/x"} {
		if err := safeIssuer(issuer); err != nil {
			t.Errorf("%s: %v", issuer, err)
		}
	}
	a := &app{world: world{Environ: []string{"HOME=" + t.TempDir()}}}
	if err := a.keepRemote(remote{Server: "https://id.example.org", Access: "x"}); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(a.remotesFile(), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := a.remotes(); status(err) != exitUsage {
		t.Errorf("a file that others can read: %v", err)
	}
}
