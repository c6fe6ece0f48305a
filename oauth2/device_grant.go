package oauth2

import (
	"context"
	"fmt"
	"slices"

	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
)

// A waiting device is told so in the form of an error (RFC 8628 section 3.5), but
// nothing was refused: it leaves no trace in the trail, which a device that asks
// every five seconds would fill.
type waiting struct {
	Code   string `json:"error"`
	Detail string `json:"error_description"`
}

func (w *waiting) Error() string { return w.Code }

// deviceAnswers are what a poll is told, in this order; nil is the tokens.
var deviceAnswers = []func(d *DevicePoll) error{
	deviceExpired, deviceDenied, deviceHurried, devicePending,
}

func deviceExpired(d *DevicePoll) error {
	if d.Expired {
		return ruled("device_code_fresh", invalid("expired_token", "The device code has expired; begin anew."))
	}
	return nil
}

func deviceDenied(d *DevicePoll) error {
	if d.Status == DeviceDenied {
		return ruled("device_approved", invalid("access_denied", "The person did not agree."))
	}
	return nil
}

// deviceHurried is about a request that is still pending (RFC 8628 section 3.5): a
// device whose answer is there gets it.
func deviceHurried(d *DevicePoll) error {
	if d.Status == DevicePending && d.Hurried {
		return &waiting{"slow_down", "Ask five seconds less often."}
	}
	return nil
}

func devicePending(d *DevicePoll) error {
	if d.Status != DeviceApproved {
		return &waiting{"authorization_pending", "The person has not answered yet."}
	}
	return nil
}

// pollDevice turns a device code whose person said yes into the grant they gave.
func (p *Provider) pollDevice(ctx context.Context, w *work) error {
	code := w.form.Get("device_code")
	unknown := invalidGrant("device_code_ours", "The device code is not one that this server gave this client.")
	if !p.madeDeviceCode(code) {
		return unknown
	}
	d, err := p.cfg.Store.PollDevice(ctx, w.client.ID, hashDeviceCode(code))
	if fault.Is(err, fault.NotFound) {
		return unknown
	}
	if err != nil {
		return fmt.Errorf("poll device: %w", err)
	}
	if !w.client.sameRegistration(d.Grant.Registration) {
		return unknown
	}
	for _, answer := range deviceAnswers {
		if err := answer(&d); err != nil {
			return err
		}
	}
	w.grant, w.whole, w.scopes, w.reusable = d.Grant, d.Grant, append([]string{}, d.Grant.Scopes...), d.ExpiresAt
	return nil
}

// issue mints what a grant of ours gives: an access token, a refresh token for
// its client if it may have one, and an ID token for openid.
func (p *Provider) issue(ctx context.Context, w *work) error {
	s := strategies{p}
	if _, _, err := s.GenerateAccessToken(ctx, nil); err != nil {
		return err
	}
	if p.refreshes(w.client, w.scopes) {
		if _, _, err := s.GenerateRefreshToken(ctx, nil); err != nil {
			return err
		}
	}
	if !slices.Contains(w.scopes, "openid") {
		return nil
	}
	_, err := s.GenerateIDToken(ctx, 0, nil)
	return err
}
