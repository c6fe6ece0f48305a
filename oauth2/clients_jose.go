package oauth2

import (
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/gatekeeper-oidc/gatekeeper/keys"
)

// clientKeysFit looks at the public keys a client registered: by value or by
// reference, not both (RFC 7591 section 2), and at least one where something
// must be checked with them.
func clientKeysFit(_ *Provider, c *Client) string {
	byValue, byReference := len(c.JWKS) > 0, c.JWKSURI != ""
	switch {
	case byValue && byReference:
		return "Public keys are registered by value (jwks) or by reference (jwks_uri), not both."
	case byReference:
		return outsideFits("jwks_uri", c.JWKSURI)
	case !byValue && c.AuthMethod == AuthPrivateKey:
		return "The auth method private_key_jwt needs public keys: jwks or jwks_uri."
	case !byValue && c.RequireSignedRequest:
		return "Signed request objects need public keys: jwks or jwks_uri."
	case byValue:
		if err := keys.CheckJWKS(c.JWKS); err != nil {
			return "The key set is not usable: " + err.Error() + "."
		}
	}
	return ""
}

// algorithmsKnown holds every signing algorithm to what the ring signs with, or
// HS256 where the client shares a secret.
func algorithmsKnown(p *Provider, c *Client) string {
	if c.AccessTokenAlg != "" && !slices.Contains(p.cfg.Keys.Algs(), c.AccessTokenAlg) {
		return "The algorithms of this server are " + strings.Join(p.cfg.Keys.Algs(), ", ") + "."
	}
	for _, alg := range [...]string{c.IDTokenAlg, c.UserinfoAlg, c.AuthorizationAlg, c.IntrospectionAlg} {
		if alg != "" && alg != HS256 && !slices.Contains(p.cfg.Keys.Algs(), alg) {
			return "The algorithms of this server are " + strings.Join(append(p.cfg.Keys.Algs(), HS256), ", ") + "."
		}
	}
	if c.SharesSecret() && c.Public() {
		return "HS256 signs with a secret, and a public client has none."
	}
	if a := c.AssertionAlg; a != "" && (!slices.Contains(AssertionAlgs(), a) || (a == HS256) != (c.AuthMethod == AuthSecretJWT)) {
		return "The algorithm of client assertions does not fit the auth method."
	}
	return ""
}

// requestObjectsFit looks at how a client may send request objects (RFC 9101).
func requestObjectsFit(_ *Provider, c *Client) string {
	if a := c.RequestObjectAlg; a != "" && !slices.Contains(RequestObjectAlgs(), a) {
		return "The algorithms of request objects are " + strings.Join(RequestObjectAlgs(), ", ") + "."
	}
	if len(c.RequestURIs) > 50 {
		return "At most fifty request URIs."
	}
	for _, u := range c.RequestURIs {
		base, _, _ := strings.Cut(u, "#")
		if why := outsideFits("request_uris", base); why != "" {
			return why
		}
	}
	return ""
}

// subjectTypeFits wants one sector for all redirect URIs of a pairwise client
// (OpenID Connect Core section 8.1, Registration section 5).
func subjectTypeFits(_ *Provider, c *Client) string {
	switch c.SubjectType {
	case "", SubjectPublic:
		if c.SectorIdentifierURI == "" {
			return ""
		}
	case SubjectPairwise:
	default:
		return "The subject type is public or pairwise."
	}
	if c.SectorIdentifierURI != "" {
		return outsideFits("sector_identifier_uri", c.SectorIdentifierURI)
	}
	if c.Sector() == "" {
		return "A pairwise client with redirect URIs on several hosts, or on none, needs a sector_identifier_uri."
	}
	return ""
}

var plainHost = regexp.MustCompile(`^[A-Za-z0-9.:-]+$`)

// logoutFits looks at the addresses an application is told of a sign-out at
// (Back-Channel Logout 1.0 section 2.2, Front-Channel Logout 1.0 section 2).
func logoutFits(_ *Provider, c *Client) string {
	if c.BackchannelLogoutURI != "" {
		if why := outsideFits("backchannel_logout_uri", c.BackchannelLogoutURI); why != "" {
			return why
		}
	}
	if c.FrontchannelLogoutURI == "" {
		return ""
	}
	if why := outsideFits("frontchannel_logout_uri", c.FrontchannelLogoutURI); why != "" {
		return why
	}
	if !plainHost.MatchString(hostOf(c.FrontchannelLogoutURI)) {
		return "The host of a frontchannel_logout_uri has letters, digits, dots and dashes." // it goes into a policy
	}
	for _, u := range c.RedirectURIs {
		if origin(u) == origin(c.FrontchannelLogoutURI) {
			return ""
		}
	}
	return "The frontchannel_logout_uri has the scheme, host and port of a redirect URI."
}

// initiateLoginFits wants https (OpenID Connect Core section 4).
func initiateLoginFits(_ *Provider, c *Client) string {
	if c.InitiateLoginURI == "" {
		return ""
	}
	if u, err := url.Parse(c.InitiateLoginURI); err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || len(c.InitiateLoginURI) > 2048 {
		return "The initiate_login_uri is an https address."
	}
	return ""
}

// outsideFits says what is wrong with an address that this server, or the browser
// in a frame, will visit: https, or http on this computer alone.
func outsideFits(name, address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.User != nil || u.Fragment != "" || len(address) > 2048 {
		return "The " + name + " is an https address without user name and fragment."
	}
	local := slices.Contains([]string{"localhost", "127.0.0.1", "::1"}, u.Hostname())
	if u.Scheme != "https" && (u.Scheme != "http" || !local) {
		return "The " + name + " is an https address; http is for this computer alone."
	}
	return ""
}
