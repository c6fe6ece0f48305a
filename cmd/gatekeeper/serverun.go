package main

import (
	"os/signal"
	"runtime/debug"
	"syscall"

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
		defer a.unheard()()
		cfg, err := a.loadConfig(cmd.Flags())
		if err != nil {
			return err
		}
		return serve(cmd.Context(), cfg, a.world)
	}
	return c
}

// gcPercent is how much garbage the server lets grow beside what lives before it
// collects: its heap is so small that Go's own 100 collects many times a second
// under load.
const gcPercent = 400

// unheard makes the server independent of whoever reads its words: a reader that
// stands still, or went away, stops no request. The function it returns writes what
// waits.
func (a *app) unheard() (flush func()) {
	if _, set := a.LookupEnv("GOGC"); !set {
		debug.SetGCPercent(gcPercent)
	}
	signal.Ignore(syscall.SIGPIPE) // else a write to a pipe without a reader ends the program
	out, words := newLogQueue(a.Stdout), newLogQueue(a.Stderr)
	a.Stdout, a.Stderr = out, words
	return func() {
		out.Close()
		words.Close()
	}
}
