package deployment

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/gatekeeper-oidc/gatekeeper/conformance/suite"
)

// challenged signs somebody in with a PKCE challenge and returns the code unspent.
func challenged(ctx context.Context, c *suite.Case) (r *suite.Request, code string, err error) {
	cl, err := c.Client(ctx)
	if err != nil {
		return nil, "", err
	}
	r = c.Request(cl).Challenge()
	v, err := c.Visit(ctx, c.Browser(), r)
	if err != nil {
		return nil, "", err
	}
	a, err := v.Success()
	if err != nil {
		return nil, "", err
	}
	return r, a.Get("code"), nil
}

// PKCEWrongVerifier redeems a code with another verifier.
func PKCEWrongVerifier() suite.Module {
	return spoiled("pkce-wrong-verifier", "A code needs the verifier of its challenge.", "RFC 7636 4.6", func(form url.Values, _ *suite.Request) {
		form.Set("code_verifier", strings.Repeat("w", 43))
	})
}

// PKCEMissingVerifier redeems a code without its verifier.
func PKCEMissingVerifier() suite.Module {
	return spoiled("pkce-missing-verifier", "A code with a challenge cannot be redeemed without the verifier.", "RFC 7636 4.6", func(form url.Values, _ *suite.Request) {
		form.Del("code_verifier")
	})
}

// CodeRedirectURI redeems a code with another redirect URI.
func CodeRedirectURI() suite.Module {
	return spoiled("code-redirect-uri", "A code is redeemed with the redirect_uri it was sent to.", "RFC 6749 4.1.3", func(form url.Values, r *suite.Request) {
		form.Set("redirect_uri", suite.Elsewhere(r.Get("redirect_uri")))
	})
}

// spoiled is a module that redeems a code with something wrong, which must fail,
// and then right: somebody else's mistake must not take the code away.
func spoiled(name, summary, spec string, spoil func(form url.Values, r *suite.Request)) suite.Module {
	return suite.Module{Name: name, Summary: summary, Spec: spec, Run: func(ctx context.Context, c *suite.Case) error {
		r, code, err := challenged(ctx, c)
		if err != nil {
			return err
		}
		form := r.TokenRequest(code)
		spoil(form, r)
		return c.Redemption(ctx, r.Client, form, "invalid_grant", "invalid_request")
	}}
}

// PKCEPlain asks with a challenge that is the verifier itself.
func PKCEPlain() suite.Module {
	return suite.Module{
		Name: "pkce-plain", Summary: "A challenge that is the verifier itself (plain) is refused.", Spec: "RFC 9700 2.1.1",
		Run: func(ctx context.Context, c *suite.Case) error {
			if slices.Contains(c.Server.Metadata.CodeChallenges, "plain") {
				return suite.Failf("code_challenge_methods_supported has plain")
			}
			v, err := visit(ctx, c, "code_challenge", strings.Repeat("p", 43), "code_challenge_method", "plain")
			if err != nil {
				return err
			}
			return v.RefusedOr("invalid_request")
		},
	}
}

// PKCEDowngrade redeems a code of a request without challenge with a verifier.
func PKCEDowngrade() suite.Module {
	return suite.Module{
		Name: "pkce-downgrade", Summary: "A request whose challenge was taken away gives no code that a verifier redeems.", Spec: "RFC 9700 4.8.2",
		Run: func(ctx context.Context, c *suite.Case) error {
			cl, err := c.Client(ctx)
			if err != nil {
				return err
			}
			r := c.Request(cl, "code_challenge", "", "code_challenge_method", "")
			v, err := c.Visit(ctx, c.Browser(), r)
			if err != nil {
				return err
			}
			if v.Answer == nil || v.Answer.Get("code") == "" {
				return v.RefusedOr("invalid_request") // PKCE is required: nothing to take away
			}
			form := r.TokenRequest(v.Answer.Get("code"))
			form.Set("code_verifier", strings.Repeat("v", 43))
			return c.Redemption(ctx, cl, form, "invalid_grant", "invalid_request")
		},
	}
}

func visit(ctx context.Context, c *suite.Case, change ...string) (*suite.Visit, error) {
	cl, err := c.Client(ctx)
	if err != nil {
		return nil, err
	}
	return c.Visit(ctx, c.Browser(), c.Request(cl, change...))
}

// LongState sends a state and a nonce that are long and hold odd characters.
func LongState() suite.Module {
	return suite.Module{
		Name: "long-state", Summary: "A long state with odd characters and a long nonce come back whole.", Spec: "RFC 6749 4.1.2",
		Run: func(ctx context.Context, c *suite.Case) error {
			_, _, err := c.Enter(ctx, "state", strings.Repeat(`a b+c&d=e%f;g#h/i?j"k'l<m>n\`, 36), "nonce", strings.Repeat("0123456789abcdef", 24))
			return err
		},
	}
}

// RepeatedParameter sends a parameter twice.
func RepeatedParameter() suite.Module {
	return suite.Module{
		Name: "repeated-parameter", Summary: "A request with a parameter twice is refused.", Spec: "RFC 6749 3.1",
		Run: func(ctx context.Context, c *suite.Case) error {
			cl, err := c.Client(ctx)
			if err != nil {
				return err
			}
			r := c.Request(cl)
			r.Params.Add("scope", "openid email")
			v, err := c.Visit(ctx, c.Browser(), r)
			if err != nil {
				return err
			}
			return v.RefusedOr("invalid_request")
		},
	}
}

// AccessDenied presses the other button.
func AccessDenied() suite.Module {
	return suite.Module{
		Name: "access-denied", Summary: "Somebody who does not consent is sent back with access_denied.", Spec: "RFC 6749 4.1.2.1",
		Run: func(ctx context.Context, c *suite.Case) error {
			l, b, err := c.Enter(ctx)
			if err != nil {
				return err
			}
			r := c.Request(l.Request.Client, "prompt", "consent")
			p, err := b.Open(ctx, r.URL())
			if err != nil {
				return err
			}
			if p.Kind() != suite.ConsentPage {
				return suite.Failf("prompt=consent shows %s, not what is asked for", p)
			}
			if p, err = b.Press(ctx, p, "consent-deny"); err != nil {
				return err
			}
			v, err := c.Finish(ctx, b, r, p)
			if err != nil {
				return err
			}
			return v.Error("access_denied")
		},
	}
}

// RedirectVariations asks with addresses that only look like the registered one.
func RedirectVariations() suite.Module {
	return suite.Module{
		Name: "redirect-variations", Summary: "An address that only looks like the registered one is never gone to.", Spec: "RFC 9700 2.1",
		Run: func(ctx context.Context, c *suite.Case) error {
			cl, err := c.Client(ctx)
			if err != nil {
				return err
			}
			good := cl.RedirectURIs[0]
			u, err := url.Parse(good)
			if err != nil {
				return suite.Failf("the registered redirect URI is no address")
			}
			for _, bad := range []string{
				good + "/", good + "?a=b", good + "%2f..", good + "/../elsewhere", strings.ToUpper(good), good + "#f",
				u.Scheme + "://" + u.Host + "@elsewhere.invalid" + u.Path, u.Scheme + "://" + u.Host + ".elsewhere.invalid" + u.Path,
				"//elsewhere.invalid" + u.Path, "javascript:alert(1)", "data:text/html,x", good + "\\@elsewhere.invalid", " " + good,
			} {
				v, err := c.Visit(ctx, c.Browser(), c.Request(cl, "redirect_uri", bad))
				if err != nil {
					return err
				}
				if err := v.Refused(); err != nil {
					return suite.Failf("redirect_uri %q: %v", bad, err)
				}
			}
			return nil
		},
	}
}

// Pushed pushes a request first.
func Pushed() suite.Module {
	return suite.Module{
		Name: "pushed-request", Summary: "A pushed request works once, for its own application.", Spec: "RFC 9126 2",
		Run: func(ctx context.Context, c *suite.Case) error {
			if c.Server.Metadata.Pushed == "" {
				return suite.Skipf("no pushed_authorization_request_endpoint is advertised")
			}
			cl, err := c.Client(ctx)
			if err != nil {
				return err
			}
			r := c.Request(cl).Challenge()
			reply, err := c.Post(ctx, c.Server.Metadata.Pushed, cl, r.Params)
			if err != nil {
				return err
			}
			uri := reply.Text("request_uri")
			if n, _ := reply.JSON["expires_in"].(float64); reply.Status != http.StatusCreated || uri == "" || n <= 0 {
				return suite.Failf("pushing answered %d %s without request_uri and expires_in", reply.Status, reply.Text("error"))
			}
			r.Outside("request_uri", uri).Only("client_id", "request_uri")
			b := c.Browser()
			if _, err := c.Login(ctx, b, r); err != nil {
				return err
			}
			v, err := c.Visit(ctx, b, r.Outside("request_uri", uri).Only("client_id", "request_uri"))
			if err != nil {
				return err
			}
			return v.RefusedOr("invalid_request_uri", "invalid_request")
		},
	}
}
