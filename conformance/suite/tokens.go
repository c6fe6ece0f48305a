package suite

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// Tokens is what the token endpoint gave.
type Tokens struct {
	Access  string
	Refresh string // "" if there is none
	ID      *JWT   // nil if there is none
	Reply   *Reply
}

// tokenChecks hold a successful answer of the token endpoint (RFC 6749 5.1,
// OpenID Connect Core 3.1.3.3).
var tokenChecks = []check[*Reply]{
	{"RFC 6749 5.1", func(r *Reply) string {
		if r.Type() != "application/json" {
			return fmt.Sprintf("the media type is %q, not application/json", r.Type())
		}
		return ""
	}},
	{"RFC 6749 5.1", func(r *Reply) string { return stored(r.Header) }},
	{"OpenID Connect Core 3.1.3.3", func(r *Reply) string {
		if !strings.EqualFold(r.Text("token_type"), "Bearer") {
			return fmt.Sprintf("token_type is %v, not Bearer", r.JSON["token_type"])
		}
		return ""
	}},
	{"RFC 6749 5.1", func(r *Reply) string {
		if n, ok := r.JSON["expires_in"].(float64); !ok || n <= 0 || n != float64(int64(n)) {
			return fmt.Sprintf("expires_in is %v, not a number of seconds", r.JSON["expires_in"])
		}
		return ""
	}},
	{"RFC 6749 10.3", func(r *Reply) string { return weak("access token", r.Text("access_token")) }},
	{"RFC 6749 A.17", func(r *Reply) string {
		for _, b := range []byte(r.Text("refresh_token")) {
			if b < 0x20 || b > 0x7E {
				return "the refresh token has a character that is not printable ASCII"
			}
		}
		return ""
	}},
	{"RFC 6749 10.4", func(r *Reply) string { return weakIf("refresh token", r.Text("refresh_token")) }},
}

// TokenRequest is the form that redeems a code of r.
func (r *Request) TokenRequest(code string) url.Values {
	form := url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {r.Get("redirect_uri")}}
	if r.Verifier != "" {
		form.Set("code_verifier", r.Verifier)
	}
	return form
}

// Redeem exchanges a code and holds what it gets to the specifications.
func (c *Case) Redeem(ctx context.Context, r *Request, code string) (*Tokens, error) {
	reply, err := c.Post(ctx, c.Server.Metadata.Token, r.Client, r.TokenRequest(code))
	if err != nil {
		return nil, err
	}
	t, err := c.tokens(reply)
	if err != nil {
		return nil, err
	}
	if t.ID == nil {
		return nil, Brokef("OpenID Connect Core 3.1.3.3", "the token endpoint gave no ID token")
	}
	return t, c.CheckID(ctx, t.ID, Expect{Client: r.Client, Nonce: r.Get("nonce"), Access: t.Access, WithAccess: true, Scope: r.Get("scope"), Claims: r.Get("claims")})
}

// tokens reads a successful answer of the token endpoint.
func (c *Case) tokens(reply *Reply) (*Tokens, error) {
	if reply.Status != http.StatusOK {
		return nil, Failf("the token endpoint answered %d %s (%s)", reply.Status, reply.Text("error"), reply.Text("error_description"))
	}
	if err := walk(tokenChecks, reply); err != nil {
		return nil, err
	}
	t := &Tokens{Access: reply.Text("access_token"), Refresh: reply.Text("refresh_token"), Reply: reply}
	if raw := reply.Text("id_token"); raw != "" {
		var err error
		if t.ID, err = ParseJWT(raw); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// Refresh spends a refresh token as cl.
func (c *Case) Refresh(ctx context.Context, cl *Client, token string, more ...string) (*Reply, error) {
	form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}}
	for i := 0; i+1 < len(more); i += 2 {
		form.Set(more[i], more[i+1])
	}
	return c.Post(ctx, c.Server.Metadata.Token, cl, form)
}

// Refreshed spends a refresh token that must work.
func (c *Case) Refreshed(ctx context.Context, cl *Client, token string, more ...string) (*Tokens, error) {
	reply, err := c.Refresh(ctx, cl, token, more...)
	if err != nil {
		return nil, err
	}
	return c.tokens(reply)
}

// Redemption tries a code that must be refused, with one of codes.
func (c *Case) Redemption(ctx context.Context, cl *Client, form url.Values, codes ...string) error {
	reply, err := c.Post(ctx, c.Server.Metadata.Token, cl, form)
	if err != nil {
		return err
	}
	return c.Refused(reply, codes...)
}
