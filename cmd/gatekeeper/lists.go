package main

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/gatekeeper-oidc/gatekeeper/admin"
)

// completionTime is how long a shell waits for ids before it gets none.
const completionTime = 2 * time.Second

// change returns have with added entries at its end and removed ones left out.
func change(have, add, remove []string) []string {
	for _, s := range add {
		if !slices.Contains(have, s) {
			have = append(have, s)
		}
	}
	return slices.DeleteFunc(have, func(s string) bool { return slices.Contains(remove, s) })
}

// words splits the values of a flag that may be repeated or separated by commas
// or spaces.
func words(values []string) []string {
	var out []string
	for _, v := range values {
		out = append(out, strings.FieldsFunc(v, func(r rune) bool { return r == ',' || r == ' ' })...)
	}
	return out
}

// completions asks the store for what begins with begun. A store that does not
// answer completes nothing: a shell is no place for an error.
func (a *app) completions(cmd *cobra.Command, begun string, ask func(context.Context, admin.API) ([]string, error)) ([]string, cobra.ShellCompDirective) {
	ctx, cancel := context.WithTimeout(cmd.Context(), completionTime)
	defer cancel()
	b, err := a.open(a.acting(ctx))
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	defer func() { _ = b.close() }() // only read
	all, err := ask(ctx, b)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return slices.DeleteFunc(all, func(s string) bool { return !strings.HasPrefix(s, begun) }), cobra.ShellCompDirectiveNoFileComp
}
