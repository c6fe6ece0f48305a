package dynamic

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"slices"
	"time"

	"github.com/gatekeeper-oidc/gatekeeper/conformance/suite"
	"github.com/gatekeeper-oidc/gatekeeper/conformance/suite/flow"
)

// hosted registers an application whose keys are at an address.
func hosted(ctx context.Context, c *suite.Case) (cl *suite.Client, address string, err error) {
	d, err := c.Desk()
	if err != nil {
		return nil, "", err
	}
	key, err := c.Key()
	if err != nil {
		return nil, "", err
	}
	address = d.Publish("application/json", suite.JWKS(key))
	cl, err = c.Register(ctx, map[string]any{"jwks": nil, "jwks_uri": address})
	return cl, address, err
}

// JWKSURI proves itself with a key that the provider has to fetch.
func JWKSURI() suite.Module {
	return suite.Module{
		Name: "registration-jwks-uri", Summary: "The keys of an application are fetched from its jwks_uri.", Spec: "OpenID Connect Registration 2",
		For: suite.Variant.Code,
		Run: func(ctx context.Context, c *suite.Case) error {
			cl, _, err := hosted(ctx, c)
			if err != nil {
				return err
			}
			_, err = c.Login(ctx, c.Browser(), c.Request(cl))
			return err
		},
	}
}

// KeyRotation changes the application's key between two requests.
func KeyRotation() suite.Module {
	return suite.Module{
		Name: "refresh-token-rp-key-rotation", Summary: "A new key at the jwks_uri is found when it is used.", Spec: "OpenID Connect Core 10.1.1",
		For: suite.Variant.Code,
		Run: func(ctx context.Context, c *suite.Case) error {
			cl, address, err := hosted(ctx, c)
			if err != nil {
				return err
			}
			l, err := c.Login(ctx, c.Browser(), c.Request(cl, "scope", "openid offline_access", "prompt", "consent"))
			if err != nil {
				return err
			}
			if l.Tokens.Refresh == "" {
				return suite.Skipf("the provider gives no refresh token")
			}
			if cl.Key, err = suite.NewKey("rotated"); err != nil {
				return err
			}
			c.Target.Desk.Replace(address, "application/json", suite.JWKS(cl.Key))
			return found(ctx, c, cl, l.Tokens.Refresh)
		},
	}
}

// A provider may look for a new key only now and then, but must within a minute.
const (
	lookAgain = 5 * time.Second
	lookLast  = time.Minute
)

// found waits until the provider knows the new key.
func found(ctx context.Context, c *suite.Case, cl *suite.Client, refresh string) error {
	step := max(c.Target.Pause, lookAgain)
	var err error
	for waited := time.Duration(0); waited < lookLast; waited += step {
		if err := c.Wait(ctx, step); err != nil {
			return err
		}
		if _, err = c.Refreshed(ctx, cl, refresh); err == nil {
			return nil
		}
	}
	return err
}

// RotateKeys looks at the provider's keys before and after they change.
func RotateKeys() suite.Module {
	return suite.Module{
		Name: "server-rotate-keys", Summary: "After a rotation there is a new key, and the old one is still published.", Spec: "OpenID Connect Core 10.1.1",
		For: suite.Variant.PureCode,
		Run: func(ctx context.Context, c *suite.Case) error {
			if c.Target.RotateKeys == nil {
				return suite.Skipf("the run cannot make the provider change its key")
			}
			before, err := kids(ctx, c)
			if err != nil {
				return err
			}
			if err := c.Target.RotateKeys(ctx); err != nil {
				return err
			}
			for range 50 {
				after, err := kids(ctx, c)
				if err != nil {
					return err
				}
				for _, kid := range before {
					if !slices.Contains(after, kid) {
						return suite.Failf("the key %s is no longer published", kid)
					}
				}
				if len(after) > len(before) {
					_, _, err := c.Enter(ctx)
					return err
				}
				if err := c.Wait(ctx, 200*time.Millisecond); err != nil {
					return err
				}
			}
			return suite.Failf("there is no new key")
		},
	}
}

func kids(ctx context.Context, c *suite.Case) ([]string, error) {
	r, err := c.Get(ctx, c.Server.Metadata.JWKS)
	if err != nil {
		return nil, err
	}
	var set struct {
		Keys []struct {
			ID string `json:"kid"`
		} `json:"keys"`
	}
	if err := json.Unmarshal(r.Body, &set); err != nil {
		return nil, suite.Failf("jwks_uri gives no set of keys")
	}
	var all []string
	for _, k := range set.Keys {
		all = append(all, k.ID)
	}
	return all, nil
}

// AssertionForIssuer proves itself to the issuer instead of the token endpoint.
func AssertionForIssuer() suite.Module {
	return suite.Module{
		Name: "ensure-client-assertion-with-iss-aud-succeeds", Summary: "A client assertion may be for the issuer.", Spec: "RFC 7523 3",
		For: suite.Variant.Code,
		Run: func(ctx context.Context, c *suite.Case) error {
			_, _, err := c.Enter(ctx) // every assertion of the suite names the issuer
			return err
		},
	}
}

// RequestURISigned sends a signed request object by reference.
func RequestURISigned() suite.Module {
	return suite.Module{
		Name: "request-uri-signed-rs256", Summary: "A signed request object at a registered address is fetched, and what is inside counts.", Spec: "OpenID Connect Core 6.2",
		Run: func(ctx context.Context, c *suite.Case) error {
			switch m := c.Server.Metadata; {
			case !m.References():
				return suite.Failf("request_uri_parameter_supported is false")
			case m.ObjectAlgs != nil && !slices.Contains(m.ObjectAlgs, "RS256"):
				return suite.Failf("request_object_signing_alg_values_supported lacks RS256")
			}
			return byReference(ctx, c, func(r *suite.Request) (string, error) { return r.Client.Key.Sign(flow.Object(c, r)) })
		},
	}
}

// RequestURIUnsigned sends an unsigned one.
func RequestURIUnsigned() suite.Module {
	return suite.Module{
		Name: "request-uri-unsigned", Summary: "An unsigned request object at a registered address is fetched where that is offered.", Spec: "OpenID Connect Core 6.2",
		Run: func(ctx context.Context, c *suite.Case) error {
			if !c.Server.Metadata.Unsigned() {
				return suite.Skipf("the provider does not offer request objects without a signature")
			}
			return byReference(ctx, c, func(r *suite.Request) (string, error) { return suite.Unsigned(flow.Object(c, r)) })
		},
	}
}

// byReference publishes a request object, registers where it is, with the hash of
// it as the fragment, and goes through a flow with it.
func byReference(ctx context.Context, c *suite.Case, object func(r *suite.Request) (string, error)) error {
	d, err := c.Desk()
	if err != nil {
		return err
	}
	address := d.Publish("application/oauth-authz-req+jwt", nil)
	sum := sha256.Sum256([]byte(address))
	reference := address + "#" + base64.RawURLEncoding.EncodeToString(sum[:])
	cl, err := c.Register(ctx, map[string]any{"request_uris": []string{reference}})
	if err != nil {
		return err
	}
	r := c.Request(cl)
	made, err := object(r)
	if err != nil {
		return err
	}
	d.Replace(address, "application/oauth-authz-req+jwt", []byte(made))
	r.Outside("request_uri", reference).Only("client_id", "response_type", "scope", "redirect_uri", "request_uri")
	_, err = c.Login(ctx, c.Browser(), r)
	return err
}
