package templates

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestLocale(t *testing.T) {
	t.Parallel()
	s := newSet(t)
	for _, c := range []struct {
		name, header string
		ui           []string
		want         Locale
	}{
		{"nothing said", "", nil, "en"},
		{"the browser's", "de-AT, en;q=0.5", nil, "de"},
		{"by weight", "en;q=0.3, de;q=0.7", nil, "de"},
		{"refused by weight", "de;q=0, en;q=0.1", nil, "en"},
		{"the application's first", "en", []string{"de"}, "de"},
		{"the application's next", "en", []string{"fr-CA", "DE-ch"}, "de"},
		{"what we have not", "fr, es", []string{"xx"}, "en"},
		{"any", "*", nil, "en"},
		{"nonsense", ";;;,q=1,,de;q=x,de;q=NaN,--", nil, "en"},
		{"a path", "", []string{"../de", "de/../en"}, "en"},
	} {
		if got := s.Locale(c.header, c.ui...); got != c.want {
			t.Errorf("%s: got %s, want %s", c.name, got, c.want)
		}
	}
	if d := cmp.Diff([]string{"de", "en"}, s.Locales()); d != "" {
		t.Error(d)
	}
}

func FuzzLocale(f *testing.F) {
	for _, seed := range []string{"", "de", "de-AT;q=0.8, en", "*;q=0.1", strings.Repeat("a,", 100), "de;q=1e9", "de;q=-1", "\x00-\xff"} {
		f.Add(seed, seed)
	}
	s := newSet(f)
	f.Fuzz(func(t *testing.T, header, ui string) {
		if l := s.Locale(header, strings.Fields(ui)...); !slices.Contains(s.languages.tags, l) {
			t.Errorf("%q %q chose %q", header, ui, l)
		}
	})
}

// TestEveryLanguageHasEveryKey holds the languages together: the same keys, the
// same holes in each sentence, nothing empty.
func TestEveryLanguageHasEveryKey(t *testing.T) {
	t.Parallel()
	s := newSet(t)
	holes := regexp.MustCompile(`\{[a-z]+\}`)
	english := s.languages.catalogues[English]
	for tag, words := range s.languages.catalogues {
		if d := cmp.Diff(slices.Sorted(maps.Keys(english)), slices.Sorted(maps.Keys(words))); d != "" {
			t.Errorf("%s (-en +%s):\n%s", tag, tag, d)
		}
		for key, sentence := range words {
			want, got := holes.FindAllString(english[key], -1), holes.FindAllString(sentence, -1)
			slices.Sort(want)
			slices.Sort(got)
			if strings.TrimSpace(sentence) == "" || !slices.Equal(got, want) {
				t.Errorf("%s: %s is %q, English %q", tag, key, sentence, english[key])
			}
		}
	}
}

// TestEveryWordIsUsed finds what no page says any more, and what a page says that
// nobody wrote. A key that is put together in a page is known by its beginning.
func TestEveryWordIsUsed(t *testing.T) {
	t.Parallel()
	var pages strings.Builder
	files, err := filepath.Glob("page/*.html")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range append(files, "words.go") {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		pages.Write(b)
	}
	composed := []string{"scope.", "fact.", "problem.", "reason.", "refused.", "account.done.", "connect.", "span."}
	words := newSet(t).languages.catalogues[English]
	for key := range words {
		if !strings.Contains(pages.String(), `"`+key+`"`) && !slices.ContainsFunc(composed, func(c string) bool { return strings.HasPrefix(key, c) }) {
			t.Errorf("no page says %s", key)
		}
	}
	for _, m := range regexp.MustCompile(`(?:\bt|rich) "([^"]+)"`).FindAllStringSubmatch(pages.String(), -1) {
		if words[m[1]] == "" {
			t.Errorf("nobody wrote %s", m[1])
		}
	}
}

func TestSpan(t *testing.T) {
	t.Parallel()
	s := newSet(t)
	for seconds, want := range map[int]string{
		0: "1 second", 1: "1 second", 2: "2 seconds", 90: "90 seconds", 91: "2 minutes", 5400: "90 minutes", 5401: "2 hours", 86400: "24 hours",
	} {
		if got := s.languages.catalogues[English].span(seconds); got != want {
			t.Errorf("%d: got %q, want %q", seconds, got, want)
		}
	}
}
