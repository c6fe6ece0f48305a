package admin

import (
	"context"
	"errors"
)

type trialKey struct{}

// WithTrial returns ctx in which creating, replacing and deleting an application does
// everything but stay: what would be refused is refused, and nothing is changed or
// recorded. A secret that is made is not returned, for nobody will have it.
func WithTrial(ctx context.Context) context.Context { return context.WithValue(ctx, trialKey{}, true) }

func isTrial(ctx context.Context) bool {
	trial, _ := ctx.Value(trialKey{}).(bool)
	return trial
}

// errTrial takes a change back that was only tried.
var errTrial = errors.New("admin: only a trial")

// transact makes a change to an application, or only tries it.
func (s *Service) transact(ctx context.Context, f func(ctx context.Context) error) error {
	err := s.Store.InTx(ctx, func(ctx context.Context) error {
		if err := f(ctx); err != nil {
			return err
		}
		if isTrial(ctx) {
			return errTrial
		}
		return nil
	})
	if errors.Is(err, errTrial) {
		return nil
	}
	return err
}

// trial is the parameter of the operations that can be tried.
func trial() []parameter {
	return []parameter{{"dry_run", "boolean", "Refuse what would be refused, and change nothing."}}
}

// trying returns the context of r, in which a change is only tried if r says so.
func (r request) trying() (context.Context, error) {
	dry, err := r.flag("dry_run")
	if err != nil || !dry {
		return r.Context(), err
	}
	return WithTrial(r.Context()), nil
}
