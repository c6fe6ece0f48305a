package suite

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
)

// The ways an access token gets to userinfo (RFC 6750 2).
const (
	ByGet        = "GET with the header"
	ByPostHeader = "POST with the header"
	ByPostBody   = "POST with the body"
)

// AskUserinfo asks userinfo with an access token.
func (c *Case) AskUserinfo(ctx context.Context, token, how string) (*Reply, error) {
	endpoint := c.Server.Metadata.Userinfo
	if endpoint == "" {
		return nil, Skipf("no userinfo_endpoint is advertised")
	}
	switch how {
	case ByPostBody:
		return c.Post(ctx, endpoint, nil, url.Values{"access_token": {token}})
	case ByPostHeader:
		r, err := newRequest(ctx, http.MethodPost, endpoint, nil)
		if err != nil {
			return nil, err
		}
		r.Header.Set("Authorization", "Bearer "+token)
		return c.Send(r)
	default:
		return c.Get(ctx, endpoint, "Authorization", "Bearer "+token)
	}
}

// Userinfo asks userinfo and holds the answer to OpenID Connect Core 5.3.
func (c *Case) Userinfo(ctx context.Context, token, sub, how string) (map[string]any, error) {
	r, err := c.AskUserinfo(ctx, token, how)
	if err != nil {
		return nil, err
	}
	switch {
	case r.Status != http.StatusOK:
		return nil, Brokef("OpenID Connect Core 5.3.1", "userinfo answered %d %s to a %s", r.Status, r.Text("error"), how)
	case r.Type() != "application/json":
		return nil, Brokef("OpenID Connect Core 5.3.2", "the media type of userinfo is %q, not application/json", r.Type())
	case r.Text("sub") != sub:
		return nil, Brokef("OpenID Connect Core 5.3.2", "userinfo is about somebody else than the ID token")
	}
	return r.JSON, CheckClaims(r.JSON)
}

// Whatever revokes a token may take a moment to reach every server.
const (
	moment  = 5 * time.Second
	between = 100 * time.Millisecond
)

// DeadAccess holds an access token to being refused, within a moment and by every
// server behind the address: by two answers running.
func (c *Case) DeadAccess(ctx context.Context, token string) error {
	refused := 0
	for waited := time.Duration(0); waited < moment; waited += between {
		r, err := c.AskUserinfo(ctx, token, ByGet)
		if err != nil {
			return err
		}
		if refused++; r.Status < 400 || r.Status > 499 {
			refused = 0
		}
		if refused == 2 {
			return nil
		}
		if refused == 0 {
			err = c.Wait(ctx, between)
		}
		if err != nil {
			return err
		}
	}
	return Failf("the access token is still good after %s", moment)
}

// ScopeClaims are the claims a scope asks for (OpenID Connect Core 5.4).
func ScopeClaims(scope string) []string {
	return slices.Clone(map[string][]string{
		"profile": {
			"name", "family_name", "given_name", "middle_name", "nickname", "preferred_username", "profile", "picture",
			"website", "gender", "birthdate", "zoneinfo", "locale", "updated_at",
		},
		"email":   {"email", "email_verified"},
		"address": {"address"},
		"phone":   {"phone_number", "phone_number_verified"},
	}[scope])
}

var (
	birthdates = regexp.MustCompile(`^((0000|\d{4})-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])|\d{4})$`)
	zones      = regexp.MustCompile(`^[A-Za-z]+([/_+-][A-Za-z0-9]+)*$`)
	languages  = regexp.MustCompile(`^[A-Za-z]{2,8}([-_][A-Za-z0-9]{1,8})*$`)
)

// claimForms are what the claims of OpenID Connect Core 5.1 must look like; those
// not named are text that is not blank.
var claimForms = map[string]func(v any) bool{
	"email_verified":        isTruth,
	"phone_number_verified": isTruth,
	"updated_at":            func(v any) bool { n, ok := v.(float64); return ok && n > 0 },
	"birthdate":             matches(birthdates),
	"zoneinfo":              matches(zones),
	"locale":                matches(languages),
	"email":                 func(v any) bool { s, ok := v.(string); return ok && strings.Count(s, "@") >= 1 },
	"profile":               isAddress,
	"picture":               isAddress,
	"website":               isAddress,
	"address":               isPostal,
}

func isTruth(v any) bool { _, ok := v.(bool); return ok }

func matches(form *regexp.Regexp) func(v any) bool {
	return func(v any) bool { s, ok := v.(string); return ok && form.MatchString(s) }
}

func isAddress(v any) bool {
	s, ok := v.(string)
	u, err := url.Parse(s)
	return ok && err == nil && u.Host != ""
}

func isPostal(v any) bool {
	m, ok := v.(map[string]any)
	for name, part := range m {
		s, text := part.(string)
		if !text || s == "" || !slices.Contains([]string{"formatted", "street_address", "locality", "region", "postal_code", "country"}, name) {
			return false
		}
	}
	return ok && len(m) > 0
}

// CheckClaims holds claims about a person to their types.
func CheckClaims(claims map[string]any) error {
	var known []string
	for _, scope := range []string{"profile", "email", "address", "phone"} {
		known = append(known, ScopeClaims(scope)...)
	}
	for _, name := range append(known, "sub") {
		v, has := claims[name]
		form := claimForms[name]
		if form == nil {
			form = func(v any) bool { s, ok := v.(string); return ok && strings.TrimSpace(s) != "" && s != "null" }
		}
		if has && !form(v) {
			return Brokef("OpenID Connect Core 5.1", "the claim %s is not what it must be: %s", name, kindOf(v))
		}
	}
	return nil
}

// kindOf names the type of a claim, not its value.
func kindOf(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case string:
		if strings.TrimSpace(v) == "" {
			return "blank"
		}
		return "a text of another form"
	default:
		return fmt.Sprintf("%T", v)
	}
}
