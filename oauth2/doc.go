// Package oauth2 is the authorization server: /oauth2/authorize, /oauth2/par,
// /oauth2/token, /oauth2/device_authorization and /oauth2/revoke. It is the only
// package that imports fosite.
//
// # An authorization request
//
//	GET /oauth2/authorize
//	  begin     tables of checks: identified and certain (a page if one fails), in
//	            between unfolded, where a request object takes the place of the
//	            parameters, then sound (the application is told); what comes out
//	            need not be doubted again
//	  advance   for each Step: is the person still needed? → 303 to it, and back
//	  finish    complete: let fosite authorize, seal the code, mint what passes
//	            through the browser; settle: spend what was spent → 303
//
// A pushed request (RFC 9126) walks the same tables and is sealed into its own
// request_uri; a device's walks those that apply.
//
// With a live session and nothing to ask, nothing is written: an interaction is
// stored only when a request has to wait for its person, and a code is a sealed
// grant request that carries itself. Only tokens that pass through the browser
// have a grant written for them, and only a pushed request is marked as spent.
//
// # A token request
//
//	POST /oauth2/token
//	  AuthenticateClient   exactly one method, the registered one
//	  grantRouter          one chain per grant:
//	    authorization_code   code → pkce → standing → openid → redeem
//	    refresh_token        refresh → narrow → openid → rotate
//	    client_credentials   scopes and audience → client credentials
//	    device_code          poll → standing → issue → redeem
//	    token-exchange       checks of both tokens → issue → record
//	    jwt-bearer           checks of the assertion → issue → spend
//
// The handlers named code, pkce, openid, refresh and client credentials are
// fosite's. They decide; our strategies make the tokens; the adapter (fosite's
// store) reads what they ask for and writes nothing. The last link of a chain
// writes it all in one statement, after everything that can fail has succeeded,
// so that a store that does not answer costs nobody a code or a refresh token.
//
// # A grant and its tokens
//
//	code gk_ac_ ──redeem──▶ grant ──owns──▶ access tokens (not stored)
//	                          └──owns──▶ refresh token, generation 1 ─rotate─▶ 2 ─▶ 3 …
//	                                       └─ again within the grace: the same successor
//	                                       └─ again after it: the grant is revoked
//
// Inspect is the one liveness rule; introspection, userinfo, revocation and the
// admin API all ask it.
package oauth2
