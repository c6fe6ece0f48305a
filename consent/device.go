package consent

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strconv"

	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
	"github.com/gatekeeper-oidc/gatekeeper/internal/web"
	"github.com/gatekeeper-oidc/gatekeeper/oauth2"
	"github.com/gatekeeper-oidc/gatekeeper/templates"
)

const pathDevice = "/device"

// connect is GET /device: it asks for a code, or says what came of one. A code in
// the link is filled in and nothing more: the person sends it themselves, once they
// have compared it (RFC 8628 section 3.3.1).
func (h *Handler) connect(w http.ResponseWriter, r *http.Request) error {
	query, err := web.Query(r)
	if err != nil {
		return fmt.Errorf("read the query of the device page: %w", err)
	}
	page := h.device(w, r)
	if code, ok := oauth2.ParseUserCode(query.Get("user_code")); ok {
		page.Code = oauth2.FormatUserCode(code)
	}
	done := query.Get("done")
	if slices.Contains([]string{oauth2.DeviceDoneApproved, oauth2.DeviceDoneDenied, oauth2.DeviceDoneExpired}, done) {
		page.Done = done
	}
	return h.mux.Render(w, http.StatusOK, page)
}

// enter is POST /device: the dispatcher goes on with whoever typed the code.
func (h *Handler) enter(w http.ResponseWriter, r *http.Request) error {
	form, err := web.Form(w, r, web.MaxForm)
	if err != nil {
		return fmt.Errorf("read the code of a device: %w", err)
	}
	typed := form.Get("user_code")
	id, err := h.flow.OpenDevice(r.Context(), h.mux.Binding(w, r), typed)
	if err == nil {
		return onward(w, r, oauth2.Interaction{ID: id})
	}
	page, status := h.device(w, r), http.StatusUnprocessableEntity
	switch f := fault.Of(err); f.Kind {
	case fault.Invalid:
	case fault.TooMany:
		status, page.Refused.Wait = http.StatusTooManyRequests, int(math.Ceil(f.RetryAfter.Seconds()))
		w.Header().Set("Retry-After", strconv.Itoa(page.Refused.Wait))
	default:
		return err
	}
	var f *fault.Error
	page.Refused.Reference, f = h.mux.Refuse(r, err)
	page.Refused.Key = "refused." + f.Code
	if len(typed) <= maxTyped {
		page.Code = typed
	}
	return h.mux.Render(w, status, page)
}

// maxTyped bounds what of a wrong code is shown again, in bytes.
const maxTyped = 40

func (h *Handler) device(w http.ResponseWriter, r *http.Request) templates.Connect {
	return templates.Connect{
		Locale: h.pages.Locale(r.Header.Get("Accept-Language")),
		Form:   templates.Form{Action: pathDevice, CSRF: h.mux.FormToken(w, r)},
	}
}

// asking returns the device an interaction speaks for, nil if it speaks for none. An
// interaction ends with the code of its device, so there is one.
func (h *Handler) asking(ctx context.Context, in oauth2.Interaction) (*templates.AskingDevice, error) {
	if in.Request.Device == nil {
		return nil, nil //nolint:nilnil // no device is not an error
	}
	d, err := h.flow.Device(ctx, in)
	if err != nil {
		return nil, fmt.Errorf("device of interaction %s: %w", in.ID, err)
	}
	browser, system := templates.Agent(d.UserAgent)
	return &templates.AskingDevice{Code: in.Request.Device.Code, Browser: browser, System: system, Address: d.Address, Asked: d.CreatedAt}, nil
}
