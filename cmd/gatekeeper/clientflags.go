package main

import (
	"crypto/rand"
	"encoding/json"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/gatekeeper-oidc/gatekeeper/oauth2"
)

// clientFlags are the settings of a client as flags. Only those that were given
// change anything, so create and update share them.
type clientFlags struct {
	kind, name, authMethod, jwksFile                   string
	accessToken, accessTokenAlg, idTokenAlg            string
	clientURI, logoURI, policyURI, tosURI              string
	backchannelLogout, frontchannelLogout              string
	backchannelSession, frontchannelSession            bool
	redirects, postLogout, scopes, grants, audience    []string
	contacts                                           []string
	accessTTL, refreshTTL, defaultMaxAge, assertionAge time.Duration
	firstParty, introspectAny, noPKCE, disabled        bool
	addRedirects, removeRedirects                      []string
	addPostLogout, removePostLogout                    []string
	addScopes, removeScopes, addAudience, dropAudience []string
	addGrants, removeGrants                            []string
	others                                             grantFlags
}

func (cf *clientFlags) register(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&cf.kind, "type", string(oauth2.Web), "web, spa, native, machine or device")
	f.StringVar(&cf.name, "name", "", "what people see on the sign-in and consent pages")
	f.StringArrayVar(&cf.redirects, "redirect-uri", nil, "where answers may go, byte for byte (repeat)")
	f.StringArrayVar(&cf.postLogout, "post-logout-redirect-uri", nil, "where a signed-out person may go (repeat)")
	f.StringArrayVar(&cf.scopes, "scope", nil, "scopes it may ask for (commas or repeat)")
	f.StringArrayVar(&cf.grants, "grant", nil, "grants it may use: authorization_code, refresh_token, client_credentials, device_code, token-exchange, jwt-bearer (commas or repeat)")
	cf.others.register(c)
	f.StringArrayVar(&cf.audience, "audience", nil, "what its tokens may be for (repeat)")
	f.StringVar(&cf.authMethod, "auth-method", "", "client_secret_basic, client_secret_post, private_key_jwt or none")
	f.StringVar(&cf.jwksFile, "jwks-file", "", "its public keys, for private_key_jwt (- is standard input)")
	f.StringVar(&cf.accessToken, "access-token", "", "jwt or opaque")
	f.StringVar(&cf.accessTokenAlg, "access-token-alg", "", "RS256, PS256, ES256 or EdDSA")
	f.StringVar(&cf.idTokenAlg, "id-token-alg", "", "RS256, PS256, ES256 or EdDSA")
	durationVar(f, &cf.accessTTL, "access-ttl", 0, "life of an access token, such as 15m (0: the server's)")
	durationVar(f, &cf.refreshTTL, "refresh-ttl", 0, "life of a refresh token, such as 168h (0: the server's)")
	durationVar(f, &cf.defaultMaxAge, "default-max-age", 0, "ask people to sign in again after this long (0: every time)")
	durationVar(f, &cf.assertionAge, "assertion-max-age", 0, "longest life of its client assertions, up to 24h (0: five minutes)")
	f.BoolVar(&cf.firstParty, "first-party", false, "your own application: people are not asked for consent")
	f.BoolVar(&cf.introspectAny, "introspect-any", false, "it may introspect every token of this issuer")
	f.BoolVar(&cf.noPKCE, "insecure-no-pkce", false, "accept requests without PKCE (confidential clients only)")
	f.StringVar(&cf.backchannelLogout, "backchannel-logout-uri", "", "where it is told, by us, that a session of its people ended")
	f.BoolVar(&cf.backchannelSession, "backchannel-logout-session-required", false, "it wants sid in what it is told (it is always there)")
	f.StringVar(&cf.frontchannelLogout, "frontchannel-logout-uri", "", "what a hidden frame of the signed-out page loads")
	f.BoolVar(&cf.frontchannelSession, "frontchannel-logout-session-required", false, "it wants iss and sid with it (they are always there)")
	f.StringVar(&cf.clientURI, "client-uri", "", "its home page")
	f.StringVar(&cf.logoURI, "logo-uri", "", "its logo")
	f.StringVar(&cf.policyURI, "policy-uri", "", "its privacy policy")
	f.StringVar(&cf.tosURI, "tos-uri", "", "its terms of service")
	f.StringArrayVar(&cf.contacts, "contact", nil, "who answers for it (repeat)")
	registerMetadata(c)
	complete(c, "type", string(oauth2.Web), string(oauth2.SPA), string(oauth2.Native), string(oauth2.Machine), string(oauth2.Device))
	complete(c, "grant", oauth2.GrantCode, oauth2.GrantRefresh, oauth2.GrantClientCredentials, "device_code", "token-exchange", "jwt-bearer")
	complete(c, "auth-method", oauth2.AuthBasic, oauth2.AuthPost, oauth2.AuthPrivateKey, oauth2.AuthNone)
	complete(c, "access-token", "jwt", "opaque")
	complete(c, "access-token-alg", algorithms()...)
	complete(c, "id-token-alg", algorithms()...)
	complete(c, "scope", "openid", "profile", "email", "address", "phone", "offline_access")
}

// registerUpdate adds the flags that change one entry of a list.
func (cf *clientFlags) registerUpdate(c *cobra.Command) {
	f := c.Flags()
	f.StringArrayVar(&cf.addRedirects, "add-redirect-uri", nil, "allow one more redirect URI (repeat)")
	f.StringArrayVar(&cf.removeRedirects, "remove-redirect-uri", nil, "take a redirect URI away (repeat)")
	f.StringArrayVar(&cf.addPostLogout, "add-post-logout-redirect-uri", nil, "allow one more page after sign-out (repeat)")
	f.StringArrayVar(&cf.removePostLogout, "remove-post-logout-redirect-uri", nil, "take a page after sign-out away (repeat)")
	f.StringArrayVar(&cf.addScopes, "add-scope", nil, "allow one more scope (commas or repeat)")
	f.StringArrayVar(&cf.removeScopes, "remove-scope", nil, "take a scope away (commas or repeat)")
	f.StringArrayVar(&cf.addGrants, "add-grant", nil, "allow one more grant (commas or repeat)")
	f.StringArrayVar(&cf.removeGrants, "remove-grant", nil, "take a grant away (commas or repeat)")
	f.StringArrayVar(&cf.addAudience, "add-audience", nil, "allow one more audience (repeat)")
	f.StringArrayVar(&cf.dropAudience, "remove-audience", nil, "take an audience away (repeat)")
	f.BoolVar(&cf.disabled, "disabled", false, "refuse it without forgetting it (--disabled=false undoes it)")
}

func algorithms() []string { return []string{"RS256", "PS256", "ES256", "EdDSA"} }

// apply writes the flags that were given into c.
func (cf *clientFlags) apply(a *app, given *pflag.FlagSet, c *oauth2.Client) error {
	text := map[string]struct {
		to   *string
		from string
	}{
		"name": {&c.Name, cf.name}, "auth-method": {&c.AuthMethod, cf.authMethod}, "access-token": {&c.AccessToken, cf.accessToken},
		"access-token-alg": {&c.AccessTokenAlg, cf.accessTokenAlg}, "id-token-alg": {&c.IDTokenAlg, cf.idTokenAlg},
		"client-uri": {&c.ClientURI, cf.clientURI}, "logo-uri": {&c.LogoURI, cf.logoURI},
		"policy-uri": {&c.PolicyURI, cf.policyURI}, "tos-uri": {&c.TOSURI, cf.tosURI},
		"backchannel-logout-uri":  {&c.BackchannelLogoutURI, cf.backchannelLogout},
		"frontchannel-logout-uri": {&c.FrontchannelLogoutURI, cf.frontchannelLogout},
	}
	for flag, s := range text {
		if given.Changed(flag) {
			*s.to = s.from
		}
	}
	toggles := map[string]struct {
		to   *bool
		from bool
	}{
		"first-party": {&c.FirstParty, cf.firstParty}, "introspect-any": {&c.IntrospectAny, cf.introspectAny},
		"insecure-no-pkce": {&c.InsecureNoPKCE, cf.noPKCE}, "disabled": {&c.Disabled, cf.disabled},
		"backchannel-logout-session-required":  {&c.BackchannelLogoutSession, cf.backchannelSession},
		"frontchannel-logout-session-required": {&c.FrontchannelLogoutSession, cf.frontchannelSession},
	}
	for flag, b := range toggles {
		if given.Changed(flag) {
			*b.to = b.from
		}
	}
	if given.Changed("type") {
		c.Type = oauth2.ClientType(cf.kind)
	}
	if err := applyMetadata(given, c); err != nil {
		return err
	}
	cf.applyLists(given, c)
	if err := cf.applyTimes(given, c); err != nil {
		return err
	}
	if err := cf.others.apply(a, given, c); err != nil {
		return err
	}
	if !given.Changed("jwks-file") {
		return nil
	}
	jwks, err := a.readFile(cf.jwksFile, maxInputFile)
	if err != nil {
		return err
	}
	if !json.Valid(jwks) {
		return usagef("%s is not JSON", cf.jwksFile)
	}
	c.JWKS = jwks
	return nil
}

func (cf *clientFlags) applyLists(given *pflag.FlagSet, c *oauth2.Client) {
	lists := []struct {
		flag              string
		to                *[]string
		set, add, removed []string
	}{
		{"redirect-uri", &c.RedirectURIs, cf.redirects, cf.addRedirects, cf.removeRedirects},
		{"post-logout-redirect-uri", &c.PostLogoutRedirectURIs, cf.postLogout, cf.addPostLogout, cf.removePostLogout},
		{"scope", &c.Scopes, words(cf.scopes), words(cf.addScopes), words(cf.removeScopes)},
		{"grant", &c.Grants, grantNames(cf.grants), grantNames(cf.addGrants), grantNames(cf.removeGrants)},
		{"audience", &c.Audience, cf.audience, cf.addAudience, cf.dropAudience},
		{"contact", &c.Contacts, cf.contacts, nil, nil},
	}
	for _, l := range lists {
		if given.Changed(l.flag) {
			*l.to = present(l.set)
		}
		*l.to = change(*l.to, l.add, l.removed)
	}
}

func (cf *clientFlags) applyTimes(given *pflag.FlagSet, c *oauth2.Client) error {
	for flag, d := range map[string]time.Duration{"assertion-max-age": cf.assertionAge, "access-ttl": cf.accessTTL, "refresh-ttl": cf.refreshTTL, "default-max-age": cf.defaultMaxAge} {
		if d < 0 || d%time.Second != 0 {
			return usagef("--%s %s: give whole seconds, such as 15m", flag, d)
		}
	}
	if given.Changed("access-ttl") {
		c.AccessTokenTTL = int(cf.accessTTL / time.Second)
	}
	if given.Changed("refresh-ttl") {
		c.RefreshTokenTTL = int(cf.refreshTTL / time.Second)
	}
	if given.Changed("assertion-max-age") {
		c.AssertionMaxAge = int(cf.assertionAge / time.Second)
	}
	if given.Changed("default-max-age") {
		c.DefaultMaxAge = new(int(cf.defaultMaxAge / time.Second))
	}
	return nil
}

// newClientID makes up an ID that can be read out loud.
func newClientID() string { return "app-" + strings.ToLower(rand.Text()[:10]) }
