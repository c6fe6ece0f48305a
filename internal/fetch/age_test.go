package fetch

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestMaxAge(t *testing.T) {
	t.Parallel()
	for header, want := range map[string]time.Duration{
		"":                                   Unsaid,
		"Cache-Control: public":              Unsaid,
		"Cache-Control: max-age=300":         5 * time.Minute,
		"Cache-Control: public, Max-Age=60":  time.Minute,
		`Cache-Control: max-age="60"`:        time.Minute,
		"Cache-Control: max-age=60, private": time.Minute,
		"Cache-Control: max-age=60|Cache-Control: no-store":                          0,
		"Cache-Control: no-cache":                                                    0,
		"Cache-Control: max-age=x":                                                   0,
		"Cache-Control: max-age=-1":                                                  0,
		"Cache-Control: max-age=300|Age: 60":                                         4 * time.Minute,
		"Cache-Control: max-age=300|Age: 600":                                        0,
		"Cache-Control: max-age=31536000":                                            MaxAgeCap,
		"Cache-Control: max-age=60|Expires: Thu, 01 Jan 2026 02:00:00 GMT":           time.Minute,
		"Expires: Thu, 01 Jan 2026 00:10:00 GMT":                                     10 * time.Minute,
		"Expires: Thu, 01 Jan 2026 00:10:00 GMT|Date: Thu, 01 Jan 2026 00:08:00 GMT": 2 * time.Minute,
		"Expires: 0":                             0,
		"Expires: Wed, 31 Dec 2025 00:00:00 GMT": 0,
		"Expires: Thu, 01 Jan 2037 00:00:00 GMT": MaxAgeCap,
	} {
		h := http.Header{}
		for line := range strings.SplitSeq(header, "|") {
			if name, value, ok := strings.Cut(line, ": "); ok {
				h.Add(name, value)
			}
		}
		if got := maxAge(h, epoch); got != want {
			t.Errorf("%q: got %s, want %s", header, got, want)
		}
	}
}
