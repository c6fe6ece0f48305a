package oidc

import (
	"bytes"
	"encoding/json"
	"net/url"
	"slices"
	"strings"

	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
	"github.com/gatekeeper-oidc/gatekeeper/keys"
	"github.com/gatekeeper-oidc/gatekeeper/oauth2"
)

// maxRegistration is how many bytes a registration may have.
const maxRegistration = 64 << 10

// badMetadata is RFC 7591 section 3.2.2.
func badMetadata(rule, detail string) *fault.Error {
	return &fault.Error{Kind: fault.Invalid, Code: "invalid_client_metadata", Rule: rule, Detail: detail}
}

// parseMetadata reads the members of a registration: one JSON object, each member
// once, at most a hundred. A null is a member that did not come (RFC 7592 section
// 2.2).
func parseMetadata(body []byte) (map[string]json.RawMessage, error) {
	malformed := badMetadata("registration_json", "The body is not one JSON object in which each member comes once.")
	got, err := keys.Members(body)
	if err != nil {
		malformed.Err = err
		return nil, malformed
	}
	if len(got) > maxMembers {
		return nil, badMetadata("registration_members", "A registration has at most a hundred members.")
	}
	for name, value := range got {
		if string(value) == "null" {
			delete(got, name)
		}
	}
	return got, nil
}

// word returns a member that is a text, "" if it did not come; ok is false if it
// is something else.
func word(got map[string]json.RawMessage, name string) (value string, ok bool) {
	raw, came := got[name]
	if !came {
		return "", true
	}
	return value, json.Unmarshal(raw, &value) == nil
}

// describe puts what an application says of itself into c, whose members are as if
// nothing had been said before, and fills what it left open (RFC 7591 section 2).
func describe(c *oauth2.Client, got map[string]json.RawMessage) error {
	for _, m := range members {
		m.reset(c)
		raw, came := got[m.name]
		if !came {
			continue
		}
		if why := m.read(c, raw); why != "" {
			f := badMetadata("registration_types", why).With("member", m.name)
			if m.name == "redirect_uris" {
				f.Code = "invalid_redirect_uri"
			}
			return f
		}
	}
	if c.AuthMethod == "" {
		c.AuthMethod = oauth2.AuthBasic
	}
	if len(c.Grants) == 0 {
		c.Grants = []string{oauth2.GrantCode}
	}
	if c.Type == "" {
		c.Type = oauth2.Web
	}
	if c.Type == oauth2.Web && c.Public() {
		c.Type = oauth2.SPA // the same to the application; to us, one without a server
		if _, said := got["application_type"]; !said && onThisComputer(c.RedirectURIs) {
			c.Type = oauth2.Native
		}
	}
	return nil
}

// onThisComputer reports whether every answer goes to the computer of the person:
// then an application that does not say what it is is an installed one, which opens
// another port each time (RFC 8252 section 7.3).
func onThisComputer(redirects []string) bool {
	for _, uri := range redirects {
		u, err := url.Parse(uri)
		if err != nil || u.Scheme == "https" || u.Scheme == "http" && !slices.Contains([]string{"localhost", "127.0.0.1", "::1"}, u.Hostname()) {
			return false
		}
	}
	return len(redirects) > 0
}

// A registrationRule is one about who registers itself, beyond what holds for
// every application; "" means it holds.
type registrationRule struct {
	rule string
	run  func(r *Registrar, c *oauth2.Client, vouched bool) string
}

// registrationRules decide what an application may give itself. vouched is whether
// somebody whom the operator trusts, with an initial access token, answers for it.
var registrationRules = []registrationRule{
	{"registration_grants", grantsWithPeople},
	{"registration_scopes", scopesLeft},
	{"registration_https", implicitOverHTTPS},
	{"registration_sector", sectorByRedirect},
	{"registration_addresses", addressesWelcome},
}

// grantsWithPeople keeps strangers to the grants in which a person decides: with
// the others an application speaks for itself.
func grantsWithPeople(_ *Registrar, c *oauth2.Client, vouched bool) string {
	if vouched {
		return ""
	}
	for _, g := range c.Grants {
		if !slices.Contains([]string{oauth2.GrantCode, oauth2.GrantImplicit, oauth2.GrantRefresh, oauth2.GrantDevice}, g) {
			return "The grant " + g + " is not open to applications that register without an initial access token."
		}
	}
	return ""
}

// scopesLeft is after those that an application may not have were taken away.
func scopesLeft(_ *Registrar, c *oauth2.Client, _ bool) string {
	if len(c.Scopes) == 0 {
		return "An application may not register itself for any of these scopes."
	}
	return ""
}

// implicitOverHTTPS is OpenID Connect Registration section 2, application_type:
// tokens that pass through the browser go to nobody's localhost.
func implicitOverHTTPS(_ *Registrar, c *oauth2.Client, _ bool) string {
	if c.Type == oauth2.Native || !c.May(oauth2.GrantImplicit) {
		return ""
	}
	for _, uri := range c.RedirectURIs {
		if u, err := url.Parse(uri); err == nil && u.Scheme == "http" {
			return "A web application that uses the implicit grant has https redirect URIs only."
		}
	}
	return ""
}

// sectorByRedirect keeps an application out of the sector of others. Which sector it
// is of, its redirect URIs say, and only that they alone get its answers makes that
// true: a device gets its answer elsewhere.
func sectorByRedirect(_ *Registrar, c *oauth2.Client, _ bool) string {
	if c.Pairwise() && c.May(oauth2.GrantDevice) {
		return "Pairwise subjects and the device grant do not go together in an application that registers itself."
	}
	return ""
}

// addressesWelcome keeps this server, and the browsers of people, from addresses that
// a stranger should not be able to send them to.
func addressesWelcome(r *Registrar, c *oauth2.Client, _ bool) string {
	return r.cfg.Engine.Unwelcome(c)
}

// sameSector keeps a replaced application where it was: what it was granted before
// would otherwise be renewed under the names another sector has for its people.
func sameSector(have, want *oauth2.Client) string {
	if want.Pairwise() && (!have.Pairwise() || have.Sector() != want.Sector()) {
		return "An application that has registered does not move into another sector of pairwise subjects; register again."
	}
	return ""
}

// within takes away the scopes an application may not give itself (RFC 7591
// section 2: the server may replace what was asked for, and says with what). kept
// are those an operator gave it.
func (r *Registrar) within(c *oauth2.Client, kept []string) {
	if c.Scopes == nil {
		c.Scopes = slices.Clone(r.cfg.Scopes)
		return
	}
	c.Scopes = slices.DeleteFunc(c.Scopes, func(s string) bool {
		return !slices.Contains(r.cfg.Scopes, s) && !slices.Contains(kept, s)
	})
}

// known returns the members of a registration as they are answered.
func known(c *oauth2.Client) map[string]any {
	out := map[string]any{}
	for _, m := range members {
		if v := m.show(c); v != nil {
			out[m.name] = v
		}
	}
	return out
}

// notTheirs are the members of an answer that a replacement must not have (RFC
// 7592 section 2.2).
var notTheirs = []string{"registration_access_token", "registration_client_uri", "client_secret_expires_at", "client_id_issued_at"}

// replaces checks what a replacement says of the application it replaces.
func (r *Registrar) replaces(have *oauth2.Client, got map[string]json.RawMessage) error {
	for _, name := range notTheirs {
		if _, came := got[name]; came {
			return badMetadata("registration_replaced", "A replacement does not have the member "+name+" (RFC 7592 section 2.2).")
		}
	}
	if id, ok := word(got, "client_id"); !ok || id != have.ID {
		return badMetadata("registration_same_client", "A replacement has the client_id of the application.")
	}
	secret, ok := word(got, "client_secret")
	if _, came := got["client_secret"]; came && (!ok || !have.KeepsSecret() || !r.cfg.Engine.HasSecret(have, secret)) {
		return badMetadata("registration_same_secret", "The client_secret is not that of the application; it cannot be chosen.")
	}
	return nil
}

// changed names the members that differ between two registrations, for the trail.
func changed(a, b *oauth2.Client) string {
	var names []string
	for _, m := range members {
		x, _ := json.Marshal(m.show(a)) // texts, lists and numbers always encode
		y, _ := json.Marshal(m.show(b))
		if !bytes.Equal(x, y) {
			names = append(names, m.name)
		}
	}
	return strings.Join(names, " ")
}

// clip bounds what is recorded of text that somebody else chose.
func clip(s string, n int) string {
	if len(s) > n {
		return s[:n] + "…"
	}
	return s
}
