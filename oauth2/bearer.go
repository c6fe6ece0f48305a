package oauth2

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/gatekeeper-oidc/gatekeeper/audit"
	"github.com/gatekeeper-oidc/gatekeeper/identity"
	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
	"github.com/gatekeeper-oidc/gatekeeper/keys"
)

// The JWT bearer grant (RFC 7523 section 2.1): an issuer that an administrator
// trusts says who somebody is, and a client gets an access token for them. Nobody
// signs in and nobody is asked, so it is closed unless the client's registration
// names the issuer, its keys and the people it may speak for.
//
// An assertion is used once: the grant it makes has an id that is a function of it,
// so the insert that writes the grant is what refuses a second time.

// A TrustedIssuer is one whose assertions a client may bring.
type TrustedIssuer struct {
	Issuer   string          `json:"issuer"`             // iss, letter by letter
	JWKS     json.RawMessage `json:"jwks,omitempty"`     // its public keys, by value
	JWKSURI  string          `json:"jwks_uri,omitempty"` // or by reference
	Subjects []string        `json:"subjects"`           // user ids, email addresses, or the client's own id
}

// asserting is an assertion while it is being checked.
type asserting struct {
	p      *Provider
	client *Client
	from   *TrustedIssuer
	typ    string
	claims bearerClaims
}

// bearerClaims are those of RFC 7523 section 3.
type bearerClaims struct {
	Issuer   string           `json:"iss"`
	Subject  string           `json:"sub"`
	Audience audience         `json:"aud"`
	Expires  keys.NumericDate `json:"exp"`
	NotUntil keys.NumericDate `json:"nbf"`
	IssuedAt keys.NumericDate `json:"iat"`
	ID       string           `json:"jti"`
}

// bearerChecks are the rules about what an assertion says, once its signature has
// been verified (RFC 7523 section 3); each returns what is wrong, or "".
var bearerChecks = []struct {
	rule string
	run  func(x *asserting) string
}{
	{"assertion_type", func(x *asserting) string {
		if x.typ == "" || strings.EqualFold(strings.TrimPrefix(strings.ToLower(x.typ), "application/"), "JWT") {
			return ""
		}
		return "typ " + x.typ // another kind of token of the same issuer (RFC 8725 section 3.11)
	}},
	{"assertion_issuer", func(x *asserting) string {
		if x.claims.Issuer != x.from.Issuer {
			return "iss"
		}
		return ""
	}},
	{"assertion_audience", func(x *asserting) string {
		ours := []string{x.p.cfg.Issuer, x.p.cfg.Issuer + "/oauth2/token"}
		if len(x.claims.Audience) == 1 && slices.Contains(ours, x.claims.Audience[0]) {
			return ""
		}
		return "not this server alone: " + strings.Join(x.claims.Audience, " ")
	}},
	{"assertion_exp", func(x *asserting) string {
		now, expires := x.p.cfg.Now(), x.claims.Expires.Time()
		if !now.Before(expires.Add(keys.ClockBehind)) {
			return "passed or missing"
		}
		if most := x.client.assertionMaxAge(); expires.After(now.Add(most + keys.ClockAhead)) {
			return "further ahead than " + most.String()
		}
		return ""
	}},
	{"assertion_iat", func(x *asserting) string {
		soon := x.p.cfg.Now().Add(keys.ClockAhead)
		if x.claims.NotUntil.Time().After(soon) || x.claims.IssuedAt.Time().After(soon) {
			return "in the future"
		}
		return ""
	}},
	{"assertion_jti", func(x *asserting) string {
		if x.claims.ID == "" || len(x.claims.ID) > 256 {
			return "missing or too long"
		}
		return ""
	}},
	{"assertion_subject", func(x *asserting) string {
		if !slices.Contains(x.from.Subjects, spelling(x.claims.Subject)) {
			return "not one this issuer may speak for"
		}
		return ""
	}},
}

// spelling is the one spelling of a subject: an email address has several.
func spelling(subject string) string {
	if email, err := identity.NormalizeEmail(subject); err == nil {
		return email
	}
	return subject
}

// badAssertion refuses an assertion (RFC 7521 section 4.1.1).
func badAssertion(rule, why string) *fault.Error {
	return invalidGrant(rule, "The assertion is not one this server accepts from this client.").With("assertion", clip(why, 256))
}

// acceptAssertion checks an assertion and makes the grant it stands for.
func (p *Provider) acceptAssertion(ctx context.Context, w *work) error {
	x := &asserting{p: p, client: w.client}
	if err := x.read(ctx, w.form.Get("assertion")); err != nil {
		return err
	}
	for _, check := range bearerChecks {
		if why := check.run(x); why != "" {
			return badAssertion(check.rule, why)
		}
	}
	w.asserted = x
	if x.claims.Subject == w.client.ID {
		return p.grantToClient(ctx, w)
	}
	u, err := x.person(ctx)
	if err != nil {
		return err
	}
	w.user = &u
	return p.grantToPerson(w)
}

// read verifies the assertion with the keys of the issuer it names, if that is one
// the client may bring assertions of.
func (x *asserting) read(ctx context.Context, token string) error {
	_, unbelieved := unverified(token)
	var peek bearerClaims
	if keys.Claims(unbelieved, &peek) != nil {
		return badAssertion("assertion_form", "not a signed JWT")
	}
	i := slices.IndexFunc(x.client.TrustedIssuers, func(t TrustedIssuer) bool { return t.Issuer == peek.Issuer })
	if i < 0 {
		return badAssertion("assertion_issuer_trusted", peek.Issuer)
	}
	x.from = &x.client.TrustedIssuers[i]
	payload, head, err := x.p.cfg.ClientKeys.Verify(fetchFor(ctx, x.client), keys.ClientKeys{JWKS: x.from.JWKS, URI: x.from.JWKSURI}, token, assertionAlgs)
	switch {
	case errors.Is(err, keys.ErrKeySet) && x.from.JWKSURI != "":
		return (&fault.Error{
			Kind: fault.Unavailable, Code: "temporarily_unavailable", Rule: "issuer_keys_reachable",
			Detail: "The keys of the assertion's issuer could not be read.", Err: err,
		}).With("issuer", x.from.Issuer)
	case err != nil:
		return badAssertion("assertion_signature", "by none of the issuer's keys")
	}
	x.typ = head.Type
	if err := keys.Claims(payload, &x.claims); err != nil {
		return badAssertion("assertion_claims", "malformed")
	}
	return nil
}

// person finds whom the assertion is about: by id, or by an address that is known
// to be theirs. Whoever may not sign in is nobody here either.
func (x *asserting) person(ctx context.Context) (identity.User, error) {
	subject, found := spelling(x.claims.Subject), false
	var u identity.User
	if strings.Contains(subject, "@") {
		var err error
		u, err = x.p.cfg.Store.UserByEmail(ctx, subject)
		if err != nil && !fault.Is(err, fault.NotFound) {
			return u, fmt.Errorf("person of an assertion: %w", err)
		}
		found = err == nil && u.EmailVerified
	} else {
		s, err := x.p.standing(ctx, StandingQuery{Subject: subject})
		if err != nil {
			return u, fmt.Errorf("person of an assertion: %w", err)
		}
		u, found = s.User, s.UserFound
	}
	if !found || u.Status != identity.Active {
		return u, badAssertion("assertion_person", "nobody who may sign in here")
	}
	return u, nil
}

// grantToPerson gives registered scopes, but for those that say that the person has
// signed in, or stays reachable.
func (p *Provider) grantToPerson(w *work) error {
	asked, f := parseScope(w.form.Get("scope"))
	if f != nil {
		return ruled("scope_grammar", f)
	}
	have := slices.DeleteFunc(slices.Clone(w.client.Scopes), func(s string) bool { return s == "openid" || s == "offline_access" })
	for _, s := range asked {
		if !slices.Contains(have, s) {
			return ruled("scope_registered", invalid("invalid_scope", "The scope is not registered for the client, or needs a sign-in.")).
				With("received", clip(s, 100)).With("allowed", strings.Join(have, " "))
		}
	}
	if len(asked) == 0 {
		asked = have
	}
	aud, f := p.audience(w.client, append(slices.Clone(w.form["resource"]), w.form["audience"]...))
	if f != nil {
		return ruled("resource_allowed", f)
	}
	w.scopes = append([]string{}, asked...)
	w.grant = Grant{ID: w.asserted.grantID(), ClientID: w.client.ID, Subject: w.user.ID, Scopes: w.scopes, Audience: aud}
	return nil
}

// grantID is the id of the one grant an assertion can make: a UUID of version 8
// (RFC 9562 section 5.8) over the client, the issuer and jti.
func (x *asserting) grantID() string {
	name, _ := json.Marshal([]string{"gatekeeper assertion", x.client.ID, x.claims.Issuer, x.claims.ID}) // strings always marshal
	return uuid.NewHash(sha256.New(), uuid.Nil, name, 8).String()
}

// spendAssertion writes the grant and its event in one statement that refuses a
// second time; a client's own token has no grant, and its jti is marked instead.
func (p *Provider) spendAssertion(ctx context.Context, w *work) (err error) {
	x, g, first := w.asserted, w.grant, false
	ends := x.claims.Expires.Time().Add(2 * keys.ClockBehind)
	if w.user == nil {
		first, err = p.cfg.Store.UseAssertion(ctx, w.client.ID, x.grantID(), ends)
	} else {
		g.CreatedAt, g.ExpiresAt = p.cfg.Now(), latest(w.accessEnds, ends)
		g.Registration, g.Basis = w.client.Registration, w.client.basis()
		g.Basis.Consent = false // an administrator said whom to believe; the person is not asked
		e := p.event(ctx, audit.GrantIssued, g)
		e.Detail["issuer"] = x.claims.Issuer
		first, err = p.cfg.Store.RedeemGrant(ctx, g, false, e)
	}
	if errors.Is(err, ErrBasisGone) {
		p.forgetPerson(g)
		return badAssertion("assertion_person", "nobody who may sign in here")
	}
	if err != nil {
		return fmt.Errorf("spend an assertion: %w", err)
	}
	if !first {
		p.cfg.Meter.Replay("assertion")
		return badAssertion("assertion_unused", "used before")
	}
	return nil
}

// trustedIssuersFit holds the grant and the issuers together. A client that registered itself has neither:
// whom to believe, an administrator says.
func trustedIssuersFit(_ *Provider, c *Client) string {
	switch {
	case len(c.TrustedIssuers) == 0 && !c.May(GrantJWTBearer):
		return ""
	case c.Dynamic:
		return "The JWT bearer grant is given by an administrator, not registered for."
	case len(c.TrustedIssuers) == 0:
		return "The JWT bearer grant needs trusted_issuers: whom to believe, and about whom."
	case !c.May(GrantJWTBearer):
		return "Trusted issuers need the grant " + GrantJWTBearer + "."
	case len(c.TrustedIssuers) > 20:
		return "At most twenty trusted issuers."
	}
	for i := range c.TrustedIssuers {
		if slices.ContainsFunc(c.TrustedIssuers[:i], func(t TrustedIssuer) bool { return t.Issuer == c.TrustedIssuers[i].Issuer }) {
			return "A trusted issuer is named once (" + clip(c.TrustedIssuers[i].Issuer, 200) + ")."
		}
		if why := issuerFits(&c.TrustedIssuers[i]); why != "" {
			return why
		}
	}
	return ""
}

func issuerFits(t *TrustedIssuer) string {
	if t.Issuer == "" || len(t.Issuer) > 512 {
		return "A trusted issuer has a name of at most 512 characters."
	}
	switch {
	case (len(t.JWKS) > 0) == (t.JWKSURI != ""):
		return "A trusted issuer has public keys by value (jwks) or by reference (jwks_uri)."
	case t.JWKSURI != "":
		if why := outsideFits("jwks_uri", t.JWKSURI); why != "" {
			return why
		}
	default:
		if err := keys.CheckJWKS(t.JWKS); err != nil {
			return "The key set of a trusted issuer is not usable: " + err.Error() + "."
		}
	}
	if len(t.Subjects) == 0 || len(t.Subjects) > 1000 {
		return "A trusted issuer speaks for one to a thousand subjects: user ids, email addresses, or the client itself."
	}
	for _, s := range t.Subjects {
		if spelling(s) != s {
			return "An email address has one spelling here: " + clip(spelling(s), 254) + "."
		}
	}
	return ""
}
