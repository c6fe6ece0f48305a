package web

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
)

// The bounds of what a request may bring.
const (
	MaxForm       = 64 << 10 // bytes of a form
	MaxQuery      = 8 << 10  // bytes of a query
	maxParameters = 64
)

// A form is a parsed body, kept because the road and the handler both read it.
type form struct {
	values url.Values
	size   int64
}

// Form reads a bounded application/x-www-form-urlencoded body and refuses
// repeated parameters (RFC 6749 section 3.2) except those named repeatable,
// multipart, content encodings, more than 64 parameters and text that is not
// UTF-8. Query parameters are not merged in. The error is a fault of kind Invalid
// or TooLarge with code invalid_request.
func Form(w http.ResponseWriter, r *http.Request, maxBytes int64, repeatable ...string) (url.Values, error) {
	rec := recordFrom(r.Context())
	if rec == nil {
		rec = &record{} // outside the road, in a test
	}
	if rec.form == nil {
		f, err := readForm(w, r, maxBytes)
		if err != nil {
			return nil, err
		}
		rec.form = f
	}
	if rec.form.size > maxBytes {
		return nil, tooLarge(maxBytes)
	}
	if err := once(rec.form.values, repeatable); err != nil {
		return nil, err
	}
	return rec.form.values, nil
}

// Query reads the query of r under the same rules as Form, at most 8 KiB of it.
func Query(r *http.Request, repeatable ...string) (url.Values, error) {
	if len(r.URL.RawQuery) > MaxQuery {
		return nil, invalid("query_size", "The query is too long.")
	}
	values, err := parse(r.URL.RawQuery)
	if err != nil {
		return nil, err
	}
	if err := once(values, repeatable); err != nil {
		return nil, err
	}
	return values, nil
}

// Parameters reads the query of a GET or the form of a POST under the same rules,
// but leaves it to the caller what a repeated parameter means.
func Parameters(w http.ResponseWriter, r *http.Request) (url.Values, error) {
	if r.Method != http.MethodPost {
		if len(r.URL.RawQuery) > MaxQuery {
			return nil, invalid("query_size", "The query is too long.")
		}
		return parse(r.URL.RawQuery)
	}
	f, err := readForm(w, r, MaxForm)
	if err != nil {
		return nil, err
	}
	return f.values, nil
}

func readForm(w http.ResponseWriter, r *http.Request, maxBytes int64) (*form, error) {
	if err := unencoded(r.Header); err != nil {
		return nil, err
	}
	if err := formType(r.Header["Content-Type"]); err != nil {
		return nil, err
	}
	if r.Body == nil {
		return &form{values: url.Values{}}, nil
	}
	body, err := io.ReadAll(http.MaxBytesReader(plain(w), r.Body, maxBytes))
	if err != nil {
		if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
			return nil, tooLarge(maxBytes)
		}
		return nil, &fault.Error{
			Kind: fault.Invalid, Code: "invalid_request", Detail: "The body could not be read to its end.", Rule: "body_complete", Err: err,
		}
	}
	values, err := parse(string(body))
	if err != nil {
		return nil, err
	}
	return &form{values: values, size: int64(len(body))}, nil
}

// formType requires exactly one Content-Type, a form's, in UTF-8 if it says.
func formType(types []string) error {
	if len(types) == 1 {
		media, params, err := mime.ParseMediaType(types[0])
		charset, said := params["charset"]
		if err == nil && media == "application/x-www-form-urlencoded" && (len(params) == 0 || len(params) == 1 && said) &&
			(!said || strings.EqualFold(charset, "utf-8")) {
			return nil
		}
	}
	return invalid("form_content_type", "The body must be application/x-www-form-urlencoded.").
		With("content_type", printable(strings.Join(types, ", "), 128))
}

// unencoded refuses compressed bodies: a small one can be very large inside.
func unencoded(h http.Header) error {
	for _, e := range h["Content-Encoding"] {
		if !strings.EqualFold(e, "identity") {
			return invalid("no_content_encoding", "The body must not be compressed.")
		}
	}
	return nil
}

// parse is url.ParseQuery without its forgiveness: every pair must decode, to
// UTF-8 without NUL, and there are at most 64.
func parse(s string) (url.Values, error) {
	values := url.Values{}
	n := 0
	for pair := range strings.SplitSeq(s, "&") {
		if pair == "" {
			continue
		}
		if n++; n > maxParameters {
			return nil, invalid("parameter_count", "There are too many parameters.")
		}
		k, v, _ := strings.Cut(pair, "=")
		name, okName := decode(k)
		value, okValue := decode(v)
		if !okName || !okValue {
			return nil, invalid("parameter_encoding", "A parameter is not correctly encoded.").With("parameter", printable(k, 64))
		}
		values[name] = append(values[name], value)
	}
	return values, nil
}

func decode(s string) (string, bool) {
	if strings.IndexByte(s, ';') >= 0 {
		return "", false // some programs split here, others do not
	}
	s, err := url.QueryUnescape(s)
	return s, err == nil && utf8.ValidString(s) && strings.IndexByte(s, 0) < 0
}

// once refuses repeated parameters but the repeatable ones.
func once(values url.Values, repeatable []string) error {
	for name, all := range values {
		if len(all) > 1 && !slices.Contains(repeatable, name) {
			return invalid("no_repeated_parameters", "A parameter is repeated.").With("parameter", printable(name, 64))
		}
	}
	return nil
}

func invalid(rule, detail string) *fault.Error {
	return &fault.Error{Kind: fault.Invalid, Code: "invalid_request", Detail: detail, Rule: rule}
}

func tooLarge(limit int64) *fault.Error {
	f := &fault.Error{Kind: fault.TooLarge, Code: "invalid_request", Detail: "The body is too large.", Rule: "body_size"}
	return f.With("limit_bytes", strconv.FormatInt(limit, 10))
}
