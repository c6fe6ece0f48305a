package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// handshake connects to a server using c and returns what the client saw.
func handshake(t *testing.T, c *certificate, client *tls.Config) (tls.ConnectionState, error) {
	t.Helper()
	here, there := net.Pipe()
	defer here.Close()
	server := tls.Server(there, c.config())
	go func() {
		_ = server.Handshake()
		_ = there.Close()
	}()
	conn := tls.Client(here, client)
	err := conn.HandshakeContext(t.Context())
	return conn.ConnectionState(), err
}

func trusting(t *testing.T, caFile, name string) *tls.Config {
	t.Helper()
	ca, err := os.ReadFile(caFile)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(ca) {
		t.Fatal("no CA in the file")
	}
	return &tls.Config{RootCAs: pool, ServerName: name, MinVersion: tls.VersionTLS12}
}

func devFor(t *testing.T, dir, host string, now time.Time) (devPair, *certificate) {
	t.Helper()
	p, err := devCertificate(dir, host, now)
	if err != nil {
		t.Fatal(err)
	}
	c, err := loadCertificate(p.Cert, p.Key, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return p, c
}

func TestDevelopmentCertificateServesItsNames(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "tls")
	p, c := devFor(t, dir, "id.test", time.Now())
	for _, name := range []string{"localhost", "app.localhost", "127.0.0.1", "::1", "id.test"} {
		state, err := handshake(t, c, trusting(t, p.CA, name))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if state.Version != tls.VersionTLS13 {
			t.Errorf("%s: version %x", name, state.Version)
		}
	}
	if _, err := handshake(t, c, trusting(t, p.CA, "bank.example")); err == nil {
		t.Error("the certificate passes for another site")
	}
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		info, infoErr := e.Info()
		if err != nil || infoErr != nil {
			t.Fatal(err, infoErr)
		}
		if info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s is %v; others may read it", path, info.Mode())
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Whoever trusts the development CA must not trust it for the rest of the web.
func TestDevelopmentCAMaySignForItsNamesOnly(t *testing.T) {
	t.Parallel()
	now := time.Now()
	ca, caKey, err := newCA("id.test", now)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(ca)
	for host, want := range map[string]bool{"id.test": true, "bank.example": false} {
		leaf, _, err := newLeaf(ca, caKey, host, now)
		if err != nil {
			t.Fatal(err)
		}
		if _, err = leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: host, CurrentTime: now}); (err == nil) != want {
			t.Errorf("%s: %v", host, err)
		}
	}
}

func TestDevelopmentCertificateIsReusedUntilItCannotBe(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	now := time.Now()
	read := func(p devPair) (string, string) {
		ca, errCA := os.ReadFile(p.CA)
		leaf, errLeaf := os.ReadFile(p.Cert)
		if errCA != nil || errLeaf != nil {
			t.Fatal(errCA, errLeaf)
		}
		return string(ca), string(leaf)
	}
	first, _ := devFor(t, dir, "localhost", now)
	ca, leaf := read(first)
	tests := []struct {
		name            string
		prepare         func()
		host            string
		at              time.Time
		sameCA, sameOne bool
	}{
		{"a day later", func() {}, "localhost", now.Add(24 * time.Hour), true, true},
		{"near its end", func() {}, "localhost", now.Add(devLeafLife - devLeafLeft/2), true, false},
		{"for another host", func() {}, "id.test", now, false, false},
		{"after a cut write", func() {
			key, _, err := readPairFiles(first)
			if err != nil || os.Remove(key) != nil {
				t.Fatal(err)
			}
		}, "id.test", now, true, false},
	}
	for _, tt := range tests {
		tt.prepare()
		p, err := devCertificate(dir, tt.host, tt.at)
		if err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		nextCA, nextLeaf := read(p)
		if (nextCA == ca) != tt.sameCA || (nextLeaf == leaf) != tt.sameOne {
			t.Errorf("%s: same CA %t, same certificate %t", tt.name, nextCA == ca, nextLeaf == leaf)
		}
		ca, leaf = nextCA, nextLeaf
	}
}

func readPairFiles(p devPair) (key, cert string, err error) {
	_, err = os.Stat(p.Key)
	return p.Key, p.Cert, err
}

func TestOnlyStrongSuitesAndVersions(t *testing.T) {
	t.Parallel()
	p, c := devFor(t, t.TempDir(), "localhost", time.Now())
	client := trusting(t, p.CA, "localhost")
	client.MaxVersion = tls.VersionTLS12
	if state, err := handshake(t, c, client); err != nil || state.CipherSuite != tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 {
		t.Errorf("TLS 1.2: %s %v", tls.CipherSuiteName(state.CipherSuite), err)
	}
	client.CipherSuites = []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA, tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256}
	if _, err := handshake(t, c, client); err == nil {
		t.Error("a suite FAPI forbids was taken")
	}
	client = trusting(t, p.CA, "localhost")
	client.MinVersion, client.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
	if _, err := handshake(t, c, client); err == nil {
		t.Error("TLS 1.1 was taken")
	}
}

func TestCertificateFollowsItsFiles(t *testing.T) {
	t.Parallel()
	now := time.Now()
	p, c := devFor(t, t.TempDir(), "localhost", now)
	serial := func() string { return c.current.Load().Leaf.SerialNumber.String() }
	tick, hangup := make(chan time.Time), make(chan os.Signal)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); c.watch(ctx, tick, hangup) }()
	// A second send on an unbuffered channel returns when the first is dealt with.
	look := func() { tick <- now; tick <- now }

	first := serial()
	look()
	if serial() != first {
		t.Error("reloaded without a change")
	}
	if err := os.WriteFile(p.Cert, []byte("half a file"), 0o600); err != nil {
		t.Fatal(err)
	}
	look()
	if serial() != first {
		t.Error("a broken file replaced the certificate")
	}
	if err := os.Remove(p.Cert); err != nil {
		t.Fatal(err)
	}
	look()
	if _, err := devCertificate(filepath.Dir(p.Cert), "localhost", now); err != nil {
		t.Fatal(err)
	}
	look()
	second := serial()
	if second == first {
		t.Error("a new certificate was not taken")
	}
	hangup <- os.Interrupt
	look()
	if serial() != second {
		t.Error("a hangup lost the certificate")
	}
	cancel()
	<-done
}

func TestAHangupReloadsTheCertificate(t *testing.T) { //nolint:paralleltest // the signal reaches the whole process
	_, c := devFor(t, t.TempDir(), "localhost", time.Now())
	reloaded := make(writes, 1)
	c.log = slog.New(slog.NewTextHandler(reloaded, nil))
	guard := make(chan os.Signal, 1) // an unheard hangup would end the tests
	signal.Notify(guard, syscall.SIGHUP)
	defer signal.Stop(guard)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- c.follow(ctx) }()
	for heard := false; !heard; { // until follow listens
		if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		<-guard
		select {
		case <-reloaded:
			heard = true
		case <-time.After(10 * time.Millisecond):
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// writes tells of what was written, to those who wait.
type writes chan struct{}

func (w writes) Write(p []byte) (int, error) {
	select {
	case w <- struct{}{}:
	default:
	}
	return len(p), nil
}

func TestAMissingCertificateIsAConfigurationError(t *testing.T) {
	t.Parallel()
	_, err := loadCertificate(filepath.Join(t.TempDir(), "none.crt"), "none.key", slog.New(slog.DiscardHandler))
	if status(err) != exitConfig {
		t.Errorf("%v", err)
	}
}
