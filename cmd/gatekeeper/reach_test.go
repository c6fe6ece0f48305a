package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
)

// TestEveryCommandSaysWhatItReaches holds the list to the commands there are, and
// those that reach no server to refusing one.
func TestEveryCommandSaysWhatItReaches(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	each(wholeTree(), func(c *cobra.Command) {
		name := strings.TrimPrefix(c.CommandPath(), "gatekeeper ")
		if c.HasSubCommands() || name == "help" || strings.HasPrefix(name, "completion") {
			return
		}
		seen[name] = true
		r, ok := reachOf(c)
		if !ok {
			t.Errorf("%s does not say what it reaches", name)
			return
		}
		if r >= reachReads {
			return
		}
		for _, w := range []world{
			{Args: append(strings.Fields(name), "--server", "https://id.example.org")},
			{Args: strings.Fields(name), Environ: []string{envServer + "=https://id.example.org"}},
		} {
			if r == reachNothing && w.Environ != nil {
				continue // it works on nothing that could be meant instead
			}
			var words bytes.Buffer
			w.Dir, w.Stdin, w.Stdout, w.Stderr, w.Now = t.TempDir(), strings.NewReader(""), &words, &words, time.Now
			w.Environ = append(w.Environ, "HOME="+w.Dir)
			if strings.Contains(c.Use, "FILE") || strings.Contains(c.Use, "TOKEN") {
				w.Args = append(w.Args, "x")
			}
			if got := run(t.Context(), w); got != exitUsage || !strings.Contains(words.String(), "server") && !strings.Contains(words.String(), "id.example.org") {
				t.Errorf("%v %v: exit status %d\n%s", w.Args, w.Environ, got, words.String())
			}
		}
	})
	for name := range reaches {
		if !seen[name] {
			t.Errorf("there is no command %s", name)
		}
	}
}
