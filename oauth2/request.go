package oauth2

import (
	"context"
	"net/url"
	"strings"

	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
)

// A draft is an authorization request while it is being checked.
type draft struct {
	p        *Provider
	params   url.Values
	pushing  bool // at the pushed authorization request endpoint (RFC 9126)
	signed   bool // params are those of a verified request object (RFC 9101)
	client   Client
	response responseType
	req      AuthorizeRequest
}

// A check is one rule about an authorization request. It reads params, fills its
// part of req, and returns why the request cannot go on.
type check struct {
	rule string
	run  func(ctx context.Context, d *draft) *fault.Error
}

// Until every check of these tables holds, nobody is redirected anywhere: the
// person sees a page (RFC 6749 section 4.1.2.1, RFC 9700 section 4.11).
var identified = []check{
	{"client_id_once", func(_ context.Context, d *draft) *fault.Error { return d.once("client_id") }},
	{"redirect_uri_once", func(_ context.Context, d *draft) *fault.Error { return d.once("redirect_uri") }},
	{"client_registered", clientRegistered},
}

var certain = []check{
	{"redirect_uri_registered", redirectRegistered},
}

// Between the two a request object takes the place of the parameters around it.
// What is wrong with one is told like any other error, if the redirect URI
// outside is certain.
var unfolded = []check{
	{"no_repeated_parameters", noRepeats},
	{"one_request_object", oneRequestObject},
	{"request_uri_registered", requestURI},
	{"request_object_signed", requestObject},
}

// From here on the application is told, by redirect.
var sound = []check{
	{"response_mode_known", responseMode}, // first: it decides how the others are told
	{"parameter_sizes", sizes},
	{"pushed_when_required", pushedWhenRequired},
	{"signed_when_required", signedWhenRequired},
	{"registration_unsupported", noRegistration},
	{"response_type_known", responseKnown},
	{"response_type_registered", responseRegistered},
	{"scope_grammar", scopes},
	{"openid_for_id_token", openidForIDToken},
	{"resource_allowed", resources},
	{"pkce_s256", challenge},
	{"nonce", nonce},
	{"prompt_values", prompts},
	{"max_age_seconds", maxAge},
	{"id_token_hint_ours", hint},
	{"claims_parameter", claimsParameter},
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

// begin reads an authorization request: a pushed one by its name, any other
// through the tables. Its error is a *fault.Error, to be shown to the person, or
// a *refusal, to be told to the application.
func (p *Provider) begin(ctx context.Context, params url.Values) (AuthorizeRequest, error) {
	if isPushed(params) {
		return p.pushed(ctx, params)
	}
	return (&draft{p: p, params: params}).begin(ctx)
}

// begin holds d.params against the tables. Its error is a *fault.Error, to be
// shown to the person, or a *refusal, to be told to the application.
func (d *draft) begin(ctx context.Context) (AuthorizeRequest, error) {
	if f := d.walk(ctx, identified); f != nil {
		return AuthorizeRequest{}, f
	}
	wrong := d.walk(ctx, unfolded)
	if f := d.walk(ctx, certain); f != nil {
		if wrong != nil {
			f = wrong
		}
		return AuthorizeRequest{}, f
	}
	if state := first(d.params["state"]); len(state) <= limits["state"] {
		d.req.State = state
	}
	if wrong != nil {
		_ = responseMode(ctx, d) // as well as it can be told
		return AuthorizeRequest{}, &refusal{d.req, wrong}
	}
	if f := d.walk(ctx, sound); f != nil {
		return AuthorizeRequest{}, &refusal{d.req, f}
	}
	return d.req, nil
}

// walk runs a table up to the first check that fails.
func (d *draft) walk(ctx context.Context, table []check) *fault.Error {
	for _, c := range table {
		if f := c.run(ctx, d); f != nil {
			return d.decided(c.rule, f)
		}
	}
	return nil
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
