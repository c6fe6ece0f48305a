package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// The lives of development certificates; browsers refuse a longer leaf.
const (
	devCALife   = 10 * 365 * 24 * time.Hour
	devLeafLife = 397 * 24 * time.Hour
	devLeafLeft = 30 * 24 * time.Hour // a leaf with less is replaced
)

// devPair is where a development certificate, its key and its CA are.
type devPair struct{ Cert, Key, CA string }

// devCertificate makes, or finds again, a certificate for localhost and host in
// dir, signed by a CA of this computer. The CA may sign for nothing but those
// names (RFC 5280 section 4.2.1.10), so trusting it risks no other site; it stays
// the same until host changes.
func devCertificate(dir, host string, now time.Time) (devPair, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return devPair{}, fmt.Errorf("make the folder of development certificates: %w", err)
	}
	p := devPair{Cert: filepath.Join(dir, "dev.crt"), Key: filepath.Join(dir, "dev.key"), CA: filepath.Join(dir, "dev-ca.crt")}
	caKeyFile := filepath.Join(dir, "dev-ca.key")
	ca, caKey, err := readPair(p.CA, caKeyFile)
	if err != nil {
		return devPair{}, err
	}
	if leaf, _, err := readPair(p.Cert, p.Key); err == nil && leaf != nil && ca != nil && good(leaf, ca, host, now) {
		return p, nil
	}
	if ca == nil || now.Add(devLeafLife).After(ca.NotAfter) || !permits(ca, host) {
		if ca, caKey, err = newCA(host, now); err != nil {
			return devPair{}, err
		}
		if err := writePair(p.CA, caKeyFile, ca, caKey); err != nil {
			return devPair{}, err
		}
	}
	leaf, key, err := newLeaf(ca, caKey, host, now)
	if err != nil {
		return devPair{}, err
	}
	return p, writePair(p.Cert, p.Key, leaf, key)
}

// good reports whether leaf still serves host under ca.
func good(leaf, ca *x509.Certificate, host string, now time.Time) bool {
	return leaf.CheckSignatureFrom(ca) == nil && leaf.VerifyHostname("localhost") == nil && leaf.VerifyHostname(host) == nil &&
		now.After(leaf.NotBefore) && now.Add(devLeafLeft).Before(leaf.NotAfter)
}

func permits(ca *x509.Certificate, host string) bool {
	if ip := net.ParseIP(host); ip != nil {
		for _, n := range ca.PermittedIPRanges {
			if n.Contains(ip) {
				return true
			}
		}
		return false
	}
	for _, d := range ca.PermittedDNSDomains {
		if d == host {
			return true
		}
	}
	return false
}

func newCA(host string, now time.Time) (*x509.Certificate, *ecdsa.PrivateKey, error) {
	t := &x509.Certificate{
		Subject:   pkix.Name{CommonName: "Gatekeeper development CA (" + host + ")", Organization: []string{"Gatekeeper"}},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(devCALife),
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		PermittedDNSDomainsCritical: true, PermittedDNSDomains: []string{"localhost"},
		PermittedIPRanges: []*net.IPNet{single(net.IPv4(127, 0, 0, 1)), single(net.IPv6loopback)},
	}
	if ip := net.ParseIP(host); ip != nil {
		t.PermittedIPRanges = append(t.PermittedIPRanges, single(ip))
	} else if host != "localhost" {
		t.PermittedDNSDomains = append(t.PermittedDNSDomains, host)
	}
	return newCertificate(t, nil, nil)
}

func newLeaf(ca *x509.Certificate, caKey *ecdsa.PrivateKey, host string, now time.Time) (*x509.Certificate, *ecdsa.PrivateKey, error) {
	t := &x509.Certificate{
		Subject:   pkix.Name{CommonName: host, Organization: []string{"Gatekeeper development"}},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(devLeafLife),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames: []string{"localhost", "*.localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
	}
	if ip := net.ParseIP(host); ip != nil {
		t.IPAddresses = append(t.IPAddresses, ip)
	} else if host != "localhost" {
		t.DNSNames = append(t.DNSNames, host)
	}
	return newCertificate(t, ca, caKey)
}

// newCertificate makes a key and signs t for it, with itself if ca is nil.
func newCertificate(t, ca *x509.Certificate, caKey *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("make a development key: %w", err)
	}
	if t.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127)); err != nil {
		return nil, nil, fmt.Errorf("make a serial number: %w", err)
	}
	if ca == nil {
		ca, caKey = t, key
	}
	der, err := x509.CreateCertificate(rand.Reader, t, ca, key.Public(), caKey)
	if err != nil {
		return nil, nil, fmt.Errorf("sign a development certificate: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, nil, fmt.Errorf("read a development certificate back: %w", err)
	}
	return cert, key, nil
}

// single is the network of one address.
func single(ip net.IP) *net.IPNet {
	if four := ip.To4(); four != nil {
		ip = four
	}
	return &net.IPNet{IP: ip, Mask: net.CIDRMask(8*len(ip), 8*len(ip))}
}

// readPair returns nils if a file does not exist, or if the two do not belong
// together because a write was cut short between them.
func readPair(certFile, keyFile string) (*x509.Certificate, *ecdsa.PrivateKey, error) {
	certPEM, certErr := os.ReadFile(filepath.Clean(certFile))
	keyPEM, keyErr := os.ReadFile(filepath.Clean(keyFile))
	if errors.Is(certErr, os.ErrNotExist) || errors.Is(keyErr, os.ErrNotExist) {
		return nil, nil, nil
	}
	if err := errors.Join(certErr, keyErr); err != nil {
		return nil, nil, fmt.Errorf("read the development certificate: %w", err)
	}
	certBlock, _ := pem.Decode(certPEM)
	keyBlock, _ := pem.Decode(keyPEM)
	if certBlock == nil || keyBlock == nil {
		return nil, nil, fmt.Errorf("%s or %s is no PEM file: remove both to have new ones made", certFile, keyFile)
	}
	cert, certErr := x509.ParseCertificate(certBlock.Bytes)
	key, keyErr := x509.ParseECPrivateKey(keyBlock.Bytes)
	if err := errors.Join(certErr, keyErr); err != nil {
		return nil, nil, fmt.Errorf("read %s and %s (remove both to have new ones made): %w", certFile, keyFile, err)
	}
	if !key.PublicKey.Equal(cert.PublicKey) {
		return nil, nil, nil
	}
	return cert, key, nil
}

// writePair writes both files for their owner only, the key first, each whole or
// not at all.
func writePair(certFile, keyFile string, cert *x509.Certificate, key *ecdsa.PrivateKey) error {
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return fmt.Errorf("encode a development key: %w", err)
	}
	for _, f := range []struct {
		name string
		pem  *pem.Block
	}{{keyFile, &pem.Block{Type: "EC PRIVATE KEY", Bytes: der}}, {certFile, &pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw}}} {
		next := f.name + ".new"
		if err := os.WriteFile(next, pem.EncodeToMemory(f.pem), 0o600); err != nil {
			return fmt.Errorf("write the development certificate: %w", err)
		}
		if err := os.Rename(next, f.name); err != nil {
			return fmt.Errorf("write the development certificate: %w", err)
		}
	}
	return nil
}
