package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

var update = flag.Bool("update", false, "rewrite docs/cli.md and other golden files")

const referencePath = "../../docs/cli.md"

func wholeTree() *cobra.Command {
	a := &app{world: world{Stdout: &bytes.Buffer{}, Stderr: &bytes.Buffer{}}}
	root := a.rootCommand()
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	return root
}

// TestReference holds docs/cli.md to the commands there are.
func TestReference(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	b.WriteString(referenceHead)
	root := wholeTree()
	fmt.Fprintf(&b, "\n## Flags of every command\n\n%s\n", flagTable(root.PersistentFlags()))
	each(root, func(c *cobra.Command) { b.WriteString(section(c)) })
	got := b.String()
	if *update {
		if err := os.WriteFile(referencePath, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(referencePath)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Errorf("docs/cli.md is not what the commands are (go test ./cmd/gatekeeper -run Reference -update):\n%s", d)
	}
}

// TestEveryCommandHasAnExample, and a sentence, and nobody's internals.
func TestEveryCommandHasAnExample(t *testing.T) {
	t.Parallel()
	each(wholeTree(), func(c *cobra.Command) {
		switch {
		case c.Name() == "help" || strings.HasPrefix(c.CommandPath(), "gatekeeper completion"):
			return
		case c.Short == "":
			t.Errorf("%s has no sentence", c.CommandPath())
		case !strings.Contains(c.Example, "gatekeeper"):
			t.Errorf("%s has no example", c.CommandPath())
		case c.RunE == nil:
			t.Errorf("%s does nothing", c.CommandPath())
		}
		c.Flags().VisitAll(func(f *pflag.Flag) {
			if f.Usage == "" {
				t.Errorf("%s --%s has no help", c.CommandPath(), f.Name)
			}
		})
	})
}

const referenceHead = `# The command line

<!-- Written by the test TestReference from the commands themselves; edit those. -->

A command is a noun and a verb. It works on the store directly, whether the server is up or down
(running nodes hear of every change), or on a running server's admin API with ` + "`--server URL --token-file FILE`" + `.

Data goes to standard output and words go to standard error, so ` + "`-o json`" + ` is always safe to pipe: it is the
JSON of the admin API. ` + "`-o name`" + ` prints what the next command takes as its argument.

| Exit status | Meaning |
|---|---|
| 0 | done |
| 1 | failed |
| 2 | the command was typed wrong, or the input was refused |
| 3 | not found |
| 4 | exists already, or conflicts |
| 5 | not allowed |
| 6 | the server or the database does not answer |
| 10 | ` + "`diff`" + ` found differences |
| 78 | the configuration is wrong |
| 130, 143 | interrupted with Ctrl-C (130) or told to end with SIGTERM (143) before it was done |
`

func each(c *cobra.Command, f func(*cobra.Command)) {
	for _, sub := range c.Commands() {
		if sub.Hidden || sub.Name() == "help" {
			continue
		}
		f(sub)
		each(sub, f)
	}
}

func section(c *cobra.Command) string {
	var b strings.Builder
	level := strings.Repeat("#", 1+strings.Count(c.CommandPath(), " "))
	fmt.Fprintf(&b, "\n%s `%s`\n", level, c.CommandPath())
	if !strings.HasPrefix(c.Long, c.Short) {
		fmt.Fprintf(&b, "\n%s.\n", strings.TrimSuffix(c.Short, "."))
	}
	if strings.HasPrefix(c.CommandPath(), "gatekeeper completion") {
		return b.String()
	}
	if c.Long != "" {
		fmt.Fprintf(&b, "\n%s\n", c.Long)
	}
	if !c.HasSubCommands() {
		fmt.Fprintf(&b, "\n```\n%s\n```\n", c.UseLine())
	}
	if c.Example != "" {
		fmt.Fprintf(&b, "\n```sh\n%s\n```\n", strings.ReplaceAll(strings.TrimPrefix(c.Example, "  "), "\n  ", "\n"))
	}
	if c.Name() != "serve" && isSettings(c) {
		b.WriteString("\nIt takes every flag of `gatekeeper serve`.\n")
		return b.String()
	}
	if own := flagTable(c.LocalNonPersistentFlags()); own != "" {
		fmt.Fprintf(&b, "\n%s", own)
	}
	return b.String()
}

func isSettings(c *cobra.Command) bool { return c.Flags().Lookup("drain-timeout") != nil }

func flagTable(flags *pflag.FlagSet) string {
	var b strings.Builder
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Name == "help" {
			return
		}
		name := "`--" + f.Name + "`"
		if f.Shorthand != "" {
			name = "`-" + f.Shorthand + "`, " + name
		}
		value := ""
		if d := f.DefValue; d != "" && d != "false" && d != "[]" && d != "0" && d != "0s" {
			value = "`" + d + "`"
		}
		fmt.Fprintf(&b, "| %s | %s | %s |\n", name, strings.ReplaceAll(f.Usage, "|", `\|`), value)
	})
	if b.Len() == 0 {
		return ""
	}
	return "| Flag | What it does | Default |\n|---|---|---|\n" + b.String()
}
