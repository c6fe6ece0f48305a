package templates

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func newSet(tb testing.TB) *Set {
	tb.Helper()
	s, err := New()
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

func render(tb testing.TB, s *Set, p Page) string {
	tb.Helper()
	var b bytes.Buffer
	if err := s.Render(&b, p); err != nil {
		tb.Fatal(err)
	}
	return b.String()
}

// TestGolden holds every page to the document it was the last time somebody looked
// at it. Names of assets change with their content, so they are written plainly.
func TestGolden(t *testing.T) {
	t.Parallel()
	s := newSet(t)
	for name, p := range samples() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := []byte(render(t, s, p))
			for plain, hashed := range s.assets.urls {
				got = bytes.ReplaceAll(got, []byte(hashed), []byte(AssetsPath+plain))
			}
			file := filepath.Join("testdata", name+".golden.html")
			if *update {
				if err := os.WriteFile(file, got, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(string(want), string(got)); d != "" {
				t.Errorf("the page changed (-want +got); run with -update if it should:\n%s", d)
			}
		})
	}
}
