package suite

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// noRegistration is why a module that needs a client of its own is skipped.
func (c *Case) noRegistration() error {
	if c.Server.Metadata.Registration == "" {
		return Skipf("no registration_endpoint is advertised")
	}
	return nil
}

// Client returns an application for a module that has no wishes.
func (c *Case) Client(ctx context.Context) (*Client, error) {
	if known := c.known(); len(known) > 0 {
		return &known[0], nil
	}
	return c.Register(ctx, nil)
}

// known are the applications registered beforehand that the module may use.
func (c *Case) known() []Client {
	if c.fresh != "" {
		return nil
	}
	return slices.Clone(c.Target.Clients)
}

// Other returns a second application.
func (c *Case) Other(ctx context.Context) (*Client, error) {
	if known := c.known(); len(known) > 1 {
		return &known[1], nil
	}
	if c.noRegistration() != nil {
		return nil, Skipf("the run knows one application, and the module needs two")
	}
	return c.Register(ctx, nil)
}

// ClientWith returns an application that authenticates in a certain way.
func (c *Case) ClientWith(ctx context.Context, method string) (*Client, error) {
	for _, cl := range c.known() {
		if cl.method() == method {
			return &cl, nil
		}
	}
	if c.noRegistration() != nil {
		return nil, Skipf("the run knows no application that authenticates with %s", method)
	}
	return c.Register(ctx, map[string]any{"token_endpoint_auth_method": method})
}

// Signer returns an application whose public key the provider knows.
func (c *Case) Signer(ctx context.Context) (*Client, error) {
	for _, cl := range c.known() {
		if cl.Key != nil {
			return &cl, nil
		}
	}
	if c.noRegistration() != nil {
		return nil, Skipf("the run has no key of an application")
	}
	return c.Register(ctx, nil)
}

// Leaver returns an application with an address for after the logout.
func (c *Case) Leaver(ctx context.Context) (*Client, error) {
	for _, cl := range c.known() {
		if len(cl.AfterLogout) > 0 {
			return &cl, nil
		}
	}
	if c.noRegistration() != nil {
		return nil, Skipf("the run knows no application with a post_logout_redirect_uri")
	}
	return c.Register(ctx, map[string]any{"post_logout_redirect_uris": []string{c.AfterLogout()}})
}

// AfterLogout is the post_logout_redirect_uri of applications that register
// themselves.
func (c *Case) AfterLogout() string {
	return strings.TrimSuffix(c.Target.Redirect, "/") + "/signed-out"
}

// metadata is what an application registers: what the variant needs, and change
// over it; a nil value takes a member away.
func (c *Case) metadata(key *Key, change map[string]any) map[string]any {
	v := c.Variant
	if v.ResponseType == "" {
		v.ResponseType = "code"
	}
	var grants []string
	if v.Code() {
		grants = append(grants, "authorization_code", "refresh_token")
	}
	if v.IDToken() || v.Token() {
		grants = append(grants, "implicit")
	}
	m := map[string]any{
		"client_name": "conformance " + c.Module, "grant_types": grants, "response_types": []string{v.ResponseType},
		"token_endpoint_auth_method": or(c.fresh, "client_secret_basic"), "redirect_uris": []string{c.Target.Redirect},
		"jwks": JWKS(key), "contacts": []string{"conformance@example.org"},
	}
	for name, value := range change {
		if m[name] = value; value == nil {
			delete(m, name)
		}
	}
	return m
}

// Registration sends a registration request (RFC 7591 3.1) as it is.
func (c *Case) Registration(ctx context.Context, metadata map[string]any) (*Reply, error) {
	if err := c.noRegistration(); err != nil {
		return nil, err
	}
	return c.sendJSON(ctx, http.MethodPost, c.Server.Metadata.Registration, "", metadata)
}

// Unregistrable holds metadata, changed from what is fine, to being refused with
// one of codes.
func (c *Case) Unregistrable(ctx context.Context, change map[string]any, codes ...string) error {
	key, err := c.Target.key()
	if err != nil {
		return err
	}
	r, err := c.Registration(ctx, c.metadata(key, change))
	if err != nil {
		return err
	}
	if r.Status == http.StatusCreated {
		c.forget(&Client{manageURI: r.Text("registration_client_uri"), manageToken: r.Text("registration_access_token")})
	}
	return c.Refused(r, codes...)
}

// Register registers an application with these changes to what is usual, holds the
// answer to RFC 7591 3.2.1, and forgets the application when the module ends.
func (c *Case) Register(ctx context.Context, change map[string]any) (*Client, error) {
	cl, _, err := c.register(ctx, change, false)
	return cl, err
}

// RegisterOnly is Register for a module that deletes the application itself.
func (c *Case) RegisterOnly(ctx context.Context) (*Client, error) {
	cl, _, err := c.register(ctx, nil, true)
	return cl, err
}

// Registered is Register, and what the provider answered.
func (c *Case) Registered(ctx context.Context, change map[string]any) (*Client, *Reply, error) {
	return c.register(ctx, change, false)
}

func (c *Case) register(ctx context.Context, change map[string]any, kept bool) (*Client, *Reply, error) {
	key, err := c.Target.key()
	if err != nil {
		return nil, nil, err
	}
	sent := c.metadata(key, change)
	r, err := c.Registration(ctx, sent)
	if err != nil {
		return nil, nil, err
	}
	if r.Status != http.StatusCreated {
		return nil, nil, Brokef("RFC 7591 3.2.1", "registration answered %d %s (%s)", r.Status, r.Text("error"), r.Text("error_description"))
	}
	cl := &Client{
		ID: r.Text("client_id"), Secret: r.Text("client_secret"), AuthMethod: r.Text("token_endpoint_auth_method"),
		RedirectURIs: texts(r.JSON["redirect_uris"]), AfterLogout: texts(r.JSON["post_logout_redirect_uris"]), Key: key,
		manageURI: r.Text("registration_client_uri"), manageToken: r.Text("registration_access_token"),
	}
	if !kept {
		c.forget(cl)
	}
	return cl, r, walk(registrationChecks, registered{r, sent})
}

// registered is an answer beside the request.
type registered struct {
	*Reply
	sent map[string]any
}

// registrationChecks hold the answer to a registration.
var registrationChecks = []check[registered]{
	{"RFC 7591 3.2.1", func(r registered) string {
		if r.Type() != "application/json" {
			return fmt.Sprintf("the media type is %q, not application/json", r.Type())
		}
		return stored(r.Header)
	}},
	{"RFC 7591 3.2.1", func(r registered) string {
		if r.Text("client_id") == "" {
			return "there is no client_id"
		}
		if _, ok := r.JSON["client_secret_expires_at"].(float64); r.Text("client_secret") != "" && !ok {
			return "there is a client_secret and no client_secret_expires_at"
		}
		return ""
	}},
	{"RFC 7592 3", func(r registered) string {
		uri, token := r.Text("registration_client_uri"), r.Text("registration_access_token")
		if (uri == "") != (token == "") {
			return "registration_client_uri and registration_access_token come together or not at all"
		}
		return ""
	}},
	{"RFC 7591 3.2.1", func(r registered) string { return notEchoed(r.sent, r.JSON) }},
}

// notEchoed says which registered member the answer does not repeat, or "".
func notEchoed(sent, got map[string]any) string {
	b, err := json.Marshal(sent)
	if err != nil {
		return err.Error()
	}
	var asked map[string]any
	if err := json.Unmarshal(b, &asked); err != nil {
		return err.Error()
	}
	for _, name := range slices.Sorted(keysOf(asked)) {
		if _, ok := got[name]; !ok {
			return "the answer does not repeat " + name
		}
		want, list := asked[name].([]any)
		if echoed := texts(got[name]); list && len(texts(want)) == len(want) && !slices.Equal(slices.Sorted(slices.Values(echoed)), slices.Sorted(slices.Values(texts(want)))) {
			return fmt.Sprintf("the answer says that %s is %v", name, echoed)
		}
		if s, ok := asked[name].(string); ok && got[name] != s {
			return fmt.Sprintf("the answer says that %s is %v", name, got[name])
		}
	}
	return ""
}

// Manage asks about a client at its registration_client_uri (RFC 7592 2).
func (c *Case) Manage(ctx context.Context, method string, cl *Client) (*Reply, error) {
	if cl.manageURI == "" {
		return nil, Skipf("the provider gives no registration_client_uri")
	}
	return c.sendJSON(ctx, method, cl.manageURI, cl.manageToken, nil)
}

// forget deletes a client when the module has ended.
func (c *Case) forget(cl *Client) {
	if cl.manageURI == "" {
		return
	}
	c.after = append(c.after, func(ctx context.Context) {
		r, err := c.Manage(ctx, http.MethodDelete, cl)
		switch {
		case err != nil:
			c.Warnf("RFC 7592 2.3", "the client could not be deleted: %v", err)
		case r.Status != http.StatusNoContent:
			c.Warnf("RFC 7592 2.3", "deleting the client answered %d, not 204", r.Status)
		}
	})
}

func (c *Case) sendJSON(ctx context.Context, method, address, token string, body map[string]any) (*Reply, error) {
	b, err := json.Marshal(body)
	if err != nil {
		return nil, fmt.Errorf("encode a request: %w", err)
	}
	if body == nil {
		b = nil
	}
	r, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(b))
	if err != nil {
		return nil, Failf("the address %q cannot be asked", address)
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	r.Header.Set("Accept", "application/json")
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	return c.Send(r)
}

// WithQuery adds a query to an address.
func WithQuery(address, query string) string {
	sep := "?"
	if strings.Contains(address, "?") {
		sep = "&"
	}
	return address + sep + query
}

// Elsewhere is an address of the same site that is not the one given.
func Elsewhere(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return address + "/elsewhere"
	}
	return u.JoinPath("elsewhere").String()
}
