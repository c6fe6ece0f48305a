package oidc

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
)

// TestSoftwareStatement is RFC 7591 section 2.3: what a publisher signed wins, and
// comes back as it came.
func TestSoftwareStatement(t *testing.T) {
	t.Parallel()
	publisher, stranger := newIssuerKey(t), newIssuerKey(t)
	const from = "https://publisher.example"
	r := newRegistry(t, func(c *RegistrarConfig) { c.Software = map[string]json.RawMessage{from: publisher.jwks()} })
	now := r.cfg.Now().Unix()
	statement := publisher.sign(t, object{
		"iss": from, "iat": now, "exp": now + 60, "software_id": "S1", "client_name": "Signed", "redirect_uris": []string{"https://signed.example/cb"},
		"registration_access_token": "mine", "first_party": true,
	})
	m := r.registers(shop(object{"client_name": "Plain", "software_version": "7", "software_statement": statement}))
	if m.all["client_name"] != "Signed" || m.all["software_id"] != "S1" || m.all["software_version"] != "7" || m.all["software_statement"] != statement ||
		m.token == "mine" || r.stored(m.id).RedirectURIs[0] != "https://signed.example/cb" {
		t.Errorf("got %v", m.all)
	}
	if _, read, _ := r.ask(http.MethodGet, m.path, m.token, nil); read["software_statement"] != statement {
		t.Errorf("read: %v", read)
	}
	for name, tt := range map[string]struct{ statement, code string }{
		"by a stranger":         {stranger.sign(t, object{"iss": "https://stranger.example"}), "unapproved_software_statement"},
		"by nobody":             {publisher.sign(t, object{"software_id": "S1"}), "invalid_software_statement"},
		"signed by a stranger":  {stranger.sign(t, object{"iss": from}), "invalid_software_statement"},
		"too old":               {publisher.sign(t, object{"iss": from, "exp": now - 3600}), "invalid_software_statement"},
		"too young":             {publisher.sign(t, object{"iss": from, "nbf": now + 3600}), "invalid_software_statement"},
		"with an age in words":  {publisher.sign(t, object{"iss": from, "exp": "soon"}), "invalid_software_statement"},
		"with a bad redirect":   {publisher.sign(t, object{"iss": from, "redirect_uris": []string{"http://shop.example/"}}), "invalid_redirect_uri"},
		"without its signature": {statement[:strings.LastIndexByte(statement, '.')+1], "invalid_software_statement"},
	} {
		status, out, _ := r.ask(http.MethodPost, pathRegister, "", shop(object{"software_statement": tt.statement}))
		r.refuses(name, http.StatusBadRequest, tt.code, status, out)
	}
}
