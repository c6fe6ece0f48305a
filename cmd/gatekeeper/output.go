package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
	"unicode/utf16"

	"github.com/goccy/go-yaml"
)

// outputs are the values of -o.
func outputs() []string { return []string{"table", "json", "yaml", "name"} }

// A view is one answer in every form a person or a program may ask for.
type view struct {
	value any            // JSON and YAML: what the admin API answers
	names []string       // -o name: what the next command takes as its argument
	table func(t *table) // -o table

	once string // a secret that is shown this once, and that -o name must not lose
}

// print writes v to standard output in the form that was asked for.
func (a *app) print(v view) error {
	switch a.global.output {
	case "json":
		return printJSON(a.Stdout, v.value)
	case "yaml":
		return printYAML(a.Stdout, v.value)
	case "name":
		for _, n := range v.names {
			if _, err := fmt.Fprintln(a.Stdout, clean(n)); err != nil {
				return fmt.Errorf("print: %w", err)
			}
		}
		if v.once != "" {
			_, _ = fmt.Fprintln(a.Stderr, v.once+"   shown once; store it now") // a closed stderr has nobody to tell
		}
		return nil
	default:
		t := newTable(a.Stdout)
		v.table(t)
		return t.flush()
	}
}

func printJSON(w io.Writer, value any) error {
	e := json.NewEncoder(escaping{w})
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	if err := e.Encode(value); err != nil {
		return fmt.Errorf("print JSON: %w", err)
	}
	return nil
}

// printYAML goes through JSON, so that both speak the same names in the same order.
// What a terminal would act upon has no place in a plain word of YAML: a value with
// it is printed as JSON, which is YAML too.
func printYAML(w io.Writer, value any) error {
	text, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("print YAML: %w", err)
	}
	if text, err = yaml.JSONToYAML(text); err != nil {
		return fmt.Errorf("print YAML: %w", err)
	}
	if bytes.ContainsFunc(text, func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }) {
		return printJSON(w, value)
	}
	if _, err = w.Write(text); err != nil {
		return fmt.Errorf("print YAML: %w", err)
	}
	return nil
}

// escaping writes JSON in which everything a terminal might act upon is an escape:
// C1 controls, marks that turn the direction of text around, and whatever else is
// not printable. encoding/json escapes the C0 controls alone.
type escaping struct{ w io.Writer }

// Write implements io.Writer for whole values of JSON.
func (e escaping) Write(text []byte) (int, error) {
	if _, err := e.w.Write(escape(text)); err != nil {
		return 0, err
	}
	return len(text), nil
}

func escape(text []byte) []byte {
	strange := func(r rune) bool { return r >= 0x7F && !unicode.IsPrint(r) }
	if !bytes.ContainsFunc(text, strange) {
		return text
	}
	var b bytes.Buffer
	for _, r := range string(text) {
		switch {
		case !strange(r):
			b.WriteRune(r)
		case r > 0xFFFF:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(&b, `\u%04x\u%04x`, high, low)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.Bytes()
}

// A table lays cells out in columns. What comes from outside cannot move the
// cursor, colour the screen or add a line: control characters are dropped.
type table struct {
	w   *tabwriter.Writer
	err error
}

func newTable(w io.Writer) *table {
	return &table{w: tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)}
}

// row adds a line of cells. Empty cells show as a dash.
func (t *table) row(cells ...string) {
	clear := make([]string, len(cells))
	for i, c := range cells {
		if clear[i] = clean(c); clear[i] == "" {
			clear[i] = "-"
		}
	}
	t.line(strings.Join(clear, "\t"))
}

// field adds a line of a name and its values, unless there is no value at all.
func (t *table) field(name string, values ...string) {
	var clear []string
	for _, v := range values {
		if v = clean(v); v != "" {
			clear = append(clear, v)
		}
	}
	if len(clear) > 0 {
		t.line(name + "\t" + strings.Join(clear, "   "))
	}
}

// each adds a line for every value, the name on the first only.
func (t *table) each(name string, values []string) {
	for _, v := range values {
		t.line(name + "\t" + clean(v))
		name = ""
	}
}

func (t *table) line(s string) {
	if t.err == nil {
		_, t.err = fmt.Fprintln(t.w, s)
	}
}

func (t *table) flush() error {
	if t.err == nil {
		t.err = t.w.Flush()
	}
	if t.err != nil {
		return fmt.Errorf("print: %w", t.err)
	}
	return nil
}

// clean drops what a terminal would act upon.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return ' '
		case !unicode.IsPrint(r):
			return -1
		default:
			return r
		}
	}, s)
}

// cleanLines is clean for words that have lines.
func cleanLines(s string) string {
	lines := strings.Split(s, "\n")
	for i, l := range lines {
		lines[i] = clean(l)
	}
	return strings.Join(lines, "\n")
}

// moment is a time in a table: absolute, so that it can be compared and copied.
func moment(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Local().Format("2006-01-02 15:04")
}

// span is a duration in a table, in the largest unit that says enough.
func span(d time.Duration) string {
	switch {
	case d < 0:
		return "past"
	case d >= 48*time.Hour:
		return fmt.Sprintf("%d days", d/(24*time.Hour))
	case d >= 2*time.Hour:
		return fmt.Sprintf("%d h", d.Round(time.Hour)/time.Hour)
	case d >= 2*time.Minute:
		return fmt.Sprintf("%d min", d.Round(time.Minute)/time.Minute)
	default:
		return fmt.Sprintf("%d s", d/time.Second)
	}
}

// paint colours s for a terminal that wants colours.
func (a *app) paint(color, s string) string {
	if _, no := a.LookupEnv("NO_COLOR"); no || a.global.noColor || !a.StdoutTTY || a.Getenv("TERM") == "dumb" {
		return s
	}
	return "\x1b[" + color + "m" + s + "\x1b[0m"
}

const (
	green  = "32"
	yellow = "33"
	red    = "31"
)
