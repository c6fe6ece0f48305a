package web

import (
	"context"
	"net/netip"
)

// Info is what the road learnt about a request before any handler saw it.
type Info struct {
	CorrelationID string
	Address       netip.Addr // of the person, behind trusted proxies only
	UserAgent     string     // at most 256 printable bytes
}

// Bucket names the person's network for rate limits: an IPv4 address, or the /64
// of an IPv6 one, because one person holds at least that many. It is "" if the
// address is unknown.
func (i Info) Bucket() string {
	a := i.Address.Unmap().WithZone("")
	switch {
	case !a.IsValid():
		return ""
	case a.Is4():
		return a.String()
	default:
		return prefix(a, 64)
	}
}

type (
	infoKey   struct{}
	recordKey struct{}
)

// NewContext returns ctx carrying info. The CLI uses it too.
func NewContext(ctx context.Context, info Info) context.Context {
	return context.WithValue(ctx, infoKey{}, &info)
}

// InfoFrom returns the Info in ctx, or a zero one.
func InfoFrom(ctx context.Context) Info {
	if i, ok := ctx.Value(infoKey{}).(*Info); ok {
		return *i
	}
	return Info{}
}

// prefix returns the network of a with the given number of bits.
func prefix(a netip.Addr, bits int) string {
	p, err := a.Prefix(bits)
	if err != nil {
		return ""
	}
	return p.String()
}
