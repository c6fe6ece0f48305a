package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gatekeeper-oidc/gatekeeper/admin"
	"github.com/gatekeeper-oidc/gatekeeper/oauth2"
)

const aboutFiles = "FILE holds YAML or JSON: `clients:` and a list, as `gatekeeper export` writes it, or one client as\n" +
	"`gatekeeper client get -o yaml` writes it. A client may name a secret_file, which is read when it\n" +
	"is created; without one a confidential client gets a secret that is shown once."

func (a *app) applyCommand() *cobra.Command {
	var files []string
	var prune, dry bool
	c := &cobra.Command{
		Use: "apply -f FILE", Short: "Make the applications what a file says they are",
		Long:    "Make the applications what a file says they are. Doing it twice changes nothing.\n\n" + aboutFiles,
		Example: "  gatekeeper apply -f clients.yaml --dry-run\n  gatekeeper apply -f clients.yaml --prune --yes",
		Args:    between(0),
	}
	c.Flags().StringArrayVarP(&files, "file", "f", nil, "what to read (repeat; - is standard input)")
	c.Flags().BoolVar(&prune, "prune", false, "delete the applications that are in none of the files")
	c.Flags().BoolVar(&dry, "dry-run", false, "only show what would change, and refuse what would be refused")
	c.RunE = a.with(func(ctx context.Context, b *backend, _ []string) error {
		p, err := a.plan(ctx, b, files, prune)
		if err != nil {
			return err
		}
		if dry || len(p.changes) == 0 {
			return errors.Join(a.tryPlan(ctx, b, p), a.showPlan(p.changes))
		}
		asks := a.StdinTTY && a.StderrTTY || slices.ContainsFunc(p.changes, func(ch admin.Change) bool { return ch.Action == admin.Delete })
		if asks && !a.global.yes {
			if err := a.showPlan(p.changes); err != nil {
				return err
			}
			if err := a.confirm("Apply %s?", summary(p.changes)); err != nil {
				return err
			}
		}
		return a.applyPlan(ctx, b, p)
	})
	return c
}

func (a *app) diffCommand() *cobra.Command {
	var files []string
	var prune bool
	c := &cobra.Command{
		Use: "diff -f FILE", Short: "Show what apply would change; the exit status is 10 if anything",
		Long:    "Show what apply would change. The exit status is 0 if nothing would, and 10 if anything would.\n\n" + aboutFiles,
		Example: "  gatekeeper diff -f clients.yaml || echo different",
		Args:    between(0),
	}
	c.Flags().StringArrayVarP(&files, "file", "f", nil, "what to read (repeat; - is standard input)")
	c.Flags().BoolVar(&prune, "prune", false, "count the applications that are in none of the files as well")
	c.RunE = a.with(func(ctx context.Context, b *backend, _ []string) error {
		p, err := a.plan(ctx, b, files, prune)
		if err != nil {
			return err
		}
		if err := a.showPlan(p.changes); err != nil {
			return err
		}
		if len(p.changes) > 0 {
			return &exitError{status: exitDifferent}
		}
		return nil
	})
	return c
}

// A clientPlan is what is to change, and the secrets the files brought.
type clientPlan struct {
	changes []admin.Change
	secrets map[string]string // by client
}

func (a *app) plan(ctx context.Context, b *backend, files []string, prune bool) (clientPlan, error) {
	if len(files) == 0 {
		return clientPlan{}, usagef("name a file with -f")
	}
	want, err := a.readDeclared(files)
	if err != nil {
		return clientPlan{}, err
	}
	have, err := everyClient(ctx, b)
	if err != nil {
		return clientPlan{}, err
	}
	have = slices.DeleteFunc(have, func(c oauth2.Client) bool { return strings.HasPrefix(c.ID, tryPrefix) }) // on loan
	have = slices.DeleteFunc(have, func(c oauth2.Client) bool {                                              // of those that registered themselves, only the ones named
		return c.Dynamic && !slices.ContainsFunc(want, func(d declared) bool { return d.ID == c.ID })
	})
	p := clientPlan{secrets: map[string]string{}}
	var clients []oauth2.Client
	for _, d := range want {
		clients = append(clients, d.Client)
		p.secrets[d.ID] = d.secret
	}
	p.changes = admin.Plan(have, clients, prune)
	return p, nil
}

// applied is what became of one change.
type applied struct {
	Action admin.Action `json:"action"`
	ID     string       `json:"id"`
	Secret string       `json:"client_secret,omitempty"` // made for it, and shown this once
}

// tryPlan tries every change and takes it back, and says of each that would be refused
// why. The error is the first.
func (a *app) tryPlan(ctx context.Context, b *backend, p clientPlan) error {
	var first error
	for _, ch := range p.changes {
		if _, err := a.change(admin.WithTrial(ctx), b, ch, p.secrets[ch.ID]); err != nil {
			a.say("%s client %s would be refused: %s", ch.Action, ch.ID, explainError(err))
			first = cmp.Or(first, fmt.Errorf("%s %s: %w", ch.Action, ch.ID, err))
		}
	}
	return first
}

// change makes one change and returns the secret that was made for it, if any.
func (a *app) change(ctx context.Context, b *backend, ch admin.Change, secret string) (made string, err error) {
	switch ch.Action {
	case admin.Create:
		c, err := b.CreateClient(ctx, admin.ClientInput{Client: ch.Client, Secret: secret})
		if secret != "" || err != nil {
			return "", err
		}
		return c.Secret, nil
	case admin.Update:
		_, err = b.UpdateClient(ctx, ch.Client, ch.Seen)
	case admin.Delete:
		err = b.DeleteClient(ctx, ch.ID, ch.Seen)
	}
	return "", err
}

// applyPlan does every change in its order. The first that fails stops it: what
// was done before is told, and doing it again goes on from there.
func (a *app) applyPlan(ctx context.Context, b *backend, p clientPlan) error {
	done := []applied{}
	var failed error
	for _, ch := range p.changes {
		did := applied{Action: ch.Action, ID: ch.ID}
		did.Secret, failed = a.change(ctx, b, ch, p.secrets[ch.ID])
		if failed != nil {
			failed = fmt.Errorf("%s %s: %w", ch.Action, ch.ID, failed)
			a.say("%s client %s did not work; what comes after it was not tried.", ch.Action, ch.ID)
			break
		}
		done = append(done, did)
		if ch.Action != admin.Delete {
			a.warnOf(ctx, b, ch.ID)
		}
	}
	return errors.Join(failed, a.showApplied(done))
}

func (a *app) showApplied(done []applied) error {
	v := view{value: struct {
		Applied []applied `json:"applied"`
	}{done}, table: func(t *table) {
		for _, d := range done {
			cells := []string{string(d.Action), d.ID}
			if d.Secret != "" {
				cells = append(cells, d.Secret, "shown once; store it now")
			}
			t.row(cells...)
		}
	}}
	for _, d := range done {
		v.names = append(v.names, d.ID)
	}
	return a.print(v)
}

// showPlan prints each change and the members that differ.
func (a *app) showPlan(changes []admin.Change) error {
	if len(changes) == 0 {
		a.say("Nothing to change.")
	} else {
		a.say("%s.", summary(changes))
	}
	v := view{value: struct {
		Changes []admin.Change `json:"changes"`
	}{changes}, table: func(t *table) {
		for _, ch := range changes {
			t.line(a.paintChange(ch))
			for _, f := range ch.Fields {
				t.field("    "+f.Name, string(f.Have), "→", string(f.Want))
			}
		}
	}}
	for _, ch := range changes {
		v.names = append(v.names, ch.ID)
	}
	return a.print(v)
}

func (a *app) paintChange(ch admin.Change) string {
	switch ch.Action {
	case admin.Create:
		return a.paint(green, "+ create "+clean(ch.ID))
	case admin.Delete:
		return a.paint(red, "- delete "+clean(ch.ID))
	default:
		return a.paint(yellow, "~ update "+clean(ch.ID))
	}
}

func summary(changes []admin.Change) string {
	n := map[admin.Action]int{}
	for _, ch := range changes {
		n[ch.Action]++
	}
	return fmt.Sprintf("%d to create, %d to update, %d to delete", n[admin.Create], n[admin.Update], n[admin.Delete])
}

func (a *app) exportCommand() *cobra.Command {
	var file string
	c := &cobra.Command{
		Use: "export", Short: "Write every application as a file that apply reads",
		Long: "Write every application as a file that apply reads, in YAML, or JSON with -o json. There is no\nsecret in it: they are kept as hashes. " +
			"Applications that registered themselves are left out, and\n`apply --prune` leaves them alone.",
		Example: "  gatekeeper export > clients.yaml\n  gatekeeper export -f clients.json -o json",
		Args:    between(0),
	}
	c.Flags().StringVarP(&file, "file", "f", "-", "where to write (- is standard output)")
	c.RunE = a.with(func(ctx context.Context, b *backend, _ []string) (err error) {
		all, err := everyClient(ctx, b)
		if err != nil {
			return err
		}
		all = slices.DeleteFunc(all, func(c oauth2.Client) bool { return c.Dynamic || strings.HasPrefix(c.ID, tryPrefix) })
		for i := range all {
			all[i] = declaration(all[i])
		}
		out := a.Stdout
		if file != "-" {
			f, err := os.Create(a.path(file))
			if err != nil {
				return fmt.Errorf("write %s: %w", file, err)
			}
			defer func() { err = errors.Join(err, f.Close()) }()
			out = f
		}
		if a.global.output == "json" {
			return printJSON(out, clientList{all})
		}
		return printYAML(out, clientList{all})
	})
	return c
}
