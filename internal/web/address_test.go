package web

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"
)

func TestAddress(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, peer string
		xff        []string
		want       string
	}{
		{"no proxy", "192.0.2.1:5", []string{"198.51.100.1"}, "192.0.2.1"},
		{"one proxy", "10.0.0.1:5", []string{"198.51.100.1"}, "198.51.100.1"},
		{"a forged item left of the truth", "10.0.0.1:5", []string{"1.1.1.1, 198.51.100.1"}, "198.51.100.1"},
		{"two proxies", "10.0.0.1:5", []string{"198.51.100.1, 10.2.2.2"}, "198.51.100.1"},
		{"two headers", "10.0.0.1:5", []string{"1.1.1.1", "198.51.100.1, 10.2.2.2"}, "198.51.100.1"},
		{"with a port", "10.0.0.1:5", []string{"198.51.100.1:443"}, "198.51.100.1"},
		{"IPv6 with a port", "[fd00::1]:5", []string{"[2001:db8::9]:443"}, "2001:db8::9"},
		{"IPv6 through an IPv4-mapped proxy", "[::ffff:10.0.0.1]:5", []string{"::ffff:198.51.100.1"}, "198.51.100.1"},
		{"only proxies", "10.0.0.1:5", []string{"10.3.3.3, 10.2.2.2"}, "10.3.3.3"},
		{"garbage", "10.0.0.1:5", []string{"198.51.100.1, unknown"}, "10.0.0.1"},
		{"an empty item", "10.0.0.1:5", []string{"198.51.100.1,"}, "10.0.0.1"},
		{"a zone", "10.0.0.1:5", []string{"fe80::1%eth0"}, "10.0.0.1"},
		{"garbage nobody reaches", "10.0.0.1:5", []string{"unknown, 198.51.100.1"}, "198.51.100.1"},
		{"no header", "10.0.0.1:5", nil, "10.0.0.1"},
		{"a Unix socket", "@", []string{"198.51.100.1"}, "invalid IP"},
	}
	b := newBench(t)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := &http.Request{RemoteAddr: tt.peer, Header: http.Header{"X-Forwarded-For": tt.xff, "Forwarded": {"for=9.9.9.9"}, "X-Real-Ip": {"9.9.9.9"}}}
			if got := b.address(peerOf(r), r.Header).String(); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func TestBucket(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"192.0.2.7": "192.0.2.7", "::ffff:192.0.2.7": "192.0.2.7", "2001:db8:1:2:3:4:5:6": "2001:db8:1:2::/64",
	} {
		if got := (Info{Address: netip.MustParseAddr(address)}).Bucket(); got != want {
			t.Errorf("%s: %s, want %s", address, got, want)
		}
	}
	if got := (Info{}).Bucket(); got != "" {
		t.Errorf("no address: %q", got)
	}
}

func FuzzForwardedFor(f *testing.F) {
	for _, s := range []string{"198.51.100.1", "1.1.1.1, 10.0.0.2", "[2001:db8::1]:80", ",,,", "fe80::1%a", "::ffff:10.0.0.1", "10.0.0.1:99999", "\x00"} {
		f.Add(s, "https")
	}
	b := newBench(f)
	proxy := netip.MustParseAddr("10.0.0.1")
	stranger := netip.MustParseAddr("192.0.2.1")
	f.Fuzz(func(t *testing.T, xff, proto string) {
		h := http.Header{"X-Forwarded-For": {xff}, "X-Forwarded-Proto": {proto}}
		if got := b.address(stranger, h); got != stranger {
			t.Errorf("a stranger chose the address %s", got)
		}
		if got := b.address(proxy, h); !got.IsValid() || got.Zone() != "" || got.Is4In6() {
			t.Errorf("address %s", got)
		}
		h["X-Forwarded-For"] = []string{xff + ",198.51.100.1"}
		if got := b.address(proxy, h); got.String() != "198.51.100.1" {
			t.Errorf("what stands left of the person's address changed it to %s", got)
		}
		secure := b.secure(&http.Request{Header: h}, proxy)
		if secure && !strings.EqualFold(strings.ReplaceAll(strings.Trim(proto, " \t"), ",", ""), "https") && !strings.Contains(proto, ",") {
			t.Errorf("%q counts as https", proto)
		}
		if b.secure(&http.Request{Header: h}, stranger) {
			t.Error("a stranger said https and was believed")
		}
	})
}
