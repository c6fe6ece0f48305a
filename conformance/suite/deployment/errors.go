package deployment

import (
	"context"
	"net/url"
	"strings"

	"github.com/gatekeeper-oidc/gatekeeper/conformance/suite"
)

// nasty is what an error must not repeat as it is: quotes, a backslash, ends of
// lines, a control character, letters beyond ASCII.
const nasty = "x\"y\\z\r\n\x01é\U0001F600"

// wrongRequests are authorization requests that are refused, each for another
// reason, with text in them that an error may be tempted to repeat.
func wrongRequests() [][]string {
	return [][]string{
		{"response_type", nasty},
		{"response_type", "code unknown"},
		{"response_mode", nasty},
		{"scope", nasty},
		{"scope", "unregistered\\scope"},
		{"prompt", nasty},
		{"prompt", "none login"},
		{"max_age", nasty},
		{"max_age", "-1"},
		{"claims", nasty},
		{"claims", `{"userinfo":[` + nasty + `]}`},
		{"id_token_hint", nasty},
		{"request", nasty},
		{"request", "a.b.c"},
		{"request_uri", nasty},
		{"request_uri", "https://elsewhere.invalid/" + nasty},
		{"registration", nasty},
		{"resource", nasty},
		{"code_challenge", nasty, "code_challenge_method", "S256"},
		{"code_challenge", strings.Repeat("a", 43), "code_challenge_method", nasty},
		{"nonce", strings.Repeat("n", 4096)},
		{"client_id", nasty},
		{"redirect_uri", nasty},
	}
}

// wrongForms are requests to the token endpoint that are refused.
func wrongForms() []url.Values {
	return []url.Values{
		{"grant_type": {nasty}},
		{"grant_type": {"authorization_code"}, "code": {nasty}, "redirect_uri": {nasty}, "code_verifier": {nasty}},
		{"grant_type": {"refresh_token"}, "refresh_token": {nasty}},
		{"grant_type": {"client_credentials"}, "scope": {nasty}},
		{"grant_type": {"urn:ietf:params:oauth:grant-type:jwt-bearer"}, "assertion": {nasty}},
		{"grant_type": {"urn:ietf:params:oauth:grant-type:token-exchange"}, "subject_token": {nasty}, "subject_token_type": {nasty}},
		{"grant_type": {"urn:ietf:params:oauth:grant-type:device_code"}, "device_code": {nasty}},
		{"grant_type": {"authorization_code"}, "client_assertion": {nasty}, "client_assertion_type": {nasty}},
		{"token": {nasty}, "token_type_hint": {nasty}},
		{"response_type": {nasty}, "scope": {nasty}},
	}
}

// ErrorTexts provokes every error it knows a way to.
func ErrorTexts() suite.Module {
	return suite.Module{
		Name: "error-texts", Summary: "Every error has only the characters that are allowed in one, whatever was sent.", Spec: "RFC 6749 4.1.2.1",
		Run: func(ctx context.Context, c *suite.Case) error {
			cl, err := c.Client(ctx)
			if err != nil {
				return err
			}
			for _, change := range wrongRequests() {
				// The answers to requests are held to the characters as all answers are.
				v, err := c.Visit(ctx, c.Browser(), lenient(c, cl, change))
				if err != nil {
					return suite.Failf("with a wrong %s: %v", change[0], err)
				}
				if v.Answer == nil && v.Page.Status >= 500 {
					return suite.Failf("a wrong %s is answered with %d", change[0], v.Page.Status)
				}
			}
			m := c.Server.Metadata
			for _, endpoint := range []string{m.Token, m.Pushed, m.Revocation, m.Introspection, m.Device} {
				if endpoint == "" {
					continue
				}
				for _, form := range wrongForms() {
					if err := legal(ctx, c, endpoint, cl, form); err != nil {
						return err
					}
				}
			}
			return nil
		},
	}
}

// lenient is a request that may be answered in any mode: what it asks for wrongly
// can be the mode itself.
func lenient(c *suite.Case, cl *suite.Client, change []string) *suite.Request {
	return c.Request(cl, "prompt", "none").Set(change...).Answered("any")
}

func legal(ctx context.Context, c *suite.Case, endpoint string, cl *suite.Client, form url.Values) error {
	for _, as := range []*suite.Client{cl, nil, {ID: nasty, Secret: nasty}} {
		r, err := c.Post(ctx, endpoint, as, form)
		if err != nil {
			return err
		}
		if r.Status >= 500 {
			return suite.Failf("%s answers %d to a wrong request", endpoint, r.Status)
		}
		for _, name := range []string{"error", "error_description"} {
			if why := suite.Illegal(name, r.Text(name)); why != "" {
				return suite.Brokef("RFC 6749 5.2", "%s: %s", endpoint, why)
			}
		}
	}
	return nil
}
