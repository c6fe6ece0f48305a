package oauth2

import (
	"context"
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/gatekeeper-oidc/gatekeeper/identity"
	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
	"github.com/gatekeeper-oidc/gatekeeper/internal/web"
	"github.com/gatekeeper-oidc/gatekeeper/templates"
)

// authorizeCode lets fosite authorize a checked request for a signed-in person
// and returns the sealed code. Nothing is written.
func (p *Provider) authorizeCode(ctx context.Context, req AuthorizeRequest, s identity.Session, u identity.User) (string, error) {
	c, err := p.Client(ctx, req.ClientID)
	if err != nil {
		return "", err
	}
	w := newWork(&c, nil)
	w.grantType, w.redirect, w.req, w.scopes = GrantCode, req.RedirectURI, req, req.Scopes
	w.grant = Grant{
		ID: uuid.NewString(), ClientID: c.ID, Subject: u.ID, Session: s.ID, Scopes: req.Scopes, Audience: req.Audience, Nonce: req.Nonce,
		AuthTime: s.AuthTime, AMR: s.AMR, ACR: s.ACR,
	}
	ctx = withWork(ctx, w)
	params := url.Values{
		"client_id": {c.ID}, "redirect_uri": {req.RedirectURI}, "response_type": {"code"}, "scope": {strings.Join(req.Scopes, " ")},
		"state": {"fosite wants eight characters; respond sends the application's own"},
	}
	if req.CodeChallenge != "" {
		params.Set("code_challenge", req.CodeChallenge)
		params.Set("code_challenge_method", "S256")
	}
	ar, err := p.engine.fosite.NewAuthorizeRequest(ctx, request(params))
	if err != nil {
		return "", &refusal{req, fault.Of(w.outcome(err))}
	}
	for _, scope := range req.Scopes {
		ar.GrantScope(scope)
	}
	resp, err := p.engine.fosite.NewAuthorizeResponse(ctx, ar, w)
	if err != nil {
		return "", &refusal{req, fault.Of(w.outcome(err))}
	}
	return resp.GetCode(), nil
}

// tell sends an error to the application (RFC 6749 section 4.1.2.1). What a
// person did, or must do, is no refusal of ours and leaves no trace.
func (h *Handler) tell(w http.ResponseWriter, r *http.Request, req AuthorizeRequest, f *fault.Error) error {
	detail := f.Detail
	if !aboutPeople(f.Code) {
		ref, _ := h.mux.Refuse(r, f)
		detail += " (ref " + ref + ")"
	}
	return h.respond(w, req, url.Values{"error": {f.Code}, "error_description": {web.Description(detail)}})
}

// aboutPeople lists the errors of OpenID Connect Core section 3.1.2.6 and RFC 6749
// section 4.1.2.1 that tell what a person would have to do, or would not.
func aboutPeople(code string) bool {
	return slices.Contains([]string{"login_required", "consent_required", "interaction_required", "account_selection_required", "access_denied"}, code)
}

// respond is the one writer of authorization responses. It goes to a redirect URI
// that was checked, says who it is from (RFC 9207), and never forwards a request
// body: 303, not 307 (RFC 9700 section 4.12).
func (h *Handler) respond(w http.ResponseWriter, req AuthorizeRequest, params url.Values) error {
	if req.State != "" {
		params.Set("state", req.State)
	}
	params.Set("iss", h.Provider.cfg.Issuer)
	if req.ResponseMode == "form_post" {
		page := templates.FormPost{Action: req.RedirectURI}
		for _, name := range [...]string{"code", "error", "error_description", "state", "iss"} {
			if v := params.Get(name); v != "" {
				page.Fields = append(page.Fields, templates.Field{Name: name, Value: v})
			}
		}
		return h.mux.Render(w, http.StatusOK, page)
	}
	sep := "?"
	if strings.Contains(req.RedirectURI, "?") {
		sep = "&"
	}
	w.Header().Set("Location", req.RedirectURI+sep+params.Encode())
	w.WriteHeader(http.StatusSeeOther)
	return nil
}

// shortly is how long a request sealed into a redirect may take to come back.
const shortly = time.Minute

// A sealedRequest is a checked request on its way through the browser.
type sealedRequest struct {
	Request AuthorizeRequest `json:"r"`
	Expires int64            `json:"e"`
}

// sealRequest refuses what would not fit into a query.
func (p *Provider) sealRequest(req AuthorizeRequest) (string, error) {
	plain, err := compact(sealedRequest{req, p.cfg.Now().Add(shortly).Unix()})
	if err != nil {
		return "", err
	}
	sealed := base64.RawURLEncoding.EncodeToString(p.cfg.Vault.Seal("authorize", "authorize", plain))
	if len(sealed) > web.MaxQuery-64 {
		return "", &refusal{req, ruled("request_size", invalid("invalid_request", "The request is too long."))}
	}
	return sealed, nil
}

func (p *Provider) openRequest(ctx context.Context, sealed string) (AuthorizeRequest, error) {
	var s sealedRequest
	if p.unseal(sealed, "", "authorize", &s) != nil || !p.cfg.Now().Before(time.Unix(s.Expires, 0)) {
		return AuthorizeRequest{}, ruled("request_fresh", invalid("invalid_request", "This sign-in has expired. Go back to the application and start again."))
	}
	return s.Request, p.stillCertain(ctx, s.Request)
}

// stillCertain asks the first table again of a request that waited: the client
// may have been disabled, or its redirect URI withdrawn, in the meantime.
func (p *Provider) stillCertain(ctx context.Context, req AuthorizeRequest) error {
	d := &draft{p: p, params: url.Values{"client_id": {req.ClientID}, "redirect_uri": {req.RedirectURI}}}
	for _, c := range certain {
		if f := c.run(ctx, d); f != nil {
			return d.decided(c.rule, f)
		}
	}
	return nil
}

// parameters reads an authorization request. Repeats are kept: the table decides
// what they mean. A parameter without a value counts as absent (RFC 6749
// section 3.1).
func parameters(w http.ResponseWriter, r *http.Request) (url.Values, error) {
	v, err := web.Parameters(w, r)
	if err != nil {
		return nil, err
	}
	for name, values := range v {
		if len(values) == 1 && values[0] == "" {
			delete(v, name)
		}
	}
	return v, nil
}
