package web

import (
	"crypto/rand"
	"encoding/hex"
	"net/http"
	"strings"
)

const correlationHeader = "X-Correlation-Id" // canonical form of X-Correlation-ID

// correlation returns the caller's X-Correlation-ID if it is a plain word, else
// the trace id of its traceparent (W3C Trace Context section 3.2), else a new id.
func correlation(h http.Header) string {
	if v := h[correlationHeader]; len(v) == 1 && plainWord(v[0]) {
		return v[0]
	}
	if v := h["Traceparent"]; len(v) == 1 {
		if id := traceID(v[0]); id != "" {
			return id
		}
	}
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// plainWord reports whether s is 1 to 64 letters, digits, dots, underscores and
// hyphens: nothing that could forge a log line or a header.
func plainWord(s string) bool {
	if s == "" || len(s) > 64 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && c != '.' && c != '_' && c != '-' {
			return false
		}
	}
	return true
}

// traceID returns the trace id of a traceparent, "" if it is not one.
func traceID(parent string) string {
	if len(parent) < 55 || parent[2] != '-' || parent[35] != '-' || parent[52] != '-' || parent[:2] == "ff" {
		return ""
	}
	id := parent[3:35]
	if strings.Trim(id, "0") == "" || strings.Trim(id, "0123456789abcdef") != "" {
		return ""
	}
	return id
}

// printable returns the printable ASCII of s, at most limit bytes of it.
func printable(s string, limit int) string {
	clean := len(s) <= limit
	for i := 0; clean && i < len(s); i++ {
		clean = s[i] >= ' ' && s[i] <= '~'
	}
	if clean {
		return s
	}
	out := make([]byte, 0, min(limit, len(s)))
	for i := 0; i < len(s) && len(out) < limit; i++ {
		if s[i] >= ' ' && s[i] <= '~' {
			out = append(out, s[i])
		}
	}
	return string(out)
}
