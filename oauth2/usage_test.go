package oauth2_test

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/gatekeeper-oidc/gatekeeper/oauth2"
)

// diary is a UsageStore that can be away.
type diary struct {
	mu    sync.Mutex
	away  bool
	wrote []string
	trips int
	told  chan struct{} // may be nil
}

func (d *diary) TouchClients(_ context.Context, ids []string, every time.Duration) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.trips++
	if d.told != nil {
		d.told <- struct{}{}
	}
	if d.away || every != time.Hour {
		return errors.New("away")
	}
	d.wrote = append(d.wrote, ids...)
	return nil
}

func (d *diary) set(away bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.away = away
}

func (d *diary) read() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.wrote)
}

// TestUsageIsWrittenOnce: however often an application is used, one write, and one
// that failed is made up for.
func TestUsageIsWrittenOnce(t *testing.T) {
	t.Parallel()
	d := &diary{told: make(chan struct{}, 100)}
	u := oauth2.NewUsage(d, slog.New(slog.DiscardHandler))
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- u.Run(ctx) }()
	for range 100 {
		u.Note("shop")
	}
	<-d.told
	d.set(true)
	u.Note("board")
	<-d.told
	d.set(false)
	for !slices.Contains(d.read(), "board") {
		u.Note("board") // until it is known that the write failed
		runtime.Gosched()
	}
	stop()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if got := d.read(); !slices.Equal(got, []string{"shop", "board"}) {
		t.Errorf("written: %v", got)
	}
}

// TestUsageNeverBlocks: with nobody writing, noting goes on, and what is left is
// written at the end.
func TestUsageNeverBlocks(t *testing.T) {
	t.Parallel()
	d := &diary{}
	u := oauth2.NewUsage(d, slog.New(slog.DiscardHandler))
	for i := range 5000 {
		u.Note("app-" + strconv.Itoa(i))
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if err := u.Run(ctx); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if n := len(d.read()); n != 1024 || d.trips > 20 {
		t.Errorf("%d written in %d trips", n, d.trips)
	}
	u.Note("app-4999") // found no room before
	if err := u.Run(ctx); !errors.Is(err, context.Canceled) || !slices.Contains(d.read(), "app-4999") {
		t.Errorf("%v; what found no room is lost", err)
	}
}

// TestUseIsNoted: an application that registered itself is in use when somebody
// comes through it, and when it shows who it is; one that shows a wrong secret is
// not, and of the operator's own nothing is noted.
func TestUseIsNoted(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	noted := map[string]int{}
	count := func(id string) int {
		mu.Lock()
		defer mu.Unlock()
		return noted[id]
	}
	onEach(t, func(t *testing.T, f *fixture) {
		id := "dyn-" + t.Name()[len("TestUseIsNoted/"):]
		a := f.app(id, func(c *oauth2.Client) { c.Dynamic = true })
		own := f.app("own-" + id)
		code := a.code()
		if count(id) != 1 {
			t.Errorf("a sign-in: noted %d times", count(id))
		}
		a.redeem(code).ok()
		if count(id) != 2 {
			t.Errorf("a redemption: noted %d times", count(id))
		}
		a.secret = "wrong"
		a.redeem(code).refused(401, "invalid_client")
		own.login()
		if count(id) != 2 || count("own-"+id) != 0 {
			t.Errorf("noted %v", noted)
		}
	}, func(c *oauth2.Config) {
		c.Used = func(id string) {
			mu.Lock()
			defer mu.Unlock()
			noted[id]++
		}
	})
}
