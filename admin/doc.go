// Package admin is the API of those who run the server; the CLI is its first
// client.
//
// There is one contract, API, and two ways to keep it: Service does the work on
// the store, Client asks a running server to. The CLI does not know which it has.
//
//	gatekeeper client create ──► API ─┬─ Service ─► identity, oauth2, consent, keys, audit ─► store
//	                                  └─ Client ──► HTTP ──► Handler ──► Service
//
// Handler is one table of routes: method, path, the scopes any one of which opens
// it, what goes in and what comes out. The table is mounted, checked and
// documented (OpenAPI at /admin/v1/openapi.json) from the same rows, so a route
// without a scope or a document does not exist.
//
// # Who may do what
//
// The context says who acts (NewContext); every change is recorded in its own
// transaction with that actor. The operator at the command line, and a token with
// the scope admin, may do everything. A token with a narrower scope, such as
// admin:users, may not use it to become more: it cannot touch people who hold the
// role admin or hand that role out, nor applications that may have admin scopes
// it lacks.
package admin
