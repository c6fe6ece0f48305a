package ratelimit_test

import (
	"context"
	"errors"
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/gatekeeper-oidc/gatekeeper/internal/ratelimit"
)

func TestBurstThenOnePerPeriod(t *testing.T) {
	t.Parallel()
	r := ratelimit.Rule{Name: "x", Burst: 3, Period: time.Second}
	const start = 1_000_000_000
	var arrival int64
	take := func(at int64) time.Duration {
		next, wait := r.Next(arrival, at)
		arrival = next
		return wait
	}
	for i := range 3 {
		if wait := take(start); wait != 0 {
			t.Fatalf("attempt %d of the burst waits %v", i+1, wait)
		}
	}
	if got := take(start); got != time.Second {
		t.Errorf("one above the burst waits %v, want 1s", got)
	}
	if got := take(start + 999_999); got != time.Microsecond {
		t.Errorf("just before the period is over it waits %v, want 1µs", got)
	}
	if got := take(start + 1_000_000); got != 0 {
		t.Errorf("after a period it waits %v, want none", got)
	}
	if got := take(start + 1_000_000); got != time.Second {
		t.Errorf("the second in that period waits %v, want 1s", got)
	}
}

// In every window of time no more pass than Burst plus one for each Period, and
// whoever waits as long as told is let through.
func TestNeverMoreThanTheRuleAllows(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		r := ratelimit.Rule{
			Name:   "x",
			Burst:  rapid.IntRange(1, 20).Draw(t, "burst"),
			Period: time.Duration(rapid.IntRange(1, 5_000_000).Draw(t, "period")) * time.Microsecond,
		}
		now := rapid.Int64Range(1, 1<<50).Draw(t, "start")
		var arrival int64
		var passed []int64
		for range rapid.IntRange(1, 100).Draw(t, "attempts") {
			now += rapid.Int64Range(0, 2*r.Period.Microseconds()).Draw(t, "gap")
			next, wait := r.Next(arrival, now)
			if wait == 0 {
				passed = append(passed, now)
				arrival = next
				continue
			}
			if wait > r.Period {
				t.Fatalf("wait %v is longer than a period %v", wait, r.Period)
			}
			if next != arrival {
				t.Fatalf("a refused attempt moved the bucket from %d to %d", arrival, next)
			}
			if _, again := r.Next(arrival, now+wait.Microseconds()); again != 0 {
				t.Fatalf("whoever waited %v is told to wait %v more", wait, again)
			}
		}
		for i := range passed {
			for j := i; j < len(passed); j++ {
				allowed := int64(r.Burst) + (passed[j]-passed[i])/r.Period.Microseconds()
				if n := int64(j - i + 1); n > allowed {
					t.Fatalf("%d passed in %dµs, the rule allows %d", n, passed[j]-passed[i], allowed)
				}
			}
		}
	})
}

func TestRuleWithoutLimitIsAMistake(t *testing.T) {
	t.Parallel()
	for _, r := range []ratelimit.Rule{{}, {Burst: 1}, {Period: time.Second}, {Burst: -1, Period: time.Second}} {
		if err := r.Check(); !errors.Is(err, ratelimit.ErrRule) {
			t.Errorf("Check(%+v) = %v, want ErrRule", r, err)
		}
	}
}

func TestDefaultsAreRulesWithNamesOfTheirOwn(t *testing.T) {
	t.Parallel()
	names := map[string]bool{}
	v := reflect.ValueOf(ratelimit.Defaults())
	for i := range v.NumField() {
		r := v.Field(i).Interface().(ratelimit.Rule)
		if err := r.Check(); err != nil {
			t.Errorf("%s: %v", v.Type().Field(i).Name, err)
		}
		if r.Name == "" || names[r.Name] {
			t.Errorf("%s: name %q is empty or taken", v.Type().Field(i).Name, r.Name)
		}
		names[r.Name] = true
	}
}

func TestScale(t *testing.T) {
	t.Parallel()
	r := ratelimit.Rule{Name: "x", Burst: 10, Period: time.Minute}
	for _, c := range []struct {
		name   string
		factor float64
		want   ratelimit.Rule
	}{
		{"twice as many", 2, ratelimit.Rule{Name: "x", Burst: 20, Period: 30 * time.Second}},
		{"half as many", 0.5, ratelimit.Rule{Name: "x", Burst: 5, Period: 2 * time.Minute}},
		{"at least one", 0.001, ratelimit.Rule{Name: "x", Burst: 1, Period: 1000 * time.Minute}},
		{"zero changes nothing", 0, r},
		{"negative changes nothing", -1, r},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got := r.Scale(c.factor)
			if got != c.want {
				t.Errorf("Scale(%v) = %+v, want %+v", c.factor, got, c.want)
			}
		})
	}
}

type recorded struct{ rule *ratelimit.Rule }

func (s recorded) Advance(_ context.Context, _ string, r ratelimit.Rule) (time.Duration, error) {
	*s.rule = r
	return 0, nil
}

func TestScaledSourceScalesTheRule(t *testing.T) {
	t.Parallel()
	var got ratelimit.Rule
	s := ratelimit.Scaled{Source: recorded{&got}, Factor: 100}
	if _, err := s.Advance(t.Context(), "b", ratelimit.Rule{Name: "x", Burst: 1, Period: time.Second}); err != nil {
		t.Fatal(err)
	}
	if want := (ratelimit.Rule{Name: "x", Burst: 100, Period: 10 * time.Millisecond}); got != want {
		t.Errorf("rule = %+v, want %+v", got, want)
	}
}
