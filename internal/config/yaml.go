package config

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"

	"github.com/gatekeeper-oidc/gatekeeper/internal/yamlfile"
)

// fromYAML reads the YAML file: one flat mapping of our keys.
func fromYAML(in *Input, env map[string]string, fields []Field) (source, error) {
	name := cmp.Or(in.File, env[configName])
	s := source{path: in.path(cmp.Or(name, "gatekeeper.yaml"))}
	raw, err := in.ReadFile(s.path)
	if name == "" && errors.Is(err, fs.ErrNotExist) {
		return source{}, nil
	}
	if err != nil {
		return source{}, &Error{Source: s.path, Detail: fmt.Sprintf("cannot be read: %v", reason(err))}
	}
	s.settings, err = readYAML(filepath.Base(s.path), raw, fields)
	return s, err
}

// readYAML returns the settings of a YAML text called name.
func readYAML(name string, raw []byte, fields []Field) ([]setting, error) {
	if len(raw) > maxFile {
		return nil, &Error{Source: name, Detail: fmt.Sprintf("is longer than %d bytes", maxFile)}
	}
	raw, err := yamlfile.Check(raw)
	if at, ok := errors.AsType[*yamlfile.Error](err); ok {
		if at.Line > 0 {
			name += fmt.Sprintf(":%d", at.Line)
		}
		return nil, &Error{Source: name, Detail: at.Why}
	}
	doc, err := parser.ParseBytes(raw, 0)
	if err != nil {
		return nil, syntax(name, err)
	}
	var pairs []*ast.MappingValueNode
	bodies := 0
	for _, d := range doc.Docs {
		switch body := d.Body.(type) {
		case nil, *ast.NullNode, *ast.CommentGroupNode:
			continue
		case *ast.MappingNode:
			pairs = body.Values
		case *ast.MappingValueNode:
			pairs = []*ast.MappingValueNode{body}
		default:
			return nil, &Error{Source: name, Detail: "must be a list of keys and values, such as issuer: https://id.example.org"}
		}
		if bodies++; bodies > 1 {
			return nil, &Error{Source: name, Detail: "holds two documents; keep one"}
		}
	}
	return readPairs(name, pairs, fields)
}

func readPairs(name string, pairs []*ast.MappingValueNode, fields []Field) ([]setting, error) {
	var settings []setting
	var problems []error
	seen := map[string]int{}
	for _, pair := range pairs {
		at := pair.Key.GetToken()
		key, text, err := readPair(pair)
		f, file, ok := find(fields, key)
		switch {
		case !ok:
			err = &Error{Source: place(name, at), Detail: fmt.Sprintf("there is no key %s%s", key, near(key, names(fields)))}
		case seen[key] > 0:
			err = &Error{Key: key, Source: place(name, at), Detail: fmt.Sprintf("is given already in line %d", seen[key])}
		case err != nil:
			err = &Error{Key: key, Source: place(name, at), Detail: err.Error()}
		default:
			settings = append(settings, setting{field: f, text: text, source: place(name, pair.Value.GetToken()), file: file})
		}
		seen[key] = line(at)
		problems = append(problems, err)
	}
	return settings, errors.Join(problems...)
}

// readPair returns a key and its value as the text an environment variable would hold.
func readPair(pair *ast.MappingValueNode) (key, text string, err error) {
	key = pair.Key.GetToken().Value
	list, ok := pair.Value.(*ast.SequenceNode)
	if !ok {
		text, err = scalar(pair.Value)
		return key, text, err
	}
	var items []string
	for _, node := range list.Values {
		item, err := scalar(node)
		if err != nil {
			return key, "", err
		}
		if strings.Contains(item, ",") {
			return key, "", fmt.Errorf("holds %q; an item has no comma", item)
		}
		items = append(items, item)
	}
	return key, strings.Join(items, ","), nil
}

// scalar returns a plain value as it is written. Anchors, aliases, tags and
// mappings have no use here.
func scalar(node ast.Node) (string, error) {
	switch n := node.(type) {
	case *ast.StringNode:
		return n.Value, nil
	case *ast.LiteralNode:
		return strings.TrimRight(n.Value.Value, "\n"), nil
	case *ast.BoolNode, *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		return n.GetToken().Value, nil
	case *ast.NullNode, nil:
		return "", errors.New("has no value; give it one or remove the line")
	default:
		return "", errors.New("must be a plain value or a list of them")
	}
}

func place(name string, t *token.Token) string {
	if t == nil || t.Position == nil {
		return name
	}
	return fmt.Sprintf("%s:%d:%d", name, t.Position.Line, t.Position.Column)
}

func line(t *token.Token) int {
	if t == nil || t.Position == nil {
		return 1
	}
	return t.Position.Line
}

// syntax says where a text is not YAML.
func syntax(name string, err error) error {
	var at yaml.Error
	if errors.As(err, &at) {
		return &Error{Source: place(name, at.GetToken()), Detail: "is not YAML here: " + at.GetMessage()}
	}
	return &Error{Source: name, Detail: "is not YAML: " + err.Error()}
}
