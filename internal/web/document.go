package web

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// A Document is an answer serialised before anybody asks. Serving it costs the
// same whatever its size: its bytes and headers are shared between requests.
type Document struct {
	body []byte
	etag string
	head []header
}

// NewDocument returns body as a document that caches may keep for maxAge; zero
// means they must ask again every time.
func NewDocument(contentType string, body []byte, maxAge time.Duration) *Document {
	control := "no-cache"
	if maxAge > 0 {
		control = "public, max-age=" + strconv.FormatInt(int64(maxAge/time.Second), 10)
	}
	sum := sha256.Sum256(body)
	d := &Document{body: body, etag: `"` + base64.RawURLEncoding.EncodeToString(sum[:16]) + `"`}
	d.head = []header{
		{"Content-Type", []string{contentType}},
		{"Cache-Control", []string{control}},
		{"Etag", []string{d.etag}},
	}
	return d
}

// Serve answers GET and HEAD, and 304 to a caller who has the document already
// (RFC 9110 section 13.1.2). It is a Handler and never fails.
func (d *Document) Serve(w http.ResponseWriter, r *http.Request) error {
	if rec := recordFrom(r.Context()); rec != nil {
		rec.quiet = true
	}
	h := w.Header()
	for i := range d.head {
		h[d.head[i].name] = d.head[i].value
	}
	delete(h, "Pragma")
	if matches(r.Header["If-None-Match"], d.etag) {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	h["Content-Length"] = []string{strconv.Itoa(len(d.body))}
	w.WriteHeader(http.StatusOK)
	if r.Method != http.MethodHead {
		_, _ = w.Write(d.body) // a caller who hung up is no error of ours
	}
	return nil
}

// matches reports whether an If-None-Match names etag, compared weakly.
func matches(values []string, etag string) bool {
	for _, v := range values {
		for item := range strings.SplitSeq(v, ",") {
			item = strings.Trim(item, " \t")
			if item == "*" || strings.TrimPrefix(item, "W/") == etag {
				return true
			}
		}
	}
	return false
}
