package conformance

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// papers are what a reader is given, by path from the root.
func papers(t *testing.T) map[string]string {
	t.Helper()
	texts := map[string]string{}
	err := filepath.WalkDir("..", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && p != ".." && strings.HasPrefix(d.Name(), ".") {
			return filepath.SkipDir
		}
		if filepath.Ext(p) == ".md" {
			texts[filepath.Clean(p)] = read(t, p)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return texts
}

func read(t *testing.T, name string) string {
	t.Helper()
	raw, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

var (
	mdLink    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	mdFence   = regexp.MustCompile("(?s)```.*?```")
	mdHeading = regexp.MustCompile(`(?m)^#+ +(.+)$`)
	notAnchor = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
)

// TestEveryLinkLeadsSomewhere: files that are linked exist, and so do the headings.
func TestEveryLinkLeadsSomewhere(t *testing.T) {
	t.Parallel()
	texts := papers(t)
	for name, text := range texts {
		for _, m := range mdLink.FindAllStringSubmatch(mdFence.ReplaceAllString(text, ""), -1) {
			if strings.Contains(m[1], "://") || strings.HasPrefix(m[1], "mailto:") {
				continue
			}
			file, anchor, _ := strings.Cut(m[1], "#")
			target := name
			if file != "" {
				target = filepath.Join(filepath.Dir(name), filepath.FromSlash(file))
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s links to %s, which is not there", name, m[1])
				continue
			}
			if anchor != "" && !slices.Contains(anchors(texts[target]), anchor) {
				t.Errorf("%s links to %s, which has no such heading", name, m[1])
			}
		}
	}
}

// anchors are the names that headings get where Markdown is shown.
func anchors(text string) []string {
	var names []string
	for _, m := range mdHeading.FindAllStringSubmatch(mdFence.ReplaceAllString(text, ""), -1) {
		names = append(names, strings.ReplaceAll(notAnchor.ReplaceAllString(strings.ToLower(m[1]), ""), " ", "-"))
	}
	return names
}

// TestWhatIsNamedIsDocumented: every event, metric and rate limit of the code has
// its row, and no row is about one that is gone.
func TestWhatIsNamedIsDocumented(t *testing.T) {
	t.Parallel()
	operations := read(t, "../docs/operations.md")
	_, metrics, _ := strings.Cut(operations, "### Metrics")
	metrics, _, _ = strings.Cut(metrics, "\n### ")
	_, limits, _ := strings.Cut(operations, "## Rate limits")
	limits, _, _ = strings.Cut(limits, "\n## ")
	meter := read(t, "../internal/meter/meter.go") + read(t, "../cmd/gatekeeper/running.go") + read(t, "../cmd/gatekeeper/leaning.go")
	rows := regexp.MustCompile("(?m)^\\| `([a-z_.]+)")
	for what, c := range map[string]struct {
		code, names string // where the names are, and what they look like
		paper       string
	}{
		"event":      {read(t, "../audit/event.go"), `Kind = "([a-z._]+)"`, read(t, "../docs/events.md")},
		"metric":     {meter, `(?:counter\(|namespace, Name: |(?:Gauge|Count)\()"(?:gatekeeper_)?([a-z_]+)"`, strings.ReplaceAll(metrics, "`gatekeeper_", "`")},
		"rate limit": {read(t, "../internal/ratelimit/rules.go"), `per\("([a-z.]+)"`, limits},
	} {
		var coded, written []string
		for _, m := range regexp.MustCompile(c.names).FindAllStringSubmatch(c.code, -1) {
			coded = append(coded, m[1])
		}
		for _, m := range rows.FindAllStringSubmatch(c.paper, -1) {
			written = append(written, m[1])
		}
		if len(coded) == 0 {
			t.Errorf("no %s was found in the code", what)
		}
		for _, name := range coded {
			if !slices.Contains(written, name) {
				t.Errorf("%s %s is not documented", what, name)
			}
		}
		for _, name := range written {
			if !slices.Contains(coded, name) {
				t.Errorf("%s %s is documented and does not exist", what, name)
			}
		}
	}
}

// TestTheWalkIsTheCode: every Type.method of the walk in docs/architecture.md is one.
func TestTheWalkIsTheCode(t *testing.T) {
	t.Parallel()
	text := read(t, "../docs/architecture.md")
	_, walk, _ := strings.Cut(text, "```\nGET /oauth2/authorize?client_id…")
	walk, _, _ = strings.Cut(walk, "```")
	var code strings.Builder
	for _, dir := range []string{"internal/web", "oauth2", "login", "consent", "identity"} {
		files, err := filepath.Glob(filepath.Join("..", dir, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			code.WriteString(read(t, f))
		}
	}
	steps := regexp.MustCompile(`\b([A-Za-z]\w*)\.([A-Za-z]\w*)\b`).FindAllStringSubmatch(walk, -1)
	if len(steps) < 20 {
		t.Fatalf("the walk has %d steps", len(steps))
	}
	for _, m := range steps {
		name := regexp.QuoteMeta(m[2])
		declared := `func \(\w* ?\*?` + m[1] + `\) ` + name + `\(` // a method
		switch {
		case m[1] == "Store" || m[1] == "Step":
			declared = `(?m)^\t` + name + `\(ctx` // of an interface
		case m[1] == strings.ToLower(m[1]):
			declared = `func ` + name + `\(` // a function of a package
		}
		if !regexp.MustCompile(declared).MatchString(code.String()) {
			t.Errorf("%s is not in the code", m[0])
		}
	}
}
