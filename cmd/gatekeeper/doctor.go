package main

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/gatekeeper-oidc/gatekeeper/internal/config"
	"github.com/gatekeeper-oidc/gatekeeper/storage"
)

// The verdicts of the doctor.
const (
	pass = "PASS"
	warn = "WARN"
	fail = "FAIL"
)

const examTime = 10 * time.Second // for each examination

// A finding is what one examination found, and what to do about it.
type finding struct {
	Check  string `json:"check"`
	Status string `json:"status"` // PASS, WARN or FAIL
	Detail string `json:"detail"`
	Fix    string `json:"fix,omitempty"`
}

func (a *app) doctorCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "doctor", Short: "Look for what is wrong, and say how to put it right",
		Long: "Look at the configuration, the database, the clocks, Redis, TLS, the server as the outside\n" +
			"reaches it, and the applications. The exit status is 1 if anything fails.",
		Example: "  gatekeeper doctor\n  gatekeeper doctor -o json | jq '.findings[] | select(.status != \"PASS\")'",
		Args:    between(0),
	}
	a.settingFlags(c)
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, err := a.loadConfig(cmd.Flags())
		found := a.configFindings(err)
		if err == nil {
			found = append(found, a.examine(cmd.Context(), cfg)...)
		}
		return a.showFindings(found)
	}
	return c
}

// A patient is the server being examined.
type patient struct {
	app *app
	cfg *config.Config
	db  *storage.DB // nil when it could not be opened
}

// examine does every examination, each within its time. They do not stop one
// another: a person wants the whole list.
func (a *app) examine(ctx context.Context, cfg *config.Config) []finding {
	p := &patient{app: a, cfg: cfg}
	defer func() {
		if p.db != nil {
			_ = p.db.Close() // only read
		}
	}()
	var all []finding
	for _, exam := range []func(context.Context) []finding{
		p.database, p.bell, p.clock, p.redis, p.certificate, p.issuer, p.people, p.clients, p.registration,
	} {
		within, cancel := context.WithTimeout(ctx, examTime)
		all = append(all, exam(within)...)
		cancel()
	}
	return all
}

func (a *app) configFindings(err error) []finding {
	if err == nil {
		return []finding{{Check: "configuration", Status: pass, Detail: "every key is known and sound"}}
	}
	var all []finding
	for _, m := range config.Errors(err) {
		all = append(all, finding{"configuration", fail, m.Error(), "gatekeeper config print shows where each value is from"})
	}
	if len(all) == 0 {
		all = append(all, finding{"configuration", fail, err.Error(), "gatekeeper config check"})
	}
	return all
}

func (a *app) showFindings(found []finding) error {
	failed := false
	v := view{value: struct {
		Findings []finding `json:"findings"`
	}{found}, table: func(t *table) {
		for _, f := range found {
			t.line(a.paint(map[string]string{pass: green, warn: yellow, fail: red}[f.Status], f.Status) + "\t" + f.Check + "\t" + clean(f.Detail))
			if f.Fix != "" {
				t.line("\t\t→ " + clean(f.Fix))
			}
		}
	}}
	for _, f := range found {
		failed = failed || f.Status == fail
		v.names = append(v.names, strings.ToLower(f.Status)+" "+f.Check)
	}
	if err := a.print(v); err != nil {
		return err
	}
	if failed {
		return &exitError{status: exitFailed}
	}
	return nil
}

func one(check, verdict, detail, fix string) []finding {
	return []finding{{check, verdict, detail, fix}}
}

// reasonOf is the innermost cause, of several the first: what an operator can act
// upon.
func reasonOf(err error) string {
	for {
		next := errors.Unwrap(err)
		if many, ok := err.(interface{ Unwrap() []error }); ok && len(many.Unwrap()) > 0 {
			next = many.Unwrap()[0]
		}
		if next == nil {
			return err.Error()
		}
		err = next
	}
}
