package deployment

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"github.com/gatekeeper-oidc/gatekeeper/conformance/suite"
)

// CodeReplay redeems a code twice, and looks what becomes of its tokens.
func CodeReplay() suite.Module {
	return suite.Module{
		Name: "code-replay", Summary: "A code works once; trying it again revokes what it gave.", Spec: "RFC 9700 4.10",
		Run: func(ctx context.Context, c *suite.Case) error {
			l, _, err := c.Enter(ctx, "scope", "openid offline_access", "prompt", "consent")
			if err != nil {
				return err
			}
			if err := c.Redemption(ctx, l.Request.Client, l.Request.TokenRequest(l.Answer.Get("code")), "invalid_grant"); err != nil {
				return err
			}
			if err := c.DeadAccess(ctx, l.Tokens.Access); err != nil {
				return err
			}
			return deadRefresh(ctx, c, l.Request.Client, l.Tokens.Refresh)
		},
	}
}

// deadRefresh holds a refresh token, if there is one, to being refused.
func deadRefresh(ctx context.Context, c *suite.Case, cl *suite.Client, token string) error {
	if token == "" {
		return nil
	}
	r, err := c.Refresh(ctx, cl, token)
	if err != nil {
		return err
	}
	return c.Refused(r, "invalid_grant")
}

// CodeOfAnother redeems a code as another application.
func CodeOfAnother() suite.Module {
	return suite.Module{
		Name: "code-of-another", Summary: "A code is worth nothing to another application.", Spec: "RFC 6749 4.1.3",
		Run: func(ctx context.Context, c *suite.Case) error {
			other, err := c.Other(ctx)
			if err != nil {
				return err
			}
			r, code, err := challenged(ctx, c)
			if err != nil {
				return err
			}
			if err := c.Redemption(ctx, other, r.TokenRequest(code), "invalid_grant"); err != nil {
				return err
			}
			_, err = c.Redeem(ctx, r, code) // and the rightful application still gets its tokens
			return err
		},
	}
}

// RefreshReuse spends a refresh token that two others have replaced.
func RefreshReuse() suite.Module {
	return suite.Module{
		Name: "refresh-reuse", Summary: "A refresh token that was replaced is theft: using it ends the sign-in's tokens.", Spec: "RFC 9700 4.14.2",
		Run: func(ctx context.Context, c *suite.Case) error {
			l, _, err := c.Enter(ctx, "scope", "openid offline_access", "prompt", "consent")
			if err != nil {
				return err
			}
			cl, first := l.Request.Client, l.Tokens.Refresh
			if first == "" {
				return suite.Skipf("the provider gives no refresh token")
			}
			last := l.Tokens
			for range 2 {
				if last, err = c.Refreshed(ctx, cl, last.Refresh); err != nil {
					return err
				}
				if last.Refresh == "" || last.Refresh == first {
					return suite.Skipf("the provider does not rotate refresh tokens")
				}
			}
			if err := deadRefresh(ctx, c, cl, first); err != nil {
				return err
			}
			if err := deadRefresh(ctx, c, cl, last.Refresh); err != nil {
				return suite.Failf("after an old refresh token was used, the newest still works: %v", err)
			}
			return c.DeadAccess(ctx, last.Access)
		},
	}
}

// Revocation revokes both kinds of token.
func Revocation() suite.Module {
	return suite.Module{
		Name: "revocation", Summary: "A revoked token is dead; revoking a token nobody knows is no error.", Spec: "RFC 7009 2",
		Run: func(ctx context.Context, c *suite.Case) error {
			endpoint := c.Server.Metadata.Revocation
			if endpoint == "" {
				return suite.Skipf("no revocation_endpoint is advertised")
			}
			l, _, err := c.Enter(ctx, "scope", "openid offline_access", "prompt", "consent")
			if err != nil {
				return err
			}
			for _, token := range []string{"unknown", l.Tokens.Access, l.Tokens.Refresh} {
				r, err := c.Post(ctx, endpoint, l.Request.Client, url.Values{"token": {token}})
				if err != nil {
					return err
				}
				if token != "" && r.Status != http.StatusOK {
					return suite.Failf("revoking answered %d %s", r.Status, r.Text("error"))
				}
			}
			if err := c.DeadAccess(ctx, l.Tokens.Access); err != nil {
				return err
			}
			return deadRefresh(ctx, c, l.Request.Client, l.Tokens.Refresh)
		},
	}
}

// Introspection asks about a token while it lives and after.
func Introspection() suite.Module {
	return suite.Module{
		Name: "introspection", Summary: "Introspection tells a living token from any other, to who may ask.", Spec: "RFC 7662 2",
		Run: func(ctx context.Context, c *suite.Case) error {
			endpoint := c.Server.Metadata.Introspection
			if endpoint == "" {
				return suite.Skipf("no introspection_endpoint is advertised")
			}
			l, _, err := c.Enter(ctx)
			if err != nil {
				return err
			}
			cl := l.Request.Client
			for _, q := range []struct {
				token string
				alive bool
			}{{l.Tokens.Access, true}, {"unknown", false}} {
				r, err := c.Post(ctx, endpoint, cl, url.Values{"token": {q.token}})
				if err != nil {
					return err
				}
				if alive, ok := r.JSON["active"].(bool); r.Status != http.StatusOK || !ok || alive != q.alive {
					return suite.Failf("introspection answered %d, active %v; the token is alive: %t", r.Status, r.JSON["active"], q.alive)
				}
				if !q.alive && len(r.JSON) != 1 {
					return suite.Brokef("RFC 7662 2.2", "of a token that is not alive more is said than that")
				}
			}
			anonymous, err := c.Post(ctx, endpoint, nil, url.Values{"token": {l.Tokens.Access}})
			if err != nil {
				return err
			}
			return c.Refused(anonymous, "invalid_client", "invalid_request")
		},
	}
}

// UserinfoRefusals asks userinfo without a token that counts.
func UserinfoRefusals() suite.Module {
	return suite.Module{
		Name: "userinfo-refusals", Summary: "Userinfo asks for a token, refuses a wrong one, and takes none in the address.", Spec: "RFC 6750 3",
		Run: func(ctx context.Context, c *suite.Case) error {
			endpoint := c.Server.Metadata.Userinfo
			if endpoint == "" {
				return suite.Skipf("no userinfo_endpoint is advertised")
			}
			for _, headers := range [][]string{nil, {"Authorization", "Bearer wrong"}, {"Authorization", "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0."}} {
				r, err := c.Get(ctx, endpoint, headers...)
				if err != nil {
					return err
				}
				if challenge := r.Header.Get("WWW-Authenticate"); r.Status != http.StatusUnauthorized || !strings.HasPrefix(strings.ToLower(challenge), "bearer") {
					return suite.Failf("it answers %d with WWW-Authenticate %q, not 401 with Bearer", r.Status, challenge)
				}
			}
			l, _, err := c.Enter(ctx)
			if err != nil {
				return err
			}
			r, err := c.Get(ctx, suite.WithQuery(endpoint, "access_token="+url.QueryEscape(l.Tokens.Access)))
			if err != nil {
				return err
			}
			if r.Status < 400 || r.Status > 499 {
				return suite.Brokef("RFC 9700 4.3.2", "a token in the address is taken (status %d)", r.Status)
			}
			return nil
		},
	}
}

// TokenRefusals asks the token endpoint for what it must refuse.
func TokenRefusals() suite.Module {
	return suite.Module{
		Name: "token-refusals", Summary: "The token endpoint refuses by the book.", Spec: "RFC 6749 5.2",
		Run: func(ctx context.Context, c *suite.Case) error {
			cl, err := c.Client(ctx)
			if err != nil {
				return err
			}
			thief := *cl
			thief.Secret, thief.Key = "not-the-secret-of-anybody", nil
			if thief.AuthMethod != "client_secret_post" {
				thief.AuthMethod = "client_secret_basic"
			}
			code := url.Values{"grant_type": {"authorization_code"}, "code": {"unknown"}, "redirect_uri": {cl.RedirectURIs[0]}}
			for _, q := range []struct {
				as    *suite.Client
				form  url.Values
				codes []string
			}{
				{&thief, code, []string{"invalid_client"}},
				{cl, code, []string{"invalid_grant"}},
				{cl, url.Values{"grant_type": {"authorization_code"}}, []string{"invalid_request", "invalid_grant"}},
				{cl, url.Values{"grant_type": {"urn:example:unknown"}}, []string{"unsupported_grant_type"}},
				{cl, url.Values{}, []string{"invalid_request", "unsupported_grant_type"}},
				{cl, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {"unknown"}}, []string{"invalid_grant"}},
				{cl, url.Values{"grant_type": {"password"}, "username": {"x"}, "password": {"y"}}, []string{"unsupported_grant_type", "unauthorized_client"}},
			} {
				r, err := c.Post(ctx, c.Server.Metadata.Token, q.as, q.form)
				if err != nil {
					return err
				}
				if err := c.Refused(r, q.codes...); err != nil {
					return suite.Failf("grant_type %q: %v", q.form.Get("grant_type"), err)
				}
			}
			r, err := c.Get(ctx, suite.WithQuery(c.Server.Metadata.Token, code.Encode()))
			if err != nil {
				return err
			}
			if r.Status < 400 || r.Status > 499 {
				return suite.Brokef("RFC 6749 3.2", "the token endpoint takes a GET (status %d)", r.Status)
			}
			return nil
		},
	}
}

// LogoutEnds signs out.
func LogoutEnds() suite.Module {
	return suite.Module{
		Name: "logout-ends-session", Summary: "Signing out ends the session: prompt=none is login_required afterwards.", Spec: "OpenID Connect RP-Initiated Logout 2",
		Run: func(ctx context.Context, c *suite.Case) error {
			if c.Server.Metadata.EndSession == "" {
				return suite.Skipf("no end_session_endpoint is advertised")
			}
			l, b, err := c.Enter(ctx)
			if err != nil {
				return err
			}
			p, err := b.Open(ctx, suite.WithQuery(c.Server.Metadata.EndSession, "id_token_hint="+url.QueryEscape(l.ID().Raw)))
			if err == nil && p.Kind() == suite.LogoutPage {
				p, err = b.Press(ctx, p, "logout-confirm")
			}
			if err != nil {
				return err
			}
			if p.Status >= 400 {
				return suite.Failf("signing out ends on %s", p)
			}
			v, err := c.Visit(ctx, b, c.Request(l.Request.Client, "prompt", "none"))
			if err != nil {
				return err
			}
			return v.Error("login_required")
		},
	}
}
