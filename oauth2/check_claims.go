package oauth2

import (
	"context"
	"encoding/json"
	"slices"
	"strings"

	"github.com/gatekeeper-oidc/gatekeeper/identity"
	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
	"github.com/gatekeeper-oidc/gatekeeper/keys"
)

// A ClaimsRequest is a checked claims parameter (OpenID Connect Core section
// 5.5): what is asked for by name, where, and what it must be.
type ClaimsRequest struct {
	Claims

	// Subjects are the user ids of whom one was asked for, where it was several.
	Subjects []string `json:"subs,omitempty"`
	// ACRValues are the contexts asked for, the preferred first; EssentialACR says
	// that none but they will do (section 5.5.1.1).
	ACRValues    []string `json:"acr,omitempty"`
	EssentialACR bool     `json:"acr_essential,omitempty"`
}

// A ClaimSource knows which claims there are and what they say of a person.
type ClaimSource interface {
	// ScopeOf returns the scope a claim belongs to, "" if there is no such claim.
	ScopeOf(claim string) string
	// Claims returns the claims of u that scopes give, and those named besides.
	// What is not known of u is left out.
	Claims(u *identity.User, scopes, names []string) map[string]any
}

// maxClaims bounds the claims one request may name.
const maxClaims = 50

// claimsParameter reads the claims parameter. Claims nobody knows are ignored, as
// section 5.5 says; a claim whose scope the application is not registered for is
// too.
func claimsParameter(ctx context.Context, d *draft) *fault.Error {
	raw := d.get("claims")
	if raw == "" {
		return nil
	}
	asked, f := parseClaims(raw)
	if f != nil {
		return f
	}
	d.req.Claims.IDToken = d.allowedClaims(asked.IDToken)
	d.req.Claims.Userinfo = d.allowedClaims(asked.Userinfo)
	for _, want := range []map[string]*claimWanted{asked.IDToken, asked.Userinfo} {
		if f := d.wantedSubject(ctx, want["sub"]); f != nil {
			return f
		}
	}
	d.wantedACR(asked.IDToken["acr"])
	if c := d.req.Claims; c.EssentialACR && !slices.ContainsFunc(c.ACRValues, supportedACR) {
		return unmetACR(c.ACRValues)
	}
	return nil
}

func supportedACR(acr string) bool { return slices.Contains(ACRValues(), acr) }

// ACRValues are the authentication contexts of this server, for discovery.
func ACRValues() []string { return []string{identity.ACRSingle} }

// unmetACR tells that a person cannot be authenticated the way the application
// insists on (OpenID Connect Core Unmet Authentication Requirements 1.0).
func unmetACR(want []string) *fault.Error {
	return invalid("unmet_authentication_requirements", "The authentication context asked for cannot be reached.").
		With("received", clip(strings.Join(want, " "), 256)).With("supported", strings.Join(ACRValues(), " "))
}

// claimWanted is one member of the parameter: null, or what it must be.
type claimWanted struct {
	Essential bool              `json:"essential"`
	Value     json.RawMessage   `json:"value"`
	Values    []json.RawMessage `json:"values"`
}

type claimsAsked struct{ Userinfo, IDToken map[string]*claimWanted }

// parseClaims reads the JSON of a claims parameter and nothing into it.
func parseClaims(raw string) (claimsAsked, *fault.Error) {
	var asked claimsAsked
	if len(raw) > limits["claims"] {
		return asked, invalid("invalid_request", "The claims parameter is too long.")
	}
	malformed := invalid("invalid_request", "The claims parameter is not a JSON object of the form OpenID Connect Core section 5.5 gives.")
	members, err := keys.Members([]byte(raw))
	if err != nil {
		return asked, malformed
	}
	for name, into := range map[string]*map[string]*claimWanted{"userinfo": &asked.Userinfo, "id_token": &asked.IDToken} {
		if members[name] == nil {
			continue
		}
		if *into, err = parseWanted(members[name]); err != nil {
			return asked, malformed
		}
	}
	if len(asked.Userinfo)+len(asked.IDToken) > maxClaims {
		return asked, invalid("invalid_request", "The claims parameter names more than fifty claims.")
	}
	return asked, nil
}

// parseWanted reads the claims asked for in one place, each once and by its exact
// name, as everything else that is decided on.
func parseWanted(raw json.RawMessage) (map[string]*claimWanted, error) {
	members, err := keys.Members(raw)
	if err != nil {
		return nil, err
	}
	out := make(map[string]*claimWanted, len(members))
	for name, value := range members {
		out[name] = nil
		if string(value) == "null" {
			continue
		}
		out[name] = new(claimWanted)
		if err := keys.Claims(value, out[name]); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// allowedClaims returns the names among asked that the application may have, in
// order, and notes the scopes they come from.
func (d *draft) allowedClaims(asked map[string]*claimWanted) []string {
	var names []string
	for name := range asked {
		scope := d.p.cfg.Claims.ScopeOf(name)
		if scope == "" || scope == "openid" || !slices.Contains(d.client.Scopes, scope) {
			continue
		}
		names = append(names, name)
		if !slices.Contains(d.req.Scopes, scope) && !slices.Contains(d.req.ClaimScopes, scope) {
			d.req.ClaimScopes = append(d.req.ClaimScopes, scope)
		}
	}
	slices.Sort(names)
	slices.Sort(d.req.ClaimScopes)
	return names
}

// stillNamed returns those of the claims a grant names whose scope c is registered
// for now: what has left its registration since is no longer given.
func (p *Provider) stillNamed(c *Client, names []string) (still []string) {
	for _, name := range names {
		if slices.Contains(c.Scopes, p.cfg.Claims.ScopeOf(name)) {
			still = append(still, name)
		}
	}
	return still
}

// wantedSubject keeps whom a sub with a value, or with several, asks for (section
// 5.5.1): nobody else must be answered for.
func (d *draft) wantedSubject(ctx context.Context, w *claimWanted) *fault.Error {
	if w == nil || w.Value == nil && w.Values == nil {
		return nil
	}
	wanted := w.Values
	if w.Value != nil {
		wanted = []json.RawMessage{w.Value}
	}
	users := []string{}
	for _, raw := range wanted {
		var sub string
		if err := json.Unmarshal(raw, &sub); err != nil {
			return invalid("invalid_request", "The claim sub is asked to be something that is no subject.")
		}
		user, err := d.p.UserOf(ctx, &d.client, sub)
		if err != nil {
			return fault.Of(err)
		}
		users = append(users, or(user, nobody))
	}
	if len(users) != 1 {
		d.req.Claims.Subjects = append(users, nobody)
		return nil
	}
	if d.req.HintSubject != "" && d.req.HintSubject != users[0] {
		return invalid("invalid_request", "The request asks for two different people.")
	}
	d.req.HintSubject = users[0]
	return nil
}

// nobody is whom a subject that we never gave asks for: it matches no one.
const nobody = "nobody"

// wantedACR keeps which authentication contexts the claim acr asks for.
func (d *draft) wantedACR(w *claimWanted) {
	if w == nil {
		return
	}
	for _, raw := range append([]json.RawMessage{w.Value}, w.Values...) {
		var acr string
		if json.Unmarshal(raw, &acr) == nil && acr != "" {
			d.req.Claims.ACRValues = append(d.req.Claims.ACRValues, acr)
		}
	}
	d.req.Claims.EssentialACR = w.Essential && len(d.req.Claims.ACRValues) > 0
}
