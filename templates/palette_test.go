package templates

import (
	"math"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// TestPalette computes the contrast of every pair of colours that meet on a page,
// in both themes: 4.5 for text (WCAG 2.2, 1.4.3), 3 for the edges of controls and
// the focus (1.4.11).
func TestPalette(t *testing.T) {
	t.Parallel()
	css, err := os.ReadFile("assets/page.css")
	if err != nil {
		t.Fatal(err)
	}
	light, dark, found := strings.Cut(string(css), "@media (prefers-color-scheme: dark)")
	if !found {
		t.Fatal("there is no dark theme")
	}
	dark, _, _ = strings.Cut(dark, "\n}")
	themes := map[string]map[string]string{"light": variables(light), "dark": variables(dark)}
	for name := range themes["dark"] {
		if _, ok := themes["light"][name]; !ok {
			t.Errorf("--%s has no light twin", name)
		}
	}
	for name := range themes["light"] {
		if _, ok := themes["dark"][name]; !ok {
			t.Errorf("--%s has no dark twin", name)
		}
	}
	for theme, v := range themes {
		for _, p := range pairs() {
			front, ground := v[p.front], v[p.ground]
			if front == "" || ground == "" {
				t.Errorf("%s: --%s or --%s is missing", theme, p.front, p.ground)
				continue
			}
			if got := contrast(t, front, ground); got < p.least {
				t.Errorf("%s: --%s on --%s is %.2f, want %.1f", theme, p.front, p.ground, got, p.least)
			}
		}
	}
}

type pair struct {
	front, ground string
	least         float64
}

func pairs() []pair {
	out := []pair{
		{"bad", "bad-ground", 4.5},
		{"good", "good-ground", 4.5},
		{"on-accent", "accent", 4.5},
		{"on-accent", "accent-strong", 4.5},
		{"bad", "card", 3},
	}
	for _, ground := range []string{"ground", "card", "sunk"} {
		for _, front := range []string{"ink", "soft", "accent", "accent-strong"} {
			out = append(out, pair{front, ground, 4.5})
		}
		out = append(out, pair{"edge", ground, 3}, pair{"focus", ground, 3})
	}
	for i := range hues {
		h := "hue-" + strconv.Itoa(i)
		out = append(out, pair{"on-hue", h, 4.5}, pair{h, "card", 3}, pair{h, "ground", 3})
	}
	return out
}

func variables(css string) map[string]string {
	out := map[string]string{}
	for _, m := range regexp.MustCompile(`--([a-z0-9-]+): (#[0-9a-f]{6});`).FindAllStringSubmatch(css, -1) {
		out[m[1]] = m[2]
	}
	return out
}

// contrast is the ratio of WCAG 2.2's definition.
func contrast(t *testing.T, a, b string) float64 {
	t.Helper()
	x, y := luminance(t, a), luminance(t, b)
	return (max(x, y) + 0.05) / (min(x, y) + 0.05)
}

func luminance(t *testing.T, hex string) float64 {
	t.Helper()
	var sum float64
	for i, weight := range []float64{0.2126, 0.7152, 0.0722} {
		n, err := strconv.ParseUint(hex[1+2*i:3+2*i], 16, 8)
		if err != nil {
			t.Fatal(err)
		}
		c := float64(n) / 255
		if c <= 0.04045 {
			c /= 12.92
		} else {
			c = math.Pow((c+0.055)/1.055, 2.4)
		}
		sum += weight * c
	}
	return sum
}

// TestBadgesHaveTheColoursOfThePages: an initial as an image looks like the one in
// the page.
func TestBadgesHaveTheColoursOfThePages(t *testing.T) {
	t.Parallel()
	css, err := assetFiles.ReadFile("assets/page.css")
	if err != nil {
		t.Fatal(err)
	}
	for i, colour := range badgeHues {
		if want := "--hue-" + strconv.Itoa(i) + ": " + colour + ";"; !strings.Contains(string(css), want) {
			t.Errorf("the style sheet has no %s", want)
		}
	}
	badge := string(App{ID: "shop", Name: "<x>"}.Badge())
	if !strings.Contains(badge, ">X</text>") || strings.Contains(badge, "<x>") {
		t.Errorf("badge %s", badge)
	}
}
