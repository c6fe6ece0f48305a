// Package suite holds a running OpenID provider to the specifications, from
// outside: as an application that sends requests and reads answers, and as a
// person's browser without JavaScript that fills in forms. It knows nothing of the
// program behind the issuer.
//
//	Target ──► Runner ──► Profile ──► Variant ──► Module.Run(Case)
//	issuer,    a few at   basic,      code,       one promise of one
//	clients,   a time     hybrid …    form_post   specification
//	a person                                │
//	                       Report ◄── Result: passed, warned, failed, skipped
//
// A module is a small function that returns an error: a Failure says which promise
// is broken and where it is made, Skipf that the provider does not offer what the
// module is about. Everything a module sends or reads goes through its Case, whose
// checks (of answers, tokens, ID tokens, claims, errors) are tables that every
// module passes through. The names of modules are those of the OpenID Foundation's
// suite where that has one.
//
// No token, code, secret or password is ever part of a reason or a report.
package suite
