package oauth2

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/gatekeeper-oidc/gatekeeper/audit"
	"github.com/gatekeeper-oidc/gatekeeper/identity"
	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
	"github.com/gatekeeper-oidc/gatekeeper/internal/web"
)

// complete makes what a checked request asks for, for a signed-in person: the
// parameters of the answer, and the grant to write with it. A code alone writes
// nothing; whatever passes tokens through the browser has a grant of its own.
func (p *Provider) complete(ctx context.Context, req AuthorizeRequest, s identity.Session, u identity.User) (url.Values, *Grant, error) {
	c, err := p.Client(ctx, req.ClientID)
	if err != nil {
		return nil, nil, err
	}
	if want := req.Claims; want.EssentialACR && !slices.Contains(want.ACRValues, s.ACR) {
		return nil, nil, &refusal{req, ruled("acr_essential", unmetACR(want.ACRValues))}
	}
	p.used(&c)
	r, _ := parseResponseType(req.ResponseType)
	params := url.Values{}
	if r.code {
		code, err := p.authorizeCode(ctx, &c, req, grantOf(req, s, u))
		if err != nil {
			return nil, nil, err
		}
		params.Set("code", code)
		p.cfg.Meter.TokenIssued(GrantCode, "code")
	}
	if !r.front() {
		return params, nil, nil
	}
	g := grantOf(req, s, u)
	g.CreatedAt = p.cfg.Now()
	g.ExpiresAt = g.CreatedAt.Add(p.accessTTL(&c))
	g.Hears, g.Basis = c.HearsLogout(), c.basis()
	err = p.front(ctx, front{client: &c, req: req, response: r, grant: g, user: &u}, params)
	return params, &g, err
}

// grantOf is the grant that a request of u in session s would make.
func grantOf(req AuthorizeRequest, s identity.Session, u identity.User) Grant {
	return Grant{
		ID: uuid.NewString(), ClientID: req.ClientID, Subject: u.ID, Session: s.ID, Scopes: req.Scopes, Audience: req.Audience, Narrowed: req.Narrowed, Nonce: req.Nonce,
		AuthTime: s.AuthTime, AMR: s.AMR, ACR: s.ACR, Claims: req.Claims.Claims,
		Registration: req.Registration,
	}
}

// A front is what passes through the browser in one answer.
type front struct {
	client   *Client
	req      AuthorizeRequest
	response responseType
	grant    Grant
	user     *identity.User
}

// front mints the tokens of an implicit or hybrid answer (OpenID Connect Core
// sections 3.2.2.5 and 3.3.2.5) into params.
func (p *Provider) front(ctx context.Context, f front, params url.Values) error {
	g := f.grant
	if f.response.token {
		claims, err := p.accessFor(ctx, f.client, g, f.user)
		if err != nil {
			return err
		}
		token, err := p.mint(ctx, f.client, claims)
		if err != nil {
			return err
		}
		params.Set("access_token", token)
		params.Set("token_type", "Bearer")
		params.Set("expires_in", strconv.FormatInt(claims.Expires-claims.IssuedAt, 10))
		params.Set("scope", strings.Join(g.Scopes, " "))
		p.cfg.Meter.TokenIssued(GrantImplicit, "access")
	}
	if f.response.idToken {
		in := idToken{client: f.client, grant: g, user: f.user, access: params.Get("access_token"), code: params.Get("code"), state: f.req.State}
		if !f.response.code && !f.response.token {
			in.scopes = g.Scopes // no userinfo to ask (OpenID Connect Core section 5.4)
		}
		token, err := p.mintID(ctx, in)
		if err != nil {
			return err
		}
		params.Set("id_token", token)
		p.cfg.Meter.TokenIssued(GrantImplicit, "id")
	}
	return nil
}

// authorizeCode lets fosite authorize a checked request for a signed-in person
// and returns the sealed code. Nothing is written.
func (p *Provider) authorizeCode(ctx context.Context, c *Client, req AuthorizeRequest, g Grant) (string, error) {
	w := newWork(c, nil)
	w.grantType, w.redirect, w.req, w.scopes, w.grant = GrantCode, req.RedirectURI, req, req.Scopes, g
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

// jarmTTL is how long a JWT response may be on its way (JARM section 2.1 advises
// ten minutes at most).
const jarmTTL = 5 * time.Minute

// jarm puts the parameters of an answer into a JWT for the client (JWT Secured
// Authorization Response Mode section 2.1).
func (p *Provider) jarm(ctx context.Context, clientID string, params url.Values) (string, error) {
	c, err := p.Client(ctx, clientID)
	if err != nil {
		return "", err
	}
	claims := map[string]any{"iss": p.cfg.Issuer, "aud": clientID, "exp": p.cfg.Now().Add(jarmTTL).Unix()}
	for name := range params {
		if name != "iss" {
			claims[name] = params.Get(name)
		}
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", fmt.Errorf("JWT response: %w", err)
	}
	return p.sealFor(ctx, &c, secured{alg: or(c.AuthorizationAlg, "RS256"), encAlg: c.AuthorizationEncAlg, enc: c.AuthorizationEnc, typ: "JWT"}, payload)
}

// finish answers a request nothing more is needed for. A stored interaction, and
// the request it was pushed as, are spent last, when nothing else can fail: of two
// tabs that finish it at once, one gets its answer.
func (h *Handler) finish(w http.ResponseWriter, r *http.Request, in Interaction, now time.Time) error {
	if in.Request.Device != nil {
		return h.approveDevice(w, r, in)
	}
	ctx, p := r.Context(), h.Provider
	s, u, ok := identity.FromContext(ctx)
	if !ok || !in.Request.isFor(u.ID) {
		return h.tell(w, r, in.Request, invalid("login_required", "Nobody is signed in, or somebody else."))
	}
	web.Note(ctx, slog.String("sub", u.ID), slog.String("sid", s.ID))
	params, err := p.finish(ctx, &in, s, u)
	if err != nil {
		return h.refuse(w, r, err)
	}
	p.remember(StandingQuery{Session: s.ID, Subject: u.ID}, Standing{UserFound: true, User: u}, now)
	return h.respond(w, r, in.Request, params)
}

// finish makes and writes an answer. If the client has changed between its reading
// and the writing, it is made once more, by what the client is now.
func (p *Provider) finish(ctx context.Context, in *Interaction, s identity.Session, u identity.User) (url.Values, error) {
	for again := false; ; again = true {
		params, grant, err := p.complete(ctx, in.Request, s, u)
		if err != nil {
			return nil, err
		}
		err = p.settle(ctx, *in, grant)
		if err == nil {
			return params, nil
		}
		if again && errors.Is(err, ErrClientChanged) {
			return nil, fault.Down("client", err)
		}
		if err := p.unfinished(ctx, in, grant, err); err != nil {
			return nil, err
		}
	}
}

// isFor reports whether a request may be answered for a user: for anybody, unless
// the application said for whom.
func (r *AuthorizeRequest) isFor(userID string) bool {
	if r.HintSubject != "" && r.HintSubject != userID {
		return false
	}
	return len(r.Claims.Subjects) == 0 || slices.Contains(r.Claims.Subjects, userID)
}

// settle writes what an answer costs, in one transaction where it is more than one
// thing: what is spent, and the grant of what passes through the browser.
func (p *Provider) settle(ctx context.Context, in Interaction, g *Grant) error {
	if g == nil {
		return p.spend(ctx, in)
	}
	return p.cfg.Store.InTx(ctx, func(ctx context.Context) error {
		if err := p.spend(ctx, in); err != nil {
			return err
		}
		first, err := p.cfg.Store.RedeemGrant(ctx, *g, false, p.event(ctx, audit.GrantIssued, *g))
		if err == nil && !first {
			err = fmt.Errorf("grant id %s was taken", g.ID)
		}
		if err != nil {
			return fmt.Errorf("write the grant of an answer: %w", err)
		}
		return nil
	})
}

// spend uses up a stored interaction and a pushed request; whoever comes second
// is told so.
func (p *Provider) spend(ctx context.Context, in Interaction) error {
	if in.ID != "" {
		mine, err := p.cfg.Store.ConsumeInteraction(ctx, in.ID)
		if err != nil {
			return err
		}
		if !mine {
			return &fault.Error{
				Kind: fault.Conflict, Code: "interaction_completed", Rule: "interaction_once",
				Detail: "This sign-in was completed in another tab.",
			}
		}
	}
	return p.spendPushed(ctx, in.Request)
}
