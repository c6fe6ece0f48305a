package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/spf13/cobra"

	"github.com/gatekeeper-oidc/gatekeeper/admin"
	"github.com/gatekeeper-oidc/gatekeeper/conformance/suite"
	"github.com/gatekeeper-oidc/gatekeeper/identity"
	"github.com/gatekeeper-oidc/gatekeeper/internal/config"
	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
	"github.com/gatekeeper-oidc/gatekeeper/oauth2"
)

// seedOptions are what `conformance seed` is told.
type seedOptions struct {
	alias, suiteURL, issuer, user, suiteCA, settingsFile string
	password                                             passwordFlags
}

func (a *app) conformanceSeed() *cobra.Command {
	var o seedOptions
	c := &cobra.Command{
		Use: "seed", Short: "Prepare a server for a run of the official suite",
		Long: "Prepare a server for a run of the OpenID Foundation's suite: a person with every standard claim,\n" +
			"and five applications. Standard output is the JSON configuration the suite wants, which\n" +
			"`gatekeeper conformance run --from` reads too; standard error says which settings the server needs.\n\n" +
			"Doing it again changes the same person and applications, and gives them new secrets: what was\n" +
			"printed last counts. These settings open a server wide: never use them where real people sign in.",
		Example: "  gatekeeper conformance seed --settings gatekeeper.yaml > suite.json\n" +
			"  gatekeeper conformance seed --suite-url https://www.certification.openid.net --alias acme > suite.json",
		Args: between(0),
	}
	f := c.Flags()
	f.StringVar(&o.alias, "alias", "gatekeeper", "what the suite calls the test, a part of its addresses")
	f.StringVar(&o.suiteURL, "suite-url", "https://localhost.emobix.co.uk:8443", "where the suite is")
	f.StringVar(&o.suiteCA, "suite-ca", "", "the certificate of the suite (PEM), for the settings")
	f.StringVar(&o.issuer, "issuer", "", "the issuer, where --server does not say (default: this configuration's)")
	f.StringVar(&o.user, "user", "conformance@example.org", "the address of the person")
	f.StringVar(&o.settingsFile, "settings", "", "write the settings the server needs to this file, as YAML")
	o.password.register(c)
	c.RunE = a.with(func(ctx context.Context, b *backend, _ []string) error { return a.seed(ctx, b, o) })
	return c
}

// seed makes the person and the applications, and prints what the suite wants.
func (a *app) seed(ctx context.Context, b *backend, o seedOptions) error {
	issuer := strings.TrimSuffix(cmp.Or(o.issuer, b.issuer), "/")
	if issuer == "" {
		return usagef("say which issuer it is: --issuer URL")
	}
	base, err := url.Parse(o.suiteURL)
	if err != nil || base.Host == "" || strings.ContainsAny(o.alias, "/?# ") || o.alias == "" {
		return usagef("--suite-url is an address, and --alias one word")
	}
	official := suite.Official{
		Issuer: issuer, Alias: o.alias, Login: o.user,
		Redirect: strings.TrimSuffix(o.suiteURL, "/") + "/test/a/" + o.alias + "/callback",
	}
	if official.Password, err = a.seedPerson(ctx, b, o); err != nil {
		return err
	}
	if err := a.seedClients(ctx, b, &official); err != nil {
		return err
	}
	settings := certificationSettings(issuer, o.suiteCA)
	if err := a.tellSettings(settings, o.settingsFile, b.config); err != nil {
		return err
	}
	switch configuration := official.Configuration(); a.global.output {
	case "yaml":
		return printYAML(a.Stdout, configuration)
	default:
		return printJSON(a.Stdout, configuration)
	}
}

// standardClaims is somebody with every claim of OpenID Connect Core section 5.1.
func standardClaims() identity.Profile {
	return identity.Profile{
		Name: "Ana Maria Silva", GivenName: "Ana", FamilyName: "Silva", MiddleName: "Maria", Nickname: "Ani", PreferredUsername: "ana",
		ProfileURL: "https://example.org/people/ana", Picture: "https://example.org/people/ana.png", Website: "https://ana.example.org/",
		Gender: "female", Birthdate: "1990-04-25", Zoneinfo: "Europe/Lisbon", Locale: "pt-PT",
		PhoneNumber: "+351 21 000 0000", PhoneNumberVerified: true,
		Address: &identity.Address{
			Formatted: "Rua do Exemplo 1\n1000-001 Lisboa\nPortugal", StreetAddress: "Rua do Exemplo 1", Locality: "Lisboa",
			Region: "Lisboa", PostalCode: "1000-001", Country: "Portugal",
		},
	}
}

// seedPerson makes, or makes again, the person and returns their password.
func (a *app) seedPerson(ctx context.Context, b *backend, o seedOptions) (string, error) {
	password, _, err := o.password.read(a)
	if err != nil {
		return "", err
	}
	have, err := b.User(ctx, o.user)
	switch {
	case fault.Is(err, fault.NotFound):
	case err != nil:
		return "", err
	case len(have.Roles) > 0:
		return "", usagef("%s holds roles; the password of a person for tests is printed, so choose another with --user", o.user)
	default: // anew: a password that is set for somebody is to be changed at the next sign-in
		if err := b.DeleteUser(ctx, have.ID); err != nil {
			return "", err
		}
	}
	_, err = b.CreateUser(ctx, admin.UserInput{Email: o.user, EmailVerified: true, Password: password, Profile: standardClaims()})
	return password, err
}

// seedClients makes, or makes again, the applications: three for every plan, and two
// that are told of the end of a session, for the modules about that alone: the suite
// takes a call it does not expect for a failure.
func (a *app) seedClients(ctx context.Context, b *backend, o *suite.Official) error {
	types, err := a.responseTypesOf(ctx, b, o.Issuer)
	if err != nil {
		return err
	}
	base, id := strings.TrimSuffix(o.Redirect, "/callback"), "conformance-"+o.Alias
	for _, one := range []struct {
		to     *suite.Client
		id     string
		method string
		more   func(c *oauth2.Client)
	}{
		{&o.Clients[0], id, oauth2.AuthBasic, nil},
		{&o.Clients[1], id + "-2", oauth2.AuthBasic, nil},
		{&o.Clients[2], id + "-post", oauth2.AuthPost, nil},
		{&o.Told[0], id + "-back", oauth2.AuthBasic, func(c *oauth2.Client) {
			c.BackchannelLogoutURI, c.BackchannelLogoutSession = base+"/backchannel_logout", true
		}},
		{&o.Told[1], id + "-front", oauth2.AuthBasic, func(c *oauth2.Client) {
			c.FrontchannelLogoutURI, c.FrontchannelLogoutSession = base+"/frontchannel_logout", true
		}},
	} {
		want := oauth2.Client{
			ID: one.id, Name: "Conformance " + o.Alias, Type: oauth2.Web, AuthMethod: one.method, InsecureNoPKCE: true,
			RedirectURIs: []string{o.Redirect}, PostLogoutRedirectURIs: []string{base + "/post_logout_redirect"},
			Grants: []string{oauth2.GrantCode, oauth2.GrantRefresh}, ResponseTypes: slices.Clone(types),
		}
		if slices.ContainsFunc(types, func(t string) bool { return t != "code" }) {
			want.Grants = append(want.Grants, oauth2.GrantImplicit)
		}
		if one.more != nil {
			one.more(&want)
		}
		secret, err := seedClient(ctx, b, want)
		if err != nil {
			return err
		}
		*one.to = suite.Client{ID: one.id, Secret: secret, AuthMethod: one.method}
	}
	return nil
}

// seedClient makes an application, or one that is there what it should be, and
// returns its new secret.
func seedClient(ctx context.Context, b *backend, want oauth2.Client) (string, error) {
	made, err := b.CreateClient(ctx, admin.ClientInput{Client: want})
	if err == nil || !fault.Is(err, fault.Conflict) {
		return made.Secret, err
	}
	if _, err := b.UpdateClient(ctx, want); err != nil {
		return "", err
	}
	rotated, err := b.RotateSecret(ctx, want.ID, admin.RotateInput{})
	return rotated.Secret, err
}

// responseTypesOf is what answers may carry: by the configuration, or as a server
// elsewhere says.
func (a *app) responseTypesOf(ctx context.Context, b *backend, issuer string) ([]string, error) {
	if b.config != nil {
		return b.config.ResponseTypes, nil
	}
	client, err := tryClient(nil)
	if err != nil {
		return nil, err
	}
	m, err := suite.Describe(ctx, issuer, client.Transport)
	if err != nil {
		return nil, &exitError{exitUnreachable, fmt.Errorf("discover %s: %w", issuer, err)}
	}
	return m.ResponseTypes, nil
}

// A certificationSetting is one key of the configuration and why a run needs it.
type certificationSetting struct {
	key   string
	value any
	why   string
}

// certificationSettings are what the server needs for a run of the official suite:
// those that this version knows.
func certificationSettings(issuer, ca string) []certificationSetting {
	all := []certificationSetting{
		{"response_types", oauth2.ResponseTypes(), "the profiles Implicit and Hybrid"},
		{"algs", []string{"RS256", "ES256", "PS256"}, "the suite knows no EdDSA keys"},
		{"rate_limit_factor", 1000, "thousands of requests from one address, as one person"},
		{"fetch_allow", []string{"127.0.0.0/8", "::1/128"}, "the suite may run on this computer"},
		{"registration", "open", "the profiles Dynamic and 3rd-party-initiated login"},
		{"registration_insecure_no_pkce", true, "the suite sends no PKCE challenge"},
	}
	if ca != "" {
		all = append(all, certificationSetting{"fetch_ca", ca, "the suite's own certificate"})
	}
	if u, err := url.Parse(issuer); err == nil && u.Scheme != "https" {
		u.Scheme = "https"
		all = append(all,
			certificationSetting{"tls", "dev", "every advertised address must be https"},
			certificationSetting{"issuer", u.String(), "every advertised address must be https"})
	}
	return slices.DeleteFunc(all, func(s certificationSetting) bool {
		return !slices.ContainsFunc(config.Fields(), func(f config.Field) bool { return f.Key == s.key })
	})
}

// tellSettings says the settings in words, and writes them where that was asked.
// The applications are registered for what the server offers: they want making again
// once it has the settings, and not after that.
func (a *app) tellSettings(settings []certificationSetting, file string, cfg *config.Config) error {
	var body yaml.MapSlice
	a.say("The server needs these settings for the run:")
	for _, s := range settings {
		text, err := json.Marshal(s.value)
		if err != nil {
			return fmt.Errorf("write the setting %s: %w", s.key, err)
		}
		a.say("  %s: %s   # %s", s.key, text, s.why)
		body = append(body, yaml.MapItem{Key: s.key, Value: s.value})
	}
	if cfg == nil || !slices.Equal(cfg.ResponseTypes, oauth2.ResponseTypes()) {
		a.say("Once it has them, do this again: the applications are registered for what the server offers now.")
	}
	if file == "" {
		return nil
	}
	text, err := yaml.Marshal(body)
	if err != nil {
		return fmt.Errorf("write the settings: %w", err)
	}
	f, err := os.OpenFile(a.path(file), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("write the settings: %w", err)
	}
	_, err = f.Write(text)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("write the settings to %s: %w", file, err)
	}
	a.say("They are in %s; start the server with --config %s.", file, file)
	return nil
}
