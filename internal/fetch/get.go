package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// defaultMax is how many bytes of a body are read where Want does not say.
const defaultMax = 64 << 10

// Want is what a caller expects of a document.
type Want struct {
	Accept   []string // media types, lower case, without parameters; none is any
	MaxBytes int64    // of the body; 0 is 64 KiB
	// Keep says how long a Pool may answer with a document; nil is not at all.
	Keep func(Document) time.Duration
}

// A Document is what an address gave.
type Document struct {
	Body        []byte
	ContentType string        // media type without parameters, lower case; "" if none was sent
	MaxAge      time.Duration // how long it may be kept, 0 to MaxAgeCap; Unsaid if it does not say
}

// Get asks for a document: status 200, a media type that is wanted, and a body of
// the wanted size, all in time. Every error wraps ErrRefused or ErrUnreachable.
func (c *Client) Get(ctx context.Context, address string, want Want) (Document, error) {
	var doc Document
	err := c.do(ctx, http.MethodGet, address, func(req *http.Request) {
		if len(want.Accept) > 0 {
			req.Header.Set("Accept", strings.Join(want.Accept, ", "))
		}
	}, func(ctx context.Context, resp *http.Response) error {
		var err error
		doc, err = c.read(ctx, resp, want)
		return err
	})
	return doc, err
}

// PostForm sends form and returns the status of the answer, whatever it is; a
// redirect is an answer and is not followed. The body is thrown away. Every error
// wraps ErrRefused or ErrUnreachable.
func (c *Client) PostForm(ctx context.Context, address string, form url.Values) (status int, err error) {
	err = c.do(ctx, http.MethodPost, address, func(req *http.Request) {
		body := form.Encode()
		req.Body, req.ContentLength = io.NopCloser(strings.NewReader(body)), int64(len(body))
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}, func(_ context.Context, resp *http.Response) error {
		status = resp.StatusCode
		return nil
	})
	return status, err
}

// FetchJWKS returns a JWK Set as its address gives it, and how long it may be
// kept, negative if it does not say. The types are those that keys are served
// with in the field; whoever parses the set finds out what is none.
func (c *Client) FetchJWKS(ctx context.Context, address string) (body []byte, maxAge time.Duration, err error) {
	doc, err := c.Get(ctx, address, jwksWant)
	return doc.Body, doc.MaxAge, err
}

var jwksWant = Want{
	Accept:   []string{"application/jwk-set+json", "application/json", "text/plain", "application/octet-stream"},
	MaxBytes: 128 << 10,
}

// Check says whether an address is written as Get and PostForm demand, without
// asking anybody; an error wraps ErrRefused.
func (c *Client) Check(address string) error {
	_, err := c.checkURL(address)
	return err
}

// Reach is Check, and asks where the name of the host leads, without going there.
// ErrUnreachable means that this could not be told.
func (c *Client) Reach(ctx context.Context, address string) error {
	u, err := c.checkURL(address)
	if err != nil {
		return err
	}
	d := dialer{reach: reach{allow: c.cfg.Allow, loopback: u.Scheme == "http"}, resolve: c.cfg.Resolve}
	addrs, err := d.addresses(ctx, u.Hostname())
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	for _, a := range addrs {
		if err := d.reach.check(a); err != nil {
			return err
		}
	}
	return nil
}

// do sends one request and lets read look at the answer.
func (c *Client) do(ctx context.Context, method, address string, fill func(*http.Request), read func(context.Context, *http.Response) error) error {
	u, err := c.checkURL(address)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	leave, err := c.lanes.enter(ctx, strings.ToLower(u.Hostname()))
	if err != nil {
		return fmt.Errorf("%w: wait for the host: %w", ErrUnreachable, err)
	}
	defer leave()
	req, err := http.NewRequestWithContext(ctx, method, u.String(), http.NoBody)
	if err != nil {
		return refuse("the address makes no request")
	}
	req.Header.Set("User-Agent", c.cfg.UserAgent)
	fill(req)
	resp, err := c.client(u).Do(req)
	if err != nil {
		return classed(err)
	}
	defer func() { _ = resp.Body.Close() }() // read for what we wanted of it
	return read(ctx, resp)
}

func (c *Client) client(u *url.URL) *http.Client {
	if u.Scheme == "http" {
		return c.plain // checkURL let http pass, so there is one
	}
	return c.tls
}

// classed makes an error of net/http one of ours, without the address in it: a
// query may hold what no log should.
func classed(err error) error {
	var full *url.Error
	if errors.As(err, &full) {
		err = full.Err
	}
	if errors.Is(err, ErrRefused) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrUnreachable, err)
}

// read takes the document out of an answer.
func (c *Client) read(ctx context.Context, resp *http.Response, want Want) (Document, error) {
	switch s := resp.StatusCode; {
	case s >= 300 && s < 400:
		return Document{}, refuse("it redirects (status %d)", s)
	case s != http.StatusOK:
		return Document{}, fmt.Errorf("%w: status %d", ErrUnreachable, s)
	}
	if coding := resp.Header.Get("Content-Encoding"); coding != "" && !strings.EqualFold(coding, "identity") {
		return Document{}, refuse("the body is compressed, which was not asked for")
	}
	kind, err := mediaType(resp.Header.Get("Content-Type"))
	if err != nil || len(want.Accept) > 0 && !slices.Contains(want.Accept, kind) {
		return Document{}, refuse("the media type is not one of %s", strings.Join(want.Accept, ", "))
	}
	limit := want.MaxBytes
	if limit <= 0 {
		limit = defaultMax
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	if err == nil {
		err = context.Cause(ctx) // a server that sees us leave may still end its answer well
	}
	if err != nil {
		return Document{}, fmt.Errorf("%w: read the body: %w", ErrUnreachable, err)
	}
	if int64(len(body)) > limit {
		return Document{}, refuse("the body is longer than %d bytes", limit)
	}
	return Document{Body: body, ContentType: kind, MaxAge: maxAge(resp.Header, c.cfg.Now())}, nil
}

// mediaType returns a Content-Type without its parameters.
func mediaType(header string) (string, error) {
	if header == "" {
		return "", nil
	}
	kind, _, err := mime.ParseMediaType(header)
	return kind, err
}
