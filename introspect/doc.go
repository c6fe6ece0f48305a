// Package introspect says what a token is good for (RFC 7662).
//
// The Inspector decides; transports only carry its answer. Its rule is short:
// whatever is not positively alive, or not this caller's to know, is inactive,
// and an inactive answer says nothing else. "Cannot tell" is neither: a store
// that does not answer is 503, never active and never inactive.
//
//	POST /oauth2/introspect ──► Handler ── AuthenticateClient ──► caller
//	                               └─► Inspector.Inspect(caller, token)
//	                                      ├─ Provider.Inspect   alive?        the one liveness rule
//	                                      ├─ entitled           this caller's to know?
//	                                      └─ Answer             what it says
package introspect
