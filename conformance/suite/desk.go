package suite

import (
	"context"
	"crypto/rand"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
)

// A Desk is where the provider can reach the suite: it serves documents that
// modules publish and keeps the letters they wait for. Mount it where URL leads.
type Desk struct {
	URL string // without a slash at the end

	mu        sync.Mutex
	documents map[string]document
	letters   map[string]chan Letter
}

type document struct {
	kind string
	body []byte
}

// A Letter is one request that arrived.
type Letter struct {
	Method string
	Form   url.Values // of a posted form, or the query of a GET
}

// NewDesk returns a desk at an address.
func NewDesk(address string) *Desk {
	return &Desk{URL: strings.TrimSuffix(address, "/"), documents: map[string]document{}, letters: map[string]chan Letter{}}
}

// ServeHTTP serves what is published and takes letters in.
func (d *Desk) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	d.mu.Lock()
	doc, published := d.documents[r.URL.Path]
	box, waited := d.letters[r.URL.Path]
	d.mu.Unlock()
	switch {
	case published:
		w.Header().Set("Content-Type", doc.kind)
		w.Header().Set("Cache-Control", "max-age=1")
		_, _ = w.Write(doc.body) // whoever hung up needs it no more
	case waited:
		take(w, r, box)
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

func take(w http.ResponseWriter, r *http.Request, box chan<- Letter) {
	letter := Letter{Method: r.Method, Form: r.URL.Query()}
	if r.Method == http.MethodPost {
		body, err := io.ReadAll(io.LimitReader(r.Body, maxBody))
		form, perr := url.ParseQuery(string(body))
		if err != nil || perr != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		letter.Form = form
	}
	select {
	case box <- letter:
	default: // more letters than anybody reads
	}
	w.WriteHeader(http.StatusOK)
}

// Publish serves body at a new address and returns it.
func (d *Desk) Publish(kind string, body []byte) string {
	path := "/" + strings.ToLower(rand.Text())
	d.Replace(d.URL+path, kind, body)
	return d.URL + path
}

// Replace serves another body at an address that Publish returned.
func (d *Desk) Replace(address, kind string, body []byte) {
	u, err := url.Parse(address)
	if err != nil {
		return // Publish made it
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.documents[u.Path] = document{kind, body}
}

// An Inbox is an address where letters arrive.
type Inbox struct {
	URL string
	box chan Letter
}

// Inbox opens a new address for letters.
func (d *Desk) Inbox() *Inbox {
	path, box := "/"+strings.ToLower(rand.Text()), make(chan Letter, 16)
	base, err := url.Parse(d.URL)
	if err == nil {
		d.mu.Lock()
		d.letters[base.Path+path] = box
		d.mu.Unlock()
	}
	return &Inbox{URL: d.URL + path, box: box}
}

// Wait returns the next letter, or what happened instead.
func (i *Inbox) Wait(ctx context.Context) (Letter, error) {
	select {
	case l := <-i.box:
		return l, nil
	case <-ctx.Done():
		return Letter{}, Failf("nothing arrived at %s", i.URL)
	}
}

// Desk returns the desk of the run, or why the module cannot be put to the test.
func (c *Case) Desk() (*Desk, error) {
	if c.Target.Desk == nil {
		return nil, Skipf("the provider has no way to reach this run (it was given no address of its own)")
	}
	return c.Target.Desk, nil
}
