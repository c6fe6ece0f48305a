package oidc

import (
	"net/http"
	"sync/atomic"
	"time"

	"github.com/gatekeeper-oidc/gatekeeper/internal/web"
)

// Keys publishes what verifies our signatures, from memory; keys.Ring is one.
type Keys interface {
	JWKS() (body []byte, etag string, maxAge time.Duration)
	Algs() []string
	EncryptionAlgs() []string
}

// published is the key set (RFC 7517 section 5) as it is served: made anew when
// the ring's set changes, and only then.
type published struct {
	keys Keys
	last atomic.Pointer[edition]
}

type edition struct {
	etag string // the ring's
	doc  *web.Document
}

// serve answers from memory, so the keys can be fetched while the store is down.
func (p *published) serve(w http.ResponseWriter, r *http.Request) error {
	body, etag, maxAge := p.keys.JWKS()
	e := p.last.Load()
	if e == nil || e.etag != etag {
		e = &edition{etag, web.NewDocument("application/jwk-set+json", body, maxAge)}
		p.last.Store(e)
	}
	return e.doc.Serve(w, r)
}
