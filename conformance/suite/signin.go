package suite

import (
	"context"
	"slices"
	"strings"
)

// A Visit is one authorization request in a browser: the pages the person was
// shown, and where it ended.
type Visit struct {
	Asked  []string // LoginPage, ConsentPage, AccountPage, in order
	Page   *Page    // where the browser is
	Answer *Answer  // nil if it never left the issuer
}

// Shown reports whether the person was shown a kind of page.
func (v *Visit) Shown(kind string) bool { return slices.Contains(v.Asked, kind) }

// Visit sends a browser with a request and fills in what it is shown, until the
// answer or a page it does not know.
func (c *Case) Visit(ctx context.Context, b *Browser, r *Request) (*Visit, error) {
	p, err := b.Open(ctx, r.URL())
	if err != nil {
		return nil, err
	}
	if c.Target.Pages == nil {
		return c.Finish(ctx, b, r, p)
	}
	v := &Visit{}
	if _, ok := p.answer(c.Server.origin); !ok { // a silent answer shows no page
		if p, v.Asked, err = c.walk(ctx, b, r.URL(), p); err != nil {
			return v, err
		}
	}
	v.Page = p
	if a, ok := p.answer(c.Server.origin); ok {
		v.Answer = a
		return v, c.check(r, a)
	}
	return v, nil
}

// Finish fills in pages from p on.
func (c *Case) Finish(ctx context.Context, b *Browser, r *Request, p *Page) (*Visit, error) {
	v := &Visit{}
	for range 6 {
		v.Page = p
		if a, ok := p.answer(c.Server.origin); ok {
			v.Answer = a
			return v, c.check(r, a)
		}
		kind := p.Kind()
		var err error
		switch kind {
		case LoginPage:
			if v.Shown(LoginPage) {
				return v, Failf("the person cannot sign in: after the password the login page is shown again (status %d)", p.Status)
			}
			p, err = b.Press(ctx, p, "submit", "login", c.Target.Login, "password", c.Target.Password)
		case ConsentPage:
			p, err = b.Press(ctx, p, "consent-accept")
		case AccountPage:
			p, err = b.Press(ctx, p, "submit")
		default:
			return v, nil
		}
		if err != nil {
			return v, err
		}
		v.Asked = append(v.Asked, kind)
	}
	return v, Failf("one page follows another without end: %s", strings.Join(v.Asked, ", "))
}

// Landed returns the answer of a visit that must not end on a page.
func (v *Visit) Landed() (*Answer, error) {
	if v.Answer == nil {
		return nil, Failf("the browser does not come back to the application; it is on %s", v.Page)
	}
	return v.Answer, nil
}

// Success returns the answer of a visit that must end well.
func (v *Visit) Success() (*Answer, error) {
	a, err := v.Landed()
	if err == nil && a.Get("error") != "" {
		err = Failf("the application gets %s", a)
	}
	return a, err
}

// Error holds a visit to ending with one of codes at the application.
func (v *Visit) Error(codes ...string) error {
	a, err := v.Landed()
	if err != nil {
		return err
	}
	if !slices.Contains(codes, a.Get("error")) {
		return Failf("the application gets %s, not the error %s", a, strings.Join(codes, " or "))
	}
	return nil
}

// Refused holds a visit to ending on an error page of the issuer: a 4xx, an
// explanation for the person, and no way back to the application.
func (v *Visit) Refused() error {
	switch {
	case v.Answer != nil:
		return Failf("the browser is sent to %s with %s; it must stay on an error page", plainURL(v.Answer.To), v.Answer)
	case v.Page.Status < 400 || v.Page.Status > 499:
		return Failf("the browser is on %s; an error page has a 4xx status", v.Page)
	case v.Page.Heading() == "":
		return Failf("the error page says nothing to the person")
	}
	return nil
}

// RefusedOr holds a visit to ending on an error page, or with one of codes at the
// application.
func (v *Visit) RefusedOr(codes ...string) error {
	if v.Answer == nil {
		return v.Refused()
	}
	return v.Error(codes...)
}
