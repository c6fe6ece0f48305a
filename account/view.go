package account

import (
	"context"
	"fmt"
	"strings"

	"github.com/gatekeeper-oidc/gatekeeper/identity"
	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
	"github.com/gatekeeper-oidc/gatekeeper/templates"
)

// facts returns what is known of a person, leaving out what is not.
func facts(u identity.User) []templates.Fact {
	email := "email"
	if !u.EmailVerified {
		email = "email_unverified"
	}
	all := []templates.Fact{
		{Name: "name", Value: u.Profile.Name},
		{Name: email, Value: u.Email},
		{Name: "username", Value: u.Profile.PreferredUsername},
		{Name: "phone", Value: u.Profile.PhoneNumber},
		{Name: "address", Value: u.Profile.Address.Line()},
		{Name: "birthdate", Value: u.Profile.Birthdate},
		{Name: "locale", Value: u.Profile.Locale},
		{Name: "zoneinfo", Value: u.Profile.Zoneinfo},
		{Name: "website", Value: u.Profile.Website},
		{Name: "roles", Value: strings.Join(u.Roles, ", ")},
		{Name: "id", Value: u.ID},
	}
	out := all[:0]
	for _, f := range all {
		if f.Value != "" {
			out = append(out, f)
		}
	}
	return out
}

// devices returns sessions as people know them, this one first.
func devices(sessions []identity.Session, this string) []templates.Device {
	out := make([]templates.Device, 0, len(sessions))
	for _, s := range sessions {
		browser, system := templates.Agent(s.UserAgent)
		d := templates.Device{
			ID: s.ID, Browser: browser, System: system, Address: s.Address,
			SignedIn: s.AuthTime, Seen: s.LastSeenAt, This: s.ID == this,
		}
		if d.This {
			out = append([]templates.Device{d}, out...)
			continue
		}
		out = append(out, d)
	}
	return out
}

// shownApps is how many applications one page shows; the rest is a link away.
const shownApps = 50

// apps returns a page of the applications a person let in, and what the next comes
// behind. One that was deleted since, or is switched off, is shown by its id: its
// consent can still be taken back.
func (h *Handler) apps(ctx context.Context, userID, after string) (out []templates.ConnectedApp, next string, err error) {
	consents, next, err := h.cfg.Consents.Consents(ctx, userID, identity.Page{After: after, Limit: shownApps})
	if err != nil {
		return nil, "", fmt.Errorf("applications of user %s: %w", userID, err)
	}
	out = make([]templates.ConnectedApp, 0, len(consents))
	for _, c := range consents {
		client, err := h.cfg.Clients.Client(ctx, c.ClientID)
		if err != nil && !fault.Is(err, fault.NotFound) {
			return nil, "", fmt.Errorf("application %s of user %s: %w", c.ClientID, userID, err)
		}
		var redirect string
		if len(client.RedirectURIs) > 0 {
			redirect = client.RedirectURIs[0]
		}
		app := templates.ConnectedApp{ID: c.ClientID, App: templates.NewApp(c.ClientID, client.Name, redirect), Since: c.GrantedAt}
		app.App.Links.Logo = client.LogoURI != ""
		for _, s := range c.Scopes {
			app.Scopes = append(app.Scopes, templates.Scope{Name: s})
		}
		out = append(out, app)
	}
	return out, next, nil
}
