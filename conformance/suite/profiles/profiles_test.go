package profiles

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the list of modules in docs/conformance.md")

const (
	document = "../../../docs/conformance.md"
	from     = "<!-- The list below is written by the test TestDocument from the modules themselves; edit those. -->\n"
)

// expected says what comes of a module against this program; "" is passed.
var expected = map[string]string{
	"idtoken-unsigned":                        "skipped: nothing unsigned is offered",
	"ensure-request-object-with-redirect-uri": "skipped: nothing unsigned is offered",
	"request-uri-unsigned":                    "skipped: nothing unsigned is offered",
	"request-uri-unsigned-supported-correctly-or-rejected-as-unsupported":    "skipped: nothing unsigned is offered",
	"unsigned-request-object-supported-correctly-or-rejected-as-unsupported": "skipped: nothing unsigned is offered",
}

// TestDocument holds docs/conformance.md to the modules there are.
func TestDocument(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	head, _, ok := strings.Cut(string(text), from)
	if !ok {
		t.Fatalf("%s has no line that says where the list begins", document)
	}
	want := head + from + list()
	if *update {
		if err := os.WriteFile(document, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if d := cmp.Diff(string(text), want); d != "" {
		t.Errorf("%s is not what the modules are (go test ./conformance/suite/profiles -update):\n%s", document, d)
	}
}

func list() string {
	var b strings.Builder
	for _, p := range All() {
		fmt.Fprintf(&b, "\n### %s\n\n`--profile %s`", p.Title, p.Name)
		var variants []string
		for _, v := range p.Variants {
			if v.String() != "" {
				variants = append(variants, "`"+v.String()+"`")
			}
		}
		if len(variants) > 0 {
			b.WriteString(", for " + strings.Join(variants, "; "))
		}
		if strings.HasPrefix(p.Name, "formpost-") {
			b.WriteString(": the modules of the profile above without `form_post`.\n")
			continue
		}
		b.WriteString("\n\n| Module | What must hold | Where it is said | Expected |\n|---|---|---|---|\n")
		for _, m := range p.Modules {
			result := expected[m.Name]
			if result == "" {
				result = "passed"
			}
			fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", m.Name, strings.ReplaceAll(m.Summary, "|", `\|`), m.Spec, result)
		}
	}
	return b.String()
}

// TestModules: every module says what it is, and no two of a profile the same.
func TestModules(t *testing.T) {
	t.Parallel()
	for _, p := range All() {
		seen := map[string]bool{}
		if p.Name == "" || p.Title == "" || len(p.Variants) == 0 {
			t.Errorf("the profile %q is not whole", p.Name)
		}
		for _, m := range p.Modules {
			if m.Name == "" || m.Spec == "" || m.Run == nil || !strings.HasSuffix(m.Summary, ".") || seen[m.Name] {
				t.Errorf("%s: the module %q is not whole, or there twice", p.Name, m.Name)
			}
			seen[m.Name] = true
		}
	}
}

func TestNamed(t *testing.T) {
	t.Parallel()
	chosen, unknown := Named("config", "basic")
	if unknown != "" || len(chosen) != 2 || chosen[0].Name != "config" {
		t.Errorf("%v %q", chosen, unknown)
	}
	if _, unknown := Named("basic", "perfect"); unknown != "perfect" {
		t.Errorf("%q", unknown)
	}
}
