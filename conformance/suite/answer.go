package suite

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// An Answer is an authorization response as the application gets it.
type Answer struct {
	Params url.Values
	Mode   string   // how it travelled: query, fragment or form_post
	To     *url.URL // where to
}

// answer returns what the browser brought back to the application; ok is false
// while the browser is on a page of the issuer.
func (p *Page) answer(home *url.URL) (*Answer, bool) {
	if p.Left == nil {
		f, ok := p.posted(home)
		return &Answer{Params: f.fields, Mode: "form_post", To: f.action}, ok
	}
	a := &Answer{Mode: "query", To: p.Left, Params: p.Left.Query()}
	if fragment, err := url.ParseQuery(p.Left.EscapedFragment()); err == nil && p.Left.Fragment != "" {
		a.Mode, a.Params = "fragment", fragment
	}
	return a, true
}

// Get is a parameter of the answer.
func (a *Answer) Get(name string) string { return a.Params.Get(name) }

// String tells an answer without its secrets.
func (a *Answer) String() string {
	if e := a.Get("error"); e != "" {
		return fmt.Sprintf("the error %s (%s)", e, a.Get("error_description"))
	}
	return "an answer with " + strings.Join(slices.Sorted(keysOf(a.Params)), ", ")
}

// An answered is an answer beside the request it is for.
type answered struct {
	*Answer
	req *Request
	m   *Metadata
}

// answerChecks hold every answer, success and error alike.
var answerChecks = []check[answered]{
	{"OpenID Connect Core 3.1.2.5", func(a answered) string {
		want, err := url.Parse(a.req.Get("redirect_uri"))
		if err != nil || a.To.Scheme != want.Scheme || a.To.Host != want.Host || a.To.EscapedPath() != want.EscapedPath() {
			return "the answer went to " + plainURL(a.To) + ", which is not the redirect_uri"
		}
		for name, values := range want.Query() {
			if !slices.Equal(a.To.Query()[name], values) {
				return "the answer lost the parameter " + name + " of the redirect_uri"
			}
		}
		return ""
	}},
	{"OAuth 2.0 Multiple Response Types 5", func(a answered) string {
		if want := or(a.req.mode, a.req.variant.mode()); want != "any" && a.Mode != want && a.Get("error") != "unsupported_response_type" {
			return fmt.Sprintf("the answer came as %s, not as %s", a.Mode, want)
		}
		return ""
	}},
	{"RFC 6749 4.1.2", func(a answered) string {
		if got, want := a.Params["state"], a.req.Params["state"]; !slices.Equal(got, want) {
			return "the state of the answer is not that of the request"
		}
		return ""
	}},
	{"RFC 9207 2", func(a answered) string {
		if got := a.Get("iss"); got != "" && got != a.m.Issuer || got == "" && a.m.IssParameter {
			return fmt.Sprintf("iss is %q, not the issuer", got)
		}
		return ""
	}},
	{"RFC 6749 3.1", func(a answered) string {
		for name, values := range a.Params {
			if len(values) > 1 {
				return "the answer repeats the parameter " + name
			}
		}
		return ""
	}},
	{"RFC 6749 4.1.2", func(a answered) string {
		known := []string{"state", "iss", "session_state", "code", "access_token", "token_type", "expires_in", "scope", "id_token"}
		if a.Get("error") != "" {
			known = []string{"state", "iss", "session_state", "error", "error_description", "error_uri"}
		}
		own, err := url.Parse(a.req.Get("redirect_uri"))
		for name := range a.Params {
			if !slices.Contains(known, name) && (err != nil || !own.Query().Has(name)) {
				return "the answer has the parameter " + name + ", which does not belong there"
			}
		}
		return ""
	}},
	{"RFC 6749 4.1.2.1", func(a answered) string { return Illegal("error", a.Get("error")) }},
	{"RFC 6749 4.1.2.1", func(a answered) string { return Illegal("error_description", a.Get("error_description")) }},
}

// successChecks hold an answer that carries what was asked for.
var successChecks = []check[answered]{
	{"OAuth 2.0 Multiple Response Types 3", func(a answered) string {
		v := a.req.variant
		for name, want := range map[string]bool{"code": v.Code(), "id_token": v.IDToken(), "access_token": v.Token()} {
			if has := a.Get(name) != ""; has != want {
				return fmt.Sprintf("%s is in the answer: %t; the response_type %s means: %t", name, has, v.ResponseType, want)
			}
		}
		return ""
	}},
	{"RFC 6749 10.10", func(a answered) string { return weakIf("code", a.Get("code")) }},
	{"RFC 6749 10.10", func(a answered) string { return weakIf("access token", a.Get("access_token")) }},
	{"OpenID Connect Core 3.2.2.5", func(a answered) string {
		n, err := strconv.Atoi(a.Get("expires_in"))
		switch {
		case a.Get("access_token") == "":
			return ""
		case !strings.EqualFold(a.Get("token_type"), "Bearer"):
			return fmt.Sprintf("token_type is %q, not Bearer", a.Get("token_type"))
		case err != nil || n <= 0:
			return fmt.Sprintf("expires_in is %q, not a number of seconds", a.Get("expires_in"))
		}
		return ""
	}},
}

func weakIf(name, value string) string {
	if value == "" {
		return ""
	}
	return weak(name, value)
}

// check holds an answer to the request it is for.
func (c *Case) check(r *Request, a *Answer) error {
	seen := answered{a, r, c.Server.Metadata}
	if err := walk(answerChecks, seen); err != nil || a.Get("error") != "" {
		return err
	}
	return walk(successChecks, seen)
}
