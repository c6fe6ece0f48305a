package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/gatekeeper-oidc/gatekeeper/internal/config"
)

// group returns a command that only holds others. Without one of them it prints
// its help; with a word it does not know it says what was probably meant.
func group(use, short string, commands ...*cobra.Command) *cobra.Command {
	c := &cobra.Command{Use: use, Short: short, Args: cobra.ArbitraryArgs, SuggestionsMinimumDistance: 2}
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return cmd.Help()
		}
		msg := fmt.Sprintf("%s has no command %q", cmd.CommandPath(), args[0])
		if s := cmd.SuggestionsFor(args[0]); len(s) > 0 {
			msg += "; did you mean " + strings.Join(s, " or ") + "?"
		}
		return usagef("%s", msg)
	}
	c.AddCommand(commands...)
	return c
}

// flagError tells a usage error and the nearest flag there is.
func flagError(cmd *cobra.Command, err error) error {
	name, ok := strings.CutPrefix(err.Error(), "unknown flag: --")
	if !ok {
		return usagef("%v", err)
	}
	if best := nearestFlag(cmd, name); best != "" {
		return usagef("%s has no flag --%s; did you mean --%s?", cmd.CommandPath(), name, best)
	}
	return usagef("%s has no flag --%s", cmd.CommandPath(), name)
}

func nearestFlag(cmd *cobra.Command, name string) string {
	best, least := "", len(name)/2+1
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		d := config.Distance(name, f.Name)
		if strings.HasPrefix(f.Name, name) || strings.HasSuffix(f.Name, "-"+name) {
			d = 1
		}
		if d < least && !f.Hidden {
			best, least = f.Name, d
		}
	})
	return best
}

// exactly is an argument rule that names what is missing.
func exactly(names ...string) cobra.PositionalArgs {
	return between(len(names), names...)
}

// between asks for at least least arguments and allows one for each name.
func between(least int, names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < least:
			return usagef("%s needs %s", cmd.CommandPath(), names[len(args)])
		case len(args) > len(names):
			return usagef("%s does not know what to do with %q", cmd.CommandPath(), args[len(names)])
		default:
			return full(cmd, args)
		}
	}
}

// full refuses an argument that is there and empty, such as that of a variable
// nobody set: it names nothing, and must never come to mean everything.
func full(cmd *cobra.Command, args []string) error {
	for i, arg := range args {
		if strings.TrimSpace(arg) == "" {
			return usagef("argument %d of %s is empty", i+1, cmd.CommandPath())
		}
	}
	return nil
}

// selecting refuses flags of c that choose what is meant and were given without a
// value, so that a filter never turns into none.
func selecting(c *cobra.Command, flags ...string) {
	rest := c.Args
	c.Args = func(cmd *cobra.Command, args []string) error {
		for _, name := range flags {
			if f := cmd.Flags().Lookup(name); f.Changed && strings.TrimSpace(f.Value.String()) == "" {
				return usagef("--%s is empty; give it a value or leave it out", name)
			}
		}
		if rest == nil {
			return full(cmd, args)
		}
		return rest(cmd, args)
	}
}

// atMostOne refuses flags that contradict each other.
func atMostOne(given *pflag.FlagSet, flags ...string) error {
	first := ""
	for _, name := range flags {
		switch {
		case !given.Changed(name):
		case first != "":
			return usagef("--%s and --%s contradict each other", first, name)
		default:
			first = name
		}
	}
	return nil
}

// complete offers fixed values for a flag in the shell.
func complete(cmd *cobra.Command, flag string, values ...string) {
	err := cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
	if err != nil {
		panic(err) // the flag does not exist: a mistake in this program, found by the first test
	}
}
