package fetch

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestGet(t *testing.T) {
	t.Parallel()
	var got http.Header
	var uri string
	c, address := serve(t, func(w http.ResponseWriter, r *http.Request) {
		got, uri = r.Header.Clone(), r.RequestURI
		w.Header().Set("Content-Type", "Application/JSON; charset=utf-8")
		w.Header().Set("Cache-Control", "max-age=60")
		w.Header().Set("Set-Cookie", "a=b")
		_, _ = w.Write([]byte(`{"keys":[]}`))
	})
	for range 2 { // the second would bring the cookie back
		doc, err := c.Get(t.Context(), address+"/jwks?a=b#fragment", Want{Accept: []string{"application/jwk-set+json", "application/json"}})
		if err != nil {
			t.Fatal(err)
		}
		want := Document{Body: []byte(`{"keys":[]}`), ContentType: "application/json", MaxAge: time.Minute}
		if diff := cmp.Diff(want, doc); diff != "" {
			t.Error(diff)
		}
	}
	sent := http.Header{
		"Accept": {"application/jwk-set+json, application/json"}, "User-Agent": {"Gatekeeper"}, "Connection": {"close"},
	}
	if diff := cmp.Diff(sent, got); diff != "" || uri != "/jwks?a=b" {
		t.Errorf("%s: %s", uri, diff)
	}
}

func TestGetRefusesAnswers(t *testing.T) {
	t.Parallel()
	var squeezed bytes.Buffer
	z := gzip.NewWriter(&squeezed)
	_, _ = z.Write(make([]byte, 10<<20))
	_ = z.Close()
	elsewhere := atomic.Int32{}
	target := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere.Add(1) }))
	t.Cleanup(target.Close)
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		want   error
	}{
		"redirect": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, target.URL, http.StatusFound)
		}, ErrRefused},
		"not modified":      {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotModified) }, ErrRefused},
		"not found":         {http.NotFound, ErrUnreachable},
		"server error":      {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }, ErrUnreachable},
		"no content":        {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }, ErrUnreachable},
		"another type":      {says("text/html", "<p>"), ErrRefused},
		"no type":           {func(w http.ResponseWriter, _ *http.Request) { w.Header()["Content-Type"] = nil; w.WriteHeader(200) }, ErrRefused},
		"a type that is no": {says("json;;=", "{}"), ErrRefused},
		"one byte too many": {says("application/json", strings.Repeat(" ", 1025)), ErrRefused},
		"without an end": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			for r.Context().Err() == nil {
				if _, err := w.Write(make([]byte, 4096)); err != nil {
					return
				}
			}
		}, ErrRefused},
		"compressed bomb": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write(squeezed.Bytes())
		}, ErrRefused},
		"shorter than it says": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Content-Length", "100")
			_, _ = w.Write([]byte("{"))
		}, ErrUnreachable},
		"headers without an end": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X", strings.Repeat("x", 2*maxHeader))
			_, _ = w.Write([]byte("{}"))
		}, ErrUnreachable},
		"a body that never comes": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		}, ErrUnreachable},
		"an answer that never comes": {func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, ErrUnreachable},
		"exactly enough":             {says("application/json", strings.Repeat(" ", 1024)), nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client, address := serve(t, c.answer, func(cfg *Config) {
				if strings.Contains(name, "never comes") {
					cfg.Timeout = 100 * time.Millisecond
				}
			})
			_, err := client.Get(t.Context(), address, Want{Accept: []string{"application/json"}, MaxBytes: 1024})
			if !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
			if err != nil && strings.Contains(err.Error(), address) {
				t.Errorf("the error tells the address: %v", err)
			}
		})
	}
	t.Cleanup(func() {
		if elsewhere.Load() != 0 {
			t.Error("the redirect was followed")
		}
	})
}

func TestPostForm(t *testing.T) {
	t.Parallel()
	c, address := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost || r.PostFormValue("logout_token") != "a b+c" || r.ContentLength <= 0 {
			t.Errorf("%s %v", r.Method, r.PostForm)
		}
		switch r.URL.Path {
		case "/moved":
			http.Redirect(w, r, "/ok", http.StatusTemporaryRedirect)
		case "/bad":
			w.WriteHeader(http.StatusBadRequest)
		}
	})
	for path, want := range map[string]int{"/ok": 200, "/bad": 400, "/moved": 307} {
		got, err := c.PostForm(t.Context(), address+path, url.Values{"logout_token": {"a b+c"}})
		if err != nil || got != want {
			t.Errorf("%s: %d, %v", path, got, err)
		}
	}
	if _, err := c.PostForm(t.Context(), "http://localhost/", nil); !errors.Is(err, ErrRefused) {
		t.Errorf("plain http: %v", err)
	}
}

func TestWhoIsDialled(t *testing.T) {
	t.Parallel()
	home, private, public := netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("8.8.8.8")
	for name, c := range map[string]struct {
		host    string
		answers [][]netip.Addr
		want    error
	}{
		"allowed loopback":                       {"example.com", [][]netip.Addr{{home}}, nil},
		"loopback as IPv6":                       {"example.com", [][]netip.Addr{{netip.AddrFrom16(home.As16())}}, nil},
		"looked up once, so rebinding is late":   {"example.com", [][]netip.Addr{{home}, {private}}, nil},
		"rebound from the start":                 {"example.com", [][]netip.Addr{{private}, {home}}, ErrRefused},
		"one good, one bad":                      {"example.com", [][]netip.Addr{{home, private}}, ErrRefused},
		"one bad, one good":                      {"example.com", [][]netip.Addr{{private, public}}, ErrRefused},
		"the metadata service":                   {"example.com", [][]netip.Addr{{netip.MustParseAddr("169.254.169.254")}}, ErrRefused},
		"the metadata service, mapped":           {"example.com", [][]netip.Addr{{netip.MustParseAddr("::ffff:169.254.169.254")}}, ErrRefused},
		"no address":                             {"example.com", nil, ErrUnreachable},
		"written as an address, not resolved":    {"127.0.0.1", nil, nil},
		"written as a forbidden address":         {"192.168.0.1", nil, ErrRefused},
		"written as a mapped, forbidden address": {"[::ffff:10.0.0.1]", nil, ErrRefused},
		"a name of another certificate":          {"other.test", [][]netip.Addr{{home}}, ErrUnreachable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client, address := serve(t, says("application/json", "{}"), func(cfg *Config) {
				cfg.Resolve = names(map[string][][]netip.Addr{c.host: c.answers})
			})
			_, err := client.Get(t.Context(), at(t, address, c.host), Want{})
			if !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
}

// The socket is asked too, should anything ever dial around the check of names.
func TestTheSocketIsAskedToo(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]error{"10.0.0.1:443": ErrRefused, "[::1]:443": ErrRefused, "8.8.8.8:443": nil, "/run/socket": ErrRefused} {
		if err := (dialer{}).control(t.Context(), "tcp", address, nil); !errors.Is(err, want) {
			t.Errorf("%s: %v", address, err)
		}
	}
}

func TestTLSIsDemanded(t *testing.T) {
	t.Parallel()
	old := httptest.NewUnstartedServer(says("application/json", "{}"))
	old.TLS = &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}
	old.StartTLS()
	t.Cleanup(old.Close)
	client := newClient(t, func(cfg *Config) { cfg.Allow, cfg.Roots = loopback, []*x509.Certificate{old.Certificate()} })
	if _, err := client.Get(t.Context(), old.URL, Want{}); !errors.Is(err, ErrUnreachable) {
		t.Errorf("TLS 1.1: %v", err)
	}
	_, address := serve(t, says("application/json", "{}"))
	stranger := newClient(t, func(cfg *Config) { cfg.Allow = loopback })
	if _, err := stranger.Get(t.Context(), address, Want{}); !errors.Is(err, ErrUnreachable) {
		t.Errorf("an authority nobody believes: %v", err)
	}
}

func TestPlainHTTPIsForAllowedLoopback(t *testing.T) {
	t.Parallel()
	s := httptest.NewServer(says("application/json", "{}"))
	t.Cleanup(s.Close)
	for name, c := range map[string]struct {
		set  func(*Config)
		want error
	}{
		"by default":    {func(cfg *Config) { cfg.Allow = loopback }, ErrRefused},
		"not allowed":   {func(cfg *Config) { cfg.DangerouslyAllowHTTP = true }, ErrRefused},
		"allowed":       {func(cfg *Config) { cfg.DangerouslyAllowHTTP, cfg.Allow = true, loopback }, nil},
		"not loopback":  {func(cfg *Config) { cfg.DangerouslyAllowHTTP, cfg.Allow = true, prefixes("10.0.0.0/8") }, ErrRefused},
		"other address": {func(cfg *Config) { cfg.DangerouslyAllowHTTP, cfg.Allow = true, prefixes("127.0.0.2/32") }, ErrRefused},
	} {
		if _, err := newClient(t, c.set).Get(t.Context(), s.URL, Want{}); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestOneHostIsAskedSoOftenAtOneTime(t *testing.T) {
	t.Parallel()
	inside, open := make(chan struct{}), make(chan struct{})
	c, address := serve(t, func(http.ResponseWriter, *http.Request) {
		inside <- struct{}{}
		<-open
	}, func(cfg *Config) { cfg.PerHost = 2 })
	errs := make(chan error)
	for range 2 {
		go func() {
			_, err := c.PostForm(t.Context(), address, nil)
			errs <- err
		}()
		<-inside
	}
	gone, leave := context.WithCancel(t.Context())
	leave()
	if _, err := c.PostForm(gone, address, nil); !errors.Is(err, ErrUnreachable) || !errors.Is(err, context.Canceled) {
		t.Errorf("a third: %v", err)
	}
	close(open)
	for range 2 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	if n := len(c.lanes.hosts); n != 0 {
		t.Errorf("%d hosts are remembered", n)
	}
}

func TestFetchJWKS(t *testing.T) {
	t.Parallel()
	c, address := serve(t, says("application/jwk-set+json", `{"keys":[]}`))
	body, age, err := c.FetchJWKS(t.Context(), address)
	if err != nil || string(body) != `{"keys":[]}` || age != Unsaid {
		t.Errorf("%s, %s, %v", body, age, err)
	}
	c, address = serve(t, says("text/html", "<p>"))
	if _, _, err := c.FetchJWKS(t.Context(), address); !errors.Is(err, ErrRefused) {
		t.Errorf("a page: %v", err)
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	now := func() time.Time { return epoch }
	for name, cfg := range map[string]Config{"no clock": {}, "negative": {Now: now, Timeout: -1}, "negative lanes": {Now: now, PerHost: -1}} {
		if _, err := New(cfg); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func ExampleClient_Check() {
	c, err := New(Config{Now: time.Now})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(c.Check("https://app.example.org/jwks.json"))
	fmt.Println(c.Check("http://169.254.169.254/latest/meta-data"))
	// Output:
	// <nil>
	// fetch: refused: the address is not https
}
