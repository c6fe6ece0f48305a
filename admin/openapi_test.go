package admin

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// golden compares got with testdata/name.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), string(got)); d != "" {
		t.Errorf("%s (-want +got):\n%s", name, d)
	}
}

func document(t *testing.T) map[string]any {
	t.Helper()
	raw, err := json.Marshal(openAPI("https://id.example.org", routes(nil)))
	if err != nil {
		t.Fatal(err)
	}
	var doc map[string]any
	if err := json.Unmarshal(raw, &doc); err != nil {
		t.Fatal(err)
	}
	return doc
}

func TestOpenAPIDocument(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetIndent("", "  ")
	if err := e.Encode(openAPI("https://id.example.org", routes(nil))); err != nil {
		t.Fatal(err)
	}
	golden(t, "openapi.golden.json", b.Bytes())
}

// TestEveryRouteHasAScopeAndADocument: deny by default is a property of the table.
func TestEveryRouteHasAScopeAndADocument(t *testing.T) {
	t.Parallel()
	doc := document(t)
	paths, _ := doc["paths"].(map[string]any)
	names := map[string]bool{}
	for _, rt := range routes(nil) {
		where := rt.method + " " + rt.path
		for _, s := range rt.scopes {
			if !slices.Contains(Scopes(), s) {
				t.Errorf("%s: unknown scope %q", where, s)
			}
		}
		if !slices.Contains(rt.scopes, ScopeAll) {
			t.Errorf("%s: the scope admin does not open it", where)
		}
		reads := rt.method == "GET" || rt.name == "inspectToken"
		if slices.Contains(rt.scopes, ScopeRead) != reads {
			t.Errorf("%s: admin:read opens it: %t; want what changes nothing and only that", where, !reads)
		}
		if names[rt.name] || rt.name == "" || rt.summary == "" {
			t.Errorf("%s: name %q must be there once, and a summary too", where, rt.name)
		}
		names[rt.name] = true
		path, _ := paths[base+rt.path].(map[string]any)
		op, _ := path[strings.ToLower(rt.method)].(map[string]any)
		if op["operationId"] != rt.name {
			t.Errorf("%s is not in the document", where)
		}
	}
}

// TestSchemasAreWhatJSONWrites fills every type by reflection and compares the
// members encoding/json writes with the documented ones.
func TestSchemasAreWhatJSONWrites(t *testing.T) {
	t.Parallel()
	all, _ := document(t)["components"].(map[string]any)["schemas"].(map[string]any)
	for _, rt := range routes(nil) {
		for _, typ := range []reflect.Type{rt.in, rt.out} {
			if typ == nil {
				continue
			}
			v := reflect.New(typ)
			fill(t, v.Elem())
			raw, err := json.Marshal(v.Interface())
			if err != nil {
				t.Fatal(err)
			}
			var value any
			if err := json.Unmarshal(raw, &value); err != nil {
				t.Fatal(err)
			}
			checkSchema(t, all, map[string]any{"$ref": "#/components/schemas/" + title(typ)}, value, rt.name, true)
		}
	}
}

// fill puts something that is not zero into every field.
func fill(t *testing.T, v reflect.Value) {
	t.Helper()
	switch v.Interface().(type) {
	case json.RawMessage:
		v.SetBytes([]byte(`{"keys":[]}`))
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(t, v.Elem())
	case reflect.String:
		v.SetString("x")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(7)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		if v.Type().Elem().Kind() != reflect.Uint8 {
			fill(t, v.Index(0))
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(reflect.ValueOf("k"), reflect.ValueOf("v"))
	case reflect.Struct:
		if v.Type().PkgPath() == "time" {
			v.Set(reflect.ValueOf(noon))
			return
		}
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				fill(t, v.Field(i))
			}
		}
	default:
		t.Fatalf("cannot fill %s", v.Type())
	}
}

// checkSchema holds a decoded JSON value to a schema of the document; whole asks
// that every documented member is there.
func checkSchema(t *testing.T, all, schema map[string]any, v any, where string, whole bool) {
	t.Helper()
	if ref, ok := schema["$ref"].(string); ok {
		name := strings.TrimPrefix(ref, "#/components/schemas/")
		schema, ok = all[name].(map[string]any)
		if !ok {
			t.Errorf("%s: there is no schema %s", where, name)
			return
		}
	}
	kinds := map[string]func() bool{
		"string":  func() bool { _, ok := v.(string); return ok },
		"boolean": func() bool { _, ok := v.(bool); return ok },
		"integer": func() bool { n, ok := v.(float64); return ok && n == float64(int64(n)) },
		"array":   func() bool { _, ok := v.([]any); return ok },
		"object":  func() bool { _, ok := v.(map[string]any); return ok },
	}
	kind, _ := schema["type"].(string)
	if either, ok := schema["type"].([]any); ok {
		if v == nil {
			return
		}
		kind, _ = either[0].(string)
	}
	if kinds[kind] == nil || !kinds[kind]() {
		t.Errorf("%s: %v is not a %q", where, v, kind)
		return
	}
	if items, ok := schema["items"].(map[string]any); ok {
		for _, e := range v.([]any) {
			checkSchema(t, all, items, e, where+"[]", whole)
		}
	}
	properties, _ := schema["properties"].(map[string]any)
	if properties == nil {
		return
	}
	have := v.(map[string]any)
	for name, value := range have {
		p, ok := properties[name].(map[string]any)
		if !ok {
			t.Errorf("%s: member %s is not documented", where, name)
			continue
		}
		checkSchema(t, all, p, value, where+"."+name, whole)
	}
	required, _ := schema["required"].([]any)
	for name := range properties {
		if _, ok := have[name]; !ok && (whole || slices.Contains(required, any(name))) {
			t.Errorf("%s: documented member %s is not there", where, name)
		}
	}
}
