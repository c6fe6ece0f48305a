// Package web is the one road every HTTP request takes, and the one door errors
// leave by.
//
// A feature mounts a [Handler] for an audience: [Mux.Page] for people, [Mux.OAuth]
// for applications, [Mux.Resource] for bearers of an access token, [Mux.API] for
// the operator's programs, [Mux.Static] for files, [Mux.Probe] for watchdogs. The audience
// decides which checks stand in the way and in which words an error is answered;
// the handler knows neither. It returns an error, and the door does the rest.
//
//	correlate ─ address ─ route ┐                           one per request, before any check
//	┌───────────────────────────┘
//	│ span         only if tracing is configured
//	│ headers      the browser's instructions, on every answer, refused ones too
//	│ gate         who works now, who waits a moment, who is sent away with 503; a file's is a count
//	│ door         the only writer of errors: page, problem, OAuth or bearer
//	│ recover      a panic is an Internal error with a stack in the log
//	│ host         a Host that is not ours is 421: nothing is built from it anyway
//	│ scheme       an https issuer never answers over plain http; a proxy that hides it is told
//	│ budget       how long the handler may take: 5 s, pages 10 s
//	│ cors         which browser origins may read the answer; never a page's
//	│ limits       query and body sizes; no content encodings
//	│ origin       pages: an unsafe request comes from our own pages
//	│ session      pages: who is signed in
//	│ form token   pages: an unsafe request carries the token of this browser
//	└ handler ──── error? ── door ── one log line, one metric
//
// A flood is told, not written down: who is sent away at the gate costs no line and
// no reference, and of refusals of one rule, on one route, from one network, the
// first few of a minute are written one by one and the rest as a total ([Mux.Run]).
//
// A pattern is a method and a path: "GET /users/{id}", "GET /assets/*"; r.PathValue
// reads a parameter. GET answers HEAD too. Without a method a pattern answers GET,
// HEAD and POST, a file's or probe's GET and HEAD. Mounting one twice panics.
//
// Requests carry a record of themselves in their context: [InfoFrom] reads what
// the road learnt, [Note] adds to the one log line. The record is not pooled,
// because a context may outlive its request.
//
// # Rules
//
// The person's address is taken from X-Forwarded-For and the scheme from
// X-Forwarded-Proto, both only when the socket's peer is a trusted proxy; RFC 7239
// Forwarded is ignored, because a proxy that sets one header and passes the other
// would let anybody choose their address. No URL is ever built from a request.
//
// Content-Security-Policy has no form-action on pages by default: Chromium applies
// it to the redirect that follows a form, so 'self' would block the way back to
// the application. Pages outside an authorization request say [OwnForms].
//
// Everything refused gets a reference such as 7KQ2-M9XT, shown to the person or
// program and kept with the decision trace.
package web
