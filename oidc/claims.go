package oidc

import (
	"slices"
	"strings"

	"github.com/gatekeeper-oidc/gatekeeper/identity"
	"github.com/gatekeeper-oidc/gatekeeper/oauth2"
)

// A claim is one member of the userinfo answer: value returns what to say of a
// person, or nil to say nothing. An empty claim is left out, never null or "".
type claim struct {
	scope string
	name  string
	value func(u *identity.User) any
}

// userClaims is every claim about a person, by the scope that asks for it
// (OpenID Connect Core section 5.4), in the order of section 5.1.
var userClaims = []claim{
	{"profile", "name", profile(func(p *identity.Profile) string { return p.Name })},
	{"profile", "given_name", profile(func(p *identity.Profile) string { return p.GivenName })},
	{"profile", "family_name", profile(func(p *identity.Profile) string { return p.FamilyName })},
	{"profile", "middle_name", profile(func(p *identity.Profile) string { return p.MiddleName })},
	{"profile", "nickname", profile(func(p *identity.Profile) string { return p.Nickname })},
	{"profile", "preferred_username", profile(func(p *identity.Profile) string { return p.PreferredUsername })},
	{"profile", "profile", profile(func(p *identity.Profile) string { return p.ProfileURL })},
	{"profile", "picture", profile(func(p *identity.Profile) string { return p.Picture })},
	{"profile", "website", profile(func(p *identity.Profile) string { return p.Website })},
	{"profile", "gender", profile(func(p *identity.Profile) string { return p.Gender })},
	{"profile", "birthdate", profile(func(p *identity.Profile) string { return p.Birthdate })},
	{"profile", "zoneinfo", profile(func(p *identity.Profile) string { return p.Zoneinfo })},
	{"profile", "locale", profile(func(p *identity.Profile) string { return p.Locale })},
	{"profile", "updated_at", updatedAt},
	{"email", "email", func(u *identity.User) any { return text(u.Email) }},
	{"email", "email_verified", emailVerified},
	{"phone", "phone_number", profile(func(p *identity.Profile) string { return p.PhoneNumber })},
	{"phone", "phone_number_verified", phoneVerified},
	{"address", "address", address},
}

// ClaimTable is the oauth2.ClaimSource of this server: the standard claims.
type ClaimTable struct{}

var _ oauth2.ClaimSource = ClaimTable{}

// ScopeOf implements oauth2.ClaimSource.
func (ClaimTable) ScopeOf(name string) string {
	for _, c := range userClaims {
		if c.name == name {
			return c.scope
		}
	}
	return ""
}

// Claims implements oauth2.ClaimSource: what scopes or names ask for, empty claims
// left out (OpenID Connect Core section 5.3.2). sub is the caller's to add.
func (ClaimTable) Claims(u *identity.User, scopes, names []string) map[string]any {
	out := map[string]any{}
	for _, c := range userClaims {
		if !slices.Contains(scopes, c.scope) && !slices.Contains(names, c.name) {
			continue
		}
		if v := c.value(u); v != nil {
			out[c.name] = v
		}
	}
	// An address is never given without saying whether it is verified: anybody can
	// sign up with somebody's.
	for _, c := range userClaims {
		about, marks := strings.CutSuffix(c.name, "_verified")
		if _, given := out[about]; marks && given && out[c.name] == nil {
			out[c.name] = c.value(u)
		}
	}
	return out
}

// claimNames lists every claim these scopes can lead to, for discovery.
func claimNames(scopes []string) []string {
	names := []string{"sub"}
	for _, c := range userClaims {
		if slices.Contains(scopes, c.scope) {
			names = append(names, c.name)
		}
	}
	return names
}

func profile(field func(p *identity.Profile) string) func(u *identity.User) any {
	return func(u *identity.User) any { return text(field(&u.Profile)) }
}

func text(s string) any {
	if s == "" {
		return nil
	}
	return s
}

func updatedAt(u *identity.User) any {
	if u.UpdatedAt.IsZero() {
		return nil
	}
	return u.UpdatedAt.Unix()
}

func emailVerified(u *identity.User) any {
	if u.Email == "" {
		return nil
	}
	return u.EmailVerified
}

func phoneVerified(u *identity.User) any {
	if u.Profile.PhoneNumber == "" {
		return nil
	}
	return u.Profile.PhoneNumberVerified
}

func address(u *identity.User) any {
	if a := u.Profile.Address; a != nil && *a != (identity.Address{}) {
		return a
	}
	return nil
}
