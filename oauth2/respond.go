package oauth2

import (
	"context"
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/gatekeeper-oidc/gatekeeper/identity"
	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
	"github.com/gatekeeper-oidc/gatekeeper/internal/web"
	"github.com/gatekeeper-oidc/gatekeeper/templates"
)

// tell sends an error to the application (RFC 6749 section 4.1.2.1). What a
// person did, or must do, is no refusal of ours and leaves no trace.
func (h *Handler) tell(w http.ResponseWriter, r *http.Request, req AuthorizeRequest, f *fault.Error) error {
	detail := f.Detail
	if !aboutPeople(f.Code) {
		ref, _ := h.mux.Refuse(r, f)
		detail += " (ref " + ref + ")"
	}
	return h.respond(w, r, req, url.Values{"error": {f.Code}, "error_description": {web.Description(detail)}})
}

// aboutPeople lists the errors of OpenID Connect Core section 3.1.2.6 and RFC 6749
// section 4.1.2.1 that tell what a person would have to do, or would not.
func aboutPeople(code string) bool {
	return slices.Contains([]string{"login_required", "consent_required", "interaction_required", "account_selection_required", "access_denied"}, code)
}

// parameterNames are those of an authorization response, in the order a form
// shows them.
var parameterNames = []string{
	"response", "code", "access_token", "token_type", "expires_in", "scope", "id_token", "error", "error_description", "state", "iss",
	"session_state",
}

// respond is the one writer of authorization responses. It goes to a redirect URI
// that was checked, says who it is from (RFC 9207), and never forwards a request
// body: 303, not 307 (RFC 9700 section 4.12).
func (h *Handler) respond(w http.ResponseWriter, r *http.Request, req AuthorizeRequest, params url.Values) error {
	if req.State != "" {
		params.Set("state", req.State)
	}
	params.Set("iss", h.Provider.cfg.Issuer)
	session, _, _ := identity.FromContext(r.Context())
	if state := sessionState(req.ClientID, req.RedirectURI, h.mux.BrowserState(w, r, session.ID)); state != "" {
		params.Set("session_state", state)
	}
	mode, inJWT := strings.CutSuffix(req.ResponseMode, ".jwt")
	if inJWT {
		response, err := h.Provider.jarm(r.Context(), req.ClientID, params)
		if err != nil {
			return err
		}
		params = url.Values{"response": {response}}
	}
	if mode == "form_post" {
		page := templates.FormPost{Action: req.RedirectURI}
		for _, name := range parameterNames {
			if v := params.Get(name); v != "" {
				page.Fields = append(page.Fields, templates.Field{Name: name, Value: v})
			}
		}
		return h.mux.Render(w, http.StatusOK, page)
	}
	sep := "?"
	switch {
	case mode == "fragment":
		sep = "#"
	case strings.Contains(req.RedirectURI, "?"):
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
	return p.askAgain(ctx, s.Request)
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
