package admin

import (
	"errors"
	"io"
	"mime"
	"net/http"

	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
	"github.com/gatekeeper-oidc/gatekeeper/internal/strictjson"
)

// maxBody bounds a request body.
const maxBody = 1 << 20

// decode reads one JSON value as the type says it, and in no other way: a typing
// error is not silently a default, and null is no value.
func decode(w http.ResponseWriter, r *http.Request, into any) error {
	body, err := read(w, r)
	if err != nil {
		return err
	}
	if err := isJSON(r); err != nil {
		return err
	}
	return strict(body, into)
}

// nothing holds a request whose route reads no body to having none: a selection
// sent there, such as the ids of sessions, would be read by nobody. An empty object
// says nothing, and some programs always send one.
func nothing(w http.ResponseWriter, r *http.Request) error {
	body, err := read(w, r)
	if err != nil || len(body) == 0 {
		return err
	}
	if err := isJSON(r); err != nil {
		return err
	}
	return strict(body, new(struct{}))
}

func read(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if errors.As(err, new(*http.MaxBytesError)) {
		return nil, &fault.Error{Kind: fault.TooLarge, Code: "body_too_large", Rule: "body_size", Detail: "A body may have 1 MiB at most."}
	}
	if err != nil {
		return nil, &fault.Error{Kind: fault.Invalid, Code: "invalid_request", Rule: "body_read", Detail: "The body ended too early.", Err: err}
	}
	return body, nil
}

// isJSON holds a body to saying that it is JSON, once (RFC 9110 section 15.5.16).
func isJSON(r *http.Request) error {
	types := r.Header["Content-Type"]
	if len(types) == 1 {
		if mt, _, err := mime.ParseMediaType(types[0]); err == nil && mt == "application/json" {
			return nil
		}
	}
	return &fault.Error{
		Kind: fault.Unsupported, Code: "unsupported_media_type", Rule: "body_is_json", Detail: "Send the body as application/json.",
	}
}

// strict says in words what is wrong with a body, and nothing of its values.
func strict(body []byte, into any) error {
	err := strictjson.Decode(body, into)
	if err == nil {
		return nil
	}
	f := &fault.Error{Kind: fault.Invalid, Code: "invalid_request", Rule: "body_json", Detail: "The body is not one well-formed JSON value.", Err: err}
	if e, ok := errors.AsType[*strictjson.Error](err); ok && e.Problem != strictjson.Malformed {
		f.Detail = e.Error()
	}
	return f
}
