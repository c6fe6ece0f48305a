package config

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite golden files")

const goodSecret = "spb6Mhz09TvMBQH2IbA-M2VakeZM7V4WNOr1ADNEVvc" // base64url

// world is an Input over files held in memory, in /etc/gk. A name with a trailing
// * is readable by everyone.
func world(files map[string]string, env ...string) Input {
	m := fstest.MapFS{}
	for name, text := range files {
		mode := fs.FileMode(0o600)
		if open, ok := strings.CutSuffix(name, "*"); ok {
			name, mode = open, 0o644
		}
		m["etc/gk/"+name] = &fstest.MapFile{Data: []byte(text), Mode: mode}
	}
	return Input{
		Environ: append([]string{"HOME=/home/ana", "PATH=/bin"}, env...), Dir: "/etc/gk",
		ReadFile: func(name string) ([]byte, error) { return m.ReadFile(name[1:]) },
		Stat:     func(name string) (fs.FileInfo, error) { return m.Stat(name[1:]) },
	}
}

func yamlOf(text string) map[string]string { return map[string]string{"gatekeeper.yaml": text} }

func mustLoad(t *testing.T, in Input) *Config {
	t.Helper()
	c, err := Load(in)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestEveryDefaultIsUsable(t *testing.T) {
	t.Parallel()
	c := mustLoad(t, world(nil))
	for got, want := range map[string]string{
		c.Issuer: "http://localhost:8080", c.DataDir: "/home/ana/.local/share/gatekeeper",
		c.DatabaseURL.Reveal(): "sqlite:/home/ana/.local/share/gatekeeper/gatekeeper.db",
		c.DatabaseFile():       "/home/ana/.local/share/gatekeeper/gatekeeper.db",
		c.Origin("listen"):     "default", c.Origin("issuer"): "from listen", c.Origin("dev"): "from issuer",
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if !c.Dev || c.AccessTokenTTL != 15*time.Minute || len(c.Algs) != 4 || c.PasswordMin != 15 || c.Postgres() {
		t.Errorf("got %+v", c)
	}
	if c := mustLoad(t, world(nil, "XDG_DATA_HOME=/data")); c.DataDir != "/data/gatekeeper" {
		t.Errorf("data folder: got %s", c.DataDir)
	}
	if c := mustLoad(t, world(yamlOf("data_dir: var"))); c.DataDir != "/etc/gk/var" {
		t.Errorf("relative data folder: got %s", c.DataDir)
	}
}

// TestDevelopmentMode is implied where only this computer is served, and by nothing
// that reaches further.
func TestDevelopmentMode(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		yaml, from string
		dev        bool
		untouched  bool
	}{
		"nothing":                   {"", "from issuer", true, true},
		"a port":                    {"listen: localhost:9000", "from issuer", true, false},
		"a development certificate": {"tls: dev", "from tls", true, false},
		"one for the whole network": {"tls: dev\nlisten: ':8443'\nissuer: https://localhost:8443", "default", false, false},
		"switched off":              {"dev: false", "gatekeeper.yaml:1:6", false, false},
		"out in the world":          {"issuer: https://id.example.org", "default", false, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := mustLoad(t, world(yamlOf(c.yaml)))
			if got.Dev != c.dev || got.Origin("dev") != c.from || got.Untouched() != c.untouched {
				t.Errorf("dev %t %s, untouched %t; want %+v", got.Dev, got.Origin("dev"), got.Untouched(), c)
			}
		})
	}
}

func TestStrengthOfSources(t *testing.T) {
	t.Parallel()
	files := map[string]string{
		"gatekeeper.yaml": "# ours\nlog_level: debug\nnodes: 1\nlisten: localhost:1\nalgs: [RS256, ES256]\n",
		".env":            "OTHER=x\nexport GATEKEEPER_LISTEN='localhost:2' # why\nGATEKEEPER_LOG_FORMAT=json\n",
	}
	in := world(files, "GATEKEEPER_LISTEN=localhost:3", "GATEKEEPER_SIGNUP=", "GATEKEEPER_CODE_TTL=30s")
	if c := mustLoad(t, in); c.Listen != "localhost:3" || c.Origin("listen") != "environment GATEKEEPER_LISTEN" ||
		c.Origin("log_format") != ".env:3" || c.Origin("log_level") != "gatekeeper.yaml:2:12" || len(c.Algs) != 2 || c.CodeTTL != 30*time.Second {
		t.Errorf("got %+v", c)
	}
	in.Args = map[string]string{"listen": "localhost:4"}
	if c := mustLoad(t, in); c.Listen != "localhost:4" || c.Origin("listen") != "flag --listen" {
		t.Errorf("got %s from %s", c.Listen, c.Origin("listen"))
	}
	in.Environ, in.Args = nil, nil
	if c := mustLoad(t, in); c.Listen != "localhost:2" {
		t.Errorf("got %s", c.Listen)
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	pg := "database_url: postgres://db/gk\n"
	for name, c := range map[string]struct {
		in   Input
		want string
	}{
		"unknown YAML key":         {world(yamlOf("log_level: info\nisuer: https://id.example.org\n")), "gatekeeper.yaml:2:1: there is no key isuer; did you mean issuer?"},
		"unknown YAML key, far":    {world(yamlOf("colour: red")), "gatekeeper.yaml:1:1: there is no key colour"},
		"YAML key twice":           {world(yamlOf("nodes: 1\nnodes: 1")), "gatekeeper.yaml:2:1"},
		"YAML nested":              {world(yamlOf("log_level:\n  a: b")), "gatekeeper.yaml:1:1: log_level must be a plain value or a list of them"},
		"YAML without a value":     {world(yamlOf("secret:\n")), "gatekeeper.yaml:1:1: secret has no value; give it one or remove the line"},
		"YAML broken":              {world(yamlOf("listen: [a\n")), "is not YAML"},
		"YAML a list":              {world(yamlOf("- a\n")), "gatekeeper.yaml: must be a list of keys and values"},
		"YAML two documents":       {world(yamlOf("nodes: 1\n---\nnodes: 1\n")), "two documents"},
		"YAML alias":               {world(yamlOf("signup: &a open\n")), "must be a plain value"},
		"YAML item with a comma":   {world(yamlOf("scopes: ['a,b']")), "an item has no comma"},
		"named file missing":       {world(nil, "GATEKEEPER_CONFIG=no.yaml"), "/etc/gk/no.yaml: cannot be read: file does not exist"},
		"unknown variable":         {world(nil, "GATEKEEPER_ISUER=x"), "environment GATEKEEPER_ISUER: is no setting; did you mean GATEKEEPER_ISSUER?"},
		"variable in lower case":   {world(nil, "GATEKEEPER_issuer=x"), "did you mean"},
		"unknown name in .env":     {world(map[string]string{".env": "\nGATEKEEPER_SECERT=x"}), ".env:2: GATEKEEPER_SECERT is no setting; did you mean GATEKEEPER_SECRET?"},
		"name twice in .env":       {world(map[string]string{".env": "GATEKEEPER_NODES=1\nGATEKEEPER_NODES=1"}), ".env:2: nodes is given already in line 1"},
		"nonsense in .env":         {world(map[string]string{".env": "GATEKEEPER_NODES: 2"}), ".env:1: is not of the form NAME=value"},
		"open quote in .env":       {world(map[string]string{".env": "GATEKEEPER_LISTEN='b"}), ".env:1: has a quotation mark without its partner at GATEKEEPER_LISTEN"},
		"unknown flag":             {with(world(nil), "isser", "x"), "flag --isser: is no setting; did you mean issuer?"},
		"secret as a flag":         {with(world(nil), "secret", goodSecret), "flag --secret: would show the secret to every user of this computer; use --secret-file"},
		"duration without unit":    {world(yamlOf("code_ttl: 60")), `gatekeeper.yaml:1:11: code_ttl is "60" without a unit; write 60s or 60m`},
		"duration of words":        {world(yamlOf("code_ttl: a minute")), `it must be a time such as 90s, 15m, 24h or 7d`},
		"number of words":          {world(yamlOf("nodes: two")), `nodes is "two"; it must be a whole number`},
		"factor of words":          {world(yamlOf("rate_limit_factor: much")), `it must be a number`},
		"flag of words":            {world(yamlOf("dev: yes")), `dev is "yes"; it must be true or false`},
		"not one of a few":         {world(yamlOf("signup: opn")), `signup is "opn"; it must be closed or open`},
		"list item not of a few":   {world(yamlOf("algs: RS256,HS256")), `algs holds "HS256"; each must be RS256, PS256, ES256 or EdDSA`},
		"secret and secret_file":   {world(map[string]string{"s": goodSecret}, "GATEKEEPER_SECRET="+goodSecret, "GATEKEEPER_SECRET_FILE=s"), "environment GATEKEEPER_SECRET: secret is given both as it is and as secret_file; choose one"},
		"secret file missing":      {world(nil, "GATEKEEPER_SECRET_FILE=s"), "environment GATEKEEPER_SECRET_FILE: secret is in /etc/gk/s, which cannot be read: file does not exist"},
		"secret file open to all":  {world(map[string]string{"s*": goodSecret}, "GATEKEEPER_SECRET_FILE=s"), "secret is in /etc/gk/s, which every user of this computer can read; run: chmod 600 /etc/gk/s"},
		"secret file empty":        {world(map[string]string{"s": "\n"}, "GATEKEEPER_SECRET_FILE=s"), "secret is in s, which is empty"},
		"YAML with secret, open":   {world(map[string]string{"gatekeeper.yaml*": "secret: " + goodSecret}), "chmod 600 /etc/gk/gatekeeper.yaml"},
		"YAML with password, open": {world(map[string]string{"gatekeeper.yaml*": "database_url: postgres://u:p@db/gk"}, "GATEKEEPER_SECRET="+goodSecret), "chmod 600 /etc/gk/gatekeeper.yaml"},
		".env with secret, open":   {world(map[string]string{".env*": "GATEKEEPER_SECRET=" + goodSecret}), "chmod 600 /etc/gk/.env"},
		"TLS key open to all":      {world(map[string]string{"k*": "", "c": ""}, "GATEKEEPER_TLS_CERT=c", "GATEKEEPER_TLS_KEY=k"), "tls_key is in /etc/gk/k, which every user of this computer can read; run: chmod 600 /etc/gk/k"},
		"TLS key missing":          {world(nil, "GATEKEEPER_TLS_CERT=c", "GATEKEEPER_TLS_KEY=k"), "file does not exist"},

		"issuerIsAnAddress":            {world(yamlOf("issuer: id.example.org")), "must be an address such as https://id.example.org"},
		"issuerIsAnAddress query":      {world(yamlOf("issuer: https://id.example.org?a=b")), "without user, query or fragment"},
		"issuerIsAnAddress fragment":   {world(yamlOf("issuer: 'https://id.example.org#'")), "without user, query or fragment"},
		"issuerIsAnAddress user":       {world(yamlOf("issuer: https://a:b@id.example.org")), "without user, query or fragment"},
		"issuerHasOneSpelling slash":   {world(yamlOf("issuer: https://id.example.org/")), "must not end in a slash"},
		"issuerHasOneSpelling path":    {world(yamlOf("issuer: https://id.example.org/a//b")), "its path must be of letters"},
		"issuerHasOneSpelling dots":    {world(yamlOf("issuer: https://id.example.org/..")), "its path must be of letters"},
		"issuerHasOneSpelling case":    {world(yamlOf("issuer: https://ID.example.org")), "must be in lower case"},
		"issuerHasOneSpelling port":    {world(yamlOf("issuer: https://id.example.org:443")), "leave the standard port out"},
		"issuerIsAnAddress scheme":     {world(yamlOf("issuer: ftp://id.example.org")), "must be an address"},
		"issuerIsHTTPS":                {world(yamlOf("issuer: http://id.example.org")), "must begin with https://"},
		"listenIsAnAddress":            {world(yamlOf("listen: localhost")), "listen is \"localhost\"; it must be an address and a port"},
		"listenIsAnAddress port":       {world(yamlOf("listen: localhost:99999")), "it must be an address and a port"},
		"managementIsAnAddress":        {world(yamlOf("management_listen: on")), "management_listen is \"on\""},
		"nobodyOutsideByAccident":      {world(yamlOf("listen: :8080")), "which other computers can reach, so issuer must be set"},
		"nobodyOutsideByAccident http": {world(yamlOf("listen: 0.0.0.0:8080\nissuer: http://localhost:8080")), "set issuer to the https address they use"},
		"devOnlyHere":                  {world(yamlOf("dev: true\nissuer: https://id.example.org")), "development mode is for localhost"},
		"devOnlyHere tls":              {world(yamlOf("tls: dev\nissuer: https://id.example.org")), "tls is dev"},
		"tlsFilesGoTogether":           {world(yamlOf("tls_cert: c")), "tls_cert is set without tls_key; they go together"},
		"tlsFilesGoTogether key":       {world(map[string]string{"k": "", "gatekeeper.yaml": "tls_key: k"}), "tls_key is set without tls_cert"},
		"tlsMatchesItsFiles":           {world(map[string]string{"k": "", "gatekeeper.yaml": "tls_key: k\ntls_cert: c\ntls: off"}), "keep one"},
		"tlsMatchesItsFiles http":      {world(yamlOf("tls: dev\nissuer: http://localhost:8080")), "serves HTTPS"},
		"proxiesAreSome":               {world(yamlOf("trusted_proxies: 0.0.0.0/0")), "lets everyone claim any address"},
		"proxies not masked":           {world(yamlOf("trusted_proxies: 10.1.2.3/8")), "the network is 10.0.0.0/8"},
		"proxies no network":           {world(yamlOf("trusted_proxies: proxy")), "such as 10.0.0.0/8"},
		"hostsAreNames":                {world(yamlOf("allowed_hosts: '*.example.org'")), "must be a host name"},
		"fetchPortsAreSome":            {world(yamlOf("fetch_ports: [ldap]")), "must be a port"},
		"databaseIsKnown":              {world(yamlOf("database_url: mysql://db")), "must be sqlite:PATH or postgres://"},
		"redisIsKnown":                 {world(yamlOf("redis_url: localhost:6379")), "must be redis://"},
		"postgresNeedsSecret":          {world(yamlOf(pg)), "secret is missing; with Postgres"},
		"secretIsStrong short":         {world(yamlOf("secret: abc")), "it needs at least 32"},
		"secretIsStrong sample":        {world(yamlOf("secret: change-me-change-me-change-me-1234")), "looks like a sample"},
		"secretIsStrong zeros":         {world(yamlOf("secret: " + strings.Repeat("A", 43))), "looks like a sample"},
		"secretIsStrong twice":         {world(yamlOf("secret: [" + goodSecret + "," + goodSecret + "]")), "number 2 is given twice"},
		"nodesShareADatabase":          {world(yamlOf("nodes: 2")), "only Postgres serves several nodes"},
		"nodesShareADatabase none":     {world(yamlOf("nodes: 0")), "nodes is 0"},
		"durationsAreMeant access":     {world(yamlOf("access_token_ttl: 25h")), "access_token_ttl is 25h; it must be 10s to 24h"},
		"durationsAreMeant code":       {world(yamlOf("code_ttl: 11m")), "code_ttl is 11m; it must be 1s to 10m"},
		"durationsAreMeant negative":   {world(yamlOf("refresh_grace: -1s")), "refresh_grace is -1s"},
		"refreshIdleWithinLife":        {world(yamlOf("refresh_idle: 8d")), "refresh_idle is 192h, longer than refresh_token_ttl 168h"},
		"sessionIdleWithinLife":        {world(yamlOf("session_idle: 2d")), "session_idle is 48h, longer than session_absolute 24h"},
		"passwordsAreLong":             {world(yamlOf("password_min: 7")), "password_min is 7; it must be 8 to 64"},
		"rs256IsThere":                 {world(yamlOf("algs: ES256")), "algs lacks RS256"},
		"rs256IsThere twice":           {world(yamlOf("algs: [RS256, RS256]")), "names one twice"},
		"durationsAreMeant key":        {world(yamlOf("key_lifetime: 1d")), "key_lifetime is 24h; it must be 48h"},
		"numbersAreSane":               {world(yamlOf("rate_limit_factor: 0")), "rate_limit_factor is 0"},
		"numbersAreSane not a number":  {world(yamlOf("rate_limit_factor: NaN")), "rate_limit_factor is NaN"},
		"numbersAreSane conns":         {world(yamlOf("db_max_conns: -1")), "db_max_conns is -1"},
		"scopesAreWords":               {world(yamlOf("scopes: [\"a b\"]")), "a scope is printable ASCII"},
		"scopesAreWords standard":      {world(yamlOf("scopes: [openid]")), "holds openid, which is there already"},
		"scopesAreWords twice":         {world(yamlOf("scopes: [a, a]")), "holds a twice"},
		"tracesGoToAnAddress":          {world(yamlOf("otel_endpoint: localhost:4318")), "such as http://localhost:4318"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.in.Reserved = []string{"GATEKEEPER_TOKEN"}
			_, err := Load(c.in)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got  %v\nwant %s", err, c.want)
			}
			if strings.Contains(err.Error(), "\n") || len(Errors(err)) != 1 {
				t.Errorf("one mistake, one sentence: %v", err)
			}
			if strings.HasPrefix(err.Error(), sourceDefault) {
				t.Errorf("nobody wrote a default, so it is no place to look at: %v", err)
			}
			if strings.Contains(err.Error(), goodSecret) {
				t.Errorf("the error tells the secret: %v", err)
			}
		})
	}
}

func with(in Input, key, value string) Input {
	in.Args = map[string]string{key: value}
	return in
}

func TestEveryMistakeIsTold(t *testing.T) {
	t.Parallel()
	_, err := Load(world(yamlOf("isuer: a\nnodes: two\nsignup: no\n"), "GATEKEEPER_NOPE=1"))
	if got := len(Errors(err)); got != 4 {
		t.Errorf("got %d mistakes, want 4: %v", got, err)
	}
}

func TestAccepted(t *testing.T) {
	t.Parallel()
	for name, in := range map[string]Input{
		"an empty file":           world(yamlOf("")),
		"only comments":           world(yamlOf("# nothing\n---\n# more\n")),
		"names of Kubernetes":     world(nil, "GATEKEEPER_SERVICE_HOST=10.0.0.1", "GATEKEEPER_SERVICE_PORT_HTTP=80", "GATEKEEPER_PORT=tcp://10.0.0.1:80", "GATEKEEPER_PORT_8080_TCP_ADDR=10.0.0.1", "GATEKEEPER_REDIS_PORT=tcp://10.0.0.2:6379"),
		"names of tests":          world(nil, "GATEKEEPER_TEST_POSTGRES=x"),
		"names of others":         world(nil, "GATEKEEPER_TOKEN=x"),
		"behind a proxy":          world(yamlOf("listen: 0.0.0.0:8080\nissuer: https://id.example.org\ntrusted_proxies: [10.0.0.0/8, 192.0.2.1, 'fd00::/8']\n")),
		"with certificate":        world(map[string]string{"k": "", "gatekeeper.yaml": "listen: ':443'\nissuer: https://id.example.org\ntls_cert: c\ntls_key: k\n"}),
		"in a container":          world(yamlOf("listen: ':8080'\nissuer: http://localhost:8080\ndev: true\n")),
		"loopback addresses":      world(yamlOf("listen: '[::1]:8080'\nissuer: http://127.0.0.1:8080\n")),
		"any free port":           world(yamlOf("listen: localhost:0\nmanagement_listen: off\n")),
		"development certificate": world(yamlOf("tls: dev\n")),
		"secret from a file":      world(map[string]string{"s": goodSecret + "\n"}, "GATEKEEPER_SECRET_FILE=s", "GATEKEEPER_DATABASE_URL=postgres://db/gk", "GATEKEEPER_NODES=2"),
		"open file, no password":  world(map[string]string{"gatekeeper.yaml*": "database_url: postgres://db/gk\nsecret_file: s\n", "s": goodSecret}),
		"two secrets":             world(yamlOf("secret: " + goodSecret + ",exactly these thirty-two raw bytes")),
		"postgres by socket":      world(yamlOf("secret: " + goodSecret + "\ndatabase_url: postgres:///gk?host=/run/postgresql\n")),
		"no grace":                world(yamlOf("refresh_grace: 0s")),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in.Reserved = []string{"GATEKEEPER_TOKEN"}
			mustLoad(t, in)
		})
	}
}

func TestSecretsAreNeverShown(t *testing.T) {
	t.Parallel()
	c := mustLoad(t, world(yamlOf("secret: "+goodSecret+"\ndatabase_url: postgres://u:hunter2@db/gk?sslpassword=hunter3\nredis_url: redis://:hunter4@r/0\n")))
	var shown bytes.Buffer
	if err := c.Print(&shown); err != nil {
		t.Fatal(err)
	}
	slog.New(slog.NewTextHandler(&shown, nil)).Info("x", "secret", c.Secret, "db", c.DatabaseURL, "all", *c)
	raw, _ := json.Marshal(c)
	shown.Write(raw)
	fmt.Fprintf(&shown, "%v %+v %#v %s", c, *c, c.Secret, c.RedisURL)
	for _, secret := range []string{goodSecret, "hunter"} {
		if strings.Contains(shown.String(), secret) {
			t.Errorf("%s is in\n%s", secret, shown.String())
		}
	}
	for _, plain := range []string{"postgres://u:********@db/gk", "code_ttl:", "# default", "gatekeeper.yaml:1:9"} {
		if !strings.Contains(shown.String(), plain) {
			t.Errorf("%s is not in\n%s", plain, shown.String())
		}
	}
}

func TestWhatPrintShowsLoadsAgain(t *testing.T) {
	t.Parallel()
	first := mustLoad(t, world(yamlOf("scopes: [a, b]\ntrusted_proxies: 10.0.0.0/8\nrate_limit_factor: 0.5\n")))
	in := world(nil)
	in.Args = map[string]string{}
	for _, s := range first.Settings() {
		if s.Key != "secret" {
			in.Args[s.Key] = s.Value
		}
	}
	second := mustLoad(t, in)
	for i, s := range second.Settings() {
		if got, want := s.Value, first.Settings()[i].Value; got != want {
			t.Errorf("%s: got %q, want %q", s.Key, got, want)
		}
	}
}

func TestSchema(t *testing.T) {
	t.Parallel()
	got, err := Schema()
	if err != nil {
		t.Fatal(err)
	}
	golden := filepath.Join("testdata", "schema.golden.json")
	if *update {
		if err := os.WriteFile(golden, got, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Error(diff)
	}
}

func TestFieldsAreTold(t *testing.T) {
	t.Parallel()
	var c Config
	for _, f := range Fields() {
		if f.Doc == "" || !strings.HasSuffix(f.Doc, ".") {
			t.Errorf("%s: no sentence about it", f.Key)
		}
		if f.Default != "" {
			if err := f.set(&c, f.Default); err != nil {
				t.Errorf("%s: its default %v", f.Key, err)
			}
		}
		if notOurs.MatchString(f.Env) {
			t.Errorf("%s would be taken for a name of Kubernetes", f.Env)
		}
	}
}

func FuzzReadYAML(f *testing.F) {
	f.Add("issuer: https://id.example.org\nalgs:\n  - RS256\n")
	f.Add("a: &x [*x]\n---\n? b\n: |\n  c\n")
	f.Add("secret: \"\\x00\"\nnodes: 0x10\n<<: {a: b}\n")
	f.Fuzz(func(t *testing.T, text string) {
		in := world(yamlOf(text))
		c, err := Load(in)
		if (c == nil) == (err == nil) || err != nil && len(Errors(err)) == 0 {
			t.Fatalf("%v", err)
		}
	})
}

func FuzzDotEnv(f *testing.F) {
	f.Add("GATEKEEPER_LISTEN=\"localhost:1\" # x\nexport A=b\n")
	f.Add("GATEKEEPER_SECRET='\nGATEKEEPER_TRUSTED_PROXIES=::/0,1.2.3.4/33\n")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := Load(world(map[string]string{".env": text}))
		if (c == nil) == (err == nil) || err != nil && len(Errors(err)) == 0 {
			t.Fatalf("%v", err)
		}
	})
}
