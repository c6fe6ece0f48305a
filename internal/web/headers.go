package web

import (
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

const (
	pagePolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; " +
		"base-uri 'none'; frame-ancestors 'none'; object-src 'none'; require-trusted-types-for 'script'"
	dataPolicy  = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
	framePolicy = "default-src 'none'; script-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors *; require-trusted-types-for 'script'"
	permissions = "publickey-credentials-get=(self), publickey-credentials-create=(self), camera=(), microphone=(), geolocation=(), payment=(), usb=()"
)

// A header is one instruction to the browser, ready to be set without allocating.
// The slices are shared between requests: net/http replaces them, never writes them.
type header struct {
	name  string
	value []string
}

// instructions returns the headers of every answer of rt, errors included.
func (m *Mux) instructions(rt *route) []header {
	var hs []header
	add := func(name, value string) { hs = append(hs, header{http.CanonicalHeaderKey(name), []string{value}}) }
	add("X-Content-Type-Options", "nosniff")
	if !rt.framed {
		add("X-Frame-Options", "DENY")
	}
	add("Referrer-Policy", "same-origin") // no-referrer makes browsers post "Origin: null" to ourselves
	resource := "same-origin"
	if rt.framed {
		resource = "cross-origin"
	}
	add("Cross-Origin-Resource-Policy", resource)
	if m.https && !m.cfg.Internal && !localName(hostname(m.cfg.Issuer.Host)) { // other programs live at localhost too
		add("Strict-Transport-Security", "max-age=63072000; includeSubDomains")
	}
	switch rt.to {
	case people, strangers:
		policy := pagePolicy
		if rt.ownForms {
			policy += "; form-action 'self'"
		}
		add("Content-Security-Policy", policy)
		opener := "same-origin"
		if rt.popup { // the application that opened it waits for its answer
			opener = "unsafe-none"
		}
		add("Cross-Origin-Opener-Policy", opener)
		add("Permissions-Policy", permissions)
		add("Cache-Control", "no-store")
	case files:
		policy := dataPolicy
		if rt.framed {
			policy = framePolicy
		}
		add("Content-Security-Policy", policy)
	default:
		add("Content-Security-Policy", dataPolicy)
		add("Cache-Control", "no-store")
		add("Pragma", "no-cache") // RFC 6749 section 5.1
	}
	return hs
}

func (m *Mux) headers(rt *route, next Handler) Handler {
	hs := m.instructions(rt)
	return func(w http.ResponseWriter, r *http.Request) error {
		h := w.Header()
		for i := range hs {
			h[hs[i].name] = hs[i].value
		}
		return next(w, r)
	}
}

// plainOrigin is an origin that may stand in a policy: nothing in it is a
// separator there, or a wildcard.
var plainOrigin = regexp.MustCompile(`^https?://([a-z0-9]([a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:]+\])(:[0-9]{1,5})?$`)

// AllowFrames lets the page that is about to be answered show frames from the
// origins of addresses and from no other, and returns those it can show: not one
// whose host is not plainly written.
func AllowFrames(w http.ResponseWriter, addresses []string) (allowed []string) {
	var origins []string
	for _, a := range addresses {
		u, err := url.Parse(a)
		if err != nil {
			continue
		}
		o := strings.ToLower(u.Scheme + "://" + u.Host)
		if !plainOrigin.MatchString(o) {
			continue
		}
		allowed = append(allowed, a)
		if !slices.Contains(origins, o) {
			origins = append(origins, o)
		}
	}
	if len(origins) > 0 {
		h := w.Header()
		h.Set("Content-Security-Policy", h.Get("Content-Security-Policy")+"; frame-src "+strings.Join(origins, " "))
	}
	return allowed
}
