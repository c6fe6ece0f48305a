package main

import (
	"context"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/gatekeeper-oidc/gatekeeper/admin"
	"github.com/gatekeeper-oidc/gatekeeper/keys"
)

func (a *app) keyCommand() *cobra.Command {
	c := group("key", "Keys that sign tokens", a.keyList(), a.keyRotate(), a.keyRevoke())
	c.Long = "Keys that sign tokens. They rotate by themselves: a key is published (next), signs (active),\n" +
		"is still believed (retiring), and is gone when the last token it signed is dead. Keys that\n" +
		"applications encrypt requests to (RSA-OAEP-256, ECDH-ES) live the same way, but are published\n" +
		"only while active."
	c.Example = "  gatekeeper key list\n  gatekeeper key rotate --alg ES256"
	return c
}

func (a *app) keyList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List the keys and where they are in their life",
		Example: "  gatekeeper key list\n  gatekeeper key list -o json",
		Args:    between(0),
		RunE: a.with(func(ctx context.Context, b *backend, _ []string) error {
			all, err := b.Keys(ctx)
			if err != nil {
				return err
			}
			return a.showKeys(all)
		}),
	}
}

// keyList is keys as the admin API lists them.
type keyList struct {
	Keys []keys.Listed `json:"keys"`
}

func (a *app) showKeys(all []keys.Listed) error {
	v := view{value: keyList{all}, table: func(t *table) {
		t.row("KEY", "ALG", "STATE", "SIGNS FROM", "TO", "GONE")
		for _, k := range all {
			t.row(k.ID, k.Alg, string(k.State), moment(k.ActivateAt), moment(k.RetireAt), moment(k.RemoveAt))
		}
	}}
	for _, k := range all {
		v.names = append(v.names, k.ID)
	}
	return a.print(v)
}

func (a *app) keyRotate() *cobra.Command {
	var alg string
	var now bool
	c := &cobra.Command{
		Use: "rotate", Short: "Publish a successor",
		Long: "Publish a successor, which signs once every application had time to fetch it. With --now it\n" +
			"signs at once, for the day a key has leaked: applications that cached the old set may refuse\n" +
			"new tokens until they fetch the set again.",
		Example: "  gatekeeper key rotate\n  gatekeeper key rotate --alg RS256 --now",
		Args:    between(0),
	}
	c.Flags().StringVar(&alg, "alg", "", "only the key of this algorithm")
	selecting(c, "alg")
	c.Flags().BoolVar(&now, "now", false, "sign with it at once")
	complete(c, "alg", append(algorithms(), keys.RSAOAEP256, keys.ECDHES)...)
	c.RunE = a.with(func(ctx context.Context, b *backend, _ []string) error {
		before, err := b.Keys(ctx)
		if err != nil {
			return err
		}
		all, err := b.RotateKeys(ctx, alg, now)
		if err != nil {
			return err
		}
		if !now && !added(before, all) {
			a.say("Nothing was added: a successor waits already. --now lets it sign; then another rotate publishes the next.")
		}
		return a.showKeys(all)
	})
	return c
}

// added reports whether there is a key that was not there before.
func added(before, after []keys.Listed) bool {
	return slices.ContainsFunc(after, func(k keys.Listed) bool {
		return !slices.ContainsFunc(before, func(old keys.Listed) bool { return old.ID == k.ID })
	})
}

func (a *app) keyRevoke() *cobra.Command {
	return &cobra.Command{
		Use: "revoke KEY", Short: "Take a key back: every token it signed stops being believed",
		Example: "  gatekeeper key revoke Yx3…",
		Args:    exactly("a key"),
		ValidArgsFunction: func(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return a.completions(cmd, begun, func(ctx context.Context, api admin.API) ([]string, error) {
				all, err := api.Keys(ctx)
				var out []string
				for _, k := range all {
					out = append(out, k.ID+"\t"+k.Alg+" "+string(k.State)+" since "+k.ActivateAt.Format(time.DateOnly))
				}
				return out, err
			})
		},
		RunE: a.with(func(ctx context.Context, b *backend, args []string) error {
			if err := a.confirm("Revoke key %s? Every token it signed stops being believed.", args[0]); err != nil {
				return err
			}
			if err := b.RevokeKey(ctx, args[0]); err != nil {
				return err
			}
			a.say("Key %s is revoked.", args[0])
			return nil
		}),
	}
}
