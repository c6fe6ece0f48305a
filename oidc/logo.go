package oidc

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/maypok86/otter/v2"

	"github.com/gatekeeper-oidc/gatekeeper/internal/fetch"
	"github.com/gatekeeper-oidc/gatekeeper/internal/flight"
	"github.com/gatekeeper-oidc/gatekeeper/internal/web"
	"github.com/gatekeeper-oidc/gatekeeper/oauth2"
	"github.com/gatekeeper-oidc/gatekeeper/templates"
)

const (
	maxLogo    = 256 << 10       // bytes of one image
	logoMemory = 16 << 20        // bytes of all of them
	logoAge    = time.Hour       // how long an image is shown without asking again
	logoRetry  = 5 * time.Minute // how long one that could not be had is not asked for
)

// logoTypes are the images we pass on. SVG is not among them: it is a program.
var logoTypes = []string{"image/png", "image/jpeg", "image/webp", "image/gif"}

// logoPolicy lets a logo that somebody opens by itself do nothing.
const logoPolicy = "default-src 'none'; frame-ancestors 'none'; sandbox"

// A Fetcher reads what an application published; fetch.Client is one.
type Fetcher interface {
	Get(ctx context.Context, address string, want fetch.Want) (fetch.Document, error)
}

// Clients finds registered applications; oauth2.Provider is one.
type Clients interface {
	Client(ctx context.Context, id string) (oauth2.Client, error)
}

// A logoKey is an application and where its logo is: another address is another
// logo at once.
type logoKey struct{ client, address string }

// A logo is an image, or nothing if it could not be had.
type logo struct {
	kind string
	body []byte
}

// Logos shows the logos of applications on our pages: the image is fetched by this
// server, so a page makes no request to anybody else, and nobody learns who is
// about to sign in.
type Logos struct {
	clients Clients
	fetch   Fetcher
	kept    *otter.Cache[logoKey, logo]
}

// NewLogos returns Logos.
func NewLogos(clients Clients, f Fetcher) (*Logos, error) {
	if clients == nil || f == nil {
		return nil, errors.New("oidc: logos need clients and a fetcher")
	}
	kept, err := otter.New(&otter.Options[logoKey, logo]{
		MaximumWeight: logoMemory,
		Weigher:       func(k logoKey, v logo) uint32 { return uint32(512 + len(k.address) + len(v.body)) }, //nolint:gosec // at most 256 KiB
		ExpiryCalculator: otter.ExpiryWritingFunc(func(e otter.Entry[logoKey, logo]) time.Duration {
			if len(e.Value.body) == 0 {
				return logoRetry
			}
			return logoAge
		}),
	})
	if err != nil {
		return nil, err
	}
	return &Logos{clients, f, kept}, nil
}

// Routes mounts the images where the pages expect them.
func (l *Logos) Routes(m *web.Mux) {
	m.Static("GET "+templates.LogoPath+"{client}", http.HandlerFunc(l.serve))
}

// serve answers with the logo of an application. Where it cannot be had, the
// initial that stands for applications without one is the body of the 404: a
// browser shows it just the same.
func (l *Logos) serve(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	c, err := l.clients.Client(r.Context(), r.PathValue("client"))
	if err != nil || c.LogoURI == "" {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	found, err := l.of(r.Context(), &c)
	status, age := http.StatusOK, logoAge
	if err != nil || len(found.body) == 0 {
		status, age = http.StatusNotFound, time.Minute
		found = logo{kind: "image/svg+xml", body: templates.NewApp(c.ID, c.Name, "").Badge()}
	}
	h.Set("Content-Type", found.kind)
	h.Set("Content-Length", strconv.Itoa(len(found.body)))
	h.Set("Content-Security-Policy", logoPolicy)
	h.Set("Cache-Control", "public, max-age="+strconv.Itoa(int(age.Seconds())))
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(found.body) // a caller who hung up is no error of ours
	}
}

// of returns the logo of c from memory, or fetches it. A fetch that did not begin,
// or is still under way, says nothing about the image.
func (l *Logos) of(ctx context.Context, c *oauth2.Client) (logo, error) {
	k := logoKey{c.ID, c.LogoURI}
	if found, ok := l.kept.GetIfPresent(k); ok {
		return found, nil
	}
	doc, err := l.fetch.Get(fetch.For(ctx, c.ID, c.Dynamic), k.address, fetch.Want{Accept: logoTypes, MaxBytes: maxLogo, Keep: logoArrives})
	if errors.Is(err, flight.ErrFull) || errors.Is(err, flight.ErrLate) || ctx.Err() != nil {
		return logo{}, err
	}
	var found logo // that it could not be had is remembered too
	if err == nil && http.DetectContentType(doc.Body) == doc.ContentType {
		found = logo{doc.ContentType, doc.Body}
	}
	l.kept.Set(k, found)
	return found, nil
}

// logoArrives is how long an image waits for whoever asks for it again, should
// nobody have had the patience.
func logoArrives(fetch.Document) time.Duration { return time.Minute }
