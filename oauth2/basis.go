package oauth2

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
)

// What this server hands out stands on a client's registration, a person, their
// session and their consent, and none of it outlives what it stands on:
//
//	a waiting request     asked again when it goes on, by the tables it came through
//	a code, a device code asked when it is redeemed: by these checks, and once more by the statement that writes
//	a refresh token       the same, each time
//	an access token       asked by the liveness rule (Inspect), each time
//
// The checks may read a cache. The statement reads the truth, and sends back whoever
// decided by something else.

// basis is what the grant of a client is written on. A consent is wanted of every
// client that people are asked about.
func (c *Client) basis() *Basis {
	return &Basis{Version: c.UpdatedAt, Registration: c.Registration, Consent: !c.FirstParty}
}

// sameRegistration reports whether something that was given to a registration is c's.
// What was made before there were any does not say.
func (c *Client) sameRegistration(given string) bool {
	return given == "" || given == c.Registration
}

// before reports whether something that says only when it was made is older than the
// registration of c, and so was made for another.
func before(issuedAt int64, c *Client) bool {
	return issuedAt < c.CreatedAt.Unix()
}

// redemptionChecks hold what was authorized to the registration as it is now.
var redemptionChecks = []struct {
	rule string
	run  func(w *work) *fault.Error
}{
	{"registration_same", stillSameRegistration},
	{"response_type_registered", stillAnswersWithCode},
	{"redirect_uri_registered", stillRedirects},
	{"scope_registered", stillScoped},
}

func (w *work) checkRedemption() error {
	for _, c := range redemptionChecks {
		if f := c.run(w); f != nil {
			return decidedBy(c.rule, f.With("client_id", w.client.ID))
		}
	}
	return nil
}

func stillSameRegistration(w *work) *fault.Error {
	if w.client.sameRegistration(w.grant.Registration) {
		return nil
	}
	return invalid("invalid_grant", "It was given to an application that has been deleted since.")
}

// stillAnswersWithCode is about codes only: a device has no response type.
func stillAnswersWithCode(w *work) *fault.Error {
	registered := w.client.ResponseTypes
	if w.code == nil || len(registered) == 0 || slices.ContainsFunc(registered, func(t string) bool {
		r, ok := parseResponseType(t)
		return ok && r.code
	}) {
		return nil
	}
	return invalid("invalid_grant", "The application is no longer registered for codes.").With("registered", strings.Join(registered, ", "))
}

// stillRedirects is asked of the redirect URI the code was sent to. Another one is
// the engine's to refuse.
func stillRedirects(w *work) *fault.Error {
	if w.code == nil {
		return nil
	}
	uri := w.form.Get("redirect_uri")
	sum := sha256.Sum256([]byte(uri))
	if subtle.ConstantTimeCompare(sum[:], w.code.Redirect) != 1 || redirectAllowed(w.client, uri) {
		return nil
	}
	return invalid("invalid_grant", "The redirect URI of the code is no longer registered.").With("received", clip(uri, 2048))
}

// stillScoped drops what has left the registration, and refuses what nothing is left
// of.
func stillScoped(w *work) *fault.Error {
	left := w.client.registered(w.grant.Scopes)
	if len(left) == 0 && len(w.grant.Scopes) > 0 {
		return invalid("invalid_grant", "None of the scopes is registered for the application any more.").
			With("granted", strings.Join(w.grant.Scopes, " "))
	}
	w.scopes = append([]string{}, left...)
	for _, g := range [...]*Grant{&w.grant, &w.whole} {
		g.Scopes = left
		g.Offline = g.has("offline_access")
	}
	return nil
}

// registered returns those of scopes that c is registered for.
func (c *Client) registered(scopes []string) []string {
	return slices.DeleteFunc(slices.Clone(scopes), func(s string) bool { return !slices.Contains(c.Scopes, s) })
}

// outlives reports whether what c was given with scopes may live without its session:
// offline_access was granted, and c is still registered for it.
func (c *Client) outlives(scopes []string) bool {
	return slices.Contains(scopes, "offline_access") && slices.Contains(c.Scopes, "offline_access")
}

// exchange serves the token endpoint. If the client has changed between its reading
// and the writing, the grant is decided once more, by what it is now.
func (p *Provider) exchange(r *http.Request, form url.Values) (answer, error) {
	c, err := p.AuthenticateClient(r, form)
	if err != nil {
		return answer{}, err
	}
	out, err := p.grantTokens(r.Context(), &c, form)
	if !errors.Is(err, ErrClientChanged) {
		return out, err
	}
	now, err := p.changedClient(r.Context(), &c)
	if err != nil {
		return answer{}, err
	}
	out, err = p.grantTokens(r.Context(), &now, form)
	if errors.Is(err, ErrClientChanged) {
		err = fault.Down("client", err)
	}
	return out, err
}

// changedClient reads a client anew, after something it was decided by has changed.
func (p *Provider) changedClient(ctx context.Context, c *Client) (Client, error) {
	p.Forget("client:" + c.ID)
	now, err := p.Client(ctx, c.ID)
	if fault.Is(err, fault.NotFound) || err == nil && now.Registration != c.Registration {
		return Client{}, invalidGrant("registration_same", "It was given to an application that has been deleted since.").With("client_id", c.ID)
	}
	return now, err
}

// basisGone says that what something would be written on is no more.
func basisGone() error {
	return invalidGrant("authorization_stands", "The person has signed out, may no longer sign in, or has withdrawn their consent.")
}
