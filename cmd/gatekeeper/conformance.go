package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/gatekeeper-oidc/gatekeeper/conformance/suite"
	"github.com/gatekeeper-oidc/gatekeeper/conformance/suite/profiles"
)

func (a *app) conformanceCommand() *cobra.Command {
	c := group("conformance", "Hold a server to the specifications", a.conformanceRun(), a.conformanceSeed())
	c.Example = "  gatekeeper conformance run --issuer https://id.example.org --client-id check --client-secret-file check.secret \\\n" +
		"    --user check@example.org --password-file check.password\n  gatekeeper conformance seed > suite.json"
	return c
}

// runOptions are what `conformance run` is told.
type runOptions struct {
	issuer, from, user               string
	clientID, secretFile, authMethod string
	secondID, secondSecretFile       string
	redirect, afterLogout            string
	profiles                         []string
	html, caFile, listen, listenURL  string
	noPKCE, strict                   bool
	pause, timeout                   time.Duration
	workers                          int
	password                         passwordFlags
}

func (a *app) conformanceRun() *cobra.Command {
	var o runOptions
	var names []string
	for _, p := range profiles.All() {
		names = append(names, p.Name)
	}
	c := &cobra.Command{
		Use: "run", Short: "Put a running issuer to the test, from outside",
		Long: "Put a running issuer to the test as an application and a person at a browser meet it: through\n" +
			"whatever stands in front of it. A line says what came of each module, ✓ passed, ✗ failed, ! warned,\n" +
			"– skipped, with the reason and the section of the specification. The exit status is 1 if one failed.\n\n" +
			"It signs in as --user with --client-id, whose redirect URI is --redirect-uri (nobody need listen\n" +
			"there); without an application, each module registers its own where the server lets it. On a\n" +
			"development server it makes a person and applications of its own and deletes them at the end.\n" +
			"Use a person made for this: their sessions and consents come and go.\n\n" +
			"The profiles are " + strings.Join(names, ", ") + ".",
		Example: "  gatekeeper conformance run\n" +
			"  gatekeeper conformance run --issuer https://id.example.org --client-id check --client-secret-file check.secret \\\n" +
			"    --user check@example.org --password-file check.password --html report.html\n" +
			"  gatekeeper conformance run --from suite.json --profile basic --profile config -o json",
		Args: between(0),
	}
	f := c.Flags()
	f.StringVar(&o.issuer, "issuer", "", "the issuer (default: that of --from, or this configuration's)")
	f.StringVar(&o.from, "from", "", "read issuer, person and applications from what `conformance seed` printed (- is standard input)")
	f.StringVar(&o.clientID, "client-id", "", "the application to sign in to")
	f.StringVar(&o.secretFile, "client-secret-file", "", "its secret")
	f.StringVar(&o.authMethod, "auth-method", "", "how it authenticates (default client_secret_basic, or none without a secret)")
	f.StringVar(&o.secondID, "second-client-id", "", "another application, for what must not work with it")
	f.StringVar(&o.secondSecretFile, "second-client-secret-file", "", "the secret of the other one")
	f.StringVar(&o.redirect, "redirect-uri", "https://conformance.invalid/callback", "the redirect URI that the applications registered")
	f.StringVar(&o.afterLogout, "post-logout-redirect-uri", "", "the post-logout redirect URI that the application registered")
	f.StringVar(&o.user, "user", "", "who signs in")
	o.password.register(c)
	f.StringArrayVar(&o.profiles, "profile", nil, "only this profile (commas or repeat)")
	f.StringVar(&o.html, "html", "", "write the report to this file as a page, too")
	f.StringVar(&o.caFile, "ca", "", "trust this certificate as well (PEM)")
	f.StringVar(&o.listen, "listen", "", "where the server can reach this run, such as localhost:8765; without it what needs that is skipped")
	f.StringVar(&o.listenURL, "listen-url", "", "the address of --listen as the server sees it")
	f.BoolVar(&o.noPKCE, "no-pkce", false, "send no PKCE challenge, as the official suite does")
	f.BoolVar(&o.strict, "strict", false, "warnings count as failures")
	durationVar(f, &o.pause, "pause", 30*time.Second, "how long to wait where a promise is about time")
	durationVar(f, &o.timeout, "timeout", 30*time.Minute, "how long the whole run may take")
	f.IntVar(&o.workers, "workers", 4, "how many modules at a time")
	complete(c, "profile", names...)
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		ctx, cancel := context.WithTimeout(a.acting(cmd.Context()), o.timeout)
		defer cancel()
		return a.runConformance(ctx, o)
	}
	return c
}

// runConformance finds out what to test and with what, runs it, and tells.
func (a *app) runConformance(ctx context.Context, o runOptions) (err error) {
	chosen := profiles.All()
	if names := words(o.profiles); len(names) > 0 {
		var unknown string
		if chosen, unknown = profiles.Named(names...); unknown != "" {
			return usagef("there is no profile %s", unknown)
		}
	}
	target, giveBack, err := a.target(ctx, o)
	if err != nil {
		return err
	}
	defer giveBack()
	closeDesk, err := a.openDesk(ctx, o, target)
	if err != nil {
		return err
	}
	defer closeDesk()
	runner := suite.Runner{Target: target, Workers: o.workers, Told: a.tellResult}
	report, err := runner.Run(ctx, chosen)
	if err != nil {
		return &exitError{exitUnreachable, fmt.Errorf("discover %s: %w", target.Issuer, err)}
	}
	if err := a.showReport(report, o); err != nil {
		return err
	}
	if report.Count(suite.Failed) > 0 || o.strict && report.Count(suite.Warned) > 0 {
		return &exitError{status: exitFailed}
	}
	return nil
}

// target is what the options describe. giveBack deletes what was made for the run.
func (a *app) target(ctx context.Context, o runOptions) (_ *suite.Target, giveBack func(), err error) {
	t := &suite.Target{Issuer: strings.TrimSuffix(o.issuer, "/"), Now: a.Now, Redirect: o.redirect, PKCE: !o.noPKCE, Pause: o.pause, Login: o.user}
	giveBack = func() {}
	if err := a.named(o, t); err != nil {
		return nil, nil, err
	}
	var extra []string
	if o.caFile != "" {
		extra = append(extra, a.path(o.caFile))
	}
	cfg, err := a.loadGlobal()
	if err != nil && t.Issuer == "" {
		return nil, nil, err
	}
	if t.Issuer == "" {
		t.Issuer = cfg.Issuer
	}
	client, err := tryClient(cfg, extra...)
	if err != nil {
		return nil, nil, err
	}
	t.Transport = client.Transport
	if t.Login == "" {
		giveBack, err = a.lendConformance(ctx, t)
	}
	return t, giveBack, err
}

// named fills in what the options say of the person and the applications.
func (a *app) named(o runOptions, t *suite.Target) (err error) {
	if o.from != "" {
		text, err := a.readFile(o.from, maxInputFile)
		if err != nil {
			return err
		}
		official, pages, err := suite.ReadOfficial(text)
		if err != nil {
			return usagef("%s: %v", o.from, err)
		}
		t.Issuer, t.Redirect = cmp.Or(t.Issuer, official.Issuer), official.Redirect
		t.Login, t.Password, t.Clients, t.Pages = official.Login, official.Password, official.Clients[:], pages
		return nil
	}
	for _, known := range []struct{ id, secretFile, method string }{{o.clientID, o.secretFile, o.authMethod}, {o.secondID, o.secondSecretFile, ""}} {
		if known.id == "" {
			continue
		}
		c := suite.Client{ID: known.id, AuthMethod: known.method, RedirectURIs: []string{o.redirect}}
		if o.afterLogout != "" {
			c.AfterLogout = []string{o.afterLogout}
		}
		if known.secretFile != "" {
			if c.Secret, err = a.readSecret(known.secretFile); err != nil {
				return err
			}
		}
		t.Clients = append(t.Clients, c)
	}
	if o.user == "" {
		return nil
	}
	var made bool
	if t.Password, made, err = o.password.read(a); err == nil && made {
		err = usagef("--user needs --password-stdin or --password-file")
	}
	return err
}

// tellResult tells one result as soon as it is there.
func (a *app) tellResult(r suite.Result) {
	if a.global.output != "table" {
		return
	}
	colour := map[suite.Outcome]string{suite.Passed: green, suite.Warned: yellow, suite.Failed: red}[r.Outcome]
	mark := r.Outcome.Mark()
	if colour != "" {
		mark = a.paint(colour, mark)
	}
	// A closed standard output has nobody to tell; the exit status still does.
	_, _ = fmt.Fprintf(a.Stdout, "%s %s  %s\n", mark, clean(r.Plan()), clean(r.Module))
	for _, why := range r.Reasons {
		where := ""
		if spec := r.Where(why); spec != "" && r.Outcome != suite.Skipped {
			where = " [" + spec + "]"
		}
		_, _ = fmt.Fprintf(a.Stdout, "    %s%s\n", clean(why.Text), where)
	}
}

// showReport prints the report in the form that was asked for, and writes the page.
func (a *app) showReport(report *suite.Report, o runOptions) error {
	a.say("%s: %d passed, %d failed, %d warned, %d skipped in %s.", report.Issuer, report.Count(suite.Passed),
		report.Count(suite.Failed), report.Count(suite.Warned), report.Count(suite.Skipped), report.Took)
	if o.html != "" {
		if err := a.writePage(report, o.html); err != nil {
			return err
		}
	}
	if a.global.output == "table" {
		return nil // told line by line
	}
	v := view{value: report}
	for i := range report.Results {
		if r := &report.Results[i]; r.Outcome == suite.Failed {
			v.names = append(v.names, r.Plan()+" "+r.Module)
		}
	}
	return a.print(v)
}

func (a *app) writePage(report *suite.Report, file string) error {
	f, err := os.Create(a.path(file))
	if err != nil {
		return fmt.Errorf("write the page: %w", err)
	}
	if err := errors.Join(report.HTML(f), f.Close()); err != nil {
		return fmt.Errorf("write the page: %w", err)
	}
	a.say("The page is %s.", file)
	return nil
}
