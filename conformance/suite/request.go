package suite

import (
	"crypto/rand"
	"crypto/sha256"
	"net/url"
	"slices"
	"strings"
)

// A Request is an authorization request.
type Request struct {
	Client   *Client
	Params   url.Values
	Verifier string // of its PKCE challenge; "" without one
	// Names are the parameters in the order they are written; those not named come
	// after, sorted.
	Names []string

	variant  Variant
	endpoint string
	mode     string     // how the answer comes; "" is as the variant says
	sent     url.Values // what goes through the browser; nil means Params
}

// Request makes an authorization request as the variant asks for, with a state and,
// where the answer has an ID token or may lead to one, a nonce. change is pairs of
// a parameter and its value; an empty value takes the parameter away.
func (c *Case) Request(cl *Client, change ...string) *Request {
	v := c.Variant
	if v.ResponseType == "" {
		v.ResponseType = "code"
	}
	r := &Request{Client: cl, variant: v, endpoint: c.Server.Metadata.Authorization, Params: url.Values{
		"client_id": {cl.ID}, "response_type": {v.ResponseType}, "scope": {"openid"}, "state": {rand.Text()}, "nonce": {rand.Text()},
	}}
	if len(cl.RedirectURIs) > 0 {
		r.Params.Set("redirect_uri", cl.RedirectURIs[0])
	}
	if v.ResponseMode != "" {
		r.Params.Set("response_mode", v.ResponseMode)
	}
	if c.Target.PKCE && v.Code() {
		r.Challenge()
	}
	return r.Set(change...)
}

// Set changes parameters, in pairs; an empty value takes one away.
func (r *Request) Set(change ...string) *Request {
	for i := 0; i+1 < len(change); i += 2 {
		if change[i+1] == "" {
			r.Params.Del(change[i])
			continue
		}
		r.Params.Set(change[i], change[i+1])
	}
	return r
}

// Challenge adds a PKCE challenge (RFC 7636 4.3).
func (r *Request) Challenge() *Request {
	r.Verifier = rand.Text() + rand.Text()
	sum := sha256.Sum256([]byte(r.Verifier))
	return r.Set("code_challenge", encode(sum[:]), "code_challenge_method", "S256")
}

// Answered says that the answer comes in another mode than the variant's; "any"
// is any.
func (r *Request) Answered(mode string) *Request {
	r.mode = mode
	return r
}

// Outside changes what goes through the browser, in pairs, and leaves Params as
// what counts: because a request object or a pushed request says so.
func (r *Request) Outside(change ...string) *Request {
	r.sent = url.Values{}
	for name, values := range r.Params {
		r.sent[name] = values
	}
	for i := 0; i+1 < len(change); i += 2 {
		if r.sent.Set(change[i], change[i+1]); change[i+1] == "" {
			r.sent.Del(change[i])
		}
	}
	return r
}

// Only keeps of what goes through the browser these parameters.
func (r *Request) Only(names ...string) *Request {
	if r.sent == nil {
		r.Outside()
	}
	for name := range r.sent {
		if !slices.Contains(names, name) {
			delete(r.sent, name)
		}
	}
	return r
}

// Get is a parameter.
func (r *Request) Get(name string) string { return r.Params.Get(name) }

// URL is the request as a browser takes it.
func (r *Request) URL() string {
	sep := "?"
	if strings.Contains(r.endpoint, "?") {
		sep = "&"
	}
	return r.endpoint + sep + r.query()
}

func (r *Request) query() string {
	params := r.Params
	if r.sent != nil {
		params = r.sent
	}
	names := slices.DeleteFunc(slices.Clone(r.Names), func(n string) bool { return !params.Has(n) })
	for _, n := range slices.Sorted(keysOf(params)) {
		if !slices.Contains(names, n) {
			names = append(names, n)
		}
	}
	var parts []string
	for _, n := range names {
		for _, v := range params[n] {
			parts = append(parts, url.QueryEscape(n)+"="+url.QueryEscape(v))
		}
	}
	return strings.Join(parts, "&")
}

// Origin is where the application's own pages are.
func (r *Request) Origin() string {
	u, err := url.Parse(r.Get("redirect_uri"))
	if err != nil {
		return "null"
	}
	return u.Scheme + "://" + u.Host
}
