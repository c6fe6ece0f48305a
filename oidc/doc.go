// Package oidc adds identity to OAuth 2: it says what the server can do
// (discovery), which keys it signs with (JWKS), who a token's person is
// (userinfo), and signs people out when an application asks.
//
// Discovery is a document made once, when the Handler is; the key set is read
// from the ring's memory. Neither ever waits for a store.
//
// Sign-out (OpenID Connect RP-Initiated Logout 1.0) ends only the session the
// browser itself proves with its cookie; the hint only decides whether the
// person must be asked first, and which application may have them back:
//
//	GET|POST /oidc/logout ── hint forged, client unknown, URI not registered ──► error page, nothing ends
//	     │
//	     ├─ nobody signed in ───────────────────────────────────────────────┐
//	     ├─ hint of this session or this person ──► End ────────────────────┤
//	     └─ otherwise ──► page: sign out? ── POST /oidc/logout/confirm ──► End
//	                                                                        │
//	       registered URI + state ◄── 303 ──────────────────────────────────┤
//	       /oidc/logout/done      ◄── 303, no URI ──────────────────────────┘
//
// Applications register themselves with a Registrar, where the operator lets them
// (RFC 7591), and manage what they registered (RFC 7592). The table members says
// which member of a registration is what of an oauth2.Client, and by what is not
// in it, what an application cannot say of itself:
//
//	POST /oidc/register ── closed? too many? token? ──► members, a statement's over plain ones
//	                                                        │
//	   client, registration, event ◄── one transaction ◄── rules, oauth2.CheckClient, sector document
//	        │                          (spends the token)
//	        └── GET PUT DELETE /oidc/register/ID with its own token ── unused for long ──► Expire
//
// Logos shows what such an application looks like, without a browser asking it.
//
// A form posted from another site carries no SameSite=Lax cookie, so a POST that
// shows no session is turned into the GET of the same request, which does.
package oidc
