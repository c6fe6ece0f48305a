package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// token returns an access token of a machine client.
func (h *household) token(t *testing.T, id, secret, scope string) string {
	t.Helper()
	form := url.Values{"grant_type": {"client_credentials"}, "scope": {scope}, "resource": {h.issuer + "/admin/v1"}}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, h.issuer+"/oauth2/token", strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth(id, secret)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var answer struct {
		Token string `json:"access_token"`
	}
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(body, &answer); err != nil || answer.Token == "" {
		t.Fatalf("token endpoint answered %d %s", res.StatusCode, body)
	}
	return answer.Token
}

// TestCommandsOnARunningServer does over HTTP what the scripts do on the store.
func TestCommandsOnARunningServer(t *testing.T) {
	t.Parallel()
	h := openHouse(t)
	status, secret, errs := h.command(t, "", nil, "client", "create", "ops", "--type", "machine", "--scope", "admin", "-o", "json")
	var made struct {
		Secret string `json:"client_secret"`
	}
	if err := json.Unmarshal([]byte(secret), &made); status != exitDone || err != nil {
		t.Fatalf("%d %v %s", status, err, errs)
	}
	if status, _, errs = h.command(t, "", nil, "client", "create", "reader", "--type", "machine", "--scope", "admin:read", "--secret-file", h.file(t, "reader.secret", strings.Repeat("reader-secret-", 4)), "-q"); status != exitDone {
		t.Fatal(errs)
	}
	all := []string{"--server", h.management, "--token-file", h.file(t, "token", h.token(t, "ops", made.Secret, "admin")+"\n")}
	read := []string{"--server", h.management, "--token-file", h.file(t, "read.token", h.token(t, "reader", strings.Repeat("reader-secret-", 4), "admin:read"))}

	for _, step := range []struct {
		name string
		with []string
		args string
		want int
		said string
	}{
		{"create", all, "client create shop --redirect-uri https://shop.example/cb", exitDone, "gk_cs_"},
		{"create again", all, "client create shop --redirect-uri https://shop.example/cb", exitConflict, "shop"},
		{"get", all, "client get shop", exitDone, "https://shop.example/cb"},
		{"get nothing", all, "client get nobody", exitNotFound, "nobody"},
		{"update", all, "client update shop --add-scope phone", exitDone, "phone"},
		{"refused input", all, "client update shop --redirect-uri ftp://x/", exitUsage, "native client"},
		{"people", all, "user create ana@example.org --role admin -o json", exitDone, "ana@example.org"},
		{"more people", all, "user create bea@example.org --role admin -o json", exitDone, "bea@example.org"},
		{"lock", all, "user lock ana@example.org --reason gone", exitDone, "locked"},
		{"keys", all, "key list", exitDone, "RS256"},
		{"trail", all, "audit tail --kind user.locked -o json", exitDone, `"actor":"client:ops"`},
		{"verify", all, "audit verify", exitDone, "none changed"},
		{"plan", all, "diff -f missing.yaml", exitUsage, "missing.yaml"},
		{"delete", all, "client delete shop --yes", exitDone, "deleted"},
		{"read with less", read, "client list", exitDone, "ops"},
		{"change with less", read, "client delete ops --yes", exitNotAllowed, "scope"},
		{"nonsense for a token", []string{"--server", h.management, "--token-file", h.file(t, "bad.token", "nonsense")}, "client list", exitNotAllowed, "token"},
		{"somebody else's server", []string{"--server", h.management + "/elsewhere", "--token-file", h.file(t, "other.token", "x")}, "client list", exitNotFound, ""},
		{"on the store, beside the server", nil, "client list -o name", exitDone, "ops"},
		{"health", nil, "healthcheck --ready --url " + h.issuer + "/readyz", exitDone, "ok"},
		{"doctor", nil, "doctor -o name", exitDone, "pass issuer"},
	} {
		status, out, errs := h.command(t, "", nil, append(strings.Fields(step.args), step.with...)...)
		if status != step.want || !strings.Contains(out+errs, step.said) {
			t.Errorf("%s: exit status %d, want %d and %q\n%s%s", step.name, status, step.want, step.said, out, errs)
		}
	}
}

// TestCommandsTrustTheDevelopmentCertificate which the server beside them made,
// and only because it lies in their own data folder.
func TestCommandsTrustTheDevelopmentCertificate(t *testing.T) {
	t.Parallel()
	h := openHouse(t, "--tls", "dev")
	h.file(t, "token", "nonsense")
	_, address, _ := strings.Cut(h.management, "://")
	inTLS := func(w *world) { w.Environ = append(w.Environ, "GATEKEEPER_TLS=dev") }
	for _, step := range []struct {
		with func(w *world)
		args string
		want int
		said string
	}{
		{inTLS, "doctor -o name", exitDone, "pass issuer"},
		{inTLS, "doctor", exitDone, "days left"},
		{inTLS, "healthcheck --url " + h.issuer + "/healthz", exitDone, "ok"},
		{nil, "client list --server https://" + address + " --token-file token", exitUnreachable, "certificate"},
		{nil, "client list --ca-file tls/dev-ca.crt --server https://" + address + " --token-file token", exitNotAllowed, "token"},
		{nil, "healthcheck --url " + h.issuer + "/healthz", exitFailed, "certificate"},
		{nil, "try --no-open --client x --issuer " + h.issuer, exitUnreachable, "certificate"},
		{inTLS, "try --no-open --timeout 1s", exitFailed, "in time"},
		{nil, "try --no-open --timeout 1s --client x --issuer " + h.issuer + " --ca tls/dev-ca.crt", exitFailed, "in time"},
	} {
		status, out, errs := h.command(t, "", step.with, strings.Fields(step.args)...)
		if status != step.want || !strings.Contains(out+errs, step.said) {
			t.Errorf("%s: exit status %d, want %d and %q\n%s%s", step.args, status, step.want, step.said, out, errs)
		}
	}
}

var referenceOnPage = regexp.MustCompile(`<p class="reference">[^<]*<code>([^<]+)</code>`)

// TestExplain goes from the page a person sees to the command that mends it.
func TestExplain(t *testing.T) {
	t.Parallel()
	h := openHouse(t)
	if status, _, errs := h.command(t, "", nil, "client", "create", "shop", "--redirect-uri", "https://shop.example/cb", "-q"); status != exitDone {
		t.Fatal(errs)
	}
	ask := h.issuer + "/oauth2/authorize?" + url.Values{
		"client_id": {"shop"}, "response_type": {"code"}, "scope": {"openid"}, "redirect_uri": {"https://shop.example/other?a=1&b=2"},
	}.Encode()
	page, _, err := browsePage(http.DefaultClient.Do(mustGet(t.Context(), ask)))
	if err != nil {
		t.Fatal(err)
	}
	found := referenceOnPage.FindStringSubmatch(page)
	if found == nil {
		t.Fatalf("no reference on the page\n%s", page)
	}
	status, out, errs := exitNotFound, "", ""
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); { // refusals are written in batches, behind the answer
		if status, out, errs = h.command(t, "", nil, "explain", strings.ToLower(found[1])); status == exitDone {
			break
		}
	}
	if status != exitDone {
		t.Fatalf("exit status %d %s", status, errs)
	}
	for _, want := range []string{
		"redirect_uri_registered", "received = https://shop.example/other?a=1&b=2", "registered = https://shop.example/cb",
		"gatekeeper client update shop --add-redirect-uri='https://shop.example/other?a=1&b=2'",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing in\n%s", want, out)
		}
	}
}

// file writes a file of the household that only its owner may read.
func (h *household) file(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(h.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
