package suite

import (
	"context"
	"fmt"
)

// A Login is a whole flow: what the person saw and what the application got.
type Login struct {
	*Visit
	Request  *Request
	Front    *JWT           // the ID token that came through the browser; nil without one
	Tokens   *Tokens        // of the token endpoint; nil without a code
	Access   string         // an access token; "" where the flow has none
	Userinfo map[string]any // nil without an access token
}

// ID is an ID token of the flow: that of the token endpoint if there are two.
func (l *Login) ID() *JWT {
	if l.Tokens != nil && l.Tokens.ID != nil {
		return l.Tokens.ID
	}
	return l.Front
}

// Claims are what the application learns about the person: of userinfo, or of the
// ID token where there is no access token to ask with.
func (l *Login) Claims() map[string]any {
	if l.Userinfo != nil {
		return l.Userinfo
	}
	return l.Front.Claims
}

// Login goes through a whole flow that must end well, and holds everything it
// gets to the specifications: the answer, both ID tokens, the tokens, userinfo.
func (c *Case) Login(ctx context.Context, b *Browser, r *Request) (*Login, error) {
	v, err := c.Visit(ctx, b, r)
	if err != nil {
		return nil, err
	}
	return c.Complete(ctx, v, r)
}

// Complete takes the answer a visit must have ended with and does with it what an
// application does.
func (c *Case) Complete(ctx context.Context, v *Visit, r *Request) (*Login, error) {
	a, err := v.Success()
	if err != nil {
		return nil, err
	}
	l := &Login{Visit: v, Request: r, Access: a.Get("access_token")}
	if raw := a.Get("id_token"); raw != "" {
		if l.Front, err = ParseJWT(raw); err != nil {
			return nil, err
		}
		want := Expect{
			Client: r.Client, Nonce: r.Get("nonce"), Access: l.Access, Code: a.Get("code"), State: r.Get("state"), Front: true,
			WithAccess: r.variant.Access(), Scope: r.Get("scope"), Claims: r.Get("claims"), MaxAge: r.Get("max_age") != "",
		}
		if err := c.CheckID(ctx, l.Front, want); err != nil {
			return nil, fmt.Errorf("from the browser: %w", err)
		}
	}
	if code := a.Get("code"); code != "" {
		if l.Tokens, err = c.Redeem(ctx, r, code); err != nil {
			return nil, err
		}
	}
	if err := sameTokens(l.Front, l.Tokens); err != nil {
		return nil, err
	}
	return l, c.ask(ctx, l)
}

// sameTokens holds the two ID tokens of a hybrid flow to each other (OpenID
// Connect Core 3.3.3.6).
func sameTokens(front *JWT, t *Tokens) error {
	if front == nil || t == nil || t.ID == nil {
		return nil
	}
	for _, claim := range []string{"iss", "sub"} {
		if front.Text(claim) != t.ID.Text(claim) {
			return Brokef("OpenID Connect Core 3.3.3.6", "%s differs between the two ID tokens", claim)
		}
	}
	return nil
}

// ask asks userinfo with each access token there is.
func (c *Case) ask(ctx context.Context, l *Login) error {
	if l.Access != "" && l.ID() != nil {
		if _, err := c.Userinfo(ctx, l.Access, l.ID().Text("sub"), ByGet); err != nil {
			return fmt.Errorf("with the token from the browser: %w", err)
		}
	}
	if l.Tokens != nil {
		l.Access = l.Tokens.Access
	}
	if l.Access == "" || c.Server.Metadata.Userinfo == "" {
		return nil
	}
	var err error
	l.Userinfo, err = c.Userinfo(ctx, l.Access, l.ID().Text("sub"), ByGet)
	return err
}

// Enter is the beginning of most modules: a client, a browser and a whole flow
// with these changes to the request.
func (c *Case) Enter(ctx context.Context, change ...string) (*Login, *Browser, error) {
	cl, err := c.Client(ctx)
	if err != nil {
		return nil, nil, err
	}
	b := c.Browser()
	l, err := c.Login(ctx, b, c.Request(cl, change...))
	return l, b, err
}
