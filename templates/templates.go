package templates

import (
	"embed"
	"fmt"
	"html/template"
	"io"
	"io/fs"
	"path"
	"strings"
)

//go:embed page/*.html
var pageFiles embed.FS

// A Page is data that knows which template shows it, and in which language.
type Page interface {
	page() string
	locale() Locale
}

// Set holds every page parsed once for every language, and the files they need.
// It is safe for concurrent use.
type Set struct {
	languages languages
	pages     map[Locale]map[string]*template.Template
	assets    *assets
}

// New parses the embedded pages.
func New() (*Set, error) {
	langs, err := loadLanguages()
	if err != nil {
		return nil, err
	}
	files, err := loadAssets()
	if err != nil {
		return nil, err
	}
	s := &Set{languages: langs, assets: files, pages: map[Locale]map[string]*template.Template{}}
	for tag, words := range langs.catalogues {
		if s.pages[tag], err = parse(funcs(tag, words, files)); err != nil {
			return nil, fmt.Errorf("templates: pages in %s: %w", tag, err)
		}
	}
	return s, nil
}

// parse returns every page by name, each inside the layout.
func parse(f template.FuncMap) (map[string]*template.Template, error) {
	layout, err := template.New("layout.html").Funcs(f).ParseFS(pageFiles, "page/layout.html", "page/parts.html")
	if err != nil {
		return nil, fmt.Errorf("parse the layout: %w", err)
	}
	names, err := fs.Glob(pageFiles, "page/*.html")
	if err != nil {
		return nil, fmt.Errorf("list the pages: %w", err)
	}
	pages := map[string]*template.Template{}
	for _, name := range names {
		short := strings.TrimSuffix(path.Base(name), ".html")
		if short == "layout" || short == "parts" {
			continue
		}
		t, err := layout.Clone()
		if err != nil {
			return nil, fmt.Errorf("clone the layout: %w", err)
		}
		if pages[short], err = t.ParseFS(pageFiles, name); err != nil {
			return nil, fmt.Errorf("parse %s: %w", name, err)
		}
	}
	return pages, nil
}

// Render writes p as a whole HTML document in its language, English if there is
// no such language. It may have written a part of it when it fails: give it a
// buffer.
func (s *Set) Render(w io.Writer, p Page) error {
	pages, ok := s.pages[p.locale()]
	if !ok {
		pages = s.pages[English]
	}
	t := pages[p.page()]
	if t == nil {
		return fmt.Errorf("templates: there is no page %q", p.page())
	}
	if err := t.ExecuteTemplate(w, "layout.html", p); err != nil {
		return fmt.Errorf("templates: page %s: %w", p.page(), err)
	}
	return nil
}
