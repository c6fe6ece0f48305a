package web

import (
	"net/http"
	"strings"
)

// An issuer may have a path, such as https://example.org/id. Everything is then
// below it: the path is taken off where a request comes in, and put before our
// own addresses where an answer goes out, so that no handler and no page has to
// know. At the root of the host stay the well-known addresses that RFC 8414
// section 3.1 puts there, with the issuer's path behind them, and the probes.

// enter takes the issuer's path off r. It reports false for an address that is
// not ours to answer.
func (m *Mux) enter(r *http.Request) bool {
	if m.prefix == "" {
		return true
	}
	if path, ok := cutPrefix(r.URL.Path, m.prefix); ok {
		r.URL.Path = path
		if r.URL.RawPath != "" {
			raw, ok := cutPrefix(r.URL.RawPath, m.prefix)
			r.URL.RawPath = raw
			return ok
		}
		return true
	}
	p := r.URL.Path
	return p == "/healthz" || p == "/readyz" || strings.HasPrefix(p, "/.well-known/") && strings.HasSuffix(p, m.prefix)
}

func cutPrefix(path, prefix string) (string, bool) {
	rest, ok := strings.CutPrefix(path, prefix)
	switch {
	case !ok || rest != "" && rest[0] != '/':
		return path, false
	case rest == "":
		return "/", true
	default:
		return rest, true
	}
}

// leave puts the issuer's path before an address of ours in a redirect.
func (w *response) leave() {
	if w.prefix == "" {
		return
	}
	if to := w.Header().Get("Location"); ours(to) {
		w.Header().Set("Location", w.prefix+to)
	}
}

// ours reports whether an address is one on this host, below the issuer.
func ours(address string) bool {
	return strings.HasPrefix(address, "/") && !strings.HasPrefix(address, "//")
}

// below puts the issuer's path before every address of ours in a rendered page.
// Text of others cannot look like one: in a page their quotes are escaped.
func (m *Mux) below(page []byte) []byte {
	if m.prefix == "" {
		return page
	}
	return []byte(m.inPages.Replace(string(page)))
}

// pageReplacer finds the attributes of our pages that hold an address of ours.
func pageReplacer(prefix string) *strings.Replacer {
	var pairs []string
	for _, attribute := range [...]string{"href", "src", "action"} {
		pairs = append(pairs, " "+attribute+`="//`, " "+attribute+`="//`, " "+attribute+`="/`, " "+attribute+`="`+prefix+"/")
	}
	return strings.NewReplacer(pairs...)
}
