package fetch

import (
	"fmt"
	"net/netip"
	"slices"
)

// global is where public IPv6 addresses are (RFC 4291 section 2.4, IANA's
// registry of the unicast space). Loopback, unspecified, link-local, unique local
// and multicast addresses are outside it, and so are IPv4-mapped, IPv4-compatible
// and NAT64 addresses (RFC 6052, RFC 8215), behind which any IPv4 address can hide.
var global = netip.MustParsePrefix("2000::/3")

// special are the ranges that IANA's special-purpose registries (RFC 6890) keep
// out of the public network, of all IPv4 and of global.
var special = prefixes(
	"0.0.0.0/8",       // this network; 0.0.0.0 is loopback to most kernels
	"10.0.0.0/8",      // private (RFC 1918)
	"100.64.0.0/10",   // shared by a carrier's customers (RFC 6598)
	"127.0.0.0/8",     // loopback
	"169.254.0.0/16",  // link-local, where clouds keep their metadata (RFC 3927)
	"172.16.0.0/12",   // private
	"192.0.0.0/24",    // IETF protocol assignments
	"192.0.2.0/24",    // documentation (RFC 5737)
	"192.31.196.0/24", // AS112 (RFC 7535)
	"192.52.193.0/24", // AMT (RFC 7450)
	"192.88.99.0/24",  // 6to4 relays (RFC 7526)
	"192.168.0.0/16",  // private
	"192.175.48.0/24", // AS112 (RFC 7534)
	"198.18.0.0/15",   // benchmarks (RFC 2544)
	"198.51.100.0/24", // documentation
	"203.0.113.0/24",  // documentation
	"224.0.0.0/4",     // multicast
	"240.0.0.0/4",     // reserved, and broadcast

	"2001::/23",         // IETF protocol assignments; Teredo, which embeds IPv4 (RFC 4380)
	"2001:db8::/32",     // documentation
	"2002::/16",         // 6to4, which embeds IPv4 (RFC 3056)
	"2620:4f:8000::/48", // AS112
	"3fff::/20",         // documentation (RFC 9637)
)

func prefixes(all ...string) []netip.Prefix {
	list := make([]netip.Prefix, len(all))
	for i, s := range all {
		list[i] = netip.MustParsePrefix(s)
	}
	return list
}

// A reach is which addresses may be dialled.
type reach struct {
	allow    []netip.Prefix // beside public ones
	loopback bool           // only loopback, and only where allow has it
}

// check says why a is not dialled, or nil.
func (r reach) check(a netip.Addr) error {
	a = a.Unmap().WithZone("")
	switch allowed := holds(r.allow, a); {
	case r.loopback && (!allowed || !a.IsLoopback()):
		return refuse("plain http leads to allowed loopback addresses only, not to %s", a)
	case !allowed && !public(a):
		return refuse("%s is no public address", a)
	default:
		return nil
	}
}

// public reports whether a, unmapped and without zone, is of the public network.
func public(a netip.Addr) bool {
	return a.IsValid() && (a.Is4() || global.Contains(a)) && !holds(special, a)
}

func holds(list []netip.Prefix, a netip.Addr) bool {
	return slices.ContainsFunc(list, func(p netip.Prefix) bool { return p.Contains(a) })
}

func refuse(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrRefused, fmt.Sprintf(format, args...))
}
