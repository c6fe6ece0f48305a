package flow

import (
	"context"
	"strings"
	"time"

	"github.com/gatekeeper-oidc/gatekeeper/conformance/suite"
)

// tick is long enough for a time in whole seconds to be a later one.
const tick = 1100 * time.Millisecond

// PromptLogin asks to sign in again.
func PromptLogin() suite.Module {
	return suite.Module{
		Name: "prompt-login", Summary: "prompt=login shows the login page again, and auth_time is later then.", Spec: "OpenID Connect Core 3.1.2.1",
		Run: func(ctx context.Context, c *suite.Case) error {
			return again(ctx, c, tick, "prompt", "login")
		},
	}
}

// MaxAge1 asks for a recent sign-in.
func MaxAge1() suite.Module {
	return suite.Module{
		Name: "max-age-1", Summary: "After more than max_age seconds the login page is shown again, and auth_time is later then.",
		Spec: "OpenID Connect Core 3.1.2.1",
		Run: func(ctx context.Context, c *suite.Case) error {
			return again(ctx, c, 2*tick, "max_age", "1")
		},
	}
}

// again signs in, lets time pass and sends a request that must ask for the password
// once more.
func again(ctx context.Context, c *suite.Case, pass time.Duration, change ...string) error {
	first, b, err := c.Enter(ctx, change...)
	if err != nil {
		return err
	}
	if err := c.Wait(ctx, pass); err != nil {
		return err
	}
	second, err := c.Login(ctx, b, c.Request(first.Request.Client, change...))
	switch {
	case err != nil:
		return err
	case !second.Shown(suite.LoginPage):
		return suite.Failf("the person was not asked to sign in again")
	case first.ID().Time("auth_time") == 0 || second.ID().Time("auth_time") == 0:
		return suite.Brokef("OpenID Connect Core 2", "the ID token has no auth_time")
	case second.ID().Time("auth_time") <= first.ID().Time("auth_time"):
		return suite.Failf("auth_time is not later after the person signed in again")
	}
	return same(first, second)
}

// same holds two flows to being about the same person.
func same(first, second *suite.Login) error {
	if first.ID().Text("sub") != second.ID().Text("sub") {
		return suite.Brokef("OpenID Connect Core 2", "the same person has two subs")
	}
	return nil
}

// silent signs in and then sends a request that must not ask for anything.
func silent(ctx context.Context, c *suite.Case, change func(first *suite.Login) []string) (first, second *suite.Login, err error) {
	first, b, err := c.Enter(ctx)
	if err != nil {
		return nil, nil, err
	}
	second, err = c.Login(ctx, b, c.Request(first.Request.Client, change(first)...))
	if err == nil && len(second.Asked) > 0 {
		err = suite.Failf("the person was shown a page: %s", strings.Join(second.Asked, ", "))
	}
	if err == nil {
		err = same(first, second)
	}
	return first, second, err
}

// PromptNoneNotLoggedIn asks silently without a session.
func PromptNoneNotLoggedIn() suite.Module {
	return suite.Module{
		Name: "prompt-none-not-logged-in", Summary: "prompt=none without a session is an error, and no page; a long state comes back whole.",
		Spec: "OpenID Connect Core 3.1.2.6",
		Run: func(ctx context.Context, c *suite.Case) error {
			v, err := visit(ctx, c, "prompt", "none", "state", strings.Repeat("0123456789abcdef", 8))
			if err != nil {
				return err
			}
			return v.Error("login_required", "interaction_required", "account_selection_required", "consent_required")
		},
	}
}

// PromptNoneLoggedIn asks silently with a session.
func PromptNoneLoggedIn() suite.Module {
	return suite.Module{
		Name: "prompt-none-logged-in", Summary: "prompt=none with a session succeeds, and neither password nor consent is asked for again.",
		Spec: "OpenID Connect Core 3.1.2.1",
		Run: func(ctx context.Context, c *suite.Case) error {
			_, _, err := silent(ctx, c, func(*suite.Login) []string { return []string{"prompt", "none"} })
			return err
		},
	}
}

// MaxAge10000 asks for a sign-in that is recent enough.
func MaxAge10000() suite.Module {
	return suite.Module{
		Name: "max-age-10000", Summary: "Within max_age seconds nobody is asked again, and auth_time stays what it was.", Spec: "OpenID Connect Core 3.1.2.1",
		Run: func(ctx context.Context, c *suite.Case) error {
			first, second, err := silent(ctx, c, func(*suite.Login) []string { return []string{"max_age", "10000"} })
			if err != nil {
				return err
			}
			if a, b := first.ID().Time("auth_time"), second.ID().Time("auth_time"); b == 0 || a != 0 && a != b {
				return suite.Brokef("OpenID Connect Core 2", "auth_time is %d and then %d; nobody signed in between", a, b)
			}
			return nil
		},
	}
}

// IDTokenHint says whom the application means.
func IDTokenHint() suite.Module {
	return suite.Module{
		Name: "id-token-hint", Summary: "prompt=none with an ID token of the signed-in person succeeds.", Spec: "OpenID Connect Core 3.1.2.1",
		Run: func(ctx context.Context, c *suite.Case) error {
			_, _, err := silent(ctx, c, func(first *suite.Login) []string {
				return []string{"prompt", "none", "id_token_hint", first.ID().Raw}
			})
			return err
		},
	}
}
