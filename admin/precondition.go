package admin

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/gatekeeper-oidc/gatekeeper/identity"
	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
	"github.com/gatekeeper-oidc/gatekeeper/oauth2"
)

// A thing that is replaced whole is easily replaced by what somebody saw too long
// ago. So reading one gives its ETag, and a change may name it in If-Match (RFC 9110
// section 13.1.1): it is refused with 412 once the thing is another.

// ClientTag is the ETag of an application as the API shows it.
func ClientTag(c oauth2.Client) string { return tag(shown(c)) }

// UserTag is the ETag of a person as the API shows them. That they signed in again
// is no change of theirs.
func UserTag(u identity.User) string {
	u.LastLoginAt = time.Time{}
	u.Roles = some(u.Roles)
	return tag(u)
}

func tag(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		return "" // a broken raw message, which no store keeps
	}
	sum := sha256.Sum256(text)
	return `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`
}

// unchanged holds what is to be changed to being one of seen, if any.
func unchanged(have string, seen []string) error {
	if len(seen) == 0 || slices.Contains(seen, have) || slices.Contains(seen, anyTag) {
		return nil
	}
	return &fault.Error{
		Kind: fault.Stale, Code: "changed_meanwhile", Rule: "if_match",
		Detail: "It has changed since you looked; look again, and make your change to what is there now.",
	}
}

// anyTag is the If-Match that anything there matches.
const anyTag = "*"

// seen reads If-Match. A weak tag is compared with none (section 8.8.3.2), so it
// never matches.
func (r request) seen() ([]string, error) {
	var tags []string
	for _, line := range r.Header["If-Match"] {
		for part := range strings.SplitSeq(line, ",") {
			t := strings.TrimSpace(part)
			strong := strings.TrimPrefix(t, "W/")
			if t != anyTag && (len(strong) < 2 || strong[0] != '"' || strong[len(strong)-1] != '"') {
				return nil, invalid("if_match_form", "If-Match holds the ETag of an earlier answer, with its quotes.")
			}
			tags = append(tags, t)
		}
	}
	return tags, nil
}

// noPrecondition refuses one where it would be read by nobody.
func noPrecondition(r *http.Request, rt route) error {
	for _, name := range []string{"If-Match", "If-Unmodified-Since"} {
		if r.Header.Get(name) != "" && (!rt.guarded || name != "If-Match") {
			return invalid("precondition_known", "This operation does not know the precondition "+name+".")
		}
	}
	return nil
}

// tagOf is the ETag of an answer, "" for one that has none.
func tagOf(out any) string {
	switch v := out.(type) {
	case oauth2.Client:
		return ClientTag(v)
	case ClientWithSecret:
		return ClientTag(v.Client)
	case identity.User:
		return UserTag(v)
	}
	return ""
}
