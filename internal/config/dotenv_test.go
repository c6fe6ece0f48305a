package config

import (
	"strings"
	"testing"
)

// TestForeignLinesOfDotEnv are passed over, and never take a line of ours with them.
func TestForeignLinesOfDotEnv(t *testing.T) {
	t.Parallel()
	for name, foreign := range map[string]string{
		"nothing":                "",
		"bare word":              "hello",
		"export of a word":       "export OTHER",
		"PEM over lines":         "KEY=\"-----BEGIN KEY-----\nMIIE=\nabc'd\n-----END KEY-----\"",
		"PEM, single quotes":     "KEY='-----BEGIN KEY-----\nMIIE=\n-----END KEY-----'",
		"PEM without quotes":     "-----BEGIN KEY-----\nMIIE=\n-----END KEY-----",
		"quoted, a comment":      "KEY=\"a\nb\" # why",
		"escaped mark":           `KEY="a\"b"`,
		"mark without its other": "KEY='b",
		"expansion":              "URL=https://${HOST}/$(id)",
		"spaces in a name":       "MY KEY=1",
		"quoted name":            "'A'=1",
		"no name":                "=1",
		"YAML":                   "a: b",
		"comment":                "# GATEKEEPER_NODES=9",
		"other case":             "gatekeeper_nodes=9",
	} {
		for _, end := range []string{"\n", "\r\n"} {
			for _, mark := range []string{"", "\ufeff"} {
				text := mark + strings.ReplaceAll("GATEKEEPER_LISTEN=localhost:2\n"+foreign+"\nexport  GATEKEEPER_LOG_FORMAT='json' # us\n", "\n", end)
				c := mustLoad(t, world(map[string]string{".env": text}))
				if c.Listen != "localhost:2" || c.LogFormat != "json" {
					t.Errorf("%s (%q): listen %q, format %q", name, text, c.Listen, c.LogFormat)
				}
			}
		}
	}
}

// TestByteOrderMarks come before texts that editors of other systems wrote.
func TestByteOrderMarks(t *testing.T) {
	t.Parallel()
	c := mustLoad(t, world(map[string]string{
		"gatekeeper.yaml": "\ufeffsignup: open\r\n", "s": "\ufeff" + goodSecret + "\r\n",
	}, "GATEKEEPER_SECRET_FILE=s"))
	if c.Signup != "open" || c.Secret.Reveal() != goodSecret {
		t.Errorf("signup %q, secret %q", c.Signup, c.Secret.Reveal())
	}
}
