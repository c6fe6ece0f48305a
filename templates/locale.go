package templates

import (
	"embed"
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
)

//go:embed locale/*.json
var localeFiles embed.FS

// A Locale is the language of a page, as a BCP 47 tag in lower case. The zero
// value is English.
type Locale string

// English is the language every other one is checked against and falls back to.
const English Locale = "en"

// maxRanges bounds how much of a list of languages is read.
const maxRanges = 16

func (l Locale) locale() Locale {
	if l == "" {
		return English
	}
	return l
}

// A catalogue holds the words of one language by key.
type catalogue map[string]string

type languages struct {
	catalogues map[Locale]catalogue
	tags       []Locale // sorted
}

func loadLanguages() (languages, error) {
	l := languages{catalogues: map[Locale]catalogue{}}
	entries, err := localeFiles.ReadDir("locale")
	if err != nil {
		return l, fmt.Errorf("templates: list the languages: %w", err)
	}
	for _, e := range entries {
		text, err := localeFiles.ReadFile(path.Join("locale", e.Name()))
		if err != nil {
			return l, fmt.Errorf("templates: read the words of %s: %w", e.Name(), err)
		}
		var c catalogue
		if err := json.Unmarshal(text, &c); err != nil {
			return l, fmt.Errorf("templates: parse the words of %s: %w", e.Name(), err)
		}
		tag := Locale(strings.ToLower(strings.TrimSuffix(e.Name(), ".json")))
		l.catalogues[tag] = c
		l.tags = append(l.tags, tag)
	}
	slices.Sort(l.tags)
	return l, nil
}

// Locales returns the languages there are, for discovery (ui_locales_supported).
func (s *Set) Locales() []string {
	out := make([]string, 0, len(s.languages.tags))
	for _, t := range s.languages.tags {
		out = append(out, string(t))
	}
	return out
}

// Locale picks the language of a page: the first of uiLocales (OpenID Connect Core
// section 3.1.2.1) that there is, else the best of an Accept-Language header, else
// English. A tag matches without its last subtags (RFC 4647 section 3.4): de-AT is
// answered in German.
func (s *Set) Locale(acceptLanguage string, uiLocales ...string) Locale {
	for _, tag := range uiLocales[:min(len(uiLocales), maxRanges)] {
		if l, ok := s.languages.lookup(tag); ok {
			return l
		}
	}
	for _, tag := range ranges(acceptLanguage) {
		if l, ok := s.languages.lookup(tag); ok {
			return l
		}
	}
	return English
}

func (l languages) lookup(tag string) (Locale, bool) {
	for tag = strings.ToLower(tag); tag != ""; {
		if _, ok := l.catalogues[Locale(tag)]; ok {
			return Locale(tag), true
		}
		i := strings.LastIndexByte(tag, '-')
		if i < 0 {
			break
		}
		tag = tag[:i]
	}
	return "", false
}

// ranges returns the languages of an Accept-Language header (RFC 9110 section
// 12.5.4), most wanted first. What it does not understand, it leaves out.
func ranges(header string) []string {
	type wish struct {
		tag string
		q   float64
	}
	var wishes []wish
	for item := range strings.SplitSeq(header, ",") {
		if len(wishes) == maxRanges {
			break
		}
		tag, params, _ := strings.Cut(item, ";")
		q := 1.0
		if v, ok := strings.CutPrefix(strings.TrimSpace(params), "q="); ok {
			var err error
			if q, err = strconv.ParseFloat(v, 64); err != nil || !(q >= 0 && q <= 1) {
				continue
			}
		}
		if tag = strings.TrimSpace(tag); tag != "" && q > 0 {
			wishes = append(wishes, wish{tag, q})
		}
	}
	slices.SortStableFunc(wishes, func(a, b wish) int {
		switch {
		case a.q > b.q:
			return -1
		case a.q < b.q:
			return 1
		}
		return 0
	})
	tags := make([]string, 0, len(wishes))
	for _, w := range wishes {
		tags = append(tags, w.tag)
	}
	return tags
}
