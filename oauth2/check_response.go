package oauth2

import (
	"context"
	"slices"
	"strings"

	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
)

// responseModes are the ways an answer gets to the application: OAuth 2.0 Multiple
// Response Types, Form Post, and JARM section 2.3.
var responseModes = []string{"query", "fragment", "form_post", "query.jwt", "fragment.jwt", "form_post.jwt", "jwt"}

// ResponseModes returns every response mode, for discovery.
func ResponseModes() []string { return slices.Clone(responseModes) }

// responseMode chooses how everything else is told, errors included; so it reads
// the response type before anybody has judged it.
func responseMode(_ context.Context, d *draft) *fault.Error {
	d.response, _ = parseResponseType(d.get("response_type"))
	usual := "query"
	if d.response.front() {
		usual = "fragment"
	}
	d.req.ResponseMode = usual
	switch mode := d.get("response_mode"); mode {
	case "":
		return nil
	case "jwt":
		d.req.ResponseMode = usual + ".jwt" // JARM section 2.3.4
		return nil
	case "query", "query.jwt":
		if d.response.front() && (mode == "query" || d.client.AuthorizationEncAlg == "") {
			return invalid("invalid_request", "Tokens never travel in a query; the response_mode must be another.").With("received", mode)
		}
		d.req.ResponseMode = mode
		return nil
	case "form_post", "form_post.jwt":
		if origin(d.req.RedirectURI) == "" {
			return invalid("invalid_request", "The response_mode form_post needs a redirect URI of http or https.").With("redirect_uri", d.req.RedirectURI)
		}
		d.req.ResponseMode = mode
		return nil
	case "fragment", "fragment.jwt":
		d.req.ResponseMode = mode
		return nil
	default:
		return invalid("invalid_request", "The response_mode is not supported.").
			With("received", clip(mode, 64)).With("supported", strings.Join(responseModes, " "))
	}
}

func responseKnown(_ context.Context, d *draft) *fault.Error {
	asked := d.get("response_type")
	if asked == "" {
		return invalid("invalid_request", "The parameter response_type is missing.")
	}
	r, ok := parseResponseType(asked)
	if !ok || !d.p.offers(r) {
		return invalid("unsupported_response_type", "The response_type is not supported.").
			With("received", clip(asked, 64)).With("supported", strings.Join(d.p.cfg.ResponseTypes, ", "))
	}
	d.response, d.req.ResponseType = r, r.String()
	return nil
}

// responseRegistered holds the application to its registration (RFC 6749 section
// 4.1.2.1, unauthorized_client).
func responseRegistered(_ context.Context, d *draft) *fault.Error {
	if slices.Contains(d.client.ResponseTypes, d.req.ResponseType) {
		return nil
	}
	if len(d.client.ResponseTypes) == 0 && d.req.ResponseType == "code" && d.client.May(GrantCode) {
		return nil // registered before there was a choice
	}
	return invalid("unauthorized_client", "The application is not registered for this response_type.").
		With("received", d.req.ResponseType).With("registered", strings.Join(d.client.ResponseTypes, ", "))
}

// openidForIDToken wants the scope openid where an ID token is asked for: without
// it the request is not OpenID Connect's (OpenID Connect Core section 3.1.2.1).
func openidForIDToken(_ context.Context, d *draft) *fault.Error {
	if d.response.idToken && !slices.Contains(d.req.Scopes, "openid") {
		return invalid("invalid_request", "An ID token needs the scope openid.")
	}
	return nil
}
