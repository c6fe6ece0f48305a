package ratelimit

import (
	"errors"
	"time"
)

// ErrRule means a rule that allows nothing or everything: a mistake of whoever
// wrote it, and no reason to let an attempt pass.
var ErrRule = errors.New("ratelimit: a rule needs a burst of at least 1 and a period above 0")

// Check reports whether r is a rule at all.
func (r Rule) Check() error {
	if r.Burst < 1 || r.Period < time.Microsecond {
		return ErrRule
	}
	return nil
}

// Next is the generic cell rate algorithm for one attempt at now in a bucket whose
// theoretical arrival time is arrival; both are microseconds of one clock. It
// returns the new arrival time and zero, or the old one and how long to wait.
func (r Rule) Next(arrival, now int64) (next int64, retryIn time.Duration) {
	period := r.Period.Microseconds()
	next = max(arrival, now) + period
	if wait := next - period*int64(r.Burst) - now; wait > 0 {
		return arrival, time.Duration(wait) * time.Microsecond
	}
	return next, 0
}
