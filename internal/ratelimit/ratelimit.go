package ratelimit

import (
	"context"
	"time"
)

// A Rule allows Burst attempts at once and one more every Period.
type Rule struct {
	Name   string
	Burst  int
	Period time.Duration
}

// Key is the name under which r counts the attempts of bucket: the same bucket
// under two rules is counted twice.
func (r Rule) Key(bucket string) string { return r.Name + ":" + bucket }

// Source keeps the theoretical arrival time of each bucket. Advance is atomic
// across every process that shares the Source. It returns zero when the attempt
// is allowed and else how long to wait; a refused attempt costs nothing.
type Source interface {
	Advance(ctx context.Context, bucket string, r Rule) (retryIn time.Duration, err error)
}
