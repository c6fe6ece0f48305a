// Package logout is the four logout profiles: RP-initiated, back-channel,
// front-channel, and session management.
package logout

import (
	"context"
	"net/url"
	"strings"

	"github.com/gatekeeper-oidc/gatekeeper/conformance/suite"
)

// Profiles are the four logout profiles.
func Profiles() []suite.Profile {
	code := []suite.Variant{{ResponseType: "code"}}
	return []suite.Profile{
		{
			Name: "rp-initiated-logout", Title: "RP-Initiated Logout OP", Variants: code,
			Modules: []suite.Module{
				EndSessionAdvertised(),
				RPInitiated(),
				NoState(),
				BadPostLogoutURI(),
				QueryAdded(),
				BadHint(),
				ModifiedHint(),
				NoHint(),
				NoParams(),
				OnlyState(),
				NoPostLogoutURI(),
			},
			Offered: func(m *suite.Metadata) string { return missing(m.EndSession != "", "end_session_endpoint") },
		},
		{
			Name: "backchannel-logout", Title: "Back-Channel Logout OP", Variants: code, Fresh: "client_secret_basic",
			Modules: []suite.Module{BackchannelAdvertised(), Backchannel()},
			Offered: func(m *suite.Metadata) string {
				return missing(m.Backchannel && m.Registration != "", "backchannel_logout_supported with a registration_endpoint")
			},
		},
		{
			Name: "frontchannel-logout", Title: "Front-Channel Logout OP", Variants: code, Fresh: "client_secret_basic",
			Modules: []suite.Module{FrontchannelAdvertised(), Frontchannel()},
			Offered: func(m *suite.Metadata) string {
				return missing(m.Frontchannel && m.Registration != "", "frontchannel_logout_supported with a registration_endpoint")
			},
		},
		{
			Name: "session-management", Title: "Session OP", Variants: code,
			Modules: []suite.Module{CheckSessionFrame(), SessionState()},
			Offered: func(m *suite.Metadata) string { return missing(m.CheckSession != "", "check_session_iframe") },
		},
	}
}

func missing(there bool, name string) string {
	if there {
		return ""
	}
	return name + " is not advertised"
}

// A leaving is somebody who signed in and is about to sign out.
type leaving struct {
	c     *suite.Case
	b     *suite.Browser
	login *suite.Login
	back  string // the post_logout_redirect_uri
}

// arrive signs somebody in to an application that knows where to go afterwards.
func arrive(ctx context.Context, c *suite.Case, cl *suite.Client, err error) (*leaving, error) {
	if err != nil {
		return nil, err
	}
	l := &leaving{c: c, b: c.Browser()}
	if len(cl.AfterLogout) > 0 {
		l.back = cl.AfterLogout[0]
	}
	l.login, err = c.Login(ctx, l.b, c.Request(cl))
	return l, err
}

func enter(ctx context.Context, c *suite.Case) (*leaving, error) {
	cl, err := c.Leaver(ctx)
	return arrive(ctx, c, cl, err)
}

// leave sends a logout request, confirms it where the person is asked, and returns
// where the browser ends up.
func (l *leaving) leave(ctx context.Context, params ...string) (*suite.Page, error) {
	q := url.Values{}
	for i := 0; i+1 < len(params); i += 2 {
		q.Set(params[i], params[i+1])
	}
	address := l.c.Server.Metadata.EndSession
	if len(q) > 0 {
		address = suite.WithQuery(address, q.Encode())
	}
	return l.c.Leave(ctx, l.b, address)
}

func (l *leaving) hint() string { return l.login.ID().Raw }

// gone holds the session to being over.
func (l *leaving) gone(ctx context.Context) error {
	v, err := l.c.Visit(ctx, l.b, l.c.Request(l.login.Request.Client, "prompt", "none"))
	if err != nil {
		return err
	}
	return v.Error("login_required")
}

// returned holds the browser to being back at the application with exactly state.
func (l *leaving) returned(p *suite.Page, state string) error {
	to, err := destination(p)
	if err != nil {
		return err
	}
	want, err := url.Parse(l.back)
	if err != nil {
		return suite.Failf("the post_logout_redirect_uri is no address")
	}
	got := to.Query()
	if to.Host != want.Host || to.Path != want.Path {
		return suite.Failf("the browser is sent to %s://%s%s, not to the post_logout_redirect_uri", to.Scheme, to.Host, to.Path)
	}
	if got.Get("state") != state || got.Has("state") != (state != "") {
		return suite.Failf("the state that comes back is not the one that was sent")
	}
	if len(got) > len(want.Query())+map[bool]int{true: 1}[state != ""] {
		return suite.Failf("the answer has more than the state")
	}
	return nil
}

// destination is where a page sends the browser on to: by a redirect, or by the
// refresh of a page that first tells other applications.
func destination(p *suite.Page) (*url.URL, error) {
	if p.Left != nil {
		return p.Left, nil
	}
	for _, content := range p.Meta("refresh") {
		if _, to, ok := strings.Cut(content, "="); ok && strings.Contains(strings.ToLower(content), "url=") {
			if u, err := p.URL.Parse(strings.Trim(to, `'" `)); err == nil {
				return u, nil
			}
		}
	}
	return nil, suite.Failf("the browser does not go on from %s", p)
}

// stays holds the browser to being on a page of the issuer that sends it nowhere.
func (l *leaving) stays(p *suite.Page) error {
	if p.Left != nil {
		return suite.Failf("the browser is sent away to %s://%s%s", p.Left.Scheme, p.Left.Host, p.Left.Path)
	}
	if to, err := destination(p); err == nil {
		return suite.Failf("the page sends the browser on to %s://%s%s", to.Scheme, to.Host, to.Path)
	}
	if p.Heading() == "" {
		return suite.Failf("the page says nothing to the person")
	}
	return nil
}
