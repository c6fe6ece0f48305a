package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
)

// maxAnswer bounds what is read of an answer.
const maxAnswer = 16 << 20

// Client implements API over HTTP on a running server. Errors are the server's
// own faults; one that did not answer is fault.Unavailable.
type Client struct {
	server *url.URL
	token  string
	http   *http.Client
}

var _ API = (*Client)(nil)

// NewClient returns a Client of the server at a base URL such as
// https://id.example.org or http://127.0.0.1:9090, who shows token. It refuses to
// send the token in the clear beyond this computer, and never follows a redirect
// with it.
func NewClient(server, token string, transport http.RoundTripper) (*Client, error) {
	u, err := url.Parse(strings.TrimSuffix(server, "/"))
	switch {
	case err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return nil, fmt.Errorf("admin: %q is not the URL of a server, such as https://id.example.org", server)
	case u.Scheme != "https" && (u.Scheme != "http" || !loopback(u.Hostname())):
		return nil, fmt.Errorf("admin: %s: an administrator's token travels over https, or to this computer only", server)
	case token == "":
		return nil, errors.New("admin: a token is required to speak to a server")
	}
	return &Client{server: u, token: token, http: &http.Client{
		Transport: transport, Timeout: time.Minute,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

func loopback(host string) bool {
	a, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && a.IsLoopback()
}

// A call is one request to the API.
type call struct {
	method string
	path   []string // segments below /admin/v1
	query  url.Values
	in     any      // nil for no body
	seen   []string // ETags, one of which it must still have
}

// ask sends c and decodes the answer.
func ask[O any](ctx context.Context, client *Client, c call) (O, error) {
	var out O
	body, err := client.send(ctx, c)
	if err != nil {
		return out, err
	}
	if err := json.Unmarshal(body, &out); err != nil {
		return out, fmt.Errorf("answer of %s %s: %w", c.method, strings.Join(c.path, "/"), err)
	}
	return out, nil
}

// tell sends c and expects nothing back.
func tell(ctx context.Context, client *Client, c call) error {
	_, err := client.send(ctx, c)
	return err
}

func (c *Client) send(ctx context.Context, what call) ([]byte, error) {
	req, err := c.request(ctx, what)
	if err != nil {
		return nil, fmt.Errorf("request to %s: %w", c.server, err)
	}
	res, err := c.http.Do(req)
	if err != nil {
		return nil, unreachable(c.server, err)
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	if cerr := res.Body.Close(); err == nil {
		err = cerr
	}
	switch {
	case err != nil:
		return nil, unreachable(c.server, err)
	case len(body) > maxAnswer:
		return nil, fmt.Errorf("the answer of %s is larger than %d bytes", c.server, maxAnswer)
	case res.StatusCode >= 200 && res.StatusCode <= 299:
		return body, nil
	}
	return nil, refusal(res, body)
}

func (c *Client) request(ctx context.Context, what call) (*http.Request, error) {
	u := *c.server
	u.RawPath = u.EscapedPath() + base
	u.Path += base
	for _, segment := range what.path {
		u.Path += "/" + segment
		u.RawPath += "/" + url.PathEscape(segment)
	}
	u.RawQuery = what.query.Encode()
	var body io.Reader
	if what.in != nil {
		encoded, err := encode(what.in)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(encoded)
	}
	req, err := http.NewRequestWithContext(ctx, what.method, u.String(), body)
	if err != nil {
		return nil, err
	}
	if what.in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if len(what.seen) > 0 {
		req.Header.Set("If-Match", strings.Join(what.seen, ", "))
	}
	req.Header.Set("Accept", "application/json, application/problem+json")
	req.Header.Set("Authorization", "Bearer "+c.token)
	return req, nil
}

// encode is v as JSON without what is null in it: to the server that is no value,
// and an empty list of Go is nothing else.
func encode(v any) ([]byte, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("encode %T: %w", v, err)
	}
	var value any
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&value); err != nil {
		return nil, fmt.Errorf("encode %T: %w", v, err)
	}
	return json.Marshal(withoutNull(value))
}

func withoutNull(value any) any {
	switch v := value.(type) {
	case map[string]any:
		maps.DeleteFunc(v, func(_ string, of any) bool { return of == nil })
		for name, of := range v {
			v[name] = withoutNull(of)
		}
	case []any:
		for i, of := range v {
			v[i] = withoutNull(of)
		}
	}
	return value
}

func unreachable(server *url.URL, err error) error {
	return &fault.Error{
		Kind: fault.Unavailable, Code: "unreachable", Rule: "server_reachable",
		Detail: "The server at " + server.String() + " does not answer.", Err: err,
	}
}

// refusal turns a problem document (RFC 9457) back into the fault it was.
func refusal(res *http.Response, body []byte) error {
	var problem struct {
		Detail, Code, Reference string
	}
	if err := json.Unmarshal(body, &problem); err != nil || problem.Code == "" {
		return &fault.Error{
			Kind: kindOf(res.StatusCode), Code: "unexpected_answer",
			Detail: "The server answered " + res.Status + ", and not as Gatekeeper does. Is the URL that of its admin API?",
		}
	}
	f := &fault.Error{Kind: kindOf(res.StatusCode), Code: problem.Code, Detail: problem.Detail}
	if seconds, err := strconv.Atoi(res.Header.Get("Retry-After")); err == nil {
		f.RetryAfter = time.Duration(seconds) * time.Second
	}
	if problem.Reference != "" {
		f = f.With("reference", problem.Reference)
	}
	return f
}

// kindOf is the way back from the status web chose.
func kindOf(status int) fault.Kind {
	switch status {
	case http.StatusBadRequest:
		return fault.Invalid
	case http.StatusUnauthorized:
		return fault.Unauthenticated
	case http.StatusForbidden:
		return fault.Forbidden
	case http.StatusNotFound:
		return fault.NotFound
	case http.StatusConflict:
		return fault.Conflict
	case http.StatusRequestEntityTooLarge:
		return fault.TooLarge
	case http.StatusUnsupportedMediaType:
		return fault.Unsupported
	case http.StatusPreconditionFailed:
		return fault.Stale
	case http.StatusTooManyRequests:
		return fault.TooMany
	case http.StatusServiceUnavailable, http.StatusBadGateway, http.StatusGatewayTimeout:
		return fault.Unavailable
	default:
		return fault.Internal
	}
}
