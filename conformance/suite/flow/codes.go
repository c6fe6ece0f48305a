package flow

import (
	"context"
	"time"

	"github.com/gatekeeper-oidc/gatekeeper/conformance/suite"
)

// CodeReuse redeems a code twice at once.
func CodeReuse() suite.Module {
	return suite.Module{
		Name: "codereuse", Summary: "A code works once.", Spec: "RFC 6749 4.1.2", For: suite.Variant.Code,
		Run: func(ctx context.Context, c *suite.Case) error {
			_, err := reuse(ctx, c, 0)
			return err
		},
	}
}

// CodeReuse30 redeems a code a second time later.
func CodeReuse30() suite.Module {
	return suite.Module{
		Name: "codereuse-30seconds", Summary: "A code works once, and trying it again revokes what it gave.", Spec: "RFC 6749 4.1.2", For: suite.Variant.Code,
		Run: func(ctx context.Context, c *suite.Case) error {
			access, err := reuse(ctx, c, c.Target.Pause)
			if err != nil {
				return err
			}
			if err := c.DeadAccess(ctx, access); err != nil {
				c.Warnf("", "%v", err)
			}
			return nil
		},
	}
}

func reuse(ctx context.Context, c *suite.Case, pause time.Duration) (access string, err error) {
	l, _, err := c.Enter(ctx)
	if err != nil {
		return "", err
	}
	if err := c.Wait(ctx, pause); err != nil {
		return "", err
	}
	return l.Tokens.Access, c.Redemption(ctx, l.Request.Client, l.Request.TokenRequest(l.Answer.Get("code")), "invalid_grant")
}

// ClientSecretPost authenticates in the body.
func ClientSecretPost() suite.Module {
	return suite.Module{
		Name: "server-client-secret-post", Summary: "An application may authenticate with its secret in the body.", Spec: "RFC 6749 2.3.1", For: suite.Variant.Code,
		Run: func(ctx context.Context, c *suite.Case) error {
			cl, err := c.ClientWith(ctx, "client_secret_post")
			if err != nil {
				return err
			}
			_, err = c.Login(ctx, c.Browser(), c.Request(cl))
			return err
		},
	}
}

// RefreshToken spends a refresh token.
func RefreshToken() suite.Module {
	return suite.Module{
		Name: "refresh-token", Summary: "A refresh token gives new tokens about the same sign-in, to its own application only.",
		Spec: "OpenID Connect Core 12", For: suite.Variant.Code,
		Run: func(ctx context.Context, c *suite.Case) error {
			l, _, err := c.Enter(ctx, "scope", "openid offline_access", "prompt", "consent")
			if err != nil {
				return err
			}
			if l.Tokens.Refresh == "" {
				return suite.Skipf("the provider gives no refresh token")
			}
			next, err := c.Refreshed(ctx, l.Request.Client, l.Tokens.Refresh, "scope", "openid offline_access")
			if err != nil {
				return err
			}
			if next.Access == l.Tokens.Access {
				return suite.Brokef("RFC 6749 6", "the access token is the old one")
			}
			if err := refreshedID(ctx, c, l, next.ID); err != nil {
				return err
			}
			return foreign(ctx, c, l, next)
		},
	}
}

// refreshedID holds a new ID token to the first one (OpenID Connect Core 12.2).
func refreshedID(ctx context.Context, c *suite.Case, l *suite.Login, id *suite.JWT) error {
	if id == nil {
		return nil // it is optional
	}
	first := l.ID()
	for _, claim := range []string{"iss", "sub", "azp"} {
		if id.Text(claim) != first.Text(claim) {
			return suite.Brokef("OpenID Connect Core 12.2", "%s of the new ID token is another", claim)
		}
	}
	if first.Time("auth_time") != 0 && id.Time("auth_time") != first.Time("auth_time") {
		return suite.Brokef("OpenID Connect Core 12.2", "auth_time of the new ID token is another, and nobody signed in")
	}
	return c.CheckID(ctx, id, suite.Expect{
		Client: l.Request.Client, Nonce: l.Request.Get("nonce"), Refreshed: true, WithAccess: true, Scope: l.Request.Get("scope"),
	})
}

// foreign tries the refresh token as another application.
func foreign(ctx context.Context, c *suite.Case, l *suite.Login, next *suite.Tokens) error {
	token := next.Refresh
	if token == "" {
		token = l.Tokens.Refresh
	}
	other, err := c.Other(ctx)
	if err != nil {
		return nil //nolint:nilerr // the run knows no second application; the rest was put to the test
	}
	reply, err := c.Refresh(ctx, other, token)
	if err != nil {
		return err
	}
	return c.Refused(reply, "invalid_grant")
}
