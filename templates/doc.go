// Package templates is one struct in, one HTML document out: every page a person
// sees, its style and its words. It knows no handler and no request.
//
//	Login{…} ──▶ Set.Render ──▶ page/login.html in page/layout.html ──▶ bytes
//	                 │                     └─ words of locale/de.json
//	                 └─ by the Locale of the page, which Set.Locale chose
//
// Its rules:
//
//   - A page works without script, without colour and at 320 CSS pixels. Script only
//     adds: it shows a password, submits a form_post answer, and tells times in the
//     reader's zone.
//   - Nothing in a page is inline and nothing comes from elsewhere: one style sheet,
//     two scripts and one icon, under names that carry the hash of their content, so
//     the strictest Content-Security-Policy holds and caches may keep them for ever.
//   - What others chose (names of applications and people) is escaped by
//     html/template, stripped of characters that turn the direction of text, and
//     isolated in <bdi>.
//   - Ids of controls are a contract with those who drive our pages: login, password,
//     submit, code, consent-accept, consent-deny, logout-confirm, logout-cancel,
//     continue.
//   - Every language has every key of English; a test holds them together. A
//     new language is one file in locale/.
package templates
