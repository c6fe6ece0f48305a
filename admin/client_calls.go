package admin

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/gatekeeper-oidc/gatekeeper/audit"
	"github.com/gatekeeper-oidc/gatekeeper/consent"
	"github.com/gatekeeper-oidc/gatekeeper/identity"
	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
	"github.com/gatekeeper-oidc/gatekeeper/keys"
	"github.com/gatekeeper-oidc/gatekeeper/oauth2"
)

func get(path ...string) call         { return call{method: http.MethodGet, path: path} }
func remove(path ...string) call      { return call{method: http.MethodDelete, path: path} }
func put(in any, path ...string) call { return call{method: http.MethodPut, path: path, in: in} }

func post(in any, path ...string) call    { return call{method: http.MethodPost, path: path, in: in} }
func (c call) with(query url.Values) call { c.query = query; return c }
func (c call) ifStill(seen []string) call { c.seen = seen; return c }

// tried is c as a trial, if ctx is one.
func (c call) tried(ctx context.Context) call {
	if isTrial(ctx) {
		c.query = url.Values{"dry_run": {"true"}}
	}
	return c
}

// named refuses an empty name, which would make the path of another route.
func named(noun, name string) error {
	if name == "" || name == "." || name == ".." {
		return fault.Missing(noun, strconv.Quote(name))
	}
	return nil
}

// CreateClient asks POST /clients.
func (c *Client) CreateClient(ctx context.Context, in ClientInput) (ClientWithSecret, error) {
	return ask[ClientWithSecret](ctx, c, post(in, "clients").tried(ctx))
}

// UpdateClient asks PUT /clients/{id}.
func (c *Client) UpdateClient(ctx context.Context, client oauth2.Client, seen ...string) (oauth2.Client, error) {
	if err := named("client", client.ID); err != nil {
		return oauth2.Client{}, err
	}
	return ask[oauth2.Client](ctx, c, put(client, "clients", client.ID).ifStill(seen).tried(ctx))
}

// DeleteClient asks DELETE /clients/{id}.
func (c *Client) DeleteClient(ctx context.Context, id string, seen ...string) error {
	if err := named("client", id); err != nil {
		return err
	}
	return tell(ctx, c, remove("clients", id).ifStill(seen).tried(ctx))
}

// Client asks GET /clients/{id}.
func (c *Client) Client(ctx context.Context, id string) (oauth2.Client, error) {
	if err := named("client", id); err != nil {
		return oauth2.Client{}, err
	}
	return ask[oauth2.Client](ctx, c, get("clients", id))
}

// ClientWarnings asks GET /clients/{id}/warnings.
func (c *Client) ClientWarnings(ctx context.Context, id string) ([]string, error) {
	if err := named("client", id); err != nil {
		return nil, err
	}
	out, err := ask[warningList](ctx, c, get("clients", id, "warnings"))
	return out.Warnings, err
}

// Clients asks GET /clients.
func (c *Client) Clients(ctx context.Context, p identity.Page) (clients []oauth2.Client, next string, err error) {
	out, err := ask[clientPage](ctx, c, get("clients").with(pageQuery(p)))
	return out.Clients, out.Next, err
}

// RotateSecret asks POST /clients/{id}/secret.
func (c *Client) RotateSecret(ctx context.Context, id string, in RotateInput) (ClientWithSecret, error) {
	if err := named("client", id); err != nil {
		return ClientWithSecret{}, err
	}
	return ask[ClientWithSecret](ctx, c, post(in, "clients", id, "secret"))
}

// CreateUser asks POST /users.
func (c *Client) CreateUser(ctx context.Context, in UserInput) (identity.User, error) {
	return ask[identity.User](ctx, c, post(in, "users"))
}

// UpdateUser asks PUT /users/{id}.
func (c *Client) UpdateUser(ctx context.Context, u identity.User, seen ...string) (identity.User, error) {
	if err := named("user", u.ID); err != nil {
		return identity.User{}, err
	}
	return ask[identity.User](ctx, c, put(u, "users", u.ID).ifStill(seen))
}

// DeleteUser asks DELETE /users/{id}.
func (c *Client) DeleteUser(ctx context.Context, user string, seen ...string) error {
	if err := named("user", user); err != nil {
		return err
	}
	return tell(ctx, c, remove("users", user).ifStill(seen))
}

// User asks GET /users/{id}.
func (c *Client) User(ctx context.Context, user string) (identity.User, error) {
	if err := named("user", user); err != nil {
		return identity.User{}, err
	}
	return ask[identity.User](ctx, c, get("users", user))
}

// Users asks GET /users.
func (c *Client) Users(ctx context.Context, query string, p identity.Page) (users []identity.User, next string, err error) {
	q := pageQuery(p)
	if query != "" {
		q.Set("query", query)
	}
	out, err := ask[userPage](ctx, c, get("users").with(q))
	return out.Users, out.Next, err
}

// LockUser asks PUT /users/{id}/lock.
func (c *Client) LockUser(ctx context.Context, user, reason string) error {
	if err := named("user", user); err != nil {
		return err
	}
	return tell(ctx, c, put(lockInput{Reason: reason}, "users", user, "lock"))
}

// UnlockUser asks PUT /users/{id}/unlock.
func (c *Client) UnlockUser(ctx context.Context, user string) error {
	if err := named("user", user); err != nil {
		return err
	}
	return tell(ctx, c, put(nil, "users", user, "unlock"))
}

// SetPassword asks PUT /users/{id}/password.
func (c *Client) SetPassword(ctx context.Context, user, password string) error {
	if err := named("user", user); err != nil {
		return err
	}
	return tell(ctx, c, put(passwordInput{Password: password}, "users", user, "password"))
}

// Sessions asks GET /sessions or GET /users/{id}/sessions.
func (c *Client) Sessions(ctx context.Context, user string) ([]Session, error) {
	what := get("sessions")
	if user != "" {
		if err := named("user", user); err != nil {
			return nil, err
		}
		what = get("users", user, "sessions")
	}
	out, err := ask[sessionList](ctx, c, what)
	return out.Sessions, err
}

// EndSessions asks DELETE /users/{id}/sessions?ids=….
func (c *Client) EndSessions(ctx context.Context, user string, ids ...string) error {
	if len(ids) == 0 {
		return invalid("sessions_named", "Say which sessions shall end.")
	}
	if err := named("user", user); err != nil {
		return err
	}
	return tell(ctx, c, remove("users", user, "sessions").with(url.Values{"ids": {strings.Join(ids, ",")}}))
}

// EndAllSessions asks DELETE /users/{id}/sessions.
func (c *Client) EndAllSessions(ctx context.Context, user string) error {
	if user == "" {
		return invalid("user_named", "Say whose sessions shall end.")
	}
	if err := named("user", user); err != nil {
		return err
	}
	return tell(ctx, c, remove("users", user, "sessions"))
}

// Consents asks GET /users/{id}/consents.
func (c *Client) Consents(ctx context.Context, user string, p identity.Page) (consents []consent.Consent, next string, err error) {
	if err := named("user", user); err != nil {
		return nil, "", err
	}
	out, err := ask[consentPage](ctx, c, get("users", user, "consents").with(pageQuery(p)))
	return out.Consents, out.Next, err
}

// RevokeConsent asks DELETE /users/{id}/consents/{client}.
func (c *Client) RevokeConsent(ctx context.Context, user, clientID string) error {
	if err := named("user", user); err != nil {
		return err
	}
	if err := named("client", clientID); err != nil {
		return err
	}
	return tell(ctx, c, remove("users", user, "consents", clientID))
}

// Keys asks GET /keys.
func (c *Client) Keys(ctx context.Context) ([]keys.Listed, error) {
	out, err := ask[keyList](ctx, c, get("keys"))
	return out.Keys, err
}

// RotateKeys asks POST /keys/rotate.
func (c *Client) RotateKeys(ctx context.Context, alg string, now bool) ([]keys.Listed, error) {
	in := rotateKeysInput{Now: now}
	if alg != "" {
		in.Alg = &alg
	}
	out, err := ask[keyList](ctx, c, post(in, "keys", "rotate"))
	return out.Keys, err
}

// RevokeKey asks DELETE /keys/{id}.
func (c *Client) RevokeKey(ctx context.Context, id string) error {
	if err := named("key", id); err != nil {
		return err
	}
	return tell(ctx, c, remove("keys", id))
}

// CreateInitialToken asks POST /registration-tokens.
func (c *Client) CreateInitialToken(ctx context.Context, in InitialTokenInput) (InitialTokenWithSecret, error) {
	return ask[InitialTokenWithSecret](ctx, c, post(in, "registration-tokens"))
}

// InitialTokens asks GET /registration-tokens.
func (c *Client) InitialTokens(ctx context.Context) ([]oauth2.InitialToken, error) {
	out, err := ask[initialTokenList](ctx, c, get("registration-tokens"))
	return out.Tokens, err
}

// RevokeInitialToken asks DELETE /registration-tokens/{id}.
func (c *Client) RevokeInitialToken(ctx context.Context, id string) error {
	if err := named("registration_token", id); err != nil {
		return err
	}
	return tell(ctx, c, remove("registration-tokens", id))
}

// InspectToken asks POST /tokens/introspect.
func (c *Client) InspectToken(ctx context.Context, token string) (TokenInfo, error) {
	return ask[TokenInfo](ctx, c, post(tokenInput{Token: token}, "tokens", "introspect"))
}

// RevokeToken asks POST /tokens/revoke.
func (c *Client) RevokeToken(ctx context.Context, token string) (Revoked, error) {
	return ask[Revoked](ctx, c, post(tokenInput{Token: token}, "tokens", "revoke"))
}

// Events asks GET /events.
func (c *Client) Events(ctx context.Context, f audit.Filter) ([]audit.Event, error) {
	q := url.Values{}
	set := func(name, value string) {
		if value != "" && value != "0" {
			q.Set(name, value)
		}
	}
	set("after", strconv.FormatInt(f.After, 10))
	set("kind", string(f.Kind))
	set("sub", f.Subject)
	set("client_id", f.ClientID)
	set("reference", f.Reference)
	set("limit", strconv.Itoa(f.Limit))
	if !f.Since.IsZero() {
		set("since", f.Since.UTC().Format(time.RFC3339Nano))
	}
	if f.Newest {
		set("newest", "true")
	}
	out, err := ask[eventList](ctx, c, get("events").with(q))
	return out.Events, err
}

// TrailHead asks GET /events/head.
func (c *Client) TrailHead(ctx context.Context) (TrailHead, error) {
	return ask[TrailHead](ctx, c, get("events", "head"))
}

// Explain asks GET /events/explain/{ref}.
func (c *Client) Explain(ctx context.Context, reference string) (audit.Event, error) {
	if err := named("reference", reference); err != nil {
		return audit.Event{}, err
	}
	return ask[audit.Event](ctx, c, get("events", "explain", reference))
}

// SetupLink asks POST /setup-link.
func (c *Client) SetupLink(ctx context.Context) (string, error) {
	out, err := ask[setupLink](ctx, c, post(nil, "setup-link"))
	return out.URL, err
}

func pageQuery(p identity.Page) url.Values {
	q := url.Values{}
	if p.After != "" {
		q.Set("after", p.After)
	}
	if p.Limit > 0 {
		q.Set("limit", strconv.Itoa(p.Limit))
	}
	return q
}
