package yamlfile

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
)

// bomb is some 500 bytes that stand for nine to the ninth values.
func bomb() string {
	var b strings.Builder
	b.WriteString("a: &a [x,x,x,x,x,x,x,x,x]\n")
	for c := 'b'; c <= 'i'; c++ {
		fmt.Fprintf(&b, "%c: &%c [%s]\n", c, c, strings.TrimSuffix(strings.Repeat("*"+string(c-1)+",", 9), ","))
	}
	return b.String()
}

// TestHostileFilesAreRefusedAtOnce: before a parser has seen them, and without the
// memory they ask for.
func TestHostileFilesAreRefusedAtOnce(t *testing.T) {
	const n = 200_000
	keys := func(form string) string {
		var b strings.Builder
		for i := range n / 10 {
			fmt.Fprintf(&b, form, i)
		}
		return b.String()
	}
	for name, text := range map[string]string{
		"aliases":             bomb(),
		"merged aliases":      "a: &a {x: 1}\nb: &b\n  <<: *a\n" + strings.Repeat("  y: *a\n", 2000),
		"an alias of itself":  "a: &a [*a]",
		"an alias of nothing": "a: *b",
		"brackets":            strings.Repeat("[", n),
		"balanced brackets":   strings.Repeat("[", n) + strings.Repeat("]", n),
		"braces":              strings.Repeat("{a: ", n),
		"brackets in lines":   strings.Repeat("[\n", n),
		"brackets of JSON":    `{"clients":` + strings.Repeat("[", n) + strings.Repeat("]", n) + `}`,
		"dashes":              strings.Repeat("- ", n) + "x",
		"question marks":      strings.Repeat("? ", n) + "x",
		"tags":                strings.Repeat("!!a ", n) + "x",
		"anchors":             strings.Repeat("&a ", n) + "x",
		"documents":           strings.Repeat("---\na: b\n", n/10),
		"members":             keys("k%d: v\n"),
		"members with lists":  keys("k%d:\n- v\n"),
		"members below":       "a:\n" + keys("  k%d: v\n"),
		"members in braces":   "{" + keys("k%d: v, ") + "}",
		"words":               strings.Repeat("- a\n", n),
		"too long":            "a: " + strings.Repeat("x", MaxBytes),
		"NUL":                 "a: b\x00c",
		"an escape":           "a: \x1b[31m",
		"C1":                  "a: \u009b31m",
		"not UTF-8":           "a: \xff",
		"UTF-16":              "\xff\xfea\x00:\x00 \x00b\x00",
		"a member twice":      "a: 1\na: 2\n",
	} {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			docs, err := Read([]byte(text))
			runtime.ReadMemStats(&after)
			if err == nil {
				t.Errorf("it is taken: %d documents", len(docs))
			}
			if mb := (after.TotalAlloc - before.TotalAlloc) >> 20; mb > 256 {
				t.Errorf("it took %d MB", mb)
			}
		})
	}
}

func TestHonestFilesAreRead(t *testing.T) {
	t.Parallel()
	var many strings.Builder
	many.WriteString("clients:\n")
	for i := range 2000 {
		fmt.Fprintf(&many, "- id: shop-%d\n  name: \"Shop [%d] {\"\n  redirect_uris:\n  - https://shop.example/cb\n  grants: [authorization_code, refresh_token]\n", i, i)
	}
	for name, c := range map[string]struct{ text, want string }{
		"two documents":   {"id: a\n---\nid: b\n", `{"id":"a"} {"id":"b"}`},
		"empty ones":      {"---\n# nothing\n---\nid: b\n---\n", `{"id":"b"}`},
		"three with one":  {"# x\nid: a\n--- # y\n---\nid: b\n...\nid: c\n", `{"id":"a"} {"id":"b"} {"id":"c"}`},
		"on its mark":     {"--- {id: a}\n--- {id: b}\n", `{"id":"a"} {"id":"b"}`},
		"marks in a text": {"a: |\n  x\n  ---\n  y\n", `{"a":"x\n---\ny\n"}`},
		"nothing":         {"", ""},
		"a mark":          {"\xef\xbb\xbfid: a\n", `{"id":"a"}`},
		"a mark and JSON": {"\xef\xbb\xbf{\"id\":\"a\"}", `{"id":"a"}`},
		"aliases":         {"x: &x [1, 2]\ny: *x\n", `{"x":[1,2],"y":[1,2]}`},
		"line ends":       {"id: a\r\nname: b\r\n", `{"id":"a","name":"b"}`},
		"JSON as it came": {`{"id": "a", "id": "b"}`, `{"id": "a", "id": "b"}`},
		"a text":          {"a: |\n  [[[ {{{\n  - - -\n", `{"a":"[[[ {{{\n- - -\n"}`},
		"letters":         {"name: Zoë Ünal 日本\n", `{"name":"Zoë Ünal 日本"}`},
		"many":            {many.String(), ""},
	} {
		docs, err := Read([]byte(c.text))
		var got []string
		for _, d := range docs {
			got = append(got, string(d.JSON))
		}
		if all := strings.Join(got, " "); err != nil || name != "many" && all != c.want {
			t.Errorf("%s: got %s, %v; want %s", name, all, err, c.want)
		}
	}
}

func TestLines(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text string
		want map[string]int
	}{
		{
			"# one\nclients:\n  - id: a\n    name: b\n\n  - id: c\n    exchange:\n      audience: x\n",
			map[string]int{"clients[0].name": 4, "clients[1].exchange.audience": 8, "clients[1].exchange": 7, "clients[1].nothing": 6, "clients[7].id": 2, "nothing": 0},
		},
		{
			"\n{\"clients\":\n [{\"id\": \"a\",\n  \"name\":\"b\"},\n {\n  \"id\": \"c\", \"exchange\": {\n \"audience\": \"x\"}}]}",
			map[string]int{"clients[0].name": 4, "clients[1].exchange.audience": 7, "clients[1].exchange": 6, "nothing": 0},
		},
		{"\n---\n---\nid: a\nname: b\n", map[string]int{"name": 5}},
	} {
		docs, err := Read([]byte(c.text))
		if err != nil || len(docs) != 1 {
			t.Fatal(err)
		}
		for path, want := range c.want {
			if got := docs[0].Line(path); got != want {
				t.Errorf("%q: %s is in line %d, want %d", c.text, path, got, want)
			}
		}
	}
}

func FuzzRead(f *testing.F) {
	for _, s := range []string{bomb(), "a: b\n", "- - a\n", "{a: [1]}", "? a\n: b\n", "a: &x b\nc: *x\n", "---\n...\n---\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		docs, err := Read(text)
		for _, d := range docs {
			_ = d.Line("clients[0].id")
			if err == nil && len(d.JSON) == 0 {
				t.Error("a document without a value")
			}
		}
	})
}
