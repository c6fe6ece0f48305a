package admin

import (
	"encoding/json"
	"maps"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// object is a JSON object of the document.
type object = map[string]any

// openAPI describes the table as an OpenAPI 3.1 document.
func openAPI(issuer string, table []route) object {
	s := schemas{}
	paths := object{}
	for _, rt := range table {
		path, _ := paths[base+rt.path].(object)
		if path == nil {
			path = object{}
			paths[base+rt.path] = path
		}
		path[strings.ToLower(rt.method)] = s.operation(rt)
	}
	s["Problem"] = object{
		"type": "object", "description": "Why a request was refused (RFC 9457). code is for programs, reference for the operator.",
		"required": []string{"type", "title", "status", "detail", "code", "reference"},
		"properties": object{
			"type": object{"type": "string"}, "title": object{"type": "string"}, "status": object{"type": "integer"},
			"detail": object{"type": "string"}, "code": object{"type": "string"}, "reference": object{"type": "string"},
			"correlation_id": object{"type": "string"},
		},
	}
	return object{
		"openapi": "3.1.0",
		"info": object{
			"title": "Gatekeeper admin API", "version": "1",
			"description": "What those who run the server can do. Every request carries an access token for this server with one of the scopes of its operation.",
		},
		"paths": paths,
		"components": object{
			"schemas": s,
			"securitySchemes": object{"oauth2": object{"type": "oauth2", "flows": object{
				"clientCredentials": object{"tokenUrl": issuer + "/oauth2/token", "scopes": scopeTexts()},
			}}},
		},
	}
}

func scopeTexts() object {
	return object{
		ScopeAll: "Everything", ScopeRead: "Read everything", ScopeClients: "Applications", ScopeUsers: "People, their sessions and consents",
		ScopeKeys: "Signing keys", ScopeTokens: "Tokens", ScopeAudit: "Read the trail",
	}
}

// schemas are the named types of the document.
type schemas map[string]any

func (s schemas) operation(rt route) object {
	op := object{"operationId": rt.name, "summary": rt.summary, "responses": s.responses(rt)}
	if ps := s.parameters(rt); len(ps) > 0 {
		op["parameters"] = ps
	}
	var security []object
	for _, scope := range rt.scopes {
		security = append(security, object{"oauth2": []string{scope}})
	}
	op["security"] = security
	if rt.in != nil {
		op["requestBody"] = object{"required": true, "content": object{"application/json": object{"schema": s.input(rt.in)}}}
	}
	return op
}

func (s schemas) responses(rt route) object {
	ok := object{"description": "Done"}
	if rt.out != nil {
		ok["content"] = object{"application/json": object{"schema": s.of(rt.out)}}
	}
	return object{
		strconv.Itoa(rt.status): ok,
		"default": object{
			"description": "Refused",
			"content":     object{"application/problem+json": object{"schema": object{"$ref": "#/components/schemas/Problem"}}},
		},
	}
}

var pathParameter = regexp.MustCompile(`\{([a-z]+)\}`)

func (s schemas) parameters(rt route) []object {
	var out []object
	for _, m := range pathParameter.FindAllStringSubmatch(rt.path, -1) {
		out = append(out, object{"name": m[1], "in": "path", "required": true, "schema": object{"type": "string"}})
	}
	for _, p := range rt.query {
		schema := object{"type": p.kind}
		if p.kind == "date-time" {
			schema = object{"type": "string", "format": p.kind}
		}
		out = append(out, object{"name": p.name, "in": "query", "description": p.about, "schema": schema})
	}
	return out
}

// of returns the schema of a Go type as encoding/json writes and reads it.
func (s schemas) of(t reflect.Type) object {
	switch t {
	case reflect.TypeFor[time.Time]():
		return object{"type": "string", "format": "date-time"}
	case reflect.TypeFor[time.Duration]():
		return object{"type": "integer", "format": "int64", "description": "nanoseconds"}
	case reflect.TypeFor[json.RawMessage]():
		return object{"type": "object"}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return s.of(t.Elem())
	case reflect.String:
		return object{"type": "string"}
	case reflect.Bool:
		return object{"type": "boolean"}
	case reflect.Int, reflect.Int64:
		return object{"type": "integer"}
	case reflect.Slice:
		return object{"type": "array", "items": s.of(t.Elem())}
	case reflect.Map:
		return object{"type": "object", "additionalProperties": s.of(t.Elem())}
	case reflect.Struct:
		return s.named(t)
	default:
		panic("admin: " + t.String() + " has no schema")
	}
}

// input is of for a body: it has no members but these, and none must be there or
// may not be null, for the rules of the thing decide what is missing.
func (s schemas) input(t reflect.Type) object {
	properties, always := s.members(t)
	for _, name := range always {
		if p, _ := properties[name].(object); p["type"] == "array" {
			p["type"] = []string{"array", "null"}
		}
	}
	s[title(t)] = object{"type": "object", "properties": properties, "additionalProperties": false}
	return reference(t)
}

// named puts a struct among the schemas and returns a reference to it.
func (s schemas) named(t reflect.Type) object {
	if _, known := s[title(t)]; !known {
		properties, required := s.members(t)
		schema := object{"type": "object", "properties": properties}
		if len(required) > 0 {
			schema["required"] = required
		}
		s[title(t)] = schema
	}
	return reference(t)
}

func title(t reflect.Type) string { return strings.ToUpper(t.Name()[:1]) + t.Name()[1:] }

func reference(t reflect.Type) object {
	return object{"$ref": "#/components/schemas/" + title(t)}
}

// members returns what encoding/json makes of the fields of t, and which of them
// it always writes.
func (s schemas) members(t reflect.Type) (properties object, required []string) {
	properties = object{}
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case f.Anonymous && name == "":
			inner, always := s.members(f.Type)
			maps.Copy(properties, inner)
			required = append(required, always...)
		case name == "-" || !f.IsExported():
		default:
			properties[name] = s.of(f.Type)
			if !strings.Contains(options, "omit") {
				required = append(required, name)
			}
		}
	}
	return properties, required
}
