package oauth2

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
	"github.com/gatekeeper-oidc/gatekeeper/internal/web"
)

// A pushed authorization request (RFC 9126) is checked like any other, then sealed
// into its own request_uri: nothing is stored, and nothing secret could be. It is
// spent when it is completed, not when it is first seen, so that a person may
// reload the page; that is its one write.
const pushedPrefix = "urn:ietf:params:oauth:request_uri:"

// pushedTTL is how long a pushed request may wait to be brought by the browser.
const pushedTTL = time.Minute

// pushedLimit bounds a request_uri: it has to fit into a query.
const pushedLimit = web.MaxQuery - 512

// push serves POST /oauth2/par.
func (h *Handler) push(w http.ResponseWriter, r *http.Request) error {
	form, err := web.Form(w, r, web.MaxForm, "resource")
	if err != nil {
		return err
	}
	p := h.Provider
	c, err := p.AuthenticateClient(r, form)
	if err != nil {
		return err
	}
	uri, err := p.pushedURI(r.Context(), &c, form)
	if err != nil {
		return err
	}
	return web.JSON(w, http.StatusCreated, struct {
		RequestURI string `json:"request_uri"`
		ExpiresIn  int64  `json:"expires_in"`
	}{uri, int64(pushedTTL / time.Second)})
}

// pushedURI checks a request that c pushes and returns its request_uri.
func (p *Provider) pushedURI(ctx context.Context, c *Client, form url.Values) (string, error) {
	if form.Get("request_uri") != "" { // RFC 9126 section 2.1
		return "", ruled("no_pushed_request_uri", invalid("invalid_request", "A request_uri cannot be pushed.")).With("client_id", c.ID)
	}
	d := &draft{p: p, params: requestParameters(c, form), pushing: true}
	req, err := d.begin(ctx)
	if told, ok := errors.AsType[*refusal](err); ok {
		return "", told.fault
	}
	if err != nil {
		return "", err
	}
	req.Pushed = rand.Text()
	plain, err := compact(sealedRequest{req, p.cfg.Now().Add(pushedTTL).Unix()})
	if err != nil {
		return "", err
	}
	uri := pushedPrefix + base64.RawURLEncoding.EncodeToString(p.cfg.Vault.Seal("pushed", "pushed", plain))
	if len(uri) > pushedLimit {
		return "", ruled("request_size", invalid("invalid_request", "The request is too long.")).With("client_id", c.ID)
	}
	p.cfg.Meter.TokenIssued("pushed", "request_uri")
	return uri, nil
}

// requestParameters are what c asks for in the form it authenticated with. A
// parameter without a value counts as absent (RFC 6749 section 3.1).
func requestParameters(c *Client, form url.Values) url.Values {
	params := url.Values{}
	for name, values := range form {
		if values[0] != "" && !credentialParameter(name) {
			params[name] = values
		}
	}
	params.Set("client_id", c.ID)
	return params
}

// credentialParameter lists what authenticates a client and is no part of the
// request.
func credentialParameter(name string) bool {
	switch name {
	case "client_secret", "client_assertion", "client_assertion_type":
		return true
	default:
		return false
	}
}

// pushed returns the request that request_uri stands for. Whatever else came with
// it is not looked at (RFC 9126 section 4).
func (p *Provider) pushed(ctx context.Context, params url.Values) (AuthorizeRequest, error) {
	bad := ruled("request_uri_ours", invalid("invalid_request_uri", "This sign-in has expired or was completed. Go back to the application and start again."))
	var s sealedRequest
	if len(params["request_uri"]) != 1 || p.unseal(params.Get("request_uri"), pushedPrefix, "pushed", &s) != nil {
		return AuthorizeRequest{}, bad
	}
	if s.Request.ClientID != params.Get("client_id") {
		return AuthorizeRequest{}, bad.With("pushed_by", s.Request.ClientID)
	}
	if !p.cfg.Now().Before(time.Unix(s.Expires, 0)) {
		return AuthorizeRequest{}, bad.With("client_id", s.Request.ClientID)
	}
	return p.askAgain(ctx, s.Request)
}

// isPushed reports whether a request came as the name of a pushed one.
func isPushed(params url.Values) bool {
	return strings.HasPrefix(params.Get("request_uri"), pushedPrefix)
}

// errPushedSpent tells that a pushed request was completed before (RFC 9126
// section 4: one time use).
func errPushedSpent(req AuthorizeRequest) error {
	return (&fault.Error{
		Kind: fault.Invalid, Code: "invalid_request_uri", Rule: "request_uri_once",
		Detail: "This sign-in was completed before. Go back to the application and start again.",
	}).With("client_id", req.ClientID)
}

// spendPushed marks a pushed request as completed; nothing is done for any other.
func (p *Provider) spendPushed(ctx context.Context, req AuthorizeRequest) error {
	if req.Pushed == "" {
		return nil
	}
	mine, err := p.cfg.Store.UseAssertion(ctx, req.ClientID, pushedMark(req), p.cfg.Now().Add(p.cfg.Lifetimes.Interaction+pushedTTL))
	if err != nil {
		return err
	}
	if !mine {
		return errPushedSpent(req)
	}
	return nil
}

// unspent looks, before a person is asked to do anything, whether their request
// can still be completed.
func (p *Provider) unspent(ctx context.Context, req AuthorizeRequest) error {
	if req.Pushed == "" {
		return nil
	}
	spent, err := p.cfg.Store.UsedAssertion(ctx, req.ClientID, pushedMark(req))
	if err != nil {
		return err
	}
	if spent {
		return errPushedSpent(req)
	}
	return nil
}

// pushedMark keeps pushed requests apart from the client's own assertion ids.
func pushedMark(req AuthorizeRequest) string { return "par:" + req.Pushed }
