package oidc

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"time"

	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
	"github.com/gatekeeper-oidc/gatekeeper/keys"
)

// statementAlgs sign software statements; none and HMAC never do.
var statementAlgs = []string{"RS256", "PS256", "ES256", "EdDSA"}

// badStatement and unapproved are RFC 7591 section 3.2.2.
func badStatement(rule, detail string) *fault.Error {
	return &fault.Error{Kind: fault.Invalid, Code: "invalid_software_statement", Rule: rule, Detail: detail}
}

func unapproved(detail string) *fault.Error {
	return &fault.Error{Kind: fault.Invalid, Code: "unapproved_software_statement", Rule: "statement_issuer", Detail: detail}
}

// vouch verifies the software statement of a registration, if it has one, and puts
// its claims over the plain members: what a publisher signed wins (RFC 7591
// section 2.3). It returns the statement as it came.
func (r *Registrar) vouch(got map[string]json.RawMessage) (statement string, err error) {
	if _, came := got["software_statement"]; !came {
		return "", nil
	}
	statement, ok := word(got, "software_statement")
	if !ok {
		return "", badStatement("statement_form", "The software_statement is a signed JWT.")
	}
	claims, err := r.verified(statement)
	if err != nil {
		return "", err
	}
	for _, m := range members {
		if v, said := claims[m.name]; said && string(v) != "null" {
			got[m.name] = v
		}
	}
	return statement, nil
}

// verified returns the claims of a statement that an approved issuer signed.
func (r *Registrar) verified(statement string) (map[string]json.RawMessage, error) {
	issuer, ok := statementIssuer(statement)
	if !ok {
		return nil, badStatement("statement_form", "The software_statement is not a JWT with an iss.")
	}
	set, ok := r.cfg.Software[issuer]
	if !ok {
		return nil, unapproved("Software statements of this issuer are not accepted here.").With("iss", clip(issuer, 200))
	}
	payload, head, err := keys.VerifyWith(set, statement, statementAlgs)
	if err != nil {
		f := badStatement("statement_signature", "The software_statement is not signed by its issuer.").With("iss", clip(issuer, 200))
		f.Err = err
		return nil, f
	}
	switch strings.TrimPrefix(strings.ToLower(head.Type), "application/") {
	case "", "jwt", "software-statement+jwt":
	default: // made for another purpose (RFC 8725 section 3.11)
		return nil, badStatement("statement_type", "The JWT is not a software statement.").With("typ", clip(head.Type, 64))
	}
	claims, err := parseMetadata(payload)
	if err != nil {
		return nil, badStatement("statement_claims", "The claims of the software_statement are malformed.")
	}
	now := r.cfg.Now()
	exp, okExp := instantOf(claims["exp"])
	nbf, okNbf := instantOf(claims["nbf"])
	switch {
	case !okExp || !okNbf:
		return nil, badStatement("statement_claims", "The exp and nbf of a software_statement are numbers.")
	case !exp.IsZero() && !now.Before(exp.Add(keys.ClockBehind)), now.Add(keys.ClockAhead).Before(nbf):
		return nil, badStatement("statement_time", "The software_statement is not valid now.")
	}
	return claims, nil
}

// statementIssuer peeks at whom a statement says it is from, to find the keys it
// must be verified with; nothing is believed before that.
func statementIssuer(statement string) (string, bool) {
	parts := strings.Split(statement, ".")
	if len(parts) != 3 {
		return "", false
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return "", false
	}
	var claims struct {
		Issuer string `json:"iss"`
	}
	if keys.Claims(payload, &claims) != nil || claims.Issuer == "" {
		return "", false
	}
	return claims.Issuer, true
}

// instantOf reads a NumericDate (RFC 7519 section 2); zero if it is not there.
func instantOf(raw json.RawMessage) (t time.Time, ok bool) {
	if len(raw) == 0 {
		return time.Time{}, true
	}
	var at keys.NumericDate
	if at.UnmarshalJSON(raw) != nil {
		return time.Time{}, false
	}
	return at.Time(), true
}
