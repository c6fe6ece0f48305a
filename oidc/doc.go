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
// A form posted from another site carries no SameSite=Lax cookie, so a POST that
// shows no session is turned into the GET of the same request, which does.
package oidc
