package main

import (
	"bufio"
	"crypto/tls"
	"errors"
	"net"
	"sync"
	"time"
)

// helloTime is how long a connection may be silent before it is dropped.
const helloTime = 10 * time.Second

// A bothWays is a listener that speaks TLS to whoever begins with a handshake, and
// plain HTTP to whoever does not: probes and collectors that know no TLS keep
// working on a management door that has a certificate.
type bothWays struct {
	net.Listener
	tls   *tls.Config
	ready chan net.Conn
	done  chan struct{}
	once  sync.Once
	err   error // why accepting ended, once done is closed
}

// newBothWays listens on l in both ways until it is closed.
func newBothWays(l net.Listener, c *tls.Config) *bothWays {
	b := &bothWays{Listener: l, tls: c, ready: make(chan net.Conn), done: make(chan struct{})}
	go b.accept()
	return b
}

func (b *bothWays) accept() {
	for {
		c, err := b.Listener.Accept()
		if temporary := net.Error(nil); errors.As(err, &temporary) && temporary.Timeout() {
			continue
		}
		if err != nil {
			b.end(err)
			return
		}
		go b.sort(c) // who is silent keeps nobody else waiting
	}
}

// sort looks at the first byte, which is 22 for a handshake of TLS (RFC 8446 §5.1)
// and a letter for HTTP.
func (b *bothWays) sort(c net.Conn) {
	r := bufio.NewReader(c)
	_ = c.SetReadDeadline(time.Now().Add(helloTime))
	first, err := r.Peek(1)
	if err != nil {
		_ = c.Close() // it said nothing
		return
	}
	_ = c.SetReadDeadline(time.Time{})
	var out net.Conn = peeked{c, r}
	if first[0] == 22 {
		out = tls.Server(out, b.tls)
	}
	select {
	case b.ready <- out:
	case <-b.done:
		_ = c.Close()
	}
}

func (b *bothWays) end(err error) {
	b.once.Do(func() {
		b.err = err
		close(b.done)
	})
}

// Accept returns the next connection that said what it speaks.
func (b *bothWays) Accept() (net.Conn, error) {
	select {
	case c := <-b.ready:
		return c, nil
	case <-b.done:
		return nil, b.err
	}
}

// Close closes the socket.
func (b *bothWays) Close() error {
	b.end(net.ErrClosed)
	return b.Listener.Close()
}

// peeked is a connection of which a byte was looked at.
type peeked struct {
	net.Conn
	r *bufio.Reader
}

// Read gives the byte that was looked at first.
func (p peeked) Read(b []byte) (int, error) { return p.r.Read(b) }
