package flow

import (
	"context"
	"strings"

	"github.com/gatekeeper-oidc/gatekeeper/conformance/suite"
)

// Object is what a request object says: the parameters of r, and who it is from
// and for (RFC 9101 4).
func Object(c *suite.Case, r *suite.Request) map[string]any {
	claims := map[string]any{"iss": r.Client.ID, "aud": c.Server.Metadata.Issuer, "client_id": r.Client.ID}
	for name := range r.Params {
		claims[name] = r.Get(name)
	}
	return claims
}

// refusedObjects are the errors by which a provider refuses a request object.
func refusedObjects() []string {
	return []string{"request_not_supported", "request_uri_not_supported", "invalid_request_object", "invalid_request_uri", "invalid_request"}
}

// UnsignedRequestObject sends a request object without a signature.
func UnsignedRequestObject() suite.Module {
	return suite.Module{
		Name:    "unsigned-request-object-supported-correctly-or-rejected-as-unsupported",
		Summary: "A request object without a signature works where it is offered, and is refused everywhere else.",
		Spec:    "OpenID Connect Core 6.1",
		Run: func(ctx context.Context, c *suite.Case) error {
			cl, err := c.Client(ctx)
			if err != nil {
				return err
			}
			r := c.Request(cl)
			object, err := suite.Unsigned(Object(c, r))
			if err != nil {
				return err
			}
			return unsigned(ctx, c, r.Set("request", object))
		},
	}
}

// RequestURIUnsigned sends a request object without a signature by reference.
func RequestURIUnsigned() suite.Module {
	return suite.Module{
		Name:    "request-uri-unsigned-supported-correctly-or-rejected-as-unsupported",
		Summary: "A reference to a request object without a signature works where it is offered, and is refused everywhere else.",
		Spec:    "OpenID Connect Core 6.2",
		Run: func(ctx context.Context, c *suite.Case) error {
			cl, err := c.Client(ctx)
			if err != nil {
				return err
			}
			r := c.Request(cl)
			object, err := suite.Unsigned(Object(c, r))
			if err != nil {
				return err
			}
			if c.Target.Desk == nil || c.Server.Metadata.Registration == "" {
				// An address nobody registered must be refused just as well.
				return unsigned(ctx, c, r.Set("request_uri", suite.Elsewhere(cl.RedirectURIs[0])))
			}
			address := c.Target.Desk.Publish("application/jwt", []byte(object))
			if r.Client, err = c.Register(ctx, map[string]any{"request_uris": []string{address}}); err != nil {
				return err
			}
			return unsigned(ctx, c, r.Set("client_id", r.Client.ID, "request_uri", address))
		},
	}
}

// unsigned sends a request whose object has no signature, and expects what
// discovery says of such.
func unsigned(ctx context.Context, c *suite.Case, r *suite.Request) error {
	b := c.Browser()
	if c.Server.Metadata.Unsigned() {
		_, err := c.Login(ctx, b, r)
		return err
	}
	v, err := c.Visit(ctx, b, r)
	if err != nil {
		return err
	}
	if err := v.RefusedOr(refusedObjects()...); err != nil {
		return err
	}
	return suite.Skipf("the provider does not offer request objects without a signature, and refuses one")
}

// RequestObjectWithRedirectURI has a wrong redirect_uri outside and a good one
// inside an unsigned request object.
func RequestObjectWithRedirectURI() suite.Module {
	return suite.Module{
		Name:    "ensure-request-object-with-redirect-uri",
		Summary: "The redirect_uri of a request object counts, not that beside it.",
		Spec:    "OpenID Connect Core 6.1",
		Run: func(ctx context.Context, c *suite.Case) error {
			cl, err := c.Client(ctx)
			if err != nil {
				return err
			}
			r := c.Request(cl)
			object, err := suite.Unsigned(Object(c, r))
			if err != nil {
				return err
			}
			r.Outside("request", object, "redirect_uri", suite.Elsewhere(r.Get("redirect_uri")))
			if !c.Server.Metadata.Unsigned() {
				v, err := c.Visit(ctx, c.Browser(), r)
				if err != nil {
					return err
				}
				if err := v.RefusedOr(refusedObjects()...); err != nil {
					return err
				}
				return suite.Skipf("the provider does not offer request objects without a signature, and refuses one")
			}
			_, err = c.Login(ctx, c.Browser(), r)
			return err
		},
	}
}

// SignedRequestObject sends a request object that the application signed, with
// what it is about inside only.
func SignedRequestObject() suite.Module {
	return suite.Module{
		Name:    "request-object-signed-rs256",
		Summary: "A request object signed by the application works, and what is inside counts.",
		Spec:    "RFC 9101 6.3",
		Run: func(ctx context.Context, c *suite.Case) error {
			if !c.Server.Metadata.Objects {
				return suite.Skipf("request_parameter_supported is not true")
			}
			cl, err := c.Signer(ctx)
			if err != nil {
				return err
			}
			r := c.Request(cl)
			object, err := cl.Key.Sign(Object(c, r))
			if err != nil {
				return err
			}
			_, err = c.Login(ctx, c.Browser(), r.Outside("request", object, "redirect_uri", suite.Elsewhere(r.Get("redirect_uri")), "state", ""))
			return err
		},
	}
}

// ForgedRequestObject changes a signed request object.
func ForgedRequestObject() suite.Module {
	return suite.Module{
		Name:    "request-object-forged",
		Summary: "A request object that somebody else signed is refused.",
		Spec:    "RFC 9101 6.2",
		Run: func(ctx context.Context, c *suite.Case) error {
			if !c.Server.Metadata.Objects {
				return suite.Skipf("request_parameter_supported is not true")
			}
			cl, err := c.Signer(ctx)
			if err != nil {
				return err
			}
			r := c.Request(cl)
			object, err := cl.Key.Sign(Object(c, r))
			if err != nil {
				return err
			}
			parts := strings.Split(object, ".")
			r.Set("nonce", "forged")
			other, err := suite.Unsigned(Object(c, r))
			if err != nil {
				return err
			}
			parts[1] = strings.Split(other, ".")[1]
			v, err := c.Visit(ctx, c.Browser(), r.Set("request", strings.Join(parts, ".")))
			if err != nil {
				return err
			}
			return v.RefusedOr("invalid_request_object")
		},
	}
}
