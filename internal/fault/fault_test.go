package fault

import (
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestOfFindsTheFaultUnderWraps(t *testing.T) {
	t.Parallel()
	cause := errors.New("connection refused")
	f := Down("store", cause)
	err := fmt.Errorf("lock user u: %w", f)
	var down *Error
	if !errors.As(err, &down) || Of(err) != down {
		t.Errorf("got %v, want the fault itself", Of(err))
	}
	if !Is(err, Unavailable) || Is(err, NotFound) || !errors.Is(err, cause) {
		t.Errorf("got kind %d, cause %v", Of(err).Kind, errors.Is(err, cause))
	}
	if down.RetryAfter <= 0 || down.Rule != "store_available" {
		t.Errorf("got %+v, want a time to come back and the rule", down)
	}
}

func TestOfMakesAnythingElseInternal(t *testing.T) {
	t.Parallel()
	err := errors.New("division by zero")
	f := Of(err)
	if f.Kind != Internal || f.Code != "internal" || f.Detail != "" || !errors.Is(f, err) {
		t.Errorf("got %+v", f)
	}
	if Is(err, Internal) || Is(nil, Internal) {
		t.Error("an error that is no fault is of no kind")
	}
}

func TestErrorReadsCodeDetailAndCause(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		want string
		f    Error
	}{
		{"gone", Error{Code: "gone"}},
		{"gone: It is gone.", Error{Code: "gone", Detail: "It is gone."}},
		{"gone: It is gone.: disk full", Error{Code: "gone", Detail: "It is gone.", Err: errors.New("disk full")}},
	} {
		if got := c.f.Error(); got != c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
}

// Two requests may add facts to one fault at the same time; neither sees the other's.
func TestWithLeavesTheOriginalAlone(t *testing.T) {
	t.Parallel()
	base := &Error{Code: "c", Facts: make([]Fact, 0, 8)}
	a, b := base.With("received", "a"), base.With("received", "b")
	if len(base.Facts) != 0 {
		t.Errorf("got %v on the original", base.Facts)
	}
	if diff := cmp.Diff([]Fact{{"received", "a"}}, a.Facts); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]Fact{{"received", "b"}}, b.Facts); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestMissingNamesTheThing(t *testing.T) {
	t.Parallel()
	f := Of(Missing("client", "shop"))
	if f.Kind != NotFound || f.Code != "client_not_found" || f.Detail != "There is no client shop." {
		t.Errorf("got %+v", f)
	}
}
