package main

import (
	"errors"
	"net"
	"strings"
	"syscall"
	"testing"
)

func closeAll(t *testing.T, listeners []net.Listener) {
	t.Helper()
	for _, l := range listeners {
		t.Cleanup(func() { _ = l.Close() })
	}
}

func TestLocalhostMeansBothLoopbackAddresses(t *testing.T) {
	t.Parallel()
	got, err := listen(t.Context(), "listen", "localhost:0")
	if err != nil {
		t.Fatal(err)
	}
	closeAll(t, got)
	if !strings.HasPrefix(got[0].Addr().String(), "127.0.0.1:") {
		t.Errorf("first socket %s", got[0].Addr())
	}
	if len(got) == 2 && (portOf(got[0]) != portOf(got[1]) || !strings.HasPrefix(got[1].Addr().String(), "[::1]:")) {
		t.Errorf("sockets %s and %s", got[0].Addr(), got[1].Addr())
	}
	if !loopback(got) {
		t.Error("loopback sockets are called public")
	}
}

func TestATakenPortIsSaidInOneSentence(t *testing.T) {
	t.Parallel()
	for _, taken := range []string{"127.0.0.1:0", "[::1]:0"} {
		held, err := listen(t.Context(), "listen", taken)
		if err != nil {
			t.Skipf("no %s here: %v", taken, err)
		}
		closeAll(t, held)
		port := portOf(held[0])
		got, err := listen(t.Context(), "listen", "localhost:"+port)
		closeAll(t, got)
		if err == nil || !strings.HasPrefix(err.Error(), "port "+port+" is in use: choose another with --listen localhost:") || !errors.Is(err, syscall.EADDRINUSE) {
			t.Errorf("%s held: %v", taken, err)
		}
		if s := status(err); s != exitFailed {
			t.Errorf("exit status %d", s)
		}
	}
}

func TestListenRefusesWhatIsNoAddress(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"", "8080", "localhost", "localhost:http", "localhost:70000", "localhost:08", "localhost:-1"} {
		got, err := listen(t.Context(), "listen", address)
		closeAll(t, got)
		if status(err) != exitConfig {
			t.Errorf("%q: %v", address, err)
		}
	}
}

func TestEveryAddressIsNotLoopback(t *testing.T) {
	t.Parallel()
	got, err := listen(t.Context(), "listen", ":0")
	if err != nil {
		t.Fatal(err)
	}
	closeAll(t, got)
	if loopback(got) {
		t.Errorf("%s is called loopback", got[0].Addr())
	}
}
