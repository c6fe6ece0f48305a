package conformance

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// edge is a certificate for localhost that this process believes in, so that the
// applications of other people's making (go-oidc, x/oauth2) do too.
type edge struct {
	certFile, keyFile, bothFile string
}

var theEdge = sync.OnceValues(func() (*edge, error) {
	dir, err := os.MkdirTemp("", "gatekeeper-edge")
	if err != nil {
		return nil, err
	}
	certificate, der, err := makeCertificate()
	if err != nil {
		return nil, err
	}
	key, err := x509.MarshalPKCS8PrivateKey(certificate.PrivateKey)
	if err != nil {
		return nil, err
	}
	e := &edge{filepath.Join(dir, "edge.crt"), filepath.Join(dir, "edge.key"), filepath.Join(dir, "edge.pem")}
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})
	for file, text := range map[string][]byte{e.certFile: certPEM, e.keyFile: keyPEM, e.bothFile: append(certPEM, keyPEM...)} {
		if err := os.WriteFile(file, text, 0o600); err != nil {
			return nil, err
		}
	}
	roots := x509.NewCertPool()
	roots.AddCert(certificate.Leaf)
	http.DefaultTransport.(*http.Transport).TLSClientConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12} //nolint:forcetypeassert // it is one
	return e, nil
})

// A recipe is what docs/deployment.md tells people to put in front.
type recipe struct {
	name, file string
	// plain and secure are how the recipe writes its two ports, with %s for the
	// test's address.
	plain, secure [2]string
	// begin returns the command that serves the finished text from dir.
	begin func(t *testing.T, dir, text string) *exec.Cmd
}

var recipes = []recipe{
	{"nginx", "nginx.conf", [2]string{"listen 80;", "listen %s;"}, [2]string{"listen 443 ssl", "listen %s ssl"}, nginx},
	{"Caddy", "Caddyfile", [2]string{"", ""}, [2]string{"id.example.org {", "https://id.example.org:%p {\n\tbind 127.0.0.1\n\ttls CERT KEY\n"}, caddy},
	{"HAProxy", "haproxy.cfg", [2]string{"bind :80", "bind %s"}, [2]string{"bind :443", "bind %s"}, haproxy},
	{"Apache", "apache.conf", [2]string{"<VirtualHost *:80>", "Listen %s\n<VirtualHost %s>"}, [2]string{"<VirtualHost *:443>", "Listen %s\n<VirtualHost %s>"}, apache},
}

// program finds an installed program, in the folders of services too.
func program(t *testing.T, names ...string) string {
	t.Helper()
	for _, n := range names {
		for _, dir := range append(filepath.SplitList(os.Getenv("PATH")), "/usr/sbin", "/usr/local/sbin", "/opt/homebrew/bin") {
			if p, err := exec.LookPath(filepath.Join(dir, n)); err == nil {
				return p
			}
		}
	}
	if os.Getenv("CI") != "" {
		t.Fatalf("none of %v is installed; run the tests through make test", names)
	}
	t.Skipf("none of %v is installed; make test installs it", names)
	return ""
}

func write(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func nginx(t *testing.T, dir, text string) *exec.Cmd {
	t.Helper()
	conf := write(t, dir, "nginx.conf", "daemon off;\nmaster_process off;\nworker_processes 1;\npid "+dir+"/pid;\nerror_log stderr;\nevents {}\nhttp {\naccess_log off;\n"+
		"client_body_temp_path "+dir+"/b;\nproxy_temp_path "+dir+"/p;\nfastcgi_temp_path "+dir+"/f;\nuwsgi_temp_path "+dir+"/u;\nscgi_temp_path "+dir+"/s;\n"+text+"\n}\n")
	return exec.Command(program(t, "nginx"), "-p", dir, "-c", conf, "-e", "stderr")
}

func caddy(t *testing.T, dir, text string) *exec.Cmd {
	t.Helper()
	conf := write(t, dir, "Caddyfile", "{\n\tadmin off\n\tauto_https disable_redirects\n\tskip_install_trust\n\tstorage file_system "+dir+"\n}\n"+text)
	return exec.Command(program(t, "caddy"), "run", "--config", conf, "--adapter", "caddyfile")
}

func haproxy(t *testing.T, dir, text string) *exec.Cmd {
	t.Helper()
	return exec.Command(program(t, "haproxy"), "-db", "-f", write(t, dir, "haproxy.cfg", text))
}

func apache(t *testing.T, dir, text string) *exec.Cmd {
	t.Helper()
	modules := ""
	for _, d := range []string{"/usr/lib/apache2/modules", "/usr/lib64/httpd/modules", "/usr/lib/httpd/modules", "/opt/homebrew/lib/httpd/modules"} {
		if _, err := os.Stat(filepath.Join(d, "mod_proxy.so")); err == nil {
			modules = d
		}
	}
	head := "ServerName localhost\nServerRoot " + dir + "\nPidFile " + dir + "/pid\nErrorLog " + dir + "/errors\nMutex file:" + dir + "\n"
	for _, m := range []string{"mpm_event", "unixd", "authz_core", "alias", "ssl", "socache_shmcb", "http2", "headers", "proxy", "proxy_http"} {
		if so := filepath.Join(modules, "mod_"+m+".so"); fileExists(so) { // built in where it is no file
			head += "LoadModule " + m + "_module " + so + "\n"
		}
	}
	if os.Geteuid() == 0 {
		head += "User nobody\nGroup nogroup\n"
		if !strings.Contains(readFile(t, "/etc/group"), "nogroup:") {
			head = strings.Replace(head, "nogroup", "nobody", 1)
		}
	}
	return exec.Command(program(t, "apache2", "httpd"), "-X", "-f", write(t, dir, "apache.conf", head+text))
}

func fileExists(path string) bool { _, err := os.Stat(path); return err == nil }

func readFile(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// A proxied deployment has a real proxy in front of its node, serving a recipe.
type proxied struct {
	*deployment

	plain string // address of its port 80
	text  string // the configuration it runs
}

// newProxied runs a recipe, changed only in names, ports and files, in front of a
// node whose issuer has this path.
func newProxied(t *testing.T, rc recipe, path string, change func(text string) string, env ...string) *proxied {
	t.Helper()
	e, err := theEdge()
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "front") //nolint:usetesting // the proxy's own user must reach it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	secure, node := freePort(t), "127.0.0.1:"+freePort(t)
	f := &proxied{plain: "127.0.0.1:" + freePort(t), deployment: &deployment{name: rc.name, issuer: "https://localhost:" + secure + path}}
	text := change(readFile(t, filepath.Join("..", "deploy", "proxy", rc.file)))
	for _, port := range []struct {
		written [2]string
		address string
	}{{rc.plain, f.plain}, {rc.secure, "127.0.0.1:" + secure}} {
		if port.written[0] == "" {
			continue
		}
		if !strings.Contains(text, port.written[0]) {
			t.Fatalf("the recipe has no %q any more", port.written[0])
		}
		text = strings.ReplaceAll(text, port.written[0], strings.NewReplacer("%s", port.address, "%p", secure, "CERT", e.certFile, "KEY", e.keyFile).Replace(port.written[1]))
	}
	f.text = strings.NewReplacer(
		"/etc/ssl/id.example.org.crt", e.certFile, "/etc/ssl/id.example.org.key", e.keyFile, "/etc/ssl/id.example.org.pem", e.bothFile,
		"127.0.0.1:8080", node, "id.example.org", "localhost",
	).Replace(text)
	f.env = append([]string{
		"GATEKEEPER_ISSUER=" + f.issuer, "GATEKEEPER_DATA_DIR=" + t.TempDir(), "GATEKEEPER_TLS=off",
		"GATEKEEPER_TRUSTED_PROXIES=127.0.0.1/32", "GATEKEEPER_RATE_LIMIT_FACTOR=1000", "SSL_CERT_FILE=" + e.certFile,
	}, env...)
	f.start(t, node)
	cmd := rc.begin(t, dir, f.text)
	log := &syncBuffer{}
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Env = append(os.Environ(), "HOME="+dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	gone := make(chan struct{})
	go func() { _ = cmd.Wait(); close(gone) }()
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM)
		<-gone
	})
	poll(t, rc.name+" answers", func() bool {
		select {
		case <-gone:
			t.Fatalf("%s ended:\n%s", rc.name, log)
		default:
		}
		c, err := net.Dial("tcp", "127.0.0.1:"+secure)
		if err != nil {
			return false
		}
		return c.Close() == nil
	})
	if rc.name == "HAProxy" { // it looks whether the node is there before it sends anybody
		poll(t, "HAProxy sees the node", func() bool {
			r := askFrom(t, "127.0.0.1", f.issuer+"/healthz", "")
			return r.status != http.StatusServiceUnavailable
		})
	}
	return f
}

// askFrom sends a GET from an address of this computer, with a forged list of
// proxies if there is one, and follows nothing.
func askFrom(t *testing.T, source, target, forged string) reply {
	t.Helper()
	own := http.DefaultTransport.(*http.Transport).Clone()
	own.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(source)}}
		return d.DialContext(ctx, "tcp4", address)
	}
	defer own.CloseIdleConnections()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, target, nil)
	if err != nil {
		t.Fatal(err)
	}
	if forged != "" {
		req.Header.Set("X-Forwarded-For", forged)
		req.Header.Set("X-Forwarded-Proto", "http")
	}
	res, err := own.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	return reply{status: res.StatusCode, header: res.Header, text: body(t, res)}
}

// TestProxyRecipes runs what the documents tell people to put in front, with TLS,
// at the root of a host and below a path.
func TestProxyRecipes(t *testing.T) {
	t.Parallel()
	if _, err := theEdge(); err != nil {
		t.Fatal(err)
	}
	for _, rc := range recipes {
		for _, path := range []string{"", "/id"} {
			t.Run(rc.name+" "+path, func(t *testing.T) {
				t.Parallel()
				f := newProxied(t, rc, path, func(text string) string { return text })
				secret := f.client(t, "shop", "--type", "web", "--redirect-uri", callback, "--scope", "openid,profile,email,offline_access")
				f.user(t, ana, anaPassword)
				a := newApp(t, f.deployment, "shop", secret, callback)
				b := newBrowser(t, f.issuer)
				tr := a.begin("unknown", strings.Repeat("x", 7_000)) // requests may be long
				tok, _ := a.redeem(tr, a.login(b, tr, ana, anaPassword))
				if _, err := a.refresh(tok.RefreshToken); err != nil {
					t.Error(err)
				}
				if r := a.userinfo(tok.AccessToken); r.status != http.StatusOK {
					t.Errorf("userinfo answered %d", r.status)
				}
				f.namesThePerson(t)
				f.sendsToHTTPS(t, rc, path)
			})
		}
	}
}

// namesThePerson holds the proxy to telling the person's address, and us to not
// believing what the person wrote into the same header.
func (f *proxied) namesThePerson(t *testing.T) {
	t.Helper()
	source := "127.7.7.7"
	if c, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(source)}}).Dial("tcp4", f.plain); err == nil {
		_ = c.Close()
	} else if _, bind := err.(*net.OpError); bind && strings.Contains(err.Error(), "assign") {
		return // a computer with one loopback address
	}
	if r := askFrom(t, source, f.issuer+"/login", "203.0.113.9"); r.status >= 300 && r.status != http.StatusSeeOther {
		t.Fatalf("/login through the proxy answered %d: %s", r.status, r.text)
	}
	poll(t, "the log names the person's network", func() bool { return strings.Contains(f.nodes[0].log.String(), "127.7.7.0/24") })
	if strings.Contains(f.nodes[0].log.String(), "203.0.113") {
		t.Error("an address that the person made up was believed")
	}
}

func (f *proxied) sendsToHTTPS(t *testing.T, rc recipe, path string) {
	t.Helper()
	if rc.plain[0] == "" {
		return // Caddy's own, on a port that only root may have
	}
	u, err := url.Parse("http://" + f.plain + path + "/login?x=1")
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, u.String(), nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = "localhost"
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = body(t, res)
	if want := "https://localhost" + path + "/login?x=1"; res.StatusCode/100 != 3 || res.Header.Get("Location") != want {
		t.Errorf("plain http was answered %d to %q, want a redirect to %s", res.StatusCode, res.Header.Get("Location"), want)
	}
}

// TestProxyMistakes makes the mistakes of a first proxy, each of which used to send
// people round in circles: page, log and doctor name the setting.
func TestProxyMistakes(t *testing.T) {
	t.Parallel()
	if _, err := theEdge(); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, event, mend string
		change            func(text string) string
		env               []string
	}{
		{
			"no scheme", "proxy_sends_no_scheme", "X-Forwarded-Proto",
			func(text string) string {
				return strings.Replace(text, "proxy_set_header X-Forwarded-Proto $scheme;", "", 1)
			}, nil,
		},
		{
			"not trusted", "proxy_not_trusted", "GATEKEEPER_TRUSTED_PROXIES",
			func(text string) string { return text },
			[]string{"GATEKEEPER_TRUSTED_PROXIES=192.0.2.0/24"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := newProxied(t, recipes[0], "", tt.change, tt.env...)
			for _, at := range []string{"/login", "/.well-known/openid-configuration", "/oidc/jwks", "/oauth2/authorize?client_id=x"} {
				r := askFrom(t, "127.0.0.1", f.issuer+at, "")
				if r.status != http.StatusBadRequest || !strings.Contains(r.text, tt.mend) {
					t.Errorf("%s was answered %d: %s", at, r.status, tail(r.text, 400))
				}
			}
			if log := f.nodes[0].log.String(); strings.Count(log, `"event":"`+tt.event+`"`) != 1 {
				t.Errorf("the log should tell of %s once:\n%s", tt.event, tail(log, 2000))
			}
			out, _, err := f.try(t, "", "doctor")
			if err == nil || !strings.Contains(out, tt.mend) {
				t.Errorf("doctor does not name the mistake: %v\n%s", err, out)
			}
		})
	}
}
