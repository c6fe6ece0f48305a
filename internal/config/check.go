package config

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Check applies every rule and joins what they find wrong, each an *Error. Load
// has done so already.
func (c *Config) Check() error {
	var problems []error
	for _, rule := range []func(*Config) error{
		issuerIsAnAddress, issuerHasOneSpelling, issuerIsHTTPS, listenIsAnAddress, managementIsAnAddress, nobodyOutsideByAccident,
		devOnlyHere, tlsFilesGoTogether, tlsMatchesItsFiles, proxiesAreSome, hostsAreNames,
		databaseIsKnown, redisIsKnown, postgresNeedsSecret, secretIsStrong, nodesShareADatabase,
		durationsAreMeant, refreshIdleWithinLife, sessionIdleWithinLife, passwordsAreLong, rs256IsThere,
		numbersAreSane, scopesAreWords, tracesGoToAnAddress,
		fetchPortsAreSome, registrationScopesAreThere, registrationUnusedIsLong,
	} {
		problems = append(problems, rule(c))
	}
	return errors.Join(problems...)
}

// wrong is the Error about key's value.
func (c *Config) wrong(key, format string, args ...any) error {
	return &Error{Key: key, Source: c.origin[key], Detail: fmt.Sprintf(format, args...)}
}

// issuer returns the parsed issuer; ok is false if it is no address at all.
func (c *Config) issuer() (u *url.URL, ok bool) {
	u, err := url.Parse(c.Issuer)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" {
		return nil, false
	}
	return u, u.User == nil && !strings.ContainsAny(c.Issuer, "?#")
}

func issuerIsAnAddress(c *Config) error {
	if _, ok := c.issuer(); c.Issuer != "" && !ok {
		return c.wrong("issuer", "is %q; it must be an address such as https://id.example.org, without user, query or fragment", redact(c.Issuer))
	}
	return nil
}

// issuerHasOneSpelling: every client compares it byte by byte (OpenID Connect
// Discovery section 3, RFC 8414 section 2).
func issuerHasOneSpelling(c *Config) error {
	u, ok := c.issuer()
	switch {
	case !ok:
		return nil
	case strings.HasSuffix(c.Issuer, "/"):
		return c.wrong("issuer", "is %q; it must not end in a slash", c.Issuer)
	case u.Path != "" && !issuerPath.MatchString(u.EscapedPath()):
		return c.wrong("issuer", "is %q; its path must be of letters, digits, dots, dashes and underscores, between single slashes", c.Issuer)
	case c.Issuer != u.Scheme+"://"+strings.ToLower(u.Host)+u.EscapedPath():
		return c.wrong("issuer", "is %q; scheme and host must be in lower case", c.Issuer)
	case u.Port() == standardPort(u.Scheme) || strings.HasSuffix(u.Host, ":"):
		return c.wrong("issuer", "is %q; leave the standard port out", c.Issuer)
	}
	return nil
}

// issuerPath is a path that every proxy and client passes on as it is.
var issuerPath = regexp.MustCompile(`^(/[A-Za-z0-9_-][A-Za-z0-9._-]*)+$`)

func standardPort(scheme string) string {
	if scheme == "https" {
		return "443"
	}
	return "80"
}

func issuerIsHTTPS(c *Config) error {
	if u, ok := c.issuer(); ok && u.Scheme == "http" && !isLocal(u.Hostname()) {
		return c.wrong("issuer", "is %q; it must begin with https://, for passwords and tokens travel to it", c.Issuer)
	}
	return nil
}

func listenIsAnAddress(c *Config) error { return address(c, "listen", c.Listen) }

func managementIsAnAddress(c *Config) error {
	if c.ManagementOff() {
		return nil
	}
	return address(c, "management_listen", c.ManagementListen)
}

func address(c *Config, key, value string) error {
	if !isAddress(value) {
		return c.wrong(key, "is %q; it must be an address and a port, such as localhost:8080 or :8443", value)
	}
	return nil
}

func isAddress(value string) bool {
	host, port, err := net.SplitHostPort(value)
	n, portErr := strconv.ParseUint(port, 10, 16)
	return err == nil && portErr == nil && strconv.FormatUint(n, 10) == port && !strings.ContainsAny(host, "/ ")
}

// nobodyOutsideByAccident: a server that other computers reach must know by
// which address they do, and over what TLS.
func nobodyOutsideByAccident(c *Config) error {
	meant := c.Dev && !strings.HasPrefix(c.origin["dev"], "from ")
	if meant || c.Local() || !isAddress(c.Listen) {
		return nil
	}
	if c.Issuer == "" {
		return c.wrong("listen", "is %q, which other computers can reach, so issuer must be set to the https address they use", c.Listen)
	}
	if !strings.HasPrefix(c.Issuer, "https://") && c.TLSCert == "" && len(c.TrustedProxies) == 0 {
		return c.wrong("listen", "is %q, which other computers can reach, but issuer is %s; set issuer to the https address they use, with tls_cert and tls_key or a proxy in trusted_proxies (or dev: true to try it in a container)", c.Listen, c.Issuer)
	}
	return nil
}

func devOnlyHere(c *Config) error {
	u, ok := c.issuer()
	away := ok && !isLocal(u.Hostname())
	if away && c.Dev {
		return c.wrong("dev", "is true, but issuer %s is not on this computer; development mode is for localhost", c.Issuer)
	}
	if away && c.TLS == "dev" {
		return c.wrong("tls", "is dev, but issuer %s is not on this computer; set tls_cert and tls_key", c.Issuer)
	}
	return nil
}

func tlsFilesGoTogether(c *Config) error {
	if (c.TLSCert == "") == (c.TLSKey == "") {
		return nil
	}
	given, missing := "tls_cert", "tls_key"
	if c.TLSCert == "" {
		given, missing = missing, given
	}
	return c.wrong(given, "is set without %s; they go together", missing)
}

func tlsMatchesItsFiles(c *Config) error {
	if c.TLS != "" && c.TLSCert != "" {
		return c.wrong("tls", "is %s, but tls_cert is set too; keep one", c.TLS)
	}
	if c.ServesTLS() && strings.HasPrefix(c.Issuer, "http://") {
		return c.wrong("issuer", "is %q, but this server serves HTTPS; it must begin with https://", c.Issuer)
	}
	return nil
}

func proxiesAreSome(c *Config) error {
	for _, p := range c.TrustedProxies {
		if p.Bits() == 0 {
			return c.wrong("trusted_proxies", "holds %s, which lets everyone claim any address; name your proxy's network", p)
		}
	}
	return nil
}

func fetchPortsAreSome(c *Config) error {
	for _, port := range c.FetchPorts {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return c.wrong("fetch_ports", "holds %q; each must be a port from 1 to 65535", port)
		}
	}
	return nil
}

func hostsAreNames(c *Config) error {
	for _, h := range c.AllowedHosts {
		if u, err := url.Parse("//" + h); err != nil || u.Host != h || h != strings.ToLower(h) || strings.ContainsAny(h, "*@") {
			return c.wrong("allowed_hosts", "holds %q; each must be a host name in lower case, such as id.example.org", h)
		}
	}
	return nil
}

func databaseIsKnown(c *Config) error {
	text := c.DatabaseURL.Reveal()
	if rest, ok := strings.CutPrefix(text, "sqlite:"); ok && rest != "" {
		return nil
	}
	if u, err := url.Parse(text); c.Postgres() && err == nil && (u.Host != "" || u.Query().Get("host") != "") {
		return nil
	}
	return c.wrong("database_url", "must be sqlite:PATH or postgres://user:password@host/name")
}

func redisIsKnown(c *Config) error {
	text := c.RedisURL.Reveal()
	if u, err := url.Parse(text); text == "" || err == nil && (u.Host != "" || u.Path != "") && hasScheme(text, "redis", "rediss", "unix") {
		return nil
	}
	return c.wrong("redis_url", "must be redis://host:6379/0, rediss:// or unix://")
}

func postgresNeedsSecret(c *Config) error {
	if c.Postgres() && c.Secret == "" {
		return &Error{
			Key: "secret", Source: c.origin["database_url"], // nobody wrote secret; this is the line that asks for it
			Detail: "is missing; with Postgres every node needs the same one: put 32 random bytes in a file (openssl rand -base64 32) and set secret_file",
		}
	}
	return nil
}

func secretIsStrong(c *Config) error {
	if c.Secret == "" {
		return nil
	}
	if _, err := roots(c.Secret.Reveal()); err != nil {
		return c.wrong("secret", "%s", err)
	}
	return nil
}

func nodesShareADatabase(c *Config) error {
	if c.Nodes < 1 || c.Nodes > 1000 {
		return c.wrong("nodes", "is %d; it must be 1 to 1000", c.Nodes)
	}
	if c.Nodes > 1 && !c.Postgres() {
		return c.wrong("nodes", "is %d, but only Postgres serves several nodes; set database_url", c.Nodes)
	}
	return nil
}

// A span is the least and the most a duration may be.
type span struct {
	key         string
	value       time.Duration
	least, most time.Duration
}

// spans are the bounds of every duration. The least of key_lifetime leaves room for
// the day a key is published before its first use.
func (c *Config) spans() []span {
	const day = 24 * time.Hour
	return []span{
		{"access_token_ttl", c.AccessTokenTTL, 10 * time.Second, day},
		{"id_token_ttl", c.IDTokenTTL, 10 * time.Second, day},
		{"code_ttl", c.CodeTTL, time.Second, 10 * time.Minute},
		{"refresh_token_ttl", c.RefreshTokenTTL, time.Minute, 400 * day},
		{"refresh_idle", c.RefreshIdle, time.Minute, 400 * day},
		{"refresh_grace", c.RefreshGrace, 0, 5 * time.Minute},
		{"session_idle", c.SessionIdle, time.Minute, 90 * day},
		{"session_absolute", c.SessionAbsolute, time.Minute, 400 * day},
		{"key_lifetime", c.KeyLifetime, 2 * day, 730 * day},
		{"drain_timeout", c.DrainTimeout, 0, 10 * time.Minute},
		{"drain_delay", c.DrainDelay, 0, 10 * time.Minute},
	}
}

// durationsAreMeant: a token's life, for one, is short (RFC 9700 section 2.2).
func durationsAreMeant(c *Config) error {
	var problems []error
	for _, s := range c.spans() {
		if s.value < s.least || s.value > s.most {
			problems = append(problems, c.wrong(s.key, "is %s; it must be %s to %s", brief(s.value), brief(s.least), brief(s.most)))
		}
	}
	return errors.Join(problems...)
}

// brief writes a duration without its empty units: 15m, not 15m0s.
func brief(d time.Duration) string {
	s := d.String()
	if d != 0 && strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

func refreshIdleWithinLife(c *Config) error {
	if c.RefreshIdle > c.RefreshTokenTTL {
		return c.wrong("refresh_idle", "is %s, longer than refresh_token_ttl %s", brief(c.RefreshIdle), brief(c.RefreshTokenTTL))
	}
	return nil
}

func sessionIdleWithinLife(c *Config) error {
	if c.SessionIdle > c.SessionAbsolute {
		return c.wrong("session_idle", "is %s, longer than session_absolute %s", brief(c.SessionIdle), brief(c.SessionAbsolute))
	}
	return nil
}

// passwordsAreLong: NIST SP 800-63B-4 section 3.1.1.2 has 15, and 8 only beside
// a second factor.
func passwordsAreLong(c *Config) error {
	if c.PasswordMin < 8 || c.PasswordMin > 64 {
		return c.wrong("password_min", "is %d; it must be 8 to 64", c.PasswordMin)
	}
	return nil
}

// rs256IsThere: every client may count on it (OpenID Connect Core section 15.1).
func rs256IsThere(c *Config) error {
	if !slices.Contains(c.Algs, "RS256") {
		return c.wrong("algs", "lacks RS256, which every OpenID Connect client may count on")
	}
	if len(slices.Compact(slices.Sorted(slices.Values(c.Algs)))) < len(c.Algs) {
		return c.wrong("algs", "names one twice")
	}
	return nil
}

func numbersAreSane(c *Config) error {
	var problems []error
	if !(c.RateLimitFactor > 0 && c.RateLimitFactor <= 1e6) {
		problems = append(problems, c.wrong("rate_limit_factor", "is %g; it must be above 0 and at most 1000000", c.RateLimitFactor))
	}
	if c.DBMaxConns < 0 || c.DBMaxConns > 10000 {
		problems = append(problems, c.wrong("db_max_conns", "is %d; it must be 0 to 10000", c.DBMaxConns))
	}
	return errors.Join(problems...)
}

// standardScopes are there without being named: OpenID Connect Core sections 5.4
// and 11, and the admin API's.
var standardScopes = []string{"openid", "profile", "email", "address", "phone", "offline_access", "admin"}

// AllScopes returns the standard scopes and the configured ones.
func (c *Config) AllScopes() []string { return slices.Concat(standardScopes, c.Scopes) }

// scopesAreWords: RFC 6749 section 3.3.
func scopesAreWords(c *Config) error {
	for i, s := range c.Scopes {
		odd := func(r rune) bool { return r <= ' ' || r == '"' || r == '\\' || r > '~' }
		switch {
		case strings.ContainsFunc(s, odd) || len(s) > 200:
			return c.wrong("scopes", "holds %q; a scope is printable ASCII without spaces, quotes and backslashes", s)
		case slices.Contains(standardScopes, s):
			return c.wrong("scopes", "holds %s, which is there already", s)
		case slices.Contains(c.Scopes[:i], s):
			return c.wrong("scopes", "holds %s twice", s)
		}
	}
	return nil
}

func tracesGoToAnAddress(c *Config) error {
	if u, err := url.Parse(c.OtelEndpoint); c.OtelEndpoint == "" || err == nil && u.Host != "" && hasScheme(c.OtelEndpoint, "http", "https") {
		return nil
	}
	return c.wrong("otel_endpoint", "is %q; it must be an address such as http://localhost:4318", c.OtelEndpoint)
}

// hasPassword reports whether the text of a URL holds a password.
func hasPassword(text string) bool { return redact(text) != text }

// redact hides the password of a URL, wherever it is.
func redact(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return mask
	}
	if p, ok := u.User.Password(); ok && p != "" {
		u.User = url.UserPassword(u.User.Username(), mask)
	}
	q := u.Query()
	for name := range q {
		if strings.Contains(strings.ToLower(name), "password") {
			q.Set(name, mask)
		}
	}
	if hidden := q.Encode(); strings.Contains(hidden, url.QueryEscape(mask)) {
		u.RawQuery = hidden
	}
	if shown := u.String(); strings.Contains(shown, url.QueryEscape(mask)) || strings.Contains(shown, mask) {
		return strings.ReplaceAll(shown, url.QueryEscape(mask), mask)
	}
	return text
}
