package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/gatekeeper-oidc/gatekeeper/internal/config"
)

func (a *app) configCommand() *cobra.Command {
	c := group("config", "The configuration", a.configCheck(), a.configPrint(), a.configSchema(), a.configDevCA())
	c.Example = "  gatekeeper config check\n  gatekeeper config print --config /etc/gatekeeper.yaml"
	return c
}

func (a *app) configCheck() *cobra.Command {
	c := &cobra.Command{
		Use: "check", Short: "Say whether the server would start with this configuration",
		Long:    "Say whether the server would take this configuration: every mistake with its key, line and column.\nThe exit status is 78 if it would not.",
		Example: "  gatekeeper config check --config /etc/gatekeeper.yaml",
		Args:    between(0),
	}
	a.settingFlags(c)
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, err := a.loadConfig(cmd.Flags())
		if err != nil {
			return err
		}
		a.say("The configuration is good. The issuer is %s.", cfg.Issuer)
		return nil
	}
	return c
}

// settingList is the JSON of `config print`.
type settingList struct {
	Settings []config.Setting `json:"settings"`
}

func (a *app) configPrint() *cobra.Command {
	c := &cobra.Command{
		Use: "print", Short: "Show every setting and where it is from; secrets are masked",
		Example: "  gatekeeper config print\n  GATEKEEPER_LISTEN=:8443 gatekeeper config print -o json",
		Args:    between(0),
	}
	a.settingFlags(c)
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, err := a.loadConfig(cmd.Flags())
		if err != nil {
			return err
		}
		if a.global.output == "table" {
			return cfg.Print(a.Stdout)
		}
		all := cfg.Settings()
		v := view{value: settingList{all}}
		for _, s := range all {
			v.names = append(v.names, s.Key)
		}
		return a.print(v)
	}
	return c
}

func (a *app) configSchema() *cobra.Command {
	return &cobra.Command{
		Use: "schema", Short: "Print the JSON Schema of gatekeeper.yaml, for editors",
		Example: "  gatekeeper config schema > gatekeeper.schema.json",
		Args:    between(0),
		RunE: func(*cobra.Command, []string) error {
			schema, err := config.Schema()
			if err != nil {
				return err
			}
			if _, err := a.Stdout.Write(schema); err != nil {
				return fmt.Errorf("print the schema: %w", err)
			}
			return nil
		},
	}
}

// configDevCA prints the authority of --tls dev, whose file only this user can read:
// a service that runs as another one has to trust it too.
func (a *app) configDevCA() *cobra.Command {
	c := &cobra.Command{
		Use: "dev-ca", Short: "Print the certificate authority of --tls dev",
		Long: "Print the certificate authority that signs the development certificates of --tls dev, for a\n" +
			"service of another user, a container or another browser to trust. It may sign for this\n" +
			"computer's names and nothing else.",
		Example: "  gatekeeper config dev-ca > /tmp/gatekeeper-ca.pem\n  NODE_EXTRA_CA_CERTS=/tmp/gatekeeper-ca.pem node app.js",
		Args:    between(0),
	}
	a.settingFlags(c)
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, err := a.loadConfig(cmd.Flags())
		if err != nil {
			return err
		}
		text, err := os.ReadFile(filepath.Join(devTLSDir(cfg), "dev-ca.crt"))
		if errors.Is(err, fs.ErrNotExist) {
			return &exitError{exitNotFound, fmt.Errorf("there is none in %s yet: gatekeeper serve --tls dev makes it", devTLSDir(cfg))}
		}
		if err != nil {
			return err
		}
		_, err = a.Stdout.Write(text)
		return err
	}
	return c
}
