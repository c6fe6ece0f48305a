package oauth2

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"net/url"
	"strings"
)

// sessionState is the session_state of an authorization response (OpenID Connect
// Session Management 1.0 section 2): a salted hash of the application, the origin
// its page has in the browser, and the state of the browser. assets/session.js
// computes it again. It is "" for a redirect URI that no page has: there is
// nobody to watch.
func sessionState(clientID, redirectURI, browserState string) string {
	origin := webOrigin(redirectURI)
	if origin == "" {
		return ""
	}
	salt := rand.Text()
	return saltedState(clientID, origin, browserState, salt) + "." + salt
}

func saltedState(clientID, origin, browserState, salt string) string {
	sum := sha256.Sum256([]byte(clientID + " " + origin + " " + browserState + " " + salt))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// webOrigin is the origin of an address as browsers write it: lower case, and no
// port where it is the scheme's own (RFC 6454 section 6.1).
func webOrigin(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return ""
	}
	own := map[string]string{"https": "443", "http": "80"}[u.Scheme]
	if own == "" {
		return ""
	}
	host := strings.ToLower(u.Host)
	if u.Port() == own || u.Port() == "" {
		host = strings.ToLower(u.Hostname())
		if strings.Contains(host, ":") {
			host = "[" + host + "]"
		}
	}
	return u.Scheme + "://" + host
}
