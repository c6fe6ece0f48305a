package templates

import (
	"fmt"
	"html/template"
	"strconv"
	"strings"
	"time"
)

// funcs returns what the templates of one language can call.
func funcs(tag Locale, words catalogue, files *assets) template.FuncMap {
	return template.FuncMap{
		"lang":  func() string { return string(tag) },
		"asset": files.url,
		"has":   func(key string) bool { return words[key] != "" },
		"plain": Plain,
		"stamp": func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
		"when":  func(t time.Time) string { return t.UTC().Format(words["time.layout"]) },
		"span":  words.span,
		"t":     words.text,
		"rich":  words.rich,
	}
}

// text is a sentence as text, for titles, attributes and where nobody else's words
// are in it.
func (c catalogue) text(key string, args ...any) (string, error) {
	s, ok := c[key]
	if !ok {
		return "", fmt.Errorf("no words for %q", key)
	}
	return fill(s, args, func(v string) string { return v }), nil
}

// rich is a sentence in which what others chose is set apart.
func (c catalogue) rich(key string, args ...any) (template.HTML, error) {
	s, ok := c[key]
	if !ok {
		return "", fmt.Errorf("no words for %q", key)
	}
	s = fill(template.HTMLEscapeString(s), args, func(v string) string {
		return "<bdi>" + template.HTMLEscapeString(v) + "</bdi>"
	})
	return template.HTML(s), nil //nolint:gosec // the sentence and every argument were escaped above
}

// fill replaces each {name} by the argument after "name", put through dress.
func fill(sentence string, args []any, dress func(string) string) string {
	if len(args) == 0 {
		return sentence
	}
	pairs := make([]string, 0, len(args))
	for i := 0; i+1 < len(args); i += 2 {
		pairs = append(pairs, "{"+fmt.Sprint(args[i])+"}", dress(Plain(fmt.Sprint(args[i+1]))))
	}
	return strings.NewReplacer(pairs...).Replace(sentence)
}

// span says a number of seconds the way people do, rounded up.
func (c catalogue) span(seconds int) string {
	n, unit := max(seconds, 1), "second"
	if n > 90 {
		n, unit = (n+59)/60, "minute"
		if n > 90 {
			n, unit = (n+59)/60, "hour"
		}
	}
	if n > 1 {
		unit += "s"
	}
	return strings.Replace(c["span."+unit], "{n}", strconv.Itoa(n), 1)
}
