package web

import (
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
	"github.com/gatekeeper-oidc/gatekeeper/templates"
)

const (
	statusHungUp = 499 // nobody was left to answer; the log's and the metric's only
	realm        = `realm="gatekeeper"`
)

// An answer is an error on its way out.
type answer struct {
	status    int
	fault     *fault.Error
	reference string
}

// door answers what the handler could not. Nothing else in the program writes an
// error to a person or a program.
func (m *Mux) door(rt *route, next Handler) Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		err := next(w, r)
		if err == nil {
			return nil
		}
		reference, f := m.Refuse(r, err)
		rec := recordFrom(r.Context())
		if rec.w.status != 0 { // half an answer is out: cut it, lest it look whole
			panic(http.ErrAbortHandler)
		}
		a := answer{status: statusOf(err, f), fault: f, reference: reference}
		if rec.gone {
			rec.w.status = statusHungUp
			return nil
		}
		h := w.Header()
		h.Set("Cache-Control", "no-store")
		h.Del("ETag")
		if s := retryAfter(f); s != "" {
			h.Set("Retry-After", s)
		}
		m.write(w, r, rt, a)
		return nil
	}
}

// write puts a into the words of its audience.
func (m *Mux) write(w http.ResponseWriter, r *http.Request, rt *route, a answer) {
	switch rt.to {
	case people:
		m.problemPage(w, r, rt, a)
	case applications:
		if a.status == http.StatusUnauthorized { // always: RFC 9110 section 15.5.2; RFC 6749 section 5.2 after Basic
			w.Header().Set("WWW-Authenticate", "Basic "+realm)
		}
		m.oauthError(w, a)
	case bearers:
		challenge(w, r, a)
		m.oauthError(w, a)
	case operators:
		challenge(w, r, a)
		m.problem(w, r, a)
	default:
		if m.cfg.Pages != nil && strings.Contains(r.Header.Get("Accept"), "text/html") {
			m.problemPage(w, r, rt, a)
			return
		}
		m.problem(w, r, a)
	}
}

// retryAfter returns whole seconds, rounded up; a store that is down says two even
// if the rule did not.
func retryAfter(f *fault.Error) string {
	d := f.RetryAfter
	if d <= 0 {
		if f.Kind != fault.Unavailable {
			return ""
		}
		d = 2 * time.Second
	}
	return strconv.Itoa(int(math.Ceil(d.Seconds())))
}

// problemPage tells a person, in their language where there are words for it.
func (m *Mux) problemPage(w http.ResponseWriter, r *http.Request, rt *route, a answer) {
	p := templates.Problem{
		Locale: m.cfg.Pages.Locale(r.Header.Get("Accept-Language")), Status: a.status, Title: http.StatusText(a.status),
		Rule: a.fault.Rule, Detail: detail(a.fault), Reference: a.reference, Again: m.again(r, rt, a),
	}
	switch {
	case refused(a.fault.Kind): // the code is no secret, and the first thing an application's developer asks for
		p.Code = a.fault.Code
	case a.fault.Kind == fault.NotFound:
		p.Reference = "" // nobody keeps what was not there
	case a.fault.Kind == fault.Internal:
		p.Rule = "internal"
	}
	if m.cfg.Dev && a.fault.Kind != fault.Internal {
		p.Facts = append(p.Facts, templates.Fact{Name: "rule", Value: a.fault.Rule})
		for _, f := range a.fault.Facts {
			p.Facts = append(p.Facts, templates.Fact(f))
		}
	}
	err := m.Render(w, a.status, p)
	if err == nil {
		return
	}
	m.logFailure(r, err)
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(a.status)
	_, _ = w.Write([]byte(p.Title + "\n" + p.Detail + "\nReference: " + a.reference + "\n")) // the page failed; there is no second fallback
}

// again is the page to try once more, "" where that helps nobody: a form that is no
// longer valid, too many tries, or a failure of ours.
func (m *Mux) again(r *http.Request, rt *route, a answer) string {
	rec := recordFrom(r.Context())
	if rt.to != people || rt.pattern == "" || rec == nil {
		return ""
	}
	switch {
	case a.fault.Code == "form_expired", a.fault.Code == "cross_site_request":
		if ep := m.endpoints[rt.pattern]; ep == nil || ep.methods[http.MethodGet] == nil {
			return ""
		}
		to := url.URL{Path: r.URL.Path}
		if rec.form != nil {
			if id := rec.form.values.Get("i"); id != "" {
				to.RawQuery = url.Values{"i": {id}}.Encode()
			}
		}
		return to.String()
	case r.Method == http.MethodGet && (a.status == http.StatusTooManyRequests || a.status >= http.StatusInternalServerError):
		return r.URL.RequestURI()
	default:
		return ""
	}
}

// oauthError is RFC 6749 section 5.2.
func (m *Mux) oauthError(w http.ResponseWriter, a answer) {
	_ = JSON(w, a.status, struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}{oauthCode(a.fault), Description(detail(a.fault)) + " (ref " + a.reference + ")"}) // a struct of strings always encodes
}

// problem is RFC 9457; the type is about:blank, so the title is the status's own
// phrase (section 4.2.1) and code is what programs decide on.
func (m *Mux) problem(w http.ResponseWriter, r *http.Request, a answer) {
	_ = writeJSON(w, a.status, "application/problem+json", struct {
		Type          string `json:"type"`
		Title         string `json:"title"`
		Status        int    `json:"status"`
		Detail        string `json:"detail"`
		Code          string `json:"code"`
		Reference     string `json:"reference"`
		CorrelationID string `json:"correlation_id"`
	}{
		"about:blank", http.StatusText(a.status), a.status, detail(a.fault), a.fault.Code, a.reference,
		InfoFrom(r.Context()).CorrelationID,
	}) // a struct of strings always encodes
}

// challenge is RFC 6750 section 3. A request without any token gets no error code
// (section 3.1): it did not do anything wrong yet.
func challenge(w http.ResponseWriter, r *http.Request, a answer) {
	if a.status != http.StatusUnauthorized && a.status != http.StatusForbidden && a.status != http.StatusBadRequest {
		return
	}
	c := "Bearer " + realm
	if a.status != http.StatusUnauthorized || presented(r) {
		c += `, error="` + Description(oauthCode(a.fault)) + `", error_description="` + Description(detail(a.fault)) + `"`
	}
	w.Header().Set("WWW-Authenticate", c)
}

// presented reports whether the request brought a token at all: without one the
// challenge says only which scheme to use (RFC 6750 section 3.1).
func presented(r *http.Request) bool {
	if r.Header.Get("Authorization") != "" {
		return true
	}
	rec := recordFrom(r.Context())
	return rec != nil && rec.form != nil && rec.form.values.Get("access_token") != ""
}

// oauthCode returns the error code applications know for f.
func oauthCode(f *fault.Error) string {
	switch f.Kind {
	case fault.Internal:
		return "server_error"
	case fault.Unavailable:
		return "temporarily_unavailable"
	case fault.TooLarge, fault.NotFound:
		return "invalid_request"
	default:
		return f.Code
	}
}

// detail returns the sentence people read.
func detail(f *fault.Error) string {
	switch {
	case f.Kind == fault.Internal:
		return "Something went wrong on our side. Try again; if it happens again, tell the operator the reference."
	case f.Detail != "":
		return f.Detail
	default:
		return "The request was refused: " + f.Code + "."
	}
}

// Description returns s in the characters RFC 6749 section 5.2 allows in an
// error_description (%x20-21 / %x23-5B / %x5D-7E), at most 512 of them: a double
// quote becomes a single one, a backslash a slash, white space a space, and
// anything else a question mark.
func Description(s string) string {
	out := make([]byte, 0, min(len(s), 512))
	for _, c := range s {
		if len(out) == 512 {
			break
		}
		switch {
		case c == '"':
			c = '\''
		case c == '\\':
			c = '/'
		case c == '\n' || c == '\r' || c == '\t':
			c = ' '
		case c < ' ' || c > '~':
			c = '?'
		}
		out = append(out, byte(c))
	}
	return string(out)
}
