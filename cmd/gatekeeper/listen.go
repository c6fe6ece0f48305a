package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"syscall"
)

// listen opens the sockets of one listen address. "localhost:8080" means both
// loopback addresses, because a browser may resolve the name to either; IPv6 may
// be missing on the machine, but a port another program holds there may not, or a
// person would reach that program. ":8080" is every address, port 0 a free one.
// flag is the option that changes the address, for the error.
func listen(ctx context.Context, flag, address string) ([]net.Listener, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, badConfig(fmt.Errorf("%s %s is not HOST:PORT: write for example --%s localhost:8080", flag, quote(address), flag))
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || strconv.FormatUint(n, 10) != port {
		return nil, badConfig(fmt.Errorf("%s %s: %s is no port number between 0 and 65535", flag, quote(address), quote(port)))
	}
	if host != "localhost" {
		l, err := listenOn(ctx, flag, host, port)
		if err != nil {
			return nil, err
		}
		return []net.Listener{l}, nil
	}
	return listenLoopback(ctx, flag, port)
}

// listenLoopback opens port on 127.0.0.1 and, where there is one, on ::1. A free
// port the kernel chose on one may be taken on the other; then it chooses again.
func listenLoopback(ctx context.Context, flag, port string) ([]net.Listener, error) {
	for try := 1; ; try++ {
		four, err := listenOn(ctx, flag, "127.0.0.1", port)
		if err != nil {
			return nil, err
		}
		six, err := listenOn(ctx, flag, "::1", portOf(four))
		switch {
		case err == nil:
			return []net.Listener{four, six}, nil
		case !errors.Is(err, syscall.EADDRINUSE):
			return []net.Listener{four}, nil // no IPv6 here
		case port != "0" || try == 5:
			return nil, errors.Join(err, four.Close())
		}
		if err := four.Close(); err != nil {
			return nil, fmt.Errorf("try another port: %w", err)
		}
	}
}

func listenOn(ctx context.Context, flag, host, port string) (net.Listener, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", net.JoinHostPort(host, port))
	switch {
	case err == nil:
		return l, nil
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, &exitError{exitFailed, &portTakenError{host: host, port: port, flag: flag, err: err}}
	case errors.Is(err, syscall.EACCES):
		return nil, &exitError{exitFailed, fmt.Errorf("port %s needs privileges: choose one above 1023 with --%s: %w", port, flag, err)}
	default:
		return nil, &exitError{exitFailed, fmt.Errorf("listen on %s: %w", net.JoinHostPort(host, port), err)}
	}
}

// A portTakenError says which port another program holds, and the way out: the
// next port on the same host, so that following the advice opens no other door.
type portTakenError struct {
	host, port, flag string
	err              error
}

func (e *portTakenError) Error() string {
	next := "PORT"
	if n, err := strconv.ParseUint(e.port, 10, 16); err == nil && n < 65535 {
		next = strconv.FormatUint(n+1, 10)
	}
	host := e.host
	if ip, err := netip.ParseAddr(host); err == nil && ip.IsLoopback() && e.flag == "listen" {
		host = "localhost"
	}
	return fmt.Sprintf("port %s is in use: choose another with --%s %s", e.port, e.flag, net.JoinHostPort(host, next))
}

func (e *portTakenError) Unwrap() error { return e.err }

func portOf(l net.Listener) string {
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		return "0"
	}
	return port
}

// loopback reports whether every listener is reachable from this computer only.
func loopback(listeners []net.Listener) bool {
	return !slices.ContainsFunc(listeners, func(l net.Listener) bool {
		ap, err := netip.ParseAddrPort(l.Addr().String())
		return err != nil || !ap.Addr().Unmap().IsLoopback()
	})
}
