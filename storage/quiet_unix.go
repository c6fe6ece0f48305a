//go:build unix

package storage

import (
	"crypto/tls"
	"errors"
	"net"
	"syscall"
)

// quiet reports whether the other end of an idle connection is there and has said
// nothing. It does not wait.
func quiet(c net.Conn) bool {
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	s, ok := c.(syscall.Conn)
	if !ok {
		return true // nobody can tell
	}
	raw, err := s.SyscallConn()
	if err != nil {
		return false
	}
	still := false
	err = raw.Control(func(fd uintptr) { // not Read, which waits for another reader, and the library may have one
		var b [1]byte
		_, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		still = errors.Is(err, syscall.EAGAIN)
	})
	return err == nil && still
}
