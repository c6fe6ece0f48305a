package fetch

import (
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// otherServices are the ports above 1023 on which something else than a web server
// is expected. An HTTP request sent to one is an attempt to be misunderstood. They
// are those the Fetch standard blocks (section 2.8, port blocking), and the usual
// ports of databases, caches, queues and what runs machines.
var otherServices = []uint16{
	1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060, 5061, 6000, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697, 10080,

	1433, 1434, 1521, 3050, 3306, 5432, 5433, 6432, 26257, 27017, 27018, 27019, 28015, // SQL and document databases
	5984, 7199, 7473, 7474, 7687, 8086, 8529, 9042, 9160, 9200, 9300, // other databases
	6379, 6380, 11211, 16379, 26379, // caches
	1883, 4222, 5671, 5672, 6222, 9092, 15672, 25672, 61613, 61616, // queues
	2181, 2375, 2376, 2377, 2379, 2380, 4194, 8300, 8301, 8302, 8500, 8600, 10250, 10255, // clusters
	3389, 5900, 5901, 5985, 5986, // screens and shells of machines
}

// portAllowed reports whether u may name its port: of those below 1024 the two of
// the web, and above whatever is not another service's.
func (c *Client) portAllowed(u *url.URL) bool {
	if u.Port() == "" {
		return true
	}
	n, err := strconv.ParseUint(u.Port(), 10, 16)
	if err != nil {
		return false
	}
	port := uint16(n)
	return port == 80 || port == 443 || slices.Contains(c.cfg.Ports, port) || port >= 1024 && !slices.Contains(otherServices, port)
}

// hostAllowed reports whether an address that names its host by number, or as this
// computer, may lead there. Where another name leads is known when it is asked.
func (c *Client) hostAllowed(u *url.URL) bool {
	host := strings.ToLower(strings.TrimSuffix(u.Hostname(), "."))
	r := reach{allow: c.cfg.Allow, loopback: u.Scheme == "http"}
	if host == "localhost" || strings.HasSuffix(host, ".localhost") { // RFC 6761 section 6.3
		return r.check(netip.IPv6Loopback()) == nil || r.check(netip.AddrFrom4([4]byte{127, 0, 0, 1})) == nil
	}
	a, err := netip.ParseAddr(host)
	return err != nil || r.check(a) == nil
}
