package keys

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// maxToken is the longest token we look at, in bytes.
const maxToken = 16 << 10

// A compact is a JWS in compact serialisation (RFC 7515 section 3.1), split but
// not yet believed.
type compact struct {
	head    string // still base64url
	body    string // still base64url
	input   string // head "." body: what is signed
	payload []byte
	sig     []byte
}

// A Header is what we read of a JOSE header. Keys and their addresses in it
// (jwk, jku, x5u, x5c) are an attacker's choice and are never looked at (RFC
// 8725 section 3.10).
type Header struct {
	Alg         string // of the signature, or what the content key is encrypted with
	Enc         string // what the content is encrypted with; "" in a JWS
	KeyID       string // "" if the token names no key
	Type        string // typ as it was sent; compare with IsType
	ContentType string // cty as it was sent: "JWT" around a nested token (RFC 7519 section 5.2)
}

// IsType reports whether the token says it is a typ, such as "oauth-authz-req+jwt":
// without regard to case, and the token may write "application/" before it (RFC
// 7515 section 4.1.9).
func (h Header) IsType(typ string) bool { return sameType(h.Type, typ) }

// split takes token apart: three parts, strict base64url, at most 16 KiB.
func split(token string) (compact, error) {
	if len(token) > maxToken {
		return compact{}, fmt.Errorf("%w: longer than %d bytes", ErrSignature, maxToken)
	}
	head, rest, ok := strings.Cut(token, ".")
	body, sig, ok2 := strings.Cut(rest, ".")
	if !ok || !ok2 || head == "" || sig == "" || strings.Contains(sig, ".") {
		return compact{}, fmt.Errorf("%w: not three parts", ErrSignature)
	}
	c := compact{head: head, body: body, input: token[:len(head)+1+len(body)]}
	var err error
	if c.payload, err = decode(body); err != nil {
		return compact{}, fmt.Errorf("%w: payload: %w", ErrSignature, err)
	}
	if c.sig, err = decode(sig); err != nil {
		return compact{}, fmt.Errorf("%w: signature: %w", ErrSignature, err)
	}
	return c, nil
}

// decode reads unpadded base64url of which there is exactly one spelling:
// package base64 alone would skip line breaks.
func decode(s string) ([]byte, error) {
	if strings.ContainsAny(s, "\r\n") {
		return nil, errors.New("line break in base64url")
	}
	return base64.RawURLEncoding.Strict().DecodeString(s)
}

// parseHeader is readHeader of a JWS; every error wraps ErrSignature.
func parseHeader(head string) (Header, error) {
	h, err := readHeader(head, "crit", "b64")
	if err != nil {
		return Header{}, fmt.Errorf("%w: header: %w", ErrSignature, err)
	}
	return h, nil
}

// readHeader reads a JOSE header strictly: one JSON object, names matched
// exactly and at most once (RFC 7515 section 4), and none of the extensions
// refused, since we understand no extension (crit, and b64 of RFC 7797). Other
// names are ignored, as RFC 7515 and RFC 7516 section 4 demand.
func readHeader(head string, refused ...string) (Header, error) {
	raw, err := decode(head)
	if err != nil {
		return Header{}, err
	}
	members, err := object(raw)
	if err != nil {
		return Header{}, err
	}
	var h Header
	known := map[string]*string{"alg": &h.Alg, "enc": &h.Enc, "kid": &h.KeyID, "typ": &h.Type, "cty": &h.ContentType}
	for _, m := range members {
		if slices.Contains(refused, m.name) {
			return Header{}, fmt.Errorf("%s is an extension we do not understand", m.name)
		}
		if field, ok := known[m.name]; ok {
			if err := json.Unmarshal(m.value, field); err != nil {
				return Header{}, fmt.Errorf("%s: %w", m.name, err)
			}
		}
	}
	return h, nil
}

// A member is one name and value of a JSON object.
type member struct {
	name  string
	value json.RawMessage
}

// Members returns the members of the one JSON object in raw, by name: no name
// comes twice, nothing follows the object, and the text is UTF-8. It is how every
// document that somebody signed or sent is read where a lenient reader and
// another could disagree (RFC 8725 section 2.4).
func Members(raw []byte) (map[string]json.RawMessage, error) {
	members, err := object(raw)
	if err != nil {
		return nil, err
	}
	out := make(map[string]json.RawMessage, len(members))
	for _, m := range members {
		out[m.name] = m.value
	}
	return out, nil
}

// object returns the members of the one JSON object in raw, refusing a name
// given twice and text that is not UTF-8.
func object(raw []byte) ([]member, error) {
	if !utf8.Valid(raw) {
		return nil, errors.New("not UTF-8")
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return nil, errors.New("not a JSON object")
	}
	var members []member
	seen := map[string]bool{}
	for dec.More() {
		t, err := dec.Token()
		if err != nil {
			return nil, fmt.Errorf("not a JSON object: %w", err)
		}
		m := member{name: t.(string)} // an object's names are strings, or Token fails
		if seen[m.name] {
			return nil, fmt.Errorf("%q given twice", m.name)
		}
		seen[m.name] = true
		if err := dec.Decode(&m.value); err != nil {
			return nil, fmt.Errorf("%s: %w", m.name, err)
		}
		members = append(members, m)
	}
	if _, err := dec.Token(); err != nil {
		return nil, fmt.Errorf("not a JSON object: %w", err)
	}
	if dec.InputOffset() != int64(len(bytes.TrimRight(raw, " \t\r\n"))) {
		return nil, errors.New("text after the JSON object")
	}
	return members, nil
}

// sameType reports whether got is the type want: without regard to case, and
// "application/" may be written or left out (RFC 7515 section 4.1.9). An empty
// want is a token without a type.
func sameType(got, want string) bool {
	const prefix = "application/"
	if len(got) > len(prefix) && strings.EqualFold(got[:len(prefix)], prefix) {
		got = got[len(prefix):]
	}
	return strings.EqualFold(got, want)
}
