package conformance

import (
	"bufio"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// A tarpit is a host that takes connections and does not let go of them, each in
// its own way, until the test ends.
type tarpit struct {
	addr   string
	taken  atomic.Int64 // connections, ever
	closed chan struct{}
}

// newTarpit starts one. talk is what it does with a connection before it hangs.
func newTarpit(t *testing.T, talk func(c net.Conn, closed <-chan struct{})) *tarpit {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &tarpit{addr: l.Addr().String(), closed: make(chan struct{})}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			p.taken.Add(1)
			all.Go(func() {
				defer func() { _ = c.Close() }()
				talk(c, p.closed)
				<-p.closed
			})
		}
	})
	t.Cleanup(func() {
		close(p.closed)
		_ = l.Close()
		all.Wait()
	})
	return p
}

func silent(net.Conn, <-chan struct{}) {}

// endless answers with a body that does not end, as fast as it is read.
func endless(c net.Conn, closed <-chan struct{}) {
	_, _ = bufio.NewReader(c).ReadString('\n')
	_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n")
	junk := strings.Repeat(" ", 4096)
	for {
		select {
		case <-closed:
			return
		default:
		}
		if _, err := io.WriteString(c, junk); err != nil {
			return
		}
	}
}

// begun answers with a header and the beginning of a body, and no more.
func begun(c net.Conn, _ <-chan struct{}) {
	_, _ = bufio.NewReader(c).ReadString('\n')
	_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 9000\r\n\r\n{")
}

// A siege is many requests from one address that have all been sent, whose answers
// nobody has read yet.
type siege struct{ conns []net.Conn }

// besiege sends each of requests n times from 127.0.0.2, which is not where the
// tests' browsers come from.
func besiege(t *testing.T, d *deployment, n int, requests ...string) *siege {
	t.Helper()
	s := &siege{}
	t.Cleanup(func() {
		for _, c := range s.conns {
			_ = c.Close()
		}
	})
	at := strings.Replace(strings.TrimPrefix(d.issuer, "http://"), "localhost", "127.0.0.1", 1)
	from := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
	for i := range n {
		c, err := from.DialContext(t.Context(), "tcp", at)
		if err != nil {
			t.Fatal(err)
		}
		s.conns = append(s.conns, c)
		if _, err := io.WriteString(c, requests[i%len(requests)]); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// answers reads what every request was told: how often each status and error.
func (s *siege) answers(t *testing.T) map[string]int {
	t.Helper()
	told := map[string]int{}
	for _, c := range s.conns {
		r, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatal(err)
		}
		text := body(t, r)
		var said struct {
			Error string `json:"error"`
		}
		_ = unmarshal(text, &said)
		if to, err := r.Location(); err == nil {
			said.Error = to.Query().Get("error")
		}
		told[fmt.Sprintf("%d %s", r.StatusCode, said.Error)]++
	}
	return told
}

func raw(method, path string, d *deployment, form url.Values) string {
	host := strings.TrimPrefix(d.issuer, "http://")
	if method == http.MethodGet {
		return "GET " + path + "?" + form.Encode() + " HTTP/1.1\r\nHost: " + host + "\r\nConnection: close\r\n\r\n"
	}
	return posted(path, host, "application/x-www-form-urlencoded", form.Encode())
}

func posted(path, host, kind, text string) string {
	return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s", path, host, kind, len(text), text)
}

// unsigned is an assertion of client that only its keys can prove wrong.
func unsigned(d *deployment, client string) string {
	b64 := base64.RawURLEncoding.EncodeToString
	return b64([]byte(`{"alg":"RS256","kid":"a"}`)) + "." + b64(fmt.Appendf(nil, `{"iss":%q,"sub":%q,"aud":%q,"exp":4000000000,"jti":"x"}`, client, client, d.issuer)) + "." + b64(make([]byte, 256))
}

func asserted(d *deployment, client string, pairs ...string) url.Values {
	v := url.Values{
		"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}, "client_assertion": {unsigned(d, client)},
	}
	for i := 0; i+1 < len(pairs); i += 2 {
		v.Set(pairs[i], pairs[i+1])
	}
	return v
}

// onBoth is everywhere with settings.
func onBoth(t *testing.T, f func(t *testing.T, d *deployment), env ...string) {
	t.Helper()
	t.Parallel()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		f(t, embedded(t, env...))
	})
	t.Run("postgres and redis on two nodes", func(t *testing.T) {
		t.Parallel()
		f(t, cluster(t, env...))
	})
}

// TestHangingAddressesCloseNoDoor: whoever may choose an address that this server
// asks may choose one that hangs. While every request that waits for it is under
// way, people elsewhere sign in and applications get their tokens.
func TestHangingAddressesCloseNoDoor(t *testing.T) {
	onBoth(t, func(t *testing.T, d *deployment) {
		a := shop(t, d)
		host := strings.TrimPrefix(d.issuer, "http://")
		hosts := map[string]*tarpit{"silent": newTarpit(t, silent), "endless": newTarpit(t, endless), "begun": newTarpit(t, begun)}
		keyed := func(id, address string) {
			d.client(t, id, "--type", "machine", "--auth-method", "private_key_jwt", "--jwks-uri", address)
		}
		for kind, h := range hosts {
			d.client(t, "jar-"+kind, "--type", "web", "--redirect-uri", callback, "--request-uri", "http://"+h.addr+"/object")
			keyed("keyed-"+kind, "http://"+h.addr+"/jwks")
		}
		silence := hosts["silent"]
		d.client(t, "jar-tls", "--type", "web", "--redirect-uri", callback, "--request-uri", "https://"+silence.addr+"/object")
		for _, id := range []string{"par", "introspect", "revoke", "device"} {
			keyed("keyed-"+id, "http://"+silence.addr+"/jwks/"+id)
		}
		d.client(t, "signing", "--type", "web", "--redirect-uri", callback, "--jwks-uri", "http://"+silence.addr+"/jwks/signing")
		d.client(t, "pictured", "--type", "web", "--redirect-uri", callback, "--logo-uri", "http://"+silence.addr+"/logo.png")
		authorize := func(client, name, value string) string {
			return raw(http.MethodGet, "/oauth2/authorize", d, url.Values{
				"client_id": {client}, "response_type": {"code"}, "scope": {"openid"}, "redirect_uri": {callback}, name: {value},
			})
		}
		register := fmt.Sprintf(`{"redirect_uris":[%q],"sector_identifier_uri":"https://%s/sector","subject_type":"pairwise"}`, callback, silence.addr)
		for _, tt := range []struct {
			name    string
			n       int
			request []string
			told    string
		}{
			{"a request object", 300, []string{authorize("jar-silent", "request_uri", "http://"+silence.addr+"/object")}, "303 invalid_request_uri"},
			{"a request object without an end, and one that stops", 300, []string{
				authorize("jar-endless", "request_uri", "http://"+hosts["endless"].addr+"/object"),
				authorize("jar-begun", "request_uri", "http://"+hosts["begun"].addr+"/object"),
			}, "303 invalid_request_uri"},
			{"a handshake", 300, []string{authorize("jar-tls", "request_uri", "https://"+silence.addr+"/object")}, "303 invalid_request_uri"},
			{"the keys of a request object", 300, []string{authorize("signing", "request", unsigned(d, "signing"))}, "303 invalid_request_object"},
			{"the keys of a client", 600, []string{
				raw(http.MethodPost, "/oauth2/token", d, asserted(d, "keyed-silent", "grant_type", "client_credentials")),
				raw(http.MethodPost, "/oauth2/token", d, asserted(d, "keyed-endless", "grant_type", "client_credentials")),
				raw(http.MethodPost, "/oauth2/token", d, asserted(d, "keyed-begun", "grant_type", "client_credentials")),
			}, "401 invalid_client"},
			{"keys at every other endpoint", 600, []string{
				raw(http.MethodPost, "/oauth2/par", d, asserted(d, "keyed-par", "response_type", "code")),
				raw(http.MethodPost, "/oauth2/introspect", d, asserted(d, "keyed-introspect", "token", "x")),
				raw(http.MethodPost, "/oauth2/revoke", d, asserted(d, "keyed-revoke", "token", "x")),
				raw(http.MethodPost, "/oauth2/device_authorization", d, asserted(d, "keyed-device", "scope", "openid")),
			}, "401 invalid_client"},
			{"a logo", 300, []string{raw(http.MethodGet, "/logo/pictured", d, nil)}, "404 "},
			{"the document of a sector", 300, []string{posted("/oidc/register", host, "application/json", register)}, "400 invalid_client_metadata"},
		} {
			s := besiege(t, d, tt.n, tt.request...)
			for range 15 {
				a.tokens(newBrowser(t, d.issuer), ana, anaPassword)
			}
			if told := s.answers(t); told[tt.told] != tt.n {
				t.Errorf("%s: told %v, want %d times %s", tt.name, told, tt.n, tt.told)
			}
		}
		// One flight per address and node, and a hanging one is not asked again at once.
		if n := silence.taken.Load(); n > int64(9*len(d.nodes)*3) {
			t.Errorf("the silent host was asked %d times by %d nodes", n, len(d.nodes))
		}
	}, "GATEKEEPER_REGISTRATION=open")
}

// TestRequestObjectIsFetchedOnce: an object at an address is asked for once in a
// while, however many guests name it, and a new version at once.
func TestRequestObjectIsFetchedOnce(t *testing.T) {
	onBoth(t, func(t *testing.T, d *deployment) {
		var asked atomic.Int64
		object := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			asked.Add(1)
			w.Header().Set("Content-Type", "application/oauth-authz-req+jwt")
			_, _ = io.WriteString(w, "not.an.object")
		}))
		t.Cleanup(object.Close)
		d.client(t, "jar", "--type", "web", "--redirect-uri", callback, "--request-uri", object.URL+"/object")
		ask := func(version string) {
			for range 50 {
				r := newBrowser(t, d.issuer).get(d.issuer + "/oauth2/authorize?" + url.Values{
					"client_id": {"jar"}, "response_type": {"code"}, "scope": {"openid"}, "redirect_uri": {callback}, "request_uri": {object.URL + "/object" + version},
				}.Encode())
				if r.left == nil || r.left.Query().Get("error") != "invalid_request_object" {
					t.Fatalf("told %s", r)
				}
			}
		}
		ask("")
		first, nodes := asked.Load(), int64(len(d.nodes))
		ask("#version-two")
		if first != nodes || asked.Load() != 2*nodes {
			t.Errorf("asked %d times, and %d after a new version, by %d nodes", first, asked.Load(), nodes)
		}
	})
}
