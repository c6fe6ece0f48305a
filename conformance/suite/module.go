package suite

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// A Module is one promise of a provider and how it is put to the test.
type Module struct {
	Name    string // unique within a profile
	Summary string // what must hold, as a sentence
	Spec    string // where it is said: "OpenID Connect Core 3.1.2.1"
	// For says for which variants of a profile the module is meant; nil means all.
	For func(v Variant) bool
	Run func(ctx context.Context, c *Case) error
}

// A Profile is a list of modules, to be run once for each of its variants.
type Profile struct {
	Name, Title string
	Variants    []Variant
	Modules     []Module
	// Fresh makes every module register an application of its own that authenticates
	// in this way; "" lets it use one that is registered beforehand.
	Fresh string
	// Offered says why the provider does not offer the profile, "" when it does.
	// Nil means that every provider does.
	Offered func(m *Metadata) string
}

// A Variant is how the authorization requests of a profile ask for their answer.
type Variant struct {
	ResponseType string `json:"response_type,omitempty"` // "" where a profile asks for none
	ResponseMode string `json:"response_mode,omitempty"` // "" is the default of the response type
}

// String names v as a person would: "code id_token, form_post".
func (v Variant) String() string {
	return strings.Join(slices.DeleteFunc([]string{v.ResponseType, v.ResponseMode}, func(s string) bool { return s == "" }), ", ")
}

// Code reports whether the answer carries a code.
func (v Variant) Code() bool { return v.has("code") }

// IDToken reports whether the answer itself carries an ID token.
func (v Variant) IDToken() bool { return v.has("id_token") }

// Token reports whether the answer itself carries an access token.
func (v Variant) Token() bool { return v.has("token") }

// Access reports whether the application ends up with an access token.
func (v Variant) Access() bool { return v.Code() || v.Token() }

// PureCode reports whether the answer carries a code and nothing else.
func (v Variant) PureCode() bool { return v.ResponseType == "code" }

func (v Variant) has(word string) bool { return slices.Contains(strings.Fields(v.ResponseType), word) }

// mode is how the answer travels: query, fragment or form_post (OAuth 2.0 Multiple
// Response Types 5, Form Post 2).
func (v Variant) mode() string {
	switch {
	case v.ResponseMode != "":
		return v.ResponseMode
	case v.IDToken() || v.Token():
		return "fragment"
	default:
		return "query"
	}
}

// offered says why m does not offer v, "" if it does.
func (v Variant) offered(m *Metadata) string {
	if v.ResponseType != "" && !slices.ContainsFunc(m.ResponseTypes, func(known string) bool { return sameWords(known, v.ResponseType) }) {
		return "the response type " + v.ResponseType + " is not advertised"
	}
	if v.ResponseMode != "" && !slices.Contains(m.ResponseModes, v.ResponseMode) {
		return "the response mode " + v.ResponseMode + " is not advertised"
	}
	return ""
}

// modulesFor returns the modules of p that are meant for v.
func (p *Profile) modulesFor(v Variant) []Module {
	return slices.DeleteFunc(slices.Clone(p.Modules), func(m Module) bool { return m.For != nil && !m.For(v) })
}

func sameWords(a, b string) bool {
	return slices.Equal(slices.Sorted(slices.Values(strings.Fields(a))), slices.Sorted(slices.Values(strings.Fields(b))))
}

// A Failure is a promise that was not kept.
type Failure struct {
	Reason string
	Spec   string // "" means that of the module
}

// Error is the reason.
func (f *Failure) Error() string { return f.Reason }

// Failf says what is wrong, of what the module's own Spec promises.
func Failf(format string, args ...any) error { return &Failure{Reason: fmt.Sprintf(format, args...)} }

// Brokef says what is wrong, of what spec promises.
func Brokef(spec, format string, args ...any) error {
	return &Failure{Reason: fmt.Sprintf(format, args...), Spec: spec}
}

// A skip is why a module says nothing about this provider.
type skip struct{ reason string }

func (s *skip) Error() string { return s.reason }

// Skipf says that the provider does not offer what the module is about, or that
// the run lacks what the module needs.
func Skipf(format string, args ...any) error { return &skip{fmt.Sprintf(format, args...)} }

// A check is one rule about something received: wrong says what is wrong with v,
// or "".
type check[T any] struct {
	spec  string
	wrong func(v T) string
}

// walk holds v to every check and returns all that is wrong.
func walk[T any](checks []check[T], v T) error {
	var all []error
	for _, c := range checks {
		if why := c.wrong(v); why != "" {
			all = append(all, Brokef(c.spec, "%s", why))
		}
	}
	return errors.Join(all...)
}

// reasonsOf takes apart what a module returned.
func reasonsOf(err error) []Reason {
	if err == nil {
		return nil
	}
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		var all []Reason
		for _, e := range many.Unwrap() {
			all = append(all, reasonsOf(e)...)
		}
		return all
	}
	text := strings.ReplaceAll(err.Error(), "\n", "; ")
	var f *Failure
	if errors.As(err, &f) {
		return []Reason{{Text: text, Spec: f.Spec}}
	}
	return []Reason{{Text: text}}
}
