package logout

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/gatekeeper-oidc/gatekeeper/conformance/suite"
)

// event is what a logout token is about (OpenID Connect Back-Channel Logout 2.4).
const event = "http://schemas.openid.net/event/backchannel-logout"

// BackchannelAdvertised looks at discovery.
func BackchannelAdvertised() suite.Module {
	return advertised("backchannel-logout-discovery-endpoint-verification", "OpenID Connect Back-Channel Logout 2.1",
		func(m *suite.Metadata) bool { return m.Backchannel && m.BackchannelSID })
}

// FrontchannelAdvertised looks at discovery.
func FrontchannelAdvertised() suite.Module {
	return advertised("frontchannel-logout-discovery-endpoint-verification", "OpenID Connect Front-Channel Logout 3",
		func(m *suite.Metadata) bool { return m.Frontchannel && m.FrontchannelSID })
}

func advertised(name, where string, both func(m *suite.Metadata) bool) suite.Module {
	return suite.Module{Name: name, Summary: "The provider says that it does this, with session ids.", Spec: where, Run: func(_ context.Context, c *suite.Case) error {
		if !both(c.Server.Metadata) {
			return suite.Failf("the two members of discovery are not both true")
		}
		return nil
	}}
}

// Backchannel waits for the logout token.
func Backchannel() suite.Module {
	return suite.Module{
		Name: "backchannel-rp-initiated-logout", Summary: "The application is told of the logout by a signed token.", Spec: "OpenID Connect Back-Channel Logout 2.4",
		Run: func(ctx context.Context, c *suite.Case) error {
			d, err := c.Desk()
			if err != nil {
				return err
			}
			inbox := d.Inbox()
			cl, err := c.Register(ctx, map[string]any{
				"backchannel_logout_uri": inbox.URL, "backchannel_logout_session_required": true,
				"post_logout_redirect_uris": []string{c.AfterLogout()},
			})
			l, err := arrive(ctx, c, cl, err)
			if err != nil {
				return err
			}
			p, err := l.leave(ctx, "id_token_hint", l.hint(), "post_logout_redirect_uri", l.back, "state", "back")
			if err != nil {
				return err
			}
			if err := l.returned(p, "back"); err != nil {
				return err
			}
			letter, err := inbox.Wait(ctx)
			if err != nil {
				return err
			}
			return logoutToken(ctx, c, l, letter)
		},
	}
}

// logoutToken holds a logout token to Back-Channel Logout 2.4 and 2.6.
func logoutToken(ctx context.Context, c *suite.Case, l *leaving, letter suite.Letter) error {
	if letter.Method != http.MethodPost || !letter.Form.Has("logout_token") {
		return suite.Brokef("OpenID Connect Back-Channel Logout 2.5", "a %s without logout_token arrived", letter.Method)
	}
	t, err := suite.ParseJWT(letter.Form.Get("logout_token"))
	if err != nil {
		return err
	}
	id := l.login.ID()
	events, _ := t.Claims["events"].(map[string]any)
	about, _ := events[event].(map[string]any)
	for _, wrong := range []struct {
		is  bool
		why string
	}{
		{t.Header["typ"] != "logout+jwt", "its typ is not logout+jwt"},
		{t.Alg() != id.Alg(), "it is signed with another algorithm than the ID token"},
		{t.Text("iss") != id.Text("iss"), "iss is not the issuer"},
		{!slices.Equal(audience(t), audience(id)), "aud is not the client"},
		{t.Time("iat") == 0 || t.Time("exp") <= c.Target.Now().Unix(), "iat is missing, or it has expired"},
		{t.Text("jti") == "", "jti is missing"},
		{len(events) != 1 || events[event] == nil || len(about) != 0, "events is not exactly the logout event, and empty"},
		{t.Claims["nonce"] != nil, "it has a nonce"},
		{t.Text("sid") == "" || t.Text("sid") != id.Text("sid"), "sid is not that of the ID token"},
		{t.Text("sub") != "" && t.Text("sub") != id.Text("sub"), "sub is not that of the ID token"},
	} {
		if wrong.is {
			return suite.Failf("the logout token: %s", wrong.why)
		}
	}
	return c.Verify(ctx, t)
}

func audience(t *suite.JWT) []string {
	if s := t.Text("aud"); s != "" {
		return []string{s}
	}
	var all []string
	list, _ := t.Claims["aud"].([]any)
	for _, e := range list {
		s, _ := e.(string)
		all = append(all, s)
	}
	return all
}

// Frontchannel looks for the frame that tells the application.
func Frontchannel() suite.Module {
	return suite.Module{
		Name: "frontchannel-rp-initiated-logout", Summary: "The logout page loads the application's frame with iss and sid, and goes on then.",
		Spec: "OpenID Connect Front-Channel Logout 3",
		Run: func(ctx context.Context, c *suite.Case) error {
			frame := strings.TrimSuffix(c.Target.Redirect, "/") + "/frame"
			cl, err := c.Register(ctx, map[string]any{
				"frontchannel_logout_uri": frame, "frontchannel_logout_session_required": true,
				"post_logout_redirect_uris": []string{c.AfterLogout()},
			})
			l, err := arrive(ctx, c, cl, err)
			if err != nil {
				return err
			}
			p, err := l.leave(ctx, "id_token_hint", l.hint(), "post_logout_redirect_uri", l.back, "state", "front")
			if err != nil {
				return err
			}
			if err := framed(p, frame, l.login.ID()); err != nil {
				return err
			}
			return l.returned(p, "front")
		},
	}
}

// framed looks for the application's frame on the logout page.
func framed(p *suite.Page, frame string, id *suite.JWT) error {
	for _, src := range p.Links("iframe", "src") {
		if !strings.HasPrefix(src, frame) {
			continue
		}
		u, err := url.Parse(src)
		if err != nil {
			continue
		}
		q := u.Query()
		switch {
		case q.Get("iss") != id.Text("iss"):
			return suite.Failf("iss of the frame is not the issuer")
		case q.Get("sid") == "" || q.Get("sid") != id.Text("sid"):
			return suite.Failf("sid of the frame is not that of the ID token")
		case !frameAllowed(p.Header, u):
			return suite.Failf("the page's Content-Security-Policy does not let the frame load")
		}
		return nil
	}
	return suite.Failf("there is no frame of the application on %s", p)
}

// frameAllowed reports whether the policy of a page lets it load a frame.
func frameAllowed(h http.Header, frame *url.URL) bool {
	policy := h.Get("Content-Security-Policy")
	for directive := range strings.SplitSeq(policy, ";") {
		words := strings.Fields(directive)
		if len(words) > 0 && words[0] == "frame-src" {
			return slices.Contains(words, frame.Scheme+"://"+frame.Host) || slices.Contains(words, frame.Scheme+":")
		}
	}
	return policy == ""
}

// CheckSessionFrame loads the frame that applications ask.
func CheckSessionFrame() suite.Module {
	return suite.Module{
		Name: "session-management-discovery-endpoint-verification", Summary: "check_session_iframe is a page that other sites may frame.",
		Spec: "OpenID Connect Session Management 3.3",
		Run: func(ctx context.Context, c *suite.Case) error {
			r, err := c.Get(ctx, c.Server.Metadata.CheckSession)
			if err != nil {
				return err
			}
			switch {
			case r.Status != http.StatusOK || r.Type() != "text/html":
				return suite.Failf("check_session_iframe answered %d with %s", r.Status, r.Type())
			case r.Header.Get("X-Frame-Options") != "" || strings.Contains(r.Header.Get("Content-Security-Policy"), "frame-ancestors 'none'"):
				return suite.Failf("check_session_iframe forbids to be framed")
			}
			return nil
		},
	}
}

// SessionState looks for session_state in answers, errors too.
func SessionState() suite.Module {
	return suite.Module{
		Name: "session-management-session-state", Summary: "Every answer of a signed-in person carries session_state.", Spec: "OpenID Connect Session Management 2",
		Run: func(ctx context.Context, c *suite.Case) error {
			l, b, err := c.Enter(ctx)
			if err != nil {
				return err
			}
			state := l.Answer.Get("session_state")
			if state == "" || strings.Contains(state, " ") {
				return suite.Failf("the answer has no session_state, or one with a space")
			}
			v, err := c.Visit(ctx, c.Browser(), c.Request(l.Request.Client, "prompt", "none"))
			if err != nil {
				return err
			}
			if err := v.Error("login_required"); err != nil {
				return err
			}
			if v.Answer.Get("session_state") == "" {
				c.Warnf("", "an error answer has no session_state")
			}
			again, err := c.Login(ctx, b, c.Request(l.Request.Client))
			if err == nil && again.Answer.Get("session_state") == "" {
				err = suite.Failf("the second answer has no session_state")
			}
			return err
		},
	}
}
