package fetch

import (
	"errors"
	"net/url"
	"strings"
	"testing"
)

func TestURLRules(t *testing.T) {
	t.Parallel()
	secure, plain := newClient(t, func(*Config) {}), newClient(t, func(c *Config) {
		c.DangerouslyAllowHTTP, c.Allow, c.Ports = true, loopback, []uint16{636, 5432}
	})
	for address, want := range map[string][2]bool{ // by default, with http allowed
		"https://app.example.org/jwks.json":                      {true, true},
		"https://app.example.org":                                {true, true},
		"https://app.example.org:8443/a?b=c#d":                   {true, true},
		"https://[2606:4700::1111]/":                             {true, true},
		"HTTPS://APP.example.org/":                               {true, true},
		"http://localhost:8080/jwks":                             {false, true},
		"https://localhost/jwks":                                 {false, true},
		"https://app.localhost./jwks":                            {false, true},
		"https://127.0.0.1/jwks":                                 {false, true},
		"https://[::1]:8443/jwks":                                {false, true},
		"https://[::ffff:127.0.0.1]/jwks":                        {false, true},
		"https://10.0.0.1/jwks":                                  {},
		"http://10.0.0.1/jwks":                                   {},
		"https://169.254.169.254/latest":                         {},
		"https://127.1/":                                         {},
		"https://2130706433/":                                    {},
		"https://0x7f000001/":                                    {},
		"https://app.example.org:80/":                            {true, true},
		"https://app.example.org:443/":                           {true, true},
		"https://app.example.org:22/":                            {},
		"https://app.example.org:25/":                            {},
		"https://app.example.org:1023/":                          {},
		"https://app.example.org:636/":                           {false, true},
		"https://app.example.org:5432/":                          {false, true},
		"https://app.example.org:6379/":                          {},
		"https://app.example.org:3306/":                          {},
		"https://app.example.org:6667/":                          {},
		"https://app.example.org:027017/":                        {},
		"":                                                       {},
		"/jwks":                                                  {},
		"app.example.org/jwks":                                   {},
		"//app.example.org/jwks":                                 {},
		"https:app.example.org":                                  {},
		"https:///jwks":                                          {},
		"https://:443/jwks":                                      {},
		"https://ana@app.example.org/":                           {},
		"https://ana:secret@app.example.org/":                    {},
		"https://@app.example.org/":                              {},
		"https://app.example.org:/":                              {},
		"https://app.example.org:0/":                             {},
		"https://app.example.org:65536/":                         {},
		"https://app.example.org:80x/":                           {},
		"https://app%2eexample.org/":                             {},
		"https://app%2f@evil.example.org/":                       {},
		"https://app.example.org%2f/":                            {},
		"https://[fe80::1%25eth0]/":                              {},
		"https://app.example.org\\@127.0.0.1/":                   {},
		"https://b\u00fccher.example/":                           {},
		"https://app.example.org/\u00e9":                         {},
		"https://app.example.org/a b":                            {},
		"https://app.example.org/\r\nHost: internal":             {},
		"ftp://app.example.org/":                                 {},
		"file:///etc/passwd":                                     {},
		"gopher://app.example.org/":                              {},
		"javascript:alert(1)":                                    {},
		"unix:///run/docker.sock":                                {},
		"https://app.example.org/" + strings.Repeat("a", maxURL): {},
	} {
		for i, c := range []*Client{secure, plain} {
			if err := c.Check(address); (err == nil) != want[i] || err != nil && !errors.Is(err, ErrRefused) {
				t.Errorf("%.60q, http allowed %v: %v", address, i == 1, err)
			}
		}
	}
}

func FuzzURL(f *testing.F) {
	for _, s := range []string{"https://app.example.org/a#b", "https://a@b/", "https://[::1%25x]:1/", "http:\\\\a", "https://a:65536", "https://a%00b/"} {
		f.Add(s)
	}
	c := newClient(f, func(*Config) {})
	f.Fuzz(func(t *testing.T, address string) {
		u, err := c.checkURL(address)
		if err != nil {
			if !errors.Is(err, ErrRefused) {
				t.Fatal(err)
			}
			return
		}
		if u.Scheme != "https" || u.User != nil || u.Hostname() == "" || u.Fragment != "" || strings.Contains(u.String(), "#") {
			t.Fatalf("%q passed as %q", address, u)
		}
		again, err := url.Parse(u.String())
		if err != nil || again.Host != u.Host || again.User != nil {
			t.Fatalf("%q is sent as %q, which reads as %v, %v", address, u, again, err)
		}
		if _, err := c.checkURL(u.String()); err != nil && len(u.String()) <= maxURL {
			t.Fatalf("%q passed, but as %q it does not: %v", address, u, err)
		}
	})
}
