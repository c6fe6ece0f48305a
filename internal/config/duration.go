package config

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Duration reads 90s, 15m and 1h30m as time.ParseDuration does, and weeks and days
// before them: 1w, 7d, 1d12h. It is the one reader of spans that a person types. Its
// error continues a sentence that began with what the value is for.
func Duration(text string) (time.Duration, error) {
	wrong := fmt.Errorf("is %q; it must be a time such as 90s, 15m, 24h or 7d", text)
	rest, total := text, time.Duration(0)
	for _, unit := range []struct {
		sign string
		is   time.Duration
	}{{"w", 7 * 24 * time.Hour}, {"d", 24 * time.Hour}} {
		count, after, ok := strings.Cut(rest, unit.sign)
		if !ok {
			continue
		}
		n, err := strconv.ParseUint(count, 10, 32)
		if err != nil || n > uint64((math.MaxInt64-total)/unit.is) { //nolint:gosec // G115: total is never negative
			return 0, wrong
		}
		total += time.Duration(n) * unit.is
		rest = after
	}
	if rest == "" && text != "" {
		return total, nil
	}
	d, err := time.ParseDuration(rest)
	switch {
	case err == nil && rest == text:
		return d, nil
	case err == nil && d >= 0 && d <= math.MaxInt64-total && rest[0] != '+' && rest[0] != '-':
		return total + d, nil
	}
	if _, err := strconv.ParseFloat(text, 64); err == nil {
		return 0, fmt.Errorf("is %q without a unit; write %ss or %sm", text, text, text)
	}
	return 0, wrong
}
