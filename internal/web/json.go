package web

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"sync"

	"github.com/gatekeeper-oidc/gatekeeper/templates"
)

// A canvas is a buffer and the encoder that writes into it, kept between answers.
type canvas struct {
	buf bytes.Buffer
	enc *json.Encoder
}

var canvases = sync.Pool{New: func() any {
	c := new(canvas)
	c.enc = json.NewEncoder(&c.buf)
	return c
}}

// maxKept is the largest buffer worth keeping.
const maxKept = 64 << 10

func (c *canvas) put() {
	if c.buf.Cap() <= maxKept {
		canvases.Put(c)
	}
}

// JSON writes v with status and Cache-Control: no-store. Nothing is written if v
// cannot be encoded.
func JSON(w http.ResponseWriter, status int, v any) error {
	return writeJSON(w, status, "application/json", v)
}

// JWT writes a token as the whole answer, with status 200 and Cache-Control:
// no-store. contentType is the registered one, such as application/jwt.
func JWT(w http.ResponseWriter, contentType, token string) error {
	w.Header().Set("Cache-Control", "no-store")
	send(w, http.StatusOK, contentType, []byte(token))
	return nil
}

func writeJSON(w http.ResponseWriter, status int, contentType string, v any) error {
	c := canvases.Get().(*canvas)
	defer c.put()
	c.buf.Reset()
	if err := c.enc.Encode(v); err != nil {
		c.enc = json.NewEncoder(&c.buf) // an encoder remembers its failure
		return fmt.Errorf("encode the answer: %w", err)
	}
	w.Header().Set("Cache-Control", "no-store")
	send(w, status, contentType, c.buf.Bytes())
	return nil
}

// Render writes page with status through a buffer: a page that cannot be rendered
// leaves nothing behind but the error.
func (m *Mux) Render(w http.ResponseWriter, status int, page templates.Page) error {
	if m.cfg.Pages == nil {
		return fmt.Errorf("render %T: this listener has no pages", page)
	}
	c := canvases.Get().(*canvas)
	defer c.put()
	c.buf.Reset()
	if err := m.cfg.Pages.Render(&c.buf, page); err != nil {
		return fmt.Errorf("render %T: %w", page, err)
	}
	send(w, status, "text/html; charset=utf-8", m.below(c.buf.Bytes()))
	return nil
}

// send writes a whole answer. A caller who hung up is no error of ours.
func send(w http.ResponseWriter, status int, contentType string, body []byte) {
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body)
}
