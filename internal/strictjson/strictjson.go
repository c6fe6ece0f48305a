// Package strictjson reads JSON that decides something in one way only. What
// encoding/json forgives is refused: a member under another spelling (EMAIL for
// email), the same member twice, a member nobody knows, null in the place of a
// value, text that is not UTF-8, and anything behind the one value. Two programs
// that read the same bytes then cannot disagree about what they say.
package strictjson

import (
	"bytes"
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strconv"
	"strings"
	"unicode/utf8"
)

// MaxDepth is how deep objects and lists may be nested.
const MaxDepth = 64

// A Problem is what is wrong with a text.
type Problem string

// The problems.
const (
	Malformed Problem = "malformed" // not JSON, or more than one value
	Unknown   Problem = "unknown"   // a member the type does not have
	Repeated  Problem = "repeated"  // a member twice in one object
	Null      Problem = "null"      // null where a value is wanted
	TooDeep   Problem = "too_deep"  // nested deeper than MaxDepth
	WrongType Problem = "wrong_type"
)

// An Error says where a text is wrong and why, in words that hold none of its
// values.
type Error struct {
	Problem Problem
	Path    string   // of the member, such as "profile.name" or "clients[2].id"; "" for the whole
	Known   []string // the members there are, for Unknown
	Near    string   // the member that was probably meant, for Unknown, if only its letters' case differs
	Got     string   // what stands there, for WrongType: "number", "string" …
	Err     error    // the cause, if there is one
}

// Error is a sentence for who wrote the text.
func (e *Error) Error() string {
	switch e.Problem {
	case Unknown:
		if e.Near != "" {
			return "There is no member " + e.Path + " here; did you mean " + e.Near + "?"
		}
		return "There is no member " + e.Path + " here."
	case Repeated:
		return "The member " + e.Path + " is there twice."
	case Null:
		if e.Path == "" {
			return "null is no value here."
		}
		return "The member " + e.Path + " is null; leave it out instead."
	case TooDeep:
		return "It is nested deeper than " + strconv.Itoa(MaxDepth) + " levels."
	case WrongType:
		if e.Path == "" {
			return "It has the wrong type: it is a " + e.Got + "."
		}
		return "The member " + e.Path + " has the wrong type: it is a " + e.Got + "."
	case Malformed:
	}
	return "It is not one well-formed JSON value."
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Decode reads the one JSON value in text into the value that into points to. The
// error is an *Error.
func Decode(text []byte, into any) error {
	if !utf8.Valid(text) {
		return &Error{Problem: Malformed, Err: errors.New("not UTF-8")}
	}
	w := walker{dec: json.NewDecoder(bytes.NewReader(text))}
	w.dec.UseNumber()
	if err := w.value(reflect.TypeOf(into).Elem(), "", 0); err != nil {
		return err
	}
	if _, err := w.dec.Token(); !errors.Is(err, io.EOF) {
		return &Error{Problem: Malformed, Err: errors.New("more than one value")}
	}
	err := json.Unmarshal(text, into)
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return &Error{Problem: WrongType, Path: wrong.Field, Got: wrong.Value, Err: err}
	}
	if err != nil {
		return &Error{Problem: Malformed, Err: err}
	}
	return nil
}

// A walker goes through a text beside the type it will be read into.
type walker struct{ dec *json.Decoder }

func (w *walker) value(t reflect.Type, path string, depth int) error {
	token, err := w.dec.Token()
	if err != nil {
		return &Error{Problem: Malformed, Err: err}
	}
	switch token {
	case nil:
		if t != nil && free(t) {
			return nil
		}
		return &Error{Problem: Null, Path: path}
	case json.Delim('{'), json.Delim('['):
		if depth == MaxDepth {
			return &Error{Problem: TooDeep, Path: path}
		}
		if token == json.Delim('{') {
			return w.object(t, path, depth+1)
		}
		return w.list(t, path, depth+1)
	}
	return nil
}

func (w *walker) list(t reflect.Type, path string, depth int) error {
	element := within(t)
	if t = plain(t); t != nil && (t.Kind() == reflect.Slice || t.Kind() == reflect.Array) {
		element = t.Elem()
	}
	for i := 0; w.dec.More(); i++ {
		if err := w.value(element, fmt.Sprintf("%s[%d]", path, i), depth); err != nil {
			return err
		}
	}
	return w.end()
}

func (w *walker) object(t reflect.Type, path string, depth int) error {
	var known map[string]reflect.Type
	each := within(t) // of every member of a map
	switch t = plain(t); {
	case t == nil:
	case t.Kind() == reflect.Struct:
		known = map[string]reflect.Type{}
		members(t, known)
	case t.Kind() == reflect.Map:
		each = t.Elem()
	}
	seen := map[string]bool{}
	for w.dec.More() {
		token, err := w.dec.Token()
		if err != nil {
			return &Error{Problem: Malformed, Err: err}
		}
		name, _ := token.(string) // the names of an object are strings, or Token fails
		at := strings.TrimPrefix(path+"."+name, ".")
		if seen[name] {
			return &Error{Problem: Repeated, Path: at}
		}
		seen[name] = true
		of, ok := known[name]
		if known != nil && !ok {
			return unknown(at, name, known)
		}
		if known == nil {
			of = each
		}
		if err := w.value(of, at, depth); err != nil {
			return err
		}
	}
	return w.end()
}

// end reads the bracket that closes what was begun.
func (w *walker) end() error {
	if _, err := w.dec.Token(); err != nil {
		return &Error{Problem: Malformed, Err: err}
	}
	return nil
}

func unknown(at, name string, known map[string]reflect.Type) error {
	e := &Error{Problem: Unknown, Path: at}
	for have := range known {
		e.Known = append(e.Known, have)
		if strings.EqualFold(have, name) {
			e.Near = have
		}
	}
	return e
}

// members collects the members encoding/json reads into a struct, by their exact
// names. A field of the struct hides one of what it embeds.
func members(t reflect.Type, into map[string]reflect.Type) {
	var embedded []reflect.Type
	for f := range fields(t) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case name == "-":
		case f.Anonymous && name == "" && plain(f.Type) != nil && plain(f.Type).Kind() == reflect.Struct:
			embedded = append(embedded, plain(f.Type))
		case !f.IsExported():
		case name == "":
			into[f.Name] = f.Type
		default:
			into[name] = f.Type
		}
	}
	for _, e := range embedded {
		inner := map[string]reflect.Type{}
		members(e, inner)
		for name, of := range inner {
			if _, hidden := into[name]; !hidden {
				into[name] = of
			}
		}
	}
}

func fields(t reflect.Type) func(yield func(reflect.StructField) bool) {
	return func(yield func(reflect.StructField) bool) {
		for i := range t.NumField() {
			if !yield(t.Field(i)) {
				return
			}
		}
	}
}

// plain is t behind its pointers; nil for a type that reads its JSON itself or that
// takes any.
func plain(t reflect.Type) reflect.Type {
	for t != nil && t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t == nil || t.Kind() == reflect.Interface || reads(t) {
		return nil
	}
	return t
}

func reads(t reflect.Type) bool {
	p := reflect.PointerTo(t)
	return p.Implements(reflect.TypeFor[json.Unmarshaler]()) || p.Implements(reflect.TypeFor[encoding.TextUnmarshaler]())
}

// within is the type of what stands in a value that may be anything: anything again.
func within(t reflect.Type) reflect.Type {
	if t != nil && t.Kind() == reflect.Interface {
		return t
	}
	return nil
}

// free reports whether null is a value of t: where any JSON is.
func free(t reflect.Type) bool { return t.Kind() == reflect.Interface }
