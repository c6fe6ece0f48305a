package conformance

import (
	"io"
	"net"
	"net/url"
	"os"
	"sync"
	"testing"
)

// A gate is a TCP proxy in front of a service that can be shut, which is how an
// outage looks from here: connections break and new ones are refused.
type gate struct {
	mu     sync.Mutex
	target string
	addr   string
	l      net.Listener
	conns  map[net.Conn]bool
}

func newGate(t *testing.T, serviceURL string) *gate {
	t.Helper()
	u, err := url.Parse(serviceURL)
	if err != nil {
		t.Fatal(err)
	}
	g := &gate{target: u.Host, addr: "127.0.0.1:0", conns: map[net.Conn]bool{}}
	g.open()
	t.Cleanup(g.shut)
	return g
}

func (g *gate) open() {
	l, err := net.Listen("tcp", g.addr)
	if err != nil {
		panic(err) // the port was ours a moment ago
	}
	g.mu.Lock()
	g.l, g.addr = l, l.Addr().String()
	g.mu.Unlock()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go g.carry(c)
		}
	}()
}

func (g *gate) carry(c net.Conn) {
	s, err := net.Dial("tcp", g.target)
	if err != nil {
		_ = c.Close()
		return
	}
	g.mu.Lock()
	g.conns[c], g.conns[s] = true, true
	g.mu.Unlock()
	go func() { _, _ = io.Copy(s, c); _ = s.Close() }()
	_, _ = io.Copy(c, s)
	_ = c.Close()
}

func (g *gate) shut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.l != nil {
		_ = g.l.Close()
	}
	for c := range g.conns {
		_ = c.Close()
	}
	clear(g.conns)
}

// freshDatabaseThrough makes a database and returns its address by way of g.
func freshDatabaseThrough(t *testing.T, g *gate) string {
	t.Helper()
	u, err := url.Parse(EmptyPostgres(t, os.Getenv))
	if err != nil {
		t.Fatal(err)
	}
	u.Host = g.addr
	return u.String()
}
