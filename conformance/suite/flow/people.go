package flow

import (
	"context"
	"slices"
	"strings"

	"github.com/gatekeeper-oidc/gatekeeper/conformance/suite"
)

// UserinfoGet asks userinfo with a GET.
func UserinfoGet() suite.Module { return userinfo("userinfo-get", suite.ByGet) }

// UserinfoPostHeader asks with a POST and the header.
func UserinfoPostHeader() suite.Module { return userinfo("userinfo-post-header", suite.ByPostHeader) }

// UserinfoPostBody asks with the token in the body.
func UserinfoPostBody() suite.Module { return userinfo("userinfo-post-body", suite.ByPostBody) }

func userinfo(name, how string) suite.Module {
	return suite.Module{
		Name: name, Summary: "Userinfo answers a " + how + ".", Spec: "OpenID Connect Core 5.3.1", For: suite.Variant.Access,
		Run: func(ctx context.Context, c *suite.Case) error {
			l, _, err := c.Enter(ctx)
			if err != nil {
				return err
			}
			_, err = c.Userinfo(ctx, l.Access, l.ID().Text("sub"), how)
			return err
		},
	}
}

// ScopeProfile asks who the person is.
func ScopeProfile() suite.Module { return scope("scope-profile", "profile") }

// ScopeEmail asks for the address of mail.
func ScopeEmail() suite.Module { return scope("scope-email", "email") }

// ScopeAddress asks where the person lives.
func ScopeAddress() suite.Module { return scope("scope-address", "address") }

// ScopePhone asks for the number.
func ScopePhone() suite.Module { return scope("scope-phone", "phone") }

// ScopeAll asks for everything at once.
func ScopeAll() suite.Module { return scope("scope-all", "profile", "email", "address", "phone") }

func scope(name string, scopes ...string) suite.Module {
	return suite.Module{
		Name: name, Summary: "The scope " + strings.Join(scopes, " ") + " gives every claim it stands for.", Spec: "OpenID Connect Core 5.4",
		Run: func(ctx context.Context, c *suite.Case) error {
			for _, s := range scopes {
				if !slices.Contains(c.Server.Metadata.Scopes, s) {
					return suite.Skipf("the scope %s is not advertised", s)
				}
			}
			l, _, err := c.Enter(ctx, "scope", "openid "+strings.Join(scopes, " "))
			if err != nil {
				return err
			}
			return holds(c, l, scopes...)
		},
	}
}

// holds looks for the claims of scopes where the flow gives them: a person may lack
// some, which is a warning.
func holds(c *suite.Case, l *suite.Login, scopes ...string) error {
	claims := l.Claims()
	var missing []string
	for _, s := range scopes {
		for _, name := range suite.ScopeClaims(s) {
			if _, ok := claims[name]; !ok {
				missing = append(missing, name)
			}
		}
	}
	if len(missing) > 0 {
		c.Warnf("", "the person's claims lack %s", strings.Join(missing, ", "))
	}
	return suite.CheckClaims(claims)
}

// ClaimsEssential asks for a claim by its name.
func ClaimsEssential() suite.Module {
	return suite.Module{
		Name: "claims-essential", Summary: "The claims parameter brings a claim to where it was asked for, and only there.", Spec: "OpenID Connect Core 5.5",
		Run: func(ctx context.Context, c *suite.Case) error {
			if !c.Server.Metadata.ClaimsParameter {
				return suite.Skipf("claims_parameter_supported is not true")
			}
			where := "userinfo"
			if !c.Variant.Access() {
				where = "id_token"
			}
			l, _, err := c.Enter(ctx, "claims", `{"`+where+`":{"name":{"essential":true}}}`)
			if err != nil {
				return err
			}
			if _, ok := l.Claims()["name"]; !ok {
				c.Warnf("", "name was asked for in %s and is not there", where)
			}
			return nil
		},
	}
}
