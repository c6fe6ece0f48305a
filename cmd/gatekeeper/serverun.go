package main

import (
	"github.com/spf13/cobra"
)

func (a *app) serveCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "serve", Short: "Run the server",
		Long: "Run the server. Without any configuration it is a development server for this computer alone:\n" +
			"an embedded database in the user's data folder and the issuer http://localhost:8080.\n\n" +
			"Every flag is also a key of gatekeeper.yaml (listen) and an environment variable\n" +
			"(GATEKEEPER_LISTEN); a flag is stronger than the environment, which is stronger than the file.",
		Example: "  gatekeeper serve\n  gatekeeper serve --listen localhost:9000 --tls dev\n" +
			"  gatekeeper serve --config /etc/gatekeeper.yaml",
		Args: between(0),
	}
	a.settingFlags(c)
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, err := a.loadConfig(cmd.Flags())
		if err != nil {
			return err
		}
		return serve(cmd.Context(), cfg, a.world)
	}
	return c
}
