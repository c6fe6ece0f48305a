package config

import (
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	envPrefix     = "GATEKEEPER_"
	fileSuffix    = "_file"
	sourceDefault = "default"
)

// A Field describes one key for flags, help and the schema.
type Field struct {
	Key     string // data_dir
	Flag    string // data-dir; secret-file for a secret, which a flag must not hold
	Env     string // GATEKEEPER_DATA_DIR
	Type    string // string, boolean, integer, number, duration, list
	Enum    []string
	Default string
	Doc     string
	Secret  bool // may be given as Key_file and Env_FILE; its value is masked

	flagged bool // a flag may hold the value itself
	index   int
}

// Fields returns every key in the order of Config.
func Fields() []Field {
	t := reflect.TypeFor[Config]()
	var fields []Field
	for i := range t.NumField() {
		sf := t.Field(i)
		key, ok := sf.Tag.Lookup("key")
		if !ok {
			continue
		}
		f := Field{
			Key: key, Env: envPrefix + strings.ToUpper(key), Flag: strings.ReplaceAll(key, "_", "-"),
			Type: typeName(sf.Type), Default: sf.Tag.Get("default"), Doc: sf.Tag.Get("doc"),
			Secret: sf.Tag.Get("secret") != "", flagged: sf.Tag.Get("secret") != "all", index: i,
		}
		if enum, ok := sf.Tag.Lookup("enum"); ok {
			f.Enum = strings.Split(enum, "|")
		}
		if !f.flagged {
			f.Flag += "-file"
		}
		fields = append(fields, f)
	}
	return fields
}

// find returns the field called name, and whether name is its _file form.
func find(fields []Field, name string) (f Field, file, ok bool) {
	for _, f := range fields {
		if f.Key == name {
			return f, false, true
		}
		if f.Secret && f.Key+fileSuffix == name {
			return f, true, true
		}
	}
	return Field{}, false, false
}

// names returns every name a source may use.
func names(fields []Field) []string {
	var all []string
	for _, f := range fields {
		all = append(all, f.Key)
		if f.Secret {
			all = append(all, f.Key+fileSuffix)
		}
	}
	return all
}

func typeName(t reflect.Type) string {
	switch {
	case t == reflect.TypeFor[time.Duration]():
		return "duration"
	case t.Kind() == reflect.Slice:
		return "list"
	case t.Kind() == reflect.Bool:
		return "boolean"
	case t.Kind() == reflect.Int:
		return "integer"
	case t.Kind() == reflect.Float64:
		return "number"
	default:
		return "string"
	}
}

// set parses text into the field of c.
func (f Field) set(c *Config, text string) error {
	if f.Type != "list" && f.Enum != nil && !slices.Contains(f.Enum, text) {
		return fmt.Errorf("is %q; it must be %s", text, oneOf(f.Enum))
	}
	v, err := f.parse(text)
	if err != nil {
		return err
	}
	target := reflect.ValueOf(c).Elem().Field(f.index)
	target.Set(reflect.ValueOf(v).Convert(target.Type()))
	return nil
}

// parse returns text as a value of the field's type.
func (f Field) parse(text string) (any, error) {
	switch f.Type {
	case "duration":
		return Duration(text)
	case "boolean":
		if text != "true" && text != "false" {
			return nil, fmt.Errorf("is %q; it must be true or false", text)
		}
		return text == "true", nil
	case "integer":
		n, err := strconv.Atoi(text)
		if err != nil {
			return nil, fmt.Errorf("is %q; it must be a whole number", text)
		}
		return n, nil
	case "number":
		n, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return nil, fmt.Errorf("is %q; it must be a number", text)
		}
		return n, nil
	case "list":
		return f.list(text)
	default:
		return text, nil
	}
}

// list splits text at commas, and reads networks where the field holds them.
func (f Field) list(text string) (any, error) {
	var items []string
	for item := range strings.SplitSeq(text, ",") {
		item = strings.TrimSpace(item)
		if item == "" {
			continue
		}
		if f.Enum != nil && !slices.Contains(f.Enum, item) {
			return nil, fmt.Errorf("holds %q; each must be %s", item, oneOf(f.Enum))
		}
		items = append(items, item)
	}
	if reflect.TypeFor[Config]().Field(f.index).Type != reflect.TypeFor[[]netip.Prefix]() {
		return items, nil
	}
	var networks []netip.Prefix
	for _, item := range items {
		p, err := network(item)
		if err != nil {
			return nil, err
		}
		networks = append(networks, p)
	}
	return networks, nil
}

// network reads 10.0.0.0/8, or one address.
func network(item string) (netip.Prefix, error) {
	if ip, err := netip.ParseAddr(item); err == nil && ip.Zone() == "" {
		return netip.PrefixFrom(ip, ip.BitLen()), nil
	}
	p, err := netip.ParsePrefix(item)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("holds %q; each must be a network such as 10.0.0.0/8", item)
	}
	if p != p.Masked() {
		return netip.Prefix{}, fmt.Errorf("holds %q; the network is %s", item, p.Masked())
	}
	return p, nil
}

func oneOf(enum []string) string {
	var quoted []string
	for _, e := range enum {
		if e == "" {
			e = `""`
		}
		quoted = append(quoted, e)
	}
	if n := len(quoted) - 1; n > 0 {
		return strings.Join(quoted[:n], ", ") + " or " + quoted[n]
	}
	return strings.Join(quoted, "")
}

// An Error is one thing wrong with the configuration.
type Error struct {
	Key    string // "" if the source as a whole cannot be read
	Source string // "gatekeeper.yaml:3:9", "environment GATEKEEPER_ISSUER"; "" or "default" if nobody set it
	Detail string // what is wrong and what would be right
}

// Error is one sentence: where it stands, and what is wrong.
func (e *Error) Error() string {
	switch {
	case e.Key == "":
		return e.Source + ": " + e.Detail
	case e.Source == "" || e.Source == sourceDefault:
		return e.Key + " " + e.Detail
	default:
		return e.Source + ": " + e.Key + " " + e.Detail
	}
}

// Errors returns every Error in err, however it is wrapped: Load and Check may
// join many.
func Errors(err error) []*Error {
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		var all []*Error
		for _, e := range many.Unwrap() {
			all = append(all, Errors(e)...)
		}
		return all
	}
	if inner := errors.Unwrap(err); inner != nil {
		return Errors(inner)
	}
	var e *Error
	if errors.As(err, &e) {
		return []*Error{e}
	}
	return nil
}

// Blame is the Error that key's value does not work, found out by trying: one
// sentence with the key, where the value is from, the value unless it is secret,
// and what came of it, such as "does not answer: connection refused".
func (c *Config) Blame(key, format string, args ...any) error {
	f, _, ok := find(Fields(), key)
	if !ok {
		return c.wrong(key, format, args...)
	}
	value := f.show(reflect.ValueOf(c).Elem().Field(f.index).Interface())
	return c.wrong(key, "is %s, which %s", value, fmt.Sprintf(format, args...))
}

// near returns "; did you mean X?" for the name closest to got, or nothing if
// none is close.
func near(got string, all []string) string {
	best, least := "", len(got)/3+1
	for _, name := range all {
		if d := Distance(got, name); d <= least && (best == "" || d < least) {
			best, least = name, d
		}
	}
	if best == "" {
		return ""
	}
	return "; did you mean " + best + "?"
}

// Distance counts the letters to insert, delete or replace to make b of a, two
// short words: how far a typing error is from what was meant.
func Distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replaced := diagonal
			if a[i] != b[j] {
				replaced++
			}
			diagonal = row[j+1]
			row[j+1] = min(replaced, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
