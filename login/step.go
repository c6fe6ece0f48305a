package login

import (
	"context"
	"fmt"
	"time"

	"github.com/gatekeeper-oidc/gatekeeper/identity"
	"github.com/gatekeeper-oidc/gatekeeper/oauth2"
)

// The reasons of our steps, which prompt=none turns into errors (OpenID Connect
// Core section 3.1.2.6).
const (
	loginRequired     = "login_required"
	selectionRequired = "account_selection_required"
)

// A Clients finds registered applications; oauth2.Provider is one.
type Clients interface {
	Client(ctx context.Context, id string) (oauth2.Client, error)
}

// PasswordStep asks for a sign-in when nobody is signed in, when it was too long
// ago, when the application wants it done anew, or when it was somebody else.
type PasswordStep struct {
	Clients Clients
	Now     func() time.Time
}

// Path implements oauth2.Step.
func (*PasswordStep) Path() string { return pathLogin }

// Needed implements oauth2.Step; its reason is login_required.
func (p *PasswordStep) Needed(ctx context.Context, in oauth2.Interaction) (reason string, err error) {
	s, u, ok := identity.FromContext(ctx)
	if !ok || !asked(in.Request, u) {
		return loginRequired, nil
	}
	if proven(in, s) {
		return "", nil
	}
	if in.Request.HasPrompt("login") || in.Request.HasPrompt("create") {
		return loginRequired, nil
	}
	age, limited, err := p.maxAge(ctx, in.Request)
	if err != nil {
		return "", err
	}
	if limited && (age == 0 || p.Now().Sub(s.AuthTime) > age) {
		return loginRequired, nil
	}
	return "", nil
}

// maxAge returns how long ago the sign-in may be: max_age of the request, or else
// default_max_age of the client (OpenID Connect Core section 3.1.2.1).
func (p *PasswordStep) maxAge(ctx context.Context, req oauth2.AuthorizeRequest) (age time.Duration, limited bool, err error) {
	if req.MaxAge != nil {
		return time.Duration(*req.MaxAge) * time.Second, true, nil
	}
	c, err := p.Clients.Client(ctx, req.ClientID)
	if err != nil {
		return 0, false, fmt.Errorf("default_max_age of client %s: %w", req.ClientID, err)
	}
	if c.DefaultMaxAge == nil {
		return 0, false, nil
	}
	return time.Duration(*c.DefaultMaxAge) * time.Second, true, nil
}

// asked reports whether u is whom the application asked for by id_token_hint, if
// it asked for anybody.
func asked(req oauth2.AuthorizeRequest, u identity.User) bool {
	return req.HintSubject == "" || req.HintSubject == u.ID
}

// proven reports whether s signed in within the interaction. Selected alone says
// chosen; the time says signed in. A sign-in is stamped in whole seconds, so an
// interaction counts from the start of its second.
func proven(in oauth2.Interaction, s identity.Session) bool {
	return in.Selected == s.ID && !s.AuthTime.Before(in.CreatedAt.Truncate(time.Second))
}

// SelectStep asks which account to go on with when the application wants it asked
// (prompt=select_account).
type SelectStep struct{}

// Path implements oauth2.Step.
func (SelectStep) Path() string { return pathSelect }

// Needed implements oauth2.Step; its reason is account_selection_required.
func (SelectStep) Needed(ctx context.Context, in oauth2.Interaction) (reason string, err error) {
	if s, _, ok := identity.FromContext(ctx); in.Request.HasPrompt("select_account") && (!ok || in.Selected != s.ID) {
		return selectionRequired, nil
	}
	return "", nil
}
