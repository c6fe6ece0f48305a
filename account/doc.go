// Package account is what a signed-in person may see and change about themselves:
// their profile, where they are signed in, which applications they let in, and
// their password.
//
//	GET /account ──▶ the page          POST /account/sessions/end ─┐
//	     ▲                             POST /account/apps/revoke  ─┤
//	     │                             POST /account/password     ─┤
//	     └──────────── 303 /account?done=… ◀──────────────────────┘
//
// Its rules:
//
//   - Who acts is the session in the context, never a field of a form: what a form
//     names is looked for among the person's own things.
//   - A new password needs the current one, under the limits of signing in, and signs
//     every other browser out.
//   - Every change is a rule of identity or consent, which writes its event.
package account
