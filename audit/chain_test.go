package audit

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
)

func chain(n int) []Event {
	var events []Event
	previous := ""
	for i := range n {
		e := Event{
			ID: fmt.Sprintf("id-%d", i), Position: int64(i + 1), Kind: UserUpdated, At: time.Date(2030, 1, 1, 0, 0, i, 5000, time.UTC),
			Subject: "u", Detail: map[string]string{"b": "<2>", "a": "1"},
		}
		e.Hash = Link(previous, e)
		previous = e.Hash
		events = append(events, e)
	}
	return events
}

// The text that is hashed is a promise: others verify exports with it.
func TestLinkIsWhatTheDocumentSays(t *testing.T) {
	t.Parallel()
	e := chain(1)[0]
	want := `{"id":"id-0","kind":"user.updated","at":"2030-01-01T00:00:00.000005Z","subject":"u","detail":{"a":"1","b":"<2>"}}`
	if got := canonical(e); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	// printf 'gatekeeper audit v1\n\n%s' "$want" | sha256sum
	if got, want := e.Hash, "fb878e0756075952c9db8cff46854ed5af1ce6b34c4668299877d696fa660ac2"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestVerifyFindsTampering(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		tamper func(events []Event) []Event
		at     string // "" means it verifies
	}{
		{"untouched", func(e []Event) []Event { return e }, ""},
		{"none", func([]Event) []Event { return nil }, ""},
		{"the end cut off, which a chain cannot show", func(e []Event) []Event { return e[:3] }, ""},
		{"a field changed", func(e []Event) []Event { e[2].Subject = "v"; return e }, "3"},
		{"a detail changed", func(e []Event) []Event { e[2].Detail["a"] = "2"; return e }, "3"},
		{"a hash changed", func(e []Event) []Event { e[2].Hash = e[1].Hash; return e }, "3"},
		{"one taken out", func(e []Event) []Event { return append(e[:2:2], e[3:]...) }, "4"},
		{"one taken out and renumbered", func(e []Event) []Event {
			e = append(e[:2:2], e[3:]...)
			for i := range e {
				e[i].Position = int64(i + 1)
			}
			return e
		}, "3"},
		{"two swapped", func(e []Event) []Event { e[1], e[2] = e[2], e[1]; return e }, "3"},
		{"the start cut off", func(e []Event) []Event { return e[1:] }, "2"},
		{"one appended without a hash", func(e []Event) []Event { return append(e, Event{ID: "x", Position: 6}) }, "6"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := Verify("", c.tamper(chain(5))...)
			if c.at == "" {
				if err != nil {
					t.Errorf("got %v, want it to verify", err)
				}
				return
			}
			if !fault.Is(err, fault.Conflict) || !strings.Contains(err.Error(), "position "+c.at+".") {
				t.Errorf("got %v, want position %s", err, c.at)
			}
		})
	}
}

func TestVerifyGoesOnWithTheNextPage(t *testing.T) {
	t.Parallel()
	events := chain(10)
	last, err := Verify("", events[:4]...)
	if err != nil {
		t.Fatal(err)
	}
	if _, err = Verify(last, events[4:]...); err != nil {
		t.Error(err)
	}
	if _, err = Verify(last, events[5:]...); err == nil {
		t.Error("a page was left out and nobody noticed")
	}
}

// Whatever an event holds, a store that keeps its JSON gives back an event with
// the same hash.
func TestAHashOutlivesStorage(t *testing.T) {
	t.Parallel()
	trail := NewTrail(Config{Store: &memory{}, Now: func() time.Time { return time.Unix(1_900_000_000, 123_456_789) }})
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.String()
		e := trail.Fill(t.Context(), Event{
			Kind: RequestRefused, Subject: text.Draw(t, "subject"), UserAgent: string(rapid.SliceOf(rapid.Byte()).Draw(t, "agent")),
			Detail: rapid.MapOf(text, text).Draw(t, "detail"), Sessions: rapid.SliceOf(rapid.StringMatching("[A-Z2-7]{26}")).Draw(t, "sessions"),
			Trace: []fault.Fact{{Name: "n", Value: text.Draw(t, "fact")}},
		})
		raw, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(raw), `\u0000`) || strings.Contains(string(raw), `\ufffd`) && !strings.ContainsRune(e.Subject+e.UserAgent+fmt.Sprint(e.Detail, e.Trace), '\ufffd') {
			t.Fatalf("a store would refuse or change %s", raw)
		}
		var back Event
		if err := json.Unmarshal(raw, &back); err != nil {
			t.Fatal(err)
		}
		back.Position = 17
		if Link("p", e) != Link("p", back) {
			t.Fatalf("the hash changed on the way through %s", raw)
		}
	})
}

// The catalogue names every kind, and no other.
func TestEveryKindIsInTheCatalogue(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("../docs/events.md")
	if err != nil {
		t.Fatal(err)
	}
	file, err := parser.ParseFile(token.NewFileSet(), "event.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	ast.Inspect(file, func(n ast.Node) bool {
		if v, ok := n.(*ast.ValueSpec); ok {
			for _, value := range v.Values {
				if lit, ok := value.(*ast.BasicLit); ok {
					kind, err := strconv.Unquote(lit.Value)
					if err != nil {
						t.Fatal(err)
					}
					known[kind] = true
				}
			}
		}
		return true
	})
	listed := map[string]bool{}
	for line := range strings.Lines(string(raw)) {
		if rest, ok := strings.CutPrefix(line, "| `"); ok {
			kind, _, _ := strings.Cut(rest, "`")
			if strings.Contains(kind, ".") {
				listed[kind] = true
			}
		}
	}
	for kind := range known {
		if !listed[kind] {
			t.Errorf("docs/events.md does not list %s", kind)
		}
	}
	for kind := range listed {
		if !known[kind] {
			t.Errorf("docs/events.md lists %s, which is not recorded", kind)
		}
	}
}
