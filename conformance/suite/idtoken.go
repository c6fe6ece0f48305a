package suite

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

// An Expect is what an ID token must agree with.
type Expect struct {
	Client     *Client
	Nonce      string // of the request; "" means that the token has none
	Access     string // the access token beside it
	Code       string // the code beside it
	State      string
	Front      bool // it came through the browser
	WithAccess bool // there is an access token, so claims are for userinfo
	Scope      string
	Claims     string // the claims parameter
	Alg        string // "" means RS256
	MaxAge     bool   // the request had a max_age
	Refreshed  bool   // it came with a refresh: the nonce may be missing
}

// judged is an ID token beside what it must agree with.
type judged struct {
	*JWT
	Expect
	issuer string
	now    time.Time
}

// idTokenChecks are OpenID Connect Core 2, 3.1.3.7, 3.2.2.11 and 3.3.2.12.
var idTokenChecks = []check[judged]{
	{"OpenID Connect Core 3.1.3.7", func(t judged) string {
		if want := or(t.Expect.Alg, "RS256"); t.JWT.Alg() != want {
			return fmt.Sprintf("the ID token is signed with %q, not %s", t.JWT.Alg(), want)
		}
		return ""
	}},
	{"OpenID Connect Core 2", func(t judged) string {
		if t.Text("iss") != t.issuer {
			return fmt.Sprintf("iss of the ID token is %v, not the issuer", t.JWT.Claims["iss"])
		}
		return ""
	}},
	{"OpenID Connect Core 2", func(t judged) string {
		if aud := texts(t.JWT.Claims["aud"]); !slices.Contains(aud, t.Client.ID) {
			return fmt.Sprintf("aud of the ID token is %v, without the client", aud)
		}
		return ""
	}},
	{"OpenID Connect Core 2", func(t judged) string {
		if azp, ok := t.JWT.Claims["azp"]; ok && azp != t.Client.ID || !ok && len(texts(t.JWT.Claims["aud"])) > 1 {
			return fmt.Sprintf("azp of the ID token is %v, not the client", azp)
		}
		return ""
	}},
	{"OpenID Connect Core 2", func(t judged) string {
		sub := t.Text("sub")
		if sub == "" || len(sub) > 255 || strings.ContainsFunc(sub, func(r rune) bool { return r > 0x7E }) {
			return "sub of the ID token is not 1 to 255 characters of ASCII"
		}
		return ""
	}},
	{"OpenID Connect Core 2", func(t judged) string {
		issued := time.Unix(t.Time("iat"), 0)
		switch {
		case t.Time("exp") <= t.now.Unix():
			return "the ID token has expired, or has no exp"
		case t.Time("iat") == 0 || issued.Sub(t.now).Abs() > 5*time.Minute:
			return "iat of the ID token is not now: " + issued.UTC().Format(time.RFC3339)
		case t.JWT.Claims["nbf"] != nil && t.Time("nbf") > t.now.Add(5*time.Minute).Unix():
			return "the ID token is not valid yet"
		}
		return ""
	}},
	{"OpenID Connect Core 2", func(t judged) string {
		got, has := t.JWT.Claims["nonce"]
		if !has && t.Refreshed {
			return ""
		}
		if has != (t.Nonce != "") || has && got != t.Nonce {
			return "the nonce of the ID token is not that of the request"
		}
		return ""
	}},
	{"OpenID Connect Core 2", func(t judged) string {
		at := t.Time("auth_time")
		if t.JWT.Claims["auth_time"] == nil && !t.MaxAge {
			return ""
		}
		if at <= 0 || at > t.now.Add(5*time.Minute).Unix() {
			return fmt.Sprintf("auth_time of the ID token is %v", t.JWT.Claims["auth_time"])
		}
		return ""
	}},
	{"OpenID Connect Core 2", func(t judged) string {
		if acr, ok := t.JWT.Claims["acr"]; ok && t.Text("acr") == "" {
			return fmt.Sprintf("acr of the ID token is %v, not text", acr)
		}
		if amr, ok := t.JWT.Claims["amr"].([]any); t.JWT.Claims["amr"] != nil && (!ok || len(texts(amr)) != len(amr)) {
			return "amr of the ID token is not a list of texts"
		}
		return ""
	}},
	{"OpenID Connect Core 3.2.2.10", func(t judged) string { return hashed(t, "at_hash", t.Access, t.Front && t.Access != "") }},
	{"OpenID Connect Core 3.3.2.11", func(t judged) string { return hashed(t, "c_hash", t.Code, t.Front && t.Code != "") }},
	{"FAPI 1.0 Part 2 5.1", func(t judged) string { return hashed(t, "s_hash", t.State, false) }},
}

// hashed holds a claim to the hash of what travels beside the ID token.
func hashed(t judged, claim, of string, required bool) string {
	got := t.JWT.Claims[claim]
	switch {
	case got == nil && required:
		return "the ID token has no " + claim
	case got != nil && of != "" && got != halfHash(t.JWT.Alg(), of):
		return claim + " of the ID token is the hash of something else"
	}
	return ""
}

// aboutToken are the claims an ID token has about itself.
var aboutToken = strings.Fields("iss sub aud exp iat auth_time nonce acr amr azp at_hash c_hash s_hash nbf jti sid txn")

// CheckID holds an ID token to what it must agree with.
func (c *Case) CheckID(ctx context.Context, t *JWT, want Expect) error {
	if err := walk(idTokenChecks, judged{t, want, c.Server.Metadata.Issuer, c.Target.Now()}); err != nil {
		return err
	}
	c.warnOfClaims(t, want)
	return c.Verify(ctx, t)
}

// warnOfClaims tells of claims that nobody asked for, or that belong to userinfo
// (OpenID Connect Core 5.4).
func (c *Case) warnOfClaims(t *JWT, want Expect) {
	var asked struct {
		IDToken map[string]any `json:"id_token"`
	}
	_ = json.Unmarshal([]byte(want.Claims), &asked) // none, if there is no such parameter
	for name := range t.Claims {
		_, byName := asked.IDToken[name]
		byScope := slices.ContainsFunc(strings.Fields(want.Scope), func(s string) bool { return slices.Contains(ScopeClaims(s), name) })
		switch {
		case slices.Contains(aboutToken, name) || byName || byScope && !want.WithAccess:
		case byScope:
			c.Warnf("OpenID Connect Core 5.4", "the ID token has %s, which belongs to userinfo when there is an access token", name)
		default:
			c.Warnf("OpenID Connect Core 2", "the ID token has %s, which nobody asked for", name)
		}
	}
}

// texts reads a text or a list of texts.
func texts(v any) []string {
	var out []string
	switch v := v.(type) {
	case string:
		out = append(out, v)
	case []any:
		for _, e := range v {
			if s, ok := e.(string); ok {
				out = append(out, s)
			}
		}
	}
	return out
}
