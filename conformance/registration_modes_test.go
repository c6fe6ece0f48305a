package conformance

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestRegistrationIsClosed: unless an operator opens it, nobody registers, and
// discovery does not speak of it.
func TestRegistrationIsClosed(t *testing.T) {
	t.Parallel()
	d := embedded(t)
	if got := discovery(t, d)["registration_endpoint"]; got != nil {
		t.Errorf("discovery speaks of %v", got)
	}
	r := &registrant{T: t, d: d}
	if got := r.ask(http.MethodPost, d.issuer+"/oidc/register", "", base()); got.status != http.StatusForbidden || got.json["client_id"] != nil {
		t.Errorf("registering answered %d %s", got.status, got.text)
	}
}

// TestRegistrationByToken: an operator hands out a token, an application registers
// with it, and with what its publisher signed; the trail and the metrics know.
func TestRegistrationByToken(t *testing.T) {
	t.Parallel()
	publisher := newSigner(t)
	issuers := filepath.Join(t.TempDir(), "issuers.json")
	text, err := json.Marshal(object{"https://publisher.example": publisher.jwks()})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(issuers, text, 0o600); err != nil {
		t.Fatal(err)
	}
	d := embedded(t, "GATEKEEPER_REGISTRATION=token", "GATEKEEPER_REGISTRATION_SOFTWARE_ISSUERS="+issuers)
	r := newRegistrant(t, d)
	made := decode[struct{ ID, Token string }](t, d, "registration", "token", "create", "--uses", "1", "--life", "1h", "--name", "plug-ins")
	if got := r.ask(http.MethodPost, r.endpoint, "", base()); got.status != http.StatusUnauthorized || !strings.HasPrefix(got.header.Get("WWW-Authenticate"), "Bearer") {
		t.Errorf("without a token: %d %s", got.status, got.text)
	}
	body := base()
	body["software_statement"] = publisher.sign(t, object{"iss": "https://publisher.example", "client_name": "Signed", "software_id": "s-1"})
	got := r.ask(http.MethodPost, r.endpoint, made.Token, body)
	if got.status != http.StatusCreated || got.json["client_name"] != "Signed" || got.json["software_id"] != "s-1" || got.json["software_statement"] != body["software_statement"] {
		t.Fatalf("with a token: %d %s", got.status, got.text)
	}
	if again := r.ask(http.MethodPost, r.endpoint, made.Token, body); again.status != http.StatusUnauthorized {
		t.Errorf("with the token again: %d %s", again.status, again.text)
	}
	list := decode[struct {
		Tokens []struct {
			ID   string
			Uses int
		}
	}](t, d, "registration", "token", "list")
	if len(list.Tokens) != 1 || list.Tokens[0].ID != made.ID || list.Tokens[0].Uses != 1 {
		t.Errorf("tokens: %+v", list)
	}
	d.cli(t, "registration", "token", "revoke", made.ID, "--yes")
	id, _ := got.json["client_id"].(string)
	trail := d.cli(t, "audit", "export")
	for _, want := range []string{
		`"kind":"registration_token.created"`, `"kind":"registration_token.revoked"`, `"kind":"client.registered"`, `"actor":"client:` + id + `"`,
		`"software_issuer":"https://publisher.example"`, `"token":"` + made.ID + `"`,
	} {
		if !strings.Contains(trail, want) {
			t.Errorf("the trail has no %s", want)
		}
	}
	if strings.Contains(trail, made.Token) || strings.Contains(d.nodes[0].log.String(), made.Token) {
		t.Error("the token is in the trail or the log")
	}
	metrics := r.ask(http.MethodGet, "http://"+d.nodes[0].mgmt+"/metrics", "", nil).text
	for _, want := range []string{`gatekeeper_registrations_total{action="register",result="ok"} 1`, `gatekeeper_registrations_total{action="register",result="refused"} 2`} {
		if !strings.Contains(metrics, want) {
			t.Errorf("the metrics have no %s", want)
		}
	}
}
