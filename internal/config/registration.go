package config

import (
	"slices"
	"strings"
	"time"
)

// registrationScopesAreThere, and none of them is an administrator's: whoever
// registers an application chooses its scopes.
func registrationScopesAreThere(c *Config) error {
	for _, s := range c.RegistrationScopes {
		switch {
		case s == "admin" || strings.HasPrefix(s, "admin:"):
			return c.wrong("registration_scopes", "holds %s; an application cannot make itself an administrator", s)
		case !slices.Contains(c.AllScopes(), s):
			return c.wrong("registration_scopes", "holds %s, which is not among scopes", s)
		}
	}
	if len(c.RegistrationScopes) == 0 {
		return c.wrong("registration_scopes", "is empty; an application needs one scope at least, such as openid")
	}
	return nil
}

// registrationUnusedIsLong: the use of an application is written down every hour.
func registrationUnusedIsLong(c *Config) error {
	const least, most = 24 * time.Hour, 3650 * 24 * time.Hour
	if d := c.RegistrationUnused; d != 0 && (d < least || d > most) {
		return c.wrong("registration_unused", "is %s; it must be 0s, or %s to %s", brief(d), brief(least), brief(most))
	}
	return nil
}
