package main

import (
	"context"

	"github.com/spf13/cobra"
)

func (a *app) adminCommand() *cobra.Command {
	c := group("admin", "The first administrator", a.adminLink())
	c.Example = "  gatekeeper admin link"
	return c
}

// setupLink is the JSON of a link.
type setupLink struct {
	URL string `json:"url"`
}

func (a *app) adminLink() *cobra.Command {
	return &cobra.Command{
		Use: "link", Short: "Make a new one-time link that creates the first administrator",
		Long: "Make a new one-time link that creates the first administrator. It works once, for 30 minutes,\n" +
			"and the link before it stops working. Once there is an administrator it is refused:\n" +
			"make another with `gatekeeper user create EMAIL --role admin`.",
		Example: "  gatekeeper admin link\n  xdg-open \"$(gatekeeper admin link -o name)\"",
		Args:    between(0),
		RunE: a.with(func(ctx context.Context, b *backend, _ []string) error {
			link, err := b.SetupLink(ctx)
			if err != nil {
				return err
			}
			a.say("Create the first administrator. The link works once, for 30 minutes:")
			return a.print(view{value: setupLink{link}, names: []string{link}, table: func(t *table) { t.line("  " + clean(link)) }})
		}),
	}
}
