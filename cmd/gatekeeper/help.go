package main

import (
	"strings"

	"github.com/spf13/cobra"
)

// helpCommand is cobra's, but for a word that is no command: that is a mistake, and
// it says what was probably meant.
func helpCommand() *cobra.Command {
	return &cobra.Command{
		Use: "help [COMMAND…]", Short: "Explain a command",
		Example: "  gatekeeper help client create",
		RunE: func(c *cobra.Command, args []string) error {
			found, rest, err := c.Root().Find(args)
			if err != nil || found == nil {
				return usagef("gatekeeper has no command %q", strings.Join(args, " "))
			}
			if len(rest) > 0 && found.HasSubCommands() {
				return found.RunE(found, rest) // a group names what it does not know
			}
			if len(rest) > 0 {
				return usagef("%s has no command %q", found.CommandPath(), rest[0])
			}
			found.InitDefaultHelpFlag()
			return found.Help()
		},
	}
}
