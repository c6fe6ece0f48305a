package config

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const referencePath = "../../docs/configuration.md"

// TestReference holds docs/configuration.md to the settings there are.
func TestReference(t *testing.T) {
	t.Parallel()
	got := reference(t)
	if *update {
		if err := os.WriteFile(referencePath, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(referencePath)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Errorf("docs/configuration.md is not what the settings are (go test ./internal/config -run Reference -update):\n%s", d)
	}
}

// A chapter is what an operator thinks of at one time.
type chapter struct {
	title, keys string
	words       string // after the table
}

var chapters = []chapter{
	{"Where it is reached", "issuer listen management_listen tls tls_cert tls_key trusted_proxies allowed_hosts", wordsReached},
	{"Where it keeps things", "data_dir database_url db_max_conns redis_url nodes secret", wordsKept},
	{"How long things live", "access_token_ttl id_token_ttl code_ttl refresh_token_ttl refresh_idle refresh_grace session_idle session_absolute key_lifetime", wordsLives},
	{"Who may do what", "signup password_min scopes algs rate_limit_factor", ""},
	{"Running it", "", ""}, // whatever no other chapter names
}

// reference writes the whole page, and fails if a chapter names what is no setting
// or what another chapter names.
func reference(t *testing.T) string {
	t.Helper()
	c := mustLoad(t, world(nil))
	bounds := map[string]span{}
	for _, s := range c.spans() {
		bounds[s.key] = s
	}
	left := map[string]Field{}
	var rest []string
	for _, f := range Fields() {
		left[f.Key] = f
		if !slices.ContainsFunc(chapters, func(ch chapter) bool { return slices.Contains(strings.Fields(ch.keys), f.Key) }) {
			rest = append(rest, f.Key)
		}
	}
	var b strings.Builder
	b.WriteString(referenceHead)
	for _, ch := range chapters {
		fmt.Fprintf(&b, "\n## %s\n\n| Setting | Values | Default | Meaning |\n|---|---|---|---|\n", ch.title)
		keys := strings.Fields(ch.keys)
		if len(keys) == 0 {
			keys = rest
		}
		for _, key := range keys {
			f, ok := left[key]
			if !ok {
				t.Fatalf("%s is no setting, or stands in two chapters", key)
			}
			delete(left, key)
			b.WriteString(row(f, bounds[key]))
		}
		b.WriteString(ch.words)
	}
	return b.String() + referenceFoot
}

// row is one setting: its names, what it takes, what it is without, what it does.
func row(f Field, bounds span) string {
	names := []string{f.Key}
	if f.flagged {
		names = append(names, "--"+f.Flag)
	}
	names = append(names, f.Env)
	if f.Secret {
		names = append(names, f.Key+fileSuffix)
		if !f.flagged {
			names = append(names, "--"+f.Flag)
		}
		names = append(names, f.Env+strings.ToUpper(fileSuffix))
	}
	meaning := f.Doc
	if f.Secret {
		meaning += " **Secret.**"
	}
	return fmt.Sprintf("| `%s` | %s | %s | %s |\n", strings.Join(names, "`<br>`"), values(f, bounds), code(f.Default), strings.ReplaceAll(meaning, "|", `\|`))
}

func values(f Field, bounds span) string {
	var shown []string
	for _, e := range f.Enum {
		if e != "" {
			shown = append(shown, code(e))
		}
	}
	switch {
	case f.Type == "list" && shown != nil:
		return "list of " + strings.Join(shown, " ")
	case shown != nil:
		return strings.Join(shown, " ")
	case bounds.key != "":
		return fmt.Sprintf("%s, `%s` to `%s`", f.Type, brief(bounds.least), brief(bounds.most))
	default:
		return f.Type
	}
}

func code(s string) string {
	if s == "" {
		return ""
	}
	return "`" + s + "`"
}

const referenceHead = `# Configuration

<!-- Written by the test TestReference of internal/config from the settings themselves; edit those. -->

Nothing has to be configured: without any of this, ` + "`gatekeeper serve`" + ` is a development server for its own computer. What you want
otherwise you say in one of four places, the strongest first:

| | looks like | notes |
|---|---|---|
| flags | ` + "`--data-dir /var/lib/gatekeeper`" + ` | of ` + "`serve`, `config check` and `config print`" + `; other commands know ` + "`--config`, `--data-dir` and `--database-url`" + ` |
| environment | ` + "`GATEKEEPER_DATA_DIR=/var/lib/gatekeeper`" + ` | an empty variable is one that is not set |
| ` + "`.env`" + ` | the same names, one a line | in the working directory; lines that do not begin with ` + "`GATEKEEPER_`" + ` belong to others and may be anything, also quoted over several lines |
| YAML | ` + "`data_dir: /var/lib/gatekeeper`" + ` | ` + "`gatekeeper.yaml`" + ` in the working directory, or the file of ` + "`--config`" + ` or ` + "`GATEKEEPER_CONFIG`" + ` |

Lists are separated by commas, or are lists in YAML. Durations are ` + "`90s`, `15m`, `24h`, `7d`" + `. Relative paths begin in the working directory.

` + "```sh" + `
gatekeeper config check     # says what is wrong, and where; exit status 78
gatekeeper config print     # every setting, its value and which place it is from; secrets are masked
gatekeeper config schema    # a JSON Schema, for editors
` + "```" + `

**What cannot be meant is refused.** A name that does not exist, in YAML or behind ` + "`GATEKEEPER_`" + `, stops the start, with the file and
line and the name that was probably meant: a misspelt setting must not silently weaken anything.

**Secrets** may be given as the name of a file (` + "`secret_file`, `GATEKEEPER_SECRET_FILE`" + `, as container platforms mount them), never both ways in
one place. The root secret has no flag for its value, because every user of a computer can read a command line. A file that holds a
secret and that every user can read is refused; so is such a ` + "`tls_key`" + `.
`

const wordsReached = `
A server that other computers can reach must know its ` + "`issuer`" + `, and that must be ` + "`https://`" + `. Who ends TLS – this server or a proxy – is
in [operations.md](operations.md#tls).
`

const wordsKept = `
The embedded database makes its own root secret on the first start, in ` + "`data_dir/secret`" + `, and refuses to start if that is lost. PostgreSQL
needs the same ` + "`secret`" + ` on every node: ` + "`openssl rand -base64 32`" + `. ` + "`db_max_conns`" + ` left to the server is four for each core, and at least 16.
`

const wordsLives = `
An idle time may not be longer than the life it belongs to. A session's life is
counted from the sign-in, that of refresh tokens from the code that began the grant.
`

const referenceFoot = `
## For the command line only

| Name | Meaning |
|---|---|
| ` + "`--config`<br>`GATEKEEPER_CONFIG`" + ` | the YAML file to read |
| ` + "`--server`<br>`GATEKEEPER_SERVER`" + ` | speak to the admin API at this URL instead of the database; commands that work on this computer only refuse it |
| ` + "`--token-file`<br>`GATEKEEPER_TOKEN_FILE`" + ` | file of the token for it |
| ` + "`--ca-file`<br>`GATEKEEPER_CA_FILE`" + ` | file of the authorities that vouch for its certificate, where the system knows none |
| ` + "`NO_COLOR`" + ` | print without colours |

## A file for production

` + "```yaml" + `
issuer: https://id.example.org
listen: :8080
tls: off                          # the proxy ends it
trusted_proxies: [10.0.0.0/8]
database_url_file: /run/secrets/database-url
redis_url: redis://redis:6379/0
secret_file: /run/secrets/gatekeeper
nodes: 3
scopes: [orders:read, orders:write]
` + "```" + `
`

// TestTheSampleOfTheReferenceLoads: what the page shows works.
func TestTheSampleOfTheReferenceLoads(t *testing.T) {
	t.Parallel()
	_, sample, _ := strings.Cut(referenceFoot, "```yaml\n")
	sample, _, _ = strings.Cut(sample, "```")
	c := mustLoad(t, world(map[string]string{
		"gatekeeper.yaml": strings.ReplaceAll(sample, "/run/secrets/", ""),
		"database-url":    "postgres://gatekeeper:pw@db/gatekeeper", "gatekeeper": goodSecret,
	}))
	if !c.Postgres() || c.Nodes != 3 || len(c.Scopes) != 2 || c.ServesTLS() {
		t.Errorf("got %+v", c)
	}
}
