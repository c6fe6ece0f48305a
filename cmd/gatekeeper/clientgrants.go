package main

import (
	"bytes"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/gatekeeper-oidc/gatekeeper/internal/yamlfile"
	"github.com/gatekeeper-oidc/gatekeeper/oauth2"
)

// grantFlags are what a client may do beyond signing people in.
type grantFlags struct {
	exchangeAudience, exchangeClients []string
	impersonate                       bool
	issuersFile                       string
}

func (gf *grantFlags) register(c *cobra.Command) {
	f := c.Flags()
	f.StringArrayVar(&gf.exchangeAudience, "exchange-audience", nil, "what tokens it gets by token-exchange may be for (repeat; empty takes the policy away)")
	f.StringArrayVar(&gf.exchangeClients, "exchange-client", nil, "clients whose tokens it may exchange, besides its own (repeat)")
	f.BoolVar(&gf.impersonate, "exchange-impersonate", false, "it may exchange without an actor token: the new token does not say who acts")
	f.StringVar(&gf.issuersFile, "trusted-issuers-file", "", "whose assertions it may bring by jwt-bearer, as a JSON list (- is standard input)")
}

// apply writes the flags that were given into c.
func (gf *grantFlags) apply(a *app, given *pflag.FlagSet, c *oauth2.Client) error {
	x := oauth2.Exchange{}
	if c.Exchange != nil {
		x = *c.Exchange
	}
	changed := false
	for _, l := range []struct {
		flag string
		to   *[]string
		from []string
	}{{"exchange-audience", &x.Audiences, gf.exchangeAudience}, {"exchange-client", &x.Clients, gf.exchangeClients}} {
		if given.Changed(l.flag) {
			*l.to, changed = present(l.from), true
		}
	}
	if given.Changed("exchange-impersonate") {
		x.Impersonate, changed = gf.impersonate, true
	}
	if changed {
		c.Exchange = &x
		if len(x.Audiences) == 0 && len(x.Clients) == 0 && !x.Impersonate {
			c.Exchange = nil
		}
	}
	if !given.Changed("trusted-issuers-file") {
		return nil
	}
	text, err := a.readFile(gf.issuersFile, maxInputFile)
	if err != nil {
		return err
	}
	issuers, err := strict[[]oauth2.TrustedIssuer](yamlfile.Document{JSON: bytes.TrimSpace(text)})
	if err != nil {
		return usagef("%s is not a JSON list of issuers: %v", gf.issuersFile, err)
	}
	c.TrustedIssuers = issuers
	return nil
}

// present returns list without its empty entries: one empty entry empties a list.
func present(list []string) (out []string) {
	for _, s := range list {
		if s != "" {
			out = append(out, s)
		}
	}
	return out
}

// shortGrants are names that people can type, for grants whose own are URNs.
var shortGrants = map[string]string{
	"device_code": oauth2.GrantDevice, "token-exchange": oauth2.GrantExchange, "jwt-bearer": oauth2.GrantJWTBearer,
}

// grantNames returns grants by their registered names.
func grantNames(list []string) []string {
	out := words(list)
	for i, name := range out {
		if urn := shortGrants[name]; urn != "" {
			out[i] = urn
		}
	}
	return out
}

// grantsShown are grants by the names people know.
func grantsShown(grants []string) string {
	shown := make([]string, len(grants))
	for i, g := range grants {
		shown[i] = g[strings.LastIndexByte(g, ':')+1:]
	}
	return strings.Join(shown, " ")
}

// describeGrants adds what a client may do beyond signing people in.
func describeGrants(c *oauth2.Client) (says []string) {
	if c.May(oauth2.GrantDevice) {
		says = append(says, "device code")
	}
	if x := c.Exchange; x != nil {
		says = append(says, map[bool]string{true: "token exchange, even without an actor", false: "token exchange"}[x.Impersonate])
	}
	if len(c.TrustedIssuers) > 0 {
		says = append(says, "assertions of trusted issuers")
	}
	return says
}

// tableOfGrants shows the policies behind them.
func tableOfGrants(t *table, c *oauth2.Client) {
	if x := c.Exchange; x != nil {
		t.each("EXCHANGE FOR", x.Audiences)
		t.each("EXCHANGE FROM", x.Clients)
	}
	for _, i := range c.TrustedIssuers {
		t.field("TRUSTS", i.Issuer, "for "+strings.Join(i.Subjects, ", "))
	}
}
