package deployment

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/gatekeeper-oidc/gatekeeper/conformance/suite"
)

// loginPage opens the page where people sign in.
func loginPage(ctx context.Context, c *suite.Case) (*suite.Browser, *suite.Request, *suite.Page, error) {
	cl, err := c.Client(ctx)
	if err != nil {
		return nil, nil, nil, err
	}
	b, r := c.Browser(), c.Request(cl)
	p, err := b.Open(ctx, r.URL())
	if err == nil && p.Kind() != suite.LoginPage {
		err = suite.Failf("the browser is on %s, not where people sign in", p)
	}
	return b, r, p, err
}

// headerRules are what the page where people sign in must tell a browser; each
// returns what is wrong, or "".
var headerRules = []func(h http.Header) string{
	func(h http.Header) string {
		if h.Get("X-Content-Type-Options") != "nosniff" {
			return "X-Content-Type-Options is not nosniff"
		}
		return ""
	},
	func(h http.Header) string {
		policy := h.Get("Content-Security-Policy")
		if !strings.Contains(policy, "frame-ancestors 'none'") && !strings.EqualFold(h.Get("X-Frame-Options"), "DENY") {
			return "the page can be framed by other sites (frame-ancestors, X-Frame-Options)"
		}
		return ""
	},
	func(h http.Header) string {
		words := directive(h.Get("Content-Security-Policy"), "script-src", "default-src")
		switch {
		case len(words) == 0:
			return "there is no Content-Security-Policy about scripts"
		case slices.Contains(words, "'unsafe-inline'") || slices.Contains(words, "*"):
			return "the Content-Security-Policy lets any script run"
		}
		return ""
	},
	func(h http.Header) string {
		if p := h.Get("Referrer-Policy"); p == "" || strings.Contains(p, "unsafe-url") {
			return "the Referrer-Policy lets addresses with codes leave the site"
		}
		return ""
	},
	func(h http.Header) string {
		if !strings.Contains(h.Get("Cache-Control"), "no-store") {
			return "the page may be kept by caches"
		}
		return ""
	},
}

// directive returns the values of the first of these directives that a policy has.
func directive(policy string, names ...string) []string {
	for _, name := range names {
		for part := range strings.SplitSeq(policy, ";") {
			if words := strings.Fields(part); len(words) > 0 && words[0] == name {
				return words[1:]
			}
		}
	}
	return nil
}

// PageHeaders looks at the headers of the page where people sign in.
func PageHeaders() suite.Module {
	return suite.Module{
		Name: "page-headers", Summary: "The sign-in page tells browsers to protect it.", Spec: "RFC 9700 4.16",
		Run: func(ctx context.Context, c *suite.Case) error {
			_, _, p, err := loginPage(ctx, c)
			if err != nil {
				return err
			}
			secure := p.URL.Scheme == "https"
			for _, rule := range headerRules {
				if why := rule(p.Header); why != "" {
					return suite.Failf("%s", why)
				}
			}
			if local := p.URL.Hostname() == "localhost"; secure && !local && p.Header.Get("Strict-Transport-Security") == "" {
				c.Warnf("RFC 6797 6.1", "there is no Strict-Transport-Security")
			}
			return nil
		},
	}
}

// Cookies looks at every cookie a sign-in sets.
func Cookies() suite.Module {
	return suite.Module{
		Name: "cookies", Summary: "Cookies of a sign-in are for the server alone: HttpOnly, SameSite, Secure, __Host-.", Spec: "RFC 6265 4.1.2",
		Run: func(ctx context.Context, c *suite.Case) error {
			_, b, err := c.Enter(ctx)
			if err != nil {
				return err
			}
			seen := false
			for _, p := range b.Visited {
				for _, cookie := range (&http.Response{Header: p.Header}).Cookies() {
					seen = true
					if why := loose(cookie, p.URL.Scheme == "https"); why != "" {
						return suite.Failf("the cookie %s %s", cookie.Name, why)
					}
				}
			}
			if !seen {
				return suite.Failf("signing in sets no cookie")
			}
			return nil
		},
	}
}

// readable are the cookies that a script must read (OpenID Connect Session
// Management 3.2): they say nothing of the person.
func readable(c *http.Cookie) bool {
	return strings.Contains(c.Name, "browser_state") || strings.Contains(c.Name, "gk_bs")
}

// loose says what a cookie lacks, or "".
func loose(c *http.Cookie, https bool) string {
	switch {
	case c.Domain != "":
		return "is for the whole domain " + c.Domain
	case https && !c.Secure:
		return "is not Secure"
	case readable(c):
		return ""
	case !c.HttpOnly:
		return "can be read by scripts (no HttpOnly)"
	case c.SameSite != http.SameSiteLaxMode && c.SameSite != http.SameSiteStrictMode && c.SameSite != http.SameSiteNoneMode:
		return "has no SameSite"
	case https && !strings.HasPrefix(c.Name, "__Host-") && (!strings.HasPrefix(c.Name, "__Secure-") || c.Path == "" || c.Path == "/"):
		return "is neither bound to the host (__Host-) nor to the issuer's path on it (__Secure-)"
	}
	return ""
}

// SessionFixation looks whether a sign-in changes who the browser is.
func SessionFixation() suite.Module {
	return suite.Module{
		Name: "session-fixation", Summary: "A sign-in gives the browser a new secret: one planted before is worth nothing.", Spec: "RFC 9700 4.7",
		Run: func(ctx context.Context, c *suite.Case) error {
			b, r, p, err := loginPage(ctx, c)
			if err != nil {
				return err
			}
			before := b.Cookies()
			v, err := c.Finish(ctx, b, r, p)
			if err != nil {
				return err
			}
			if _, err := v.Success(); err != nil {
				return err
			}
			for _, after := range b.Cookies() {
				if !slices.ContainsFunc(before, func(old *http.Cookie) bool { return old.Name == after.Name && old.Value == after.Value }) {
					return nil
				}
			}
			return suite.Failf("the cookies are the same before and after the person signed in")
		},
	}
}

// ForeignForm posts the sign-in form from another site, and without its token.
func ForeignForm() suite.Module {
	return suite.Module{
		Name: "foreign-form", Summary: "A sign-in form that another site sends is refused.", Spec: "RFC 9700 4.7",
		Run: func(ctx context.Context, c *suite.Case) error {
			b, _, p, err := loginPage(ctx, c)
			if err != nil {
				return err
			}
			fields := map[string][]string{"login": {"nobody@conformance.invalid"}, "password": {"no password of anybody"}}
			for _, origin := range []string{"https://elsewhere.invalid", p.URL.Scheme + "://" + p.URL.Host} {
				got, err := b.Submit(ctx, origin, p.Action("submit").String(), fields)
				if err != nil {
					return err
				}
				if got.Status < 400 {
					return suite.Failf("a form without its token, said to be of %s, is answered %d", origin, got.Status)
				}
			}
			return nil
		},
	}
}
