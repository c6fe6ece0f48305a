package fetch

import (
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// maxURL is the longest address we ask, in bytes.
const maxURL = 2048

// A urlRule is one demand on an address; wrong reports that u, written raw,
// breaks it.
type urlRule struct {
	says  string
	wrong func(c *Client, raw string, u *url.URL) bool
}

// urlRules are what an address must be before it is resolved. Each is about how
// it is written; where it leads is decided when it is dialled.
var urlRules = []urlRule{
	{"the address is too long", func(_ *Client, raw string, _ *url.URL) bool { return len(raw) > maxURL }},
	{"the address is not printable ASCII", func(_ *Client, raw string, _ *url.URL) bool { return !printable(raw) }},
	{"the address is not https", func(c *Client, _ string, u *url.URL) bool {
		return u.Scheme != "https" && (u.Scheme != "http" || c.plain == nil)
	}},
	{"the address has no host", func(_ *Client, _ string, u *url.URL) bool { return u.Opaque != "" || u.Hostname() == "" }},
	{"the address holds a user name", func(_ *Client, _ string, u *url.URL) bool { return u.User != nil }},
	{"the host is not written plainly", func(_ *Client, _ string, u *url.URL) bool {
		return strings.ContainsAny(u.Hostname(), "% \\@/?#") || numberIsNone(u.Hostname())
	}},
	{"the port is no port", func(_ *Client, _ string, u *url.URL) bool { return !portFits(u) }},
	{"the port is another service's", func(c *Client, _ string, u *url.URL) bool { return !c.portAllowed(u) }},
	{"the host is no public one", func(c *Client, _ string, u *url.URL) bool { return !c.hostAllowed(u) }},
}

// checkURL parses raw and applies urlRules. The result has no fragment: that is
// for whoever compares addresses, not for the server.
func (c *Client) checkURL(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return nil, refuse("the address does not parse")
	}
	for _, r := range urlRules {
		if r.wrong(c, raw, u) {
			return nil, refuse("%s", r.says)
		}
	}
	u.Fragment, u.RawFragment = "", ""
	return u, nil
}

func printable(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' })
}

// numberIsNone reports whether host ends in a number and is no address all the same:
// 127.1, 0x7f000001 and 2130706433 are this computer to some resolvers (URL standard
// section 3.5, ends in a number).
func numberIsNone(host string) bool {
	if _, err := netip.ParseAddr(host); err == nil {
		return false
	}
	host = strings.TrimSuffix(host, ".")
	last := host[strings.LastIndex(host, ".")+1:]
	if last == "" || strings.HasPrefix(strings.ToLower(last), "0x") {
		return true
	}
	return strings.Trim(last, "0123456789") == ""
}

func portFits(u *url.URL) bool {
	if u.Port() == "" {
		return !strings.HasSuffix(u.Host, ":")
	}
	n, err := strconv.ParseUint(u.Port(), 10, 16)
	return err == nil && n > 0
}
