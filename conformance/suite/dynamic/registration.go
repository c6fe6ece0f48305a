package dynamic

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"

	"github.com/gatekeeper-oidc/gatekeeper/conformance/suite"
)

// IDTokenRS256 registers the algorithm everybody has.
func IDTokenRS256() suite.Module {
	return registering("idtoken-rs256", "id_token_signed_response_alg=RS256 is honoured.", "OpenID Connect Registration 2",
		map[string]any{"id_token_signed_response_alg": "RS256"})
}

// registering is a module whose registration must work, and a flow after it.
func registering(name, summary, spec string, change map[string]any) suite.Module {
	return suite.Module{Name: name, Summary: summary, Spec: spec, Run: func(ctx context.Context, c *suite.Case) error {
		cl, err := c.Register(ctx, change)
		if err != nil {
			return err
		}
		_, err = c.Login(ctx, c.Browser(), c.Request(cl))
		return err
	}}
}

// UserinfoRS256 asks for userinfo as a JWT.
func UserinfoRS256() suite.Module {
	return suite.Module{
		Name: "userinfo-rs256", Summary: "userinfo_signed_response_alg=RS256 makes userinfo a signed JWT for the application.", Spec: "OpenID Connect Core 5.3.2",
		For: suite.Variant.Access,
		Run: func(ctx context.Context, c *suite.Case) error {
			if !slices.Contains(c.Server.Metadata.UserinfoAlgs, "RS256") {
				return suite.Skipf("userinfo_signing_alg_values_supported lacks RS256")
			}
			cl, err := c.Register(ctx, map[string]any{"userinfo_signed_response_alg": "RS256"})
			if err != nil {
				return err
			}
			r := c.Request(cl)
			v, err := c.Visit(ctx, c.Browser(), r)
			if err != nil {
				return err
			}
			token, sub, err := access(ctx, c, v, r)
			if err != nil {
				return err
			}
			reply, err := c.AskUserinfo(ctx, token, suite.ByGet)
			if err != nil {
				return err
			}
			return signedUserinfo(ctx, c, reply, cl.ID, sub)
		},
	}
}

// access takes an access token, and whose it is, out of a flow whose userinfo is
// no JSON. sub is "" where there is no ID token.
func access(ctx context.Context, c *suite.Case, v *suite.Visit, r *suite.Request) (token, sub string, err error) {
	a, err := v.Success()
	if err != nil {
		return "", "", err
	}
	if code := a.Get("code"); code != "" {
		t, err := c.Redeem(ctx, r, code)
		if err != nil {
			return "", "", err
		}
		return t.Access, t.ID.Text("sub"), nil
	}
	id, err := suite.ParseJWT(a.Get("id_token"))
	if err != nil {
		return "", "", err
	}
	return a.Get("access_token"), id.Text("sub"), nil
}

func signedUserinfo(ctx context.Context, c *suite.Case, reply *suite.Reply, client, sub string) error {
	if reply.Status != http.StatusOK || reply.Type() != "application/jwt" {
		return suite.Failf("userinfo answered %d with %s, not a JWT", reply.Status, reply.Type())
	}
	t, err := suite.ParseJWT(string(reply.Body))
	if err != nil {
		return err
	}
	switch {
	case t.Alg() != "RS256":
		return suite.Failf("userinfo is signed with %s", t.Alg())
	case t.Text("iss") != c.Server.Metadata.Issuer:
		return suite.Failf("iss of userinfo is not the issuer")
	case t.Text("sub") != sub:
		return suite.Failf("userinfo is about somebody else than the ID token")
	case t.Text("aud") != client:
		return suite.Failf("aud of userinfo is not the client")
	case t.Claims["nonce"] != nil:
		return suite.Failf("userinfo has a nonce")
	}
	return c.Verify(ctx, t)
}

// LogoURI looks for the application's logo on the page where people sign in.
func LogoURI() suite.Module {
	return suite.Module{
		Name: "registration-logo-uri", Summary: "The logo of the application is shown where people sign in.", Spec: "OpenID Connect Registration 2",
		Run: func(ctx context.Context, c *suite.Case) error {
			d, err := c.Desk()
			if err != nil {
				return err
			}
			p, err := loginPage(ctx, c, "logo_uri", d.Publish("image/png", logo))
			if err != nil {
				return err
			}
			if len(p.Links("img", "src")) == 0 {
				return suite.Failf("there is no image on %s", p)
			}
			return nil
		},
	}
}

// logo is a PNG of one pixel.
var logo = []byte("\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x06\x00\x00\x00\x1f\x15\xc4\x89" +
	"\x00\x00\x00\rIDATx\x9cc\xf8\xcf\xc0\xf0\x1f\x00\x05\x00\x01\xff\x89\x99=\x1d\x00\x00\x00\x00IEND\xaeB`\x82")

// PolicyURI looks for the link to the privacy policy.
func PolicyURI() suite.Module { return link("registration-policy-uri", "policy_uri") }

// TermsURI looks for the link to the terms of service.
func TermsURI() suite.Module { return link("registration-tos-uri", "tos_uri") }

func link(name, member string) suite.Module {
	return suite.Module{
		Name: name, Summary: "The " + member + " of the application is linked to where people sign in.", Spec: "OpenID Connect Registration 2",
		Run: func(ctx context.Context, c *suite.Case) error {
			const address = "https://conformance.invalid/read-me"
			p, err := loginPage(ctx, c, member, address)
			if err != nil {
				return err
			}
			if !slices.Contains(p.Links("a", "href"), address) {
				return suite.Failf("there is no link to it on %s", p)
			}
			return nil
		},
	}
}

// loginPage registers an application and opens the page where people sign in to it.
func loginPage(ctx context.Context, c *suite.Case, member, address string) (*suite.Page, error) {
	cl, err := c.Register(ctx, map[string]any{member: address})
	if err != nil {
		return nil, err
	}
	p, err := c.Browser().Open(ctx, c.Request(cl).URL())
	if err == nil && p.Kind() != suite.LoginPage {
		err = suite.Failf("the browser is on %s, not where people sign in", p)
	}
	return p, err
}

// SectorURI registers for pairwise subjects with a sector document.
func SectorURI() suite.Module {
	return suite.Module{
		Name: "registration-sector-uri", Summary: "A sector document that names the redirect URI makes pairwise subjects possible.", Spec: "OpenID Connect Core 8.1",
		Run: func(ctx context.Context, c *suite.Case) error {
			change, err := sector(c, c.Target.Redirect)
			if err != nil {
				return err
			}
			cl, err := c.Register(ctx, change)
			if err != nil {
				return err
			}
			_, err = c.Login(ctx, c.Browser(), c.Request(cl))
			return err
		},
	}
}

// SectorBad registers with a sector document that lacks the redirect URI.
func SectorBad() suite.Module {
	return suite.Module{
		Name: "registration-sector-bad", Summary: "A sector document without the redirect URI is refused.", Spec: "OpenID Connect Registration 5",
		Run: func(ctx context.Context, c *suite.Case) error {
			change, err := sector(c, suite.Elsewhere(c.Target.Redirect))
			if err != nil {
				return err
			}
			return c.Unregistrable(ctx, change, "invalid_client_metadata", "invalid_redirect_uri")
		},
	}
}

// sector publishes a sector document that names uri.
func sector(c *suite.Case, uri string) (map[string]any, error) {
	if !slices.Contains(c.Server.Metadata.SubjectTypes, "pairwise") {
		return nil, suite.Skipf("subject_types_supported lacks pairwise")
	}
	d, err := c.Desk()
	if err != nil {
		return nil, err
	}
	document, err := json.Marshal([]string{uri})
	if err != nil {
		return nil, err
	}
	return map[string]any{"subject_type": "pairwise", "sector_identifier_uri": d.Publish("application/json", document)}, nil
}

// Lifecycle reads and deletes a client.
func Lifecycle() suite.Module {
	return suite.Module{
		Name: "registration-lifecycle", Summary: "A registered application can read itself and delete itself, and is gone then.", Spec: "RFC 7592 2",
		For: suite.Variant.PureCode,
		Run: func(ctx context.Context, c *suite.Case) error {
			cl, err := c.RegisterOnly(ctx)
			if err != nil {
				return err
			}
			for _, step := range []struct {
				method string
				status int
			}{{http.MethodGet, http.StatusOK}, {http.MethodDelete, http.StatusNoContent}, {http.MethodGet, http.StatusUnauthorized}} {
				r, err := c.Manage(ctx, step.method, cl)
				if err != nil {
					return err
				}
				if r.Status != step.status {
					return suite.Failf("%s of the registration answered %d, not %d", step.method, r.Status, step.status)
				}
				if step.status == http.StatusOK && r.Text("client_id") != cl.ID {
					return suite.Failf("the registration is of another client")
				}
			}
			return nil
		},
	}
}
