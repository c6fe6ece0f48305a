package suite

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
)

// maxBody is how much of an answer is read, in bytes.
const maxBody = 4 << 20

// A Reply is what an endpoint answered.
type Reply struct {
	Status int
	Header http.Header
	Body   []byte
	JSON   map[string]any       // of a body that says it is JSON and is an object; else nil
	TLS    *tls.ConnectionState // nil over plain HTTP
}

// Text is a member of a JSON answer that is text; "" for any other.
func (r *Reply) Text(name string) string {
	s, _ := r.JSON[name].(string)
	return s
}

// Type is the media type without its parameters.
func (r *Reply) Type() string {
	t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil {
		return ""
	}
	return t
}

// Send asks an endpoint as an application would: redirects are not followed and
// there are no cookies.
func (c *Case) Send(r *http.Request) (*Reply, error) {
	res, err := c.Target.Transport.RoundTrip(r)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", r.Method, plainURL(r.URL), err)
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxBody))
	if err != nil {
		return nil, fmt.Errorf("read the answer of %s: %w", plainURL(r.URL), err)
	}
	out := &Reply{Status: res.StatusCode, Header: res.Header, Body: body, TLS: res.TLS}
	if strings.HasSuffix(out.Type(), "json") && len(body) > 0 {
		if err := json.Unmarshal(body, &out.JSON); err != nil && json.Unmarshal(body, new(any)) != nil {
			return nil, Failf("%s says its answer is JSON, and it is not", plainURL(r.URL))
		}
	}
	return out, nil
}

// Get asks an endpoint with a GET and these headers, in pairs.
func (c *Case) Get(ctx context.Context, address string, headers ...string) (*Reply, error) {
	r, err := newRequest(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return c.Send(r)
}

// Post sends a form to an endpoint, authenticated as cl if there is one.
func (c *Case) Post(ctx context.Context, endpoint string, cl *Client, form url.Values) (*Reply, error) {
	sent := url.Values{}
	for k, v := range form {
		sent[k] = v
	}
	var basic bool
	if cl != nil {
		var err error
		if basic, err = c.authenticate(cl, sent); err != nil {
			return nil, err
		}
	}
	r, err := newRequest(ctx, http.MethodPost, endpoint, sent)
	if err != nil {
		return nil, err
	}
	if basic {
		r.SetBasicAuth(url.QueryEscape(cl.ID), url.QueryEscape(cl.Secret)) // RFC 6749 2.3.1
	}
	return c.Send(r)
}

// authenticate adds to form what proves the client, and says whether that is Basic
// instead.
func (c *Case) authenticate(cl *Client, form url.Values) (basic bool, err error) {
	switch cl.method() {
	case "client_secret_basic":
		return true, nil
	case "client_secret_post":
		form.Set("client_id", cl.ID)
		form.Set("client_secret", cl.Secret)
	case "private_key_jwt":
		if form.Has("client_assertion") {
			return false, nil // the module brought its own
		}
		assertion, err := c.Assertion(cl, c.Server.Metadata.Issuer)
		if err != nil {
			return false, err
		}
		form.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
		form.Set("client_assertion", assertion)
	default:
		form.Set("client_id", cl.ID)
	}
	return false, nil
}

// newRequest makes a request; a nil form means no body.
func newRequest(ctx context.Context, method, address string, form url.Values) (*http.Request, error) {
	var body io.Reader
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	r, err := http.NewRequestWithContext(ctx, method, address, body)
	if err != nil {
		return nil, Failf("the address %q cannot be asked", address)
	}
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	r.Header.Set("User-Agent", "gatekeeper-conformance")
	return r, nil
}

// plainURL is an address without what could be secret in it.
func plainURL(u *url.URL) string { return u.Scheme + "://" + u.Host + u.Path }
