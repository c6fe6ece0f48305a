package fetch

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Unsaid is the MaxAge of a document that does not say how long it may be kept.
const Unsaid time.Duration = -1

// MaxAgeCap is the longest MaxAge.
const MaxAgeCap = 24 * time.Hour

// maxAge is how long an answer may be kept (RFC 9111 section 4.2): Cache-Control
// before Expires, less the Age it already has. What is said but not understood
// is zero, as section 4.2.1 asks.
func maxAge(h http.Header, now time.Time) time.Duration {
	said, age := Unsaid, time.Duration(0)
	for directive := range strings.SplitSeq(strings.ToLower(strings.Join(h.Values("Cache-Control"), ",")), ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(directive), "=")
		switch name {
		case "no-store", "no-cache":
			return 0
		case "max-age":
			said = seconds(strings.Trim(value, `"`))
		}
	}
	switch {
	case said != Unsaid:
		age = seconds(h.Get("Age"))
	case h.Get("Expires") != "":
		if at, err := http.ParseTime(h.Get("Date")); err == nil {
			now = at
		}
		said = 0
		if at, err := http.ParseTime(h.Get("Expires")); err == nil {
			said = at.Sub(now)
		}
	default:
		return Unsaid
	}
	return min(max(said-age, 0), MaxAgeCap)
}

// seconds reads delta-seconds (RFC 9111 section 1.2.2), zero if it is none.
func seconds(s string) time.Duration {
	n, err := strconv.ParseUint(s, 10, 31)
	if err != nil {
		return 0
	}
	return time.Duration(n) * time.Second
}
