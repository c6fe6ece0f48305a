// Package fault is the one kind of error that may leave the program. Its Kind
// decides the HTTP status; its Code is a promise to machines; its Detail is for
// people; its Rule and Facts are the decision trace an operator can ask for
// later; its cause is for the log alone.
package fault

import (
	"errors"
	"time"
)

// A Kind classes an error by what the caller may do about it.
type Kind int

// The kinds, each with one HTTP status (see package web) and one CLI exit code.
const (
	Internal Kind = iota
	Invalid
	Unauthenticated
	Forbidden
	NotFound
	Conflict
	TooMany
	TooLarge
	Unavailable
	Unsupported // a body in a form that is not read
	Stale       // what was to be changed has changed since the caller looked
)

// A Fact is one thing the deciding rule looked at: what was received, what was
// registered. A Fact never holds a secret, a token or a password.
type Fact struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Error is an error a person or a program outside may read.
type Error struct {
	Kind       Kind
	Code       string        // stable: "invalid_grant", "account_locked"
	Detail     string        // one sentence for people; never holds a secret
	Rule       string        // the check that decided: "redirect_uri_registered"
	Facts      []Fact        // what the rule looked at
	RetryAfter time.Duration // for TooMany and Unavailable; zero means unknown
	Err        error         // the cause: logged, never shown
}

// Error reads code, detail and cause: for the log, not for people outside.
func (e *Error) Error() string {
	s := e.Code
	if e.Detail != "" {
		s += ": " + e.Detail
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// With returns a copy of e with one more fact.
func (e *Error) With(name, value string) *Error {
	c := *e
	c.Facts = append(append([]Fact(nil), e.Facts...), Fact{name, value})
	return &c
}

// Of returns err as an Error; one that is not is Internal.
func Of(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return &Error{Kind: Internal, Code: "internal", Err: err}
}

// Is reports whether err is an Error of kind k.
func Is(err error, k Kind) bool {
	var e *Error
	return errors.As(err, &e) && e.Kind == k
}

// Missing returns the NotFound error for a thing a person named, such as
// Missing("client", "shop").
func Missing(noun, name string) *Error {
	return &Error{Kind: NotFound, Code: noun + "_not_found", Detail: "There is no " + noun + " " + name + "."}
}

// Down returns the Unavailable error for a store, queue or peer that did not
// answer: the caller may try again, and nothing was consumed.
func Down(what string, err error) *Error {
	return &Error{
		Kind: Unavailable, Code: "temporarily_unavailable", Detail: "The service cannot answer right now; try again shortly.",
		Rule: what + "_available", RetryAfter: 2 * time.Second, Err: err,
	}
}
