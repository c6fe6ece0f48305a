package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/gatekeeper-oidc/gatekeeper/admin"
	"github.com/gatekeeper-oidc/gatekeeper/internal/config"
	"github.com/gatekeeper-oidc/gatekeeper/oauth2"
)

func (a *app) registrationCommand() *cobra.Command {
	tokens := group("token", "Tokens that let applications register themselves", a.initialCreate(), a.initialList(), a.initialRevoke())
	tokens.Example = "  gatekeeper registration token create --uses 5 --life 7d\n  gatekeeper registration token list"
	c := group("registration", "Applications that register themselves", tokens)
	c.Long = "Applications that register themselves (RFC 7591), while the server runs with --registration token or\n" +
		"open. They are listed, changed and deleted like all others with `gatekeeper client`."
	c.Example = "  gatekeeper registration token create --name \"the plug-in shop\" --uses 20"
	return c
}

func (a *app) initialCreate() *cobra.Command {
	var in admin.InitialTokenInput
	var life, out string
	c := &cobra.Command{
		Use: "create", Short: "Make an initial access token, which lets whoever holds it register applications",
		Example: "  gatekeeper registration token create\n" +
			"  gatekeeper registration token create --name \"the plug-in shop\" --uses 20 --life 30d --secret-out shop.token",
		Args: between(0),
	}
	f := c.Flags()
	f.StringVar(&in.Name, "name", "", "for whom or what it is")
	f.IntVar(&in.Uses, "uses", 1, "how many applications may be registered with it")
	f.StringVar(&life, "life", "24h", "how long it is good for, such as 24h or 30d")
	f.StringVar(&out, "secret-out", "", "write the token to this new file instead of the screen")
	c.RunE = a.with(func(ctx context.Context, b *backend, _ []string) error {
		var err error
		if in.Life, err = config.Duration(life); err != nil || in.Life <= 0 {
			return usagef("--life %s: give a time such as 24h or 30d", life)
		}
		if in.Uses < 1 {
			return usagef("--uses %d: a token is good for one registration at least", in.Uses)
		}
		file, err := a.createSecretOut(out)
		if err != nil {
			return err
		}
		made, err := b.CreateInitialToken(ctx, in)
		if err != nil {
			file.drop()
			return err
		}
		if file != nil {
			if err := file.keep(made.Token); err != nil {
				return err
			}
			made.Token = ""
			a.say("The token is in %s, readable by you only.", out)
		}
		return a.print(view{value: made, names: []string{made.ID}, once: made.Token, table: func(t *table) {
			t.field("ID", made.ID)
			t.field("NAME", made.Name)
			if made.Token != "" {
				t.field("TOKEN", made.Token, "shown once; store it now")
			}
			t.field("GOOD FOR", plural(made.MaxUses, "registration"), "until "+moment(made.ExpiresAt))
		}})
	})
	return c
}

// plural counts things.
func plural(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// initialTokenList is tokens as the admin API lists them.
type initialTokenList struct {
	Tokens []oauth2.InitialToken `json:"tokens"`
}

func (a *app) initialList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List the initial access tokens, newest first",
		Example: "  gatekeeper registration token list\n  gatekeeper registration token list -o json",
		Args:    between(0),
		RunE: a.with(func(ctx context.Context, b *backend, _ []string) error {
			all, err := b.InitialTokens(ctx)
			if err != nil {
				return err
			}
			if all == nil {
				all = []oauth2.InitialToken{}
			}
			v := view{value: initialTokenList{all}, table: func(t *table) {
				t.row("ID", "NAME", "USED", "STATE", "CREATED", "EXPIRES")
				for _, i := range all {
					t.row(i.ID, i.Name, fmt.Sprintf("%d of %d", i.Uses, i.MaxUses), initialState(i, a.Now()), moment(i.CreatedAt), moment(i.ExpiresAt))
				}
			}}
			for _, i := range all {
				v.names = append(v.names, i.ID)
			}
			return a.print(v)
		}),
	}
}

func initialState(i oauth2.InitialToken, now time.Time) string {
	switch {
	case !now.Before(i.ExpiresAt):
		return "expired"
	case i.Uses >= i.MaxUses:
		return "used up"
	default:
		return "live"
	}
}

func (a *app) initialRevoke() *cobra.Command {
	return &cobra.Command{
		Use: "revoke ID", Aliases: []string{"rm"}, Short: "Make an initial access token worthless; what was registered with it stays",
		Example: "  gatekeeper registration token revoke reg-k4t2m7qa3x",
		Args:    exactly("an ID"),
		ValidArgsFunction: func(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return a.completions(cmd, begun, func(ctx context.Context, api admin.API) ([]string, error) {
				all, err := api.InitialTokens(ctx)
				var out []string
				for _, i := range all {
					out = append(out, i.ID+"\t"+clean(i.Name))
				}
				return out, err
			})
		},
		RunE: a.with(func(ctx context.Context, b *backend, args []string) error {
			if err := a.confirm("Revoke token %s? Nobody can register an application with it afterwards.", args[0]); err != nil {
				return err
			}
			if err := b.RevokeInitialToken(ctx, args[0]); err != nil {
				return err
			}
			a.say("Token %s is worthless now.", args[0])
			return nil
		}),
	}
}
