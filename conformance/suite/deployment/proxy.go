package deployment

import (
	"bytes"
	"context"
	"crypto/tls"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/gatekeeper-oidc/gatekeeper/conformance/suite"
)

const discoverySpec = "OpenID Connect Discovery 4"

// ForgedHost sends headers with which a visitor could pretend to be a proxy.
func ForgedHost() suite.Module {
	return suite.Module{
		Name: "forged-host", Summary: "No header of a visitor changes what the issuer says of itself.", Spec: discoverySpec,
		Run: func(ctx context.Context, c *suite.Case) error {
			for _, header := range []string{"X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Prefix", "X-Original-Host", "Forwarded"} {
				value := map[string]string{"X-Forwarded-Proto": "gopher", "Forwarded": "host=forged.invalid;proto=gopher"}[header]
				if value == "" {
					value = "forged.invalid"
				}
				r, err := c.Get(ctx, c.Server.Metadata.Issuer+suite.DiscoveryPath, header, value)
				if err != nil {
					return err
				}
				if r.Status == http.StatusOK && (r.Text("issuer") != c.Server.Metadata.Issuer || bytes.Contains(r.Body, []byte("forged")) || bytes.Contains(r.Body, []byte("gopher"))) {
					return suite.Failf("the header %s changes discovery", header)
				}
			}
			return nil
		},
	}
}

// soon is how long before its end a certificate should have been renewed.
const soon = 14 * 24 * time.Hour

// Certificate looks at TLS.
func Certificate() suite.Module {
	return suite.Module{
		Name: "certificate", Summary: "TLS is 1.2 or newer, with a certificate that lasts.", Spec: "RFC 9325 3",
		Run: func(ctx context.Context, c *suite.Case) error {
			r, err := c.Get(ctx, c.Server.Metadata.Issuer+suite.DiscoveryPath)
			if err != nil {
				return err
			}
			if r.TLS == nil {
				return suite.Skipf("the issuer is plain http")
			}
			if r.TLS.Version < tls.VersionTLS12 {
				return suite.Failf("TLS is older than 1.2")
			}
			if end := r.TLS.PeerCertificates[0].NotAfter; end.Before(c.Target.Now().Add(soon)) {
				c.Warnf("RFC 5280 4.1.2.5", "the certificate ends on %s", end.UTC().Format("2 January 2006"))
			}
			return nil
		},
	}
}

// Clock compares the clocks.
func Clock() suite.Module {
	return suite.Module{
		Name: "clock", Summary: "The clock of the server is right: tokens are not from the future.", Spec: "RFC 9110 6.6.1",
		Run: func(ctx context.Context, c *suite.Case) error {
			r, err := c.Get(ctx, c.Server.Metadata.Issuer+suite.DiscoveryPath)
			if err != nil {
				return err
			}
			theirs, err := http.ParseTime(r.Header.Get("Date"))
			if err != nil {
				return suite.Failf("answers have no Date")
			}
			switch off := c.Target.Now().Sub(theirs).Abs(); {
			case off > time.Minute:
				return suite.Failf("the clocks differ by %s", off.Round(time.Second))
			case off > 10*time.Second:
				c.Warnf("", "the clocks differ by %s", off.Round(time.Second))
			}
			return nil
		},
	}
}

// DiscoveryCaching looks at what caches are told of discovery.
func DiscoveryCaching() suite.Module {
	return caching("discovery-caching", "Discovery may be cached, and asked whether it changed.", func(c *suite.Case) string {
		return c.Server.Metadata.Issuer + suite.DiscoveryPath
	})
}

// JWKSCaching looks at what caches are told of the keys.
func JWKSCaching() suite.Module {
	return caching("jwks-caching", "The keys may be cached for a while, and asked whether they changed.", func(c *suite.Case) string {
		return c.Server.Metadata.JWKS
	})
}

var maxAge = regexp.MustCompile(`max-age=(\d+)`)

func caching(name, summary string, address func(c *suite.Case) string) suite.Module {
	return suite.Module{
		Name: name, Summary: summary, Spec: "RFC 9111 5.2",
		Run: func(ctx context.Context, c *suite.Case) error {
			r, err := c.Get(ctx, address(c))
			if err != nil {
				return err
			}
			told := r.Header.Get("Cache-Control")
			found := maxAge.FindStringSubmatch(told)
			if found == nil || strings.Contains(told, "no-store") || strings.Contains(told, "private") {
				return suite.Failf("Cache-Control is %q; it should let copies be kept for a while", told)
			}
			if seconds, err := strconv.Atoi(found[1]); err != nil || seconds == 0 || seconds > 24*3600 {
				return suite.Failf("copies may be kept for %s s; a changed key would be missed, or never kept at all", found[1])
			}
			tag := r.Header.Get("ETag")
			if tag == "" {
				c.Warnf("RFC 9110 8.8.3", "there is no ETag")
				return nil
			}
			again, err := c.Get(ctx, address(c), "If-None-Match", tag)
			if err != nil {
				return err
			}
			if again.Status != http.StatusNotModified {
				c.Warnf("RFC 9110 13.1.2", "asked whether it changed, it answers %d and not 304", again.Status)
			}
			return nil
		},
	}
}

// KeysAgree asks often, so that every server behind a balancer answers.
func KeysAgree() suite.Module {
	return suite.Module{
		Name: "nodes-agree", Summary: "Every server behind the address publishes the same keys.", Spec: "OpenID Connect Core 10.1",
		Run: func(ctx context.Context, c *suite.Case) error {
			var first []byte
			for i := range 12 {
				r, err := c.Get(ctx, c.Server.Metadata.JWKS)
				if err != nil {
					return err
				}
				if i == 0 {
					first = r.Body
				}
				if !bytes.Equal(first, r.Body) {
					return suite.Failf("two requests in a row got different keys")
				}
			}
			return nil
		},
	}
}

// CrossOrigin asks as scripts of other sites.
func CrossOrigin() suite.Module {
	return suite.Module{
		Name: "cross-origin", Summary: "Scripts of other sites may read what is public, and nothing with a person's cookies.", Spec: "OpenID Connect Core 5.3",
		Run: func(ctx context.Context, c *suite.Case) error {
			m := c.Server.Metadata
			for _, address := range []string{m.Issuer + suite.DiscoveryPath, m.JWKS} {
				r, err := c.Get(ctx, address, "Origin", "https://elsewhere.invalid")
				if err != nil {
					return err
				}
				if r.Header.Get("Access-Control-Allow-Origin") != "*" {
					c.Warnf("", "%s cannot be read by applications in a browser", address)
				}
			}
			for _, address := range []string{m.Issuer + suite.DiscoveryPath, m.JWKS, m.Authorization, m.Token} {
				for _, origin := range []string{"https://elsewhere.invalid", "null"} {
					r, err := c.Get(ctx, address, "Origin", origin)
					if err != nil {
						return err
					}
					if r.Header.Get("Access-Control-Allow-Credentials") != "" {
						return suite.Failf("%s lets scripts of %s use the person's cookies", address, origin)
					}
				}
			}
			r, err := c.Get(ctx, m.Authorization, "Origin", "https://elsewhere.invalid")
			if err != nil {
				return err
			}
			if r.Header.Get("Access-Control-Allow-Origin") != "" {
				return suite.Brokef("RFC 9700 2.6", "the authorization endpoint can be read by scripts of other sites")
			}
			return nil
		},
	}
}
