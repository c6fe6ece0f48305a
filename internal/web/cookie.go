package web

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"net/http"

	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
)

// The transaction cookie tells one browser from another before anybody signed in.
const (
	txCookie = "gk_tx"
	txLength = 43 // 32 random bytes in base64url
)

// SetCookie sets the cookie called name for the whole session of the browser:
// HttpOnly, SameSite=Lax, and __Host- and Secure when the issuer is https.
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
		Name: m.cookieName(name), Value: value, Path: "/", MaxAge: maxAge,
		HttpOnly: true, Secure: m.https, SameSite: http.SameSiteLaxMode,
	})
}

// cookieName is plain on the http loopback issuer only: browsers refuse __Host-
// without Secure, and some refuse Secure there.
func (m *Mux) cookieName(name string) string {
	if m.https {
		return "__Host-" + name
	}
	return name
}

// transaction returns the browser's transaction cookie, a new one if it has none.
func (m *Mux) transaction(w http.ResponseWriter, r *http.Request) string {
	rec := recordFrom(r.Context())
	if rec != nil && rec.tx != "" {
		return rec.tx
	}
	if tx := m.Cookie(r, txCookie); wellFormed(tx) {
		return tx
	}
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails
	tx := base64.RawURLEncoding.EncodeToString(b[:])
	m.SetCookie(w, txCookie, tx)
	if rec != nil {
		rec.tx = tx
	}
	return tx
}

func wellFormed(tx string) bool {
	b, err := base64.RawURLEncoding.Strict().DecodeString(tx)
	return err == nil && len(tx) == txLength && len(b) == sha256.Size
}

// FormToken returns the token a form of this browser must carry in its input
// "csrf". It sets the transaction cookie if the browser has none.
func (m *Mux) FormToken(w http.ResponseWriter, r *http.Request) string {
	return base64.RawURLEncoding.EncodeToString(m.tokenOf(m.transaction(w, r)))
}

// Binding returns the SHA-256 of the browser's transaction cookie and sets the
// cookie if the browser has none.
func (m *Mux) Binding(w http.ResponseWriter, r *http.Request) []byte {
	sum := sha256.Sum256([]byte(m.transaction(w, r)))
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
		tx := m.Cookie(r, txCookie)
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
