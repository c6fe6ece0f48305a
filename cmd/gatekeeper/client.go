package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/gatekeeper-oidc/gatekeeper/admin"
	"github.com/gatekeeper-oidc/gatekeeper/identity"
	"github.com/gatekeeper-oidc/gatekeeper/oauth2"
)

const pageSize = 100

func (a *app) clientCommand() *cobra.Command {
	c := group("client", "Applications that sign people in",
		a.clientCreate(), a.clientList(), a.clientGet(), a.clientUpdate(), a.clientRotate(), a.clientDelete())
	c.Example = "  gatekeeper client create shop --redirect-uri https://shop.example/cb\n  gatekeeper client list"
	return c
}

func (a *app) clientCreate() *cobra.Command {
	var id, secretFile, secretOutFile string
	var flags clientFlags
	c := &cobra.Command{
		Use:   "create [ID]",
		Short: "Register an application",
		Long: "Register an application. The type chooses safe settings for what it is:\n" +
			"web (server-side, keeps a secret), spa (in a browser), native (installed), machine (no person),\n" +
			"device (no browser of its own: people type its code elsewhere).\n" +
			"Without an ID one is made up. A generated secret is shown this once.",
		Example: "  gatekeeper client create shop --redirect-uri https://shop.example/cb --scope openid,email\n" +
			"  gatekeeper client create board --type spa --redirect-uri https://board.example/\n" +
			"  gatekeeper client create phone --type native --redirect-uri http://127.0.0.1/callback\n" +
			"  gatekeeper client create nightly --type machine --secret-out nightly.secret\n" +
			"  gatekeeper client create player --type device --name 'The Player'\n" +
			"  gatekeeper client create gateway --type machine --grant token-exchange,client_credentials --audience https://gateway.example \\\n" +
			"    --exchange-client shop --exchange-audience https://reports.example",
		Args: between(0, "an ID"),
	}
	f := c.Flags()
	f.StringVar(&id, "id", "", "the ID, if not given as the argument")
	f.StringVar(&secretFile, "secret-file", "", "bring your own secret, from a file (- is standard input)")
	f.StringVar(&secretOutFile, "secret-out", "", "write the secret to this new file instead of the screen")
	flags.register(c)
	c.RunE = a.with(func(ctx context.Context, b *backend, args []string) error {
		in := admin.ClientInput{Client: oauth2.Client{ID: id, Type: oauth2.Web}}
		if len(args) == 1 {
			if id != "" && id != args[0] {
				return usagef("two IDs: %s and --id %s", args[0], id)
			}
			in.ID = args[0]
		}
		if in.ID == "" {
			in.ID = newClientID()
		}
		if err := flags.apply(a, c.Flags(), &in.Client); err != nil {
			return err
		}
		if secretFile != "" {
			secret, err := a.readSecret(secretFile)
			if err != nil {
				return err
			}
			in.Secret = secret
		}
		err := a.showSecret(b, secretOutFile, in.Secret != "", func() (admin.ClientWithSecret, error) {
			return b.CreateClient(ctx, in)
		})
		if err != nil {
			return err
		}
		a.warnOf(ctx, b, in.ID)
		return nil
	})
	return c
}

// showSecret makes the place for a secret, then the secret, then shows or keeps
// it. One that the operator brought is not shown back.
func (a *app) showSecret(b *backend, file string, brought bool, change func() (admin.ClientWithSecret, error)) error {
	out, err := a.createSecretOut(file)
	if err != nil {
		return err
	}
	made, err := change()
	if err != nil {
		out.drop()
		return err
	}
	switch {
	case out != nil && made.Secret != "":
		if err := out.keep(made.Secret); err != nil {
			return err
		}
		made.Secret = ""
		a.say("The secret is in %s, readable by you only.", file)
	case out != nil:
		out.drop()
		a.say("%s has no secret; %s was not written.", made.ID, file)
	}
	if brought {
		made.Secret = ""
	}
	if err := a.print(clientView(made.Client, made.Secret, made)); err != nil {
		return err
	}
	if b.issuer != "" && a.global.output == "table" {
		a.say("Settings for your app:  issuer %s   discovery: automatic", b.issuer)
	}
	return nil
}

// warnOf says what is registered of an application and will not work. What was done
// is done: advice that is not to be had is no failure.
func (a *app) warnOf(ctx context.Context, b *backend, id string) {
	all, _ := b.ClientWarnings(ctx, id)
	for _, w := range all {
		a.say("Warning: %s", w)
	}
}

func clientView(c oauth2.Client, secret string, value any) view {
	return view{value: value, names: []string{c.ID}, once: secret, table: func(t *table) {
		t.field("CLIENT ID", c.ID)
		t.field("NAME", c.Name)
		if secret != "" {
			t.field("SECRET", secret, "shown once; store it now")
		}
		t.field("TYPE", string(c.Type), describeClient(&c))
		t.each("REDIRECT", c.RedirectURIs)
		t.each("AFTER LOGOUT", c.PostLogoutRedirectURIs)
		t.field("SCOPES", strings.Join(c.Scopes, " "))
		t.each("AUDIENCE", c.Audience)
		tableOfAddresses(t, &c)
		tableOfGrants(t, &c)
		t.field("ACCESS TOKEN", tokenWords(&c))
		if c.InsecureNoPKCE {
			t.field("INSECURE", "PKCE is not required")
		}
		if c.Disabled {
			t.field("DISABLED", "nobody can sign in to it")
		}
		t.field("CREATED", moment(c.CreatedAt))
	}}
}

// describeClient says in words what a client's settings amount to.
func describeClient(c *oauth2.Client) string {
	var says []string
	if slices.Contains(c.Grants, oauth2.GrantCode) {
		says = append(says, map[bool]string{true: "code", false: "code + PKCE"}[c.InsecureNoPKCE])
	}
	if slices.Contains(c.Grants, oauth2.GrantClientCredentials) {
		says = append(says, "client credentials")
	}
	says = append(says, describeGrants(c)...)
	says = append(says, map[bool]string{true: "public", false: c.AuthMethod}[c.Public()])
	if slices.Contains(c.Grants, oauth2.GrantRefresh) {
		says = append(says, "refresh rotation")
	}
	if c.FirstParty {
		says = append(says, "first party")
	}
	if c.IntrospectAny {
		says = append(says, "may introspect any token")
	}
	return strings.Join(says, ", ")
}

func tokenWords(c *oauth2.Client) string {
	says := []string{c.AccessToken, c.AccessTokenAlg}
	if c.AccessTokenTTL > 0 {
		says = append(says, span(time.Duration(c.AccessTokenTTL)*time.Second))
	}
	return strings.Join(slices.DeleteFunc(says, func(s string) bool { return s == "" }), " ")
}

func (a *app) clientList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List the applications",
		Example: "  gatekeeper client list\n  gatekeeper client list -o json | jq -r '.clients[].id'",
		Args:    between(0),
		RunE: a.with(func(ctx context.Context, b *backend, _ []string) error {
			all, err := everyClient(ctx, b)
			if err != nil {
				return err
			}
			v := view{value: clientList{all}, table: func(t *table) {
				t.row("NAME", "ID", "TYPE", "GRANTS", "UPDATED")
				for _, c := range all {
					t.row(c.Name, c.ID, string(c.Type), grantsShown(c.Grants), moment(c.UpdatedAt))
				}
			}}
			for _, c := range all {
				v.names = append(v.names, c.ID)
			}
			return a.print(v)
		}),
	}
}

// clientList is the clients as the admin API lists them, and as `apply` reads them.
type clientList struct {
	Clients []oauth2.Client `json:"clients"`
}

// everyClient reads the clients page by page.
func everyClient(ctx context.Context, api admin.API) ([]oauth2.Client, error) {
	all := []oauth2.Client{}
	for p := (identity.Page{Limit: pageSize}); ; {
		some, next, err := api.Clients(ctx, p)
		if err != nil {
			return nil, err
		}
		all = append(all, some...)
		if next == "" {
			return all, nil
		}
		p.After = next
	}
}

func (a *app) clientGet() *cobra.Command {
	return &cobra.Command{
		Use: "get ID", Short: "Show an application",
		Example:           "  gatekeeper client get shop\n  gatekeeper client get shop -o yaml > shop.yaml",
		Args:              exactly("an ID"),
		ValidArgsFunction: a.completeClients,
		RunE: a.with(func(ctx context.Context, b *backend, args []string) error {
			c, err := b.Client(ctx, args[0])
			if err != nil {
				return err
			}
			if err := a.print(clientView(c, "", c)); err != nil {
				return err
			}
			a.warnOf(ctx, b, c.ID)
			return nil
		}),
	}
}

func (a *app) clientUpdate() *cobra.Command {
	var flags clientFlags
	c := &cobra.Command{
		Use: "update ID", Short: "Change an application",
		Long: "Change what the flags name and leave the rest. A flag replaces the whole list;\n" +
			"--add-… and --remove-… change one entry of it.",
		Example: "  gatekeeper client update shop --add-redirect-uri https://shop.example/cb2\n" +
			"  gatekeeper client update shop --remove-scope phone --access-ttl 5m\n" +
			"  gatekeeper client update shop --disabled",
		Args:              exactly("an ID"),
		ValidArgsFunction: a.completeClients,
	}
	flags.register(c)
	flags.registerUpdate(c)
	c.RunE = a.with(func(ctx context.Context, b *backend, args []string) error {
		have, err := b.Client(ctx, args[0])
		if err != nil {
			return err
		}
		seen := admin.ClientTag(have)
		if err := flags.apply(a, c.Flags(), &have); err != nil {
			return err
		}
		if have, err = b.UpdateClient(ctx, have, seen); err != nil {
			return err
		}
		if err := a.print(clientView(have, "", have)); err != nil {
			return err
		}
		a.warnOf(ctx, b, have.ID)
		return nil
	})
	return c
}

func (a *app) clientRotate() *cobra.Command {
	var in admin.RotateInput
	var secretFile, secretOutFile string
	c := &cobra.Command{
		Use: "rotate-secret ID", Short: "Give an application a new secret",
		Example: "  gatekeeper client rotate-secret shop --keep-old 24h\n" +
			"  gatekeeper client rotate-secret shop --secret-out shop.secret",
		Args:              exactly("an ID"),
		ValidArgsFunction: a.completeClients,
	}
	durationVar(c.Flags(), &in.KeepOld, "keep-old", 0, "let the old secret work for this long, such as 24h")
	c.Flags().StringVar(&secretFile, "secret-file", "", "bring your own secret, from a file (- is standard input)")
	c.Flags().StringVar(&secretOutFile, "secret-out", "", "write the secret to this new file instead of the screen")
	c.RunE = a.with(func(ctx context.Context, b *backend, args []string) error {
		if in.KeepOld < 0 {
			return usagef("--keep-old %s is in the past", in.KeepOld)
		}
		if secretFile != "" {
			secret, err := a.readSecret(secretFile)
			if err != nil {
				return err
			}
			in.Secret = secret
		}
		return a.showSecret(b, secretOutFile, in.Secret != "", func() (admin.ClientWithSecret, error) {
			return b.RotateSecret(ctx, args[0], in)
		})
	})
	return c
}

func (a *app) clientDelete() *cobra.Command {
	return &cobra.Command{
		Use: "delete ID", Aliases: []string{"rm"}, Short: "Delete an application and everything it was granted",
		Example:           "  gatekeeper client delete shop\n  gatekeeper client delete shop --yes",
		Args:              exactly("an ID"),
		ValidArgsFunction: a.completeClients,
		RunE: a.with(func(ctx context.Context, b *backend, args []string) error {
			if err := a.confirm("Delete client %s? Nobody can sign in to it afterwards, and its tokens die.", args[0]); err != nil {
				return err
			}
			if err := b.DeleteClient(ctx, args[0]); err != nil {
				return err
			}
			a.say("Client %s is deleted.", args[0])
			return nil
		}),
	}
}

// completeClients offers the ids of clients in the shell, where that is cheap:
// when the store answers at once.
func (a *app) completeClients(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return a.completions(cmd, begun, func(ctx context.Context, api admin.API) ([]string, error) {
		some, _, err := api.Clients(ctx, identity.Page{Limit: pageSize})
		var out []string
		for _, c := range some {
			out = append(out, fmt.Sprintf("%s\t%s", c.ID, clean(c.Name)))
		}
		return out, err
	})
}
