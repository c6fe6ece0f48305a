package fetch

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"syscall"
	"time"
)

// ErrRefused means a rule of ours forbids the address or the answer: nothing that
// is tried again later helps.
var ErrRefused = errors.New("fetch: refused")

// ErrUnreachable means the other side did not give what was asked for: no such
// name, no connection, no time, another status than 200.
var ErrUnreachable = errors.New("fetch: unreachable")

// Config says whom a Client may ask. The zero value, with Now, asks public
// addresses by https. Fields left zero take the value in brackets.
type Config struct {
	Allow                []netip.Prefix                                               // ranges dialled although they are not public [none]
	DangerouslyAllowHTTP bool                                                         // plain http too, to loopback addresses that Allow holds
	Roots                []*x509.Certificate                                          // authorities believed beside the system's [none]
	Resolve              func(ctx context.Context, host string) ([]netip.Addr, error) // [the system's resolver]
	UserAgent            string                                                       // [Gatekeeper]
	Now                  func() time.Time
	Ports                []uint16      // asked although another kind of service usually has them [none]
	Timeout              time.Duration // for everything, from name to last byte [8 s]
	PerHost              int           // requests to one host at one time; more wait [8]
}

// The parts of Timeout that one step may take.
const (
	resolveTimeout = 2 * time.Second
	dialTimeout    = 3 * time.Second
	tlsTimeout     = 3 * time.Second
	headerTimeout  = 5 * time.Second
	maxHeader      = 16 << 10 // bytes of response header
	maxDials       = 4        // addresses of one name that are tried
)

// A Client asks addresses that other people chose. It is safe for concurrent use
// and holds no connections.
type Client struct {
	cfg   Config
	tls   *http.Client
	plain *http.Client // nil unless DangerouslyAllowHTTP
	lanes lanes
}

// New returns a Client.
func New(cfg Config) (*Client, error) {
	if cfg.Now == nil {
		return nil, errors.New("fetch: a client needs Now")
	}
	if cfg.Timeout < 0 || cfg.PerHost < 0 {
		return nil, errors.New("fetch: a client's limits are positive")
	}
	if cfg.Resolve == nil {
		cfg.Resolve = func(ctx context.Context, host string) ([]netip.Addr, error) {
			return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		}
	}
	if cfg.UserAgent == "" {
		cfg.UserAgent = "Gatekeeper"
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = 8 * time.Second
	}
	if cfg.PerHost == 0 {
		cfg.PerHost = 8
	}
	roots, err := believed(cfg.Roots)
	if err != nil {
		return nil, err
	}
	c := &Client{cfg: cfg, lanes: lanes{width: cfg.PerHost}}
	c.tls = c.over(reach{allow: cfg.Allow}, roots)
	if cfg.DangerouslyAllowHTTP {
		c.plain = c.over(reach{allow: cfg.Allow, loopback: true}, roots)
	}
	return c, nil
}

// believed is the system's authorities and extra; nil means the system's alone.
func believed(extra []*x509.Certificate) (*x509.CertPool, error) {
	if len(extra) == 0 {
		return nil, nil
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		return nil, fmt.Errorf("fetch: the system's authorities: %w", err)
	}
	for _, cert := range extra {
		pool.AddCert(cert)
	}
	return pool, nil
}

// over returns an HTTP client that dials within r.
func (c *Client) over(r reach, roots *x509.CertPool) *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			Proxy:                  nil, // a proxy would resolve and dial without our rules
			DialContext:            dialer{reach: r, resolve: c.cfg.Resolve}.dial,
			TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots},
			TLSHandshakeTimeout:    tlsTimeout,
			ResponseHeaderTimeout:  headerTimeout,
			MaxResponseHeaderBytes: maxHeader,
			DisableCompression:     true,
			DisableKeepAlives:      true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// A dialer connects to names whose addresses are all within reach.
type dialer struct {
	reach   reach
	resolve func(ctx context.Context, host string) ([]netip.Addr, error)
}

// dial resolves once, checks every answer, and connects to the first that
// answers. One forbidden address among several refuses the name: an honest name
// has none.
func (d dialer) dial(ctx context.Context, network, hostport string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(hostport)
	if err != nil {
		return nil, refuse("the host does not parse")
	}
	addrs, err := d.addresses(ctx, host)
	if err != nil {
		return nil, err
	}
	for _, a := range addrs {
		if err := d.reach.check(a); err != nil {
			return nil, err
		}
	}
	// A socket tells where it really goes; this is the same rule, asked of it.
	socket := net.Dialer{Timeout: dialTimeout, ControlContext: d.control}
	for _, a := range addrs[:min(len(addrs), maxDials)] {
		var conn net.Conn
		if conn, err = socket.DialContext(ctx, network, net.JoinHostPort(a.Unmap().String(), port)); err == nil {
			return conn, nil
		}
	}
	return nil, err
}

// addresses returns the address that host is, or those it resolves to: at least one.
func (d dialer) addresses(ctx context.Context, host string) ([]netip.Addr, error) {
	if a, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{a}, nil
	}
	ctx, cancel := context.WithTimeout(ctx, resolveTimeout)
	defer cancel()
	addrs, err := d.resolve(ctx, host)
	if err != nil {
		return nil, fmt.Errorf("resolve: %w", err)
	}
	if len(addrs) == 0 {
		return nil, errors.New("the name has no address")
	}
	return addrs, nil
}

// control checks the address a socket is about to connect to.
func (d dialer) control(_ context.Context, _, address string, _ syscall.RawConn) error {
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return refuse("the socket's address does not parse")
	}
	return d.reach.check(to.Addr())
}
