package fetch

import (
	"errors"
	"net/netip"
	"testing"
)

func TestOnlyPublicAddressesAreReached(t *testing.T) {
	t.Parallel()
	for _, a := range []string{
		"0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "100.127.255.255", "127.0.0.1", "127.255.255.254", "169.254.169.254",
		"172.16.0.1", "172.31.255.255", "192.0.0.8", "192.0.2.1", "192.88.99.1", "192.168.1.1", "198.18.0.1", "198.19.255.255",
		"198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255",
		"::", "::1", "::7f00:1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::ffff:0:127.0.0.1",
		"64:ff9b::7f00:1", "64:ff9b::808:808", "64:ff9b:1::1", "100::1", "2001::1", "2001:0:4136:e378:8000:63bf:3fff:fdd2",
		"2001:db8::1", "2002:7f00:1::1", "2002:808:808::1", "2620:4f:8000::1", "3fff::1", "5f00::1", "fc00::1", "fd12:3456::1",
		"fe80::1", "fe80::1%eth0", "fec0::1", "ff02::1",
	} {
		if err := (reach{}).check(netip.MustParseAddr(a)); !errors.Is(err, ErrRefused) {
			t.Errorf("%s: %v, want ErrRefused", a, err)
		}
	}
	if err := (reach{}).check(netip.Addr{}); !errors.Is(err, ErrRefused) {
		t.Errorf("no address: %v", err)
	}
	for _, a := range []string{
		"1.1.1.1", "8.8.8.8", "100.63.255.255", "100.128.0.1", "172.32.0.1", "192.0.1.1", "198.20.0.1", "223.255.255.255",
		"::ffff:8.8.8.8", "2001:200::1", "2606:4700::1111", "2a00:1450:4001:801::200e",
	} {
		if err := (reach{}).check(netip.MustParseAddr(a)); err != nil {
			t.Errorf("%s: %v", a, err)
		}
	}
}

func TestAllowOpensItsRangesOnly(t *testing.T) {
	t.Parallel()
	allow := []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("127.0.0.1/32"), netip.MustParsePrefix("fd00::/8")}
	for a, want := range map[string][2]bool{ // https, plain http
		"10.1.2.3":         {true, false},
		"10.2.0.1":         {false, false},
		"127.0.0.1":        {true, true},
		"127.0.0.2":        {false, false},
		"::ffff:127.0.0.1": {true, true},
		"::1":              {false, false},
		"fd00::1":          {true, false},
		"8.8.8.8":          {true, false},
	} {
		addr := netip.MustParseAddr(a)
		https, http := reach{allow: allow}.check(addr) == nil, reach{allow: allow, loopback: true}.check(addr) == nil
		if got := [2]bool{https, http}; got != want {
			t.Errorf("%s: https, http %v, want %v", a, got, want)
		}
	}
}
