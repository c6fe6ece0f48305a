// Package login is the door: it proves who someone is, and nothing more. It holds
// the pages for signing in, choosing an account, making one, and the first
// administrator's, and the steps that say when a person must visit them.
//
//	/oauth2/authorize ─ PasswordStep.Needed? ─▶ /login?i=  ─ Authenticate ─ Begin ─ Advance ─┐
//	        ▲         ─ SelectStep.Needed?   ─▶ /login/select?i= ─ Advance ──────────────────┤
//	        └───────────────────────── 303 oauth2.ResumeURL ◀────────────────────────────────┘
//
//	/login (nobody asked) ─▶ /account          /signup ─▶ /login          /setup/TOKEN ─▶ /account
//
// Its rules:
//
//   - A step decides from what is stored: the session, and the interaction's Selected
//     and Authenticated, which name the session that was chosen and the one that
//     signed in within it. A person who has just signed in is never asked twice, and
//     one who signed in a moment before the request is still asked when it says
//     prompt=login. Another session begins anew: it inherits no answer.
//   - A page belongs to the browser that began the interaction (its binding), so
//     nobody can make another browser finish a sign-in they began.
//   - Signing in always changes the cookie's value: a planted one is worth nothing
//     afterwards.
//   - An unknown person and a wrong password get the same status, the same words and
//     the same time; a sign-up says the same whether or not the address was new.
//   - What a person typed wrongly comes back as 422 with the form. It is not 401,
//     which would have to name a scheme in WWW-Authenticate (RFC 9110 section 15.5.2)
//     and make browsers ask with a window of their own; and not 200, which tells
//     password managers that the password was right.
//   - A dead cookie is left in place. Taking it away could take the next one away
//     with it: the answer to a slow request of another tab may arrive after the
//     person has signed in anew.
package login
