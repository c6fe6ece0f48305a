package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/gatekeeper-oidc/gatekeeper/audit"
	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
	"github.com/gatekeeper-oidc/gatekeeper/oauth2"
)

// hostile is a text with everything a terminal would act upon.
const hostile = "a\x1b[31m\x07\x7f\u0085\u009b31m\u009d0;x\u009c\u202e\u2066\u2028\u200d\U000e0001z\r\n\t"

// strange are the runes of a printed text that are none of a text.
func strange(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || r >= ' ' && r < 0x7F || r == 'ä' || r == '日' || r == '→' {
			return -1
		}
		return r
	}, s)
}

// TestNothingActsOnTheTerminal: in no form of output does a text that strangers
// brought reach the terminal as it is, and what a program reads is still that text.
func TestNothingActsOnTheTerminal(t *testing.T) {
	t.Parallel()
	c := oauth2.Client{ID: "shop", Name: hostile + "ä日", Contacts: []string{hostile}, ClientURI: hostile, JWKS: json.RawMessage(`{"kid":"\u009b31m"}`)}
	event := audit.Event{ID: hostile, Kind: audit.Kind(hostile), Actor: hostile, Detail: map[string]string{hostile: hostile}}
	refusal := &fault.Error{Kind: fault.Invalid, Code: "x", Detail: hostile, Facts: []fault.Fact{{Name: hostile, Value: hostile}}}
	for _, output := range outputs() {
		var out, said bytes.Buffer
		a := &app{world: world{Stdout: &out, Stderr: &said, StdoutTTY: true, StderrTTY: true}}
		a.global.output, a.global.noColor = output, true
		show := func(v view) {
			if err := a.print(v); err != nil {
				t.Fatal(err)
			}
		}
		v := clientView(c, "", c)
		v.names = []string{hostile}
		show(v)
		text := out.String()
		show(decodedToken{Header: map[string]any{hostile: hostile}, Claims: map[string]any{"jti": hostile, "list": []any{hostile}}}.view(time.Unix(1_900_000_000, 0)))
		if err := a.printEvents([]audit.Event{event}); err != nil {
			t.Fatal(err)
		}
		a.say("%s is told", hostile)
		a.report(nil, refusal)
		if got := strange(out.String() + said.String()); got != "" {
			t.Errorf("-o %s lets through %+q:\n%+q", output, got, out.String())
		}
		var back oauth2.Client
		switch output {
		case "json":
			if err := json.Unmarshal([]byte(text), &back); err != nil || back.Name != c.Name {
				t.Errorf("JSON reads back %+q, %v", back.Name, err)
			}
		case "yaml":
			var members map[string]any
			err := yaml.Unmarshal([]byte(text), &members)
			back.Name, _ = members["name"].(string)
			if err != nil || back.Name != c.Name {
				t.Errorf("YAML reads back %+q, %v", back.Name, err)
			}
		}
	}
}

// TestTheLogActsOnNoTerminal: a line of JSON has no more of a stranger's text.
func TestTheLogActsOnNoTerminal(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	if _, err := (escaping{&out}).Write([]byte(`{"agent":"` + "\u009b\u202e\U000e0001" + `ä"}`)); err != nil {
		t.Fatal(err)
	}
	if got, want := out.String(), `{"agent":"\u009b\u202e\udb40\udc01ä"}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
