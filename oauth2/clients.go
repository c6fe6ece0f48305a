package oauth2

import (
	"bytes"
	"encoding/json"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/gatekeeper-oidc/gatekeeper/identity"
)

// A clientCheck is one rule about a client's registration; "" means it holds.
type clientCheck struct {
	rule string
	run  func(p *Provider, c *Client) string
}

// redirectRule is the one rule whose breach has an error code of its own.
const redirectRule = "redirect_uris"

var clientChecks = []clientCheck{
	{"client_id_form", clientIDForm},
	{"client_type_known", clientTypeKnown},
	{"auth_method_known", authMethodKnown},
	{"client_keys", clientKeysFit},
	{"grants_fit", grantsFit},
	{"response_types_fit", responseTypesFit},
	{redirectRule, redirectURIsFit},
	{"post_logout_redirect_uris", postLogoutFit},
	{"scopes_known", scopesKnown},
	{"audience", audienceFit},
	{"algorithms_known", algorithmsKnown},
	{"encryption_known", encryptionKnown},
	{"request_objects", requestObjectsFit},
	{"subject_type", subjectTypeFits},
	{"logout_addresses", logoutFits},
	{"initiate_login_uri", initiateLoginFits},
	{"access_token_kind", accessTokenKind},
	{"lifetimes", lifetimesFit},
	{"pkce_opt_out", pkceOptOut},
	{"exchange", exchangeFits},
	{"trusted_issuers", trustedIssuersFit},
	{"links", linksFit},
	{"plain_text", plainThroughout},
}

// CheckClient fills the presets of its type into c and says what is wrong with
// it: fault.Invalid "invalid_redirect_uri" or "invalid_client_metadata" (RFC 7591
// section 3.2.2), with the rule that decided.
func (p *Provider) CheckClient(c *Client) error {
	p.preset(c)
	for _, check := range clientChecks {
		if why := check.run(p, c); why != "" {
			code := "invalid_client_metadata"
			if check.rule == redirectRule {
				code = "invalid_redirect_uri"
			}
			return ruled(check.rule, invalid(code, why)).With("client_id", clip(c.ID, 100))
		}
	}
	return nil
}

// preset fills what was left open with what is safe and usual for the type.
func (p *Provider) preset(c *Client) {
	c.ResponseTypes = slices.Clone(c.ResponseTypes) // which are spelt anew, and may be another's
	if c.Type == "" {
		c.Type = Web
	}
	method, grants := AuthBasic, []string{GrantCode, GrantRefresh}
	scopes := []string{"openid", "profile", "email", "address", "phone", "offline_access"}
	switch c.Type {
	case SPA, Native:
		method = AuthNone
	case Device:
		method, grants = AuthNone, []string{GrantDevice, GrantRefresh}
	case Machine:
		grants, scopes = []string{GrantClientCredentials}, []string{}
	case Web:
	}
	if c.AuthMethod == "" {
		c.AuthMethod = method
	}
	if len(c.Grants) == 0 {
		c.Grants = grants
	}
	if len(c.ResponseTypes) == 0 && c.May(GrantCode) {
		c.ResponseTypes = []string{"code"}
	}
	if c.Scopes == nil {
		c.Scopes = scopes
	}
	if c.AccessToken == "" {
		c.AccessToken = "jwt"
	}
}

var clientID = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._~:/@+-]{0,99}$`)

// clientIDForm takes the ids of other systems too, so that applications can move
// here with theirs: UUIDs, addresses, urn:… What keeps an id from being a user's,
// whoever inserts the client has to see to (RFC 9700 section 4.15): sub is a
// client id for client credentials.
func clientIDForm(_ *Provider, c *Client) string {
	if !clientID.MatchString(c.ID) || strings.Contains(c.ID, "/../") {
		return "A client id has 1 to 100 letters, digits and . - _ ~ : / @ +, and begins with a letter or digit."
	}
	return ""
}

func clientTypeKnown(_ *Provider, c *Client) string {
	if !slices.Contains([]ClientType{Web, SPA, Native, Machine, Device}, c.Type) {
		return "The type is one of web, spa, native, machine and device."
	}
	return ""
}

func authMethodKnown(_ *Provider, c *Client) string {
	if !slices.Contains(append(ConfidentialMethods(), AuthNone), c.AuthMethod) {
		return "The auth method is one of client_secret_basic, client_secret_post, client_secret_jwt, private_key_jwt and none."
	}
	if !slices.Contains([]string{AudienceOne, AudienceIssuer, AudienceAny}, c.AssertionAudience) {
		return "The assertion audience is issuer, any, or left out."
	}
	if c.Type == Machine && c.Public() {
		return "A machine client authenticates; it cannot be public."
	}
	if c.Type == SPA && !c.Public() {
		return "An application in a browser cannot keep a secret; its auth method is none."
	}
	return ""
}

func grantsFit(_ *Provider, c *Client) string {
	known := append(slices.Clone(tokenGrants), GrantImplicit)
	for _, g := range c.Grants {
		if !slices.Contains(known, g) {
			return "The grants are " + strings.Join(known, ", ") + "."
		}
		if c.Public() && slices.Contains(confidentialGrants, g) {
			return "A public client cannot use the grant " + g + "."
		}
	}
	if c.May(GrantRefresh) && !c.May(GrantCode) && !c.May(GrantDevice) {
		return "The refresh grant needs the authorization code or the device grant."
	}
	return ""
}

// responseTypesFit holds response types to the grants they belong to (OpenID
// Connect Registration section 2) and to what this server offers.
func responseTypesFit(p *Provider, c *Client) string {
	for i, t := range c.ResponseTypes {
		r, ok := parseResponseType(t)
		switch {
		case !ok || !p.offers(r):
			return "The response types of this server are " + strings.Join(p.cfg.ResponseTypes, ", ") + "."
		case r.code && !c.May(GrantCode):
			return "The response type " + r.String() + " needs the grant authorization_code."
		case (r.idToken || r.token) && !c.May(GrantImplicit):
			return "The response type " + r.String() + " needs the grant implicit."
		}
		c.ResponseTypes[i] = r.String()
	}
	if (c.May(GrantCode) || c.May(GrantImplicit)) && len(c.ResponseTypes) == 0 {
		return "The implicit grant needs a response type."
	}
	return ""
}

func redirectURIsFit(_ *Provider, c *Client) string {
	if (c.May(GrantCode) || c.May(GrantImplicit)) && len(c.RedirectURIs) == 0 {
		return "A grant that begins in the browser needs a redirect URI."
	}
	if len(c.RedirectURIs) > 100 {
		return "At most a hundred redirect URIs."
	}
	for _, u := range c.RedirectURIs {
		if why := addressFits(c, u); why != "" {
			return why + " (" + clip(u, 200) + ")"
		}
	}
	if c.InsecureShortScheme && c.Type != Native {
		return "Only a native client may use a scheme of its own."
	}
	return ""
}

func postLogoutFit(_ *Provider, c *Client) string {
	for _, u := range c.PostLogoutRedirectURIs {
		if why := addressFits(c, u); why != "" {
			return why + " (" + clip(u, 200) + ")"
		}
	}
	return ""
}

// addressFits says what is wrong with an address a browser will be sent to.
func addressFits(c *Client, uri string) string {
	if len(uri) > limits["redirect_uri"] {
		return "A redirect URI has at most 2048 characters."
	}
	for i := range len(uri) {
		if uri[i] <= 0x20 || uri[i] >= 0x7F || strings.IndexByte(`"<>\^{|}`+"`*", uri[i]) >= 0 {
			return "A redirect URI has only the characters RFC 3986 allows, and no wildcard."
		}
	}
	u, err := url.Parse(uri)
	if err != nil || u.Scheme == "" {
		return "A redirect URI is absolute."
	}
	switch {
	case strings.Contains(uri, "#"):
		return "A redirect URI has no fragment."
	case u.User != nil:
		return "A redirect URI has no user name."
	case u.Port() != "" && !portFits(u.Port()):
		return "A port is a number from 1 to 65535."
	case strings.Contains(u.Path, "/../") || strings.HasSuffix(u.Path, "/..") || strings.Contains(u.Path, "/./"):
		return "A redirect URI has no relative path segments."
	}
	return schemeFits(c, u)
}

func portFits(port string) bool {
	n, err := strconv.ParseUint(port, 10, 16)
	return err == nil && n > 0 && port[0] != '0'
}

// schemeFits says what is wrong with the scheme of an address a browser will be
// sent to.
func schemeFits(c *Client, u *url.URL) string {
	switch u.Scheme {
	case "https":
		if u.Host == "" {
			return "A redirect URI names a host."
		}
		return ""
	case "http":
		if slices.Contains([]string{"localhost", "127.0.0.1", "::1"}, u.Hostname()) {
			return ""
		}
		return "A redirect URI uses https; http is for this computer alone (localhost, 127.0.0.1, [::1])."
	default:
		if c.Type != Native {
			return "Only a native client may use a scheme of its own."
		}
		if slices.Contains([]string{"javascript", "data", "vbscript", "file", "blob", "about", "mailto", "tel", "ws", "wss", "ftp"}, u.Scheme) {
			return "No application has this scheme to itself."
		}
		if !strings.Contains(u.Scheme, ".") && !c.InsecureShortScheme {
			return "A scheme of one's own is a domain in reverse, with a dot (RFC 8252 section 7.1); an operator may allow another with insecure_short_scheme."
		}
		if u.Opaque != "" {
			return "A redirect URI has a slash after its scheme (RFC 8252 section 7.1)."
		}
		return ""
	}
}

func scopesKnown(p *Provider, c *Client) string {
	for _, s := range c.Scopes {
		if got, f := parseScope(s); f != nil || len(got) != 1 {
			return "A scope is one word of the characters RFC 6749 section 3.3 allows."
		}
	}
	if len(c.Scopes) > 50 {
		return "At most fifty scopes."
	}
	return ""
}

func audienceFit(_ *Provider, c *Client) string {
	for _, a := range c.Audience {
		if a == "" || len(a) > 512 || strings.ContainsAny(a, " \t\r\n\"\\#") {
			return "An audience is an absolute URI without a fragment, or one word."
		}
	}
	if len(c.Audience) > 20 || len(strings.Join(c.Audience, " ")) > 2048 {
		return "At most twenty audiences, of 2048 characters together: a code has to carry them."
	}
	return ""
}

func accessTokenKind(_ *Provider, c *Client) string {
	if c.AccessToken != "jwt" && c.AccessToken != "opaque" {
		return "An access token is jwt or opaque."
	}
	if !slices.Contains([]string{"", TypAccessToken, TypJWT}, c.AccessTokenTyp) {
		return "The header type of access tokens is at+jwt or JWT."
	}
	if !slices.Contains([]string{"", RefreshOffline, RefreshRegistered}, c.Refresh) {
		return "A refresh token comes with offline_access or is registered for."
	}
	return ""
}

func lifetimesFit(_ *Provider, c *Client) string {
	const day, year = 86_400, 31_536_000
	if c.AccessTokenTTL < 0 || c.AccessTokenTTL > day || c.RefreshTokenTTL < 0 || c.RefreshTokenTTL > year {
		return "An access token lives at most a day, a refresh token at most a year."
	}
	if c.AssertionMaxAge < 0 || c.AssertionMaxAge > day {
		return "A client assertion lives at most a day."
	}
	if c.DefaultMaxAge != nil && *c.DefaultMaxAge < 0 {
		return "The default max_age is a number of seconds."
	}
	return ""
}

func pkceOptOut(_ *Provider, c *Client) string {
	if c.InsecureNoPKCE && c.Public() {
		return "A public client cannot do without PKCE (RFC 9700 section 2.1.1)."
	}
	return ""
}

// plainThroughout refuses text that a terminal or a page would act upon, in whatever
// member it stands: an operator will read it.
func plainThroughout(_ *Provider, c *Client) string {
	text, err := json.Marshal(c) //nolint:gosec // G117: the names of members, read here and kept nowhere
	if err != nil {
		return "A member is not well-formed JSON."
	}
	for dec := json.NewDecoder(bytes.NewReader(text)); ; {
		token, err := dec.Token()
		if err != nil {
			return ""
		}
		if s, ok := token.(string); ok && (strings.ContainsFunc(s, identity.Misleading) || strings.ContainsRune(s, utf8.RuneError)) {
			return "No member has control characters, line breaks, or marks that turn text around."
		}
	}
}

func linksFit(_ *Provider, c *Client) string {
	for _, link := range []string{c.ClientURI, c.LogoURI, c.PolicyURI, c.TOSURI} {
		if link == "" {
			continue
		}
		u, err := url.Parse(link)
		if err != nil || u.Host == "" || u.User != nil || u.Scheme != "https" && u.Scheme != "http" || len(link) > 2048 {
			return "A link people are shown is an http or https address (" + clip(link, 200) + ")."
		}
	}
	if len(c.Name) > 200 || strings.ContainsFunc(c.Name, identity.Misleading) {
		return "A name has at most 200 characters, none of them a control character."
	}
	return ""
}
