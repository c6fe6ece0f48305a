package config

import (
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"path/filepath"
	"strings"
	"time"
)

// Config is everything an operator can set. The tag key is the YAML key; in upper
// case with GATEKEEPER_ before it, the environment name; with dashes, the flag.
// Tag secret says what to hide: all of it, or the password of a URL.
type Config struct {
	Issuer           string         `key:"issuer" doc:"Address people and applications reach this server at, such as https://id.example.org. Left out, it is http://localhost and the port of listen."`
	Listen           string         `key:"listen" default:"localhost:8080" doc:"Address and port to serve on; localhost means both 127.0.0.1 and ::1."`
	ManagementListen string         `key:"management_listen" default:"127.0.0.1:9090" doc:"Address and port of metrics, health in detail and the admin API, or off."`
	DataDir          string         `key:"data_dir" doc:"Folder of the embedded database and its secret. Left out, gatekeeper in the user's data folder."`
	DatabaseURL      Secret         `key:"database_url" secret:"url" doc:"sqlite:PATH or postgres://user:password@host/name. Left out, sqlite in data_dir."`
	RedisURL         Secret         `key:"redis_url" secret:"url" doc:"redis://host:6379/0 to share rate counters between nodes. Left out, each node counts in memory."`
	Secret           Secret         `key:"secret" secret:"all" doc:"Root secrets that seal keys and codes, at least 32 bytes each in base64url or as they are, separated by commas; the first is active, the others only open. Left out, the embedded database makes its own; Postgres needs one."`
	TLS              string         `key:"tls" enum:"|dev|off" doc:"dev makes a certificate for this computer; off serves plain HTTP behind a proxy; left out, tls_cert decides."`
	TLSCert          string         `key:"tls_cert" doc:"PEM file of the certificate chain to serve HTTPS with; read again when it changes."`
	TLSKey           string         `key:"tls_key" doc:"PEM file of the private key of tls_cert."`
	TrustedProxies   []netip.Prefix `key:"trusted_proxies" doc:"Networks, such as 10.0.0.0/8, whose X-Forwarded headers are believed."`
	AllowedHosts     []string       `key:"allowed_hosts" doc:"Host names to answer to besides the issuer's."`
	LogLevel         string         `key:"log_level" default:"info" enum:"debug|info|warn|error" doc:"Least severe log line to write."`
	LogFormat        string         `key:"log_format" default:"auto" enum:"auto|json|text" doc:"auto is text on a terminal and JSON elsewhere."`
	AccessTokenTTL   time.Duration  `key:"access_token_ttl" default:"15m" doc:"Life of an access token."`
	IDTokenTTL       time.Duration  `key:"id_token_ttl" default:"15m" doc:"Life of an ID token."`
	CodeTTL          time.Duration  `key:"code_ttl" default:"60s" doc:"Life of an authorization code."`
	RefreshTokenTTL  time.Duration  `key:"refresh_token_ttl" default:"168h" doc:"Life of the refresh tokens of one grant, from its code on, however often they are used."`
	RefreshIdle      time.Duration  `key:"refresh_idle" default:"72h" doc:"A refresh token unused for so long is dead."`
	Refresh          string         `key:"refresh" enum:"|offline_access|registered" doc:"When an application with the refresh grant gets a refresh token: with the scope offline_access, or always, and then until the person's session ends. Left out, always for native and first-party applications and with the scope for others; a client's own setting is stronger."`
	RefreshGrace     time.Duration  `key:"refresh_grace" default:"30s" doc:"A refresh repeated within this time gets the same answer again; 0s takes every repetition for theft."`
	SessionIdle      time.Duration  `key:"session_idle" default:"1h" doc:"A browser session unused for so long is over."`
	SessionAbsolute  time.Duration  `key:"session_absolute" default:"24h" doc:"Longest life of a browser session."`
	Signup           string         `key:"signup" default:"closed" enum:"closed|open" doc:"open lets anyone make an account."`
	PasswordMin      int            `key:"password_min" default:"15" doc:"Fewest characters of a new password."`
	Algs             []string       `key:"algs" default:"RS256,ES256,PS256,EdDSA" enum:"RS256|PS256|ES256|EdDSA" doc:"Signature algorithms to keep keys for; the first is the default, and RS256 must be among them."`
	KeyLifetime      time.Duration  `key:"key_lifetime" default:"720h" doc:"A signing key signs for so long; then its successor takes over."`
	RateLimitFactor  float64        `key:"rate_limit_factor" default:"1" doc:"Multiplies every rate limit: 2 allows twice as much."`
	Nodes            int            `key:"nodes" default:"1" doc:"How many servers share the database."`
	Scopes           []string       `key:"scopes" doc:"Scopes of your own APIs, besides openid profile email address phone offline_access and admin."`
	ResponseTypes    []string       `key:"response_types" default:"code" enum:"code|id_token|id_token token|code id_token|code token|code id_token token" doc:"What authorization answers may carry. All but code pass tokens through the browser: for applications that cannot do otherwise, and each must be registered for it."`
	FetchAllow       []netip.Prefix `key:"fetch_allow" doc:"Networks, such as 10.1.0.0/16, that addresses registered by clients (jwks_uri, request_uri, backchannel_logout_uri …) may lead into, besides the public ones."`
	FetchPorts       []string       `key:"fetch_ports" doc:"Ports, such as 636 or 8086, that such addresses may name although another kind of service usually has them. Without it: 80, 443, and from 1024 on all but the usual ports of databases, mail, consoles and the like."`
	FetchCA          string         `key:"fetch_ca" doc:"PEM file of certificate authorities to believe at such addresses, besides the system's."`
	OtelEndpoint     string         `key:"otel_endpoint" doc:"OTLP over HTTP address for traces, such as http://localhost:4318. Left out, no traces."`
	DrainTimeout     time.Duration  `key:"drain_timeout" default:"10s" doc:"How long a stopping server finishes what it began."`
	DrainDelay       time.Duration  `key:"drain_delay" default:"0s" doc:"How long a stopping server says that it is not ready and still answers, for a balancer to look elsewhere."`
	DBMaxConns       int            `key:"db_max_conns" default:"0" doc:"Most connections to Postgres, or readers of the embedded database; 0 lets the server choose."`
	Dev              bool           `key:"dev" default:"false" doc:"Development mode: pages say which rule refused a request, any name of this computer is answered, and gatekeeper try needs no client. Implied by an http://localhost issuer and by tls: dev."`

	Registration                string        `key:"registration" default:"closed" enum:"closed|token|open" doc:"Who may register an application by itself (RFC 7591): nobody; whoever holds a token of gatekeeper registration token create; or everybody."`
	RegistrationScopes          []string      `key:"registration_scopes" default:"openid,profile,email,address,phone,offline_access" doc:"Scopes an application may register itself for."`
	RegistrationAudiences       []string      `key:"registration_audiences" doc:"APIs, such as https://mcp.example.org, for which applications that registered themselves may ask tokens with resource (RFC 8707)."`
	RegistrationUnused          time.Duration `key:"registration_unused" default:"30d" doc:"An application that registered itself and was unused for so long is forgotten; 0s keeps all."`
	RegistrationSoftwareIssuers string        `key:"registration_software_issuers" doc:"YAML or JSON file of the issuers whose software statements are believed, each with its JWK Set."`
	RegistrationInsecureNoPKCE  bool          `key:"registration_insecure_no_pkce" default:"false" doc:"Lets applications that register themselves and have a secret do without PKCE: for test suites that do not use it, never for people."`

	origin map[string]string // where each key's value is from
}

// A Secret is text that no log, print or JSON shows.
type Secret string

const mask = "********"

// Reveal returns the text itself.
func (s Secret) Reveal() string { return string(s) }

// String hides the text.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return mask
}

// GoString hides the text from %#v.
func (s Secret) GoString() string { return s.String() }

// MarshalText hides the text from JSON and YAML.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// LogValue hides the text from slog.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// Postgres reports whether the database is Postgres, not the embedded SQLite.
func (c *Config) Postgres() bool { return hasScheme(c.DatabaseURL.Reveal(), "postgres", "postgresql") }

// DatabaseFile is the path of the embedded database; "" in Postgres or memory.
func (c *Config) DatabaseFile() string {
	path, ok := strings.CutPrefix(c.DatabaseURL.Reveal(), "sqlite:")
	path, query, _ := strings.Cut(path, "?")
	if !ok || path == "" || strings.Contains(path, ":memory:") || strings.Contains(query, "mode=memory") {
		return ""
	}
	return strings.TrimPrefix(path, "file:")
}

// Untouched reports whether nobody configured anything.
func (c *Config) Untouched() bool {
	for _, from := range c.origin {
		if from != sourceDefault && !strings.HasPrefix(from, "from ") {
			return false
		}
	}
	return true
}

// DatabaseKey is the key that says where the database is: data_dir, unless
// somebody set database_url.
func (c *Config) DatabaseKey() string {
	if c.origin["database_url"] == sourceDefault {
		return "data_dir"
	}
	return "database_url"
}

// ManagementOff reports whether there is no management listener.
func (c *Config) ManagementOff() bool { return c.ManagementListen == "off" }

// ServesTLS reports whether this server itself speaks HTTPS.
func (c *Config) ServesTLS() bool { return c.TLS == "dev" || c.TLS != "off" && c.TLSCert != "" }

// LocalIssuer is the issuer of a server without one set that got port: Load uses
// it but for port 0, where the caller does once the kernel has chosen.
func (c *Config) LocalIssuer(port string) string {
	scheme := "http"
	if c.ServesTLS() {
		scheme = "https"
	}
	return scheme + "://" + net.JoinHostPort("localhost", port)
}

// Origin says where the value of key is from: "default", "flag --listen",
// "environment GATEKEEPER_LISTEN", ".env:3", "gatekeeper.yaml:2:9".
func (c *Config) Origin(key string) string { return c.origin[key] }

// derive fills what follows from other keys. dir is where relative paths begin.
func (c *Config) derive(dir string) {
	if !filepath.IsAbs(c.DataDir) && c.DataDir != "" {
		c.DataDir = filepath.Join(dir, c.DataDir)
	}
	if c.DatabaseURL == "" {
		c.DatabaseURL = Secret("sqlite:" + filepath.Join(c.DataDir, "gatekeeper.db"))
	}
	if _, port, err := net.SplitHostPort(c.Listen); err == nil && c.Issuer == "" && port != "0" && c.Local() {
		c.Issuer = c.LocalIssuer(port)
		c.origin["issuer"] = "from listen"
	}
	if c.origin["dev"] == sourceDefault {
		c.deriveDev()
	}
}

// deriveDev switches development mode on where only this computer is served.
func (c *Config) deriveDev() {
	u, err := url.Parse(c.Issuer)
	if err != nil {
		return
	}
	switch {
	case c.TLS == "dev" && c.Local() && (c.Issuer == "" || isLocal(u.Hostname())):
		c.Dev, c.origin["dev"] = true, "from tls"
	case u.Scheme == "http" && isLocal(u.Hostname()):
		c.Dev, c.origin["dev"] = true, "from issuer"
	}
}

// Local reports whether only this computer can reach Listen.
func (c *Config) Local() bool {
	host, _, err := net.SplitHostPort(c.Listen)
	return err == nil && isLocal(host)
}

// isLocal reports whether host is a name or address of this computer.
func isLocal(host string) bool {
	host = strings.Trim(host, "[]")
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}

func hasScheme(s string, schemes ...string) bool {
	for _, scheme := range schemes {
		if strings.HasPrefix(s, scheme+"://") {
			return true
		}
	}
	return false
}
