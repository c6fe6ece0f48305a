package strictjson

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"
)

type inner struct {
	Name string            `json:"name,omitempty"`
	Tags []string          `json:"tags"`
	Raw  json.RawMessage   `json:"raw,omitempty"`
	Map  map[string]string `json:"map,omitempty"`
}

type Base struct {
	ID string `json:"id"`
}

type thing struct {
	Base
	Email string    `json:"email"`
	Uses  int       `json:"uses,omitempty"`
	At    time.Time `json:"at,omitzero"`
	In    *inner    `json:"in,omitempty"`
	List  []inner   `json:"list,omitempty"`
	Any   any       `json:"any,omitempty"`
	Hid   string    `json:"-"`
}

func TestDecode(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, text string
		problem    Problem
		path       string
	}{
		{"everything", `{"id":"1","email":"a","uses":2,"at":"2030-01-01T00:00:00Z","in":{"name":"x","tags":["y"],"raw":{"a":1},"map":{"k":"v"}},"list":[{"tags":[]}],"any":{"a":null}}`, "", ""},
		{"nothing", `{}`, "", ""},
		{"space around", " {} \n", "", ""},
		{"another spelling", `{"EMAIL":"a"}`, Unknown, "EMAIL"},
		{"a letter that folds", `{"uſes":1}`, Unknown, "uſes"},
		{"another spelling below", `{"in":{"Name":"a"}}`, Unknown, "in.Name"},
		{"nobody knows", `{"list":[{},{"x":1}]}`, Unknown, "list[1].x"},
		{"a field that has no name", `{"Hid":"a"}`, Unknown, "Hid"},
		{"twice", `{"email":"a","email":"b"}`, Repeated, "email"},
		{"twice by escape", `{"email":"a","\u0065mail":"b"}`, Repeated, "email"},
		{"twice below", `{"in":{"name":"a","name":"b"}}`, Repeated, "in.name"},
		{"twice in a map", `{"in":{"map":{"k":"a","k":"b"}}}`, Repeated, "in.map.k"},
		{"twice in what is not looked at", `{"in":{"raw":{"k":[{"a":1,"a":2}]}}}`, Repeated, "in.raw.k[0].a"},
		{"null", `null`, Null, ""},
		{"null for a member", `{"uses":null}`, Null, "uses"},
		{"null for a list", `{"in":{"tags":null}}`, Null, "in.tags"},
		{"null in a list", `{"in":{"tags":[null]}}`, Null, "in.tags[0]"},
		{"null for raw", `{"in":{"raw":null}}`, Null, "in.raw"},
		{"null for a time", `{"at":null}`, Null, "at"},
		{"a string for a number", `{"uses":"2"}`, WrongType, "uses"},
		{"a list for the whole", `[]`, WrongType, ""},
		{"two values", `{}{}`, Malformed, ""},
		{"garbage behind", `{} x`, Malformed, ""},
		{"nothing at all", ``, Malformed, ""},
		{"half", `{"email":`, Malformed, ""},
		{"not UTF-8", "{\"email\":\"\xff\"}", Malformed, ""},
		{"brackets", strings.Repeat("[", 200_000), TooDeep, ""},
		{"brackets in what is not looked at", `{"any":` + strings.Repeat("[", 200_000), TooDeep, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var out thing
			err := Decode([]byte(c.text), &out)
			if c.problem == "" {
				if err != nil {
					t.Errorf("got %v", err)
				}
				return
			}
			e, ok := errors.AsType[*Error](err)
			if !ok || e.Problem != c.problem || c.problem != TooDeep && e.Path != c.path {
				t.Errorf("got %#v, want %s at %q", err, c.problem, c.path)
			}
		})
	}
}

func TestAnErrorNamesWhatWasMeant(t *testing.T) {
	t.Parallel()
	err := Decode([]byte(`{"Email":"secret"}`), new(thing))
	if got, want := err.Error(), "There is no member Email here; did you mean email?"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	err = Decode([]byte(`{"uses":"secret"}`), new(thing))
	if strings.Contains(err.Error(), "secret") {
		t.Errorf("%q tells a value", err)
	}
}

// FuzzDecode: what is taken is what encoding/json takes, and it reads the same.
func FuzzDecode(f *testing.F) {
	for _, s := range []string{`{"id":"1","in":{"tags":[]}}`, `{"a":1}`, `[`, `null`, `{"email":"\ud800"}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var strict, loose thing
		if Decode(text, &strict) != nil {
			return
		}
		if err := json.Unmarshal(text, &loose); err != nil {
			t.Fatalf("%q: %v", text, err)
		}
	})
}
