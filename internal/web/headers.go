package web

import "net/http"

const (
	pagePolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; " +
		"base-uri 'none'; frame-ancestors 'none'; object-src 'none'; require-trusted-types-for 'script'"
	dataPolicy  = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
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
	add("X-Frame-Options", "DENY")
	add("Referrer-Policy", "same-origin") // no-referrer makes browsers post "Origin: null" to ourselves
	add("Cross-Origin-Resource-Policy", "same-origin")
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
		add("Cross-Origin-Opener-Policy", "same-origin")
		add("Permissions-Policy", permissions)
		add("Cache-Control", "no-store")
	case files:
		add("Content-Security-Policy", dataPolicy)
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
