package web

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"testing"
	"time"
)

func TestDocument(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	doc := NewDocument("application/json", []byte(`{"keys":[]}`), 15*time.Minute)
	b.OAuth("GET /jwks", doc.Serve, AnyOrigin)
	w := b.get("/jwks")
	etag := w.Header().Get("ETag")
	if w.Code != 200 || w.Body.String() != `{"keys":[]}` || w.Header().Get("Cache-Control") != "public, max-age=900" || w.Header().Get("Pragma") != "" ||
		w.Header().Get("Access-Control-Allow-Origin") != "*" || etag == "" {
		t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
	}
	for _, have := range []string{etag, "W/" + etag, `"other", ` + etag, "*"} {
		if w := b.get("/jwks", "If-None-Match", have); w.Code != 304 || w.Body.Len() != 0 || w.Header().Get("ETag") != etag {
			t.Errorf("If-None-Match %s: %d", have, w.Code)
		}
	}
	if w := b.get("/jwks", "If-None-Match", `"other"`); w.Code != 200 {
		t.Errorf("another etag: %d", w.Code)
	}
	if w := b.do(request("HEAD", "/jwks", "")); w.Code != 200 || w.Body.Len() != 0 || w.Header().Get("Content-Length") != "11" {
		t.Errorf("HEAD: %d %v %q", w.Code, w.Header(), w.Body)
	}
	if line := b.log.lines(t)[0]; line["level"] != "DEBUG" {
		t.Errorf("line %v", line)
	}
}

func TestFilesAreServedAsTheyAre(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.Static("/assets/*", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
		_, _ = w.Write([]byte("body{}"))
	}))
	w := b.get("/assets/site.css")
	if w.Code != 200 || w.Header().Get("Cache-Control") != "public, max-age=31536000, immutable" || w.Body.String() != "body{}" {
		t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
	}
	if got := b.do(request("POST", "/assets/site.css", "")).Code; got != 405 {
		t.Errorf("POST: %d", got)
	}
	if line := b.log.lines(t)[0]; line["level"] != "DEBUG" || line["route"] != "/assets/*" {
		t.Errorf("line %v", line)
	}
}

func TestCORS(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	app := func(_ context.Context, origin string) bool {
		return origin == "https://app.example" || origin == "null"
	}
	b.OAuth("POST /token", fine, app)
	b.OAuth("POST /fails", failing(errTest), app)
	b.OAuth("POST /closed", fine, nil)
	b.Page("GET /page", fine)
	tests := []struct {
		name, method, path, origin, want string
	}{
		{"its origin", "POST", "/token", "https://app.example", "https://app.example"},
		{"an error is readable too", "POST", "/fails", "https://app.example", "https://app.example"},
		{"preflight", "OPTIONS", "/token", "https://app.example", "https://app.example"},
		{"another origin", "POST", "/token", "https://app.example.evil", ""},
		{"preflight of another origin", "OPTIONS", "/token", "https://evil.example", ""},
		{"null, even if the policy slips", "POST", "/token", "null", ""},
		{"no origin", "POST", "/token", "", ""},
		{"no policy", "POST", "/closed", "https://app.example", ""},
		{"a page", "GET", "/page", "https://app.example", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := request(tt.method, tt.path, "")
			if tt.origin != "" {
				r.Header.Set("Origin", tt.origin)
			}
			h := b.do(r).Header()
			if got := h.Get("Access-Control-Allow-Origin"); got != tt.want {
				t.Errorf("allowed %q, want %q", got, tt.want)
			}
			if got := h.Get("Access-Control-Allow-Methods") != ""; got != (tt.want != "" && tt.method == "OPTIONS") {
				t.Errorf("preflight permission: %t", got)
			}
			if h.Get("Access-Control-Allow-Credentials") != "" {
				t.Error("credentials were allowed")
			}
			if vary := h.Get("Vary"); (vary == "Origin") != (tt.path == "/token" || tt.path == "/fails") {
				t.Errorf("Vary %q", vary)
			}
		})
	}
}

func TestJSONThatCannotBeEncodedWritesNothing(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.API("GET /x", func(w http.ResponseWriter, _ *http.Request) error { return JSON(w, 200, func() {}) })
	b.API("GET /y", func(w http.ResponseWriter, _ *http.Request) error { return JSON(w, 200, map[string]int{"a": 1}) })
	if w := b.get("/x"); w.Code != 500 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if w := b.get("/y"); w.Code != 200 || w.Body.String() != "{\"a\":1}\n" {
		t.Errorf("after a failure: %d %s", w.Code, w.Body)
	}
}

// A nullWriter costs nothing, so that a benchmark counts the road alone.
type nullWriter struct{ h http.Header }

func (w *nullWriter) Header() http.Header         { return w.h }
func (w *nullWriter) Write(p []byte) (int, error) { return len(p), nil }
func (w *nullWriter) WriteHeader(int)             {}

func TestServingADocumentCostsTheSameWhateverItsSize(t *testing.T) {
	b := newBench(t, func(c *Config) { c.Log = discard() })
	var allocs []float64
	for _, size := range []int{100, 100_000} {
		path := fmt.Sprintf("/doc%d", size)
		doc := NewDocument("application/json", bytes.Repeat([]byte("x"), size), time.Minute)
		b.OAuth("GET "+path, doc.Serve, AnyOrigin)
		r, w := request("GET", path, ""), &nullWriter{http.Header{}}
		allocs = append(allocs, testing.AllocsPerRun(200, func() { b.ServeHTTP(w, r) }))
	}
	if allocs[0] != allocs[1] || allocs[0] > 24 {
		t.Errorf("allocations %v for 100 B and 100 kB", allocs)
	}
}

func BenchmarkDocument(b *testing.B) {
	m := newBench(b, func(c *Config) { c.Log = discard() })
	for _, size := range []int{1 << 10, 64 << 10} {
		path := fmt.Sprintf("/doc%d", size)
		m.OAuth("GET "+path, NewDocument("application/json", bytes.Repeat([]byte("x"), size), time.Minute).Serve, AnyOrigin)
		r, w := request("GET", path, ""), &nullWriter{http.Header{}}
		b.Run(fmt.Sprintf("size=%d", size), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				m.ServeHTTP(w, r)
			}
		})
	}
}

func BenchmarkJSON(b *testing.B) {
	m := newBench(b, func(c *Config) { c.Log = discard() })
	m.OAuth("POST /token", func(w http.ResponseWriter, r *http.Request) error {
		Note(r.Context(), clientID("shop"))
		return JSON(w, http.StatusOK, struct {
			AccessToken string `json:"access_token"`
		}{"x"})
	}, nil)
	r, w := request("POST", "/token", ""), &nullWriter{http.Header{}}
	b.ReportAllocs()
	for b.Loop() {
		m.ServeHTTP(w, r)
	}
}
