package web

import (
	"net/http"
	"net/netip"
	"strings"
)

// peerOf returns the address of the socket's other end; zero for a Unix socket.
func peerOf(r *http.Request) netip.Addr {
	ap, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return ap.Addr().Unmap().WithZone("")
}

// address returns whom the request comes from. Every proxy appends the address it
// saw, so the list is read from the right, and the first address that is not a
// trusted proxy is the person's; what stands left of it anybody could have
// written. Without a trusted proxy, or with a list that cannot be read, it is the
// socket's peer.
func (m *Mux) address(peer netip.Addr, h http.Header) netip.Addr {
	if !m.trusted(peer) {
		return peer
	}
	found := peer
	values := h["X-Forwarded-For"]
	for i := len(values) - 1; i >= 0; i-- {
		rest := values[i]
		for more := true; more; {
			var item string
			rest, item, more = cutLast(rest)
			a, ok := forwarded(item)
			if !ok {
				return peer
			}
			found = a
			if !m.trusted(a) {
				return a
			}
		}
	}
	return found
}

// cutLast splits a comma-separated list before its last item.
func cutLast(list string) (rest, item string, more bool) {
	i := strings.LastIndexByte(list, ',')
	if i < 0 {
		return "", list, false
	}
	return list[:i], list[i+1:], true
}

// forwarded reads one item of X-Forwarded-For: an address, with a port if the
// proxy adds one. Zones mean nothing beyond their own host and are refused.
func forwarded(item string) (netip.Addr, bool) {
	item = strings.Trim(item, " \t")
	a, err := netip.ParseAddr(item)
	if err != nil {
		ap, err := netip.ParseAddrPort(item)
		if err != nil {
			return netip.Addr{}, false
		}
		a = ap.Addr()
	}
	if a.Zone() != "" {
		return netip.Addr{}, false
	}
	return a.Unmap(), true
}

func (m *Mux) trusted(a netip.Addr) bool {
	for _, p := range m.cfg.TrustedProxies {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// secure reports whether the person's side of the connection is encrypted. A list
// of proxies counts only if every one of them says so.
func (m *Mux) secure(r *http.Request, peer netip.Addr) bool {
	if r.TLS != nil {
		return true
	}
	values := r.Header["X-Forwarded-Proto"]
	if len(values) == 0 || !m.trusted(peer) {
		return false
	}
	for _, v := range values {
		for item := range strings.SplitSeq(v, ",") {
			if !strings.EqualFold(strings.Trim(item, " \t"), "https") {
				return false
			}
		}
	}
	return true
}

// truncated returns the network the log shows instead of a person's address: the
// /24 of an IPv4 one, the /48 of an IPv6 one.
func truncated(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	if a = a.Unmap().WithZone(""); a.Is4() {
		return prefix(a, 24)
	}
	return prefix(a, 48)
}
