package oidc

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/gatekeeper-oidc/gatekeeper/internal/fetch"
)

func TestJudge(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		status int
		err    error
		want   verdict
	}{
		{"OK", 200, nil, told},
		{"no content", 204, nil, told},
		{"a redirect", 302, nil, never},
		{"a token it finds wrong", 400, nil, never},
		{"not there", 404, nil, never},
		{"took too long", 408, nil, later},
		{"busy", 429, nil, later},
		{"broken", 500, nil, later},
		{"not up", 503, nil, later},
		{"unreachable", 0, fmt.Errorf("%w: no connection", fetch.ErrUnreachable), later},
		{"an address we do not visit", 0, fmt.Errorf("%w: private", fetch.ErrRefused), never},
		{"anything else", 0, errors.New("what"), later},
	} {
		if got := judge(tt.status, tt.err); got.verdict != tt.want || (got.reason == "") != (tt.want == told) {
			t.Errorf("%s: %+v, want verdict %d", tt.name, got, tt.want)
		}
	}
}

func TestBackoff(t *testing.T) {
	t.Parallel()
	for attempt, middle := range map[int]time.Duration{1: 2 * time.Second, 2: 4 * time.Second, 5: 32 * time.Second, 9: 512 * time.Second, 10: 10 * time.Minute, 400: 10 * time.Minute} {
		seen := map[time.Duration]bool{}
		for range 100 {
			d := backoff(attempt, 24*time.Hour)
			if d < middle/2 || d >= middle*3/2 {
				t.Fatalf("attempt %d waits %v, want around %v", attempt, d, middle)
			}
			seen[d] = true
		}
		if len(seen) < 2 {
			t.Errorf("attempt %d always waits as long", attempt)
		}
	}
	for age, most := range map[time.Duration]time.Duration{0: 3 * time.Second, 150 * time.Second: 23 * time.Second, time.Hour: 9 * time.Minute} {
		for range 100 {
			if d := backoff(400, age); d >= most {
				t.Fatalf("after %v it waits %v more, want less than %v", age, d, most)
			}
		}
	}
}
