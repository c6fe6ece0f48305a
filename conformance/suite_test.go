package conformance

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatekeeper-oidc/gatekeeper/conformance/suite"
	"github.com/gatekeeper-oidc/gatekeeper/conformance/suite/profiles"
)

// skips are the modules that may be skipped, and why: what they are about is not
// offered, on purpose (docs/conformance.md).
var skips = map[string]string{
	"idtoken-unsigned":                        "no ID token without a signature",
	"ensure-request-object-with-redirect-uri": "no request object without a signature",
	"request-uri-unsigned":                    "no request object without a signature",
	"request-uri-unsigned-supported-correctly-or-rejected-as-unsupported":    "no request object without a signature",
	"unsigned-request-object-supported-correctly-or-rejected-as-unsupported": "no request object without a signature",
}

// TestProfiles runs every profile of our suite against the running program, on
// both stores, behind a proxy that speaks TLS: everything passes but skips.
func TestProfiles(t *testing.T) {
	t.Parallel()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		runProfiles(t, public(t, func(*testing.T) []string { return nil }, 1))
	})
	t.Run("postgres and redis on two nodes", func(t *testing.T) {
		t.Parallel()
		runProfiles(t, public(t, func(t *testing.T) []string {
			service(t, "GATEKEEPER_TEST_POSTGRES")
			redis := service(t, "GATEKEEPER_TEST_REDIS")
			return []string{
				"GATEKEEPER_DATABASE_URL=" + EmptyPostgres(t, os.Getenv), "GATEKEEPER_REDIS_URL=" + redis,
				"GATEKEEPER_SECRET=a-root-secret-for-tests-that-is-long-enough", "GATEKEEPER_NODES=2",
			}
		}, 2))
	})
}

// A published deployment is one behind a proxy that speaks TLS.
type published struct {
	*deployment
	roots *x509.CertPool
	desk  *suite.Desk
	spoil atomic.Pointer[spoiler]
	pages *suite.Configuration // as it was printed
}

// A spoiler stands in the way and makes answers wrong.
type spoiler struct {
	request func(w http.ResponseWriter, r *http.Request) (answered bool)
	answer  func(r *http.Response) error
}

// public starts nodes behind a proxy with a certificate, and a desk with the same
// one that the nodes may fetch from.
func public(t *testing.T, store func(t *testing.T) []string, nodes int) *published {
	t.Helper()
	more := store(t)
	certificate, caFile := testCertificate(t)
	roots := x509.NewCertPool()
	roots.AddCert(certificate.Leaf)
	p := &published{roots: roots}
	proxy, port := secureListener(t, certificate)
	desk, deskPort := secureListener(t, certificate)
	p.desk = suite.NewDesk("https://localhost:" + deskPort)
	serveOn(t, desk, p.desk)
	p.deployment = &deployment{name: t.Name(), issuer: "https://localhost:" + port}
	p.env = append([]string{
		"GATEKEEPER_ISSUER=" + p.issuer, "GATEKEEPER_DATA_DIR=" + t.TempDir(), "GATEKEEPER_TLS=off",
		"GATEKEEPER_TRUSTED_PROXIES=127.0.0.1/32", "GATEKEEPER_RATE_LIMIT_FACTOR=100000",
		"GATEKEEPER_RESPONSE_TYPES=code,id_token,id_token token,code id_token,code token,code id_token token",
		"GATEKEEPER_FETCH_ALLOW=127.0.0.0/8,::1/128", "GATEKEEPER_FETCH_CA=" + caFile,
		"GATEKEEPER_REGISTRATION=open", "GATEKEEPER_REGISTRATION_INSECURE_NO_PKCE=true",
	}, more...)
	if nodes > 1 {
		p.cli(t, "migrate", "up")
	}
	for range nodes {
		p.start(t, "127.0.0.1:"+freePort(t))
	}
	var turn atomic.Uint64
	balancer := &httputil.ReverseProxy{
		ModifyResponse: func(r *http.Response) error {
			if s := p.spoil.Load(); s != nil && s.answer != nil {
				return s.answer(r)
			}
			return nil
		},
		Rewrite: func(r *httputil.ProxyRequest) {
			n := p.nodes[turn.Add(1)%uint64(len(p.nodes))]
			r.SetURL(&url.URL{Scheme: "http", Host: n.listen})
			r.Out.Host = r.In.Host
			r.SetXForwarded()
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
	}
	serveOn(t, proxy, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s := p.spoil.Load(); s == nil || s.request == nil || !s.request(w, r) {
			balancer.ServeHTTP(w, r)
		}
	}))
	return p
}

func secureListener(t *testing.T, certificate tls.Certificate) (l net.Listener, port string) {
	t.Helper()
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{certificate}})
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ = net.SplitHostPort(l.Addr().String())
	return l, port
}

func serveOn(t *testing.T, l net.Listener, h http.Handler) {
	t.Helper()
	s := &http.Server{Handler: h, ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = s.Serve(l) }()
	t.Cleanup(func() { _ = s.Close() })
}

// testCertificate makes a certificate for this computer, and the file of who
// believes in it.
func testCertificate(t *testing.T) (certificate tls.Certificate, caFile string) {
	t.Helper()
	certificate, der, err := makeCertificate()
	if err != nil {
		t.Fatal(err)
	}
	caFile = filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(caFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return certificate, caFile
}

func makeCertificate() (certificate tls.Certificate, der []byte, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(60 * 24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	if der, err = x509.CreateCertificate(rand.Reader, template, template, key.Public(), key); err != nil {
		return tls.Certificate{}, nil, err
	}
	leaf, err := x509.ParseCertificate(der)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, der, err
}

// target is what a run of the suite needs: what `conformance seed` prepared, and
// the applications sign with a key the server knows.
func (p *published) target(t *testing.T) *suite.Target {
	t.Helper()
	official, pages, err := suite.ReadOfficial([]byte(p.cli(t, "conformance", "seed", "--suite-url", "https://suite.example", "-o", "json")))
	if err != nil {
		t.Fatal(err)
	}
	p.pages = pages
	key, err := suite.NewKey("application")
	if err != nil {
		t.Fatal(err)
	}
	keys := filepath.Join(t.TempDir(), "jwks.json")
	if err := os.WriteFile(keys, suite.JWKS(key), 0o600); err != nil {
		t.Fatal(err)
	}
	for i := range official.Clients {
		p.cli(t, "client", "update", official.Clients[i].ID, "--jwks-file", keys)
		official.Clients[i].Key = key
	}
	return &suite.Target{
		Issuer: p.issuer, Now: time.Now, Login: official.Login, Password: official.Password, Clients: official.Clients[:],
		Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: p.roots}, MaxIdleConnsPerHost: 16},
		Redirect:  official.Redirect, Desk: p.desk, Pause: time.Second,
		RotateKeys: func(context.Context) error {
			_, said, err := p.try(t, "", "key", "rotate", "--alg", "RS256", "--yes")
			if err != nil {
				return fmt.Errorf("rotate: %w: %s", err, said)
			}
			return nil
		},
	}
}

func runProfiles(t *testing.T, p *published) {
	t.Helper()
	target := p.target(t)
	held(t, suite.Runner{Target: target, Workers: 2}, profiles.All())
	// Once more for what the printed configuration fills in page by page, the way
	// the official suite does: one after another, or the person's oldest session
	// would be ended for the newest.
	printed := *target
	printed.Pages = p.pages
	held(t, suite.Runner{Target: &printed, Workers: 1}, slices.DeleteFunc(profiles.All(), func(one suite.Profile) bool {
		return !slices.Contains([]string{"basic", "rp-initiated-logout", "frontchannel-logout", "backchannel-logout"}, one.Name)
	}))
}

// held runs profiles, all of which must hold.
func held(t *testing.T, runner suite.Runner, all []suite.Profile) {
	t.Helper()
	report, err := runner.Run(t.Context(), all)
	if err != nil {
		t.Fatal(err)
	}
	for i := range report.Results {
		r := &report.Results[i]
		_, may := skips[r.Module]
		switch {
		case r.Outcome == suite.Passed, r.Outcome == suite.Skipped && may:
		default:
			t.Errorf("%s %s %s: %v", r.Outcome, r.Plan(), r.Module, r.Reasons)
		}
	}
	for _, want := range all {
		if !slices.ContainsFunc(report.Results, func(r suite.Result) bool { return r.Profile == want.Name && r.Outcome == suite.Passed }) {
			t.Errorf("nothing of the profile %s passed", want.Name)
		}
	}
	t.Logf("%d passed, %d skipped in %s", report.Count(suite.Passed), report.Count(suite.Skipped), report.Took)
}
