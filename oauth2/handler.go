package oauth2

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"github.com/gatekeeper-oidc/gatekeeper/identity"
	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
	"github.com/gatekeeper-oidc/gatekeeper/internal/web"
)

// A Step is one thing a person may still have to do before a code is issued.
// Steps never send a browser to one another, only back to /oauth2/authorize.
type Step interface {
	// Needed reports the OAuth error that says why the person must visit the step
	// ("login_required", "consent_required", …), or "" if they need not.
	Needed(ctx context.Context, in Interaction) (reason string, err error)
	// Path is where the person does it.
	Path() string
}

const authorizePath = "/oauth2/authorize"

// ResumeURL is where a step sends the browser when it is done.
func ResumeURL(interaction string) string {
	return authorizePath + "?" + url.Values{"i": {interaction}}.Encode()
}

// Handler mounts /oauth2/authorize, /oauth2/par, /oauth2/device_authorization,
// /oauth2/token and /oauth2/revoke.
type Handler struct {
	Provider *Provider
	Steps    []Step // asked in this order

	mux *web.Mux
}

// Routes mounts the endpoints on m.
func (h *Handler) Routes(m *web.Mux) {
	h.mux = m
	m.CrossSitePage("GET "+authorizePath, h.authorize)
	m.CrossSitePage("POST "+authorizePath, h.posted)
	m.OAuth("POST /oauth2/par", h.push, h.Provider.AllowOrigin)
	m.OAuth("POST /oauth2/device_authorization", h.device, nil) // a device has no browser to read it with
	m.OAuth("POST /oauth2/token", h.token, h.Provider.AllowOrigin)
	m.OAuth("POST /oauth2/revoke", h.revoke, h.Provider.AllowOrigin)
}

func (h *Handler) token(w http.ResponseWriter, r *http.Request) error {
	form, err := web.Form(w, r, web.MaxForm, "resource", "audience")
	if err != nil {
		return err
	}
	out, err := h.Provider.exchange(r, form)
	if wait, ok := errors.AsType[*waiting](err); ok {
		h.Provider.cfg.Meter.TokenError(form.Get("grant_type"), wait.Code)
		return web.JSON(w, http.StatusBadRequest, wait)
	}
	if err != nil {
		h.Provider.cfg.Meter.TokenError(form.Get("grant_type"), fault.Of(err).Code)
		return err
	}
	w.Header().Set("Pragma", "no-cache")
	return web.JSON(w, http.StatusOK, out)
}

// authorize begins an authorization request, or goes on with one.
func (h *Handler) authorize(w http.ResponseWriter, r *http.Request) error {
	now := h.Provider.cfg.Now()
	params, err := parameters(w, r)
	if err != nil {
		return err
	}
	// An application's request names its client; without one the names are ours.
	ours := !params.Has("client_id")
	if id := params.Get("i"); id != "" && ours {
		return h.resume(w, r, id, now)
	}
	var req AuthorizeRequest
	if sealed := params.Get("r"); sealed != "" && ours {
		req, err = h.Provider.openRequest(r.Context(), sealed)
	} else {
		req, err = h.Provider.begin(r.Context(), params)
	}
	if err != nil {
		return h.refuse(w, r, err)
	}
	return h.advance(w, r, Interaction{Request: req, CreatedAt: now, ExpiresAt: now.Add(h.Provider.cfg.Lifetimes.Interaction)}, now)
}

// posted takes the request by POST. Another site's form carries none of our
// cookies (SameSite=Lax), so the checked request is sealed into a GET that does.
func (h *Handler) posted(w http.ResponseWriter, r *http.Request) error {
	params, err := parameters(w, r)
	if err != nil {
		return err
	}
	req, err := h.Provider.begin(r.Context(), params)
	if err != nil {
		return h.refuse(w, r, err)
	}
	sealed, err := h.Provider.sealRequest(req)
	if err != nil {
		return h.refuse(w, r, err)
	}
	http.Redirect(w, r, authorizePath+"?"+url.Values{"r": {sealed}}.Encode(), http.StatusSeeOther)
	return nil
}

func (h *Handler) resume(w http.ResponseWriter, r *http.Request, id string, now time.Time) error {
	in, err := h.Provider.Interaction(r.Context(), id, h.mux.Binding(w, r))
	if err != nil {
		return err
	}
	if err := h.Provider.goOn(r.Context(), &in); err != nil {
		return h.refuse(w, r, err)
	}
	if in.Request.Device != nil && in.Denied != "" {
		return h.denyDevice(w, r, in)
	}
	if in.Denied != "" {
		if _, err := h.Provider.cfg.Store.ConsumeInteraction(r.Context(), in.ID); err != nil {
			return err
		}
		if err := h.Provider.spendPushed(r.Context(), in.Request); err != nil {
			return err
		}
		return h.tell(w, r, in.Request, invalid(in.Denied, "The person did not agree."))
	}
	return h.advance(w, r, in, now)
}

// advance sends the browser to the first step still needed, or finishes. now is
// when this visit began.
func (h *Handler) advance(w http.ResponseWriter, r *http.Request, in Interaction, now time.Time) error {
	ctx := r.Context()
	web.Note(ctx, slog.String("client_id", in.Request.ClientID))
	for _, step := range h.Steps {
		reason, err := step.Needed(ctx, in)
		if err != nil {
			return err
		}
		if reason == "" {
			continue
		}
		if in.Request.HasPrompt("none") {
			return h.tell(w, r, in.Request, invalid(reason, "The person would have to do something, and prompt=none forbids to ask."))
		}
		if in.ID == "" {
			if err := h.keep(w, r, &in); err != nil {
				return err
			}
		}
		http.Redirect(w, r, step.Path()+"?"+url.Values{"i": {in.ID}}.Encode(), http.StatusSeeOther)
		return nil
	}
	return h.finish(w, r, in, now)
}

// keep stores a request that has to wait for its person, bound to their browser.
func (h *Handler) keep(w http.ResponseWriter, r *http.Request, in *Interaction) error {
	ctx, p := r.Context(), h.Provider
	if err := p.unspent(ctx, in.Request); err != nil {
		return err
	}
	if _, _, ok := identity.FromContext(ctx); !ok {
		wait, err := p.cfg.Limits.Advance(ctx, web.InfoFrom(ctx).Bucket(), p.cfg.Rules.AuthorizeGuests)
		if err != nil {
			return fault.Down("limiter", err)
		}
		if wait > 0 {
			p.cfg.Meter.RateLimited(p.cfg.Rules.AuthorizeGuests.Name)
			return &fault.Error{
				Kind: fault.TooMany, Code: "too_many_requests", Detail: "Too many sign-ins were begun from your network; wait a moment.",
				Rule: "authorize_guests", RetryAfter: wait,
			}
		}
	}
	in.ID, in.Binding = rand.Text(), h.mux.Binding(w, r)
	return p.cfg.Store.PutInteraction(ctx, *in)
}

// refuse answers an error of begin: at the application where it is certain, on a
// page where it is not.
func (h *Handler) refuse(w http.ResponseWriter, r *http.Request, err error) error {
	var told *refusal
	if errors.As(err, &told) && told.fault.Kind == fault.Invalid {
		return h.tell(w, r, told.req, told.fault)
	}
	return err
}
