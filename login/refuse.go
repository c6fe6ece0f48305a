package login

import (
	"math"
	"net/http"
	"strconv"

	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
	"github.com/gatekeeper-oidc/gatekeeper/internal/web"
	"github.com/gatekeeper-oidc/gatekeeper/templates"
)

// Refuse turns an error about what a person typed into the words above their form
// and the status of the answer, with a reference that the trail knows. Any other
// error comes back for the Mux to answer.
func Refuse(m *web.Mux, w http.ResponseWriter, r *http.Request, err error) (refused templates.Refused, status int, rest error) {
	switch f := fault.Of(err); f.Kind {
	case fault.Unauthenticated:
		refused, status = templates.Refused{Key: "refused." + f.Code}, http.StatusUnprocessableEntity
	case fault.Invalid:
		refused, status = templates.Refused{Key: "refused." + f.Rule, Text: f.Detail}, http.StatusUnprocessableEntity
		if f.Code == "invalid_email" {
			refused.Key = "refused." + f.Code
		}
	case fault.TooMany:
		wait := int(math.Ceil(f.RetryAfter.Seconds()))
		refused, status = templates.Refused{Key: "refused." + f.Code, Wait: wait}, http.StatusTooManyRequests
		if wait > 0 {
			w.Header().Set("Retry-After", strconv.Itoa(wait))
		}
	default:
		return templates.Refused{}, 0, err
	}
	refused.Reference, _ = m.Refuse(r, err)
	return refused, status, nil
}
