package oauth2

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
	"github.com/gatekeeper-oidc/gatekeeper/internal/web"
)

// limits bounds every parameter that is kept (security of the parser, and of
// what a code has to carry).
var limits = map[string]int{
	"state": web.MaxQuery, "nonce": 512, "scope": 1024, "redirect_uri": 2048, "login_hint": 320, "ui_locales": 256,
	"acr_values": 512, "claims_locales": 256, "display": 64, "prompt": 128, "max_age": 10, "id_token_hint": 8192,
	"claims": 4096, "code_challenge": 128, "code_challenge_method": 16, "response_mode": 64, "response_type": 64,
}

func noRepeats(_ context.Context, d *draft) *fault.Error {
	for name, values := range d.params {
		if len(values) > 1 && name != "resource" {
			return invalid("invalid_request", "A parameter came more than once.").With("parameter", clip(name, 64))
		}
	}
	return nil
}

// pushedWhenRequired wants the request pushed where the client said that all its
// requests are (RFC 9126 section 6).
func pushedWhenRequired(_ context.Context, d *draft) *fault.Error {
	if d.client.RequirePAR && !d.pushing {
		return invalid("invalid_request", "The application pushes its requests; this one came with the browser.")
	}
	return nil
}

// signedWhenRequired wants a signed request object where the client said that all
// its requests are in one (RFC 9101 section 10.5).
func signedWhenRequired(_ context.Context, d *draft) *fault.Error {
	if d.client.RequireSignedRequest && !d.signed {
		return invalid("invalid_request", "The application signs its requests; this one is not signed.")
	}
	return nil
}

func sizes(_ context.Context, d *draft) *fault.Error {
	for name, most := range limits {
		if n := len(d.get(name)); n > most {
			return invalid("invalid_request", "The parameter "+name+" is too long.").
				With("received", strconv.Itoa(n)+" bytes").With("most", strconv.Itoa(most))
		}
	}
	return nil
}

func noRegistration(_ context.Context, d *draft) *fault.Error {
	if d.get("registration") != "" {
		return invalid("registration_not_supported", "The registration parameter is not supported.")
	}
	return nil
}

// scopes keeps the registered ones and drops the others, as RFC 6749 section 3.3
// allows; OpenID Connect Core section 3.1.2.1 says unknown ones SHOULD be ignored.
func scopes(_ context.Context, d *draft) *fault.Error {
	asked, f := parseScope(d.get("scope"))
	if f != nil {
		return f
	}
	for _, s := range asked {
		if slices.Contains(d.client.Scopes, s) {
			d.req.Scopes = append(d.req.Scopes, s)
		}
	}
	if len(asked) > 0 && len(d.req.Scopes) == 0 {
		return invalid("invalid_scope", "None of the requested scopes is registered for the application.").
			With("received", clip(d.get("scope"), 1024)).With("registered", strings.Join(d.client.Scopes, " ")).
			With("registered_itself", strconv.FormatBool(d.client.Dynamic))
	}
	return nil
}

// parseScope reads a scope parameter by the grammar of RFC 6749 section 3.3.
func parseScope(s string) ([]string, *fault.Error) {
	if len(s) > limits["scope"] {
		return nil, invalid("invalid_scope", "The scope is too long.")
	}
	for i := range len(s) {
		if c := s[i]; c != ' ' && (c < 0x21 || c > 0x7E || c == '"' || c == '\\') {
			return nil, invalid("invalid_scope", "The scope has a character that RFC 6749 section 3.3 does not allow.")
		}
	}
	var out []string
	for _, word := range strings.Fields(s) {
		if !slices.Contains(out, word) {
			out = append(out, word)
		}
		if len(out) > 50 {
			return nil, invalid("invalid_scope", "The scope has more than fifty values.")
		}
	}
	return out, nil
}

func resources(_ context.Context, d *draft) *fault.Error {
	aud, f := d.p.audience(&d.client, d.params["resource"])
	d.req.Audience, d.req.Narrowed = aud, asksResource(d.params["resource"])
	return f
}

// asksResource reports whether a request names what its tokens are for.
func asksResource(values []string) bool {
	return slices.ContainsFunc(values, func(v string) bool { return v != "" })
}

// mayTarget reports whether a token of c may be for a (RFC 8707 section 2).
func (p *Provider) mayTarget(c *Client, a string) bool {
	return slices.Contains(c.Audience, a) || a == p.cfg.Issuer || a == p.cfg.Issuer+"/admin/v1" ||
		c.Dynamic && slices.Contains(p.cfg.DynamicAudiences, a)
}

// audience returns what a token of c is for: the resources asked for (RFC 8707),
// each of which must be registered for it, or else everything registered, or
// else the issuer itself.
func (p *Provider) audience(c *Client, asked []string) ([]string, *fault.Error) {
	if len(asked) > 20 {
		return nil, invalid("invalid_target", "More than twenty resources.")
	}
	var out []string
	for _, a := range asked {
		if a == "" {
			continue
		}
		if !p.mayTarget(c, a) {
			return nil, invalid("invalid_target", "The resource is not registered for the application.").
				With("received", clip(a, 512)).With("registered", strings.Join(c.Audience, " ")).With("registered_itself", strconv.FormatBool(c.Dynamic))
		}
		if !slices.Contains(out, a) {
			out = append(out, a)
		}
	}
	switch {
	case len(out) > 0:
		return out, nil
	case len(c.Audience) > 0:
		return slices.Clone(c.Audience), nil
	default:
		return []string{p.cfg.Issuer}, nil
	}
}

// challenge wants S256 of everybody but a confidential client that opted out, and
// holds that one to a challenge it sent all the same (RFC 7636, RFC 9700
// section 2.1.1).
func challenge(_ context.Context, d *draft) *fault.Error {
	sent, method := d.get("code_challenge"), d.get("code_challenge_method")
	if !d.response.code {
		return nil
	}
	if sent == "" {
		if method != "" {
			return invalid("invalid_request", "A code_challenge_method came without a code_challenge.")
		}
		if d.client.InsecureNoPKCE && !d.client.Public() {
			return nil
		}
		return invalid("invalid_request", "PKCE is required: code_challenge is missing.").
			With("remedy", "send code_challenge with code_challenge_method=S256, or register the client with --insecure-no-pkce if it cannot")
	}
	if method != "S256" {
		return invalid("invalid_request", "The code_challenge_method must be S256.").With("received", clip(method, 16))
	}
	if len(sent) != 43 || !base64url(sent) {
		return invalid("invalid_request", "The code_challenge is not a SHA-256 in base64url: 43 characters.").
			With("received", strconv.Itoa(len(sent))+" characters")
	}
	d.req.CodeChallenge = sent
	return nil
}

func base64url(s string) bool {
	for i := range len(s) {
		c := s[i]
		if (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return false
		}
	}
	return true
}

// nonce is required where an ID token passes through the browser (OpenID Connect
// Core sections 3.2.2.1 and 3.3.2.11).
func nonce(_ context.Context, d *draft) *fault.Error {
	d.req.Nonce = d.get("nonce")
	if d.req.Nonce == "" && d.response.idToken {
		return invalid("invalid_request", "The parameter nonce is required with this response_type.")
	}
	return nil
}

func prompts(_ context.Context, d *draft) *fault.Error {
	for _, v := range strings.Fields(d.get("prompt")) {
		switch v {
		case "none", "login", "consent", "select_account", "create":
			if !d.req.HasPrompt(v) {
				d.req.Prompt = append(d.req.Prompt, v)
			}
		default:
			return invalid("invalid_request", "The prompt value is not known.").With("received", clip(v, 64))
		}
	}
	if d.req.HasPrompt("none") && len(d.req.Prompt) > 1 {
		d.req.Prompt = []string{"none"} // whoever says none must not be shown a page
		return invalid("invalid_request", "The prompt value none must stand alone.")
	}
	return nil
}

// longestAge bounds max_age: what is longer asks for nothing more, and a
// time.Duration of it would overflow.
const longestAge = 10 * 365 * 86_400

func maxAge(_ context.Context, d *draft) *fault.Error {
	s := d.get("max_age")
	if s == "" {
		if d.client.DefaultMaxAge != nil {
			age := min(int64(*d.client.DefaultMaxAge), longestAge)
			d.req.MaxAge = &age
		}
		return nil
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || s[0] < '0' || s[0] > '9' { // no sign
		return invalid("invalid_request", "The max_age is not a number of seconds.").With("received", clip(s, 16))
	}
	n = min(n, longestAge)
	d.req.MaxAge = &n
	return nil
}

func hint(ctx context.Context, d *draft) *fault.Error {
	raw := d.get("id_token_hint")
	if raw == "" {
		return nil
	}
	h, err := d.p.VerifyHint(ctx, raw)
	switch {
	case err != nil && !errors.Is(err, ErrInactive):
		return fault.Of(err)
	case err != nil || h.ClientID != d.client.ID:
		return nil //nolint:nilerr // nobody can check it any more, or it is another application's
	}
	d.req.HintSubject = or(h.Subject, nobody) // its subjects were others when it was made
	return nil
}

// peopleHints keeps what only helps a person; it never refuses.
func peopleHints(_ context.Context, d *draft) *fault.Error {
	d.req.LoginHint = d.get("login_hint")
	d.req.Display = d.get("display")
	d.req.UILocales = strings.Fields(d.get("ui_locales"))
	d.req.ACRValues = strings.Fields(d.get("acr_values"))
	return nil
}
