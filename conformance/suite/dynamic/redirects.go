package dynamic

import (
	"context"

	"github.com/gatekeeper-oidc/gatekeeper/conformance/suite"
)

// RedirectURIInRequest leaves the redirect URI out though two are registered.
func RedirectURIInRequest() suite.Module {
	return suite.Module{
		Name: "ensure-redirect-uri-in-authorization-request", Summary: "A request without redirect_uri is refused.", Spec: "OpenID Connect Core 3.1.2.1",
		Run: func(ctx context.Context, c *suite.Case) error {
			cl, err := c.Register(ctx, map[string]any{"redirect_uris": []string{c.Target.Redirect, suite.Elsewhere(c.Target.Redirect)}})
			if err != nil {
				return err
			}
			v, err := c.Visit(ctx, c.Browser(), c.Request(cl).Outside("redirect_uri", ""))
			if err != nil {
				return err
			}
			return v.RefusedOr("invalid_request")
		},
	}
}

// RedirectQueryOK registers a redirect URI with a query.
func RedirectQueryOK() suite.Module {
	return suite.Module{
		Name: "redirect-uri-query-OK", Summary: "The query of a registered redirect URI is kept.", Spec: "RFC 6749 3.1.2",
		Run: func(ctx context.Context, c *suite.Case) error {
			uri := suite.WithQuery(c.Target.Redirect, "foo=bar")
			cl, err := c.Register(ctx, map[string]any{"redirect_uris": []string{uri}})
			if err != nil {
				return err
			}
			_, err = c.Login(ctx, c.Browser(), c.Request(cl))
			return err
		},
	}
}

// RedirectQueryMismatch asks with another query than the registered one.
func RedirectQueryMismatch() suite.Module {
	return another("redirect-uri-query-mismatch", "A redirect URI with another query is another one.", "foo=bar", "bar=foo")
}

// RedirectQueryAdded asks with a query where none is registered.
func RedirectQueryAdded() suite.Module {
	return another("redirect-uri-query-added", "A redirect URI with a query added is another one.", "", "bar=foo")
}

func another(name, summary, registered, asked string) suite.Module {
	return suite.Module{
		Name: name, Summary: summary, Spec: "OpenID Connect Core 3.1.2.1",
		Run: func(ctx context.Context, c *suite.Case) error {
			uri := c.Target.Redirect
			if registered != "" {
				uri = suite.WithQuery(uri, registered)
			}
			cl, err := c.Register(ctx, map[string]any{"redirect_uris": []string{uri}})
			if err != nil {
				return err
			}
			v, err := c.Visit(ctx, c.Browser(), c.Request(cl, "redirect_uri", suite.WithQuery(c.Target.Redirect, asked)))
			if err != nil {
				return err
			}
			return v.Refused()
		},
	}
}

// RedirectFragment registers a redirect URI with a fragment.
func RedirectFragment() suite.Module {
	return suite.Module{
		Name: "redirect-uri-regfrag", Summary: "A redirect URI with a fragment cannot be registered.", Spec: "RFC 6749 3.1.2",
		Run: func(ctx context.Context, c *suite.Case) error {
			return c.Unregistrable(ctx, map[string]any{"redirect_uris": []string{c.Target.Redirect + "#fragment"}}, "invalid_redirect_uri", "invalid_client_metadata")
		},
	}
}
