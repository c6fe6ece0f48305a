package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/gatekeeper-oidc/gatekeeper/admin"
	"github.com/gatekeeper-oidc/gatekeeper/internal/config"
	"github.com/gatekeeper-oidc/gatekeeper/internal/web"
)

// A world is everything the program takes from outside itself, so that a test,
// or another program, can hand it a smaller one.
type world struct {
	Args      []string // without the program's name
	Environ   []string // KEY=value
	Dir       string   // where relative paths and .env start
	User      string   // who types, for the trail
	Stdin     io.Reader
	Stdout    io.Writer // data
	Stderr    io.Writer // words
	StdinTTY  bool
	StdoutTTY bool
	StderrTTY bool
	Now       func() time.Time
	Browse    func(ctx context.Context, address string) error // opens a browser
}

// LookupEnv is os.LookupEnv over this world.
func (w world) LookupEnv(key string) (string, bool) {
	for _, kv := range slices.Backward(w.Environ) {
		if v, ok := strings.CutPrefix(kv, key+"="); ok {
			return v, true
		}
	}
	return "", false
}

// Getenv is os.Getenv over this world.
func (w world) Getenv(key string) string {
	v, _ := w.LookupEnv(key)
	return v
}

// globalFlags are the flags every command has.
type globalFlags struct {
	output      string
	config      string
	dataDir     string
	databaseURL string
	server      string
	tokenFile   string
	caFile      string
	quiet       bool
	noColor     bool
	yes         bool

	issuer string // what `try --issuer` says; no global flag
}

// A backend is the admin API, however it is reached.
type backend struct {
	admin.API
	config  *config.Config // nil when it is a server's API
	issuer  string         // "" when the server did not say
	dev     bool           // a development server on this computer
	program *program       // the store behind it; nil when it is a server's API
	close   func() error
}

// forget drops what this process remembers of tokens and what they depend on: a
// command does not listen to the bell.
func (b *backend) forget() {
	if b.program != nil {
		b.program.oauth.Forget("*")
	}
}

// An app is one run of the program: its world, the global flags, and how it
// reaches the admin API.
type app struct {
	world
	global globalFlags
	reach  reach // what the command works on
	open   func(ctx context.Context) (*backend, error)
}

// run is the whole program: it returns the exit status.
func run(ctx context.Context, w world) int {
	w.Stdin = interruptible{w.Stdin, ctx.Done()}
	a := &app{world: w}
	a.open = a.openBackend
	return a.execute(ctx)
}

func (a *app) execute(ctx context.Context) int {
	root := a.rootCommand() //nolint:contextcheck // a command gets its context when it is executed
	root.SetArgs(a.Args)
	cmd, err := root.ExecuteContextC(ctx)
	if i := (interruption{}); err != nil && errors.As(context.Cause(ctx), &i) {
		err = &exitError{i.status(), err}
	}
	return a.report(cmd, err)
}

func (a *app) rootCommand() *cobra.Command {
	root := group("gatekeeper", "An OpenID Connect provider")
	root.Long = "Gatekeeper signs people in to applications with OpenID Connect.\n\n" +
		"Start it with `gatekeeper serve`, see a login with `gatekeeper try`, and register\n" +
		"an application with `gatekeeper client create`. Commands work on the store directly,\n" +
		"whether the server is up or down, or on another server with --server."
	root.Example = "  gatekeeper serve\n  gatekeeper try\n  gatekeeper client create my-app --redirect-uri http://localhost:3000/callback"
	root.SilenceErrors, root.SilenceUsage = true, true
	root.SetIn(a.Stdin)
	root.SetOut(a.Stdout)
	root.SetErr(a.Stderr)
	root.SetFlagErrorFunc(flagError)
	a.globals(root)
	root.AddGroup(
		&cobra.Group{ID: groupRun, Title: "Run it:"},
		&cobra.Group{ID: groupThings, Title: "What it knows:"},
		&cobra.Group{ID: groupCare, Title: "Look after it:"},
	)
	add := func(groupID string, commands ...*cobra.Command) {
		for _, c := range commands {
			c.GroupID = groupID
		}
		root.AddCommand(commands...)
	}
	add(groupRun, a.serveCommand(), a.tryCommand(), a.adminCommand(), a.loginCommand(), a.logoutCommand())
	add(groupThings, a.clientCommand(), a.registrationCommand(), a.userCommand(), a.sessionCommand(), a.tokenCommand(), a.keyCommand(),
		a.auditCommand(), a.explainCommand(), a.applyCommand(), a.diffCommand(), a.exportCommand())
	add(groupCare, a.doctorCommand(), a.configCommand(), a.migrateCommand(), a.backupCommand(),
		a.conformanceCommand(), a.healthcheckCommand(), a.versionCommand())
	root.Version = thisBuild().Version
	root.SetVersionTemplate("gatekeeper {{.Version}}\n")
	root.SetHelpCommand(helpCommand())
	root.SetHelpCommandGroupID(groupCare)
	root.SetCompletionCommandGroupID(groupCare)
	return root
}

const (
	groupRun    = "run"
	groupThings = "things"
	groupCare   = "care"
)

func (a *app) globals(root *cobra.Command) {
	f := root.PersistentFlags()
	f.StringVarP(&a.global.output, "output", "o", "table", "how to print: table, json, yaml or name")
	f.StringVar(&a.global.config, "config", "", "read this configuration file")
	f.StringVar(&a.global.dataDir, "data-dir", "", "keep the embedded database and generated secrets here")
	f.StringVar(&a.global.databaseURL, "database-url", "", "use this database: sqlite:PATH or postgres://…")
	f.StringVar(&a.global.server, "server", "", "speak to the admin API at this URL instead of the store (GATEKEEPER_SERVER)")
	f.StringVar(&a.global.tokenFile, "token-file", "", "read the token for --server from this file (GATEKEEPER_TOKEN_FILE)")
	f.StringVar(&a.global.caFile, "ca-file", "", "believe the authorities in this file about the certificate of --server (GATEKEEPER_CA_FILE)")
	f.BoolVarP(&a.global.quiet, "quiet", "q", false, "print data only, no words")
	f.BoolVar(&a.global.noColor, "no-color", false, "print without colours (NO_COLOR)")
	f.BoolVar(&a.global.yes, "yes", false, "do not ask")
	root.PersistentPreRunE = func(c *cobra.Command, _ []string) error {
		if !slices.Contains(outputs(), a.global.output) {
			return usagef("-o %s: choose one of %s", a.global.output, strings.Join(outputs(), ", "))
		}
		return a.reachable(c)
	}
	complete(root, "output", outputs()...)
}

// with returns the body of a command that speaks to the admin API: f runs with
// the API open and its context saying who acts.
func (a *app) with(f func(ctx context.Context, b *backend, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) (err error) {
		ctx := a.acting(cmd.Context())
		b, err := a.open(ctx)
		if err != nil {
			return err
		}
		defer func() {
			if cerr := b.close(); err == nil && cerr != nil {
				err = fmt.Errorf("close the store: %w", cerr)
			}
		}()
		return f(ctx, b, args)
	}
}

// acting puts into ctx what the trail wants to know of a change made here.
func (a *app) acting(ctx context.Context) context.Context {
	ctx = web.NewContext(ctx, web.Info{CorrelationID: strings.ToLower(rand.Text()), UserAgent: "gatekeeper-cli"})
	return admin.NewContext(ctx, "cli:"+a.User)
}

// say writes words for a person; -q silences it.
func (a *app) say(format string, args ...any) {
	if !a.global.quiet {
		_, _ = fmt.Fprintln(a.Stderr, cleanLines(fmt.Sprintf(format, args...))) // a closed stderr has nobody to tell
	}
}
