package oauth2

import (
	"context"
	"net/url"
	"strings"

	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
)

// A draft is an authorization request while it is being checked.
type draft struct {
	p      *Provider
	params url.Values
	client Client
	req    AuthorizeRequest
}

// A check is one rule about an authorization request. It reads params, fills its
// part of req, and returns why the request cannot go on.
type check struct {
	rule string
	run  func(ctx context.Context, d *draft) *fault.Error
}

// Until every check of this table holds, nobody is redirected anywhere: the
// person sees a page (RFC 6749 section 4.1.2.1, RFC 9700 section 4.11).
var certain = []check{
	{"client_id_once", func(_ context.Context, d *draft) *fault.Error { return d.once("client_id") }},
	{"redirect_uri_once", func(_ context.Context, d *draft) *fault.Error { return d.once("redirect_uri") }},
	{"client_registered", clientRegistered},
	{"redirect_uri_registered", redirectRegistered},
}

// From here on the application is told, by redirect.
var sound = []check{
	{"response_mode_known", responseMode}, // first: it decides how the others are told
	{"no_repeated_parameters", noRepeats},
	{"parameter_sizes", sizes},
	{"request_object_unsupported", noRequestObject},
	{"registration_unsupported", noRegistration},
	{"response_type_code", responseType},
	{"client_may_use_code", mayUseCode},
	{"scope_grammar", scopes},
	{"resource_allowed", resources},
	{"pkce_s256", challenge},
	{"nonce", nonce},
	{"prompt_values", prompts},
	{"max_age_seconds", maxAge},
	{"id_token_hint_ours", hint},
	{"people_hints", peopleHints},
}

// A refusal is a request refused after client and redirect URI were certain: the
// application learns of it at req.RedirectURI.
type refusal struct {
	req   AuthorizeRequest
	fault *fault.Error
}

func (r *refusal) Error() string { return r.fault.Error() }
func (r *refusal) Unwrap() error { return r.fault }

// begin holds params against both tables. Its error is a *fault.Error, to be
// shown to the person, or a *refusal, to be told to the application.
func (p *Provider) begin(ctx context.Context, params url.Values) (AuthorizeRequest, error) {
	d := &draft{p: p, params: params}
	for _, c := range certain {
		if f := c.run(ctx, d); f != nil {
			return AuthorizeRequest{}, d.decided(c.rule, f)
		}
	}
	if state := first(params["state"]); len(state) <= limits["state"] {
		d.req.State = state
	}
	for _, c := range sound {
		if f := c.run(ctx, d); f != nil {
			return AuthorizeRequest{}, &refusal{d.req, d.decided(c.rule, f)}
		}
	}
	return d.req, nil
}

// decided completes f with the rule that decided and the client it was about.
func (d *draft) decided(rule string, f *fault.Error) *fault.Error {
	if f.Rule == "" {
		f.Rule = rule
	}
	if id := first(d.params["client_id"]); id != "" {
		f = f.With("client_id", clip(id, 100))
	}
	return f
}

// get returns a parameter, "" if absent. Parameters without a value are treated
// as absent (RFC 6749 section 3.1).
func (d *draft) get(name string) string { return first(d.params[name]) }

func (d *draft) once(name string) *fault.Error {
	if len(d.params[name]) > 1 {
		return invalid("invalid_request", "The parameter "+name+" came more than once.")
	}
	return nil
}

func first(v []string) string {
	if len(v) == 0 {
		return ""
	}
	return v[0]
}

// clip bounds what is kept of a value that came from outside.
func clip(s string, n int) string {
	if len(s) > n {
		s = s[:n] + "…"
	}
	return strings.ToValidUTF8(s, "?")
}

// invalid returns a fault of the caller under an OAuth error code.
func invalid(code, detail string) *fault.Error {
	return &fault.Error{Kind: fault.Invalid, Code: code, Detail: detail}
}
