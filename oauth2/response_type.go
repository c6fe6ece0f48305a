package oauth2

import (
	"slices"
	"strings"
)

// A responseType says what an authorization response carries (OAuth 2.0 Multiple
// Response Type Encoding Practices).
type responseType struct{ code, idToken, token bool }

// responseTypes are those of OpenID Connect Core section 3, in the spelling of
// the registry.
var responseTypes = []string{"code", "id_token", "id_token token", "code id_token", "code token", "code id_token token"}

// ResponseTypes returns every response type the program knows, for configuration.
func ResponseTypes() []string { return slices.Clone(responseTypes) }

// parseResponseType reads the words of a response type in any order, each once.
func parseResponseType(s string) (r responseType, ok bool) {
	for _, word := range strings.Split(s, " ") { // one space between two, and none around (RFC 6749 section 3.1.1)
		var seen *bool
		switch word {
		case "code":
			seen = &r.code
		case "id_token":
			seen = &r.idToken
		case "token":
			seen = &r.token
		}
		if seen == nil || *seen {
			return r, false
		}
		*seen = true
	}
	return r, slices.Contains(responseTypes, r.String())
}

// String spells r as it is registered.
func (r responseType) String() string {
	var words []string
	if r.code {
		words = append(words, "code")
	}
	if r.idToken {
		words = append(words, "id_token")
	}
	if r.token {
		words = append(words, "token")
	}
	return strings.Join(words, " ")
}

// front reports whether tokens pass through the browser: then a fragment carries
// the answer, never a query (Multiple Response Types section 5).
func (r responseType) front() bool { return r.idToken || r.token }

// offers reports whether this server is configured for r.
func (p *Provider) offers(r responseType) bool {
	return slices.Contains(p.cfg.ResponseTypes, r.String())
}
