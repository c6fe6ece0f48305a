package oauth2

import (
	"context"
	"crypto/rand"
	"log/slog"
	"net/http"
	"net/url"

	"github.com/gatekeeper-oidc/gatekeeper/audit"
	"github.com/gatekeeper-oidc/gatekeeper/identity"
	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
	"github.com/gatekeeper-oidc/gatekeeper/internal/web"
)

// A DeviceVisit is the device an interaction speaks for: the id of its request, and
// the user code its person typed, to be compared with what the device shows.
type DeviceVisit struct {
	ID   string `json:"id"`
	Code string `json:"code"`
}

// What a person's answer to a device led to, as the device page is told it.
const (
	DeviceDoneApproved = "approved"
	DeviceDoneDenied   = "denied"
	DeviceDoneExpired  = "expired"
)

// tooMany is the code of a person's one attempt too many, as at the sign-in page.
const tooMany = "too_many_attempts"

// DeviceDoneURL is where the browser goes when a device has its answer.
func DeviceDoneURL(done string) string {
	return devicePath + "?" + url.Values{"done": {done}}.Encode()
}

// OpenDevice finds the device that shows the code a person typed and begins an
// interaction for it, bound to their browser; its id is to be resumed. Every try
// counts, right or wrong. Faults: Invalid ("invalid_user_code"), TooMany.
func (p *Provider) OpenDevice(ctx context.Context, binding []byte, typed string) (interaction string, err error) {
	if err := p.limited(ctx, tooMany, web.InfoFrom(ctx).Bucket(), p.cfg.Rules.DeviceAddress); err != nil {
		return "", err
	}
	if s, _, ok := identity.FromContext(ctx); ok {
		if err := p.limited(ctx, tooMany, s.ID, p.cfg.Rules.DeviceSession); err != nil {
			return "", err
		}
	}
	d, c, err := p.deviceOf(ctx, typed)
	if err != nil {
		return "", err
	}
	now := p.cfg.Now()
	in := Interaction{ID: rand.Text(), Binding: binding, CreatedAt: now, ExpiresAt: now.Add(p.cfg.Lifetimes.Interaction)}
	if d.ExpiresAt.Before(in.ExpiresAt) {
		in.ExpiresAt = d.ExpiresAt
	}
	code, _ := ParseUserCode(typed)
	in.Request = AuthorizeRequest{
		ClientID: c.ID, Registration: d.Grant.Registration, Scopes: d.Grant.Scopes, Audience: d.Grant.Audience, Narrowed: d.Grant.Narrowed,
		Device: &DeviceVisit{ID: d.Grant.ID, Code: FormatUserCode(code)},
	}
	if c.DefaultMaxAge != nil {
		in.Request.MaxAge = new(min(int64(*c.DefaultMaxAge), longestAge))
	}
	return in.ID, p.cfg.Store.PutInteraction(ctx, in)
}

// deviceOf returns the device that waits with the code typed, and its application.
func (p *Provider) deviceOf(ctx context.Context, typed string) (DeviceRequest, Client, error) {
	wrong := ruled("user_code_known", invalid("invalid_user_code", "There is no device with this code, or the code has expired."))
	code, ok := ParseUserCode(typed)
	if !ok {
		p.cfg.Meter.DeviceAnswer("wrong_code")
		return DeviceRequest{}, Client{}, wrong
	}
	d, err := p.cfg.Store.DeviceByUserCode(ctx, p.hashUserCode(code))
	var c Client
	if err == nil {
		c, err = p.Client(ctx, d.Grant.ClientID)
	}
	if err == nil && !c.sameRegistration(d.Grant.Registration) {
		err = fault.Missing("device", "") // its application was deleted, and another has the name
	}
	if fault.Is(err, fault.NotFound) {
		p.cfg.Meter.DeviceAnswer("wrong_code")
		err = wrong
	}
	return d, c, err
}

// Device returns the device an interaction speaks for; fault.NotFound once its
// code has expired.
func (p *Provider) Device(ctx context.Context, in Interaction) (DeviceRequest, error) {
	if in.Request.Device == nil {
		return DeviceRequest{}, fault.Missing("device", "")
	}
	return p.cfg.Store.Device(ctx, in.Request.Device.ID)
}

// approveDevice is the end of an interaction that speaks for a device: nothing
// more is needed, and the person said yes on a page that showed them the device.
func (h *Handler) approveDevice(w http.ResponseWriter, r *http.Request, in Interaction) error {
	s, u, ok := identity.FromContext(r.Context())
	if !ok || !in.Consented || in.Selected != s.ID {
		return (&fault.Error{
			Kind: fault.Forbidden, Code: "consent_required", Rule: "device_confirmed",
			Detail: "Nobody has said yes to this device. Enter its code again.",
		}).With("client_id", in.Request.ClientID)
	}
	web.Note(r.Context(), slog.String("sub", u.ID), slog.String("sid", s.ID))
	d := in.device(DeviceApproved)
	d.Grant.Subject, d.Grant.Session, d.Grant.AuthTime, d.Grant.AMR, d.Grant.ACR = u.ID, s.ID, s.AuthTime, s.AMR, s.ACR
	return h.answerDevice(w, r, in, d)
}

// denyDevice tells the device that its person said no, or went away.
func (h *Handler) denyDevice(w http.ResponseWriter, r *http.Request, in Interaction) error {
	d := in.device(DeviceDenied)
	if s, u, ok := identity.FromContext(r.Context()); ok {
		d.Grant.Subject, d.Grant.Session = u.ID, s.ID
	}
	return h.answerDevice(w, r, in, d)
}

// device is the answer to the device that in speaks for.
func (in *Interaction) device(status DeviceStatus) DeviceRequest {
	d := DeviceRequest{Status: status, Grant: Grant{
		ID: in.Request.Device.ID, ClientID: in.Request.ClientID, Scopes: in.Request.Scopes, Audience: in.Request.Audience, Narrowed: in.Request.Narrowed,
		Registration: in.Request.Registration,
	}}
	d.Grant.Offline = d.Grant.has("offline_access")
	return d
}

// answerDevice writes the answer and spends the interaction in one transaction,
// and shows the browser what came of it.
func (h *Handler) answerDevice(w http.ResponseWriter, r *http.Request, in Interaction, d DeviceRequest) error {
	ctx, p := r.Context(), h.Provider
	kind, done := audit.DeviceApproved, DeviceDoneApproved
	if d.Status == DeviceDenied {
		kind, done = audit.DeviceDenied, DeviceDoneDenied
	}
	e := p.event(ctx, kind, d.Grant)
	e.Actor = ""
	if d.Grant.Subject != "" {
		e.Actor = identity.Actor(d.Grant.Subject)
	}
	var answered bool
	err := p.cfg.Store.InTx(ctx, func(ctx context.Context) (err error) {
		if err := p.spend(ctx, in); err != nil {
			return err
		}
		answered, err = p.cfg.Store.AnswerDevice(ctx, d, e)
		return err
	})
	if err != nil {
		return err
	}
	if !answered {
		done = DeviceDoneExpired // or answered elsewhere
	}
	p.cfg.Meter.DeviceAnswer(done)
	http.Redirect(w, r, DeviceDoneURL(done), http.StatusSeeOther)
	return nil
}
