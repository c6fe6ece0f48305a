package templates

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"net/http"
	"path"
	"strconv"
	"strings"
)

//go:embed assets/*
var assetFiles embed.FS

// AssetsPath is where the pages expect Set.Assets.
const AssetsPath = "/assets/"

// assets are the files pages need, under names that change with their content.
type assets struct {
	urls  map[string]string // by plain name
	files map[string]asset  // by URL
}

type asset struct {
	kind string
	body []byte
}

func loadAssets() (*assets, error) {
	kinds := map[string]string{
		".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml",
	}
	a := &assets{urls: map[string]string{}, files: map[string]asset{}}
	entries, err := assetFiles.ReadDir("assets")
	if err != nil {
		return nil, fmt.Errorf("templates: list the assets: %w", err)
	}
	for _, e := range entries {
		body, err := assetFiles.ReadFile(path.Join("assets", e.Name()))
		if err != nil {
			return nil, fmt.Errorf("templates: read %s: %w", e.Name(), err)
		}
		ext := path.Ext(e.Name())
		if kinds[ext] == "" {
			return nil, fmt.Errorf("templates: %s is of no known kind", e.Name())
		}
		sum := sha256.Sum256(body)
		u := AssetsPath + strings.TrimSuffix(e.Name(), ext) + "." + hex.EncodeToString(sum[:8]) + ext
		a.urls[e.Name()] = u
		a.files[u] = asset{kinds[ext], body}
	}
	return a, nil
}

// url returns where the asset called name is; an unknown one fails the page.
func (a *assets) url(name string) (string, error) {
	u, ok := a.urls[name]
	if !ok {
		return "", fmt.Errorf("no asset %q", name)
	}
	return u, nil
}

// Robots and Icon are what browsers and crawlers ask for without being told. Nothing
// here is for a search engine.
func (s *Set) Robots() http.Handler {
	return plainFile("text/plain; charset=utf-8", []byte("User-agent: *\nDisallow: /\n"))
}

// Icon serves the mark of the program.
func (s *Set) Icon() http.Handler {
	return plainFile("image/svg+xml", s.assets.files[s.assets.urls["icon.svg"]].body)
}

func plainFile(kind string, body []byte) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Type", kind)
		h.Set("Content-Length", strconv.Itoa(len(body)))
		h.Set("Cache-Control", "public, max-age=86400")
		w.WriteHeader(http.StatusOK)
		if r.Method != http.MethodHead {
			_, _ = w.Write(body) // a caller who hung up is no error of ours
		}
	})
}

// Assets serves the files the pages need, for GET and HEAD below AssetsPath. A name
// stands for one content for ever, so caches may keep it for a year.
func (s *Set) Assets() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f, ok := s.assets.files[r.URL.Path]
		if !ok {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		h := w.Header()
		h.Set("Content-Type", f.kind)
		h.Set("Content-Length", strconv.Itoa(len(f.body)))
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
		w.WriteHeader(http.StatusOK)
		if r.Method != http.MethodHead {
			_, _ = w.Write(f.body) // a caller who hung up is no error of ours
		}
	})
}
