package oauth2

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/gatekeeper-oidc/gatekeeper/audit"
)

// Token exchange (RFC 8693): a client brings somebody's token, and usually one of
// its own, and gets a token for a service further on. Nothing grows on the way: the
// scopes are among those of the subject's token and the client's own, the audience
// is what an administrator allowed this client, the end is no later, and the new
// token hangs on the same grant and session, so whatever kills those kills it.
//
// An exchange writes its event and nothing else. Only an ID token, which knows no
// grant, gets one, in the same statement.

// The token types of this grant (RFC 8693 section 3).
const (
	typeAccessToken = "urn:ietf:params:oauth:token-type:access_token" //nolint:gosec // G101: the name of a kind of token
	typeIDToken     = "urn:ietf:params:oauth:token-type:id_token"     //nolint:gosec // G101: the same
)

// An Exchange is what a client may do with tokens of others. Whoever has none may
// exchange nothing.
type Exchange struct {
	Audiences   []string `json:"audiences"`             // what the new tokens may be for
	Clients     []string `json:"clients,omitempty"`     // whose tokens it may bring, besides its own
	Impersonate bool     `json:"impersonate,omitempty"` // without an actor token: the new token does not say who acts
}

// An Actor is who acts for the subject of a token. Within it are those who acted
// before, the first one innermost (RFC 8693 section 4.1).
type Actor struct {
	Subject string `json:"sub"`
	Actor   *Actor `json:"act,omitempty"`
}

// maxActors bounds a chain of actors: a longer one is a loop between services.
const maxActors = 5

// chain is the subjects of the actors, the one who acts now first.
func (a *Actor) chain() (subjects []string) {
	for ; a != nil; a = a.Actor {
		subjects = append(subjects, a.Subject)
	}
	return subjects
}

// exchanging is an exchange while it is being checked.
type exchanging struct {
	p       *Provider
	client  *Client
	form    url.Values
	idToken bool  // the subject token is one
	subject Token // Scopes and Grant are empty for an ID token
	acting  *Token
	act     *Actor // of the new token

	scopes, audience []string
}

// exchangeChecks are the rules of an exchange, in the order they are asked.
var exchangeChecks = []struct {
	rule string
	run  func(ctx context.Context, x *exchanging) error
}{
	{"exchange_allowed", exchangeAllowed},
	{"requested_token_type", requestedTokenType},
	{"subject_token_live", subjectToken},
	{"subject_token_of_person", subjectIsPerson},
	{"subject_token_for_client", subjectForClient},
	{"actor_token_live", actorToken},
	{"actor_token_own", actorOwn},
	{"delegated_or_impersonated", delegation},
	{"actors_bounded", actorsBounded},
	{"scope_not_widened", exchangeScope},
	{"audience_allowed", exchangeAudience},
	{"session_stands", exchangeSession},
}

func exchangeAllowed(_ context.Context, x *exchanging) error {
	if x.client.Exchange == nil {
		return invalid("unauthorized_client", "The client may not exchange tokens.")
	}
	return nil
}

// requestedTokenType is about what comes out (RFC 8693 section 2.1).
func requestedTokenType(_ context.Context, x *exchanging) error {
	if t := x.form.Get("requested_token_type"); t != "" && t != typeAccessToken {
		return invalid("invalid_request", "The requested_token_type is not supported; access tokens are.").With("received", clip(t, 100))
	}
	return nil
}

// subjectToken holds the subject token to the one liveness rule.
func subjectToken(ctx context.Context, x *exchanging) (err error) {
	raw := x.form.Get("subject_token")
	switch t := x.form.Get("subject_token_type"); t {
	case typeAccessToken:
		x.subject, err = x.p.liveAccess(ctx, raw)
	case typeIDToken:
		x.idToken = true
		x.subject, err = x.p.liveID(ctx, x.client, raw)
	default:
		return invalid("invalid_request", "The subject_token_type is missing or not supported; access tokens and ID tokens are.").
			With("received", clip(t, 100))
	}
	if errors.Is(err, ErrInactive) {
		return invalid("invalid_request", "The subject_token is not one of this server, or is no longer alive.")
	}
	return err
}

// subjectIsPerson keeps to people: a client's own token stands for nobody.
func subjectIsPerson(_ context.Context, x *exchanging) error {
	if x.subject.User == nil {
		return invalid("invalid_request", "The subject_token is a client's own; there is nobody to act for.").
			With("issued_to", x.subject.ClientID)
	}
	return nil
}

// subjectForClient lets a client bring what was issued to it, and what others that
// it may act for sent it: their token must be for it.
func subjectForClient(_ context.Context, x *exchanging) error {
	t, c := &x.subject, x.client
	if t.ClientID == c.ID {
		return nil
	}
	refused := invalid("invalid_request", "The subject_token is not for this client, or not of a client whose tokens it may exchange.").
		With("issued_to", t.ClientID).With("audience", strings.Join(t.Audience, " "))
	if !slices.Contains(c.Exchange.Clients, t.ClientID) {
		return refused
	}
	if slices.ContainsFunc(t.Audience, func(a string) bool { return a == c.ID || slices.Contains(c.Audience, a) }) {
		return nil
	}
	return refused
}

func actorToken(ctx context.Context, x *exchanging) error {
	raw, kind := x.form.Get("actor_token"), x.form.Get("actor_token_type")
	switch {
	case raw == "" && kind == "":
		return nil
	case raw == "":
		return invalid("invalid_request", "An actor_token_type came without an actor_token.")
	case kind != typeAccessToken:
		return invalid("invalid_request", "The actor_token_type is missing or not supported; access tokens are.").With("received", clip(kind, 100))
	}
	t, err := x.p.liveAccess(ctx, raw)
	if errors.Is(err, ErrInactive) {
		return invalid("invalid_request", "The actor_token is not one of this server, or is no longer alive.")
	}
	x.acting = &t
	return err
}

// actorOwn wants the actor to be the client, or a person it works for now: who
// holds a token of another client is not that client.
func actorOwn(_ context.Context, x *exchanging) error {
	if x.acting == nil {
		return nil
	}
	if x.acting.ClientID != x.client.ID || x.acting.Actor != nil {
		return invalid("invalid_request", "The actor_token was issued to another client, or speaks for somebody else itself.").
			With("issued_to", x.acting.ClientID)
	}
	return nil
}

// delegation makes the act claim of the new token. Who acted before stays in it,
// whatever else is allowed.
func delegation(_ context.Context, x *exchanging) error {
	x.act = x.subject.Actor
	if x.acting != nil {
		x.act = &Actor{Subject: x.acting.Sub, Actor: x.subject.Actor}
		return nil
	}
	if !x.client.Exchange.Impersonate {
		return invalid("unauthorized_client", "The client may not act in somebody's name without an actor_token.")
	}
	return nil
}

func actorsBounded(_ context.Context, x *exchanging) error {
	if n := len(x.act.chain()); n > maxActors {
		return invalid("invalid_request", "Too many have acted for this person already.").With("actors", strings.Join(x.act.chain(), " "))
	}
	return nil
}

// exchangeScope gives what both the subject's token and the client have, or the
// part of it asked for. An ID token says who, and allows nothing.
func exchangeScope(_ context.Context, x *exchanging) error {
	asked, f := parseScope(x.form.Get("scope"))
	if f != nil {
		return f
	}
	have := slices.DeleteFunc(slices.Clone(x.subject.Scopes), func(s string) bool { return !slices.Contains(x.client.Scopes, s) })
	for _, s := range asked {
		if !slices.Contains(have, s) {
			return invalid("invalid_scope", "The scope is not among those of the subject_token and of the client.").
				With("received", clip(s, 100)).With("allowed", strings.Join(have, " "))
		}
	}
	x.scopes = append([]string{}, have...)
	if len(asked) > 0 {
		x.scopes = asked
	}
	return nil
}

// exchangeAudience gives the targets asked for (RFC 8693 section 2.1, RFC 8707), or
// all that the client may reach.
func exchangeAudience(_ context.Context, x *exchanging) error {
	allowed := x.client.Exchange.Audiences
	for _, a := range append(slices.Clone(x.form["resource"]), x.form["audience"]...) {
		if a == "" || slices.Contains(x.audience, a) {
			continue
		}
		if !slices.Contains(allowed, a) {
			return invalid("invalid_target", "The client may not have tokens for this target.").
				With("received", clip(a, 512)).With("allowed", strings.Join(allowed, " "))
		}
		x.audience = append(x.audience, a)
	}
	if len(x.audience) == 0 {
		x.audience = slices.Clone(allowed)
	}
	return nil
}

// exchangeSession refuses a token that would be dead at birth: the subject's lives
// on without its session by offline_access, which the new one would not have.
func exchangeSession(ctx context.Context, x *exchanging) error {
	if slices.Contains(x.scopes, "offline_access") || x.idToken {
		return nil
	}
	s, err := x.p.standing(ctx, x.subject.standingQuery())
	if err != nil {
		return err
	}
	if s.SessionEnded {
		return invalid("invalid_request", "The person has signed out, and the client does not ask for offline_access.")
	}
	return nil
}

// exchangeToken checks an exchange and makes the grant of the new token: that of
// the subject's, narrower.
func (p *Provider) exchangeToken(ctx context.Context, w *work) error {
	x := &exchanging{p: p, client: w.client, form: w.form}
	for _, check := range exchangeChecks {
		if err := check.run(ctx, x); err != nil {
			return decidedBy(check.rule, err)
		}
	}
	t := x.subject
	w.exchange, w.user, w.scopes, w.actor = x, t.User, x.scopes, x.act
	w.grant = Grant{
		ID: t.Grant, ClientID: w.client.ID, Subject: t.Subject, Session: t.Session, Scopes: x.scopes, Audience: x.audience, Narrowed: true,
		AuthTime: t.AuthTime, AMR: t.AMR, ACR: t.ACR, ExpiresAt: t.ExpiresAt,
	}
	if x.idToken {
		w.grant.ID = uuid.NewString()
	}
	return nil
}

// issueAccess mints an access token alone.
func (p *Provider) issueAccess(ctx context.Context, _ *work) error {
	_, _, err := strategies{p}.GenerateAccessToken(ctx, nil)
	return err
}

// recordExchange writes the event, and the grant of a token that has none yet.
func (p *Provider) recordExchange(ctx context.Context, w *work) error {
	x, g := w.exchange, w.grant
	e := p.event(ctx, audit.TokenExchanged, g)
	e.Detail["audience"] = strings.Join(g.Audience, " ")
	e.Detail["from"] = x.subject.ClientID
	if w.actor != nil {
		e.Detail["actors"] = strings.Join(w.actor.chain(), " ")
	}
	if !x.idToken {
		return p.cfg.Trail.Record(ctx, e)
	}
	g.CreatedAt, g.ExpiresAt, g.Registration, g.Basis = p.cfg.Now(), w.accessEnds, w.client.Registration, w.client.basis()
	_, err := p.cfg.Store.RedeemGrant(ctx, g, false, e) // the id is new: nothing can be there
	if errors.Is(err, ErrBasisGone) {
		p.forgetPerson(g)
		return basisGone()
	}
	if err != nil {
		return fmt.Errorf("write the grant of an exchange: %w", err)
	}
	return nil
}
