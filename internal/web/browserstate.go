package web

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
)

// stateCookie is in the name assets/session.js looks for. With the browser state in
// it, our own frame in an application's page can tell whether the session is still
// the one the application knows (OpenID Connect Session Management 1.0 section 3).
const stateCookie = "gk_bs"

// BrowserState returns the state of a browser in which session is signed in, "" is
// nobody, and sets its cookie if the browser has another. It changes with the
// session and says nothing about it to whoever reads it.
//
// Scripts of this origin read the cookie, and frames in other sites have it: it is
// not HttpOnly, and SameSite=None where the issuer is https. Browsers want Secure
// with that, which the http loopback issuer cannot have; there it goes to the
// sites of the same computer, which is where a developer's application is.
func (m *Mux) BrowserState(w http.ResponseWriter, r *http.Request, session string) string {
	mac := hmac.New(sha256.New, m.cfg.FormKey[:])
	mac.Write([]byte("browser state\x00" + session))
	state := base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:16])
	if m.Cookie(r, stateCookie) == state {
		return state
	}
	c := &http.Cookie{Name: m.cookieName(stateCookie), Value: state, Path: m.cookiePath(), Secure: m.https, SameSite: http.SameSiteLaxMode} //nolint:gosec // a script must read it
	if m.https {
		c.SameSite = http.SameSiteNoneMode
	}
	http.SetCookie(w, c)
	return state
}
