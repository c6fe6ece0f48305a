package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/gatekeeper-oidc/gatekeeper/admin"
	"github.com/gatekeeper-oidc/gatekeeper/audit"
)

func (a *app) auditVerify() *cobra.Command {
	var file string
	var check verifier
	c := &cobra.Command{
		Use: "verify", Short: "Check that nobody changed the trail or took something out of it",
		Long: "Check the chain of hashes from the first event to the last, in the store or in an export, and in the\n" +
			"store also what is kept beside each event and how far the trail had come. Whoever may write the\n" +
			"database can forge that last one: keep a hash somewhere else, and give it to --contains.",
		Example: "  gatekeeper audit verify\n  gatekeeper audit verify --contains \"$(cat last-hash)\"\n  gatekeeper audit verify --file trail.jsonl",
		Args:    between(0),
	}
	c.Flags().StringVar(&file, "file", "", "check this export instead of the store (- is standard input)")
	c.Flags().StringVar(&check.kept, "contains", "", "the trail must contain the event with this hash, kept from an earlier check")
	selecting(c, "file", "contains")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if file != "" {
			return a.verifyFile(file, check)
		}
		return a.with(func(ctx context.Context, b *backend, _ []string) (err error) {
			if check.head, err = b.TrailHead(ctx); err != nil { // before the events: those only grow
				return err
			}
			if err := everyEvent(ctx, b, audit.Filter{}, check.page); err != nil {
				return err
			}
			return a.showVerified(check)
		})(cmd, args)
	}
	return c
}

// A verifier follows the chain of hashes from page to page.
type verifier struct {
	Events int    `json:"events"`
	Hash   string `json:"hash,omitempty"` // of the last event

	head      admin.TrailHead // how far the trail had come
	reached   bool            // its event was there
	kept      string          // a hash the trail must contain, "" for none
	contained bool
}

func (v *verifier) page(events []audit.Event) error {
	last, err := audit.Verify(v.Hash, events...)
	if err != nil {
		return &exitError{exitFailed, err}
	}
	for _, e := range events {
		v.reached = v.reached || e.Position == v.head.Position && e.Hash == v.head.Hash
		v.contained = v.contained || e.Hash == v.kept
	}
	v.Hash, v.Events = last, v.Events+len(events)
	return nil
}

var (
	errCutOff  = errors.New("events were cut off the end of the trail, or written anew")
	errNotHere = errors.New("the trail does not contain the event with the hash you kept")
)

// whole says what is missing at the end, which the chain cannot show.
func (v *verifier) whole() error {
	switch {
	case v.head.Position > 0 && !v.reached:
		return &exitError{exitFailed, fmt.Errorf("%w: position %d was %s", errCutOff, v.head.Position, v.head.Hash)}
	case v.kept != "" && !v.contained:
		return &exitError{exitFailed, errNotHere}
	}
	return nil
}

func (a *app) showVerified(v verifier) error {
	if err := v.whole(); err != nil {
		return err
	}
	return a.print(view{value: v, names: []string{v.Hash}, table: func(t *table) {
		t.field("EVENTS", fmt.Sprint(v.Events), "none changed, none missing")
		t.field("LAST HASH", v.Hash)
	}})
}
