package oauth2

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
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
	if err == nil {
		web.Note(r.Context(), slog.String("client_id", c.ID))
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
		used = append(used, credential{AuthPrivateKey, assertionIssuer(a), a})
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
	id, errID := url.QueryUnescape(id)
	secret, errSecret := url.QueryUnescape(secret)
	if errID != nil || errSecret != nil || id == "" {
		return nil, bad
	}
	return &credential{AuthBasic, id, secret}, nil
}

// proves reports why cred does not prove that the caller is c.
func (p *Provider) proves(r *http.Request, c *Client, cred credential) error {
	if cred.method != c.AuthMethod {
		return (&fault.Error{Kind: fault.Unauthenticated, Code: "invalid_client", Detail: "The client is registered for another method."}).
			With("registered_method", c.AuthMethod)
	}
	switch cred.method {
	case AuthNone:
		return nil
	case AuthBasic, AuthPost:
		return p.provesSecret(c, cred.secret)
	case AuthPrivateKey:
		return p.provesKey(r, c, cred.secret)
	default:
		return errUnproved
	}
}

var errUnproved = &fault.Error{Kind: fault.Unauthenticated, Code: "invalid_client", Detail: "The credential does not fit."}

func (p *Provider) provesSecret(c *Client, secret string) error {
	now, match := p.cfg.Now(), false
	for _, s := range c.Secrets {
		live := s.ExpiresAt.IsZero() || now.Before(s.ExpiresAt)
		if p.cfg.Vault.CheckMAC("client-secret", s.Hash, []byte(secret)) && live {
			match = true
		}
	}
	if !match {
		return errUnproved
	}
	return nil
}

// assertionAlgs are accepted from clients (RFC 8725 section 3.1).
var assertionAlgs = []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}

// assertionClaims are those of RFC 7523 section 3.
type assertionClaims struct {
	Issuer   string   `json:"iss"`
	Subject  string   `json:"sub"`
	Audience audience `json:"aud"`
	Expires  int64    `json:"exp"`
	NotUntil int64    `json:"nbf"`
	IssuedAt int64    `json:"iat"`
	ID       string   `json:"jti"`
}

// assertionIssuer peeks at who an assertion says it is from; nothing is believed
// before provesKey has checked it with that client's own keys.
func assertionIssuer(token string) string {
	parts := strings.Split(token, ".")
	if len(parts) != 3 || len(token) > 16<<10 {
		return ""
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return ""
	}
	var c assertionClaims
	if json.Unmarshal(payload, &c) != nil {
		return ""
	}
	return c.Subject
}

// assertionChecks are the rules about what a client assertion says (RFC 7523
// section 3); each returns what is wrong, or "".
var assertionChecks = []struct {
	rule string
	run  func(p *Provider, c *Client, a *assertionClaims) string
}{
	{"assertion_about", func(_ *Provider, c *Client, a *assertionClaims) string {
		if a.Issuer != c.ID || a.Subject != c.ID {
			return "iss or sub"
		}
		return ""
	}},
	{"assertion_audience", func(p *Provider, _ *Client, a *assertionClaims) string {
		if len(a.Audience) == 1 && (a.Audience[0] == p.cfg.Issuer || a.Audience[0] == p.cfg.Issuer+"/oauth2/token") {
			return ""
		}
		return "not this server alone: " + strings.Join(a.Audience, " ")
	}},
	{"assertion_exp", func(p *Provider, _ *Client, a *assertionClaims) string {
		now, expires := p.cfg.Now(), time.Unix(a.Expires, 0)
		if a.Expires == 0 || !now.Before(expires.Add(leeway)) || expires.After(now.Add(5*time.Minute+leeway)) {
			return "not within five minutes"
		}
		return ""
	}},
	{"assertion_iat", func(p *Provider, _ *Client, a *assertionClaims) string {
		soon := p.cfg.Now().Add(leeway)
		if time.Unix(a.NotUntil, 0).After(soon) || time.Unix(a.IssuedAt, 0).After(soon) {
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

// provesKey checks a client assertion (RFC 7523 section 3): signed by a registered
// key, by and about the client, for this server alone, short-lived, used once.
func (p *Provider) provesKey(r *http.Request, c *Client, token string) error {
	payload, _, err := keys.VerifyWith(c.JWKS, token, assertionAlgs)
	if err != nil {
		return factual("assertion_signature", "by none of the registered keys")
	}
	var a assertionClaims
	if err := json.Unmarshal(payload, &a); err != nil {
		return factual("assertion_claims", "malformed")
	}
	for _, check := range assertionChecks {
		if why := check.run(p, c, &a); why != "" {
			return factual(check.rule, why)
		}
	}
	unused, err := p.cfg.Store.UseAssertion(r.Context(), c.ID, a.ID, time.Unix(a.Expires, 0).Add(2*leeway))
	if err != nil {
		return fmt.Errorf("use client assertion: %w", err)
	}
	if !unused {
		return factual("assertion_jti", "used before")
	}
	return nil
}

func factual(name, value string) error {
	return (&fault.Error{Kind: fault.Unauthenticated, Code: "invalid_client"}).With(name, clip(value, 256))
}

// NewSecret returns a generated client secret (shown once) and what to keep of it.
func (p *Provider) NewSecret() (plain string, keep SecretHash) {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	plain = secretPrefix + base64.RawURLEncoding.EncodeToString(b[:])
	return plain, SecretHash{Hash: p.cfg.Vault.MAC("client-secret", []byte(plain))}
}

// HashSecret returns what to keep of a secret the administrator brought; it must
// have at least 32 characters, because it is not stretched.
func (p *Provider) HashSecret(plain string) (SecretHash, error) {
	if len(plain) < 32 || len(plain) > 512 {
		return SecretHash{}, ruled("client_secret_length", invalid("invalid_client_metadata", "A client secret has 32 to 512 characters."))
	}
	return SecretHash{Hash: p.cfg.Vault.MAC("client-secret", []byte(plain))}, nil
}
