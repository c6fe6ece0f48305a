package admin

import (
	"bytes"
	"encoding/json"
	"reflect"
	"slices"
	"strings"

	"github.com/gatekeeper-oidc/gatekeeper/oauth2"
)

// An Action is what a Change does to a client.
type Action string

// The actions of a plan.
const (
	Create Action = "create"
	Update Action = "update"
	Delete Action = "delete"
)

// A Change is one step from the clients there are to the clients there should
// be. Client is the client as it will be, or, for Delete, as it was.
type Change struct {
	Action Action        `json:"action"`
	ID     string        `json:"id"`
	Fields []FieldChange `json:"fields,omitempty"`
	Client oauth2.Client `json:"client"`

	Seen string `json:"-"` // the ETag of what it changes, "" for Create
}

// A FieldChange is one member that changes; a member that is absent is null.
type FieldChange struct {
	Name string          `json:"name"`
	Have json.RawMessage `json:"have"`
	Want json.RawMessage `json:"want"`
}

// ignored members are the server's to set.
var ignored = []string{"id", "dynamic", "created_at", "updated_at"}

// preset members get their value from the type of the client when a declaration
// leaves them out, so that a short declaration is not a difference.
var preset = []string{"grants", "response_types", "scopes", "auth_method", "access_token", "access_token_alg", "id_token_alg"}

// Plan returns the changes that make have into want, in the order of their ids:
// first what is created and updated, then, only with prune, what is deleted.
// Lists are sets. A member with a preset that want leaves out stays as it is.
func Plan(have, want []oauth2.Client, prune bool) []Change {
	known := map[string]oauth2.Client{}
	for _, c := range have {
		known[c.ID] = c
	}
	wanted := map[string]bool{}
	changes := []Change{}
	for _, w := range want {
		wanted[w.ID] = true
		h, exists := known[w.ID]
		if !exists {
			changes = append(changes, Change{Action: Create, ID: w.ID, Fields: diff(oauth2.Client{}, w), Client: w})
			continue
		}
		w = keepPresets(h, w)
		if fields := diff(h, w); len(fields) > 0 {
			changes = append(changes, Change{Action: Update, ID: w.ID, Fields: fields, Client: w, Seen: ClientTag(h)})
		}
	}
	byID := func(a, b Change) int { return strings.Compare(a.ID, b.ID) }
	slices.SortStableFunc(changes, byID)
	if !prune {
		return changes
	}
	var gone []Change
	for _, h := range have {
		if !wanted[h.ID] {
			gone = append(gone, Change{Action: Delete, ID: h.ID, Client: h, Seen: ClientTag(h)})
		}
	}
	slices.SortFunc(gone, byID)
	return append(changes, gone...)
}

// keepPresets returns want with the presets of have where it leaves them out. A
// new type brings its own presets.
func keepPresets(have, want oauth2.Client) oauth2.Client {
	if want.Type == "" {
		want.Type = have.Type
	}
	if want.Type != have.Type {
		return want
	}
	h, w := reflect.ValueOf(&have).Elem(), reflect.ValueOf(&want).Elem()
	for i := range w.NumField() {
		if f := w.Field(i); slices.Contains(preset, member(w.Type().Field(i))) && f.IsZero() {
			f.Set(h.Field(i))
		}
	}
	return want
}

// diff returns the members in which two clients differ, in the order of the type.
func diff(have, want oauth2.Client) []FieldChange {
	var out []FieldChange
	h, w := reflect.ValueOf(have), reflect.ValueOf(want)
	for i := range h.NumField() {
		name := member(h.Type().Field(i))
		if name == "" || slices.Contains(ignored, name) {
			continue
		}
		if a, b := canonical(h.Field(i)), canonical(w.Field(i)); !bytes.Equal(a, b) {
			out = append(out, FieldChange{Name: name, Have: a, Want: b})
		}
	}
	return out
}

// member returns the JSON name of a field, "" if it has none.
func member(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
	if name == "-" {
		return ""
	}
	return name
}

// canonical returns a field as JSON in which equal means equal: lists sorted,
// members ordered, nothing for an empty value.
func canonical(v reflect.Value) json.RawMessage {
	value := v.Interface()
	switch x := value.(type) {
	case []string:
		sorted := slices.Clone(x)
		slices.Sort(sorted)
		value = slices.Compact(sorted)
	case json.RawMessage:
		var parsed any
		if json.Unmarshal(x, &parsed) == nil {
			value = parsed
		}
	}
	if v.IsZero() || v.Kind() == reflect.Slice && v.Len() == 0 {
		return json.RawMessage("null")
	}
	out, err := json.Marshal(value)
	if err != nil {
		return json.RawMessage("null") // a broken raw message; the server refuses it
	}
	return out
}
