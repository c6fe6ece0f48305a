package flight

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

type person struct {
	name  string
	aside *atomic.Int64 // how many are
}

func (p person) Who() string { return p.name }

func (p person) Aside() (back func()) {
	p.aside.Add(1)
	return func() { p.aside.Add(-1) }
}

func group(t *testing.T, l Limits) *Group[string] {
	t.Helper()
	g, err := NewGroup[string](l)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// TestNobodyWaitsLong: patience ends, the flight goes on, and whoever waits holds
// no place meanwhile.
func TestNobodyWaitsLong(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := group(t, Limits{Patience: time.Second, PerKey: 9, PerCaller: 9, Total: 9})
		var aside, ran atomic.Int64
		ctx := context.WithValue(t.Context(), CallerKey{}, person{"ana", &aside})
		slow := func(ctx context.Context) (string, error) {
			ran.Add(1)
			if ctx.Value(CallerKey{}).(Caller).Aside()(); Who(ctx) != "ana" || aside.Load() < 0 {
				t.Error("the flight itself has a place")
			}
			time.Sleep(time.Minute)
			return "late", ctx.Err()
		}
		began := time.Now()
		gone, leave := context.WithTimeout(ctx, time.Millisecond)
		defer leave()
		if _, err := g.Do(gone, "k", slow); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("who left: %v", err)
		}
		go func() {
			time.Sleep(time.Second / 2)
			if aside.Load() != 1 {
				t.Errorf("%d stepped aside", aside.Load())
			}
		}()
		if _, err := g.Do(ctx, "k", slow); !errors.Is(err, ErrLate) || time.Since(began) > 2*time.Second {
			t.Errorf("after %s: %v", time.Since(began), err)
		}
		if aside.Load() != 0 || ran.Load() != 1 {
			t.Errorf("%d are still aside, %d flights", aside.Load(), ran.Load())
		}
		g.Wait()
		if v, err := g.Do(ctx, "k", func(context.Context) (string, error) { return "new", nil }); v != "new" || err != nil {
			t.Errorf("%q, %v", v, err)
		}
	})
}

func TestFewWait(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		limits Limits
		who    func(i int) string
		key    func(i int) string
	}{
		"for one flight": {Limits{time.Minute, 3, 100, 100}, func(i int) string { return fmt.Sprint(i) }, func(int) string { return "k" }},
		"of one name":    {Limits{time.Minute, 100, 3, 100}, func(int) string { return "ana" }, func(i int) string { return fmt.Sprint(i) }},
		"at all":         {Limits{time.Minute, 100, 100, 3}, func(i int) string { return fmt.Sprint(i) }, func(i int) string { return fmt.Sprint(i) }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				g := group(t, tt.limits)
				var full, served, aside atomic.Int64
				held := make(chan struct{})
				ask := func(i int) {
					ctx := context.WithValue(t.Context(), CallerKey{}, person{tt.who(i), &aside})
					_, err := g.Do(ctx, tt.key(i), func(context.Context) (string, error) { <-held; return "", nil })
					switch {
					case errors.Is(err, ErrFull):
						full.Add(1)
					case err == nil:
						served.Add(1)
					default:
						t.Error(err)
					}
				}
				for i := range 10 {
					go ask(i)
				}
				synctest.Wait()
				if full.Load() != 7 || aside.Load() != 3 {
					t.Errorf("%d found no room, %d wait", full.Load(), aside.Load())
				}
				close(held)
				synctest.Wait()
				ask(0)
				if served.Load() != 4 || len(g.callers) != 0 || g.waiting != 0 {
					t.Errorf("%d served, %d callers and %d waiting are left", served.Load(), len(g.callers), g.waiting)
				}
			})
		})
	}
	for _, l := range []Limits{{}, {Patience: 1, PerKey: 1, PerCaller: 1}} {
		if _, err := NewGroup[int](l); err == nil {
			t.Errorf("%+v accepted", l)
		}
	}
	if _, err := NewGroup[int](ForOthers()); err != nil || Who(t.Context()) != "" {
		t.Error(err)
	}
}
