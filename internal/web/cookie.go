package web

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"strings"
	"time"

	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
)

// The transaction cookie tells one browser from another before anybody signed in. Its
// first half stays while somebody is on their way and ends at sign-out; its second
// half, which forms are bound to as well, ends at every sign-in too.
const (
	txCookie = "gk_tx"
	fxCookie = "gk_fx" // its forms half, once somebody has signed in: the release before knows the other alone
	txLength = 43      // of a half: 32 random bytes in base64url
)

// SetCookie sets the cookie called name for the whole session of the browser:
// HttpOnly, SameSite=Lax, and __Host- and Secure when the issuer is https. An issuer
// with a path has cookies of its own name that go to that path alone: what else lives
// on its host neither gets nor replaces them.
func (m *Mux) SetCookie(w http.ResponseWriter, name, value string) {
	m.setCookie(w, name, value, 0)
}

// Cookie returns the value of the cookie called name, "" if there is none or more
// than one: a second one was planted by a neighbour, and which came first says
// nothing.
func (m *Mux) Cookie(r *http.Request, name string) string {
	cookies := r.CookiesNamed(m.cookieName(name))
	if len(cookies) != 1 {
		return ""
	}
	return cookies[0].Value
}

// DropCookie removes the cookie called name.
func (m *Mux) DropCookie(w http.ResponseWriter, name string) {
	m.setCookie(w, name, "", -1)
}

func (m *Mux) setCookie(w http.ResponseWriter, name, value string, maxAge int) {
	http.SetCookie(w, &http.Cookie{ //nolint:gosec // Secure but on the http loopback issuer, where browsers drop it
		Name: m.cookieName(name), Value: value, Path: m.cookiePath(), MaxAge: maxAge,
		HttpOnly: true, Secure: m.https, SameSite: http.SameSiteLaxMode,
	})
}

// cookieName is plain on the http loopback issuer only: browsers refuse __Host-
// without Secure, and some refuse Secure there. __Host- wants the path /, so below a
// path it is __Secure-, and the name tells one path from another: of two that fit, a
// browser sends both.
func (m *Mux) cookieName(name string) string {
	if m.prefix != "" {
		sum := sha256.Sum256([]byte(m.prefix))
		name += "-" + hex.EncodeToString(sum[:4])
	}
	switch {
	case !m.https:
		return name
	case m.prefix != "":
		return "__Secure-" + name
	default:
		return "__Host-" + name
	}
}

func (m *Mux) cookiePath() string {
	if m.prefix == "" {
		return "/"
	}
	return m.prefix
}

// SetLastingCookie is SetCookie for one the browser keeps when it is closed.
func (m *Mux) SetLastingCookie(w http.ResponseWriter, name, value string, keep time.Duration) {
	m.setCookie(w, name, value, int(keep/time.Second))
}

// RenewForms makes the forms this browser has open worthless, but for the requests
// it is in the middle of: somebody has signed in, and the forms may be another's.
func (m *Mux) RenewForms(w http.ResponseWriter, r *http.Request) {
	browser, _, _ := strings.Cut(m.transaction(w, r), ".")
	m.setTransaction(w, r, browser, random())
}

// ForgetBrowser makes the forms and the requests this browser has open worthless:
// somebody has signed out, and who comes next may be another.
func (m *Mux) ForgetBrowser(w http.ResponseWriter, r *http.Request) {
	m.setTransaction(w, r, random(), random())
}

// Attempt tells one filled-in form of a browser from the next: it stays the same
// however often the form is sent, and changes with RenewForms.
func (m *Mux) Attempt(r *http.Request) []byte {
	mac := hmac.New(sha256.New, m.cfg.FormKey[:])
	mac.Write([]byte("attempt\x00" + m.sentTransaction(r)))
	return mac.Sum(nil)
}

// transaction returns the browser's transaction cookie, a new one if it has none.
func (m *Mux) transaction(w http.ResponseWriter, r *http.Request) string {
	rec := recordFrom(r.Context())
	if rec != nil && rec.tx != "" {
		return rec.tx
	}
	if tx := m.sentTransaction(r); wellFormed(tx) {
		return tx
	}
	return m.setTransaction(w, r, random(), "")
}

// sentTransaction is what the browser sent: its half, and that of its forms if there
// is one.
func (m *Mux) sentTransaction(r *http.Request) string {
	browser, forms := m.Cookie(r, txCookie), m.Cookie(r, fxCookie)
	if forms == "" {
		return browser
	}
	return browser + "." + forms
}

func (m *Mux) setTransaction(w http.ResponseWriter, r *http.Request, browser, forms string) string {
	tx := browser
	if m.Cookie(r, txCookie) != browser {
		m.SetCookie(w, txCookie, browser)
	}
	if forms != "" {
		m.SetCookie(w, fxCookie, forms)
		tx += "." + forms
	}
	if rec := recordFrom(r.Context()); rec != nil {
		rec.tx = tx
	}
	return tx
}

func random() string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// wellFormed reports whether tx is two halves of our making. One of an earlier
// release is the first half alone.
func wellFormed(tx string) bool {
	browser, forms, two := strings.Cut(tx, ".")
	return wellFormedHalf(browser) && (!two || wellFormedHalf(forms))
}

func wellFormedHalf(s string) bool {
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	return err == nil && len(s) == txLength && len(b) == sha256.Size
}

// FormToken returns the token a form of this browser must carry in its input
// "csrf". It sets the transaction cookie if the browser has none.
func (m *Mux) FormToken(w http.ResponseWriter, r *http.Request) string {
	return base64.RawURLEncoding.EncodeToString(m.tokenOf(m.transaction(w, r)))
}

// Binding returns the SHA-256 of the half of the browser's transaction cookie that
// stays until somebody signs out, and sets the cookie if the browser has none.
func (m *Mux) Binding(w http.ResponseWriter, r *http.Request) []byte {
	browser, _, _ := strings.Cut(m.transaction(w, r), ".")
	sum := sha256.Sum256([]byte(browser))
	return sum[:]
}

func (m *Mux) tokenOf(tx string) []byte {
	mac := hmac.New(sha256.New, m.cfg.FormKey[:])
	mac.Write([]byte("form token\x00" + tx))
	return mac.Sum(nil)
}

// formToken refuses an unsafe request whose form does not carry the token of the
// browser that sends it: the second wall behind sameOrigin, and the one that
// stands in browsers which do not say where a request comes from.
func (m *Mux) formToken(_ *route, next Handler) Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		switch r.Method {
		case http.MethodGet, http.MethodHead, http.MethodOptions:
			return next(w, r)
		}
		values, err := Form(w, r, MaxForm)
		if err != nil {
			return err
		}
		tx := m.sentTransaction(r)
		token, err := base64.RawURLEncoding.DecodeString(values.Get("csrf"))
		if err != nil || !wellFormed(tx) || !hmac.Equal(token, m.tokenOf(tx)) {
			return &fault.Error{
				Kind: fault.Forbidden, Code: "form_expired", Rule: "form_token",
				Detail: "This form is no longer valid, or cookies are off. Go back, reload the page and try again.",
				Facts:  []fault.Fact{{Name: "cookie", Value: found(wellFormed(tx))}, {Name: "token", Value: found(len(token) > 0)}},
			}
		}
		return next(w, r)
	}
}

func found(ok bool) string {
	if ok {
		return "present"
	}
	return "missing"
}
