package web

import (
	"log/slog"
	"net/http"
	"net/netip"
	"strings"

	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
)

// passedOn are the headers a proxy leaves behind.
var passedOn = []string{"X-Forwarded-For", "X-Forwarded-Proto", "Forwarded", "Via", "X-Real-Ip"}

// A proxyMistake is one way in which a proxy in front is not set up.
type proxyMistake struct {
	rule, detail string
	made         func(m *Mux, r *http.Request, peer netip.Addr) bool
}

// proxyMistakes are looked for in a request that did not come over https as far as
// anybody says. The sentences name the setting, because an operator reads them
// first; a redirect instead would come back the same way, for ever.
var proxyMistakes = [...]proxyMistake{
	{
		"proxy_sends_no_scheme",
		"The proxy in front of this server does not say whether you came over https: it has to set the header X-Forwarded-Proto.",
		func(m *Mux, r *http.Request, peer netip.Addr) bool {
			return m.trusted(peer) && len(r.Header["X-Forwarded-Proto"]) == 0
		},
	},
	{
		"proxy_not_trusted",
		"You came through a proxy that this server does not know: its network has to be in trusted_proxies (GATEKEEPER_TRUSTED_PROXIES).",
		func(m *Mux, r *http.Request, peer netip.Addr) bool { return !m.trusted(peer) && wasForwarded(r.Header) },
	},
	{
		// A browser sends Sec-Fetch-Site over https only (Fetch Metadata section 2),
		// so that a proxy which says http has another in front that ended TLS.
		"proxy_says_http",
		"You came over https, and a proxy in front of this server says http: each of them has to pass X-Forwarded-Proto on from the one that ends TLS.",
		func(m *Mux, r *http.Request, peer netip.Addr) bool {
			return m.trusted(peer) && r.Header.Get("Sec-Fetch-Site") != "" && !localName(hostname(r.Host))
		},
	},
}

// unclear refuses a request whose scheme is unknown because of a proxy. The log
// tells of each mistake once.
func (m *Mux) unclear(r *http.Request, peer netip.Addr) error {
	for i, mistake := range proxyMistakes {
		if !mistake.made(m, r, peer) {
			continue
		}
		if !m.proxyTold[i].Swap(true) {
			m.cfg.Log.LogAttrs(r.Context(), slog.LevelWarn, "a proxy in front is not set up", slog.String("event", mistake.rule),
				slog.String("peer", peer.String()), slog.String("mend", mistake.detail))
		}
		return &fault.Error{
			Kind: fault.Invalid, Code: "invalid_request", Rule: mistake.rule, Detail: mistake.detail,
			Facts: []fault.Fact{
				{Name: "peer", Value: truncated(peer)},
				{Name: "x_forwarded_proto", Value: strings.Join(r.Header["X-Forwarded-Proto"], ",")},
			},
		}
	}
	return nil
}

func wasForwarded(h http.Header) bool {
	for _, name := range passedOn {
		if len(h[name]) > 0 {
			return true
		}
	}
	return false
}
