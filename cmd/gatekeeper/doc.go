// Command gatekeeper is an OpenID Connect provider: the server, and the commands
// of those who run it.
//
// A command is a noun and a verb. It speaks to the admin API, which is either
// the service itself on the store, server up or down, or a client of a running
// server:
//
//	args, environment, files ──► world ──► app ──► command ──► admin.API ─┬─► admin.Service ─► store
//	                                        │                             └─► admin.Client ──► a server's /admin/v1
//	                                        └──► view ──► table | json | yaml | name
//
// Data goes to standard output, words go to standard error, and the exit status
// says what happened:
//
//	0 done · 1 failed · 2 usage · 3 not found · 4 exists or conflicts · 5 not allowed
//	6 unreachable · 10 diff found differences · 78 bad configuration
//
// This is the only package that touches the world: clock, environment, files,
// exit. Everything is built once, in wire.go, by hand, from top to bottom.
package main
