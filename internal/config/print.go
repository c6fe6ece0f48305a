package config

import (
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"reflect"
	"strings"
	"text/tabwriter"
	"time"
)

// A Setting is one key as `config print` shows it.
type Setting struct {
	Key    string `json:"key"`
	Value  string `json:"value"` // as the YAML file would have it; secrets are masked
	Source string `json:"source"`
	Doc    string `json:"doc"`
}

// Settings returns every key with its value and where that is from.
func (c *Config) Settings() []Setting {
	v := reflect.ValueOf(c).Elem()
	var all []Setting
	for _, f := range Fields() {
		all = append(all, Setting{Key: f.Key, Value: f.show(v.Field(f.index).Interface()), Source: c.origin[f.Key], Doc: f.Doc})
	}
	return all
}

// show writes a value so that parse reads it again, but for secrets.
func (f Field) show(value any) string {
	switch v := value.(type) {
	case Secret:
		if f.flagged {
			return redact(v.Reveal())
		}
		return v.String()
	case time.Duration:
		return brief(v)
	case []string:
		return strings.Join(v, ",")
	case []netip.Prefix:
		items := make([]string, len(v))
		for i, p := range v {
			items[i] = p.String()
		}
		return strings.Join(items, ",")
	default:
		return fmt.Sprint(v)
	}
}

// Print writes one line for each key: name, value, source.
func (c *Config) Print(w io.Writer) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, s := range c.Settings() {
		if _, err := fmt.Fprintf(tw, "%s:\t%s\t# %s\n", s.Key, s.Value, s.Source); err != nil {
			return fmt.Errorf("print configuration: %w", err)
		}
	}
	if err := tw.Flush(); err != nil {
		return fmt.Errorf("print configuration: %w", err)
	}
	return nil
}

// Schema returns the JSON Schema (2020-12) of the YAML file, for editors.
func Schema() ([]byte, error) {
	properties := map[string]any{}
	for _, f := range Fields() {
		p := f.property()
		p["description"] = f.Doc
		if f.Default != "" {
			p["default"] = f.value()
		}
		properties[f.Key] = p
		if f.Secret {
			properties[f.Key+fileSuffix] = map[string]any{
				"type": "string", "description": "File that holds " + f.Key + "; only its owner may read it.",
			}
		}
	}
	body, err := json.MarshalIndent(map[string]any{
		"$schema":              "https://json-schema.org/draft/2020-12/schema",
		"title":                "Gatekeeper configuration",
		"type":                 "object",
		"additionalProperties": false,
		"properties":           properties,
	}, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write schema: %w", err)
	}
	return append(body, '\n'), nil
}

// property is the schema of one value.
func (f Field) property() map[string]any {
	item := map[string]any{"type": "string"}
	if f.Enum != nil {
		item["enum"] = f.Enum
	}
	switch f.Type {
	case "list":
		return map[string]any{"type": "array", "items": item, "uniqueItems": true}
	case "duration":
		item["pattern"] = `^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$|^[0-9]+d$`
	case "boolean", "integer", "number":
		item["type"] = f.Type
	}
	return item
}

// value is the default as JSON has it.
func (f Field) value() any {
	if f.Type == "duration" {
		return f.Default
	}
	v, err := f.parse(f.Default)
	if err != nil {
		return f.Default // tested: every default parses
	}
	return v
}
