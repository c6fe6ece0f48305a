package login

import (
	"context"
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

// PasswordStep asks for a sign-in when nobody is signed in, when it was too long
// ago, when the application wants it done anew, or when it was somebody else.
type PasswordStep struct {
	Now func() time.Time
}

// Path implements oauth2.Step.
func (*PasswordStep) Path() string { return pathLogin }

// Needed implements oauth2.Step; its reason is login_required.
func (p *PasswordStep) Needed(ctx context.Context, in oauth2.Interaction) (reason string, err error) {
	s, u, ok := identity.FromContext(ctx)
	switch {
	case !ok || !asked(in.Request, u):
		return loginRequired, nil
	case proven(in, s):
		return "", nil
	case in.Request.HasPrompt("login"), in.Request.HasPrompt("create"), p.stale(in.Request, s):
		return loginRequired, nil
	default:
		return "", nil
	}
}

// stale reports whether s signed in too long ago for the request; its max_age is
// the client's default_max_age where it named none (OpenID Connect Core section
// 3.1.2.1). Zero always asks.
func (p *PasswordStep) stale(req oauth2.AuthorizeRequest, s identity.Session) bool {
	if req.MaxAge == nil {
		return false
	}
	age := time.Duration(*req.MaxAge) * time.Second
	return age == 0 || p.Now().Sub(s.AuthTime) > age
}

// asked reports whether u is whom the application asked for by id_token_hint, if
// it asked for anybody.
func asked(req oauth2.AuthorizeRequest, u identity.User) bool {
	return req.HintSubject == "" || req.HintSubject == u.ID
}

// proven reports whether s signed in within the interaction. Only a sign-in says
// so: a session that was chosen, or consented in, has proved nothing, and the time
// of its own sign-in, in whole seconds, does not tell it from one.
func proven(in oauth2.Interaction, s identity.Session) bool { return in.Authenticated == s.ID }

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
