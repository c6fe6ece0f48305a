package config

import (
	"bytes"
	"regexp"
	"strings"
)

// An assigned is one of our lines in a file .env.
type assigned struct {
	line        int
	name, value string
	wrong       string // what keeps it from being an assignment
}

// ourLine begins an assignment that is meant for us.
var ourLine = regexp.MustCompile(`^[ \t]*(export[ \t]+)?` + envPrefix)

// withoutMark takes off the byte-order mark that some editors put before a text.
func withoutMark(text []byte) []byte { return bytes.TrimPrefix(text, []byte("\xef\xbb\xbf")) }

// dotEnv returns what a file .env says to us: NAME=value, perhaps after export,
// perhaps quoted (then over several lines, if need be), perhaps with a comment after
// it. Nothing is expanded. All other lines belong to other programs, which may write
// what they like: they are passed over, and never take a line of ours with them.
func dotEnv(text string) []assigned {
	var out []assigned
	lines := strings.Split(strings.ReplaceAll(text, "\r\n", "\n"), "\n")
	for i := 0; i < len(lines); {
		a := assigned{line: i + 1}
		ours, used := ourLine.MatchString(lines[i]), 1
		line := strings.TrimSpace(lines[i])
		if !strings.HasPrefix(line, "#") {
			used = a.read(line, lines[i:], ours)
		}
		if ours {
			out = append(out, a)
		}
		i += used
	}
	return out
}

// read reads the assignment in line, the first of lines, and returns how many of
// them it took.
func (a *assigned) read(line string, lines []string, ours bool) int {
	if rest, ok := strings.CutPrefix(line, "export"); ok && strings.TrimLeft(rest, " \t") != rest {
		line = strings.TrimSpace(rest)
	}
	name, value, ok := strings.Cut(line, "=")
	a.name, value = strings.TrimSpace(name), strings.TrimSpace(value)
	if !ok || a.name == "" || strings.ContainsAny(a.name, " \t\"'") {
		a.wrong = "is not of the form NAME=value"
		return 1
	}
	if value == "" || value[0] != '"' && value[0] != '\'' {
		if i := strings.Index(value, " #"); i >= 0 {
			value = strings.TrimSpace(value[:i])
		}
		a.value = value
		return 1
	}
	a.value, ok = closed(value, ours)
	used := 1
	for ; !ok && used < len(lines) && !ourLine.MatchString(lines[used]); used++ {
		value += "\n" + lines[used]
		a.value, ok = closed(value, ours)
	}
	if !ok {
		a.wrong = "has a quotation mark without its partner at " + a.name
		return 1
	}
	return used
}

// closed returns what stands between the mark that begins value and its partner, if
// that is there with at most a comment behind it. In the values of others a backslash
// may keep a mark from being the partner; ours are taken as they are.
func closed(value string, ours bool) (quoted string, ok bool) {
	mark := value[0]
	for i := 1; i < len(value); i++ {
		switch {
		case value[i] == '\\' && mark == '"' && !ours:
			i++
		case value[i] == mark:
			rest := strings.TrimSpace(value[i+1:])
			return value[1:i], rest == "" || strings.HasPrefix(rest, "#")
		}
	}
	return "", false
}
