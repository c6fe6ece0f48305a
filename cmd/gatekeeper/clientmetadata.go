package main

import (
	"slices"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/gatekeeper-oidc/gatekeeper/keys"
	"github.com/gatekeeper-oidc/gatekeeper/oauth2"
)

// A metadataText is a flag for a member of a client that is a text.
type metadataText struct {
	flag, usage string
	at          func(c *oauth2.Client) *string
	offered     []string // completed in the shell
}

// metadataTexts are the flags for what an application could also say of itself in
// a registration (RFC 7591), beyond the common ones of clientFlags.
func metadataTexts() []metadataText {
	signs := append(algorithms(), oauth2.HS256)
	wraps, contents := keys.EncryptionAlgs(), keys.ContentAlgs()
	return []metadataText{
		{"jwks-uri", "where it publishes its public keys, instead of --jwks-file", func(c *oauth2.Client) *string { return &c.JWKSURI }, nil},
		{"assertion-alg", "the one algorithm of its client assertions (default: any)", func(c *oauth2.Client) *string { return &c.AssertionAlg }, oauth2.AssertionAlgs()},
		{"assertion-audience", "whom its client assertions are for: issuer (that alone, as FAPI 2.0), or any (default: issuer or token endpoint)", func(c *oauth2.Client) *string { return &c.AssertionAudience }, []string{oauth2.AudienceIssuer, oauth2.AudienceAny}},
		{"access-token-typ", "header type of its access tokens: at+jwt (RFC 9068), or JWT for verifiers that want that", func(c *oauth2.Client) *string { return &c.AccessTokenTyp }, []string{oauth2.TypAccessToken, oauth2.TypJWT}},
		{"refresh", "when it gets a refresh token: with offline_access, or registered: always, then until the session ends (default: the server's)", func(c *oauth2.Client) *string { return &c.Refresh }, []string{oauth2.RefreshOffline, oauth2.RefreshRegistered}},
		{"initiate-login-uri", "where others may send people to sign in to it (https)", func(c *oauth2.Client) *string { return &c.InitiateLoginURI }, nil},
		{"subject-type", "public, or pairwise: people are called differently towards it", func(c *oauth2.Client) *string { return &c.SubjectType }, []string{oauth2.SubjectPublic, oauth2.SubjectPairwise}},
		{"sector-identifier-uri", "document that lists its redirect URIs, for pairwise subjects on several hosts; it is fetched and checked", func(c *oauth2.Client) *string { return &c.SectorIdentifierURI }, nil},
		{"software-id", "which software it is an installation of", func(c *oauth2.Client) *string { return &c.SoftwareID }, nil},
		{"software-version", "and of which version", func(c *oauth2.Client) *string { return &c.SoftwareVersion }, nil},

		{"id-token-encryption-alg", "encrypt its ID tokens: how the key is wrapped", func(c *oauth2.Client) *string { return &c.IDTokenEncAlg }, wraps},
		{"id-token-encryption-enc", "and how the content is encrypted", func(c *oauth2.Client) *string { return &c.IDTokenEnc }, contents},
		{"userinfo-alg", "answer its userinfo requests with a JWT signed so (default: plain JSON)", func(c *oauth2.Client) *string { return &c.UserinfoAlg }, signs},
		{"userinfo-encryption-alg", "encrypt its userinfo answers: how the key is wrapped", func(c *oauth2.Client) *string { return &c.UserinfoEncAlg }, wraps},
		{"userinfo-encryption-enc", "and how the content is encrypted", func(c *oauth2.Client) *string { return &c.UserinfoEnc }, contents},
		{"authorization-alg", "sign its JWT authorization responses so (JARM; default: RS256)", func(c *oauth2.Client) *string { return &c.AuthorizationAlg }, signs},
		{"authorization-encryption-alg", "encrypt its JWT authorization responses: how the key is wrapped", func(c *oauth2.Client) *string { return &c.AuthorizationEncAlg }, wraps},
		{"authorization-encryption-enc", "and how the content is encrypted", func(c *oauth2.Client) *string { return &c.AuthorizationEnc }, contents},
		{"introspection-alg", "answer its introspection requests with a JWT signed so (default: plain JSON)", func(c *oauth2.Client) *string { return &c.IntrospectionAlg }, signs},
		{"introspection-encryption-alg", "encrypt its introspection answers: how the key is wrapped", func(c *oauth2.Client) *string { return &c.IntrospectionEncAlg }, wraps},
		{"introspection-encryption-enc", "and how the content is encrypted", func(c *oauth2.Client) *string { return &c.IntrospectionEnc }, contents},
		{"request-object-alg", "the one algorithm of its request objects (default: any)", func(c *oauth2.Client) *string { return &c.RequestObjectAlg }, oauth2.RequestObjectAlgs()},
		{"request-object-encryption-alg", "it encrypts its request objects: how the key is wrapped", func(c *oauth2.Client) *string { return &c.RequestObjectEncAlg }, wraps},
		{"request-object-encryption-enc", "and how the content is encrypted", func(c *oauth2.Client) *string { return &c.RequestObjectEnc }, contents},
	}
}

// A metadataToggle is a flag for a member that is true or false.
type metadataToggle struct {
	flag, usage string
	at          func(c *oauth2.Client) *bool
}

func metadataToggles() []metadataToggle {
	return []metadataToggle{
		{"require-par", "it pushes every authorization request (RFC 9126)", func(c *oauth2.Client) *bool { return &c.RequirePAR }},
		{"require-signed-request", "it signs every authorization request (RFC 9101)", func(c *oauth2.Client) *bool { return &c.RequireSignedRequest }},
		{"exact-auth-method", "its secret comes by --auth-method and no other way (default: in the header or the body)", func(c *oauth2.Client) *bool { return &c.ExactAuthMethod }},
		{"insecure-short-scheme", "allow redirect URIs with a scheme without a dot, such as app:/cb, which any application may claim (native only)", func(c *oauth2.Client) *bool { return &c.InsecureShortScheme }},
		{"require-auth-time", "it wants auth_time in every ID token, where it is anyway", func(c *oauth2.Client) *bool { return &c.RequireAuthTime }},
	}
}

// A metadataList is a flag, to be repeated, for a member that is a list.
type metadataList struct {
	flag, usage string
	at          func(c *oauth2.Client) *[]string
	offered     []string
}

func metadataLists() []metadataList {
	return []metadataList{
		{"response-type", "what its authorization answers may carry, such as \"code id_token\" (repeat; default: code)", func(c *oauth2.Client) *[]string { return &c.ResponseTypes }, []string{
			"code", "id_token", "id_token token", "code id_token", "code token", "code id_token token",
		}},
		{"request-uri", "where its request objects may be fetched, byte for byte (repeat)", func(c *oauth2.Client) *[]string { return &c.RequestURIs }, nil},
		{"default-acr", "what kind of sign-in it wants unless it says otherwise (repeat)", func(c *oauth2.Client) *[]string { return &c.DefaultACRValues }, oauth2.ACRValues()},
	}
}

// registerMetadata adds a flag for each.
func registerMetadata(c *cobra.Command) {
	for _, m := range metadataTexts() {
		c.Flags().String(m.flag, "", m.usage)
		if m.offered != nil {
			complete(c, m.flag, m.offered...)
		}
	}
	for _, m := range metadataToggles() {
		c.Flags().Bool(m.flag, false, m.usage)
	}
	for _, m := range metadataLists() {
		c.Flags().StringArray(m.flag, nil, m.usage)
		if m.offered != nil {
			complete(c, m.flag, m.offered...)
		}
	}
}

// applyMetadata writes the flags that were given into c. An empty value takes the
// member away.
func applyMetadata(given *pflag.FlagSet, c *oauth2.Client) error {
	for _, m := range metadataTexts() {
		if !given.Changed(m.flag) {
			continue
		}
		v, err := given.GetString(m.flag)
		if err != nil {
			return usagef("%v", err)
		}
		*m.at(c) = v
	}
	for _, m := range metadataToggles() {
		if !given.Changed(m.flag) {
			continue
		}
		v, err := given.GetBool(m.flag)
		if err != nil {
			return usagef("%v", err)
		}
		*m.at(c) = v
	}
	for _, m := range metadataLists() {
		if !given.Changed(m.flag) {
			continue
		}
		v, err := given.GetStringArray(m.flag)
		if err != nil {
			return usagef("%v", err)
		}
		*m.at(c) = slices.DeleteFunc(v, func(s string) bool { return s == "" })
	}
	return nil
}
