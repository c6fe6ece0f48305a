package main

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/gatekeeper-oidc/gatekeeper/identity"
	"github.com/gatekeeper-oidc/gatekeeper/oauth2"
	"github.com/gatekeeper-oidc/gatekeeper/oidc"
	"github.com/gatekeeper-oidc/gatekeeper/storage"
	"github.com/gatekeeper-oidc/gatekeeper/storage/state"
)

const (
	skewWarn = 2 * time.Second
	skewFail = 30 * time.Second
	certWarn = 21 * 24 * time.Hour
)

func (p *patient) database(ctx context.Context) []finding {
	const check = "database"
	if noDatabase(p.cfg) {
		return one(check, warn, "there is none at "+p.cfg.DatabaseFile(), "gatekeeper serve makes it; or check --data-dir")
	}
	s, err := storage.MigrationStatus(ctx, p.cfg.DatabaseURL.Reveal())
	if err != nil {
		return one(check, fail, "does not answer: "+reasonOf(err), "check database_url, and that the database is up and lets this computer in")
	}
	switch {
	case s.Reader > s.Latest:
		return one(check, fail, fmt.Sprintf("its schema is for programs that know %d, and this one knows %d", s.Reader, s.Latest), "run the newer gatekeeper that migrated it")
	case s.Current < s.Latest:
		return one(check, fail, fmt.Sprintf("its schema is %d and this program needs %d", s.Current, s.Latest), "gatekeeper migrate up")
	}
	if p.db, err = storage.Open(ctx, storage.Config{URL: p.cfg.DatabaseURL.Reveal()}); err != nil {
		return one(check, fail, "does not open: "+reasonOf(err), "check database_url")
	}
	if err := p.db.Writable(ctx); err != nil {
		return one(check, fail, explainError(err), "let database_url name the server that takes changes; look at default_transaction_read_only of the role and the database")
	}
	if s.Current > s.Latest {
		return one(check, pass, fmt.Sprintf("answers; schema %d is newer than this program, and made for it too", s.Current), "")
	}
	return one(check, pass, fmt.Sprintf("answers; schema %d is up to date", s.Current), "")
}

// bell says how changes of other nodes reach this one.
func (p *patient) bell(ctx context.Context) []finding {
	const check = "bell"
	if p.db == nil || !p.cfg.Postgres() {
		return nil
	}
	hears, err := p.db.Hears(ctx)
	switch {
	case err != nil:
		return one(check, fail, explainError(err), "check the database")
	case !hears:
		return one(check, warn, "a pooler in front of the database carries no notifications; each node looks for changes every second",
			"for changes at once and prepared statements, a direct connection or the pooler's session mode")
	default:
		return one(check, pass, "nodes tell one another of changes at once", "")
	}
}

// clock compares this computer with the database, whose clock decides expiry.
func (p *patient) clock(ctx context.Context) []finding {
	const check, fix = "clock", "let a time service such as chrony set both clocks"
	if p.db == nil {
		return nil
	}
	before := p.app.Now()
	theirs, err := p.db.Now(ctx)
	if err != nil {
		return one(check, fail, explainError(err), "check the database")
	}
	after := p.app.Now()
	skew := theirs.Sub(before.Add(after.Sub(before) / 2)).Abs()
	switch said := fmt.Sprintf("%s between this computer and the database", skew.Round(time.Millisecond)); {
	case skew > skewFail:
		return one(check, fail, said, fix)
	case skew > skewWarn:
		return one(check, warn, said, fix)
	default:
		return one(check, pass, said, "")
	}
}

func (p *patient) redis(ctx context.Context) []finding {
	const check = "redis"
	if p.cfg.RedisURL == "" {
		if p.cfg.Nodes > 1 {
			return one(check, warn, fmt.Sprintf("none, so each of the %d nodes allows its own share of attempts", p.cfg.Nodes), "set redis_url to share the limits")
		}
		return nil
	}
	r, err := state.NewRedis(ctx, state.RedisConfig{URL: p.cfg.RedisURL.Reveal(), Now: p.app.Now})
	if err != nil {
		return one(check, fail, err.Error(), "check redis_url")
	}
	defer func() { _ = r.Close() }() // only asked
	if err := r.Ping(ctx); err != nil {
		return one(check, fail, "does not answer: "+reasonOf(err), "check redis_url and that Redis is up; meanwhile each node counts by itself")
	}
	return one(check, pass, "answers", "")
}

func (p *patient) certificate(context.Context) []finding {
	const check = "tls"
	issuer, err := url.Parse(p.cfg.Issuer)
	if err != nil {
		return one(check, fail, err.Error(), "check issuer")
	}
	file := p.cfg.TLSCert
	switch {
	case p.cfg.TLS == "dev":
		file = filepath.Join(devTLSDir(p.cfg), "dev.crt")
		if _, err := os.Stat(file); err != nil {
			return one(check, pass, "a development certificate is made at the first start", "")
		}
	case !p.cfg.ServesTLS() && issuer.Scheme == "https":
		return one(check, pass, "a proxy in front serves HTTPS", "")
	case !p.cfg.ServesTLS():
		return one(check, pass, "plain HTTP, for this computer only", "")
	}
	text, err := os.ReadFile(filepath.Clean(file))
	if err != nil {
		return one(check, fail, err.Error(), "check tls_cert")
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return one(check, fail, file+" holds no PEM certificate", "check tls_cert")
	}
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return one(check, fail, file+": "+err.Error(), "check tls_cert")
	}
	return p.leaf(leaf, issuer.Hostname())
}

func (p *patient) leaf(leaf *x509.Certificate, host string) []finding {
	const check, fix = "tls", "renew it; the server reads the new files by itself"
	left := leaf.NotAfter.Sub(p.app.Now())
	days := fmt.Sprintf("the certificate has %d days left", left/(24*time.Hour))
	switch err := leaf.VerifyHostname(host); {
	case err != nil:
		return one(check, fail, err.Error(), "use a certificate for the host of the issuer")
	case left <= 0:
		return one(check, fail, "the certificate expired "+moment(leaf.NotAfter), fix)
	case left < certWarn:
		return one(check, warn, days, fix)
	default:
		return one(check, pass, days, "")
	}
}

// issuer asks for discovery the way an application does: under the issuer's name
// and through whatever stands in front of the server.
func (p *patient) issuer(ctx context.Context) []finding {
	const check = "issuer"
	client, err := tryClient(p.cfg)
	if err != nil {
		return one(check, fail, err.Error(), "check tls_cert")
	}
	address := strings.TrimSuffix(p.cfg.Issuer, "/") + "/.well-known/openid-configuration"
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return one(check, fail, err.Error(), "check issuer")
	}
	client.CheckRedirect = notToItself
	res, err := client.Do(req)
	if errors.Is(err, errToItself) {
		return one(check, fail, address+" redirects to itself", "the proxy in front ends TLS and says http: let it set X-Forwarded-Proto (docs/deployment.md)")
	}
	if err != nil {
		verdict := fail
		if p.cfg.Dev {
			verdict = warn // a development server is often simply not running
		}
		return one(check, verdict, address+" does not answer: "+reasonOf(err), "start it with gatekeeper serve; then check DNS, the proxy and the firewall")
	}
	defer func() { _ = res.Body.Close() }() // only read
	body, err := readAll(address, res.Body, maxAnswer)
	if said := refusalOf(body); err == nil && res.StatusCode == http.StatusBadRequest && said != "" {
		return one(check, fail, address+" answered: "+said, "docs/deployment.md has a recipe for each common proxy")
	}
	if err != nil || res.StatusCode != http.StatusOK {
		return one(check, fail, address+" answered "+res.Status, "see that the proxy hands /.well-known on, with the Host it received")
	}
	var document struct {
		Issuer string `json:"issuer"`
	}
	if err := json.Unmarshal(body, &document); err != nil {
		return one(check, fail, address+" is not the discovery of an issuer", "something else answers there: check DNS and the proxy")
	}
	if document.Issuer != p.cfg.Issuer {
		return one(check, fail, fmt.Sprintf("discovery says %s and the configuration %s", document.Issuer, p.cfg.Issuer), "another server answers there, or issuer differs between nodes: make them equal")
	}
	return one(check, pass, p.cfg.Issuer+" answers and is itself", "")
}

var errToItself = errors.New("a redirect to the same address")

// notToItself stops at a redirect that leads to where it came from, which is what a
// proxy that hides https makes of one to https.
func notToItself(req *http.Request, via []*http.Request) error {
	for _, v := range via {
		if v.URL.String() == req.URL.String() {
			return errToItself
		}
	}
	return nil
}

// refusalOf is the sentence of a refusal by a Gatekeeper, whichever form it has.
func refusalOf(body []byte) string {
	var r struct {
		Detail      string `json:"detail"`            // RFC 9457
		Description string `json:"error_description"` // RFC 6749
	}
	if json.Unmarshal(body, &r) != nil {
		return ""
	}
	return r.Detail + r.Description
}

func (p *patient) people(ctx context.Context) []finding {
	const check = "administrator"
	if p.db == nil {
		return nil
	}
	n, err := p.db.CountUsersWithRole(ctx, identity.RoleAdmin)
	switch {
	case err != nil:
		return one(check, fail, explainError(err), "check the database")
	case n == 0:
		return one(check, warn, "there is none yet", "gatekeeper admin link")
	default:
		return one(check, pass, fmt.Sprintf("%d with the role admin", n), "")
	}
}

func (p *patient) clients(ctx context.Context) []finding {
	const check = "applications"
	if p.db == nil {
		return nil
	}
	asks, err := newFetch(p.cfg, p.app.Now)
	if err != nil {
		return one(check, fail, err.Error(), "check fetch_allow, fetch_ports and fetch_ca")
	}
	var all []finding
	n := 0
	for page := (identity.Page{Limit: pageSize}); ; {
		some, next, err := p.db.Clients(ctx, page)
		if err != nil {
			return one(check, fail, explainError(err), "check the database")
		}
		for i := range some {
			n++
			all = append(all, risks(&some[i])...)
			for _, said := range oauth2.Unasked(ctx, asks, &some[i]) {
				all = append(all, finding{check, warn, some[i].ID + ": " + said, "gatekeeper client update " + quote(some[i].ID) + ", or fetch_allow and fetch_ports"})
			}
		}
		if next == "" {
			break
		}
		page.After = next
	}
	if len(all) == 0 {
		return one(check, pass, fmt.Sprintf("%d, none with an insecure setting", n), "")
	}
	return all
}

// registration says what an open door lets in. A closed one is no finding.
func (p *patient) registration(context.Context) []finding {
	const check = "registration"
	if !oidc.RegistrationMode(p.cfg.Registration).Advertised() {
		return nil
	}
	var all []finding
	if oidc.RegistrationMode(p.cfg.Registration) == oidc.RegistrationOpen {
		all = append(all, finding{check, warn, "anybody may register an application", "registration: token lets in who holds one of gatekeeper registration token create"})
	}
	if p.cfg.RegistrationInsecureNoPKCE {
		all = append(all, finding{check, warn, "applications that register themselves need no PKCE", "registration_insecure_no_pkce: false"})
	}
	if len(all) == 0 {
		return one(check, pass, "applications register themselves with a token", "")
	}
	return all
}

// risks are the settings of an application an operator should know the names of.
func risks(c *oauth2.Client) []finding {
	const check = "applications"
	var all []finding
	if c.InsecureNoPKCE {
		all = append(all, finding{check, warn, c.ID + " may leave PKCE out: a stolen code can be used", "gatekeeper client update " + quote(c.ID) + " --insecure-no-pkce=false"})
	}
	for _, uri := range c.RedirectURIs {
		u, err := url.Parse(uri)
		if err == nil && u.Scheme == "http" && !local(u.Hostname()) {
			all = append(all, finding{check, warn, c.ID + " receives codes in the clear at " + uri, "serve it over https and replace the redirect URI"})
		}
	}
	return all
}

func local(host string) bool {
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || host == "127.0.0.1" || host == "::1"
}
