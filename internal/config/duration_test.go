package config

import (
	"testing"
	"time"
)

func TestDuration(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	for text, want := range map[string]time.Duration{
		"0": 0, "90s": 90 * time.Second, "1h30m": 90 * time.Minute, "1.5h": 90 * time.Minute, "7d": 7 * day, "1w": 7 * day,
		"1w2d": 9 * day, "1d12h": 36 * time.Hour, "2w1h": 14*day + time.Hour, "-1h": -time.Hour,
	} {
		if got, err := Duration(text); err != nil || got != want {
			t.Errorf("%s: %v %v, want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "90", "7", "d", "w", "1d1w", "1d2d", "-1d", "1.5d", "1d-1h", "1d+1h", "1d5", "7 d", "15251w", "999999999999d", "15250w9999999h", "soon"} {
		if got, err := Duration(text); err == nil {
			t.Errorf("%q: %v, want an error", text, got)
		}
	}
}
