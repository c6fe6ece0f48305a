package oauth2

import (
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
	"github.com/gatekeeper-oidc/gatekeeper/internal/fetch"
	"github.com/gatekeeper-oidc/gatekeeper/keys"
)

// A Fetcher reads what a client published; fetch.Client is one.
type Fetcher interface {
	Reacher
	Get(ctx context.Context, address string, want fetch.Want) (fetch.Document, error)
}

// requestObjectAlgs sign request objects (RFC 9101 section 6.1); none never does.
var requestObjectAlgs = []string{"RS256", "PS256", "ES256", "EdDSA"}

// RequestObjectAlgs returns the algorithms of request objects, for discovery.
func RequestObjectAlgs() []string { return slices.Clone(requestObjectAlgs) }

const maxObject = 32 << 10 // bytes of a request object

// oneRequestObject wants a request object by value or by reference, not both
// (RFC 9101 section 5).
func oneRequestObject(_ context.Context, d *draft) *fault.Error {
	if d.get("request") != "" && d.get("request_uri") != "" {
		return invalid("invalid_request", "A request object comes by value or by reference, not both.")
	}
	return nil
}

// requestURI fetches a request object by reference: only from an address the
// application registered (OpenID Connect Core section 6.2, RFC 9101 section 10.4),
// with or without the fragment that tells its version.
func requestURI(ctx context.Context, d *draft) *fault.Error {
	uri := d.get("request_uri")
	if uri == "" {
		return nil
	}
	if d.p.cfg.Fetch == nil {
		return invalid("request_uri_not_supported", "Request objects by reference are switched off.")
	}
	base, _, _ := strings.Cut(uri, "#")
	if !slices.ContainsFunc(d.client.RequestURIs, func(known string) bool {
		knownBase, _, _ := strings.Cut(known, "#")
		return known == uri || knownBase == base
	}) {
		return invalid("invalid_request_uri", "The request_uri is not registered for the application.").
			With("received", clip(uri, 512)).With("registered", strings.Join(d.client.RequestURIs, " "))
	}
	// The fragment is the version (OpenID Connect Core section 6.2): another one is
	// another document to whoever keeps it.
	doc, err := d.p.cfg.Fetch.Get(fetchFor(ctx, &d.client), uri, fetch.Want{Accept: objectTypes, MaxBytes: maxObject, Keep: d.p.keepObject})
	if err != nil {
		return &fault.Error{Kind: fault.Invalid, Code: "invalid_request_uri", Detail: "The request object could not be fetched.", Err: err}
	}
	d.params.Set("request", strings.TrimSpace(string(doc.Body)))
	return nil
}

// How long a request object from an address is used without asking again: as long
// as the answer says, which may be not at all, and never beyond its own exp.
const (
	objectAge    = 30 * time.Second // where it says nothing
	maxObjectAge = 5 * time.Minute
)

func (p *Provider) keepObject(doc fetch.Document) time.Duration {
	age := min(doc.MaxAge, maxObjectAge)
	if doc.MaxAge == fetch.Unsaid {
		age = objectAge
	}
	_, claims := unverified(strings.TrimSpace(string(doc.Body)))
	var own struct {
		Expires keys.NumericDate `json:"exp"`
	}
	if keys.Claims(claims, &own) == nil && own.Expires > 0 {
		age = min(age, own.Expires.Time().Sub(p.cfg.Now()))
	}
	return age
}

// objectTypes are the media types a request object may be served as (RFC 9101
// section 5.2.3); the others are what plain file servers say.
var objectTypes = []string{"application/oauth-authz-req+jwt", "application/jwt", "application/jose", "text/plain", "application/octet-stream"}

// requestObject verifies a request object and puts its claims in the place of the
// parameters around it: of those only client_id counts, and must agree (RFC 9101
// section 6.3).
func requestObject(ctx context.Context, d *draft) *fault.Error {
	raw := d.get("request")
	if raw == "" {
		return nil
	}
	claims, f := d.verifiedObject(ctx, raw)
	if f != nil {
		return f
	}
	for _, c := range objectChecks {
		if why := c.run(d, claims); why != "" {
			return invalid("invalid_request_object", why).With("object_rule", c.rule)
		}
	}
	params, why := objectParams(claims)
	if why != "" {
		return invalid("invalid_request_object", why)
	}
	params.Set("client_id", d.client.ID)
	d.params, d.signed = params, true
	return nil
}

// verifiedObject decrypts a request object if it is encrypted, checks its
// signature with the application's own keys, and returns its claims.
func (d *draft) verifiedObject(ctx context.Context, raw string) (map[string]json.RawMessage, *fault.Error) {
	refused := invalid("invalid_request_object", "The request object is not one the application signed.")
	if len(raw) > maxObject {
		return nil, invalid("invalid_request_object", "The request object is too long.")
	}
	payload, head, err := d.p.openObject(ctx, &d.client, raw)
	if errors.Is(err, errNotTheirs) {
		refused.Err = err
		return nil, refused
	}
	if errors.Is(err, errKeysAway) {
		return nil, fault.Of(keysAway(&d.client, fault.Invalid, "invalid_request_object", err))
	}
	if err != nil {
		return nil, fault.Of(err)
	}
	switch strings.ToLower(head.Type) {
	case "", "jwt", "oauth-authz-req+jwt", "application/oauth-authz-req+jwt":
	default: // a JWT of another kind, made for another purpose (RFC 8725 section 3.11)
		return nil, invalid("invalid_request_object", "The JWT is not a request object.").With("typ", clip(head.Type, 64))
	}
	claims, err := keys.Members(payload)
	if err != nil {
		refused.Err = err
		return nil, refused
	}
	return claims, nil
}

// objectChecks are the rules about what a request object says of itself; each
// returns what is wrong, or "".
var objectChecks = []struct {
	rule string
	run  func(d *draft, claims map[string]json.RawMessage) string
}{
	{"issuer", func(d *draft, claims map[string]json.RawMessage) string {
		if iss, ok := textOf(claims["iss"]); claims["iss"] != nil && (!ok || iss != d.client.ID) {
			return "The iss of a request object is the application."
		}
		return ""
	}},
	{"client", func(d *draft, claims map[string]json.RawMessage) string {
		id, ok := textOf(claims["client_id"])
		if claims["client_id"] == nil && claims["iss"] != nil {
			return "" // it says who it is from all the same
		}
		if !ok || id != d.client.ID {
			return "The client_id inside the request object differs from the one outside."
		}
		return ""
	}},
	{"audience", func(d *draft, claims map[string]json.RawMessage) string {
		var aud audience
		if claims["aud"] == nil {
			return ""
		}
		if json.Unmarshal(claims["aud"], &aud) != nil || !slices.Contains(aud, d.p.cfg.Issuer) {
			return "The request object is for another server."
		}
		return ""
	}},
	{"times", objectTimes},
	{"no_subject", func(d *draft, claims map[string]json.RawMessage) string {
		if sub, _ := textOf(claims["sub"]); sub == d.client.ID {
			return "A JWT whose sub is the application authenticates it, and is no request object." // RFC 9101 section 10.8
		}
		return ""
	}},
	{"not_nested", func(_ *draft, claims map[string]json.RawMessage) string {
		if claims["request"] != nil || claims["request_uri"] != nil {
			return "A request object holds no other." // RFC 9101 section 4
		}
		return ""
	}},
}

// objectTimes holds exp, nbf and iat, where given, to now.
func objectTimes(d *draft, claims map[string]json.RawMessage) string {
	now := d.p.cfg.Now()
	for name, wrong := range map[string]func(t time.Time) bool{
		"exp": func(t time.Time) bool { return !now.Before(t.Add(keys.ClockBehind)) },
		"nbf": func(t time.Time) bool { return t.After(now.Add(keys.ClockAhead)) },
		"iat": func(t time.Time) bool { return t.After(now.Add(keys.ClockAhead)) },
	} {
		if claims[name] == nil {
			continue
		}
		var at keys.NumericDate
		if at.UnmarshalJSON(claims[name]) != nil || wrong(at.Time()) {
			return "The request object is not valid now (" + name + ")."
		}
	}
	return ""
}

func textOf(raw json.RawMessage) (string, bool) {
	var s string
	err := json.Unmarshal(raw, &s)
	return s, err == nil
}

// aboutObject are the claims of a request object about itself, which are no
// parameters of the request.
var aboutObject = []string{"iss", "aud", "exp", "nbf", "iat", "jti", "sub"}

// objectParams turns claims into parameters: text as it is, numbers and truth
// values as they are written, objects as their JSON, and a list, of resources
// alone, as a repeated parameter.
func objectParams(claims map[string]json.RawMessage) (url.Values, string) {
	params := url.Values{}
	if len(claims) > 64 {
		return nil, "The request object has more than 64 members."
	}
	for name, raw := range claims {
		if slices.Contains(aboutObject, name) || string(raw) == "null" {
			continue
		}
		switch raw[0] {
		case '"':
			s, ok := textOf(raw)
			if !ok || strings.ContainsRune(s, 0) {
				return nil, "The member " + clip(name, 64) + " of the request object cannot be read."
			}
			if s != "" {
				params.Set(name, s)
			}
		case '[':
			var list []string
			if json.Unmarshal(raw, &list) != nil || name != "resource" || len(list) > 20 {
				return nil, "The member " + clip(name, 64) + " of the request object is a list."
			}
			params[name] = list
		default:
			params.Set(name, string(raw))
		}
	}
	return params, ""
}
