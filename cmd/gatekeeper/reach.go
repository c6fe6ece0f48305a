package main

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gatekeeper-oidc/gatekeeper/internal/config"
)

// A reach is what a command works on.
type reach int

const (
	reachNothing reach = iota // neither a store nor a server; --server has no meaning
	reachHere                 // this computer's configuration or database, never another server
	reachReads                // the admin API, which it only reads
	reachChanges              // the admin API, which it changes where there is something
	reachMakes                // the admin API, and the embedded database if there is none yet
)

// reaches says of every command what it works on. Those from reachReads on honour
// --server; the others refuse it, because somebody who names a server and is not
// heard believes that it was meant.
var reaches = map[string]reach{
	"serve": reachHere, "try": reachHere, "login": reachReads, "logout": reachNothing, "admin link": reachMakes,
	"client create": reachMakes, "client list": reachReads, "client get": reachReads, "client update": reachChanges,
	"client rotate-secret": reachChanges, "client delete": reachChanges,
	"registration token create": reachMakes, "registration token list": reachReads, "registration token revoke": reachChanges,
	"user create": reachMakes, "user list": reachReads, "user get": reachReads, "user update": reachChanges, "user lock": reachChanges,
	"user unlock": reachChanges, "user reset": reachChanges, "user sessions": reachReads, "user consents": reachReads, "user delete": reachChanges,
	"session list": reachReads, "session revoke": reachChanges,
	"token introspect": reachReads, "token revoke": reachChanges, "token decode": reachNothing,
	"key list": reachReads, "key rotate": reachMakes, "key revoke": reachChanges,
	"audit tail": reachReads, "audit export": reachReads, "audit verify": reachReads, "explain": reachReads,
	"apply": reachMakes, "diff": reachReads, "export": reachReads,
	"doctor": reachHere, "config check": reachHere, "config print": reachHere, "config schema": reachNothing, "config dev-ca": reachHere,
	"migrate up": reachHere, "migrate status": reachHere, "backup": reachHere, "healthcheck": reachHere,
	"conformance run": reachHere, "conformance seed": reachMakes, "version": reachNothing,
}

// reachOf is what c works on.
func reachOf(c *cobra.Command) (reach, bool) {
	r, ok := reaches[strings.TrimPrefix(c.CommandPath(), c.Root().Name()+" ")]
	return r, ok
}

// server is the server that was named, if any.
func (a *app) server() string { return cmp.Or(a.global.server, a.Getenv(envServer)) }

// reachable refuses a server where the command would not speak to it.
func (a *app) reachable(c *cobra.Command) error {
	a.reach = reachNothing
	r, ok := reachOf(c)
	if !ok { // help, completion and the groups of commands
		return nil
	}
	a.reach = r
	switch {
	case a.global.server != "" && r < reachReads:
		return usagef("%s does not speak to a server; leave --server out", c.CommandPath())
	case r == reachHere && a.server() != "":
		return usagef("%s works on this computer and not on %s; unset %s", c.CommandPath(), a.server(), envServer)
	default:
		return nil
	}
}

// present refuses to make an embedded database for a command that needs one that is
// there: an empty answer from a folder typed wrong looks like the truth.
func (a *app) present(cfg *config.Config) error {
	file := cfg.DatabaseFile()
	if file == "" {
		return nil
	}
	_, err := os.Stat(file)
	switch {
	case err == nil || !errors.Is(err, fs.ErrNotExist):
		return nil // what else is wrong, opening says
	case a.reach == reachMakes:
		a.say("There is no database at %s yet; this makes one.", file)
		return nil
	default:
		return &exitError{exitNotFound, fmt.Errorf("there is no database at %s%s; the first `gatekeeper serve` makes it", file, because(cfg))}
	}
}

// tellStore names the database that a command is about to change, or that .env chose.
func (a *app) tellStore(cfg *config.Config) {
	if a.reach >= reachChanges || strings.HasPrefix(cfg.Origin(cfg.DatabaseKey()), ".env") {
		a.say("Database: %s%s", clean(databaseName(cfg)), because(cfg))
	}
}

// because says where the database was chosen, unless nobody did.
func because(cfg *config.Config) string {
	from := cfg.Origin(cfg.DatabaseKey())
	if from == "" || from == "default" {
		return ""
	}
	return " (" + cfg.DatabaseKey() + " from " + from + ")"
}

// databaseName is where the database is, without who may open it.
func databaseName(cfg *config.Config) string {
	if file := cfg.DatabaseFile(); file != "" {
		return file
	}
	u, err := url.Parse(cfg.DatabaseURL.Reveal())
	if err != nil || u.Host == "" {
		return "the one of " + cfg.DatabaseKey()
	}
	return u.Scheme + "://" + u.Host + u.Path
}

// tellServer names the server that a command is about to change.
func (a *app) tellServer(server string) {
	if a.reach >= reachChanges {
		a.say("Server: %s", clean(server))
	}
}
