package logout

import (
	"context"
	"crypto/rand"
	"net/url"
	"strings"

	"github.com/gatekeeper-oidc/gatekeeper/conformance/suite"
)

const spec = "OpenID Connect RP-Initiated Logout 2"

// EndSessionAdvertised looks at discovery.
func EndSessionAdvertised() suite.Module {
	return suite.Module{
		Name: "rp-initiated-logout-discovery-endpoint-verification", Summary: "end_session_endpoint is an address, on https.", Spec: "OpenID Connect RP-Initiated Logout 2.1",
		Run: func(_ context.Context, c *suite.Case) error {
			u, err := url.Parse(c.Server.Metadata.EndSession)
			if err != nil || u.Host == "" {
				return suite.Failf("end_session_endpoint is no address")
			}
			if u.Scheme != "https" && !strings.HasPrefix(c.Server.Metadata.Issuer, "http://") {
				return suite.Failf("end_session_endpoint is not https")
			}
			return nil
		},
	}
}

// RPInitiated is the whole of it.
func RPInitiated() suite.Module {
	return suite.Module{
		Name: "rp-initiated-logout", Summary: "A logout ends the session and leads back with exactly the state.", Spec: spec,
		Run: func(ctx context.Context, c *suite.Case) error {
			l, err := enter(ctx, c)
			if err != nil {
				return err
			}
			state := strings.Repeat("0123456789abcdef", 8)
			p, err := l.leave(ctx, "id_token_hint", l.hint(), "post_logout_redirect_uri", l.back, "state", state)
			if err != nil {
				return err
			}
			if err := l.returned(p, state); err != nil {
				return err
			}
			return l.gone(ctx)
		},
	}
}

// NoState leaves the state out.
func NoState() suite.Module {
	return suite.Module{
		Name: "rp-initiated-logout-no-state", Summary: "Without a state none comes back.", Spec: spec,
		Run: func(ctx context.Context, c *suite.Case) error {
			l, err := enter(ctx, c)
			if err != nil {
				return err
			}
			p, err := l.leave(ctx, "id_token_hint", l.hint(), "post_logout_redirect_uri", l.back)
			if err != nil {
				return err
			}
			if err := l.returned(p, ""); err != nil {
				return err
			}
			return l.gone(ctx)
		},
	}
}

// BadPostLogoutURI asks to go where nobody registered.
func BadPostLogoutURI() suite.Module {
	return nowhere("rp-initiated-logout-bad-post-logout-redirect-uri", "An address that is not registered is not gone to.",
		func(_ *suite.Case, l *leaving) ([]string, error) {
			return []string{"id_token_hint", l.hint(), "post_logout_redirect_uri", suite.Elsewhere(l.back), "state", rand.Text()}, nil
		})
}

// QueryAdded adds a query to the registered address.
func QueryAdded() suite.Module {
	return nowhere("rp-initiated-logout-query-added-to-post-logout-redirect-uri", "A registered address with a query added is another one.",
		func(_ *suite.Case, l *leaving) ([]string, error) {
			return []string{"id_token_hint", l.hint(), "post_logout_redirect_uri", suite.WithQuery(l.back, "extra=query"), "state", rand.Text()}, nil
		})
}

// BadHint brings a hint that somebody else signed.
func BadHint() suite.Module {
	return nowhere("rp-initiated-logout-bad-id-token-hint", "A hint that another key signed leads nowhere.",
		func(c *suite.Case, l *leaving) ([]string, error) {
			key, err := c.Key()
			if err != nil {
				return nil, err
			}
			forged, err := key.Sign(l.login.ID().Claims)
			return []string{"id_token_hint", forged, "post_logout_redirect_uri", l.back, "state", rand.Text()}, err
		})
}

// ModifiedHint brings a hint without a signature.
func ModifiedHint() suite.Module {
	return nowhere("rp-initiated-logout-modified-id-token-hint", "A hint without a signature leads nowhere.",
		func(_ *suite.Case, l *leaving) ([]string, error) {
			stripped, err := suite.Unsigned(l.login.ID().Claims)
			return []string{"id_token_hint", stripped, "post_logout_redirect_uri", l.back, "state", rand.Text()}, err
		})
}

// NoHint asks to go back without saying who asks.
func NoHint() suite.Module {
	return nowhere("rp-initiated-logout-no-id-token-hint", "Without a hint the browser goes nowhere.",
		func(_ *suite.Case, l *leaving) ([]string, error) {
			return []string{"post_logout_redirect_uri", l.back, "state", rand.Text()}, nil
		})
}

// NoParams says nothing at all.
func NoParams() suite.Module {
	return signedOut("rp-initiated-logout-no-params", "Without parameters the person signs out on the provider's own page.",
		func(*leaving) []string { return nil })
}

// OnlyState sends a state and nothing to send it back to.
func OnlyState() suite.Module {
	return signedOut("rp-initiated-logout-only-state", "A state alone changes nothing.",
		func(*leaving) []string { return []string{"state", rand.Text()} })
}

// NoPostLogoutURI has a hint and nowhere to go.
func NoPostLogoutURI() suite.Module {
	return signedOut("rp-initiated-logout-no-post-logout-redirect-uri", "With a hint alone the person ends on the provider's own page.",
		func(l *leaving) []string { return []string{"id_token_hint", l.hint(), "state", rand.Text()} })
}

// nowhere is a module whose logout must not lead away from the issuer.
func nowhere(name, summary string, params func(c *suite.Case, l *leaving) ([]string, error)) suite.Module {
	return suite.Module{Name: name, Summary: summary, Spec: "OpenID Connect RP-Initiated Logout 3", Run: func(ctx context.Context, c *suite.Case) error {
		l, err := enter(ctx, c)
		if err != nil {
			return err
		}
		sent, err := params(c, l)
		if err != nil {
			return err
		}
		p, err := l.leave(ctx, sent...)
		if err != nil {
			return err
		}
		return l.stays(p)
	}}
}

// signedOut is a module whose logout ends the session on a page of the issuer.
func signedOut(name, summary string, params func(l *leaving) []string) suite.Module {
	return suite.Module{Name: name, Summary: summary, Spec: spec, Run: func(ctx context.Context, c *suite.Case) error {
		l, err := enter(ctx, c)
		if err != nil {
			return err
		}
		p, err := l.leave(ctx, params(l)...)
		if err != nil {
			return err
		}
		if err := l.stays(p); err != nil {
			return err
		}
		return l.gone(ctx)
	}}
}
