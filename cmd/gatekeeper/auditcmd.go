package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/gatekeeper-oidc/gatekeeper/admin"
	"github.com/gatekeeper-oidc/gatekeeper/audit"
	"github.com/gatekeeper-oidc/gatekeeper/internal/config"
)

const (
	auditPage  = 500
	followWait = time.Second
)

func (a *app) auditCommand() *cobra.Command {
	c := group("audit", "The trail of security events", a.auditTail(), a.auditExport(), a.auditVerify())
	c.Example = "  gatekeeper audit tail -f\n  gatekeeper audit export --since 720h > october.jsonl"
	return c
}

// auditFilter are the flags that narrow a reading of the trail.
type auditFilter struct {
	kind, subject, client, reference, since string
}

func (f *auditFilter) register(c *cobra.Command) {
	flags := c.Flags()
	flags.StringVar(&f.kind, "kind", "", "only events of this kind, such as login.failed")
	flags.StringVar(&f.subject, "user", "", "only what happened to this user (email or ID)")
	flags.StringVar(&f.client, "client", "", "only what happened with this application")
	flags.StringVar(&f.reference, "ref", "", "only the refusal with this reference")
	flags.StringVar(&f.since, "since", "", "only what happened since: 24h ago, or 2026-11-01T00:00:00Z")
	selecting(c, "kind", "user", "client", "ref", "since")
}

func (f *auditFilter) filter(ctx context.Context, a *app, api admin.API) (audit.Filter, error) {
	if err := knownKind(f.kind); err != nil {
		return audit.Filter{}, err
	}
	out := audit.Filter{Kind: audit.Kind(f.kind), Subject: f.subject, ClientID: f.client, Reference: f.reference}
	if strings.Contains(f.subject, "@") {
		u, err := api.User(ctx, f.subject)
		if err != nil {
			return out, err
		}
		out.Subject = u.ID
	}
	if f.since == "" {
		return out, nil
	}
	if ago, err := config.Duration(f.since); err == nil && ago >= 0 {
		out.Since = a.Now().Add(-ago)
		return out, nil
	}
	for _, layout := range []string{time.RFC3339, time.DateTime, time.DateOnly} {
		if at, err := time.ParseInLocation(layout, f.since, time.Local); err == nil {
			out.Since = at
			return out, nil
		}
	}
	return out, usagef("--since %s: give a span such as 24h or 7d, or a time such as 2026-11-01T00:00:00Z", f.since)
}

func (a *app) auditTail() *cobra.Command {
	var narrow auditFilter
	var follow bool
	var lines int
	c := &cobra.Command{
		Use: "tail", Short: "Show the newest events",
		Example: "  gatekeeper audit tail\n  gatekeeper audit tail -f --kind login.failed\n  gatekeeper audit tail -n 1000 -o json | jq .kind",
		Args:    between(0),
	}
	narrow.register(c)
	c.Flags().BoolVarP(&follow, "follow", "f", false, "wait for more until interrupted")
	c.Flags().IntVarP(&lines, "lines", "n", 20, "how many to begin with")
	c.RunE = a.with(func(ctx context.Context, b *backend, _ []string) error {
		filter, err := narrow.filter(ctx, a, b)
		if err != nil {
			return err
		}
		if lines < 0 {
			return usagef("-n %d: give a number of events", lines)
		}
		last := filter
		last.Newest, last.Limit = true, max(lines, 1)
		events, err := b.Events(ctx, last)
		if err != nil {
			return err
		}
		if len(events) > 0 {
			filter.After = events[0].Position
		}
		slices.Reverse(events)
		if err := a.printEvents(events[max(0, len(events)-lines):]); err != nil || !follow {
			return err
		}
		return a.follow(ctx, b, filter)
	})
	return c
}

// follow prints events as they get their position, until ctx ends.
func (a *app) follow(ctx context.Context, api admin.API, f audit.Filter) error {
	f.Limit = auditPage
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(followWait):
		}
		events, err := api.Events(ctx, f)
		switch {
		case err != nil && ctx.Err() == nil:
			return err
		case len(events) == 0:
			continue // or interrupted while asking, which is how a tail ends
		}
		if err := a.printEvents(events); err != nil {
			return err
		}
		f.After = events[len(events)-1].Position
	}
}

// printEvents writes one line for each event, so that any number of pages reads
// as one stream: JSON Lines for -o json, one document each for -o yaml.
func (a *app) printEvents(events []audit.Event) error {
	for _, e := range events {
		var err error
		switch a.global.output {
		case "json":
			err = json.NewEncoder(escaping{a.Stdout}).Encode(e)
		case "yaml":
			if _, err = fmt.Fprintln(a.Stdout, "---"); err == nil {
				err = printYAML(a.Stdout, e)
			}
		case "name":
			_, err = fmt.Fprintln(a.Stdout, clean(e.ID))
		default:
			_, err = fmt.Fprintln(a.Stdout, eventLine(e))
		}
		if err != nil {
			return fmt.Errorf("print event %d: %w", e.Position, err)
		}
	}
	return nil
}

func eventLine(e audit.Event) string {
	says := []string{e.At.Local().Format("2006-01-02 15:04:05"), fmt.Sprintf("%-18s", e.Kind)}
	add := func(name, value string) {
		if value != "" {
			says = append(says, name+"="+value)
		}
	}
	add("by", e.Actor)
	add("user", e.Subject)
	add("client", e.ClientID)
	add("from", e.Address)
	add("ref", e.Reference)
	for _, k := range slices.Sorted(maps.Keys(e.Detail)) {
		add(k, quoteSpaces(e.Detail[k]))
	}
	return clean(strings.Join(says, "  "))
}

func quoteSpaces(s string) string {
	if strings.ContainsAny(s, " =") {
		return `"` + s + `"`
	}
	return s
}

func (a *app) auditExport() *cobra.Command {
	var narrow auditFilter
	c := &cobra.Command{
		Use: "export", Short: "Write the trail as JSON Lines, oldest first",
		Long:    "Write the trail as JSON Lines, oldest first. An export without filters can be checked\nlater with `gatekeeper audit verify --file FILE`, by anyone and without the server.",
		Example: "  gatekeeper audit export > trail.jsonl\n  gatekeeper audit export --since 24h --kind login.failed",
		Args:    between(0),
	}
	narrow.register(c)
	c.RunE = a.with(func(ctx context.Context, b *backend, _ []string) error {
		filter, err := narrow.filter(ctx, a, b)
		if err != nil {
			return err
		}
		out := json.NewEncoder(escaping{a.Stdout})
		out.SetEscapeHTML(false)
		n := 0
		err = everyEvent(ctx, b, filter, func(events []audit.Event) error {
			for _, e := range events {
				if err := out.Encode(e); err != nil {
					return fmt.Errorf("write event %d: %w", e.Position, err)
				}
			}
			n += len(events)
			return nil
		})
		if err != nil {
			return err
		}
		a.say("%d events.", n)
		return nil
	})
	return c
}

// everyEvent reads the trail page by page, in order of position.
func everyEvent(ctx context.Context, api admin.API, f audit.Filter, page func([]audit.Event) error) error {
	f.Limit = auditPage
	for {
		events, err := api.Events(ctx, f)
		if err != nil {
			return err
		}
		if len(events) == 0 {
			return nil
		}
		if err := page(events); err != nil {
			return err
		}
		last := events[len(events)-1].Position
		if last <= f.After { // not sequenced yet: it will be in the next reading
			return nil
		}
		f.After = last
	}
}
