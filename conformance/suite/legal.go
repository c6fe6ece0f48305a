package suite

import (
	"fmt"
	"iter"
	"maps"
	"math"
	"net/http"
	"slices"
	"strings"
)

func keysOf[V any](m map[string]V) iter.Seq[string] { return maps.Keys(m) }

// Illegal says which character of an error text RFC 6749 does not allow there, ""
// if all are fine: error and error_description have only %x20-21, %x23-5B and
// %x5D-7E.
func Illegal(name, text string) string {
	for _, r := range text {
		if r < 0x20 || r > 0x7E || r == '"' || r == '\\' {
			return fmt.Sprintf("%s has the character %q, which is not allowed there", name, r)
		}
	}
	return ""
}

// entropy is how many bits a random text of this length could hold, judged by how
// its characters are spread.
func entropy(s string) float64 {
	count := map[rune]float64{}
	for _, r := range s {
		count[r]++
	}
	total, bits := float64(len([]rune(s))), 0.0
	for _, n := range count {
		bits -= n * math.Log2(n/total)
	}
	return bits
}

// weak says that a secret is too easy to guess, or "" (RFC 6749 10.10; 96 bits is
// what the official suite demands).
func weak(name, value string) string {
	if e := entropy(value); e < 96 {
		return fmt.Sprintf("the %s has %d characters and %.0f bits of entropy, fewer than 96", name, len(value), e)
	}
	return ""
}

// Refused holds an error answer of a JSON endpoint to RFC 6749 5.2: a 4xx status,
// one of codes, a legal text, not to be stored.
func (c *Case) Refused(r *Reply, codes ...string) error {
	code := r.Text("error")
	switch {
	case r.Status == http.StatusOK || r.Status == http.StatusCreated:
		return Failf("it was accepted (status %d) and should be refused with %s", r.Status, strings.Join(codes, " or "))
	case r.Status < 400 || r.Status > 499:
		return Failf("it answered %d, not a refusal with %s", r.Status, strings.Join(codes, " or "))
	case code == "":
		return Brokef("RFC 6749 5.2", "it refuses with status %d but names no error in JSON", r.Status)
	case !slices.Contains(codes, code):
		return Failf("it refuses with %s (%d), not with %s", code, r.Status, strings.Join(codes, " or "))
	}
	return walk(refusalChecks, r)
}

var refusalChecks = []check[*Reply]{
	{"RFC 6749 5.2", func(r *Reply) string { return Illegal("error", r.Text("error")) }},
	{"RFC 6749 5.2", func(r *Reply) string { return Illegal("error_description", r.Text("error_description")) }},
	{"RFC 6749 5.1", func(r *Reply) string { return stored(r.Header) }},
	{"RFC 9110 15.5.2", func(r *Reply) string {
		if r.Status == http.StatusUnauthorized && r.Header.Get("WWW-Authenticate") == "" {
			return "it answers 401 without WWW-Authenticate"
		}
		return ""
	}},
}

// stored says that an answer may be kept by a cache, or "".
func stored(h http.Header) string {
	if !strings.Contains(strings.ToLower(h.Get("Cache-Control")), "no-store") {
		return fmt.Sprintf("Cache-Control is %q; it must say no-store", h.Get("Cache-Control"))
	}
	return ""
}
