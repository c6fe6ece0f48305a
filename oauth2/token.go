package oauth2

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/ory/fosite"

	"github.com/gatekeeper-oidc/gatekeeper/audit"
	"github.com/gatekeeper-oidc/gatekeeper/identity"
	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
)

// An answer is a successful token response (RFC 6749 section 5.1).
type answer struct {
	AccessToken  string `json:"access_token"`
	TokenType    string `json:"token_type"`
	ExpiresIn    int64  `json:"expires_in"`
	RefreshToken string `json:"refresh_token,omitempty"`
	IDToken      string `json:"id_token,omitempty"`
	Scope        string `json:"scope,omitempty"`
	Issued       string `json:"issued_token_type,omitempty"` // RFC 8693 section 2.2.1
}

// grantTokens is what the token endpoint does for an authenticated client: grant,
// tokens, one write, answer.
func (p *Provider) grantTokens(ctx context.Context, c *Client, form url.Values) (answer, error) {
	grantType := form.Get("grant_type")
	if err := mayUseGrant(c, grantType); err != nil {
		return answer{}, err
	}
	w := newWork(c, form)
	w.grantType, w.redirect = grantType, form.Get("redirect_uri")
	if err := w.required(); err != nil {
		return answer{}, err
	}
	ctx = withWork(ctx, w)
	ar, err := p.engine.fosite.NewAccessRequest(ctx, request(w.params()), w)
	if err != nil {
		return answer{}, w.outcome(err)
	}
	if _, err := p.engine.fosite.NewAccessResponse(ctx, ar); err != nil {
		return answer{}, w.outcome(err)
	}
	p.count(w)
	issued := ""
	if w.exchange != nil {
		issued = typeAccessToken
	}
	return answer{
		AccessToken: w.access, TokenType: "Bearer", ExpiresIn: int64(w.accessEnds.Sub(p.cfg.Now().Truncate(time.Second)) / time.Second),
		RefreshToken: w.refresh, IDToken: w.id, Scope: strings.Join(w.scopes, " "), Issued: issued,
	}, nil
}

// params are the ones fosite reads; what else came is none of its business.
func (w *work) params() url.Values {
	out := url.Values{"grant_type": {w.grantType}}
	for _, name := range [...]string{"code", "redirect_uri", "code_verifier", "refresh_token"} {
		if v := w.form.Get(name); v != "" {
			out.Set(name, v)
		}
	}
	return out
}

// needs lists what each grant cannot do without (RFC 6749 sections 4.1.3, 4.4.2 and
// 6, RFC 8628 section 3.4, RFC 8693 section 2.1, RFC 7523 section 2.1).
var needs = map[string]string{
	GrantCode: "code", GrantRefresh: "refresh_token", GrantDevice: "device_code", GrantExchange: "subject_token", GrantJWTBearer: "assertion",
}

func (w *work) required() error {
	if name := needs[w.grantType]; name != "" && w.form.Get(name) == "" {
		return ruled("parameters_present", invalid("invalid_request", "The parameter "+name+" is missing."))
	}
	return nil
}

// tokenGrants are the grants of the token endpoint; confidentialGrants are those no
// public client may use.
var (
	tokenGrants        = []string{GrantCode, GrantRefresh, GrantClientCredentials, GrantDevice, GrantExchange, GrantJWTBearer}
	confidentialGrants = []string{GrantClientCredentials, GrantExchange, GrantJWTBearer}
)

// TokenGrants returns the grants of the token endpoint, for discovery.
func TokenGrants() []string { return slices.Clone(tokenGrants) }

func mayUseGrant(c *Client, grantType string) error {
	if grantType == "" {
		return ruled("parameters_present", invalid("invalid_request", "The parameter grant_type is missing."))
	}
	if !slices.Contains(tokenGrants, grantType) {
		return ruled("grant_type_known", invalid("unsupported_grant_type", "The grant_type is not supported.")).With("received", clip(grantType, 100))
	}
	if !slices.Contains(c.Grants, grantType) {
		return ruled("client_may_use_grant", invalid("unauthorized_client", "The client is not registered for this grant.")).
			With("received", grantType).With("registered", strings.Join(c.Grants, " ")).With("client_id", c.ID)
	}
	return nil
}

// requireStanding is the liveness rule at redemption: the person may still sign
// in and the session that authorized has not ended since.
func (p *Provider) requireStanding(ctx context.Context, w *work) error {
	s, err := p.standing(ctx, StandingQuery{Session: w.grant.Session, Subject: w.grant.Subject})
	if err != nil {
		return fmt.Errorf("standing at redemption: %w", err)
	}
	if !s.UserFound || s.User.Status != identity.Active || s.SessionEnded {
		return invalidGrant("authorization_stands", "The person has signed out or may no longer sign in.")
	}
	w.user = &s.User
	if err := w.checkRedemption(); err != nil {
		return err
	}
	aud, f := p.narrowAudience(w)
	if f != nil {
		return f
	}
	w.grant.Audience = aud
	w.grant.Narrowed = w.grant.Narrowed || asksResource(w.form["resource"])
	return nil
}

// narrowAudience lets a token request ask for fewer resources than were granted
// (RFC 8707 section 2.2).
func (p *Provider) narrowAudience(w *work) ([]string, *fault.Error) {
	granted := slices.DeleteFunc(slices.Clone(w.grant.Audience), func(a string) bool { return !p.mayTarget(w.client, a) })
	refused := ruled("resource_granted", invalid("invalid_target", "The resource was not granted, or is no longer registered.")).
		With("granted", strings.Join(granted, " "))
	var out []string
	for _, a := range w.form["resource"] {
		if a != "" && !slices.Contains(granted, a) {
			return nil, refused.With("received", clip(a, 512))
		}
		if a != "" && !slices.Contains(out, a) {
			out = append(out, a)
		}
	}
	switch {
	case len(out) > 0:
		return out, nil
	case len(granted) > 0:
		return granted, nil
	default:
		return nil, refused
	}
}

// redeem writes what redeeming a code writes: the grant, its refresh row and its
// event, in one statement that refuses a second time.
func (p *Provider) redeem(ctx context.Context, w *work) error {
	now := p.cfg.Now()
	g := w.whole
	g.SecretHash, g.CreatedAt, g.ExpiresAt = w.grant.SecretHash, now, latest(w.accessEnds, w.reusable)
	if w.refresh != "" {
		g.ExpiresAt = latest(g.ExpiresAt, now.Add(p.refreshTTL(w.client)))
	}
	g.Hears, g.Registration, g.Basis = w.client.HearsLogout(), w.client.Registration, w.client.basis()
	g.Basis.Consent = g.Basis.Consent || w.grantType == GrantDevice // whose person is always asked
	e := p.event(ctx, audit.GrantIssued, g)
	if before, ok := p.unanswered.GetIfPresent(g.ID); ok {
		e.ID, g.Basis.Resumes = before.event, before.event
	}
	first, err := p.cfg.Store.RedeemGrant(ctx, g, w.refresh != "", e)
	switch {
	case errors.Is(err, ErrBasisGone):
		p.forgetPerson(g)
		return basisGone()
	case fault.Is(err, fault.Unavailable):
		p.unanswered.Set(g.ID, attempt{e.ID, w.first})
	case err == nil:
		p.unanswered.Invalidate(g.ID)
	}
	if err != nil {
		return fmt.Errorf("redeem code: %w", err)
	}
	if first {
		return nil
	}
	what := replayed[w.grantType]
	p.cfg.Meter.Replay(what.counted)
	if _, err := p.cfg.Store.RevokeGrant(ctx, g.ID, p.event(ctx, audit.CodeReplayed, g)); err != nil {
		return fmt.Errorf("revoke the grant of a replayed code: %w", err)
	}
	p.Forget("grant:" + g.ID)
	return invalidGrant(what.rule, what.detail)
}

// An attempt is a redemption that the store did not answer: the event it was to be
// written with, and the refresh token it was to give. The same code redeemed again on
// this node is the same attempt, and no replay.
type attempt struct {
	event string
	first refreshToken
}

// attemptAge is how long one is remembered: longer than any code lives.
const attemptAge = 15 * time.Minute

// replayed says what came a second time, by grant.
var replayed = map[string]struct{ counted, rule, detail string }{
	GrantCode:   {"code", "code_unused", "The authorization code was redeemed before; what it gave has been revoked."},
	GrantDevice: {"device_code", "device_code_unused", "The device code was redeemed before; what it gave has been revoked."},
}

// latest is when a grant may end: after its tokens, and after its code, which its
// row keeps from being redeemed again.
func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// usable decides whether a refresh token may be spent: its owner presents it, it
// is the real one, and everything it depends on stands. Nothing here counts as
// replay.
func (p *Provider) usable(w *work, s Standing) error {
	now := p.cfg.Now()
	switch {
	case w.grant.ClientID != w.client.ID:
		return invalidGrant("refresh_token_owner", "The refresh token belongs to another client.")
	case subtle.ConstantTimeCompare(w.rt.secretHash(), w.grant.SecretHash) != 1:
		return invalidGrant("refresh_token_ours", "The refresh token is not one of this server.")
	case s.GrantRevoked:
		return invalidGrant("grant_stands", "The grant was revoked.")
	case !now.Before(w.state.ExpiresAt):
		return invalidGrant("refresh_token_fresh", "The refresh token has expired.")
	case !w.client.sameRegistration(w.grant.Registration):
		return invalidGrant("registration_same", "The grant was given to an application that has been deleted since.")
	case !s.alive(true, w.client.outlives(w.grant.Scopes)):
		return invalidGrant("authorization_stands", "The person has signed out or may no longer sign in.")
	case !p.refreshes(w.client, w.client.registered(w.grant.Scopes)):
		return invalidGrant("refresh_token_registered", "The application may no longer have refresh tokens: nothing it is registered for gives one.")
	default:
		return nil
	}
}

// forgetPerson drops what is remembered of whom a grant was to stand on.
func (p *Provider) forgetPerson(g Grant) {
	p.Forget("session:" + g.Session)
	p.Forget("user:" + g.Subject)
}

// narrow lets a refresh ask for fewer scopes than were granted, never for more
// (RFC 6749 section 6). The grant keeps what it had; what has left the client's
// registration since is no longer given.
func (p *Provider) narrow(_ context.Context, w *work) error {
	asked, f := parseScope(w.form.Get("scope"))
	if f != nil {
		return ruled("scope_grammar", f)
	}
	w.scopes = w.client.registered(w.grant.Scopes)
	for _, s := range asked {
		if !slices.Contains(w.scopes, s) {
			return ruled("scope_granted", invalid("invalid_scope", "The scope was not granted, or is no longer registered.")).
				With("received", clip(s, 100)).With("granted", strings.Join(w.scopes, " "))
		}
	}
	if len(asked) > 0 {
		w.scopes = asked
	}
	aud, f := p.narrowAudience(w)
	if f != nil {
		return f
	}
	w.grant.Audience = aud
	w.grant.Narrowed = w.grant.Narrowed || asksResource(w.form["resource"])
	return nil
}

// rotate is the compare-and-swap on the generation, after the new tokens are
// signed. Whoever loses it within the grace window holds the same successor.
func (p *Provider) rotate(ctx context.Context, w *work) error {
	basis := w.client.basis()
	basis.Session = !w.client.outlives(w.grant.Scopes)
	outcome, err := p.cfg.Store.RotateRefresh(ctx, RotateRequest{
		Grant: w.grant.ID, Generation: int(w.rt.generation), Grace: p.cfg.Lifetimes.Grace, Idle: p.cfg.Lifetimes.RefreshIdle,
		Event: p.event(ctx, audit.GrantRefreshed, w.grant), Replay: p.event(ctx, audit.RefreshReplayed, w.grant),
		Basis: basis,
	})
	if err != nil {
		return fmt.Errorf("rotate refresh token: %w", err)
	}
	switch outcome {
	case Rotated, Repeated:
		return nil
	case Replayed:
		p.cfg.Meter.Replay("refresh")
		p.Forget("grant:" + w.grant.ID)
		return invalidGrant("refresh_token_unused", "The refresh token was used before; the grant has been revoked.")
	default:
		return invalidGrant("grant_stands", "The grant was revoked, has been idle for too long, or what it stands on is gone.")
	}
}

// grantToClient decides what a client gets for itself: registered scopes only,
// none of which speaks of a person.
func (p *Provider) grantToClient(_ context.Context, w *work) error {
	asked, f := parseScope(w.form.Get("scope"))
	if f != nil {
		return ruled("scope_grammar", f)
	}
	if len(asked) == 0 {
		asked = slices.DeleteFunc(slices.Clone(w.client.Scopes), personal)
	}
	for _, s := range asked {
		if personal(s) || !slices.Contains(w.client.Scopes, s) {
			return ruled("scope_registered", invalid("invalid_scope", "The scope is not registered for the client, or speaks of a person.")).
				With("received", clip(s, 100)).With("registered", strings.Join(w.client.Scopes, " "))
		}
	}
	aud, f := p.audience(w.client, append(slices.Clone(w.form["resource"]), w.form["audience"]...))
	if f != nil {
		return ruled("resource_allowed", f)
	}
	w.scopes = append([]string{}, asked...)
	w.grant = Grant{ClientID: w.client.ID, Scopes: w.scopes, Audience: aud}
	return nil
}

// personal reports whether a scope is about a person (OpenID Connect Core 5.4).
func personal(scope string) bool {
	switch scope {
	case "openid", "profile", "email", "address", "phone", "offline_access":
		return true
	default:
		return false
	}
}

// event is an audit event about g, complete but for what the store adds.
func (p *Provider) event(ctx context.Context, kind audit.Kind, g Grant) audit.Event {
	return p.cfg.Trail.Fill(ctx, audit.Event{
		Kind: kind, Actor: "client:" + g.ClientID, Subject: g.Subject, ClientID: g.ClientID, Session: g.Session, Grant: g.ID,
		Detail: map[string]string{"scope": strings.Join(g.Scopes, " ")},
	})
}

func (p *Provider) count(w *work) {
	p.cfg.Meter.TokenIssued(w.grantType, "access")
	if w.refresh != "" {
		p.cfg.Meter.TokenIssued(w.grantType, "refresh")
	}
	if w.id != "" {
		p.cfg.Meter.TokenIssued(w.grantType, "id")
	}
}

// notMine reports fosite's way of saying that a handler has nothing to do.
func notMine(err error) bool { return errors.Is(err, fosite.ErrUnknownRequest) }
