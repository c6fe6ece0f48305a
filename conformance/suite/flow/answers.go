package flow

import (
	"context"
	"strings"

	"github.com/gatekeeper-oidc/gatekeeper/conformance/suite"
)

// Server is a whole flow.
func Server() suite.Module {
	return suite.Module{
		Name: "server", Summary: "A person signs in and the application gets valid tokens.", Spec: "OpenID Connect Core 3",
		Run: func(ctx context.Context, c *suite.Case) error {
			_, _, err := c.Enter(ctx)
			return err
		},
	}
}

// ResponseTypeMissing sends no response_type.
func ResponseTypeMissing() suite.Module {
	return suite.Module{
		Name: "response-type-missing", Summary: "A request without response_type is refused.", Spec: "RFC 6749 3.1.1",
		Run: func(ctx context.Context, c *suite.Case) error {
			cl, err := c.Client(ctx)
			if err != nil {
				return err
			}
			mode := c.Variant.ResponseMode
			if mode == "" {
				mode = "query" // the default of no response type at all
			}
			r := c.Request(cl, "response_type", "").Answered(mode)
			v, err := c.Visit(ctx, c.Browser(), r)
			if err != nil {
				return err
			}
			return v.RefusedOr("unsupported_response_type", "invalid_request")
		},
	}
}

// IDTokenSignature looks at who signed the ID token.
func IDTokenSignature() suite.Module {
	return suite.Module{
		Name: "idtoken-signature", Summary: "The ID token is signed with RS256 by a published key.", Spec: "OpenID Connect Core 3.1.3.7",
		Run: func(ctx context.Context, c *suite.Case) error {
			l, _, err := c.Enter(ctx)
			if err != nil {
				return err
			}
			if alg := l.ID().Alg(); alg != "RS256" {
				return suite.Failf("the ID token is signed with %s, and the client registered nothing else than RS256", alg)
			}
			return c.Verify(ctx, l.ID())
		},
	}
}

// IDTokenUnsigned asks for an ID token without a signature.
func IDTokenUnsigned() suite.Module {
	return suite.Module{
		Name: "idtoken-unsigned", Summary: "An ID token is unsigned only where the provider offers that.", Spec: "OpenID Connect Core 2",
		For: suite.Variant.PureCode,
		Run: func(ctx context.Context, c *suite.Case) error {
			for _, alg := range c.Server.Metadata.IDTokenAlgs {
				if alg == "none" {
					return suite.Failf("the provider offers ID tokens without a signature")
				}
			}
			if c.Server.Metadata.Registration == "" {
				return suite.Skipf("the provider does not offer it (none is not among the algorithms)")
			}
			if err := c.Unregistrable(ctx, map[string]any{"id_token_signed_response_alg": "none"}, "invalid_client_metadata"); err != nil {
				return err
			}
			return suite.Skipf("the provider does not offer it, and refuses to register it")
		},
	}
}

// RequestWithoutNonceSucceeds leaves the nonce out where it is optional.
func RequestWithoutNonceSucceeds() suite.Module {
	return suite.Module{
		Name:    "ensure-request-without-nonce-succeeds-for-code-flow",
		Summary: "Where the answer has no ID token the nonce is optional, and absent from the token if it was from the request.",
		Spec:    "OpenID Connect Core 3.1.2.1",
		For:     func(v suite.Variant) bool { return v.Code() && !v.IDToken() },
		Run: func(ctx context.Context, c *suite.Case) error {
			_, _, err := c.Enter(ctx, "nonce", "")
			return err
		},
	}
}

// RequestWithoutNonceFails leaves the nonce out where it is required.
func RequestWithoutNonceFails() suite.Module {
	return suite.Module{
		Name: "ensure-request-without-nonce-fails", Summary: "Where the answer has an ID token, a request without nonce is refused.",
		Spec: "OpenID Connect Core 3.2.2.1", For: suite.Variant.IDToken,
		Run: func(ctx context.Context, c *suite.Case) error {
			v, err := visit(ctx, c, "nonce", "")
			if err != nil {
				return err
			}
			return v.Error("invalid_request")
		},
	}
}

// AlternateHappyFlow writes the request in another order.
func AlternateHappyFlow() suite.Module {
	return suite.Module{
		Name: "alternate-happy-flow", Summary: "The order of parameters and of scopes means nothing.", Spec: "RFC 6749 3.3",
		Run: func(ctx context.Context, c *suite.Case) error {
			cl, err := c.Client(ctx)
			if err != nil {
				return err
			}
			r := c.Request(cl, "scope", "email openid")
			r.Names = []string{"state", "scope", "redirect_uri", "nonce", "response_type", "client_id"}
			l, err := c.Login(ctx, c.Browser(), r)
			if err != nil {
				return err
			}
			return holds(c, l, "email")
		},
	}
}

// UnknownParameter sends a parameter nobody knows.
func UnknownParameter() suite.Module {
	return succeeds("ensure-request-with-unknown-parameter-succeeds", "A parameter that is not known is ignored.", "RFC 6749 3.1", "extra", "foobar")
}

// DisplayPage asks for a whole page.
func DisplayPage() suite.Module {
	return succeeds("display-page", "display=page causes no error.", "OpenID Connect Core 3.1.2.1", "display", "page")
}

// DisplayPopup asks for a small window.
func DisplayPopup() suite.Module {
	return succeeds("display-popup", "display=popup causes no error.", "OpenID Connect Core 3.1.2.1", "display", "popup")
}

// UILocales asks for pages in a language that may not be there.
func UILocales() suite.Module {
	return succeeds("ui-locales", "A language of pages that is not there causes no error.", "OpenID Connect Core 3.1.2.1", "ui_locales", "se")
}

// ClaimsLocales asks for claims in a language that may not be there.
func ClaimsLocales() suite.Module {
	return succeeds("claims-locales", "A language of claims that is not there causes no error.", "OpenID Connect Core 5.2", "claims_locales", "se")
}

// LoginHint names somebody nobody knows.
func LoginHint() suite.Module {
	return suite.Module{
		Name: "login-hint", Summary: "A hint at somebody who is not known causes no error.", Spec: "OpenID Connect Core 3.1.2.1",
		Run: func(ctx context.Context, c *suite.Case) error {
			_, _, err := c.Enter(ctx, "login_hint", "buffy@example.org")
			return err
		},
	}
}

// ACRValues asks for ways to authenticate.
func ACRValues() suite.Module {
	return suite.Module{
		Name: "ensure-request-with-acr-values-succeeds", Summary: "Asking for an acr causes no error, and the ID token says which one it was.",
		Spec: "OpenID Connect Core 3.1.2.1",
		Run: func(ctx context.Context, c *suite.Case) error {
			asked := c.Server.Metadata.ACRs
			if len(asked) == 0 {
				asked = []string{"1", "2"}
			}
			l, _, err := c.Enter(ctx, "acr_values", strings.Join(asked, " "))
			if err != nil {
				return err
			}
			got := l.ID().Text("acr")
			for _, acr := range asked {
				if acr == got {
					return nil
				}
			}
			c.Warnf("", "the ID token says acr %q, which is none of those asked for", got)
			return nil
		},
	}
}

// PostRequest sends the request in the body, from the application's own page.
func PostRequest() suite.Module {
	return suite.Module{
		Name: "ensure-post-request-succeeds", Summary: "The authorization endpoint takes a POST as it takes a GET.", Spec: "OpenID Connect Core 3.1.2.1",
		For: suite.Variant.PureCode,
		Run: func(ctx context.Context, c *suite.Case) error {
			cl, err := c.Client(ctx)
			if err != nil {
				return err
			}
			r, b := c.Request(cl), c.Browser()
			p, err := b.Submit(ctx, r.Origin(), c.Server.Metadata.Authorization, r.Params)
			if err != nil {
				return err
			}
			v, err := c.Finish(ctx, b, r, p)
			if err != nil {
				return err
			}
			_, err = c.Complete(ctx, v, r)
			return err
		},
	}
}

// ValidPKCE sends a challenge.
func ValidPKCE() suite.Module {
	return suite.Module{
		Name: "ensure-request-with-valid-pkce-succeeds", Summary: "A request with a PKCE challenge works with its verifier.", Spec: "RFC 7636 4",
		For: suite.Variant.Code,
		Run: func(ctx context.Context, c *suite.Case) error {
			cl, err := c.Client(ctx)
			if err != nil {
				return err
			}
			_, err = c.Login(ctx, c.Browser(), c.Request(cl).Challenge())
			return err
		},
	}
}

// RegisteredRedirectURI sends an address that is not registered.
func RegisteredRedirectURI() suite.Module {
	return suite.Module{
		Name: "ensure-registered-redirect-uri", Summary: "A redirect_uri that is not registered ends on an error page, never there.",
		Spec: "OpenID Connect Core 3.1.2.1",
		Run: func(ctx context.Context, c *suite.Case) error {
			cl, err := c.Client(ctx)
			if err != nil {
				return err
			}
			v, err := c.Visit(ctx, c.Browser(), c.Request(cl, "redirect_uri", suite.Elsewhere(cl.RedirectURIs[0])))
			if err != nil {
				return err
			}
			return v.Refused()
		},
	}
}

// succeeds is a module whose change to the request must not matter.
func succeeds(name, summary, spec string, change ...string) suite.Module {
	return suite.Module{Name: name, Summary: summary, Spec: spec, Run: func(ctx context.Context, c *suite.Case) error {
		_, _, err := c.Enter(ctx, change...)
		return err
	}}
}

// visit sends a fresh browser with a changed request.
func visit(ctx context.Context, c *suite.Case, change ...string) (*suite.Visit, error) {
	cl, err := c.Client(ctx)
	if err != nil {
		return nil, err
	}
	return c.Visit(ctx, c.Browser(), c.Request(cl, change...))
}
