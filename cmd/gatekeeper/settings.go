package main

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/gatekeeper-oidc/gatekeeper/internal/config"
)

// The names of the environment that the commands read, and the server does not.
const (
	envServer    = "GATEKEEPER_SERVER"
	envTokenFile = "GATEKEEPER_TOKEN_FILE"
	envCAFile    = "GATEKEEPER_CA_FILE"
)

// settingFlags gives c a flag for every configuration key that is not a global
// flag already. Their values are read by loadConfig.
func (a *app) settingFlags(c *cobra.Command) {
	for _, field := range config.Fields() {
		if a.globalFlag(field.Flag) {
			continue
		}
		c.Flags().String(field.Flag, field.Default, field.Doc)
		f := c.Flags().Lookup(field.Flag)
		f.DefValue = field.Default
		if field.Type == "boolean" {
			f.NoOptDefVal = "true"
		}
		if field.Enum != nil && field.Type != "list" {
			complete(c, field.Flag, field.Enum...)
		}
	}
}

func (a *app) globalFlag(name string) bool { return name == "data-dir" || name == "database-url" }

// loadConfig reads the configuration, with what the flags of c say on top.
func (a *app) loadConfig(flags *pflag.FlagSet) (*config.Config, error) {
	args := map[string]string{}
	known := map[string]bool{}
	for _, field := range config.Fields() {
		known[field.Flag] = true
	}
	flags.Visit(func(f *pflag.Flag) {
		if known[f.Name] {
			args[strings.ReplaceAll(f.Name, "-", "_")] = f.Value.String()
		}
	})
	return a.loadWith(args)
}

// loadGlobal reads the configuration with the global flags alone on top: what
// every command but serve knows.
func (a *app) loadGlobal() (*config.Config, error) {
	args := map[string]string{}
	if a.global.dataDir != "" {
		args["data_dir"] = a.global.dataDir
	}
	if a.global.databaseURL != "" {
		args["database_url"] = a.global.databaseURL
	}
	if a.global.issuer != "" {
		args["issuer"] = a.global.issuer
	}
	return a.loadWith(args)
}

func (a *app) loadWith(args map[string]string) (*config.Config, error) {
	cfg, err := config.Load(config.Input{
		Args: args, Environ: a.Environ, Reserved: []string{envServer, envTokenFile, envCAFile}, Dir: a.Dir, File: a.global.config,
		ReadFile: readBounded, Stat: os.Stat,
	})
	if err != nil {
		return nil, badConfig(err)
	}
	return cfg, nil
}

// devTLSDir is where development certificates live.
func devTLSDir(cfg *config.Config) string { return filepath.Join(cfg.DataDir, "tls") }

// trust is a client's side of TLS towards this very server: the system's roots,
// and the certificate the server itself was given or made. extra may name one
// more file of certificates.
func trust(cfg *config.Config, extra ...string) (*tls.Config, error) {
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool() // a computer without roots has ours alone
	}
	for _, file := range extra {
		pem, err := os.ReadFile(filepath.Clean(file))
		if err != nil {
			return nil, usagef("read %s: %v", file, err)
		}
		if !pool.AppendCertsFromPEM(pem) {
			return nil, usagef("%s holds no certificate", file)
		}
	}
	if cfg != nil && cfg.ServesTLS() {
		own := cfg.TLSCert
		if cfg.TLS == "dev" {
			own = filepath.Join(devTLSDir(cfg), "dev-ca.crt")
		}
		if pem, err := os.ReadFile(filepath.Clean(own)); err == nil { // not there yet: the server never ran
			pool.AppendCertsFromPEM(pem)
		}
	}
	return &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}, nil
}
