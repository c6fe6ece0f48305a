package suite

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// moduleTime is how long a module may take, pauses aside.
const moduleTime = 2 * time.Minute

// A Case is one module on its way.
type Case struct {
	Target  *Target
	Server  *Server
	Variant Variant
	Module  string

	fresh    string // how applications of the module's own authenticate; "" is the usual
	mu       sync.Mutex
	warnings []Reason
	after    []func(ctx context.Context)
	pages    *automaton
}

// Warnf tells of something that is allowed but should not be.
func (c *Case) Warnf(spec, format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.warnings = append(c.warnings, Reason{Text: fmt.Sprintf(format, args...), Spec: spec})
}

// Wait lets time pass, where the promise is about time.
func (c *Case) Wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait %s: %w", d, ctx.Err())
	}
}

// A Runner runs profiles against a target.
type Runner struct {
	Target  *Target
	Workers int // modules at a time; 0 means 4
	// Told hears of every result, in the order of the lists; nil hears nothing.
	Told func(r Result)
}

// A job is one module of one variant of one profile.
type job struct {
	profile *Profile
	variant Variant
	module  Module
	absent  string // why the provider does not offer it; "" if it does
}

// Run runs every module of profiles and tells what came of each. An error means
// that the run could not begin: the provider did not describe itself.
func (r *Runner) Run(ctx context.Context, profiles []Profile) (*Report, error) {
	t := *r.Target
	if t.Pause == 0 {
		t.Pause = 30 * time.Second
	}
	t.signing = &signing{}
	report := &Report{Issuer: t.Issuer, Began: t.Now().UTC()}
	server, err := t.discover(ctx)
	if err != nil {
		return nil, err
	}
	jobs := plan(server.Metadata, profiles)
	workers := r.Workers
	if workers == 0 {
		workers = 4
	}
	results := make([]chan Result, len(jobs))
	slots := make(chan struct{}, workers)
	var running sync.WaitGroup
	for i := range jobs {
		results[i] = make(chan Result, 1)
	}
	running.Go(func() {
		for i, j := range jobs {
			slots <- struct{}{}
			running.Go(func() {
				results[i] <- run(ctx, &t, server, j)
				<-slots
			})
		}
	})
	for i := range jobs {
		res := <-results[i]
		report.Results = append(report.Results, res)
		if r.Told != nil {
			r.Told(res)
		}
	}
	running.Wait()
	report.Took = Seconds(t.Now().Sub(report.Began))
	return report, nil
}

// plan lists what to run. What the provider does not offer as a whole is one line.
func plan(m *Metadata, profiles []Profile) []job {
	var jobs []job
	for i := range profiles {
		p := &profiles[i]
		if p.Offered != nil {
			if why := p.Offered(m); why != "" {
				jobs = append(jobs, job{profile: p, absent: why})
				continue
			}
		}
		for _, v := range p.Variants {
			if why := v.offered(m); why != "" {
				jobs = append(jobs, job{profile: p, variant: v, absent: why})
				continue
			}
			for _, module := range p.modulesFor(v) {
				jobs = append(jobs, job{profile: p, variant: v, module: module})
			}
		}
	}
	return jobs
}

// run runs one module and turns what it returned into a result.
func run(ctx context.Context, t *Target, s *Server, j job) Result {
	res := Result{Profile: j.profile.Name, Variant: j.variant, Module: j.module.Name, Summary: j.module.Summary, Spec: j.module.Spec}
	if j.absent != "" {
		res.Module, res.Summary, res.Outcome, res.Reasons = "*", j.profile.Title, Skipped, []Reason{{Text: j.absent}}
		return res
	}
	began := t.Now()
	within, cancel := context.WithTimeout(ctx, moduleTime+t.Pause)
	defer cancel()
	c := &Case{Target: t, Server: s, Variant: j.variant, Module: j.module.Name, fresh: j.profile.Fresh}
	err := j.module.Run(within, c)
	for _, f := range c.after { // newest last: they do not depend on each other
		f(within)
	}
	res.Took = Seconds(t.Now().Sub(began))
	var skipped *skip
	switch {
	case errors.As(err, &skipped):
		res.Outcome, res.Reasons = Skipped, []Reason{{Text: skipped.reason}}
	case err != nil:
		res.Outcome, res.Reasons = Failed, append(reasonsOf(err), c.warnings...)
	case len(c.warnings) > 0:
		res.Outcome, res.Reasons = Warned, c.warnings
	default:
		res.Outcome = Passed
	}
	return res
}

// signing is the one key of a run: making one for every client would take longer
// than everything else.
type signing struct {
	once sync.Once
	key  *Key
	err  error
}

// key is the run's own key.
func (t *Target) key() (*Key, error) {
	t.signing.once.Do(func() { t.signing.key, t.signing.err = NewKey("conformance") })
	return t.signing.key, t.signing.err
}

// Key is the run's own key, which applications that register themselves have.
func (c *Case) Key() (*Key, error) { return c.Target.key() }
