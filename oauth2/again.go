package oauth2

import (
	"context"
	"errors"
	"net/url"
	"slices"
	"strings"

	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
)

// standing is what of a request that has waited is asked again: all that depends on
// the registration, by the checks it came through. The others were about the request
// alone, and have not changed with time.
var standing = []check{
	{"response_type_known", responseKnown},
	{"response_type_registered", responseRegistered},
	{"scope_grammar", scopes},
	{"openid_for_id_token", openidForIDToken},
	{"resource_allowed", resources},
	{"pkce_s256", challenge},
}

// deviceStanding is the same of a device's request, of which there is less.
var deviceStanding = []check{
	{"client_may_use_grant", deviceRegistered},
	{"scope_grammar", scopes},
	{"resource_allowed", resources},
}

// askAgain holds a request that has waited, at a page or on its way, to what is
// registered now: the client may have been deleted or made anew, its redirect URI,
// a scope or a response type taken away. The request it returns is the same, without
// what it may no longer have. Its error is as begin's.
func (p *Provider) askAgain(ctx context.Context, req AuthorizeRequest) (AuthorizeRequest, error) {
	d := &draft{p: p, params: req.parameters()}
	if f := d.walk(ctx, identified); f != nil {
		return req, f
	}
	if !d.client.sameRegistration(req.Registration) {
		return req, d.decided("registration_same", invalid("invalid_client", "The application was deleted after this sign-in began. Go back to the application and start again."))
	}
	rest := standing
	if req.Device != nil {
		rest = deviceStanding // there is nowhere to return to
	} else if f := d.walk(ctx, certain); f != nil {
		return req, f
	}
	d.params["resource"] = p.targets(&d.client, req.Audience)
	if f := d.walk(ctx, rest); f != nil {
		if req.Device != nil {
			return req, f
		}
		return req, &refusal{req, f}
	}
	req.Scopes, req.Audience = d.req.Scopes, d.req.Audience
	req.ClaimScopes = d.client.registered(req.ClaimScopes)
	return req, nil
}

// parameters are those of which req was made, as far as they are asked again.
func (r *AuthorizeRequest) parameters() url.Values {
	params := url.Values{
		"client_id": {r.ClientID}, "redirect_uri": {r.RedirectURI}, "response_type": {r.ResponseType}, "scope": {strings.Join(r.Scopes, " ")},
	}
	if r.CodeChallenge != "" {
		params.Set("code_challenge", r.CodeChallenge)
		params.Set("code_challenge_method", "S256")
	}
	return params
}

// targets are those of audience that c may still have tokens for; all of them, to be
// refused by name, if none is left.
func (p *Provider) targets(c *Client, audience []string) []string {
	left := slices.DeleteFunc(slices.Clone(audience), func(a string) bool { return !p.mayTarget(c, a) })
	if len(left) == 0 {
		return audience
	}
	return left
}

// goOn asks a stored request again, and keeps what has changed: the pages show what
// it may still have.
func (p *Provider) goOn(ctx context.Context, in *Interaction) error {
	req, err := p.askAgain(ctx, in.Request)
	if err != nil {
		return err
	}
	less := len(req.Scopes) < len(in.Request.Scopes) || len(req.Audience) < len(in.Request.Audience) || len(req.ClaimScopes) < len(in.Request.ClaimScopes)
	in.Request = req
	if !less {
		return nil
	}
	return p.cfg.Store.PutInteraction(ctx, *in)
}

// unfinished says what to do about an answer that could not be written on what it was
// decided by: nil to decide once more.
func (p *Provider) unfinished(ctx context.Context, in *Interaction, g *Grant, err error) error {
	switch {
	case g != nil && errors.Is(err, ErrClientChanged):
		p.Forget("client:" + in.Request.ClientID)
		return p.goOn(ctx, in)
	case g != nil && errors.Is(err, ErrBasisGone):
		p.forgetPerson(*g)
		return &refusal{in.Request, ruled("authorization_stands", &fault.Error{
			Kind: fault.Invalid, Code: "access_denied", Detail: "The person has signed out, may no longer sign in, or has withdrawn their consent.",
		})}
	default:
		return err
	}
}
