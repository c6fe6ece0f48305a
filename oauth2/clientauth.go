package oauth2

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
	"github.com/gatekeeper-oidc/gatekeeper/internal/web"
	"github.com/gatekeeper-oidc/gatekeeper/keys"
)

// A credential is how a caller of a back-channel endpoint says who it is.
type credential struct {
	method, id, secret string
}

const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// AuthenticateClient authenticates the caller of a back-channel endpoint by
// exactly one method, the registered one (RFC 6749 section 2.3). form is the
// request's body as web.Form returned it. Faults: Unauthenticated
// ("invalid_client"), Invalid, TooMany, Unavailable.
func (p *Provider) AuthenticateClient(r *http.Request, form url.Values) (Client, error) {
	cred, err := p.credential(r, form)
	if err != nil {
		return Client{}, err
	}
	c, err := p.Client(r.Context(), cred.id)
	if err != nil && !fault.Is(err, fault.NotFound) {
		return Client{}, err
	}
	if err == nil {
		err = p.proves(r, &c, cred)
	}
	if errors.Is(err, errKeysAway) { // nothing was guessed, so it is not counted
		return Client{}, keysAway(&c, fault.Unauthenticated, "invalid_client", err)
	}
	if err == nil {
		web.Note(r.Context(), slog.String("client_id", c.ID))
		p.used(&c)
		return c, nil
	}
	if k := fault.Of(err).Kind; k != fault.NotFound && k != fault.Unauthenticated {
		return Client{}, err // cannot tell
	}
	return Client{}, p.refuseClient(r, cred, err)
}

// refuseClient counts a failure against client and address, so that guessing is
// slow, and gives every failure one answer.
func (p *Provider) refuseClient(r *http.Request, cred credential, cause error) error {
	ctx := r.Context()
	wait, err := p.cfg.Limits.Advance(ctx, clip(cred.id, 100)+"|"+web.InfoFrom(ctx).Bucket(), p.cfg.Rules.InvalidClient)
	if err != nil {
		return fault.Down("limiter", err)
	}
	if wait > 0 {
		p.cfg.Meter.RateLimited(p.cfg.Rules.InvalidClient.Name)
		return &fault.Error{Kind: fault.TooMany, Code: "invalid_client", Detail: "Too many failed attempts.", Rule: "client_attempts", RetryAfter: wait}
	}
	f := &fault.Error{Kind: fault.Unauthenticated, Code: "invalid_client", Detail: "Client authentication failed.", Rule: "client_authenticates", Err: cause}
	var why *fault.Error
	if errors.As(cause, &why) {
		f.Facts = why.Facts
		if slices.ContainsFunc(why.Facts, func(x fault.Fact) bool { return x.Name == "assertion_life" }) { // whoever hears this has its key
			f.Detail, f.Rule = "The client assertion lives too long: at most five minutes, unless the operator allows the client more.", "assertion_life"
		}
	}
	return f.With("client_id", clip(cred.id, 100)).With("method", cred.method)
}

// credential reads the one method the caller used.
func (p *Provider) credential(r *http.Request, form url.Values) (credential, error) {
	basic, err := basicCredential(r.Header.Values("Authorization"))
	if err != nil {
		return credential{}, err
	}
	var used []credential
	if basic != nil {
		used = append(used, *basic)
	}
	if s := form.Get("client_secret"); s != "" {
		used = append(used, credential{AuthPost, form.Get("client_id"), s})
	}
	if a := form.Get("client_assertion"); a != "" || form.Get("client_assertion_type") != "" {
		if form.Get("client_assertion_type") != assertionType {
			return credential{}, ruled("client_assertion_type", invalid("invalid_request", "The client_assertion_type is not supported."))
		}
		method, id := peekAssertion(a)
		used = append(used, credential{method, id, a})
	}
	// A public client may repeat its id in an empty Basic header; that is no second method.
	if len(used) > 0 && used[0].method == AuthBasic && used[0].secret == "" {
		used[0].method = AuthNone
	}
	switch {
	case len(used) > 1:
		return credential{}, ruled("one_client_method", invalid("invalid_request", "More than one way of client authentication was used."))
	case len(used) == 0:
		used = append(used, credential{AuthNone, form.Get("client_id"), ""})
	}
	if id := form.Get("client_id"); id != "" && id != used[0].id {
		return credential{}, ruled("one_client_id", invalid("invalid_request", "The client_id differs from the one that authenticates."))
	}
	return used[0], nil
}

// ruled names the rule that decided f.
func ruled(rule string, f *fault.Error) *fault.Error {
	f.Rule = rule
	return f
}

// basicCredential reads an Authorization header by RFC 6749 section 2.3.1: id and
// secret are form-urlencoded before they are put together. nil means there is none.
func basicCredential(values []string) (*credential, error) {
	if len(values) == 0 {
		return nil, nil //nolint:nilnil // no header is neither a credential nor an error
	}
	bad := ruled("basic_header", invalid("invalid_request", "The Authorization header is malformed."))
	scheme, rest, _ := strings.Cut(values[0], " ")
	if len(values) > 1 || len(values[0]) > 4096 {
		return nil, bad
	}
	if !strings.EqualFold(scheme, "Basic") {
		return nil, ruled("basic_header", invalid("invalid_request", "The Authorization header is not Basic."))
	}
	raw, err := base64.StdEncoding.DecodeString(strings.TrimSpace(rest))
	if err != nil {
		return nil, bad
	}
	id, secret, ok := strings.Cut(string(raw), ":")
	if !ok {
		return nil, bad
	}
	// Who did not encode an id with a colon, as most do not, sent one of our secrets
	// behind the last.
	if i := strings.LastIndex(string(raw), ":"+secretPrefix); i > 0 {
		id, secret = string(raw[:i]), string(raw[i+1:])
	}
	id, errID := url.QueryUnescape(id)
	secret, errSecret := url.QueryUnescape(secret)
	if errID != nil || errSecret != nil || id == "" {
		return nil, bad
	}
	return &credential{AuthBasic, id, secret}, nil
}

// proves reports why cred does not prove that the caller is c.
func (p *Provider) proves(r *http.Request, c *Client, cred credential) error {
	if !c.Accepts(cred.method) {
		return (&fault.Error{Kind: fault.Unauthenticated, Code: "invalid_client", Detail: "The client is registered for another method."}).
			With("registered_method", c.AuthMethod)
	}
	switch cred.method {
	case AuthNone:
		return nil
	case AuthBasic, AuthPost:
		return p.provesSecret(c, cred.secret)
	case AuthPrivateKey, AuthSecretJWT:
		return p.provesKey(r, c, cred.secret)
	default:
		return errUnproved
	}
}

var errUnproved = &fault.Error{Kind: fault.Unauthenticated, Code: "invalid_client", Detail: "The credential does not fit."}

// assertionAlgs are accepted from clients (RFC 8725 section 3.1).
var assertionAlgs = []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}

// assertionClaims are those of RFC 7523 section 3.
type assertionClaims struct {
	Issuer   string           `json:"iss"`
	Subject  string           `json:"sub"`
	Audience claimedAudience  `json:"aud"`
	Expires  keys.NumericDate `json:"exp"`
	NotUntil keys.NumericDate `json:"nbf"`
	IssuedAt keys.NumericDate `json:"iat"`
	ID       string           `json:"jti"`

	typ string // of its header
}

// claimedAudience is an audience that remembers how it was written.
type claimedAudience struct {
	audience
	listed bool
}

// UnmarshalJSON reads both forms.
func (a *claimedAudience) UnmarshalJSON(b []byte) error {
	a.listed = len(b) > 0 && b[0] == '['
	return a.audience.UnmarshalJSON(b)
}

// peekAssertion tells who an assertion says it is from, and by which method;
// nothing is believed before provesKey has checked it with that client's own keys.
func peekAssertion(token string) (method, id string) {
	method = AuthPrivateKey
	alg, payload := unverified(token)
	if alg == HS256 {
		method = AuthSecretJWT
	}
	var c assertionClaims
	if keys.Claims(payload, &c) != nil {
		return method, c.Subject // for the log; it is refused
	}
	return method, c.Subject
}

// assertionChecks are the rules about what a client assertion says (RFC 7523
// section 3); each returns what is wrong, or "".
var assertionChecks = []struct {
	rule string
	run  func(p *Provider, c *Client, a *assertionClaims) string
}{
	{"assertion_type", func(_ *Provider, _ *Client, a *assertionClaims) string {
		switch strings.TrimPrefix(strings.ToLower(a.typ), "application/") {
		case "", "jwt", "client-authentication+jwt":
			return ""
		default:
			return "typ " + a.typ + ": another kind of token (RFC 8725 section 3.11)"
		}
	}},
	{"assertion_about", func(_ *Provider, c *Client, a *assertionClaims) string {
		if a.Issuer != c.ID || a.Subject != c.ID {
			return "iss or sub"
		}
		return ""
	}},
	{"assertion_audience", assertionAudience},
	{"assertion_exp", func(p *Provider, _ *Client, a *assertionClaims) string {
		if a.Expires == 0 || !p.cfg.Now().Before(a.Expires.Time().Add(keys.ClockBehind)) {
			return "passed or missing"
		}
		return ""
	}},
	{"assertion_life", assertionLife},
	{"assertion_iat", func(p *Provider, _ *Client, a *assertionClaims) string {
		soon := p.cfg.Now().Add(keys.ClockAhead)
		if a.NotUntil.Time().After(soon) || a.IssuedAt.Time().After(soon) {
			return "in the future"
		}
		return ""
	}},
	{"assertion_jti", func(_ *Provider, _ *Client, a *assertionClaims) string {
		if a.ID == "" || len(a.ID) > 256 {
			return "missing or too long"
		}
		return ""
	}},
}

// assertionLife bounds how long an assertion may be used, and so how long its jti
// is remembered: five minutes, or what an operator allows the client.
func assertionLife(p *Provider, c *Client, a *assertionClaims) string {
	if left := a.Expires.Time().Sub(p.cfg.Now()); left > c.assertionMaxAge()+keys.ClockAhead {
		return left.Round(time.Second).String() + ", and " + c.assertionMaxAge().String() + " is the most"
	}
	return ""
}

func (c *Client) assertionMaxAge() time.Duration {
	if c.AssertionMaxAge > 0 {
		return time.Duration(c.AssertionMaxAge) * time.Second
	}
	return 5 * time.Minute
}

// assertionAudience holds aud to the client's profile.
func assertionAudience(p *Provider, c *Client, a *assertionClaims) string {
	ours := []string{p.cfg.Issuer, p.cfg.Issuer + "/oauth2/token"}
	switch c.AssertionAudience {
	case AudienceIssuer:
		ours = ours[:1]
		if a.Audience.listed {
			return "a list, where one string is wanted"
		}
	case AudienceAny:
		for _, path := range [...]string{"/oauth2/par", "/oauth2/introspect", "/oauth2/revoke", "/oauth2/device_authorization"} {
			ours = append(ours, p.cfg.Issuer+path)
		}
		if slices.ContainsFunc(a.Audience.audience, func(aud string) bool { return slices.Contains(ours, aud) }) {
			return ""
		}
	}
	if len(a.Audience.audience) == 1 && slices.Contains(ours, a.Audience.audience[0]) {
		return ""
	}
	return "not this server alone: " + strings.Join(a.Audience.audience, " ")
}

// provesKey checks a client assertion (RFC 7523 section 3): signed by a registered
// key, by and about the client, for this server alone, short-lived, used once.
func (p *Provider) provesKey(r *http.Request, c *Client, token string) error {
	payload, typ, err := p.assertion(r.Context(), c, token)
	if errors.Is(err, errNotTheirs) {
		return factual("assertion_signature", "by none of the registered keys")
	}
	if err != nil {
		return err
	}
	var a assertionClaims
	if err := keys.Claims(payload, &a); err != nil {
		return factual("assertion_claims", "malformed: "+err.Error())
	}
	a.typ = typ
	for _, check := range assertionChecks {
		if why := check.run(p, c, &a); why != "" {
			return factual(check.rule, why)
		}
	}
	unused, err := p.cfg.Store.UseAssertion(r.Context(), c.ID, a.ID, a.Expires.Time().Add(2*keys.ClockBehind))
	if err != nil {
		return fmt.Errorf("use client assertion: %w", err)
	}
	if !unused {
		return factual("assertion_jti", "used before")
	}
	return nil
}

// assertion returns what the registered keys of c, or its secret, have signed.
func (p *Provider) assertion(ctx context.Context, c *Client, token string) (payload []byte, typ string, err error) {
	if c.AuthMethod == AuthSecretJWT {
		payload, head, err := p.fromSecret(c, token)
		return payload, head.Type, err
	}
	algs := assertionAlgs
	if c.AssertionAlg != "" {
		algs = []string{c.AssertionAlg}
	}
	payload, head, err := p.fromClient(ctx, c, token, algs)
	return payload, head.Type, err
}

func factual(name, value string) error {
	return (&fault.Error{Kind: fault.Unauthenticated, Code: "invalid_client"}).With(name, clip(value, 256))
}
